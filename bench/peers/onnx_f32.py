# SPDX-License-Identifier: MIT
"""The embedding model in f32 as an ONNX graph of ONNX Runtime's own fused operators, made from the weights that Chiron uses.

What the runtime's optimiser makes of an export, written directly: EmbedLayerNormalization, Attention, BiasGelu and
SkipLayerNormalization, so that the f32 peer is as fast as that runtime can be.
"""
import json
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def read_safetensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
        data = f.read()
    kinds = {"F32": np.float32, "I64": np.int64}
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in head.items() if name != "__metadata__" and t["dtype"] in kinds}


def make(folder, to):
    config = json.load(open(os.path.join(folder, "config.json")))
    w = {k[5:] if k.startswith("bert.") else k: v for k, v in read_safetensors(os.path.join(folder, "model.safetensors")).items()}
    eps = config["layer_norm_eps"]
    nodes, weights = [], []

    def put(name, a):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(a, np.float32), name))
        return name

    def node(op, inputs, outputs, domain="com.microsoft", **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))

    e = "embeddings."
    node("EmbedLayerNormalization",
         ["input_ids", "token_type_ids", put("word", w[e + "word_embeddings.weight"]), put("place", w[e + "position_embeddings.weight"]),
          put("kind", w[e + "token_type_embeddings.weight"]), put("norm_w", w[e + "LayerNorm.weight"]), put("norm_b", w[e + "LayerNorm.bias"]),
          "attention_mask"], ["x0", "lengths"], epsilon=eps)
    x = "x0"
    for i in range(config["num_hidden_layers"]):
        p, n = f"encoder.layer.{i}.", f"l{i}_"
        qkv = [p + "attention.self." + k for k in ("query", "key", "value")]
        node("Attention", [x, put(n + "qkv_w", np.concatenate([w[k + ".weight"].T for k in qkv], axis=1)),
                           put(n + "qkv_b", np.concatenate([w[k + ".bias"] for k in qkv])), "lengths"],
             [n + "a"], num_heads=config["num_attention_heads"])
        node("MatMul", [n + "a", put(n + "out_w", w[p + "attention.output.dense.weight"].T)], [n + "o"], domain="")
        node("SkipLayerNormalization",
             [n + "o", x, put(n + "n1_w", w[p + "attention.output.LayerNorm.weight"]), put(n + "n1_b", w[p + "attention.output.LayerNorm.bias"]),
              put(n + "out_b", w[p + "attention.output.dense.bias"])], [n + "h"], epsilon=eps)
        node("MatMul", [n + "h", put(n + "up_w", w[p + "intermediate.dense.weight"].T)], [n + "u"], domain="")
        node("BiasGelu", [n + "u", put(n + "up_b", w[p + "intermediate.dense.bias"])], [n + "g"])
        node("MatMul", [n + "g", put(n + "down_w", w[p + "output.dense.weight"].T)], [n + "d"], domain="")
        x = n + "x" if i + 1 < config["num_hidden_layers"] else "last_hidden_state"
        node("SkipLayerNormalization",
             [n + "d", n + "h", put(n + "n2_w", w[p + "output.LayerNorm.weight"]), put(n + "n2_b", w[p + "output.LayerNorm.bias"]),
              put(n + "down_b", w[p + "output.dense.bias"])], [x], epsilon=eps)
    inputs = [helper.make_tensor_value_info(k, TensorProto.INT32, ["batch", "tokens"]) for k in ("input_ids", "token_type_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", config["hidden_size"]])]
    model = helper.make_model(helper.make_graph(nodes, "bert", inputs, outputs, weights),
                              opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    with open(to + ".new", "wb") as f:
        f.write(model.SerializeToString())
    os.replace(to + ".new", to)

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes a model folder with random weights: the shape of a real model where none can be had, for tests and measurements.
What it finds or ranks means nothing; how long it takes, and that the arithmetic is right, does not depend on that.

usage: random_model.py [options] FOLDER
  --kind embedder|cross-encoder   (cross-encoder)         --seed N                (1)
  --shape minilm-l6|tiny          (minilm-l6)             --type bf16|f32         (bf16; f32 for tiny)
  --hidden --layers --heads --inner --positions N         instead of the shape's
  --vocab FILE                    a vocab.txt to take over; else one of letters and made-up words is written
  --pooling mean|cls              of an embedder (mean)
FOLDER must not exist; it is there whole or not at all. Needs nothing but Python.
"""
import argparse
import array
import json
import os
import random
import shutil
import struct
import sys

SHAPES = {"minilm-l6": dict(hidden=384, layers=6, heads=12, inner=1536, positions=512, words=30522),
          "tiny": dict(hidden=64, layers=3, heads=2, inner=128, positions=512, words=600)}


def made_up_words(rng, count):
    consonants, vowels = "bcdfghklmnprstvz", "aeiou"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(".,;:!?'()-") + [str(i) for i in range(10)]
    words += [chr(97 + i) for i in range(26)] + ["##" + chr(97 + i) for i in range(26)]
    seen = set(words)
    while len(words) < count:
        w = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(rng.randint(1, 4)))
        w = w if rng.random() < 0.8 else "##" + w
        if w not in seen:
            seen.add(w)
            words.append(w)
    return words


class Writer:
    """Tensors in file order; numbers are spread around `middle` by about `scale`."""

    def __init__(self, kind, seed):
        self.kind, self.rng, self.header, self.parts, self.at = kind, random.Random(seed), {}, [], 0

    def put(self, name, shape, scale, middle=0.0):
        n = 1
        for s in shape:
            n *= s
        if self.kind == "f32":
            uniform = self.rng.random
            data = array.array("f", [middle + scale * (uniform() + uniform() + uniform() - 1.5) * 2 for _ in range(n)])
            if sys.byteorder == "big":
                data.byteswap()
            raw = data.tobytes()
        elif middle:
            raw = struct.pack("<f", middle)[2:] * n
        else:
            # Any low byte, and a high byte of ±2^-7 … 2^-5: made by the megabyte, where numbers one by one take a minute.
            signs = bytes(0xBC if b & 1 else 0x3C for b in range(256))
            both = bytearray(2 * n)
            both[0::2] = self.rng.getrandbits(8 * n).to_bytes(n, "little")
            both[1::2] = self.rng.getrandbits(8 * n).to_bytes(n, "little").translate(signs)
            raw = bytes(both)
        dtype = "F32" if self.kind == "f32" else "BF16"
        self.header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [self.at, self.at + len(raw)]}
        self.parts.append(raw)
        self.at += len(raw)

    def dense(self, name, rows, columns, scale):
        self.put(name + ".weight", (rows, columns), scale)
        self.put(name + ".bias", (rows,), 0.1 if self.kind == "f32" else 0.02)

    def norm(self, name, width):
        self.put(name + ".weight", (width,), 0.1 if self.kind == "f32" else 0, 1.0)
        self.put(name + ".bias", (width,), 0.05)

    def save(self, path):
        head = json.dumps(self.header, separators=(",", ":")).encode()
        head += b" " * (-len(head) % 8)
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(head)) + head)
            for p in self.parts:
                f.write(p)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("folder")
    a.add_argument("--kind", choices=("embedder", "cross-encoder"), default="cross-encoder")
    a.add_argument("--shape", choices=sorted(SHAPES), default="minilm-l6")
    a.add_argument("--type", choices=("bf16", "f32"))
    a.add_argument("--pooling", choices=("mean", "cls"), default="mean")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--vocab")
    for name in ("hidden", "layers", "heads", "inner", "positions"):
        a.add_argument("--" + name, type=int)
    o = a.parse_args()
    s = dict(SHAPES[o.shape])
    s.update({k: v for k, v in vars(o).items() if k in s and v})
    if os.path.exists(o.folder):
        sys.exit("random_model.py: %s is there already" % o.folder)
    rng = random.Random(o.seed)
    if o.vocab:
        with open(o.vocab, encoding="utf-8") as f:
            words = f.read().rstrip("\n").split("\n")
    else:
        words = made_up_words(rng, s["words"])
    cross, hidden = o.kind == "cross-encoder", s["hidden"]
    config = {"architectures": ["BertForSequenceClassification" if cross else "BertModel"], "model_type": "bert", "hidden_size": hidden,
              "num_hidden_layers": s["layers"], "num_attention_heads": s["heads"], "intermediate_size": s["inner"], "hidden_act": "gelu",
              "max_position_embeddings": s["positions"], "vocab_size": len(words), "type_vocab_size": 2, "layer_norm_eps": 1e-12}
    if cross:
        config.update(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")
    w = Writer(o.type or ("f32" if o.shape == "tiny" else "bf16"), o.seed)
    front = "bert." if cross else ""
    w.put(front + "embeddings.word_embeddings.weight", (len(words), hidden), 1)
    w.put(front + "embeddings.position_embeddings.weight", (s["positions"], hidden), 0.3)
    w.put(front + "embeddings.token_type_embeddings.weight", (2, hidden), 0.5)
    w.norm(front + "embeddings.LayerNorm", hidden)
    for i in range(s["layers"]):
        at = front + "encoder.layer.%d." % i
        for part in ("query", "key", "value"):
            w.dense(at + "attention.self." + part, hidden, hidden, 0.2)
        w.dense(at + "attention.output.dense", hidden, hidden, 0.2)
        w.norm(at + "attention.output.LayerNorm", hidden)
        w.dense(at + "intermediate.dense", s["inner"], hidden, 0.2)
        w.dense(at + "output.dense", hidden, s["inner"], 0.2)
        w.norm(at + "output.LayerNorm", hidden)
    if cross:
        w.dense(front + "pooler.dense", hidden, hidden, 0.2)
        w.dense("classifier", 1, hidden, 0.5)
    folder = o.folder.rstrip("/") + ".part"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    w.save(os.path.join(folder, "model.safetensors"))
    for name, value in (("config.json", config), ("tokenizer_config.json", {"do_lower_case": True, "model_max_length": s["positions"]})):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f, indent=1)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(words) + "\n")
    if not cross:
        os.makedirs(os.path.join(folder, "1_Pooling"))
        with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as f:
            json.dump({"word_embedding_dimension": hidden, "pooling_mode_cls_token": o.pooling == "cls",
                       "pooling_mode_mean_tokens": o.pooling == "mean"}, f, indent=1)
    os.rename(folder, o.folder)


main()

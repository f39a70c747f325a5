#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The cross-encoder's and the [CLS] embedder's numbers are those of BERT, as another implementation computes them (RAG-021, RAG-017).

usage: cross_encoder.py CHIRON

Folders of random weights are made, and what the program says about random pairs is compared with the same arithmetic in numpy,
in double precision and with every layer computed whole: the program ends its last layer at the first token. Tokens, pairs and
their cutting are made here a second time as well, one token after the other.
"""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("numpy is missing: apt install python3-numpy")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE = os.path.join(HERE, "..", "..", "tools", "random_model.py")
PAIR_TOKENS = 512
# Largest difference of a logit to the double precision one, and of that to the standard deviation of all logits: the weights are
# random and large, so that errors grow more from layer to layer than in a trained model.
BOUND = {"f32": (1e-4, 1e-4), "bf16": (math.inf, 0.15), "int8": (math.inf, 0.5)}
CORRELATION = {"f32": 0.9999999, "bf16": 0.998, "int8": 0.99}
ERF = np.frompyfunc(math.erf, 1, 1)


def tensors(path):
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        head, out, data = json.loads(f.read(size)), {}, f.read()
    for name, t in head.items():
        a, b = t["data_offsets"]
        if t["dtype"] == "F32":
            v = np.frombuffer(data[a:b], "<f4")
        else:
            v = (np.frombuffer(data[a:b], "<u2").astype("<u4") << 16).view("<f4")
        out[name.removeprefix("bert.")] = v.reshape(t["shape"]).astype(np.float64)
    return out


class Bert:
    def __init__(self, folder):
        self.t = tensors(os.path.join(folder, "model.safetensors"))
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as f:
            self.vocab = {w: i for i, w in enumerate(f.read().rstrip("\n").split("\n"))}

    def tokens(self, text):
        out = []
        for word in text.split():
            at, pieces = 0, []
            while at < len(word):
                end = len(word)
                while end > at and ("##" if at else "") + word[at:end] not in self.vocab:
                    end -= 1
                if end == at:
                    pieces = ["[UNK]"]
                    break
                pieces.append(("##" if at else "") + word[at:end])
                at = end
            out += [self.vocab[p] for p in pieces]
        return out

    def pair(self, query, text):
        a, b = self.tokens(query), self.tokens(text)
        first_is_longer = len(a) > len(b)
        while len(a) + len(b) > PAIR_TOKENS - 3:
            if len(a) == len(b):
                (b if first_is_longer else a).pop()
            else:
                (a if len(a) > len(b) else b).pop()
        cls, sep = self.vocab["[CLS]"], self.vocab["[SEP]"]
        return [cls] + a + [sep] + b + [sep], [0] * (len(a) + 2) + [1] * (len(b) + 1)

    def norm(self, x, name):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(var + self.config["layer_norm_eps"]) * self.t[name + ".weight"] + self.t[name + ".bias"]

    def dense(self, x, name):
        return x @ self.t[name + ".weight"].T + self.t[name + ".bias"]

    def rows(self, ids, types):
        n, heads = len(ids), self.config["num_attention_heads"]
        x = self.t["embeddings.word_embeddings.weight"][ids] + self.t["embeddings.position_embeddings.weight"][:n]
        x = self.norm(x + self.t["embeddings.token_type_embeddings.weight"][types], "embeddings.LayerNorm")
        size = x.shape[1] // heads
        for i in range(self.config["num_hidden_layers"]):
            at = "encoder.layer.%d." % i
            q, k, v = (self.dense(x, at + "attention.self." + p).reshape(n, heads, size).transpose(1, 0, 2) for p in ("query", "key", "value"))
            s = q @ k.transpose(0, 2, 1) / math.sqrt(size)
            s = np.exp(s - s.max(-1, keepdims=True))
            s /= s.sum(-1, keepdims=True)
            context = (s @ v).transpose(1, 0, 2).reshape(n, heads * size)
            x = self.norm(x + self.dense(context, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            inner = self.dense(x, at + "intermediate.dense")
            inner = inner * 0.5 * (1 + ERF(inner / math.sqrt(2)).astype(np.float64))
            x = self.norm(x + self.dense(inner, at + "output.dense"), at + "output.LayerNorm")
        return x

    def logit(self, query, text):
        first = self.rows(*self.pair(query, text))[0]
        return float(self.dense(np.tanh(self.dense(first, "pooler.dense")), "classifier")[0])

    def embedding(self, text):
        ids = [self.vocab["[CLS]"]] + self.tokens(text)[:PAIR_TOKENS - 2] + [self.vocab["[SEP]"]]
        first = self.rows(ids, [0] * len(ids))[0]
        return first / np.linalg.norm(first)


def texts_of(bert, seed, count, longest):
    rng = random.Random(seed)
    words = [w for w in bert.vocab if w.isalpha()] + ["qqzz", "añb"[:1] + "xyz"]
    return [" ".join(rng.choice(words) for _ in range(rng.choice((1, 3, 12, 40, 90, longest)))) for _ in range(count)]


def run(binary, args, lines, data, **env):
    r = subprocess.run([binary, *args, "--data", data], input="".join(t + "\n" for t in lines), env=dict(os.environ, LOG_LEVEL="error", **env),
                       capture_output=True, text=True)
    if r.returncode:
        sys.exit("chiron %s: exit %d\n%s" % (args[0], r.returncode, r.stderr))
    return r.stdout


def cross_encoder(binary, data, folder, query, texts, name):
    bert = Bert(folder)
    expected = [bert.logit(query, t) for t in texts]
    spread = float(np.std(expected))
    if spread < 0.1:
        sys.exit("%s: the reference's logits do not differ" % name)
    wrong = 0
    for precision, (absolute, relative) in BOUND.items():
        bound = min(absolute, relative * spread)
        o = json.loads(run(binary, ["rerank", "-o", "json", query], texts, data, RERANK="cross-encoder", RERANK_MODEL=folder,
                           ENCODER_PRECISION=precision))
        if o["method"] != "cross-encoder" or o["scored"] != len(texts) or sorted(r["index"] for r in o["results"]) != list(range(len(texts))):
            sys.exit("%s %s: %s scored %s of %s: %s" % (name, precision, o["method"], o["scored"], len(texts), o["fell_back_why"]))
        got = [0.0] * len(texts)
        for r in o["results"]:
            got[r["index"]] = r["logit"]
        worst = max(abs(g - e) for g, e in zip(got, expected))
        order = [r["index"] for r in o["results"]]
        # A pair may stand before one that the reference puts higher only when the bound cannot tell them apart.
        swapped = sum(expected[order[i]] < expected[order[i + 1]] - 2 * bound for i in range(len(order) - 1))
        same = order == sorted(range(len(texts)), key=lambda i: -expected[i])
        alike = float(np.corrcoef(got, expected)[0, 1])
        ok = worst <= bound and alike >= CORRELATION[precision] and not swapped and (same or precision != "f32")
        wrong += not ok
        print("%s %s %s: %d pairs in %d batches, worst difference %.2g (bound %.2g, logits spread by %.2g), correlation %.7f, order %s" %
              ("ok  " if ok else "FAIL", name, precision, len(texts), o["batches"], worst, bound, spread, alike,
               "equal" if same else "not equal" if swapped else "equal within the bound"))
    return wrong


def first_token_embedder(binary, data, folder, texts):
    bert, wrong = Bert(folder), 0
    for precision, least in {"f32": 0.999999, "bf16": 0.999, "int8": 0.99}.items():
        out = run(binary, ["embed", "--jsonl"], [json.dumps({"text": t}) for t in texts], data,
                  ENCODER_PRECISION=precision, ENCODER_MODEL_DIR=os.path.dirname(folder), ENCODER_MODEL=os.path.basename(folder))
        got = [json.loads(line)["embedding"] for line in out.splitlines()]
        cosine = min(float(np.dot(g, bert.embedding(t))) for g, t in zip(got, texts))
        ok = len(got) == len(texts) and cosine >= least
        wrong += not ok
        print("%s [CLS] embedder %s: %d texts, least cosine %.7f (bound %g)" % ("ok  " if ok else "FAIL", precision, len(texts), cosine, least))
    return wrong


def main():
    binary = os.path.abspath(sys.argv[1])
    wrong = 0
    with tempfile.TemporaryDirectory() as base:
        data = os.path.join(base, "data")

        def made(name, *args):
            folder = os.path.join(base, name)
            subprocess.run([sys.executable, MAKE, *args, folder], check=True)
            return folder

        for seed in (1, 2):
            folder = made("tiny%d" % seed, "--shape", "tiny", "--seed", str(seed))
            texts = texts_of(Bert(folder), seed, 100 if seed == 1 else 40, 400)
            wrong += cross_encoder(binary, data, folder, texts_of(Bert(folder), seed + 50, 1, 12)[0], texts, "tiny, seed %d" % seed)
        folder = made("wide", "--shape", "tiny", "--hidden", "128", "--heads", "2", "--inner", "320", "--layers", "2", "--seed", "4")
        texts = texts_of(Bert(folder), 9, 25, 500)
        wrong += cross_encoder(binary, data, folder, texts[-1] + " " + " ".join(texts[:20]), texts, "two heads of 64, both texts too long")
        folder = made("one", "--shape", "tiny", "--layers", "1", "--seed", "5")
        wrong += cross_encoder(binary, data, folder, "ba be bi", texts_of(Bert(folder), 10, 30, 300), "one layer")
        folder = made("cls", "--shape", "tiny", "--kind", "embedder", "--pooling", "cls", "--seed", "6")
        wrong += first_token_embedder(binary, data, folder, texts_of(Bert(folder), 11, 30, 300))
    print("%d wrong" % wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

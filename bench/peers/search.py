# SPDX-License-Identifier: MIT
"""FAISS and usearch on the vectors that `chiron bench search` scans: exact search of the best 50 with one thread.

    {"do": "make", "rows": 100000}   {"do": "scan", "engine": "faiss-f32", "seconds": 2}

Lines of JSON in, a line out for each. The vectors are made by the integer arithmetic of src/verb_bench_text.c; recall is
counted against f32 as it is there.
"""
import json
import sys
import time

import faiss
import numpy as np
from usearch.index import MetricKind
from usearch.index import search as usearch_exact

DIM, LEG, BEST, EXACT, QUESTIONS, CLUSTERS = 384, 50, 10, 50, 1000, 4096
U = np.uint64


def scatter(x):
    x = x + U(0x9e3779b97f4a7c15)
    x = (x ^ (x >> U(30))) * U(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> U(27))) * U(0x94d049bb133111eb)
    return x ^ (x >> U(31))


def bell(x):
    x = scatter(x)
    piece = U(0xffff)
    return ((x & piece) + (x >> U(16) & piece) + (x >> U(32) & piece) + (x >> U(48))).astype(np.int64) - 131070


def vectors(rows):
    rows = np.asarray(rows, np.uint64)
    k = np.arange(DIM, dtype=np.uint64)
    centre = scatter(rows ^ U(0xc1)) % U(CLUSTERS)
    x = bell((centre << U(32))[:, None] + k) + bell((U(1) << U(60)) + rows[:, None] * U(DIM) + k)
    x = x.astype(np.float64)
    return (x / np.sqrt((x * x).sum(1, keepdims=True))).astype(np.float32)


def questions(count):
    i = np.arange(QUESTIONS, dtype=np.uint64)
    q = 0.6 * vectors((U(1) << U(40)) + i) + vectors(i * U(7919) % U(count))
    return (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(np.float32)


def percentile(ms, p):
    ms = sorted(ms)
    return ms[min(len(ms) - 1, int((len(ms) - 1) * p / 100 + 0.5))]


class Peers:
    def make(self, rows):
        faiss.omp_set_num_threads(1)
        self.x = np.empty((rows, DIM), np.float32)
        for at in range(0, rows, 20000):
            self.x[at:at + 20000] = vectors(np.arange(at, min(rows, at + 20000)))
        self.q = questions(rows)
        self.engines, exact = {}, faiss.IndexFlatIP(DIM)
        exact.add(self.x)
        self.engines["faiss-f32"] = lambda q, k: exact.search(q[None], k)[1][0]
        sq = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        sq.train(self.x[:min(rows, 20000)])
        sq.add(self.x)
        self.engines["faiss-sq8"] = lambda q, k: sq.search(q[None], k)[1][0]
        i8 = np.round(self.x * 127 / np.abs(self.x).max()).astype(np.int8)
        self.engines["usearch-i8"] = lambda q, k: usearch_exact(i8, np.round(q * 127 / np.abs(q).max()).astype(np.int8), k, MetricKind.Cos,
                                                                exact=True, threads=1).keys
        truth = [set(exact.search(self.q[i:i + 1], BEST)[1][0].tolist()) for i in range(EXACT)]
        self.recall = {}
        for name, search in self.engines.items():
            found = sum(len(truth[i] & {int(k) for k in search(self.q[i], BEST)}) for i in range(EXACT))
            self.recall[name] = found / (EXACT * BEST)
        return {"rows": rows, "engines": list(self.engines), "first": [round(float(v), 6) for v in self.x[0, :4]]}

    def scan(self, engine, seconds):
        search, ms, i = self.engines[engine], [], 0
        for i in range(3):
            search(self.q[i], LEG)
        begun, cpu = time.perf_counter(), time.process_time()
        while len(ms) < 5 or time.perf_counter() - begun < seconds:
            t = time.perf_counter()
            search(self.q[i % QUESTIONS], LEG)
            ms.append((time.perf_counter() - t) * 1000)
            i += 1
        wall = time.perf_counter() - begun
        return dict(calls=len(ms), min_ms=min(ms), p50_ms=percentile(ms, 50), p95_ms=percentile(ms, 95), p99_ms=percentile(ms, 99),
                    wall_s=wall, cpu_s=time.process_time() - cpu, per_second=len(ms) / wall, recall_at_10=self.recall[engine])


def main():
    peers = Peers()
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        print(json.dumps(getattr(peers, do)(**order)), flush=True)


if __name__ == "__main__":
    main()

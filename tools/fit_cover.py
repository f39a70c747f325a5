#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the weights of src/coaching/cover.c: logistic regression over what test/quality/answers.py --features writes.

usage: fit_cover.py FEATURES      prints the weights, and how many of each part they judge right at 0.5
Fitted on every part but "fresh"; plain gradient descent with a small L2, so that nothing has to be installed.
"""
import json
import math
import sys

NAMES = ["cos_passage", "cos_sentence", "words_best", "words_sentence", "words_found", "stands_out", "sentence_out", "section", "relevance", "unknown"]


def rows(path):
    out = []
    for line in open(path, encoding="utf-8"):
        o = json.loads(line)
        out.append(([1.0] + [o["cover"][n] for n in NAMES], 1.0 if o["covered"] else 0.0, o))
    return out


def p(w, x):
    z = max(-30.0, min(30.0, sum(a * b for a, b in zip(w, x))))
    return 1 / (1 + math.exp(-z))


def fit(data, l2=0.001, steps=20000, rate=1.0):
    w = [0.0] * (len(NAMES) + 1)
    pos = sum(y for _, y, _ in data)
    weight = {1.0: 0.5 * len(data) / pos, 0.0: 0.5 * len(data) / (len(data) - pos)}
    for _ in range(steps):
        g = [0.0] * len(w)
        for x, y, _ in data:
            d = weight[y] * (p(w, x) - y)
            for i, v in enumerate(x):
                g[i] += d * v
        for i in range(len(w)):
            w[i] -= rate * (g[i] / len(data) + (l2 * w[i] if i else 0))
    return w


def main():
    data = rows(sys.argv[1])
    w = fit([r for r in data if r[2]["part"] != "fresh"])
    for name, v in zip(["one"] + NAMES, w):
        print("%-15s %8.3f" % (name, v))
    for part in ("tune", "report", "fresh"):
        for want in (1.0, 0.0):
            some = [r for r in data if r[2]["part"] == part and r[1] == want]
            good = sum((p(w, r[0]) >= 0.5) == (want == 1.0) for r in some)
            print("%-6s %-11s %d of %d" % (part, "covered" if want else "not covered", good, len(some)))
    if "-v" in sys.argv:
        for x, y, o in sorted(data, key=lambda r: p(w, r[0])):
            print("%.2f %d %-6s %s  %s" % (p(w, x), y, o["part"], " ".join("%.2f" % v for v in x[1:]), o["question"]))


main()

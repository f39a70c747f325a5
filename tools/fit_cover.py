#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the weights of src/coaching/cover.c: logistic regression over what test/quality/answers.py --features writes.

usage: fit_cover.py FEATURES      prints the weights, and how many of each part they judge right at 0.5
Fitted on every part but "held", judged by ten-fold cross-validation; Newton steps with a small L2 and nothing to install.
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


def solve(a, b):
    n = len(b)
    m = [row[:] + [b[i]] for i, row in enumerate(a)]
    for i in range(n):
        k = max(range(i, n), key=lambda r: abs(m[r][i]))
        m[i], m[k] = m[k], m[i]
        for r in range(i + 1, n):
            f = m[r][i] / m[i][i]
            for c in range(i, n + 1):
                m[r][c] -= f * m[i][c]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][k] * x[k] for k in range(i + 1, n))) / m[i][i]
    return x


def fit(data, l2=0.0005, steps=12):
    """Both kinds weigh the same, however many there are of each."""
    n = len(NAMES) + 1
    w = [0.0] * n
    pos = sum(y for _, y, _ in data)
    weight = {1.0: 0.5 * len(data) / pos, 0.0: 0.5 * len(data) / (len(data) - pos)}
    for _ in range(steps):
        g = [len(data) * l2 * v if i else 0.0 for i, v in enumerate(w)]
        h = [[len(data) * l2 if i == k and i else 1e-9 * (i == k) for k in range(n)] for i in range(n)]
        for x, y, _ in data:
            q = p(w, x)
            d, s = weight[y] * (q - y), weight[y] * q * (1 - q)
            for i in range(n):
                g[i] += d * x[i]
                for k in range(n):
                    h[i][k] += s * x[i] * x[k]
        w = [v - u for v, u in zip(w, solve(h, g))]
    return w


def folds(data, k=10):
    """Probability of each row by weights fitted without its tenth."""
    out = {}
    for f in range(k):
        w = fit([r for i, r in enumerate(data) if i % k != f])
        out.update({r[2]["id"]: p(w, r[0]) for i, r in enumerate(data) if i % k == f})
    return out


def report(title, data, judged):
    print(title)
    for part in sorted({r[2]["part"] for r in data}) + ["all"]:
        for want in (1.0, 0.0):
            some = [r for r in data if part in ("all", r[2]["part"]) and r[1] == want]
            good = sum((judged[r[2]["id"]] >= 0.5) == (want == 1.0) for r in some)
            print("%-6s %-11s %d of %d" % (part, "covered" if want else "not covered", good, len(some)))


def main():
    every = rows(sys.argv[1])
    data = sorted((r for r in every if r[2]["part"] != "held"), key=lambda r: r[2]["id"] * 7919 % 1009)
    w = fit(data)
    for name, v in zip(["one"] + NAMES, w):
        print("%-15s %8.3f" % (name, v))
    judged = folds(data)
    report("cross-validated, ten folds", data, judged)
    report("fitted", every, {r[2]["id"]: p(w, r[0]) for r in every})
    if "-v" in sys.argv:
        for x, y, o in sorted(data, key=lambda r: judged[r[2]["id"]]):
            print("%.2f %d %-6s %s  %s" % (judged[o["id"]], y, o["part"], " ".join("%.2f" % v for v in x[1:]), o["question"]))


main()

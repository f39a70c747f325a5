#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Retrieval on a judged collection (Cranfield: 1,399 documents, 225 questions), by the real index and the real search:
hybrid reaches nDCG@10 of 0.56 and is above both of its legs. Skipped where the collection is not there.

usage: cranfield.py CHIRON
"""
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATA = os.path.join(os.environ.get("CHIRON_SHARED", os.path.join(ROOT, "..", "shared")), "data", "cranfield")
LEAST = 0.56


def measure(chiron):
    done = subprocess.run([chiron, "eval", "--documents", DATA + "/documents.jsonl", "--queries", DATA + "/queries.jsonl",
                           "--qrels", DATA + "/qrels.tsv", "--mode", "all", "-o", "json"], stdout=subprocess.PIPE, timeout=580)
    if done.returncode:
        sys.exit("chiron eval ended with %d" % done.returncode)
    return {r["mode"]: r for r in map(json.loads, done.stdout.splitlines())}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not os.path.isfile(DATA + "/documents.jsonl"):
        print("no collection in %s" % os.path.normpath(DATA))
        sys.exit(77)
    got = measure(sys.argv[1])
    for mode, r in got.items():
        print("%-8s ndcg@10 %.4f  mrr@10 %.4f  recall@100 %.4f  p50 %.2f ms  p95 %.2f ms" %
              (mode, r["ndcg@10"], r["mrr@10"], r["recall@100"], r["p50_ms"], r["p95_ms"]))
    hybrid = got["hybrid"]["ndcg@10"]
    if any(r["queries"] != 225 or r["documents"] != 1399 for r in got.values()):
        sys.exit("not every question was asked of every document")
    if hybrid < LEAST:
        sys.exit("hybrid is below %.2f" % LEAST)
    if hybrid <= max(got["keyword"]["ndcg@10"], got["semantic"]["ndcg@10"]):
        sys.exit("hybrid is not above both of its legs")


main()

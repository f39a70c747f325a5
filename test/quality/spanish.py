#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Spanish exercise library by words: a name typed without accents, in any order and without capitals, ranks exactly as the
name as it is written, and finds its exercise. Skipped where the library is not there.

usage: spanish.py CHIRON
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
LIBRARY = os.path.join(os.environ.get("CHIRON_SHARED", os.path.join(ROOT, "..", "shared")), "data", "exercises_es.json")
ASKED = 200
LEAST = 0.88          # nDCG@10 of finding an exercise by its name; other exercises share most names' words


def plain(s):
    return "".join(c for c in unicodedata.normalize("NFD", s) if not unicodedata.combining(c)).lower()


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def measure(chiron, folder, queries):
    write(folder + "/queries.jsonl", queries)
    done = subprocess.run([chiron, "eval", "--documents", folder + "/documents.jsonl", "--queries", folder + "/queries.jsonl",
                           "--qrels", folder + "/qrels.tsv", "--mode", "keyword", "-o", "json"], stdout=subprocess.PIPE, timeout=300)
    if done.returncode:
        sys.exit("chiron eval ended with %d" % done.returncode)
    return json.loads(done.stdout)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not os.path.isfile(LIBRARY):
        print("no library in %s" % os.path.normpath(LIBRARY))
        sys.exit(77)
    exercises = json.load(open(LIBRARY, encoding="utf-8"))
    same = {}
    for i, e in enumerate(exercises):
        same.setdefault(e["name"], []).append(i)
    pick = random.Random(5)
    asked = pick.sample(range(len(exercises)), ASKED)
    typed = {}
    for i in asked:
        words = plain(exercises[i]["name"]).split()
        pick.shuffle(words)
        typed[i] = " ".join(words)
    with tempfile.TemporaryDirectory() as folder:
        write(folder + "/documents.jsonl", ({"id": str(i), "title": e["name"], "text": " ".join(e["instructions"]) or e["name"]}
                                            for i, e in enumerate(exercises)))
        with open(folder + "/qrels.tsv", "w", encoding="utf-8") as f:
            f.writelines("%d\t%d\t1\n" % (i, k) for i in asked for k in same[exercises[i]["name"]])
        written = measure(sys.argv[1], folder, [{"id": str(i), "text": "¿Cómo hago %s?" % exercises[i]["name"]} for i in asked])
        careless = measure(sys.argv[1], folder, [{"id": str(i), "text": "como hago " + typed[i]} for i in asked])
    for name, r in (("as written", written), ("as typed", careless)):
        print("%-10s  ndcg@10 %.4f  mrr@10 %.4f  recall@50 %.4f" % (name, r["ndcg@10"], r["mrr@10"], r["recall@50"]))
    if written["ndcg@10"] < LEAST:
        sys.exit("below %.2f" % LEAST)
    if abs(written["ndcg@10"] - careless["ndcg@10"]) > 0.005:
        sys.exit("accents, capitals or the order of words change what is found")


main()

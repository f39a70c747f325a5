#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A model's prefixes and pooling from its folder to a search's scores, against the same arithmetic in numpy.

usage: prefixes.py CHIRON

Folders of random weights are made, and say in each of the known ways what goes before questions and passages. What the
program embeds, and the cosines a search finds after documents were read, are compared with double precision's.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("numpy is missing: apt install python3-numpy")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from cross_encoder import Bert, texts_of  # noqa: E402

MAKE = os.path.join(HERE, "..", "..", "tools", "random_model.py")
CHIRON = os.path.abspath(sys.argv[1])
WAYS = [  # name, pooling, file → content, (plain, query, passage) prefix, max tokens
    ("own", "cls", {"chiron.json": {"query_prefix": "ba be bi : ", "passage_prefix": "do ", "max_tokens": 24}}, ("", "ba be bi : ", "do "), 24),
    ("prompts", "mean", {"config_sentence_transformers.json": {"prompts": {"query": "ku ", "document": "ka ko "}, "default_prompt_name": None}},
     ("", "ku ", "ka ko "), 256),
    ("default", "mean", {"config_sentence_transformers.json": {"prompts": {"query": "ku ", "all": "zo "}, "default_prompt_name": "all"}},
     ("zo ", "ku ", "zo "), 256),
    ("stronger", "mean", {"config_sentence_transformers.json": {"prompts": {"query": "ku "}}, "sentence_bert_config.json": {"max_seq_length": 16},
                          "chiron.json": {"query_prefix": "", "passage_prefix": "mo ", "pooling": "cls"}}, ("", "", "mo "), 16),
]
failed = 0


def check(ok, words):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + words)


def embedding(bert, text, pooling, most):
    ids = [bert.vocab["[CLS]"]] + bert.tokens(text)[:most - 2] + [bert.vocab["[SEP]"]]
    rows = bert.rows(ids, [0] * len(ids))
    v = rows[0] if pooling == "cls" else rows.mean(0)
    return v / np.linalg.norm(v)


def chiron(env, *args, text=""):
    r = subprocess.run([CHIRON, *args], input=text, env=env, capture_output=True, text=True)
    if r.returncode:
        sys.exit("chiron %s: exit %d\n%s" % (args[0], r.returncode, r.stderr))
    return r.stdout


def unigram(base):
    """A folder as multilingual models come: no vocab.txt, a tokenizer.json of pieces. The ids are the library's."""
    with open(os.path.join(HERE, "..", "fixtures", "unigram.json"), encoding="utf-8") as f:
        fixture = json.load(f)
    tokenizer, words = dict(fixture["tokenizer"], **{k: fixture["forms"][0][k] for k in ("normalizer", "pre_tokenizer")}), os.path.join(base, "words")
    with open(words, "w") as f:
        f.write("".join("w%d\n" % i for i in range(len(tokenizer["model"]["vocab"]) + 1)))
    folder = os.path.join(base, "models", "pieces")
    subprocess.run([sys.executable, MAKE, "--kind", "embedder", "--shape", "tiny", "--seed", "30", "--vocab", words, folder], check=True)
    bert = Bert(folder)
    os.unlink(os.path.join(folder, "vocab.txt"))
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(tokenizer, f)
    cases = [(text, ids) for form, text, ids, _ in fixture["cases"] if form == 0 and text and len(ids) <= 256]
    env = dict(os.environ, ENCODER_MODEL_DIR=os.path.join(base, "models"), ENCODER_MODEL="pieces", ENCODER_PRECISION="f32", LOG_LEVEL="error")
    out = chiron(env, "embed", "--jsonl", text="".join(json.dumps({"text": t}) + "\n" for t, _ in cases)).splitlines()
    rows = [json.loads(line) for line in out]
    check(len(cases) > 200 and [r["tokens"] for r in rows] == [ids for _, ids in cases], "pieces: %d texts have the library's ids" % len(cases))
    worst = 1.0
    for r, (_, ids) in list(zip(rows, cases))[::5]:
        v = bert.rows(ids, [0] * len(ids)).mean(0)
        worst = min(worst, float(np.dot(r["embedding"], v / np.linalg.norm(v))))
    check(worst > 0.999999, "pieces: least cosine %.7f" % worst)


def main():
    with tempfile.TemporaryDirectory() as base:
        for seed, (name, pooling, files, prefixes, most) in enumerate(WAYS, 20):
            folder = os.path.join(base, "models", name)
            subprocess.run([sys.executable, MAKE, "--kind", "embedder", "--shape", "tiny", "--pooling", pooling, "--seed", str(seed), folder], check=True)
            for file, value in files.items():
                with open(os.path.join(folder, file), "w") as f:
                    json.dump(value, f)
            pooling = files.get("chiron.json", {}).get("pooling", pooling)
            bert, data = Bert(folder), os.path.join(base, "data-" + name)
            env = dict(os.environ, ENCODER_MODEL_DIR=os.path.join(base, "models"), ENCODER_MODEL=name, ENCODER_PRECISION="f32", LOG_LEVEL="error", RERANK="off")
            texts = texts_of(bert, seed, 20, 60)
            lines = "".join(json.dumps({"text": t}) + "\n" for t in texts)
            seen = set()
            for kind, prefix in zip(("", "query", "passage"), prefixes):
                out = chiron(env, "embed", "--jsonl", *(["--as", kind] if kind else []), text=lines).splitlines()
                rows = [json.loads(line) for line in out]
                seen.add(out[0])
                worst = min(float(np.dot(r["embedding"], embedding(bert, prefix + t, pooling, most))) for r, t in zip(rows, texts))
                longest = max(len(r["tokens"]) for r in rows)
                check(len(rows) == len(texts) and worst > 0.999999, "%s: embedded as %s, least cosine %.7f" % (name, kind or "neither", worst))
                check(longest <= most, "%s: at most %d tokens, %d are read" % (name, most, longest))
            check(len(seen) == len(set(prefixes)), "%s: %d prefixes, %d vectors" % (name, len(set(prefixes)), len(seen)))

            short = [" ".join(t.split()[:8]) for t in texts[:6]]
            paths = []
            for i, t in enumerate(short):
                paths.append(os.path.join(base, "%s-%d.txt" % (name, i)))
                with open(paths[-1], "w") as f:
                    f.write(t + "\n")
            chiron(env, "ingest", "--creator", "x", "--data", data, *paths)
            question = " ".join(texts[7].split()[:5])
            found = json.loads(chiron(env, "search", "--creator", "x", "--data", data, "--mode", "semantic", "-k", "10", "-o", "json", question))["passages"]
            asked = embedding(bert, prefixes[1] + question, pooling, most)
            off = max(abs(p["score_cos"] - float(np.dot(asked, embedding(bert, prefixes[2] + p["text"], pooling, most)))) for p in found)
            check(len(found) == len(set(short)) and off < 1e-3, "%s: %d passages found, cosines within %.1e" % (name, len(found), off))
            check([p["score_cos"] for p in found] == sorted((p["score_cos"] for p in found), reverse=True), "%s: in order" % name)
        unigram(base)
    print("%d failed" % failed)
    return 1 if failed else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A text is embedded once (FIT-083), and documents are embedded by the fallback provider when there is no local model
(RAG-016): the strict fake provider counts what is sent to it. Shown: masked text alone goes out; the same text again costs no
call, in a new version of its document, in another document, after a restart, by `chiron reindex`; a changed passage costs that
passage; what was deleted is forgotten with its vectors; a provider that is down leaves words, and what it missed is made up
for; when a local model returns its vectors take the place of the provider's without asking it anything.

usage: embedding_reuse.py CHIRON
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

from model_change import DEADLINE_S, Server, expect, query, token_for, write_model

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ["# Sleep\n\nSleep before training, every night. Write to jo@example.com when you cannot.",
         "# Water\n\nDrink water after each set, slowly and with patience.",
         "# Knee\n\nKnee pain after a squat: lighter load, slower tempo, and a week of walks."]


class Fake:
    def __init__(self):
        self.child = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "fakes", "openai_provider.py"), "0"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.base = "http://127.0.0.1:%d" % int(self.child.stdout.readline())
        self.env = {"OPENAI_BASE_URL": self.base + "/v1", "OPENAI_API_KEY": "sk-fake", "OPENAI_EMBEDDING_MODEL": "fake-embedding",
                    "OPENAI_MODEL": "fake-chat", "LLM_CHAIN": "extractive", "LLM_RETRIES": "0"}

    def plan(self, steps):
        r = urllib.request.Request(self.base + "/control", json.dumps({"plan": steps}).encode(), method="PUT")
        urllib.request.urlopen(r, timeout=30).close()

    def sent(self):
        """Texts that were sent to be embedded since the last plan."""
        with urllib.request.urlopen(self.base + "/log", timeout=30) as r:
            log = json.loads(r.read())
        expect(not log["faults"], "the provider was sent nonsense: %r", log["faults"])
        return [t for q in log["requests"] for t in ([q["input"]] if isinstance(q["input"], str) else q["input"])]


def put(s, token, name, text, replace=None, code=202):
    b = "b0undary"
    fields = "".join('--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (b, k, v)
                     for k, v in ([("replace", replace)] if replace else []))
    body = fields + '--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: text/markdown\r\n\r\n%s\r\n--%s--\r\n' % (
        b, name, text, b)
    r = urllib.request.Request(s.base + "/api/v1/hub/documents", body.encode(), method="POST")
    r.add_header("Content-Type", "multipart/form-data; boundary=" + b)
    r.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(r, timeout=60) as reply:
        expect(reply.status == code, "upload: %d", reply.status)
        d = json.loads(reply.read())
    d = d["documents"][0] if "documents" in d else d
    until = time.time() + DEADLINE_S
    while True:
        j = s.call("GET", "/api/v1/jobs/" + d["job_id"], None, token)
        if j["state"] not in ("queued", "running"):
            break
        expect(time.time() < until, "the upload was not read in")
        time.sleep(0.02)
    expect(j["state"] == "done", "the upload: %r", j)
    return d.get("document_id") or d["id"]


def find(s, token, text, kind):
    return s.call("POST", "/api/v1/search/hybrid", {"query": text, "user_id": "u1", "search_type": kind, "limit": 20}, token)


def vectors(data):
    return query(data, "rag", "SELECT model, dim, count(*) FROM chunk_vector GROUP BY model, dim ORDER BY model")


def by_provider(chiron, data, fake, token):
    s = Server(chiron, data, "/nonexistent", "small", **dict(fake.env, KNOWLEDGE_MASK_PII="none"))
    fake.plan([])
    first = put(s, token, "handbook.md", "\n\n".join(PARTS))
    sent = fake.sent()
    expect(len(sent) == 3, "3 chunks were sent as %r", sent)
    expect(not any("example.com" in t for t in sent), "an address was sent to the provider: %r", sent)
    expect(vectors(data) == [("fake-embedding", 8, 3)], "stored: %r", vectors(data))
    found = find(s, token, PARTS[1].replace("# ", "").replace("\n\n", "\n"), "semantic")
    expect(found["strategy"] == "semantic" and len(found["results"]) == 3, "by meaning: %r", found)

    fake.plan([])
    again = put(s, token, "handbook.md", "\n\n".join(PARTS) + "\n", replace=first)
    expect(again == first and fake.sent() == [], "a new version of the same text was sent: %r", fake.sent())
    other = put(s, token, "notes.md", "\n\n".join(PARTS[:2]))
    expect(fake.sent() == [], "the same text in another document was sent: %r", fake.sent())
    put(s, token, "handbook.md", "\n\n".join(PARTS[:2] + [PARTS[2].replace("a week", "two weeks")]), replace=first)
    expect(len(fake.sent()) == 1 and "two weeks" in fake.sent()[0], "one changed passage: %r", fake.sent())
    kept = {"text": "Walked up the hill with patience", "user_id": "u1", "content_type": "workout"}
    fake.plan([])
    s.call("POST", "/api/v1/embeddings/generate", kept, token)
    expect(len(fake.sent()) == 1, "a text to keep was sent as %r", fake.sent())
    s.stop()

    s = Server(chiron, data, "/nonexistent", "small", **dict(fake.env, KNOWLEDGE_MASK_PII="none"))
    fake.plan([])
    reply = s.call("POST", "/api/v1/embeddings/generate", kept, token)
    expect(reply["model"] == "fake-embedding" and reply["dimension"] == 8, "kept again: %r", reply["model"])
    expect(fake.sent() == [], "after a restart the same text was sent: %r", fake.sent())
    expect(s.metric("chiron_embed_known_total") >= 1, "no count of known texts")

    # Privacy: what is deleted is forgotten, and costs a call when it comes back.
    for d in (first, other):
        s.call("DELETE", "/api/v1/hub/documents/" + d, None, token)
    expect(vectors(data) == [], "vectors of deleted documents: %r", vectors(data))
    fake.plan([])
    put(s, token, "notes.md", PARTS[1])
    expect(len(fake.sent()) == 1, "after a deletion: %r", fake.sent())
    s.stop()

    # The command line, with a model that is damaged and without a server.
    damaged = os.path.join(os.path.dirname(data), "damaged")
    write_model(damaged + "/small", 64, 1, 1)
    os.truncate(damaged + "/small/model.safetensors", 5000)
    path = os.path.join(os.path.dirname(data), "hill.md")
    with open(path, "w") as f:
        f.write("# Hill\n\nTwenty hill sprints after the rain.")
    fake.plan([])
    env = dict(os.environ, ENCODER_MODEL_DIR=damaged, ENCODER_MODEL="small", **fake.env)
    subprocess.run([chiron, "ingest", "--data", data, "--creator", "rag", path], env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    expect(len(fake.sent()) == 1 and "sprints" in fake.sent()[0], "by command line: %r", fake.sent())
    out = subprocess.run([chiron, "search", "--data", data, "--creator", "rag", "-o", "json", "sprints"], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True).stdout
    expect(b"hybrid" in out and b"sprints" in out, "found by command line: %r", out)


def provider_down(chiron, data, fake, token):
    s = Server(chiron, data, "/nonexistent", "small", **fake.env)
    fake.plan([{"status": 500}] * 50)
    put(s, token, "rope.md", "# Rope\n\nTen minutes of rope before breakfast.")
    lost = query(data, "rag", "SELECT count(*) FROM chunk k WHERE NOT EXISTS (SELECT 1 FROM chunk_vector v WHERE v.chunk_id = k.id)")[0][0]
    expect(lost == 1, "%d chunks without a vector while the provider was down", lost)
    found = find(s, token, "rope breakfast", "hybrid")
    expect(any("rope" in r["content"] for r in found["results"]), "by words: %r", found["results"])
    s.stop()
    fake.plan([])
    s = Server(chiron, data, "/nonexistent", "small", **fake.env)
    until = time.time() + DEADLINE_S
    while query(data, "rag", "SELECT lacking FROM search_state")[0][0]:
        expect(time.time() < until, "what the provider missed was not made up for")
        time.sleep(0.05)
    expect([t for t in fake.sent() if "minutes of rope" in t], "the missing text was not sent: %r", fake.sent())
    s.stop()
    fake.plan([])
    env = dict(os.environ, ENCODER_MODEL_DIR="/nonexistent", **fake.env)
    out = subprocess.run([chiron, "reindex", "--data", data, "--status"], env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    expect("fake-embedding" in out and "words alone" not in out and fake.sent() == [], "status: %s", out)


def local_again(chiron, data, models, fake, token):
    fake.plan([])
    s = Server(chiron, data, models, "small", **fake.env)
    until = time.time() + DEADLINE_S
    while query(data, "rag", "SELECT state, name FROM search_model") != [("active", "small")]:
        found = find(s, token, "water patience", "hybrid")
        expect(found["results"], "nothing found on the way back: %r", found)
        expect(time.time() < until, "the local model did not take its place")
    expect([(m, d) for m, d, _ in vectors(data)] == [("small", 64)], "back with %r", vectors(data))
    expect(query(data, "rag", "SELECT DISTINCT model_name, dimension FROM embedding") == [("small", 64)], "kept texts were left behind")
    expect([t for t in fake.sent() if "\n" in t or "hill" in t] == [], "passages were sent on the way back: %r", fake.sent())
    found = find(s, token, "Walked up the hill with patience", "semantic")
    expect(found["strategy"] == "semantic" and found["results"][0]["score"] > 0.99, "after it: %r", found)
    s.stop()
    # And once more: nothing is left to do.
    env = dict(os.environ, ENCODER_MODEL_DIR=models, ENCODER_MODEL="small", **fake.env)
    jobs = query(data, "rag", "SELECT count(*) FROM job")
    fake.plan([])
    subprocess.run([chiron, "reindex", "--data", data], env=env, stdout=subprocess.DEVNULL, check=True)
    expect(fake.sent() == [] and query(data, "rag", "SELECT count(*) FROM job") == jobs, "indexing again was not free")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    chiron = os.path.abspath(sys.argv[1])
    fake = Fake()
    try:
        with tempfile.TemporaryDirectory() as work:
            data, models = work + "/data", work + "/models"
            write_model(models + "/small", 64, 1, 1)
            token = token_for(chiron, data, "rag")
            by_provider(chiron, data, fake, token)
            provider_down(chiron, data, fake, token)
            local_again(chiron, data, models, fake, token)
    finally:
        fake.child.terminate()
        fake.child.wait()
    print("ok")


if __name__ == "__main__":
    main()

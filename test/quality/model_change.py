#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Another embedding model takes the place of the one that everything was embedded with, while people search (RAG-014,
RAG-017). Two small BERT encoders with random weights are made here, of different dimensions. Shown: every search during the
change finds something, by one of the two models and never by a mix; kill -9 in the middle loses nothing and repeats little;
what comes in or is deleted meanwhile is found or not from then on; two creators change one after the other; a model whose
folder is gone, a folder with other content, a cancelled change, the command line.

usage: model_change.py CHIRON [SEED]
"""
import atexit
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ("squat press row hinge carry plank walk sleep protein fibre water rest week set repetition load tempo pain knee shoulder "
         "breathe slowly heavier lighter every morning before after training with patience marathon shoes bought rope zebra").split()
DEADLINE_S = 240


# ---- models ----

def write_model(folder, hidden, layers, seed):
    """Random weights, and a vocabulary that knows the words used here."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    vocab += ["##" + v for v in vocab[5:]] + [w for w in WORDS if w not in vocab]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write("\n".join(vocab) + "\n")
        f.flush()
        subprocess.run([sys.executable, os.path.join(HERE, "..", "..", "tools", "random_model.py"), "--kind", "embedder", "--shape", "tiny",
                        "--hidden", str(hidden), "--layers", str(layers), "--heads", str(hidden // 32), "--inner", str(hidden * 2),
                        "--vocab", f.name, "--seed", str(seed), folder], check=True, stdout=subprocess.DEVNULL)


# ---- the product ----

def expect(ok, words, *more):
    if not ok:
        raise AssertionError(words % more if more else words)


class Server:
    def __init__(self, chiron, data, models, model, **env):
        self.log = tempfile.TemporaryFile("w+")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        self.base = "http://" + address
        e = dict(os.environ, LOG_FORMAT="json", ENCODER_MODEL=model, ENCODER_MODEL_DIR=models, OPENAI_BASE_URL="", OPENAI_API_KEY="")
        e.update(env)
        self.child = subprocess.Popen([chiron, "serve", "--data", data, "--listen", address], env=e, stdout=subprocess.DEVNULL,
                                      stderr=self.log, text=True)
        atexit.register(self.child.kill)         # whatever fails, no server is left running
        until = time.time() + 60
        while time.time() < until and self.child.poll() is None:
            try:
                self.call("GET", "/health/live")
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        sys.exit("the server did not start:\n" + self.words())

    def call(self, method, path, body=None, token=None):
        r = urllib.request.Request(self.base + path, None if body is None else json.dumps(body).encode(), method=method)
        r.add_header("Content-Type", "application/json")
        if token:
            r.add_header("Authorization", "Bearer " + token)
        with urllib.request.urlopen(r, timeout=60) as reply:
            return json.loads(reply.read() or b"null")

    def metric(self, name):
        with urllib.request.urlopen(self.base + "/metrics", timeout=30) as r:
            m = re.search(r"^%s(?:\{[^}]*\})? ([0-9.e+]+)$" % name, r.read().decode(), re.M)
        return float(m.group(1)) if m else 0.0

    def words(self):
        self.log.seek(0)
        return self.log.read()

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError("the server did not stop: " + self.words()[-2000:])
        expect(self.child.returncode == 0, "the server ended with %d: %s", self.child.returncode, self.words()[-4000:])


def prose(rng, n):
    return " ".join(rng.choice(WORDS[:32]) for _ in range(n)).capitalize() + "."


def db(data, creator):
    d = sqlite3.connect("file:%s/creators/%s/creator.db?mode=ro" % (data, creator), uri=True, timeout=30)
    return d


def query(data, creator, sql, *args):
    d = db(data, creator)
    try:
        return d.execute(sql, args).fetchall()
    finally:
        d.close()


def made(data, creator, label):
    return query(data, creator, "SELECT count(*) FROM chunk_vector WHERE model = ?", label)[0][0]


def whole(data, creator, name, prefix=False):
    """Everything has exactly one vector, of this model."""
    chunks = query(data, creator, "SELECT count(*) FROM chunk")[0][0]
    rows = query(data, creator, "SELECT model, dim, count(*), count(DISTINCT chunk_id) FROM chunk_vector GROUP BY model, dim")
    expect(len(rows) == 1 and (rows[0][0].startswith(name) if prefix else rows[0][0] == name), "%s: vectors of %r", creator, rows)
    expect(rows[0][2] == rows[0][3] == chunks, "%s: %r for %d chunks", creator, rows, chunks)
    states = query(data, creator, "SELECT state, name FROM search_model")
    expect(states == [("active", name)], "%s: models %r", creator, states)
    other = query(data, creator, "SELECT count(*) FROM embedding WHERE model_name <> ?", rows[0][0])[0][0]
    expect(other == 0, "%s: %d stored embeddings of another model", creator, other)


class Searcher(threading.Thread):
    """Asks without a pause, through restarts, and keeps what it saw."""

    def __init__(self, token, questions, names):
        super().__init__(daemon=True)
        self.token, self.questions, self.names = token, questions, names
        self.server, self.over, self.fault = None, False, None
        self.seen, self.count, self.gone, self.models = set(), 0, set(), []

    def run(self):
        rng = random.Random(7)
        while not self.over and not self.fault:
            s = self.server
            if not s:
                time.sleep(0.01)
                continue
            gone = set(self.gone)
            text, document = rng.choice(self.questions)
            mode = rng.choice(["semantic", "semantic", "hybrid"])
            try:
                if mode == "hybrid":
                    r = s.call("POST", "/api/v1/rag/query", {"query": text, "user_id": "u1"}, self.token)
                    found, how, models = [x["document_id"] for x in r["context"]], r["search_strategy"], r["embeddings_used"]
                else:
                    r = s.call("POST", "/api/v1/search/hybrid", {"query": text, "user_id": "u1", "search_type": mode, "limit": 5}, self.token)
                    found, how, models = [x["document_id"] for x in r["results"]], r["strategy"], []
                    best = r["results"][0]["score"] if r["results"] else 0
            except OSError as e:
                if self.server is s and s.child.poll() is None and not isinstance(e, urllib.error.URLError):
                    self.fault = "a search failed: %r" % e
                if isinstance(e, urllib.error.HTTPError):
                    self.fault = "a search failed: %d %s" % (e.code, e.read())
                continue
            self.count += 1
            self.seen.add(how)
            if not found:
                self.fault = "nothing found, %s" % how
            elif gone & set(found):
                self.fault = "a deleted document was found, %s" % how
            elif how == "semantic" and not (document in found and best > 0.98):
                self.fault = "a chunk's own text finds it with %.3f, not first: a mix? %r" % (best, found)
            for m in models:
                if m not in self.names:
                    self.fault = "a result by %s" % m
                if not self.models or self.models[-1] != m:
                    self.models.append(m)


def token_for(chiron, data, creator):
    return subprocess.run([chiron, "token", "--data", data, "--creator", creator, "--user", "u1", "--role", "owner"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True).stdout.strip()


def chiron_run(chiron, data, models, model, *words, code=0):
    e = dict(os.environ, ENCODER_MODEL=model, ENCODER_MODEL_DIR=models, OPENAI_BASE_URL="", OPENAI_API_KEY="")
    r = subprocess.run([chiron] + list(words) + ["--data", data], env=e, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    expect(r.returncode == code, "%s ended with %d: %s%s", " ".join(words), r.returncode, r.stdout, r.stderr)
    return r.stdout


def wait(words, ready, searchers=()):
    until = time.time() + DEADLINE_S
    while not ready():
        for s in searchers:
            expect(not s.fault, "%s", s.fault)
        expect(time.time() < until, "waited too long: %s", words)
        time.sleep(0.02)


def state(data, creator):
    return dict(query(data, creator, "SELECT state, name FROM search_model WHERE state IN ('active', 'next')"))


def done(data, creator, name):
    return (state(data, creator) == {"active": name} and query(data, creator, "SELECT count(*) FROM job WHERE state IN ('queued', 'running')")
            == [(0,)])


def fill(chiron, work, data, models, sizes, seed):
    questions = {}
    for creator, n in sizes.items():
        rng = random.Random(seed + n)
        folder = "%s/%s" % (work, creator)
        os.makedirs(folder)
        for k in range(0, n, 250):
            with open("%s/part%d.jsonl" % (folder, k), "w") as f:
                for i in range(k, min(n, k + 250)):
                    f.write(json.dumps({"title": "Part %d" % i, "text": prose(rng, 60)}) + "\n")
        chiron_run(chiron, data, models, "small", "ingest", "--creator", creator, folder)
        rows = query(data, creator, "SELECT heading, text, document_id FROM chunk ORDER BY idx")
        # What is embedded is the text after its deepest heading.
        questions[creator] = [((h.split(" > ")[-1] + "\n" + t if h and not t.startswith(h.split(" > ")[-1]) else t), d)
                              for h, t, d in rng.sample(rows, 40)]
        whole(data, creator, "small")
    return questions


def the_change(chiron, data, models, questions, sizes):
    tokens = {c: token_for(chiron, data, c) for c in sizes}
    people = {c: Searcher(tokens[c], questions[c], ("small", "big")) for c in sizes}
    s = Server(chiron, data, models, "big")
    for p in people.values():
        p.server = s
        p.start()
    watched = list(people.values())
    first = max(sizes, key=sizes.get)
    total = query(data, first, "SELECT count(*) FROM chunk")[0][0]
    # Killed twice on the way; what was made stays made.
    for part in (0.15, 0.4):
        wait("%d %% of the vectors" % (part * 100), lambda: made(data, first, "big") > total * part, watched)
        for p in watched:
            p.server = None
        s.kill()
        before = made(data, first, "big")
        expect(total * part < before < total, "killed at %d of %d", before, total)
        expect(state(data, first) == {"active": "small", "next": "big"}, "after a kill: %r", state(data, first))
        s = Server(chiron, data, models, "big")
        for p in watched:
            p.server = s
    # In the middle: a text is kept, a document goes, another comes.
    t = tokens[first]
    kept = s.call("POST", "/api/v1/embeddings/generate", {"text": "Bought zebra marathon shoes", "user_id": "u1", "content_type": "workout"}, t)
    expect(kept["model"] == "big" and kept["dimension"] == 256, "kept with %s", kept["model"])
    listed = s.call("GET", "/api/v1/hub/documents?limit=100", None, t)["documents"]
    victim = listed[0]["id"]
    with_it = [q for q in people[first].questions if q[1] != victim]
    people[first].questions = with_it
    time.sleep(0.2)
    s.call("DELETE", "/api/v1/hub/documents/" + victim, None, t)
    people[first].gone.add(victim)
    middle = state(data, first)
    expect(middle == {"active": "small", "next": "big"}, "the change was over before its middle: %r", middle)
    rows = query(data, first, "SELECT model_name FROM embedding") + query(data, first, "SELECT model FROM chunk_vector WHERE chunk_id = ?", kept["id"])
    expect(sorted(r[0] for r in rows) == ["big", "small"], "a text kept in the middle has vectors of %r", rows)
    put = os.path.join(os.path.dirname(data), "zebra.md")
    with open(put, "w") as f:
        f.write("# Zebra\n\nZebra rope, zebra rope, marathon zebra.\n")
    chiron_run(chiron, data, models, "big", "ingest", "--creator", first, put)
    new = query(data, first, "SELECT id FROM document WHERE title = 'Zebra'")[0][0]
    for kind in ("semantic", "hybrid"):
        r = s.call("POST", "/api/v1/search/hybrid", {"query": "zebra rope marathon", "user_id": "u1", "search_type": kind, "limit": 100}, t)
        expect(r["strategy"] == kind and {new, ""} <= {x["document_id"] for x in r["results"]}, "%s in the middle: %r", kind, r["strategy"])
    answer = [j for j in s.call("GET", "/api/v1/jobs?limit=100", None, t)["jobs"] if j["kind"] == "reindex"]
    expect(len(answer) == 1 and answer[0]["state"] in ("running", "queued") and answer[0]["progress"]["total"] >= total - 260,
           "the job: %r", answer)
    left = query(data, first, "SELECT count(*) FROM chunk k WHERE NOT EXISTS (SELECT 1 FROM chunk_vector v WHERE v.chunk_id = k.id AND v.model = 'big')")[0][0]
    wait("the change", lambda: all(done(data, c, "big") for c in sizes), watched)
    time.sleep(0.3)
    for c, p in people.items():
        p.over = True
        p.join()
        expect(not p.fault, "%s: %s", c, p.fault)
        expect(p.count > 50, "%s: only %d searches", c, p.count)
        expect(p.models == ["small", "big"] or p.models == ["big"], "%s: the models went %r", c, p.models)
        whole(data, c, "big")
        expect(p.seen <= {"semantic", "hybrid"}, "%s: strategies %r", c, p.seen)
    expect(people[first].models == ["small", "big"], "no search saw the change: %r", people[first].models)
    again = s.metric("chiron_reindex_vectors_total")
    others = sum(n for c, n in sizes.items() if c != first)
    expect(again <= left + others * 2 + 400, "%d vectors were made after the last kill, where %d lacked one", again, left)
    expect(s.metric("chiron_reindex_switches_total") >= 1, "no change in the metrics")
    s.stop()
    return "%d searches, never without a result; two kills" % sum(p.count for p in people.values())


def back_by_command(chiron, data, models):
    out = chiron_run(chiron, data, models, "big", "reindex", "--status")
    expect("big" in out and "changing" not in out, "status: %s", out)
    reply = json.loads(chiron_run(chiron, data, models, "small", "reindex", "-o", "json"))
    for c in reply["creators"]:
        if c["total"]:
            expect(c["model"]["name"] == "small" and c["done"] == c["total"] and c["answers_by_meaning"], "by command: %r", c)
            whole(data, c["creator"], "small")
    chiron_run(chiron, data, models, "small", "models", "use", "big")
    whole(data, "one", "big")
    chiron_run(chiron, data, models, "big", "models", "use", "small")
    # Once more: there is nothing to do, and no job is made.
    before = query(data, "one", "SELECT count(*) FROM job")
    chiron_run(chiron, data, models, "small", "reindex")
    expect(query(data, "one", "SELECT count(*) FROM job") == before, "a job without work")


def cancelled(chiron, data, models):
    t = token_for(chiron, data, "one")
    s = Server(chiron, data, models, "big")
    wait("a first vector", lambda: made(data, "one", "big") > 0)
    job = [j for j in s.call("GET", "/api/v1/jobs?limit=10", None, t)["jobs"] if j["kind"] == "reindex" and j["state"] in ("running", "queued")][0]
    s.call("DELETE", "/api/v1/jobs/" + job["id"], None, t)
    wait("the end of a cancelled change", lambda: made(data, "one", "big") == 0 and state(data, "one") == {"active": "small"})
    s.stop()
    s = Server(chiron, data, models, "big")
    wait("the other creator", lambda: state(data, "two") == {"active": "big"})
    time.sleep(0.5)
    expect(state(data, "one") == {"active": "small"}, "a cancelled change was begun again")
    r = s.call("POST", "/api/v1/search/hybrid", {"query": "knee pain", "user_id": "u1", "limit": 5}, t)
    expect(r["strategy"] == "hybrid" and r["results"], "after a cancelled change: %r", r["strategy"])
    # Asked for by name it is begun again; the server or the command line runs it, whoever is first.
    chiron_run(chiron, data, models, "big", "reindex", "--creator", "one")
    whole(data, "one", "big")
    s.stop()


def folder_gone(chiron, data, models):
    shutil.rmtree(models + "/big")
    t = token_for(chiron, data, "one")
    out = chiron_run(chiron, data, models, "small", "doctor", "-o", "json", code=1)
    row = [x for x in json.loads(out)["checks"] if x["name"] == "vectors"][0]
    expect(row["state"] == "warning" and "words alone" in row["words"], "doctor: %r", row)
    s = Server(chiron, data, models, "small")
    seen = []

    def searched():
        r = s.call("POST", "/api/v1/search/hybrid", {"query": "knee pain", "user_id": "u1", "limit": 5}, t)
        expect(r["results"], "nothing was found without the old model: %r", r["strategy"])
        if not seen or seen[-1] != r["strategy"]:
            seen.append(r["strategy"])
        return r["strategy"] == "hybrid"
    wait("the change without the old model", searched)
    expect(seen == ["keyword (re-indexing, big is not here)", "hybrid"], "strategies: %r", seen)
    wait("its end", lambda: all(done(data, c, "small") for c in ("one", "two")))
    whole(data, "one", "small")
    s.stop()


def folder_replaced(chiron, data, models):
    """Same name, same dimension, other weights: another model, known by its content."""
    shutil.rmtree(models + "/small")
    write_model(models + "/small", 64, 1, 99)
    t = token_for(chiron, data, "two")
    s = Server(chiron, data, models, "small")
    wait("the change to the new content", lambda: done(data, "two", "small") and
         query(data, "two", "SELECT label FROM search_model")[0][0] != "small")
    whole(data, "two", "small", prefix=True)
    r = s.call("POST", "/api/v1/rag/query", {"query": "knee pain", "user_id": "u1"}, t)
    expect(r["embeddings_used"] == ["small"], "shown as %r", r["embeddings_used"])
    wait("the other creator", lambda: done(data, "one", "small"))
    s.stop()
    # Touched, or in another precision, it is the same model.
    os.utime(models + "/small/model.safetensors")
    before = query(data, "one", "SELECT count(*) FROM job")
    s = Server(chiron, data, models, "small", ENCODER_PRECISION="f32")
    time.sleep(1)
    expect(query(data, "one", "SELECT count(*) FROM job") == before, "a touched folder counts as another model")
    s.stop()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chiron, seed = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as work:
        data, models, sizes = work + "/data", work + "/models", {"one": 2500, "two": 200}
        write_model(models + "/small", 64, 1, 1)
        write_model(models + "/big", 256, 8, 2)
        questions = fill(chiron, work, data, models, sizes, seed)
        print(the_change(chiron, data, models, questions, sizes), flush=True)
        back_by_command(chiron, data, models)
        cancelled(chiron, data, models)
        folder_gone(chiron, data, models)
        folder_replaced(chiron, data, models)
    print("ok")


if __name__ == "__main__":
    main()

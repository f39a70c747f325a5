#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What looks at a search's best again: the cross-encoder, Cohere, or nothing; what stands in when it fails; what the reply says
(RAG-006, RAG-021, RAG-027, FIT-080).

usage: reranking.py CHIRON     (against the strict stand-in of test/fakes; everything on loopback)
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE = os.path.join(HERE, "..", "..", "tools", "random_model.py")
QUERY = "how should a beginner recover after rowing"
CANDIDATES = ["Bananas are yellow.", "Row hard every day.", "A beginner should recover with sleep after rowing."]
checks = 0


def check(ok, what, seen=None):
    global checks
    checks += 1
    if not ok:
        sys.exit("FAIL %s%s" % (what, "" if seen is None else "\n     saw: %.1500s" % (json.dumps(seen) if not isinstance(seen, str) else seen)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(port, path, body=None, token="", method=None, expect=200):
    r = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), method=method, data=json.dumps(body).encode() if body is not None else None,
                               headers={"Content-Type": "application/json", "Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(r, timeout=60) as reply:
            status, text = reply.status, reply.read().decode()
    except urllib.error.HTTPError as e:
        status, text = e.code, e.read().decode()
    check(status == expect, "%s answers %d" % (path, expect), text)
    return json.loads(text) if text[:1] in "{[" else text


class Fake:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "fakes", "cohere_provider.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def plan(self, *steps):
        call(self.port, "/control", {"plan": steps}, method="PUT")

    def log(self):
        return call(self.port, "/log")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Server:
    def __init__(self, binary, data, **env):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("COHERE_", "RERANK", "FIT_"))}
        self.env.update(LOG_LEVEL="error", **env)
        self.binary, self.data, self.port = binary, data, free_port()
        self.token = self.chiron("token", "--creator", "rower", "--user", "u1").strip()
        self.process = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:%d" % self.port], env=self.env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(600):
            try:
                urllib.request.urlopen("http://127.0.0.1:%d/health/live" % self.port, timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the server is not ready")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGTERM)
        try:
            _, self.said = self.process.communicate(timeout=35)
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit("the server did not stop")
        if not exception[0]:
            check(self.process.returncode == 0, "the server stops", self.said)

    def chiron(self, *args, text=None):
        r = subprocess.run([self.binary, *args, "--data", self.data], env=self.env, input=text, capture_output=True, text=True)
        check(r.returncode == 0, "chiron " + args[0], r.stderr)
        return r.stdout

    def rerank(self, **more):
        return call(self.port, "/api/v1/rerank", dict({"query": QUERY, "candidates": CANDIDATES, "user_id": "u1"}, **more), self.token)

    def hybrid(self, expect=200, **more):
        return call(self.port, "/api/v1/search/hybrid", dict({"query": QUERY, "user_id": "u1", "limit": 5}, **more), self.token, expect=expect)

    def context(self, **more):
        return call(self.port, "/api/v1/rag/query", dict({"query": QUERY, "user_id": "u1"}, **more), self.token)

    def metric(self, name, labels=""):
        text = call(self.port, "/metrics")
        m = re.search(r"^%s%s (\S+)$" % (re.escape(name), re.escape("{%s}" % labels if labels else "")), text, re.M)
        return float(m.group(1)) if m else 0.0


def material(binary, data):
    """Two dozen texts of two levels."""
    with Server(binary, data) as s:
        owner = s.chiron("token", "--creator", "rower", "--role", "service").strip()
        for i in range(24):
            text = "Lesson %d. A beginner %s after rowing %d minutes; ask ann@example.com for the plan." % (
                i, ("should recover", "will stretch", "can row", "must sleep")[i % 4], 10 + i)
            call(s.port, "/api/v1/coaching/documents", {"text": text, "title": "Lesson %d" % i,
                                                        "metadata": {"user_level": ("beginner", "advanced")[i % 2]}}, owner, expect=201)


def without_any(binary, data):
    with Server(binary, data) as s:
        o = s.rerank()
        check(o["method"] == "hybrid" and o["scored"] == o["of"] == 3 and "fell_back_why" not in o, "the formula scores candidates", o)
        check([r["original_rank"] for r in o["reranked"]][0] == 2 and len(s.rerank(top_k=2)["reranked"]) == 2, "the best comes first, top_k bounds", o)
        check("rerank" not in s.hybrid() and "rerank" not in s.context(), "a search without a re-ranker says nothing of one")
        o = s.hybrid(rerank=True)
        check(o["rerank"]["method"] == "none" and o["rerank"]["scored"] == 0 and o["rerank"]["of"] > 5, "asked for and not there: said", o)
        check(o["results"] == s.hybrid()["results"], "and the order is the search's own")
        for wrong in (101, -1, "yes", 1.5):
            s.hybrid(expect=422, rerank=wrong)


def with_cohere(binary, data, fake):
    env = dict(COHERE_BASE_URL="http://127.0.0.1:%d/v2/" % fake.port, COHERE_API_KEY="co-fake", COHERE_TIMEOUT_MS="400", COHERE_PAUSE_MS="0")
    with Server(binary, data, **env) as s:
        fake.plan()
        o = s.rerank(query=QUERY + " mail bob@example.com", candidates=CANDIDATES + ["Call +1 415 555 0132 or bob@example.com."], top_k=2)
        sent = fake.log()
        check(o["method"] == "cohere" and o["model"] == "rerank-v4.0-pro" and o["scored"] == 2 and o["of"] == 4, "Cohere ranks when keyed", o)
        check([r["original_rank"] for r in o["reranked"]] == [2, 1] or o["reranked"][0]["original_rank"] == 2, "its order is the reply's", o)
        check(not sent["faults"] and sent["requests"][0]["top_n"] == 2 and len(sent["requests"][0]["documents"]) == 4, "the request is the contract's", sent)
        check("bob@" not in json.dumps(sent) and "0132" not in json.dumps(sent) and "[email]" in json.dumps(sent), "only masked text goes out", sent)

        fake.plan()
        o, plain = s.hybrid(), s.hybrid(rerank=False)
        sent = fake.log()["requests"]
        check(o["rerank"]["method"] == "cohere" and o["rerank"]["scored"] == 5 and o["rerank"]["of"] == 20, "a search is re-ranked", o)
        check(len(sent) == 1 and len(sent[0]["documents"]) == 20 and sent[0]["top_n"] == 5, "its best twenty are sent once", sent)
        check("ann@" not in json.dumps(sent), "stored text is masked on its way out", sent)
        scores = [r["rerank_score"] for r in o["results"]]
        check(scores == sorted(scores, reverse=True) and all(0 <= v <= 1 for v in scores), "best first by its score", o)
        check("rerank" not in plain and all("rerank_score" not in r for r in plain["results"]), "false leaves it out", plain)
        first = {r["id"]: r["score"] for r in plain["results"]}
        check(all(abs(r["score"] - first[r["id"]]) < 1e-6 for r in o["results"] if r["id"] in first), "the first score stays what it was", o)
        check(s.hybrid() == dict(o, query_id=s.hybrid()["query_id"]) or s.hybrid()["results"] == o["results"], "the same again")
        check(len(fake.log()["requests"]) == 1, "and nothing is paid for twice", fake.log())
        fake.plan()
        o = s.hybrid(rerank=3)
        check(o["rerank"] == {"method": "cohere", "model": "rerank-v4.0-pro", "scored": 3, "of": 3}, "a depth of three", o)
        check(["rerank_score" in r for r in o["results"]] == [True] * 3 + [False] * 2, "scored ones first, the others after them", o)
        check([r["id"] for r in o["results"][3:]] == [r["id"] for r in plain["results"][3:]], "in the order of the search", o)
        check(s.context()["rerank"]["method"] == "cohere", "context for an answer is re-ranked too")

        for step, words in (({"status": 401}, "401"), ({"status": 429, "retry_after": 1}, "429"), ({"status": 500}, "500"), ({"status": 404}, "404"),
                            ({"hang": True}, "within 400 ms"), ({"delay_ms": 900}, "within 400 ms"), ({"cut": True}, ""), ({"bad": "html"}, "JSON"), ({"bad": "json"}, "JSON"),
                            ({"bad": "index"}, "fit"), ({"bad": "twice"}, "fit"), ({"bad": "score"}, "fit"), ({"bad": "few"}, "results"),
                            ({"bad": "many"}, "results"), ({"bad": "none"}, "results"), ({"bad": "nan"}, "JSON")):
            fake.plan(step, step)
            begun = time.monotonic()
            unlike = "step %s" % json.dumps(step)        # so that no kept score answers
            o = s.rerank(candidates=CANDIDATES + [unlike])
            took = time.monotonic() - begun
            check(o["method"] == "hybrid" and o["scored"] == o["of"] == 4 and words in o["fell_back_why"], "%s: the formula stands in and it is said" % unlike, o)
            check("co-fake" not in json.dumps(o) and "may not ask" not in json.dumps(o), "%s: the provider's words stay inside" % unlike, o)
            check(any(d["stage"] == "rerank" for d in o["degraded"]), "%s: the step is named" % unlike, o)
            check(took < 3, "%s: it is not waited for (%.1f s)" % (unlike, took))
            o = s.hybrid(query="%s %s" % (QUERY, unlike))
            check(o["rerank"]["method"] == "none" and words in o["rerank"]["fell_back_why"] and len(o["results"]) == 5, "%s: a search keeps its order" % unlike, o)
            check(all("rerank_score" not in r for r in o["results"]), "%s: without scores" % unlike, o)
        fake.plan({"delay_ms": 300})
        o = s.hybrid(query=QUERY + " soon", deadline_ms=30)
        check(o["rerank"]["method"] == "none" and "no time" in o["rerank"]["fell_back_why"], "with no time Cohere is not asked", o)
        check(s.metric("chiron_rerank_total", 'method="cohere"') >= 4 and s.metric("chiron_rerank_total", 'method="none"') >= 16, "counted by method")
    check("co-fake" not in s.said, "the key is in no log", s.said)
    with Server(binary, data, **dict(env, COHERE_PAUSE_MS="60000")) as s:
        fake.plan({"status": 500})
        check("500" in s.rerank()["fell_back_why"], "a failure is said")
        for i in range(3):
            o = s.rerank(candidates=CANDIDATES + ["and %d" % i])
            check(o["method"] == "hybrid" and "a moment ago" in o["fell_back_why"] and len(fake.log()["requests"]) == 1, "and not paid for by every search after it", o)
    with Server(binary, data, **dict(env, COHERE_PAUSE_MS="60000")) as s:
        fake.plan({"status": 429, "retry_after": 1})
        check("429" in s.rerank()["fell_back_why"] and "a moment ago" in s.rerank()["fell_back_why"], "too many requests: left alone")
        time.sleep(1.2)
        check(s.rerank()["method"] == "cohere", "for as long as it asked, not longer")
    with Server(binary, data, RERANK="off", **env) as s:
        fake.plan()
        check("rerank" not in s.hybrid() and s.rerank()["method"] == "hybrid" and not fake.log()["requests"], "off: nobody is asked")


def fitness(binary, data, fake):
    """FIT-080 as far as there is no surface of its own."""
    base = {"COHERE_BASE_URL": "http://127.0.0.1:%d/v2" % fake.port}
    with Server(binary, data) as s:
        def preset(**env):
            s.env = {k: v for k, v in s.env.items() if not k.startswith(("COHERE_", "FIT_"))}
            s.env.update(env)
            return json.loads(s.chiron("search", "--creator", "rower", "--preset", "fit", "--match", "beginner", "-o", "json", QUERY))

        fake.plan()
        o = preset()
        check(len(o["passages"]) == 3 and "rerank" not in o and not fake.log()["requests"], "without a key three, not re-ranked", o)
        check(all(p["metadata"]["user_level"] == "beginner" for p in o["passages"]), "only the user's level", o)
        o = preset(COHERE_API_KEY="co-fake", **base)
        sent = fake.log()
        check(len(sent["requests"]) == 1 and not sent["faults"], "Cohere is asked once", sent)
        r = sent["requests"][0]
        check(r["model"] == "rerank-english-v2.0" and len(r["documents"]) == 5 and r["top_n"] == 3 and r["query"] == QUERY, "model, k and the three best", r)
        check(all(int(re.search(r"Lesson (\d+)", d).group(1)) % 2 == 0 for d in r["documents"]), "the filter held before it", r)
        check(len(o["passages"]) == 3 and all(p["score_rerank"] >= 0 for p in o["passages"]) and o["rerank"]["method"] == "cohere", "its three best are left", o)
        check(preset(COHERE_API_KEY="co-fake", COHERE_RERANK_MODEL="rerank-v3.5", **base)["rerank"]["model"] == "rerank-v3.5", "the plain setting is stronger")
        o = preset(COHERE_API_KEY="co-fake", COHERE_RERANK_MODEL="rerank-v3.5", FIT_COHERE_RERANK_MODEL="rerank-english-v3.0", **base)
        check(o["rerank"]["model"] == "rerank-english-v3.0", "the surface's own the strongest", o)
        o = preset(COHERE_API_KEY="co-wrong", **base)
        check(len(o["passages"]) == 3 and o["rerank"]["method"] == "none" and "401" in o["rerank"]["fell_back_why"], "a wrong key: three all the same, and said", o)


def with_cross_encoder(binary, data, fake, folder):
    env = dict(RERANK_MODEL=folder, COHERE_BASE_URL="http://127.0.0.1:%d/v2" % fake.port, COHERE_API_KEY="co-fake")
    many = ["%s %d" % (CANDIDATES[i % 3], i) for i in range(100)]
    with Server(binary, data, **env) as s:
        fake.plan()
        o = s.rerank(candidates=many)
        check(o["method"] == "cross-encoder" and o["model"] == os.path.basename(folder) and o["scored"] == o["of"] == 100, "a hundred candidates", o)
        batches = s.metric("chiron_rerank_batches_total")
        check(1 < batches < 100 and s.metric("chiron_rerank_pairs_total") == 100, "are scored in batches", str(batches))
        logits = {r["original_rank"]: r["logit"] for r in o["reranked"]}
        check([r["logit"] for r in o["reranked"]] == sorted(logits.values(), reverse=True), "in their logits' order", o)
        for i in (0, 1, 2, 57, 99):
            alone = s.rerank(candidates=[many[i]])["reranked"][0]["logit"]
            check(abs(alone - logits[i]) < 1e-3, "the same as alone", [i, alone, logits[i]])
        o = s.hybrid()
        check(o["rerank"]["method"] == "cross-encoder" and o["rerank"]["of"] == 20 and o["rerank"]["scored"] == 20, "a hybrid search is re-ranked", o)
        scores = [r["rerank_score"] for r in o["results"]]
        check(len(scores) == 5 and scores == sorted(scores, reverse=True), "by its scores", o)
        check("rerank" not in s.hybrid(search_type="semantic") and "rerank" not in s.hybrid(search_type="keyword"), "one leg alone is not, unless asked")
        check(s.hybrid(search_type="keyword", rerank=True)["rerank"]["scored"] > 0, "asked, it is")
        check(s.context()["rerank"]["method"] == "cross-encoder", "context is re-ranked")
        before = s.metric("chiron_rerank_batches_total")
        check(s.hybrid()["results"] == o["results"] and s.metric("chiron_rerank_batches_total") == before, "kept scores are not computed again")
        native = call(s.port, "/api/v1/coaching/search", {"query": QUERY, "k": 4}, s.token)
        check(native["rerank"]["method"] == "cross-encoder" and native["documents"][0]["score_rerank"] >= native["documents"][3]["score_rerank"], "the native route too", native)
        asked = call(s.port, "/api/v1/coaching/ask", {"question": "How should a beginner recover after rowing?"}, s.token)
        check(asked["covered"] and asked["citations"], "a turn over it is answered", asked)
        trace = call(s.port, "/api/v1/turns/" + asked["id"], token=s.token)
        check(trace["search"]["rerank"]["method"] == "cross-encoder" and any("score_rerank" in p for p in trace["passages"]), "and its trace tells", trace["search"])
        check(any(g["name"] == "rerank" for g in trace["stages"]), "with the stage", trace["stages"])
        check(os.path.basename(folder) in call(s.port, "/health")["models_loaded"], "the health names it")
        check(not fake.log()["requests"], "Cohere is not asked while the cross-encoder answers")
        cli = json.loads(s.chiron("search", "--creator", "rower", "-o", "json", "--rerank", "--depth", "7", QUERY))
        check(cli["rerank"]["of"] == 7 and cli["rerank"]["scored"] == 7, "the command line re-ranks", cli)
        check("rerank" not in json.loads(s.chiron("search", "--creator", "rower", "-o", "json", "--no-rerank", QUERY)), "or does not")
        partial, ms = 0, 20
        while not partial and ms < 8000:       # how long is enough for some and not for all is the machine's affair
            o = s.rerank(candidates=[("word%d run %d " % (i, ms)) * 100 for i in range(200)], deadline_ms=ms)
            tail = [r["original_rank"] for r in o["reranked"][o["scored"]:]]
            few = {k: o[k] for k in o if k != "reranked"}
            check(o["of"] == 200 and len(o["reranked"]) == 200 and sorted(r["original_rank"] for r in o["reranked"]) == list(range(200)), "none is left out", few)
            check(tail == list(range(o["scored"], 200)) and all(r.get("scored") is False for r in o["reranked"][o["scored"]:]), "what had no time keeps its order at the end", few)
            check((o["method"] == "cross-encoder" and o["scored"] == 200) or any(d["stage"] == "rerank" for d in o["degraded"]), "a step that was taken is named", few)
            partial += o["method"] == "cross-encoder" and o["scored"] < 200
            if o["scored"] == 200 and o["method"] == "cross-encoder":
                break
            ms = ms * 5 // 4
        check(partial, "a deadline leaves some unscored", few)
    with Server(binary, data, RERANK="cross-encoder", RERANK_MODEL="/nowhere/at-all") as s:
        o = s.rerank()
        check(o["method"] == "hybrid" and "no cross-encoder" in o["fell_back_why"], "wanted and not there: said", o)
        o = s.hybrid()
        check(o["rerank"]["method"] == "none" and "no cross-encoder" in o["rerank"]["fell_back_why"], "by searches too", o)
    with open(os.path.join(folder, "model.safetensors"), "r+b") as f:
        f.truncate(os.path.getsize(f.name) // 2)
    with Server(binary, data, RERANK_MODEL=folder) as s:
        check(s.rerank()["method"] == "hybrid" and len(s.hybrid()["results"]) == 5, "a damaged folder stops nothing")
    check("cross-encoder cannot be used" in s.said and "offsets" in s.said, "and the log says why", s.said)
    r = subprocess.run([binary, "serve", "--data", data, "--listen", "127.0.0.1:%d" % free_port()], env=dict(os.environ, RERANK="sometimes"),
                       capture_output=True, text=True, timeout=60)
    check(r.returncode != 0 and "RERANK is auto" in r.stderr, "a word that RERANK does not have stops the start", r.stderr)


def main():
    binary = os.path.abspath(sys.argv[1])
    fake = Fake()
    try:
        with tempfile.TemporaryDirectory() as base:
            data, folder = os.path.join(base, "data"), os.path.join(base, "tiny-cross")
            subprocess.run([sys.executable, MAKE, "--shape", "tiny", folder], check=True)
            material(binary, data)
            without_any(binary, data)
            with_cohere(binary, data, fake)
            fitness(binary, data, fake)
            with_cross_encoder(binary, data, fake, folder)
    finally:
        fake.close()
    print("%d checks" % checks)


main()

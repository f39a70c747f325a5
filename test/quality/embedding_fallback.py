#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Embeddings when the local model is not there: the OpenAI-compatible endpoint answers, says so, is sent masked text only,
and vectors of the two models stay apart (RAG-002, RAG-014, RAG-016, RAG-027). With the local model back, what the endpoint
embedded gets vectors of the local one beside them, words answer until those are there, and nothing is asked of the endpoint. Each search leaves one log line with its id and stage times and without its words (RAG-029).

usage: embedding_fallback.py CHIRON
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
QUESTION = "which marathon shoes did I buy"


def call(base, method, path, body=None, token=None):
    r = urllib.request.Request(base + path, None if body is None else json.dumps(body).encode(), method=method)
    r.add_header("Content-Type", "application/json")
    if token:
        r.add_header("Authorization", "Bearer " + token)
    try:
        reply = urllib.request.urlopen(r, timeout=60)
    except urllib.error.HTTPError as e:
        raise AssertionError("%s %s: %d %s" % (method, path, e.code, e.read().decode()))
    with reply:
        return json.loads(reply.read() or b"null")


class Server:
    def __init__(self, chiron, data, **env):
        self.log = tempfile.TemporaryFile("w+")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        self.base = "http://" + address
        e = dict(os.environ, LOG_FORMAT="json", **env)
        self.child = subprocess.Popen([chiron, "serve", "--data", data, "--listen", address], env=e, stdout=subprocess.DEVNULL,
                                      stderr=self.log, text=True)
        until = time.time() + 60
        while time.time() < until and self.child.poll() is None:
            try:
                call(self.base, "GET", "/health/live")
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        sys.exit("the server did not start:\n" + self.words())

    def words(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            self.child.kill()


def expect(ok, words):
    if not ok:
        raise AssertionError(words)


def put(s, token, text):
    return call(s.base, "POST", "/api/v1/embeddings/generate", {"text": text, "user_id": "u1", "content_type": "workout"}, token)


def find(s, token, kind):
    return call(s.base, "POST", "/api/v1/search/hybrid", {"query": QUESTION, "user_id": "u1", "search_type": kind, "limit": 50}, token)


def remote(chiron, data, token, fake):
    s = Server(chiron, data, ENCODER_MODEL_DIR="/nonexistent", OPENAI_BASE_URL=fake + "/v1", OPENAI_API_KEY="sk-fake",
               OPENAI_EMBEDDING_MODEL="fake-embedding", OPENAI_MODEL="fake-chat")
    try:
        made = put(s, token, "Bought marathon shoes, receipt to jo@example.com")
        expect(made["model"] == "fake-embedding" and made["dimension"] == 8 == len(made["embedding"]), "not the endpoint's: %r" % made)
        found = find(s, token, "semantic")
        expect(found["strategy"] == "semantic" and [r["id"] for r in found["results"]] == [made["id"]], "semantic: %r" % found)
        sent = json.dumps(call(fake, "GET", "/log")["requests"])
        expect("marathon shoes" in sent, "nothing was sent to the endpoint")
        expect("example.com" not in sent, "an address was sent to the endpoint")
        return made["id"], s.words
    finally:
        s.stop()


def local(chiron, data, token, remote_id):
    s = Server(chiron, data, OPENAI_BASE_URL="", OPENAI_API_KEY="", LLM_CHAIN="extractive")
    try:
        made = put(s, token, "New marathon shoes hurt at kilometre thirty")
        expect(made["model"] == "all-MiniLM-L6-v2" and made["dimension"] == 384, "not the local model's: %r" % made["model"])
        until, seen = time.time() + 60, set()
        while True:
            found = find(s, token, "semantic")
            seen.add(found["strategy"])
            expect(found["results"], "nothing was found while the model changed: %r" % found)
            if found["strategy"] == "semantic":
                break
            expect(found["strategy"].startswith("keyword (re-indexing"), "strategy: %r" % found["strategy"])
            expect(time.time() < until, "the model did not change: %r" % seen)
            time.sleep(0.02)
        expect(sorted(r["id"] for r in found["results"]) == sorted([made["id"], remote_id]), "by meaning: %r" % found)
        both = [r["id"] for r in find(s, token, "hybrid")["results"]]
        expect(sorted(both) == sorted([made["id"], remote_id]), "words find both: %r" % both)
    finally:
        s.stop()
    words = s.words()
    lines = [json.loads(x) for x in words.splitlines() if '"query_id"' in x]
    expect(len(lines) >= 2, "%d log lines for 2 searches and more" % len(lines))
    for x in lines:
        expect(all(k in x for k in ("query_id", "embed_ms", "search_ms", "query_ms", "strategy")), "log line: %r" % x)
    expect("marathon" not in words, "the question is in the log")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    chiron = os.path.abspath(sys.argv[1])
    fake = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "fakes", "openai_provider.py"), "0"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        base = "http://127.0.0.1:%d" % int(fake.stdout.readline())
        with tempfile.TemporaryDirectory() as data:
            token = subprocess.run([chiron, "token", "--data", data, "--creator", "rag", "--user", "u1"], stdout=subprocess.PIPE, text=True,
                                   check=True).stdout.strip()
            made, _ = remote(chiron, data, token, base)
            local(chiron, data, token, made)
    finally:
        fake.terminate()
        fake.wait()
    print("ok")


main()

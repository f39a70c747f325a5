#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""FIT's, TEN's, RAG's and an address's limits under 50 clients at once, over the wire: exactly the limit passes, what remains is told
without a gap or a repetition, every refusal says when to come back, and a window that is over begins anew.

FIT-097, FIT-037, TEN-034, TEN-035, RAG-025, CRE-061.    usage: limits_parallel.py CHIRON
"""
import collections
import http.client
import os
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from api_test import Failed, Server  # noqa: E402

CLIENTS = 50
SETTINGS = {
    "LIMIT_ROUTES": "GET /api/v1/turns=fit;GET /api/v1/coach=ten;GET /api/v1/me=rag",
    "TEN_RATE_LIMIT_TTL": "3", "LIMIT_RAG": "75/3600", "LIMIT_ADDRESS": "40/3600", "TRUSTED_PROXIES": "127.0.0.1",
    "LIMIT_OFFENCES": "0", "LLM_CHAIN": "extractive", "LOG_LEVEL": "warn",
}


def storm(server, path, headers, each):
    """What 50 clients get that ask `each` times as fast as they can: [(status, remaining, retry-after)]."""
    out, lock, go = [], threading.Lock(), threading.Event()

    def client():
        mine = []
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        c.connect()
        go.wait()
        for _ in range(each):
            c.request("GET", path, headers=headers)
            r = c.getresponse()
            r.read()
            mine.append((r.status, r.getheader("RateLimit-Remaining"), r.getheader("Retry-After")))
        c.close()
        with lock:
            out.extend(mine)
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    time.sleep(0.2)
    go.set()
    for t in threads:
        t.join()
    return out


def exact(name, replies, limit, ok=200):
    kinds = collections.Counter(s for s, _, _ in replies)
    print("%s: %d requests, %s" % (name, len(replies), dict(kinds)))
    assert kinds == {ok: limit, 429: len(replies) - limit}, "%s: not exactly %d passed: %s" % (name, limit, dict(kinds))
    told = sorted(int(r) for s, r, _ in replies if s == ok)
    assert told == list(range(limit)), "%s: what remains was told as %s" % (name, told)
    assert all(r == "0" and int(w) > 0 for s, r, w in replies if s == 429), "%s: a refusal without its headers" % name


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # FIT counts by the hour of the clock: not over its turn.
    left = 3600 - time.time() % 3600
    if left < 20:
        time.sleep(left + 1)
    server = Server(sys.argv[1], [], SETTINGS)
    wrong, code = None, 1
    try:
        def token(user, creator):
            return {"Authorization": "Bearer " + server.run(["token", "--creator", creator, "--user", user]).body.strip()}
        # Each with another user beside it, who is not touched.
        fit, ten, rag = token("u1", "fit"), token("u1", "ten"), token("u1", "c1")
        exact("fit", storm(server, "/api/v1/turns", fit, 5), 100)
        exact("ten", storm(server, "/api/v1/coach", ten, 3), 60)
        exact("rag", storm(server, "/api/v1/me", rag, 4), 75)
        exact("fit, another user", storm(server, "/api/v1/turns", token("u2", "fit"), 3), 100)
        exact("fit, the same name in another creator", storm(server, "/api/v1/turns", token("u1", "c1"), 3), 100)
        exact("address", storm(server, "/health", {"X-Forwarded-For": "198.51.100.1"}, 2), 40)
        exact("address, all of one /64", storm(server, "/health", {"X-Forwarded-For": "2001:db8::1"}, 1), 40)
        assert all(s == 429 for s, _, _ in storm(server, "/health", {"X-Forwarded-For": "2001:db8::ffff"}, 1))
        time.sleep(3.2)
        exact("ten, the next window", storm(server, "/api/v1/coach", ten, 3), 60)
        code = 0
    except (AssertionError, Failed) as why:
        print("FAIL: %s" % why)
    finally:
        wrong = server.stop()
    if wrong:
        print(wrong)
    return 1 if wrong else code


if __name__ == "__main__":
    sys.exit(main())

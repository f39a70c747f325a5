#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two servers and the command line on one data folder, and deleting while people search. Shown: what one process
acknowledged the other one finds, or no longer finds, from then on; each job runs once; the jobs of a killed server are taken
over by the other; the two do not queue a change of the model twice; searches that run while documents are deleted and put
back neither fail nor return what was deleted before they began.

usage: two_servers.py CHIRON
"""
import os
import random
import sys
import tempfile
import threading
import time
import urllib.error

from embedding_reuse import put
from model_change import DEADLINE_S, Server, chiron_run, expect, prose, query, token_for, write_model


def search(s, token, text, kind="hybrid", limit=100):
    r = s.call("POST", "/api/v1/search/hybrid", {"query": text, "user_id": "u1", "search_type": kind, "limit": limit}, token)
    return {x["document_id"] for x in r["results"]}


def seen_by_both(a, b, token):
    one = put(a, token, "rope.md", "# Rope\n\nRope before breakfast.")
    expect(one in search(b, token, "rope breakfast"), "the second server does not find what the first took in")
    two = put(b, token, "zebra.md", "# Zebra\n\nZebra after training.")
    expect(two in search(a, token, "zebra training", "semantic"), "the first server does not find what the second took in")
    b.call("DELETE", "/api/v1/hub/documents/" + one, None, token)
    for kind in ("hybrid", "keyword", "semantic"):
        expect(one not in search(a, token, "rope breakfast", kind), "the first server finds what the second deleted, %s", kind)


def beside_the_command_line(chiron, work, data, models, a, b, token):
    path = work + "/plank.md"
    with open(path, "w") as f:
        f.write("# Plank\n\nA plank each morning.")
    chiron_run(chiron, data, models, "small", "ingest", "--creator", "one", path)
    found = query(data, "one", "SELECT id FROM document WHERE title = 'Plank'")[0][0]
    for s in (a, b):
        expect(found in search(s, token, "plank morning"), "a server does not find what the command line took in")
    out = chiron_run(chiron, data, models, "small", "search", "--creator", "one", "plank morning")
    expect("Plank" in out, "the command line: %s", out)
    expect("small" in chiron_run(chiron, data, models, "small", "reindex", "--status"), "status")


def deleting_while_searching(servers, token):
    """Each searcher remembers what was gone before it asked."""
    rng = random.Random(3)
    gone, live, faults, over, count = set(), {}, [], threading.Event(), [0]
    texts = [prose(rng, 40) for _ in range(24)]
    for i, t in enumerate(texts):
        live[i] = put(servers[0], token, "d%d.md" % i, t)

    def ask(k):
        r = random.Random(k)
        while not over.is_set() and not faults:
            s = servers[k % len(servers)]
            before = set(gone)
            try:
                found = search(s, token, texts[r.randrange(len(texts))], r.choice(["hybrid", "semantic", "keyword"]), 20)
            except urllib.error.HTTPError as e:
                faults.append("a search failed: %d %s" % (e.code, e.read()))
                return
            count[0] += 1
            if before & found:
                faults.append("found after its deletion was acknowledged: %r" % (before & found))
            if not found:
                faults.append("nothing found")

    threads = [threading.Thread(target=ask, args=(k,), daemon=True) for k in range(4)]
    for t in threads:
        t.start()
    until = time.time() + 8
    while time.time() < until and not faults:
        i = rng.randrange(len(texts))
        servers[rng.randrange(len(servers))].call("DELETE", "/api/v1/hub/documents/" + live[i], None, token)
        gone.add(live[i])
        live[i] = put(servers[rng.randrange(len(servers))], token, "d%d.md" % i, texts[i])
    over.set()
    for t in threads:
        t.join(60)
    expect(not faults, "%s", faults)
    expect(len(gone) > 5 and count[0] > 50, "%d deletions, %d searches", len(gone), count[0])
    return "%d searches during %d deletions" % (count[0], len(gone))


def taken_over(chiron, work, data, a, b, token):
    rng = random.Random(5)
    big = "\n\n".join("# Part %d\n\n%s" % (i, prose(rng, 60)) for i in range(1200))

    def send(n):
        try:
            put(a if n else b, token, "big%d.md" % n, big + " %d" % n)
        except OSError:
            pass                         # a was killed meanwhile

    for n in range(3):
        threading.Thread(target=send, args=(n,), daemon=True).start()
    until = time.time() + 60
    while query(data, "one", "SELECT count(DISTINCT job_id) FROM staged_chunk")[0][0] < 1 or \
            query(data, "one", "SELECT count(*) FROM document WHERE filename LIKE 'big%'")[0][0] < 3:
        expect(time.time() < until, "no ingest began")
        time.sleep(0.005)
    a.kill()
    until = time.time() + 60
    while query(data, "one", "SELECT count(*) FROM job WHERE state IN ('queued', 'running')")[0][0]:
        expect(time.time() < until, "the jobs of a killed server were left lying")
        time.sleep(0.05)
    bad = query(data, "one", "SELECT filename, state FROM document WHERE state <> 'ready'")
    expect(not bad, "after a server was killed: %r", bad)
    rows = query(data, "one", "SELECT d.filename, d.chunks, count(DISTINCT k.id), count(v.seq) FROM document d JOIN chunk k ON k.document_id = d.id "
                 "LEFT JOIN chunk_vector v ON v.chunk_id = k.id WHERE d.filename LIKE 'big%' GROUP BY d.id")
    expect(rows and all(r[1] == r[2] == r[3] for r in rows), "chunks and vectors: %r", rows)


def one_change(chiron, data, models):
    """Two servers that start with another model make one job of it."""
    both = [Server(chiron, data, models, "other"), Server(chiron, data, models, "other")]
    until = time.time() + DEADLINE_S
    while query(data, "one", "SELECT state, name FROM search_model") != [("active", "other")]:
        expect(time.time() < until, "two servers did not change the model")
        time.sleep(0.05)
    n = query(data, "one", "SELECT count(*) FROM job WHERE kind = 'reindex'")[0][0]
    expect(n == 1, "%d jobs for one change", n)
    token = token_for(chiron, data, "one")
    for s in both:
        expect(search(s, token, "knee pain", "semantic"), "a server finds nothing after the change")
        s.stop()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    chiron = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as work:
        data, models = work + "/data", work + "/models"
        write_model(models + "/small", 64, 1, 1)
        write_model(models + "/other", 96, 1, 2)
        token = token_for(chiron, data, "one")
        a, b = Server(chiron, data, models, "small"), Server(chiron, data, models, "small")
        seen_by_both(a, b, token)
        beside_the_command_line(chiron, work, data, models, a, b, token)
        print(deleting_while_searching([a, b], token), flush=True)
        taken_over(chiron, work, data, a, b, token)
        b.stop()
        one_change(chiron, data, models)
    print("ok")


main()

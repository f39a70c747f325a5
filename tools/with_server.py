#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs a command beside a demo server of its own, on a free port and in a fresh data folder, and ends the server afterwards.

usage: with_server.py BINARY COMMAND...
The command gets CHIRON_URL, CHIRON_TOKEN (an owner's), CHIRON_DATA and starts once the demo's documents are read in. The exit
code is the command's; 1 when the server did not start, ended by itself or did not stop cleanly.
"""
import os
import subprocess
import sys
import time

from api_test import Failed, Server

INGEST_SECONDS = 120


def documents_in(server, token):
    until = time.time() + INGEST_SECONDS
    while time.time() < until:
        if "demo documents queued" not in server.tail(1000):
            time.sleep(0.1)
            continue
        jobs = server.request("GET", "/api/v1/jobs?limit=100", [("Authorization", "Bearer " + token)], None).json()["jobs"]
        if jobs and all(j["state"] not in ("queued", "running") for j in jobs):
            bad = [j for j in jobs if j["state"] != "done"]
            if bad:
                raise Failed("a demo document was not read in: %s" % bad[0])
            return
        time.sleep(0.1)
    raise Failed("the demo's documents were not read in within %d s" % INGEST_SECONDS)


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        server = Server(sys.argv[1], ["--demo"], {"LLM_CHAIN": "extractive"})
    except Failed as why:
        print(why, file=sys.stderr)
        return 1
    code = 1
    try:
        token = server.run(["token", "--creator", "demo"]).body.strip()
        documents_in(server, token)
        env = dict(os.environ, CHIRON_URL=server.vars["BASE"], CHIRON_TOKEN=token, CHIRON_DATA=server.data)
        code = subprocess.run(sys.argv[2:], env=env).returncode
    except Failed as why:
        print(why, file=sys.stderr)
    finally:
        wrong = server.stop()
    if wrong:
        print(wrong, file=sys.stderr)
    return code or (1 if wrong else 0)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Asks the demo everything that its /openapi.json allows, and much that it does not, with schemathesis: as nobody, as the
demo's owner, as a signed-in account, and with an Idempotency-Key. No reply may be a 5xx (504 when the request itself set a
deadline), none may have a status or a body that is not described, nothing that breaks the description may be accepted, and the
server must be there afterwards.

usage: schemathesis_run.py CHIRON [EXAMPLES [SEED]]
Exit code 77: schemathesis is not installed (tools/setup.sh test installs it).
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from api_test import Failed, Server  # noqa: E402

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "chiron")
RUN_SECONDS = 300
# What a request of these tests may not be refused for; the limits have tests of their own.
WIDE = {"RATE_LIMIT_ENABLED": "false", "LIMIT_AUTH": "0", "LIMIT_GUESS": "0", "LLM_CHAIN": "extractive", "LOG_LEVEL": "warn"}
# A deadline that a body asks for may be missed; every other 5xx is a fault.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]
[checks]
positive_data_acceptance.enabled = false
"""


def client():
    found = [p for p in glob.glob(os.path.join(CACHE, "test", "python-*", "bin", "schemathesis"))
             if os.path.exists(os.path.join(os.path.dirname(os.path.dirname(p)), ".whole"))]
    return found[0] if found else None


def without_headers(api):
    """A key that is the same for all requests would answer them all with its first reply, a user's name would hide the caller."""
    for path in api["paths"].values():
        for operation in path.values():
            operation["parameters"] = [p for p in operation.get("parameters", [])
                                       if p.get("$ref", "").split("/")[-1] not in ("IdempotencyKey", "ActAs")]
    return api


def run(tool, folder, name, schema, server, headers, examples, seed, more=(), phases="coverage,fuzzing"):
    path = os.path.join(folder, name + ".json")
    with open(path, "w") as f:
        json.dump(schema, f)
    command = [tool, "--config-file", os.path.join(folder, "schemathesis.toml"), "run", path, "--url", server.vars["BASE"],
               "--phases", phases, "-n", str(examples), "--seed", str(seed), "--workers", "1", "--continue-on-failure",
               "--no-shrink", "--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off", *more]
    for h in headers:
        command += ["-H", h]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=RUN_SECONDS,
                          env=dict(os.environ, NO_COLOR="1", HYPOTHESIS_STORAGE_DIRECTORY=folder))
    counted = re.search(r"(\d+) generated", done.stdout)
    print("%s: %s requests in %.0f s%s" % (name, counted.group(1) if counted else "no", time.monotonic() - begun,
                                            "" if done.returncode == 0 else ", FAILED"))
    if done.returncode or not counted:
        print(done.stdout[-12000:])
        return False
    return True


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    tool = client()
    if not tool:
        print("schemathesis is not installed: tools/setup.sh test installs it")
        return 77
    examples, seed = int(sys.argv[2]) if len(sys.argv) > 2 else 4, int(sys.argv[3]) if len(sys.argv) > 3 else 20260101
    server = Server(sys.argv[1], ["--demo"], WIDE)
    ok, wrong = True, None
    try:
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "schemathesis.toml"), "w") as f:
                f.write(CONFIG)
            api = server.request("GET", "/openapi.json", [], None).json()
            owner = server.run(["token", "--creator", "demo"]).body.strip()
            body = json.dumps({"email": "ann@example.org", "password": "a long sentence nobody says", "full_name": "Ann"}).encode()
            made = server.request("POST", "/api/v1/auth/register", [("Content-Type", "application/json")], body)
            account = made.json().get("access_token") if made.status == 201 else None
            plain = without_headers(json.loads(json.dumps(api)))
            ok = run(tool, folder, "nobody", plain, server, [], 1, seed) and ok
            ok = run(tool, folder, "owner", plain, server, ["Authorization: Bearer " + owner], examples, seed) and ok
            if account:
                # Signing out would end the run.
                ok = run(tool, folder, "account", plain, server, ["Authorization: Bearer " + account], 1, seed,
                         ["--include-path-regex", "^/api/v1/(auth|me|members|keys|roles|invitations|audit|privacy|creator|limits)",
                          "--exclude-path", "/api/v1/auth/logout"]) and ok
            ok = run(tool, folder, "keys", api, server, ["Authorization: Bearer " + owner], examples, seed, ["--exclude-method", "GET"],
                     "fuzzing") and ok
            if server.request("GET", "/health/live", [], None).status != 200:
                print("the server does not answer any more")
                ok = False
    except (Failed, subprocess.TimeoutExpired) as why:
        print("FAILED: %s" % why)
        ok = False
    finally:
        wrong = server.stop()
    if wrong:
        print(wrong)
    return 0 if ok and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs test/api/*.test: scenarios of given / request / expect against the real binary, one server per file on a free port.

usage: api_test.py BINARY FILE...      (CHIRON_KEEP=1 keeps the data folders and server logs)

A file begins with optional header lines (serve: FLAGS, env: NAME=value, need: PATH [else the file is skipped]), then blocks:

    == a sentence that says what holds (RAG-007)
    given: token user=u1 creator=demo role=user as T        $T is a token; the creator is made when missing
    given: creator c1
    given: ingest creator=c1 fixtures/a.txt                 runs `chiron ingest`
    request: POST /api/v1/rag/query
    header: Authorization: Bearer $T
    body: {"query": "x"}                                    goes on in lines that begin with two spaces; {{a*9}} is aaaaaaaaa
    file: file=fixtures/a.txt [filename=b.txt] [type=text/plain]   multipart; paths are below test/
    form: title=A name                                      multipart
    run: search --creator c1 sleep                          instead of a request: the binary with --data; stdout is the body
    expect: 200                                             or 200|202, 4xx; after run: exit 0
    expect: json context[0].source == "workouts"            == != > >= < <= ~ contains exists, len == 3; [*] means every one
    expect: header x-request-id exists
    expect: body contains "text"
    expect: event done json covered == true                 the last server-sent event of that name
    expect-not: body contains "secret"                      or log: what the server has logged until then
    save: ID = json documents[0].document_id                or header NAME, event NAME json PATH, body
    save: PART = json link ~ "token=(.*)"                   what the group matches
    wait: job $JOB                                          until it has ended (with the last Authorization)
    poll: GET /path until json state == "ready" within 10s

$SETUP is the secret of the set-up link, $BASE the server's address.
"""
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test")
START_SECONDS = 60
REQUEST_SECONDS = 150
STOP_SECONDS = 40
SLOW = int(os.environ.get("CHIRON_SLOW", "1"))   # a build with sanitizers gets this many times longer in a poll


class Failed(Exception):
    pass


class Reply:
    def __init__(self, status, headers, body, kind="request"):
        self.status, self.headers, self.raw, self.kind = status, headers, body, kind
        self.log = ""   # of the server, all of it up to now
        self.body = body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed("the reply is no JSON: " + self.body[:400])

    def event(self, name):
        found = None
        for block in re.split(r"\r?\n\r?\n", self.body):
            lines = block.splitlines()
            if any(line == "event: " + name for line in lines):
                found = "\n".join(line[6:] for line in lines if line.startswith("data: "))
        if found is None:
            raise Failed("there is no event " + name + " in: " + self.body[:400])
        return json.loads(found)


class Server:
    def __init__(self, binary, flags, env):
        self.binary = os.path.abspath(binary)
        self.dir = tempfile.mkdtemp(prefix="chiron-api-")
        self.data = os.path.join(self.dir, "data")
        self.env = dict(os.environ)
        for name in ("JWT_SECRET_KEY", "CHIRON_DATA", "LISTEN", "OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_CHAIN", "DEMO"):
            self.env.pop(name, None)
        self.env.update(env)
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data", self.data, "--listen", "127.0.0.1:0"] + flags, cwd=self.dir, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        self.host, self.port, self.vars = None, 0, {}
        ready = threading.Event()
        self.reader = threading.Thread(target=self.read_output, args=(ready,), daemon=True)
        self.reader.start()
        if not ready.wait(START_SECONDS) or not self.port:
            self.kill()
            raise Failed("the server did not start:\n" + self.tail())

    def read_output(self, ready):
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace")
            address = re.search(r"ready: http://([^/\s]+):(\d+)/", text)
            secret = re.search(r"#/setup=(\S+)", text)
            if secret:
                self.vars["SETUP"] = secret.group(1)
            if address:
                self.host, self.port = address.group(1), int(address.group(2))
                self.vars["BASE"] = "http://%s:%d" % (self.host, self.port)
                # The link follows in the same write; a moment for it.
                threading.Timer(0.05, ready.set).start()
        ready.set()

    def tail(self, lines=40):
        self.log.flush()
        with open(self.log.name, "rb") as f:
            return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines if lines else None:])

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def stop(self):
        """Ends it; a word of what was wrong, or None."""
        wrong = None
        if self.process.poll() is not None:
            wrong = "the server ended by itself with %s:\n%s" % (self.process.returncode, self.tail())
        else:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(STOP_SECONDS)
                if code:
                    wrong = "the server ended with %d after SIGTERM:\n%s" % (code, self.tail())
            except subprocess.TimeoutExpired:
                wrong = "the server did not stop within %d s:\n%s" % (STOP_SECONDS, self.tail())
        self.kill()
        if not wrong and re.search(r"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|runtime error:", self.tail()):
            wrong = "a sanitizer spoke:\n" + self.tail()
        self.log.close()
        if os.environ.get("CHIRON_KEEP"):
            print("  kept " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return wrong

    def request(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_SECONDS)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None and not any(name.lower() == "content-length" for name, _ in headers):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            # A server that refuses from the headers may close before it has read the body; its reply still counts.
            try:
                if body:
                    connection.send(body)
            except OSError:
                pass
            reply = connection.getresponse()
            return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        except (OSError, http.client.HTTPException) as why:
            raise Failed("%s %s: %r\n%s" % (method, path, why, self.tail()))
        finally:
            connection.close()

    def run(self, words):
        done = subprocess.run([self.binary] + words[:1] + ["--data", self.data] + words[1:], cwd=ROOT, env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=REQUEST_SECONDS)
        return Reply(done.returncode, {"stderr": done.stderr.decode("utf-8", "replace")}, done.stdout, "run")


MISSING = object()


def select(value, path):
    """The values at a path: a list with one, or with every one that [*] reached."""
    found = [value]
    for part in re.findall(r"[^.\[\]]+|\[-?\d+\]|\[\*\]", "" if path == "." else path):
        step = []
        for v in found:
            if part == "[*]":
                step.extend(v if isinstance(v, list) else [MISSING])
            elif part.startswith("["):
                i = int(part[1:-1])
                step.append(v[i] if isinstance(v, list) and -len(v) <= i < len(v) else MISSING)
            else:
                step.append(v.get(part, MISSING) if isinstance(v, dict) else MISSING)
        found = step
    return found


def literal(text):
    try:
        return json.loads(text)
    except ValueError:
        raise Failed("not a JSON value in the test: " + text)


def compare(value, op, text):
    if op == "exists":
        return value is not MISSING
    if value is MISSING:
        return False
    if op == "len":
        parts = text.split(None, 1)
        n, op, text = len(value) if hasattr(value, "__len__") else -1, parts[0] if len(parts) > 1 else "==", parts[-1]
        return compare(n, op, text)
    want = literal(text)
    if op == "~":
        return isinstance(value, str) and re.search(want, value) is not None
    if op == "contains":
        return isinstance(value, (str, list, dict)) and want in value
    if op in ("==", "!="):
        same = value == want and isinstance(value, bool) == isinstance(want, bool)
        return same == (op == "==")
    if isinstance(value, bool) or isinstance(value, str) != isinstance(want, str) or value is None:
        return False
    return {">": value > want, ">=": value >= want, "<": value < want, "<=": value <= want}[op]


OPERATORS = r"==|!=|>=|<=|>|<|~|contains|exists|len"


def value_of(reply, text):
    """What a save or the left side of an expectation names."""
    event = re.match(r"event (\S+) json (\S+)$", text)
    if event:
        return select(reply.event(event.group(1)), event.group(2))
    if text.startswith("json "):
        return select(reply.json(), text[5:].strip())
    if text.startswith("header "):
        return [reply.headers.get(text[7:].strip().lower(), MISSING)]
    if text == "body":
        return [reply.body]
    if text == "log":
        return [reply.log]
    if text == "stderr":
        return [reply.headers.get("stderr", MISSING)]
    raise Failed("the test names something unknown: " + text)


def holds(reply, text):
    if reply.kind == "run":
        code = re.fullmatch(r"exit (\d+)", text)
        if code:
            return reply.status == int(code.group(1)), reply.status
    elif re.fullmatch(r"[\dx|]+", text):
        ok = any(re.fullmatch(p.replace("x", r"\d"), str(reply.status)) for p in text.split("|"))
        return ok, reply.status
    parts = re.match(r"((?:event \S+ )?json \S+|header \S+|body|log|stderr)\s+(" + OPERATORS + r")(?:\s+(.*))?$", text, re.S)
    if not parts:
        raise Failed("the test expects something unknown: " + text)
    values = value_of(reply, parts.group(1))
    ok = bool(values) and all(compare(v, parts.group(2), (parts.group(3) or "").strip()) for v in values)
    return ok, ["missing" if v is MISSING else v for v in values]


class Scenario:
    def __init__(self, server, variables):
        self.server, self.vars = server, variables
        self.reply, self.pending, self.authorization = None, None, None

    def fill(self, text):
        text = re.sub(r"\{\{(.+?)\*(\d+)\}\}", lambda m: m.group(1) * int(m.group(2)), text)
        return re.sub(r"\$([A-Z][A-Z0-9_]*)", lambda m: str(self.vars.get(m.group(1), m.group(0))), text)

    def given(self, text):
        words = shlex.split(text)
        if words[0] == "creator":
            reply = self.server.run(["token", "--creator", words[1]])
            if reply.status:
                raise Failed("cannot make the creator: " + reply.headers["stderr"])
        elif words[0] == "token":
            name, args = "T", ["token"]
            if "as" in words:
                name = words[words.index("as") + 1]
                words = words[:words.index("as")]
            for word in words[1:]:
                flag, value = word.split("=", 1)
                args += ["--" + flag, value]
            reply = self.server.run(args)
            if reply.status:
                raise Failed("cannot make a token: " + reply.headers["stderr"])
            self.vars[name] = reply.body.strip()
        elif words[0] == "ingest":
            flags = [w.split("=", 1) for w in words[1:] if "=" in w]
            args = ["ingest"] + [x for k, v in flags for x in ("--" + k, v)] + [w for w in words[1:] if "=" not in w]
            reply = self.server.run(args)
            if reply.status:
                raise Failed("cannot ingest: " + reply.headers["stderr"])
        else:
            raise Failed("the test gives something unknown: " + text)

    def send(self):
        if not self.pending:
            return
        p, self.pending = self.pending, None
        headers, body = list(p["headers"]), p["body"]
        if p["parts"]:
            boundary = uuid.uuid4().hex
            body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in p["parts"])
            body += b"--" + boundary.encode() + b"--\r\n"
            headers.append(("Content-Type", "multipart/form-data; boundary=" + boundary))
        elif body is not None:
            body = body.encode("utf-8", "surrogateescape")
            if not any(n.lower() == "content-type" for n, _ in headers):
                headers.append(("Content-Type", "application/json"))
        elif p["method"] not in ("GET", "HEAD", "OPTIONS"):
            body = b""
        for name, value in headers:
            if name.lower() == "authorization":
                self.authorization = value
        self.reply = self.server.request(p["method"], p["path"], headers, body)

    def part(self, kind, text):
        name, rest = text.split("=", 1)
        if kind == "form":
            return ('Content-Disposition: form-data; name="%s"\r\n\r\n' % name).encode() + rest.encode()
        words = shlex.split(rest)
        options = dict(w.split("=", 1) for w in words[1:])
        with open(os.path.join(ROOT, words[0]), "rb") as f:
            content = f.read()
        head = 'Content-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: %s\r\n\r\n' % (
            name, options.get("filename", os.path.basename(words[0])), options.get("type", "application/octet-stream"))
        return head.encode() + content

    def own_headers(self):
        return [("Authorization", self.authorization)] if self.authorization else []

    def wait(self, text):
        until = time.time() + 120
        while time.time() < until:
            reply = self.server.request("GET", "/api/v1/jobs/" + text.split()[1], self.own_headers(), None)
            if reply.status != 200:
                raise Failed("the job's state is %d: %s" % (reply.status, reply.body[:300]))
            if reply.json()["state"] not in ("queued", "running"):
                self.reply = reply
                return
            time.sleep(0.05)
        raise Failed("the job did not end within 120 s: " + reply.body[:300])

    def poll(self, text):
        m = re.match(r"GET (\S+) until (.*) within (\d+)\s*s$", text)
        if not m:
            raise Failed("poll is: GET path until EXPECTATION within Ns")
        until, seen = time.time() + int(m.group(3)) * SLOW, None
        while True:
            self.reply = self.server.request("GET", m.group(1), self.own_headers(), None)
            try:
                ok, seen = holds(self.reply, m.group(2))
            except Failed as why:
                ok, seen = False, why
            if ok:
                return
            if time.time() > until:
                raise Failed("not within %s s: %s; last %s" % (m.group(3), m.group(2), seen))
            time.sleep(0.1)

    def line(self, key, text):
        if key == "body" and self.pending is not None:
            self.pending["body"] = self.fill(text)
            return
        text = self.fill(text)
        if key in ("header", "file", "form") and self.pending is None:
            raise Failed(key + ": without a request before it")
        if key == "request":
            self.send()
            method, path = text.split(None, 1)
            self.pending = {"method": method, "path": path.strip(), "headers": [], "body": None, "parts": []}
        elif key == "header":
            name, value = text.split(":", 1)
            self.pending["headers"].append((name.strip(), value.strip()))
        elif key in ("file", "form"):
            self.pending["parts"].append(self.part(key, text))
        else:
            self.send()
            if key == "given":
                self.given(text)
            elif key == "run":
                self.reply = self.server.run(shlex.split(text))
            elif key == "wait":
                self.wait(text)
            elif key == "poll":
                self.poll(text)
            elif self.reply is None:
                raise Failed(key + ": without a request before it")
            elif key in ("expect", "expect-not"):
                if " log " in " " + text:
                    self.reply.log = self.server.tail(None)
                ok, seen = holds(self.reply, text)
                if ok != (key == "expect"):
                    shown = self.reply.body[:600] or self.reply.headers.get("stderr", "")
                    raise Failed("%s: %s\n    got: %.300s\n    reply %s: %s" % (key, text[:400], seen, self.reply.status, shown))
            elif key == "save":
                name, what = [x.strip() for x in text.split("=", 1)]
                what, _, pattern = what.partition(" ~ ")
                value = value_of(self.reply, what)
                if not value or value[0] is MISSING:
                    raise Failed("nothing to save at " + what + " in " + self.reply.body[:400])
                saved = value[0] if isinstance(value[0], str) else json.dumps(value[0])
                part = re.search(json.loads(pattern), saved) if pattern else None
                if pattern and not part:
                    raise Failed("nothing to save: " + what + " is " + saved[:400])
                self.vars[name] = part.group(1) if part else saved
            else:
                raise Failed("the test says something unknown: " + key)


def read_file(path):
    head, blocks = [], []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line.startswith("== "):
                blocks.append((line[3:].strip(), number, []))
                continue
            lines = blocks[-1][2] if blocks else head
            if line.startswith("  ") and lines and lines[-1][0] == "body":
                lines[-1][1] += "\n" + line[2:]
                continue
            if not line.strip() or line.startswith("#"):
                continue
            m = re.match(r"\s*([a-z-]+):\s?(.*)$", line)
            if not m:
                raise Failed("%s:%d: not a line of a test: %s" % (path, number, line))
            lines.append([m.group(1), m.group(2), number])
    return head, blocks


def run_file(binary, path):
    name = os.path.basename(path)
    passed = failed = skipped = 0
    try:
        head, blocks = read_file(path)
    except Failed as why:
        print("FAIL %s: %s" % (name, why))
        return 0, 1, 0
    flags, env = [], {}
    for key, text, _ in head:
        text = text.replace("$TEST", os.path.abspath(ROOT))
        if key == "serve":
            flags += shlex.split(text)
        elif key == "env":
            env.update([text.split("=", 1)])
        elif key == "need" and not os.path.exists(os.path.join(ROOT, os.path.expandvars(text))):
            print("skip %s: there is no %s" % (name, text))
            return 0, 0, len(blocks)
    try:
        server = Server(binary, flags, env)
    except Failed as why:
        print("FAIL %s: %s" % (name, why))
        return 0, len(blocks), 0
    variables = server.vars
    try:
        for title, _, lines in blocks:
            scenario, number, begun = Scenario(server, variables), 0, time.time()
            try:
                for key, text, number in lines:
                    scenario.line(key, text)
                scenario.send()
                passed += 1
                print("ok   %s: %s (%.2f s)" % (name, title, time.time() - begun))
            except Exception as why:  # a broken test must not hide the others
                failed += 1
                words = str(why) if isinstance(why, Failed) else repr(why)
                print("FAIL %s:%d: %s\n    %s" % (name, number, title, words))
            sys.stdout.flush()
    finally:
        wrong = server.stop()
    if wrong:
        failed += 1
        print("FAIL %s: %s" % (name, wrong))
    return passed, failed, skipped


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total = [0, 0, 0]
    for path in sys.argv[2:]:
        for i, n in enumerate(run_file(sys.argv[1], path)):
            total[i] += n
    print("api: %d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())

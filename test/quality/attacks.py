#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What strangers and careless clients send, against the real binary: injection strings in every text of every route, bodies and heads
that are too deep, too long or too slow, one person's erasure while they write, and fifty clients that go from creator to
creator (CRE-017, CRE-085, TEN-046). Every reply is below 500 and says nothing of another's.

usage: attacks.py BINARY
"""
import http.client
import json
import os
import random
import re
import socket
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from api_test import Failed, Server  # noqa: E402

PASSWORD = "Quiet-harbour-7-lantern"
QUIET = {"LLM_CHAIN": "extractive", "RATE_LIMIT_ENABLED": "false", "LIMIT_AUTH": "0", "LIMIT_GUESS": "0", "LIMIT_OFFENCES": "0", "MAIL_URL": "",
         "LOG_LEVEL": "info", "COHERE_API_KEY": ""}
LOG_LINE = "evil-line-in-the-log"
STRINGS = [
    "x' OR '1'='1' --", "x\"); DROP TABLE turn; --", "' UNION SELECT hash FROM api_key --", "a\r\nX-Evil: 1\r\n\r\n<html>", "a\n" + LOG_LINE,
    "../../../../../../etc/passwd", "..\\..\\accounts.db", "%2e%2e%2f%2e%2e%2faccounts.db", "<script>alert(1)</script>{{7*7}}${7*7}", "%s%n%x%p",
    "\u202edrow\u2066 \u0639\u0644\u064a \U0001f9ed\u200d", "\x1b[31m\x07", "A" * 10000,
]
CLIENTS, CREATORS, CLIENT_SECONDS, SLOW_SOCKETS = 50, 8, 6, 60
wrong = []


def fail(words):
    if len(wrong) < 40:
        print("WRONG " + words[:600])
    wrong.append(words)


class Client:
    """A kept connection; a reply is (status, headers, body as text)."""

    def __init__(self, server, token=None):
        self.server, self.token, self.link = server, token, None

    def ask(self, method, path, body=None, headers=None, token=None, raw=None):
        head = {"Accept": "application/json"}
        token = token or self.token
        if token:
            head["Authorization"] = "Bearer " + token
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        for _ in range(2):
            try:
                if not self.link:
                    self.link = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
                self.link.request(method, path, data, head)
                r = self.link.getresponse()
                # A stream ends when its reader goes.
                if r.getheader("content-type", "").startswith("text/event-stream"):
                    text = r.read1(65536)
                    self.link.close()
                    self.link = None
                else:
                    text = r.read()
                return r.status, r.getheaders(), text.decode("utf-8", "replace")
            except (http.client.HTTPException, OSError):
                if self.link:
                    self.link.close()
                self.link = None
        raise Failed("no reply to %s %s" % (method, path[:200]))

    def must(self, method, path, body=None, **more):
        status, _, text = self.ask(method, path, body, **more)
        if not 200 <= status < 300:
            raise Failed("%s %s answered %d %s" % (method, path, status, text[:300]))
        return json.loads(text) if text else None


def look(server, method, path, status, headers, text):
    """What no reply may be or hold, whatever was asked."""
    if status >= 500 and not (status == 503 and "no mail server" in text):
        fail("%s %s answered %d %s" % (method, path, status, text))
    for name, value in headers:
        if name.lower() in ("x-evil", "set-cookie") and "chiron_refresh" not in value:
            fail("%s %s reflects a header: %s: %s" % (method, path, name, value))
    if "root:x:" in text or "SQLite format 3" in text or "no such table" in text or re.search(r'near \\?".*syntax error', text):
        fail("%s %s shows %s" % (method, path, text))


# ---- injection ----

def texts(schema, at=()):
    """Where a body takes any text: tuples of member names and 0 for the first of a list."""
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds and "enum" not in schema:
        yield at
    for name, inner in (schema.get("properties") or {}).items():
        yield from texts(inner, at + (name,))
    if "items" in schema:
        yield from texts(schema["items"], at + (0,))


# What the handlers take where the schema says only "text", so that the text beside it is looked at.
LIKELY = {"email": "quiet@example.org", "password": PASSWORD, "current_password": PASSWORD, "role": "analyst", "scopes": "ask", "permissions": "ask",
          "model": "attack-a", "purpose": "sign_in", "language": "en", "code": "000000", "totp": "000000", "user_id": "quiet", "confirm": "no",
          "creator_id": "attack-a", "as_of": "2026-01-01T00:00:00Z", "content_type": "document", "url": "https://example.org/"}


def plain(schema, named=""):
    """The least that a schema takes."""
    if named in LIKELY and "enum" not in schema and "string" in (schema.get("type") or ""):
        return LIKELY[named]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {n: plain(schema["properties"][n], n) for n in schema.get("required", []) if n in schema.get("properties", {})}
    if kind == "array":
        return [plain(schema.get("items", {}), named)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return False if kind == "boolean" else "quiet" * max(1, schema.get("minLength", 0) // 5 + 1)


def put(schema, body, at, value):
    here, inner = body, schema
    for i, name in enumerate(at):
        inner = inner["items"] if name == 0 else inner["properties"][name]
        last = i == len(at) - 1
        new = value if last else plain(inner, str(name))
        if name == 0:
            here[:] = [new] if last or not here else here
            here = here[0]
        else:
            if last or name not in here:
                here[name] = new
            here = here[name]
    return body


def injections(server, owner):
    """Every text of every body, every parameter of every path, as the owner, who may do everything."""
    asked = 0
    client = Client(server, owner)
    api = client.must("GET", "/openapi.json")
    quoted = [urllib.parse.quote(s, safe="") for s in STRINGS]
    for path, methods in api["paths"].items():
        for method, op in methods.items():
            method = method.upper()
            # What ends the caller's own sign-in or creator would end the walk.
            if (method, path) in (("POST", "/api/v1/auth/logout"), ("DELETE", "/api/v1/creator"), ("DELETE", "/api/v1/auth/me")):
                continue
            holes = re.findall(r"\{[^}]*\}", path)
            filled = re.sub(r"\{[^}]*\}", "nothing", path)
            for hole in holes:
                for text in quoted:
                    if len(text) > 8000:
                        continue
                    to = re.sub(r"\{[^}]*\}", "nothing", path.replace(hole, text))
                    look(server, method, to, *client.ask(method, to))
                    asked += 1
            names = [p["name"] for p in op.get("parameters", []) if p.get("in") == "query"] or (["q"] if method == "GET" else [])
            for name in names:
                for text in quoted:
                    to = "%s?%s=%s" % (filled, name, text)
                    look(server, method, to, *client.ask(method, to))
                    asked += 1
            for kind, content in (op.get("requestBody") or {}).get("content", {}).items():
                if kind != "application/json":
                    continue
                schema = content["schema"]
                for at in texts(schema):
                    for text in STRINGS:
                        look(server, method, filled + " body " + repr(at), *client.ask(method, filled, put(schema, plain(schema), at, text)))
                        asked += 1
    for name in ("X-Request-ID", "Idempotency-Key", "X-Chiron-User", "Origin", "X-Forwarded-For", "X-Forwarded-Proto", "User-Agent", "Accept-Language",
                 "X-Deadline-Ms", "If-None-Match", "Cookie", "Range"):
        for text in STRINGS:
            value = text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")[:6000].decode("latin-1")
            look(server, "POST", "header " + name, *client.ask("POST", "/api/v1/coaching/search", {"query": "sleep"}, headers={name: value}))
            asked += 1
    if re.search("^" + LOG_LINE, server.tail(0), re.M):
        fail("a line of the log was written by a request")
    return asked


def forms(server, owner):
    """Names of files, of fields and of types that mean something elsewhere."""
    client, asked = Client(server, owner), 0
    for text in STRINGS:
        safe = text.replace("\r", "").replace("\n", "")
        quoted = safe.replace("\\", "\\\\").replace('"', '\\"')
        for field, name in (("title", "a.txt"), ("metadata", "a.txt"), ("replace", "a.txt"), ("user_id", "a.txt"), ("content_type", "a.txt"), ("", quoted), (quoted, "a.txt")):
            part = ('--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (field, safe)) if field else ""
            body = part + '--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: text/plain\r\n\r\nQuiet %d.\r\n--b--\r\n' % (name, asked)
            status, headers, text_out = client.ask("POST", "/api/v1/hub/documents", raw=body.encode("utf-8", "surrogatepass"),
                                                   headers={"Content-Type": "multipart/form-data; boundary=b"})
            look(server, "POST", "form " + field[:20], status, headers, text_out)
            asked += 1
            for d in json.loads(text_out).get("documents", []) if status == 202 else []:
                if "/" in d["filename"] or "\\" in d["filename"]:
                    fail("a file's name has a path in it: %r" % d["filename"])
    for root, _, files in os.walk(server.dir):
        for f in files:
            if "passwd" in f or "alert" in f or "DROP" in f:
                fail("a file was called what the client called it: %s/%s" % (root, f))
    return asked


def kept_exactly(server, owner):
    client = Client(server, owner)
    for i, text in enumerate(STRINGS):
        clean = "\r" not in text and "\n" not in text and "\x1b" not in text and "\u202e" not in text and len(text) < 500
        said = client.must("PUT", "/api/v1/coach", {"name": "Coach", "description": text[:3000]})
        if said["description"] != text[:3000] or client.must("GET", "/api/v1/coach")["description"] != text[:3000]:
            fail("the coach's description is not kept: %r" % text[:80])
        if clean:
            user = client.must("PUT", "/api/v1/users/kept-%d" % i, {"name": text, "attributes": {"note": text}})
            back = client.must("GET", "/api/v1/users/kept-%d" % i)
            if user["name"] != text or back["name"] != text or back["attributes"] != {"note": text}:
                fail("a user's name is not kept: %r" % text[:80])
        made = client.must("POST", "/api/v1/coaching/documents", {"text": "Before. " + text + " After.", "metadata": {"note": text}})
        page = client.must("GET", "/api/v1/hub/documents/%s/pages/0" % made["document_id"])
        back = client.must("GET", "/api/v1/hub/documents/" + made["document_id"])
        if back["metadata"] != {"note": text}:
            fail("a document's metadata is not kept: %r" % text[:80])
        if clean and text not in page["text"]:
            fail("a document's text is not kept: %r" % text[:80])
        asked = client.must("POST", "/api/v1/coaching/ask", {"question": text})
        if client.must("GET", "/api/v1/turns/" + asked["id"])["question"] != text:
            fail("a question is not kept: %r" % text[:80])


# ---- shapes ----

def shapes(server, owner):
    client = Client(server, owner)
    deep = {"array": b"[" * 100000, "object": b'{"a":' * 100000, "closed": b"[" * 5000 + b"]" * 5000}
    for name, raw in deep.items():
        look(server, "POST", "deep " + name, *client.ask("POST", "/api/v1/coaching/search", raw=raw))
    many = {
        "members": json.dumps({"query": "x", **{"m%d" % i: i for i in range(50000)}}).encode(), "numbers": b'{"query":"x","k":' + b"9" * 100000 + b"}",
        "twice": b'{"query":"a","query":"b"}', "nul": b'{"query":"a\\u0000b"}', "surrogate": b'{"query":"\\ud800"}', "bytes": b'{"query":"\xff\xfe"}',
        "none": b"", "half": b'{"query":"a', "huge": b'{"query":"' + b"a" * (2 << 20) + b'"}', "real": b'{"query":"x","k":1e999}',
    }
    for name, raw in many.items():
        status, headers, text = client.ask("POST", "/api/v1/coaching/search", raw=raw)
        look(server, "POST", name, status, headers, text)
        if name in ("half", "none", "twice", "nul", "surrogate", "bytes", "huge") and not 400 <= status < 500:
            fail("a body that is %s answered %d" % (name, status))
    mail = "a" * 10000 + "@example.org"
    for path, body in (("/api/v1/auth/register", {"email": mail, "password": PASSWORD, "full_name": "A"}), ("/api/v1/auth/login", {"email": mail, "password": PASSWORD}),
                       ("/api/v1/auth/link", {"email": mail, "purpose": "sign_in"}), ("/api/v1/members", {"email": mail, "role": "editor"}),
                       ("/api/v1/auth/login", {"email": "a@example.org", "password": "p" * 15000})):
        status, headers, text = client.ask("POST", path, body)
        look(server, "POST", path, status, headers, text)
        if not 400 <= status < 500 and "no mail server" not in text:
            fail("an address of 10 kB answered %d at %s" % (status, path))
    for size in (9000, 100000, 1 << 20):
        for name, value in (("Authorization", "Bearer " + "A" * size), ("X-API-Key", "chk_" + "A" * size), ("Cookie", "chiron_refresh=" + "A" * size)):
            status = head_only(server, b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\n" + ("%s: %s\r\n\r\n" % (name, value)).encode())
            if status and (status >= 500 or status < 400):
                fail("a %s of %d bytes answered %d" % (name, size, status))
    for line in (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /api/v1/hub/documents/%00 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /%ff%fe HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET /assets/../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"GET //api/v1/me HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, b"POST /api/v1/coaching/search HTTP/1.1\r\n"
                 b"Host: a\r\nContent-Length: -1\r\n\r\n", b"POST /api/v1/coaching/search HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(5000)) + b"\r\n"):
        status = head_only(server, line)
        if status and (status >= 500 and status != 505 or status < 300):
            fail("%r answered %d" % (line[:60], status))


def head_only(server, data):
    """The status of the reply to raw bytes, 0 when the connection was closed instead."""
    with socket.create_connection((server.host, server.port), timeout=20) as s:
        try:
            s.sendall(data)
            got = s.recv(4096)
        except OSError:
            return 0
    found = re.match(rb"HTTP/1\.[01] (\d+)", got)
    return int(found.group(1)) if found else 0


def slow(server, owner):
    """Clients that send a byte now and then: the others do not notice."""
    sockets = []
    for i in range(SLOW_SOCKETS):
        s = socket.create_connection((server.host, server.port), timeout=20)
        s.sendall((b"POST /api/v1/coaching/search HTTP/1.1\r\nHost: a\r\nContent-Le", b"POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   b"Content-Length: 100\r\n\r\n{")[i % 2])
        sockets.append(s)
    client, worst = Client(server, owner), 0
    for i in range(40):
        for s in sockets[:10]:
            try:
                s.sendall(b"a")
            except OSError:
                pass
        begun = time.monotonic()
        client.must("GET", "/api/v1/me")
        worst = max(worst, time.monotonic() - begun)
    for s in sockets:
        s.close()
    if worst > 2:
        fail("a request took %.1f s beside slow clients" % worst)


# ---- many at once ----

def register(server, name):
    s = Client(server).must("POST", "/api/v1/auth/register", {"email": name + "@example.org", "password": PASSWORD, "full_name": "Owner " + name,
                                                              "creator_id": name, "creator_name": "House " + name})
    return s["access_token"]


def crowd(server):
    """Everybody has a word of their own in what they keep; nobody ever reads another's."""
    people = []
    for i in range(CREATORS):
        name = "crowd%d" % i
        owner = Client(server, register(server, name))
        common = "zc%dq" % i
        owner.must("POST", "/api/v1/coaching/documents", {"text": "The house of %s rows at dawn." % common, "title": common})
        for u in range(3):
            user, mark = "%s-u%d" % (name, u), "zu%dx%dq" % (i, u)
            token = owner.must("POST", "/api/v1/users/%s/token" % user, {})["access_token"]
            mine = Client(server, token)
            mine.must("POST", "/api/v1/embeddings/generate", {"text": "My goal is to row like %s" % mark, "user_id": user, "content_type": "goal"})
            mine.must("POST", "/api/v1/coaching/ask", {"question": "When does %s row?" % mark})
            people.append((token, user, mark, common))
    marks = {m for _, _, mark, common in people for m in (mark, common)}
    until, done, lock = time.monotonic() + CLIENT_SECONDS, [0], threading.Lock()

    def one(seed):
        dice, client, n = random.Random(seed), Client(server), 0
        try:
            while time.monotonic() < until:
                token, user, mark, common = dice.choice(people)
                path, body = dice.choice([
                    ("/api/v1/rag/query", {"query": "who rows at dawn and what is my goal", "user_id": user}),
                    ("/api/v1/coaching/search", {"query": "row at dawn"}), ("/api/v1/search/hybrid", {"query": "my goal is to row", "user_id": user}),
                    ("/api/v1/turns?limit=20", None), ("/api/v1/me", None), ("/api/v1/auth/me/export", None), ("/api/v1/coach", None),
                ])
                status, headers, text = client.ask("POST" if body else "GET", path, body, token=token)
                look(server, "crowd", path, status, headers, text)
                if status != 200:
                    fail("crowd: %s answered %d %s" % (path, status, text))
                for word in marks - {mark, common}:
                    if word in text:
                        fail("crowd: %s read %s at %s" % (user, word, path))
                n += 1
        except Exception as e:  # noqa: BLE001
            fail("crowd: %r" % e)
        with lock:
            done[0] += n

    threads = [threading.Thread(target=one, args=(i,)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return done[0]


def erase_while_writing(server, owner):
    """What was acknowledged before an erasure is gone after it, and nothing comes back."""
    boss = Client(server, owner)
    for turn in range(3):
        user, mark = "leaver%d" % turn, "zleaver%dq" % turn
        token = boss.must("POST", "/api/v1/users/%s/token" % user, {})["access_token"]
        stop, kept = threading.Event(), []

        def write(seed):
            client, i = Client(server, token), 0
            while not stop.is_set() and i < 400:
                i += 1
                status, headers, text = client.ask(*[
                    ("POST", "/api/v1/embeddings/generate", {"text": "%s writes %d %d" % (mark, seed, i), "user_id": user, "content_type": "goal"}),
                    ("POST", "/api/v1/coaching/ask", {"question": "Will %s stay %d %d?" % (mark, seed, i)}),
                ][i % 2])
                look(server, "writing", user, status, headers, text)
                kept.append(status)
                if status == 401:
                    break

        threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        time.sleep(0.4)
        certificate = boss.must("DELETE", "/api/v1/users/" + user)
        time.sleep(0.3)
        stop.set()
        for t in threads:
            t.join()
        if not any(s == 200 for s in kept):
            fail("nothing was written before the erasure")
        if "tables" not in certificate:
            fail("the certificate names no tables: %s" % certificate)
        for path in ("/api/v1/turns?limit=100", "/api/v1/users?q=" + user, "/api/v1/audit?limit=200"):
            _, _, text = boss.ask("GET", path)
            if mark in text or (user in text and "audit" not in path):
                fail("after the erasure %s holds the user's words: %s" % (path, text[max(0, text.find(mark) - 100):][:300]))
        found = boss.must("POST", "/api/v1/coaching/search", {"query": mark + " writes"})
        if mark in json.dumps(found["documents"]):
            fail("after the erasure a search finds the user's words")
        if Client(server, token).ask("GET", "/api/v1/me")[0] != 401:
            fail("an erased user's token still opens the door")


def replays(server, owner, other):
    """One key, two creators: neither gets the other's reply."""
    body = {"text": "The replayed harbour.", "title": "zreplay"}
    first = Client(server, owner).must("POST", "/api/v1/coaching/documents", body, headers={"Idempotency-Key": "one-key"})
    again = Client(server, owner).must("POST", "/api/v1/coaching/documents", body, headers={"Idempotency-Key": "one-key"})
    theirs = Client(server, other).must("POST", "/api/v1/coaching/documents", body, headers={"Idempotency-Key": "one-key"})
    if again["document_id"] != first["document_id"]:
        fail("the same key and body did not give the same reply")
    if theirs["document_id"] == first["document_id"]:
        fail("another creator got the reply to somebody else's key")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    server = Server(sys.argv[1], [], dict(QUIET))
    begun = time.monotonic()

    def said(words):
        print("%5.1f s  %s" % (time.monotonic() - begun, words), flush=True)

    try:
        owner, other = register(server, "attack-a"), register(server, "attack-b")
        kept_exactly(server, owner)
        said("what is stored is kept exactly")
        shapes(server, owner)
        said("shapes")
        slow(server, owner)
        said("slow clients")
        replays(server, owner, other)
        erase_while_writing(server, owner)
        said("erasing while writing")
        said("%d requests of %d clients at once" % (crowd(server), CLIENTS))
        said("%d forms" % forms(server, owner))
        said("%d injections" % injections(server, owner))
    except Failed as why:
        fail(str(why))
    finally:
        end = server.stop()
    if end:
        fail(end)
    print("%d wrong" % len(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

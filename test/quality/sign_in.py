#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signing up and in when it matters: at the same moment, again, from elsewhere, too often, and when the server dies of it. Shown:
of many registrations of one address one wins and the others leave nothing (CRE-008); one set-up link makes one owner; a
refresh token used twice, or by two at once, ends its session (CRE-011); who signed out is refused within a second by another
process too; a code of the second factor counts once (CRE-015); the sign-in cookie is of no use to another page; ten thousand
wrong passwords cost no hashes, lock nobody else out and outlast a restart (CRE-014); known and unknown addresses take as long
(CRE-009); a server killed while people register leaves whole accounts or none.

usage: sign_in.py CHIRON
"""
import atexit
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

PASSWORD = "slow rivers carry stones"


def expect(right, words, *values):
    if not right:
        sys.exit("FAIL: " + words % values)


class Reply:
    def __init__(self, r):
        self.status, self.headers, raw = r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        self.json = json.loads(raw) if raw else None


class Server:
    def __init__(self, chiron, data, **env):
        e = dict(os.environ, LOG_FORMAT="json", LOG_LEVEL="warn", JWT_SECRET_KEY="a secret of the test that is long enough", LIMIT_AUTH="0")
        e.update(env)
        self.log = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen([chiron, "serve", "--data", data, "--listen", "127.0.0.1:0"], env=e, stdout=subprocess.PIPE,
                                      stderr=self.log, text=True)
        atexit.register(self.child.kill)
        self.secret = None
        first = self.child.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", first)
        expect(found, "the server did not start: %s", self.words())
        self.port = int(found.group(1))
        if not os.path.exists(data + "/.asked"):
            open(data + "/.asked", "w").close()
            self.secret = self.child.stdout.readline().split("setup=")[1].strip()

    def words(self):
        self.log.seek(0)
        return self.log.read()

    def call(self, method, path, body=None, token=None, source=None, **headers):
        k = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=(source, 0) if source else None)
        h = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            h["Authorization"] = "Bearer " + token
        h.update({n.replace("_", "-"): v for n, v in headers.items()})
        k.request(method, path, None if body is None else json.dumps(body), {n: v for n, v in h.items() if v is not None})
        r = Reply(k.getresponse())
        k.close()
        return r

    def post(self, path, body, token=None, **more):
        return self.call("POST", "/api/v1/auth/" + path, body, token, **more)

    def metric(self, name):
        k = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        k.request("GET", "/metrics")
        m = re.search(r"^%s ([0-9.e+]+)$" % name, k.getresponse().read().decode(), re.M)
        k.close()
        return float(m.group(1)) if m else 0.0

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        expect(self.child.wait(60) == 0, "the server did not end well: %s", self.words())
        expect("Sanitizer" not in self.words(), "%s", self.words())


def at_once(n, f):
    """What f gave in n threads that began together."""
    gate, out = threading.Barrier(n), [None] * n

    def one(i):
        gate.wait()
        out[i] = f(i)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect(None not in out, "a thread failed")
    return out


def rows(data, sql, *values):
    with sqlite3.connect("file:%s/accounts.db?mode=ro" % data, uri=True, timeout=30) as db:
        return db.execute(sql, values).fetchall()


def register(s, email, name="Somebody New", **more):
    r = s.post("register", dict(email=email, password=PASSWORD, full_name=name), **more)
    expect(r.status == 201, "registering %s: %d %r", email, r.status, r.json)
    return r.json


def login(s, email, password=PASSWORD, source=None, **more):
    return s.post("login", dict(email=email, password=password, **more), source=source)


def registering_at_once(s, data):
    body = dict(email="twins@example.com", password=PASSWORD, full_name="Twin Sister")
    got = sorted(r.status for r in at_once(8, lambda i: s.post("register", dict(body, email=" TWINS@example.com" if i & 1 else body["email"]))))
    expect(got == [201] + [409] * 7, "eight registrations of one address: %r", got)
    expect(rows(data, "SELECT count(*) FROM account WHERE email = 'twins@example.com'") == [(1,)], "accounts")
    expect(rows(data, "SELECT count(*) FROM creator WHERE id LIKE 'twin%'") == [(1,)], "the losers left creators")
    got = sorted(r.status for r in at_once(4, lambda i: s.post("register", dict(body, email="c%d@example.com" % i, creator_id="one-of-a-kind"))))
    expect(got == [201, 409, 409, 409], "four registrations of one creator: %r", got)
    expect(rows(data, "SELECT count(*) FROM account WHERE email LIKE 'c_@example.com'") == [(1,)], "the losers left accounts")


def setting_up_at_once(s, data):
    got = at_once(6, lambda i: s.call("POST", "/api/v1/setup", dict(secret=s.secret, email="owner%d@example.com" % i, password=PASSWORD)))
    codes = sorted(r.status for r in got)
    expect(codes == [200] + [401] * 5, "six set-ups at once: %r", codes)
    expect(rows(data, "SELECT count(*) FROM member WHERE creator_id = 'home'") == [(1,)], "owners")
    expect(rows(data, "SELECT count(*) FROM account WHERE email LIKE 'owner%'") == [(1,)], "the losers left accounts")
    owner = [r.json for r in got if r.status == 200][0]
    expect(owner["role"] == "owner" and owner["creator_id"] == "home", "%r", owner)


def refreshing(s):
    r1 = register(s, "fresh@example.com")
    r2 = s.post("refresh", dict(refresh_token=r1["refresh_token"]))
    expect(r2.status == 200, "refresh: %r", r2.json)
    expect(s.post("refresh", dict(refresh_token=r1["refresh_token"])).status == 401, "a used refresh token is taken again")
    expect(s.post("refresh", dict(refresh_token=r2.json["refresh_token"])).status == 401, "the family lives on after a reuse")
    expect(s.call("GET", "/api/v1/auth/me", token=r2.json["access_token"]).status == 401, "its access token is good after a reuse")
    one = login(s, "fresh@example.com").json
    got = at_once(8, lambda i: s.post("refresh", dict(refresh_token=one["refresh_token"])))
    won = [r.json for r in got if r.status == 200]
    expect(len(won) <= 1 and all(r.status in (200, 401) for r in got), "eight at once: %r", [r.status for r in got])
    for w in won:
        expect(s.post("refresh", dict(refresh_token=w["refresh_token"])).status == 401, "the family lives on after eight used one token")


def signing_out(s, chiron, data):
    t = register(s, "leaver@example.com")["access_token"]
    other = Server(chiron, data)
    for x in (s, other):
        expect(x.call("GET", "/api/v1/auth/me", token=t).status == 200, "a fresh token")
    expect(s.post("logout", {}, t).status == 204, "logout")
    at = time.monotonic()
    expect(s.call("GET", "/api/v1/auth/me", token=t).status == 401, "refused at once where it was signed out")
    while other.call("GET", "/api/v1/auth/me", token=t).status == 200:
        expect(time.monotonic() - at < 1.2, "another process takes it for over a second")
        time.sleep(0.02)
    took = time.monotonic() - at
    other.stop()
    return took


def code_of(secret, off=0):
    if time.time() % 30 > 27:
        time.sleep(3.2)       # not where a step ends
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + off), hashlib.sha1).digest()
    return "%06d" % ((struct.unpack(">I", mac[mac[19] & 15:][:4])[0] & 0x7FFFFFFF) % 1000000)


def second_factor(s):
    email = "two@example.com"
    t = register(s, email)["access_token"]
    expect(s.post("totp", dict(password="wrong"), t).status == 401, "a second factor begun without the password")
    begun = s.post("totp", dict(password=PASSWORD), t).json
    expect(begun["uri"].startswith("otpauth://totp/Chiron:two@example.com?secret=" + begun["secret"]), "%r", begun)
    expect(login(s, email).status == 200, "not asked for before it is confirmed")
    expect(s.post("totp/confirm", dict(code="000000"), t).status == 401, "a wrong code confirms")
    codes = s.post("totp/confirm", dict(code=code_of(begun["secret"], -1)), t).json["recovery_codes"]
    expect(len(set(codes)) == 10, "recovery codes: %r", codes)
    r = login(s, email)
    expect(r.status == 401 and r.json["code"] == "totp_required", "without a code: %d %r", r.status, r.json)
    r = login(s, email, password="wrong words here")
    expect(r.status == 401 and r.json["code"] == "unauthenticated", "a wrong password is asked for a code")
    code = code_of(begun["secret"])
    got = sorted(r.status for r in at_once(4, lambda i: login(s, email, totp=code)))
    expect(got[0] == 200 and 200 not in got[1:], "four with one code: %r", got)
    time.sleep(1.1)                      # whoever was held back while four were tried
    r = login(s, email, totp=code)
    expect(r.status == 401 and r.json["code"] == "unauthenticated", "the code again: %d %r", r.status, r.json)
    expect(login(s, email, recovery_code=codes[4].lower()).status == 200, "a recovery code")
    expect(login(s, email, recovery_code=codes[4]).status == 401, "a recovery code again")
    expect(s.call("DELETE", "/api/v1/auth/totp", dict(password=PASSWORD), t).status == 401, "off without a code")
    expect(s.call("DELETE", "/api/v1/auth/totp", dict(password=PASSWORD, recovery_code=codes[5]), t).status == 204, "off")
    expect(login(s, email).status == 200, "off, and still asked for")


def cookies(s):
    register(s, "cookie@example.com")
    r = login(s, "cookie@example.com", cookie=True)
    expect(r.status == 200 and "refresh_token" not in r.json, "%r", r.json)
    kept = r.headers["set-cookie"].split(";")[0]
    host = "http://127.0.0.1:%d" % s.port

    def refresh(body={}, kind="application/json", **h):
        return s.post("refresh", body, Cookie=kept, Content_Type=kind, **h)
    expect(refresh(Origin="https://evil.example").status == 403, "another page's origin")
    expect(refresh(Origin="null").status == 403, "no origin")
    expect(refresh(Sec_Fetch_Site="cross-site").status == 403, "another site")
    expect(refresh(Sec_Fetch_Site="same-site", Origin="http://other.127.0.0.1").status == 403, "a neighbour")
    expect(refresh(kind="text/plain").status in (403, 415), "what a form can send")
    expect(refresh(kind=None).status in (403, 415), "no kind at all")
    r = refresh(Origin=host, Sec_Fetch_Site="same-origin")
    expect(r.status == 200 and "refresh_token" not in r.json, "our own page: %d %r", r.status, r.json)
    kept = r.headers["set-cookie"].split(";")[0]
    expect("Secure" not in r.headers["set-cookie"], "http")
    token = r.json["access_token"]
    r = refresh(Sec_Fetch_Site="same-origin")
    expect(r.status == 200, "the cookie turned with it")
    kept, token = r.headers["set-cookie"].split(";")[0], r.json["access_token"]
    r = s.post("logout", {}, token, Cookie=kept)
    expect(r.status == 204 and "Max-Age=0" in r.headers["set-cookie"], "%r", r.headers)
    expect(refresh().status == 401, "after signing out")


def ten_thousand(s, chiron, data):
    """From 127.0.0.2; the others come from 127.0.0.3."""
    register(s, "target@example.com", source="127.0.0.3")
    register(s, "bystander@example.com", source="127.0.0.3")
    before, counts, many = s.metric("chiron_password_hash_seconds_count"), {}, 10000
    lock, begun = threading.Lock(), time.monotonic()

    def guess(i):
        k = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60, source_address=("127.0.0.2", 0))
        mine = {}
        for n in range(many // 4):
            k.request("POST", "/api/v1/auth/login", json.dumps(dict(email="target@example.com", password="guess %d %d" % (i, n))),
                      {"Content-Type": "application/json"})
            r = k.getresponse()
            r.read()
            mine[r.status] = mine.get(r.status, 0) + 1
        k.close()
        with lock:
            for c, n in mine.items():
                counts[c] = counts.get(c, 0) + n
        return 0
    threads = [threading.Thread(target=guess, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    slowest = 0.0
    while any(t.is_alive() for t in threads):
        at = time.monotonic()
        r = login(s, "bystander@example.com", source="127.0.0.3")
        expect(r.status == 200, "somebody else is locked out: %d %r", r.status, r.json)
        slowest = max(slowest, time.monotonic() - at)
        time.sleep(0.2)
    took = time.monotonic() - begun
    for t in threads:
        t.join()
    hashes = s.metric("chiron_password_hash_seconds_count") - before
    expect(counts.get(401) == 5 and counts.get(429) == many - 5, "answers: %r", counts)
    expect(hashes >= 5, "passwords are not counted")
    expect(hashes < 5 + took / 0.2 + 2, "%d passwords were hashed", hashes)
    for x in (s,):
        r = login(x, "target@example.com", source="127.0.0.3")
        expect(r.status == 429 and 0 < int(r.headers["retry-after"]) <= 60, "the right password while closed: %d", r.status)
    for i in range(45):
        expect(login(s, "nobody%d@example.com" % i, "a guess", source="127.0.0.2").status == 401, "guess %d", i)
    r = login(s, "bystander@example.com", source="127.0.0.2")
    expect(r.status == 429, "an address with fifty wrong tries is open: %d", r.status)
    expect(login(s, "bystander@example.com", source="127.0.0.3").status == 200, "another address is closed too")
    return took, slowest


def after_a_restart(s):
    expect(login(s, "target@example.com", source="127.0.0.3").status == 429, "a restart opens what was closed")
    expect(login(s, "bystander@example.com", source="127.0.0.2").status == 429, "a restart opens the address")


def same_time(s):
    """The quickest of twelve wrong tries each, three a name, taken in turn."""
    known = ["known%d@example.com" % i for i in range(4)]
    for k in known:
        register(s, k)
    best = [9.9, 9.9]
    for n in range(24):
        which, name = n & 1, n // 2 % 4
        at = time.monotonic()
        r = login(s, known[name] if which else "unknown%d@example.com" % name, "a wrong guess")
        best[which] = min(best[which], time.monotonic() - at)
        expect(r.status == 401, "%d", r.status)
    expect(0.7 < best[0] / best[1] < 1.4, "unknown %.1f ms, known %.1f ms", best[0] * 1e3, best[1] * 1e3)
    return best


def long_and_odd(s):
    r = login(s, "a" * 10240 + "@example.com", "x")
    expect(r.status == 422 and "254" in r.json["error"] and r.json["details"]["field"] == "email", "%d %r", r.status, r.json)
    r = login(s, "a@example.com", "x" * 20000)
    expect(r.status == 413, "%d", r.status)
    expect(login(s, "odd@example.com", "p" * 300).status == 401, "a password over the limit")


def killed(chiron, data, s):
    done = []

    def go(i):
        for n in range(50):
            try:
                r = s.post("register", dict(email="k%d.%d@example.com" % (i, n), password=PASSWORD, full_name="Kim %d" % i))
                if r.status == 201:
                    done.append(r.json["email"])
            except (OSError, http.client.HTTPException):
                return 0
        return 0
    threads = [threading.Thread(target=go, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    until = time.monotonic() + 20
    while len(done) < 6 and time.monotonic() < until:
        time.sleep(0.01)
    s.kill()
    for t in threads:
        t.join()
    s = Server(chiron, data)
    for sql in ("SELECT count(*) FROM account a WHERE NOT EXISTS (SELECT 1 FROM member m WHERE m.account_id = a.id)",
                "SELECT count(*) FROM creator c WHERE id LIKE 'kim%' AND NOT EXISTS (SELECT 1 FROM member m WHERE m.creator_id = c.id)"):
        expect(rows(data, sql) == [(0,)], "half an account is left: %s", sql)
    for email in done:
        expect(rows(data, "SELECT count(*) FROM account WHERE email = ?", email) == [(1,)], "%s was acknowledged and is lost", email)
    expect(login(s, done[-1]).status == 200, "who registered last cannot sign in")
    s.stop()
    return len(done)


def main():
    chiron, data = os.path.abspath(sys.argv[1]), tempfile.mkdtemp(prefix="chiron-sign-in-")
    atexit.register(shutil.rmtree, data, True)
    s = Server(chiron, data)
    registering_at_once(s, data)
    setting_up_at_once(s, data)
    refreshing(s)
    out = signing_out(s, chiron, data)
    second_factor(s)
    cookies(s)
    times = same_time(s)
    long_and_odd(s)
    s.stop()
    s = Server(chiron, data, LIMIT_EXEMPT="none")
    took, slowest = ten_thousand(s, chiron, data)
    s.stop()
    s = Server(chiron, data, LIMIT_EXEMPT="none", COOKIE_SECURE="1")
    after_a_restart(s)
    expect("; Secure" in login(s, "cookie@example.com", source="127.0.0.3", cookie=True).headers["set-cookie"], "COOKIE_SECURE=1")
    whole = killed(chiron, data, s)
    print("signed out elsewhere after %.0f ms; wrong for unknown %.1f ms, known %.1f ms; 10,000 wrong passwords in %.1f s, others wait %.0f ms "
          "at most; killed after %d registrations" % (out * 1e3, times[0] * 1e3, times[1] * 1e3, took, slowest * 1e3, whole))


main()

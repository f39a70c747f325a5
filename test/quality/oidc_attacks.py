#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Signing in at an outside issuer that lies: about who it is, whom a token is for, how it is signed, which sign-in it answers. Each
lie must end on our sign-in page with a word and without a session, and the honest sign-in must work again afterwards.

usage: oidc_attacks.py CHIRON
"""
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "tools"), os.path.join(HERE, "..", "fakes")]
from api_test import Server  # noqa: E402
from authenticator import totp  # noqa: E402
from browser import Browser, free_ports  # noqa: E402
from oidc_issuer import Key, OidcIssuer, b64  # noqa: E402

REFRESH = "chiron_refresh"
PASSWORD = "long enough to be strong 7!"


class World:
    def __init__(self, binary, issuer, other, liars=(), **env):
        self.issuer, self.port = issuer, free_ports(1)[0]
        self.base = "http://127.0.0.1:%d" % self.port
        issuers = [{"id": "one", "name": "One", "issuer": issuer.url, "client_id": issuer.client_id, "client_secret": issuer.secret},
                   {"id": "two", "issuer": other.url, "client_id": other.client_id, "client_secret": other.secret},
                   {"id": "team", "issuer": other.url, "client_id": other.client_id, "client_secret": other.secret, "creator": "team", "role": "editor",
                    "signup": True, "domains": ["example.org"]},
                   {"id": "gone", "issuer": "http://127.0.0.1:1", "client_id": "x"}]
        issuers += [{"id": "lie-%d" % n, "issuer": liar.url, "client_id": "x"} for n, liar in enumerate(liars)]
        settings = {"PUBLIC_URL": self.base, "OIDC_ISSUERS": json.dumps(issuers), "LLM_CHAIN": "extractive", "LIMIT_AUTH": "0", "LIMIT_GUESS": "0", "LIMIT_OFFENCES": "0"}
        settings.update(env)
        self.server = Server(binary, ["--listen", "127.0.0.1:%d" % self.port], settings)
        self.ours = "^" + self.base.replace(".", r"\.") + "/#"

    def start(self, b, id="one"):
        """The address at the issuer."""
        status, head, text = b.request("GET", self.base + "/api/v1/auth/oidc/%s/start?back=/%%23/ask" % id)
        assert status == 302, (status, text)
        return head["Location"]

    def sign_in(self, b=None, id="one"):
        b = b or Browser()
        url, _, _ = b.follow("GET", self.base + "/api/v1/auth/oidc/%s/start?back=/%%23/ask" % id, until=self.ours)
        return url[len(self.base):], b

    def inside(self, b):
        return any(name == REFRESH for _, name in b.jar)

    def refused(self, word, b=None, id="one"):
        """Asserts that a whole sign-in ends with this word."""
        url, b = self.sign_in(b, id)
        assert url == "/#/sign-in?error=" + word, (word, url, self.server.tail(5))
        assert not self.inside(b)

    def works(self, id="one"):
        url, b = self.sign_in(id=id)
        assert url == "/#/ask" and self.inside(b), (url, self.server.tail(5))
        return b

    def me(self, b):
        status, _, text = b.request("POST", self.base + "/api/v1/auth/refresh", '{"cookie":true}', {"Content-Type": "application/json"})
        assert status == 200, text
        status, _, text = b.request("GET", self.base + "/api/v1/auth/me", headers={"Authorization": "Bearer " + json.loads(text)["access_token"]})
        assert status == 200, text
        return json.loads(text)

    def sql(self, text, *values):
        db = sqlite3.connect(os.path.join(self.server.data, "accounts.db"), timeout=10)
        with db:
            rows = db.execute(text, values).fetchall()
        db.close()
        return rows

    def post(self, path, body, token=None):
        head = {"Content-Type": "application/json"}
        if token:
            head["Authorization"] = "Bearer " + token
        status, _, text = Browser().request("POST", self.base + path, json.dumps(body), head)
        return status, json.loads(text) if text else None


def tokens_that_lie(w):
    i = w.issuer
    first = w.me(w.works())
    other = Key("k2")
    lies = [("another issuer", {"lie": {"iss": "https://evil.example"}}), ("no issuer", {"lie": {"iss": None}}),
            ("for somebody else", {"lie": {"aud": "somebody-else"}}), ("for two", {"lie": {"aud": [i.client_id, "other"]}}),
            ("authorised for another", {"lie": {"azp": "other"}}), ("expired", {"lie": {"exp": 1700000000}}), ("no end", {"lie": {"exp": None}}),
            ("from the future", {"lie": {"iat": 4102444800}}), ("old", {"lie": {"iat": 1700000000}}),
            ("a wrong nonce", {"lie": {"nonce": b64(b"x" * 32)}}), ("no nonce", {"lie": {"nonce": None}}), ("nobody", {"lie": {"sub": None}}),
            ("alg none", {"head": {"alg": "none"}, "sign": lambda text: b""}), ("alg None", {"head": {"alg": "None"}, "sign": lambda text: b""}),
            ("alg HS256", {"head": {"alg": "HS256"}}), ("alg ES256", {"head": {"alg": "ES256"}}),
            ("another's key", {"sign": other.sign}), ("an unknown key", {"head": {"kid": "k9"}}),
            ("a key it brings", {"head": {"kid": "k2", "jwk": other.jwk()}, "sign": other.sign}),
            ("a broken signature", {"sign": lambda text: i.key.sign(text)[:-1] + b"\0"}), ("no signature", {"sign": lambda text: b""}),
            ("no id token", {"whole": {"access_token": "x"}}), ("no JSON", {"whole": b"<html>"}), ("a list", {"whole": []}),
            ("half a token", {"whole": {"id_token": "a.b"}}), ("a number", {"whole": {"id_token": 7}})]
    for name, how in lies:
        i.honest()
        for k, v in how.items():
            setattr(i, k, v)
        w.refused("issuer")
        print("ok   refused: " + name)
    i.honest()
    assert w.me(w.works())["id"] == first["id"]


def answers_that_lie(w):
    i = w.issuer
    # RFC 9207: the answer names its issuer, and it is the one that was asked.
    for iss in (None, "https://evil.example", i.url + "/"):
        i.answer = {"iss": iss}
        w.refused("issuer")
    i.answer = {"code": None, "error": "access_denied"}
    w.refused("denied")
    i.answer = {"code": "made-up"}
    w.refused("issuer")
    i.answer = {"code": "x" * 5000}
    w.refused("issuer")
    i.answer = {"state": "x" * 43}
    w.refused("state")
    i.answer = {"state": None}
    w.refused("state")
    i.honest()
    print("ok   refused: answers without the issuer's name or with another's, codes and states that are made up")

    # Userinfo about somebody else.
    i.lie, i.userinfo = {"email": None, "email_verified": None}, {"sub": "u-2", "email": "boss@example.org", "email_verified": True}
    w.refused("issuer")
    i.honest()
    print("ok   refused: userinfo about another subject")

    # The answer of one sign-in in another's browser (login CSRF), and an answer that comes twice.
    eve, ann = Browser(), Browser()
    _, head, _ = eve.request("GET", w.start(eve))
    stolen = head["Location"]
    _, head, _ = ann.request("GET", stolen)
    assert head["Location"] == w.base + "/#/sign-in?error=state" and not w.inside(ann), head["Location"]
    _, head, _ = eve.request("GET", stolen)
    assert head["Location"] == w.base + "/#/ask" and w.inside(eve), head["Location"]
    _, head, _ = eve.request("GET", stolen)
    assert head["Location"] == w.base + "/#/sign-in?error=state", head["Location"]
    print("ok   refused: an answer in another browser, and the same answer again")

    # The same answer twice at once, from the right browser: exactly one gets in.
    for _ in range(3):
        b = Browser()
        _, head, _ = b.request("GET", w.start(b))
        ends, url = [], head["Location"]
        copies = [Browser() for _ in range(4)]
        for x in copies:
            x.jar = dict(b.jar)
        threads = [threading.Thread(target=lambda x=x: ends.append(x.request("GET", url)[1]["Location"])) for x in copies]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(e[len(w.base):] for e in ends) == ["/#/ask"] + ["/#/sign-in?error=state"] * 3, ends
    print("ok   one answer sent four times at once signs in once")

    # A code of one issuer brought to the other's sign-in (mix-up): iss tells.
    b = Browser()
    there = urllib.parse.parse_qs(urllib.parse.urlsplit(w.start(b, "two")).query)
    _, head, _ = Browser().request("GET", i.url + "/authorize?" + urllib.parse.urlencode(dict(
        {k: v[0] for k, v in there.items()}, client_id=i.client_id)))
    mixed = head["Location"]
    assert "state=" + there["state"][0] in mixed
    _, head, _ = b.request("GET", mixed)
    assert head["Location"] == w.base + "/#/sign-in?error=issuer" and not w.inside(b), head["Location"]
    print("ok   refused: one issuer's code at the other's sign-in")

    # An old sign-in.
    b = Browser()
    _, head, _ = b.request("GET", w.start(b))
    w.sql("UPDATE oidc_login SET expires_ms = 1")
    _, head, _ = b.request("GET", head["Location"])
    assert head["Location"] == w.base + "/#/sign-in?error=state", head["Location"]
    assert not w.sql("SELECT 1 FROM oidc_login WHERE expires_ms > 1")
    print("ok   refused: a sign-in that took too long")
    assert b.request("GET", w.base + "/api/v1/auth/oidc/none/start")[0] == 404
    w.refused("issuer", id="gone")
    w.works()


LIES = {"another name": {"issuer": "https://evil.example"}, "no token endpoint": {"token_endpoint": None}, "keys without TLS": {"jwks_uri": "http://evil.example/jwks"},
        "keys in a file": {"jwks_uri": "file:///etc/passwd"}, "a way in that is a script": {"authorization_endpoint": "javascript:alert(1)"},
        "a way in that is two headers": {"authorization_endpoint": "https://x.example/\r\nX: y"}}


def descriptions_that_lie(w):
    """Discovery is read once an hour, so each lie is an issuer of its own."""
    for n, name in enumerate(LIES):
        w.refused("issuer", id="lie-%d" % n)
        print("ok   refused: a description with " + name)


def accounts_and_addresses(w):
    i = w.issuer
    # Somebody signed up with another's address and never confirmed it: the other's sign-in must not land there.
    status, made = w.post("/api/v1/auth/register", {"email": "victim@example.org", "password": PASSWORD, "full_name": "Eve"})
    assert status == 201, made
    i.person = {"sub": "u-victim", "email": "Victim@Example.org", "email_verified": True}
    w.refused("unconfirmed")
    # Once it is confirmed here, both are one account; and from then on the issuer's name for them is enough.
    w.sql("UPDATE account SET email_verified_ms = 1 WHERE email = 'victim@example.org'")
    assert w.me(w.works())["id"] == made["id"]
    i.person = {"sub": "u-victim", "email": "new@example.org", "email_verified": True}
    assert w.me(w.works())["id"] == made["id"]
    i.person = {"sub": "u-victim"}
    assert w.me(w.works())["id"] == made["id"]
    print("ok   an address joins an account only when both sides have confirmed it")
    # Another subject with that address is another person of the issuer: known by the address, because both confirmed it.
    for verified in (False, None, 1, "yes"):
        i.person = {"sub": "u-eve", "email": "victim@example.org", "email_verified": verified}
        w.refused("no_email")
    for address in ("not an address", "a@b\r\nBcc: c@d", "x" * 300 + "@example.org", "", 7):
        i.person = {"sub": "u-eve", "email": address, "email_verified": True}
        w.refused("no_email")
    print("ok   addresses that are none, or that the issuer has not verified, open nothing")
    # A second factor is not left out: the browser comes back to a link that wants the code.
    status, session = w.post("/api/v1/auth/login", {"email": "victim@example.org", "password": PASSWORD})
    assert status == 200, session
    status, begun = w.post("/api/v1/auth/totp", {"password": PASSWORD}, session["access_token"])
    assert status == 200, begun
    status, confirmed = w.post("/api/v1/auth/totp/confirm", {"code": totp(begun["secret"])}, session["access_token"])
    assert status == 200, confirmed
    i.person = {"sub": "u-victim"}
    url, b = w.sign_in()
    assert url.startswith("/#/link=") and not w.inside(b), url
    token = url[8:]
    status, reply = w.post("/api/v1/auth/link/redeem", {"token": token})
    assert status == 401 and reply["code"] == "totp_required", reply
    for wrong in ({"totp": "000000"}, {"totp": "x"}, {"recovery_code": "nothing"}):
        status, reply = w.post("/api/v1/auth/link/redeem", dict({"token": token}, **wrong))
        assert status == 401 and reply["code"] == "unauthenticated", reply
    # The code that confirmed it has been seen; a recovery code lets them in, and the link is used then.
    status, reply = w.post("/api/v1/auth/link/redeem", {"token": token, "recovery_code": confirmed["recovery_codes"][0]})
    assert status == 200 and reply["account"]["id"] == made["id"], reply
    assert w.post("/api/v1/auth/link/redeem", {"token": token, "recovery_code": confirmed["recovery_codes"][1]})[0] == 401
    # Codes cannot be guessed here either: after a few wrong ones the right one waits.
    token = w.sign_in()[0][8:]
    got = [w.post("/api/v1/auth/link/redeem", {"token": token, "totp": "%06d" % n})[0] for n in range(8)]
    assert got[-1] == 429 and 429 not in got[:2], got
    assert w.post("/api/v1/auth/link/redeem", {"token": token, "recovery_code": confirmed["recovery_codes"][1]})[0] == 429
    w.sql("UPDATE account SET totp_on_ms = NULL, totp_sealed = NULL WHERE id = ?", made["id"])
    print("ok   an account with a second factor is asked for it")
    w.sql("UPDATE account SET state = 'disabled' WHERE id = ?", made["id"])
    w.refused("disabled")
    w.sql("UPDATE account SET state = 'active' WHERE id = ?", made["id"])


def teams(w, other):
    done = subprocess.run([w.server.binary, "token", "--data", w.server.data, "--creator", "team"], env=w.server.env, capture_output=True)
    assert done.returncode == 0, done.stderr
    other.person = {"sub": "t-1", "email": "tom@elsewhere.example", "email_verified": True, "name": "Tom"}
    w.refused("domain", id="team")
    other.person = {"sub": "t-2", "email": "tina@example.org", "email_verified": True, "name": "Tina"}
    tina = w.me(w.works("team"))
    assert tina["creator_id"] == "team" and tina["role"] == "editor" and len(tina["creators"]) == 1 and tina["full_name"] == "Tina", tina
    # A membership that was taken away does not come back with the next sign-in.
    w.sql("DELETE FROM member WHERE account_id = ?", tina["id"])
    b = w.works("team")
    assert w.me(b)["creators"] == []
    print("ok   an issuer's people join the creator it is for, with its role, once")
    # Two windows at once, for the first time: one account.
    other.person = {"sub": "t-3", "email": "theo@example.org", "email_verified": True}
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(w.sign_in(id="team")[0])) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.sql("SELECT count(*) FROM account WHERE email = 'theo@example.org'") == [(1,)]
    assert ends.count("/#/ask") == 4, ends
    print("ok   four first sign-ins of one person at once make one account")


def closed(binary, key):
    with OidcIssuer(key=key) as i:
        w = World(binary, i, i, SIGNUP="closed")
        try:
            i.person = {"sub": "u-9", "email": "zoe@example.org", "email_verified": True}
            w.refused("closed")
            assert w.sql("SELECT count(*) FROM account") == [(0,)]
        finally:
            assert not w.server.stop()
    print("ok   SIGNUP=closed: an issuer makes no account")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary = os.path.abspath(sys.argv[1])
    with contextlib.ExitStack() as stack:
        one, two = stack.enter_context(OidcIssuer()), stack.enter_context(OidcIssuer())
        liars = []
        for lie in LIES.values():
            liars.append(stack.enter_context(OidcIssuer(key=one.key)))
            liars[-1].describe = lie
        w = World(binary, one, two, liars)
        try:
            tokens_that_lie(w)
            answers_that_lie(w)
            descriptions_that_lie(w)
            accounts_and_addresses(w)
            teams(w, two)
            assert set(map(str, one.refused)) <= {"invalid_grant"}, one.refused
        except BaseException:
            print(w.server.tail(20))
            raise
        finally:
            wrong = w.server.stop()
        assert not wrong, wrong
        closed(binary, one.key)
    return 0


if __name__ == "__main__":
    sys.exit(main())

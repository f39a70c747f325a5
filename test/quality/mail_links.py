#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Links that come by mail, from the request to what they open: sign-in, new password, confirmed address, invitation; who gets a mail
and who does not; what happens when the mail server is slow, away or unwilling.

usage: mail_links.py CHIRON
"""
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "tools"), os.path.join(HERE, "..", "fakes")]
from api_test import Server  # noqa: E402
from authenticator import totp  # noqa: E402
from browser import Browser  # noqa: E402
from mail_server import MailServer  # noqa: E402

PASSWORD, OTHER = "long enough to be strong 7!", "another one that is strong 8?"


class World:
    def __init__(self, binary, mails, **env):
        self.mails = mails
        settings = {"PUBLIC_URL": "https://coach.example.org/app/", "MAIL_FROM": "The Coach <coach@example.org>", "LLM_CHAIN": "extractive", "LIMIT_AUTH": "0", "LIMIT_GUESS": "0", "LIMIT_OFFENCES": "0"}
        if mails:
            settings["MAIL_URL"] = mails.url
        settings.update(env)
        self.server = Server(binary, [], settings)
        self.base = self.server.vars["BASE"]

    def post(self, path, body, token=None, method="POST", **headers):
        head = {"Content-Type": "application/json"}
        if token:
            head["Authorization"] = "Bearer " + token
        head.update({k.replace("_", "-"): v for k, v in headers.items()})
        status, reply_head, text = Browser().request(method, self.base + path, None if body is None else json.dumps(body), head)
        self.headers = reply_head
        return status, json.loads(text) if text else None

    def get(self, path, token):
        return self.post(path, None, token, "GET")

    def ask(self, email, purpose, **more):
        return self.post("/api/v1/auth/link", dict({"email": email, "purpose": purpose}, **more))

    def redeem(self, link, **more):
        return self.post("/api/v1/auth/link/redeem", dict({"token": link}, **more))

    def link(self, email, count, words=None):
        """The secret in the newest of so many mails."""
        message = self.mails.wait(email, count, words="#/link=")[-1]
        text = message.get_content()
        if words:
            assert words in message["Subject"], message["Subject"]
        found = re.findall(r"https://coach\.example\.org/app/#/link=([A-Za-z0-9_-]{43})\r?\n", text)
        assert len(found) == 1, text
        assert message["From"] == "The Coach <coach@example.org>" and message["To"] == "<%s>" % email or message["To"] == email, message["To"]
        return found[0]

    def register(self, email, name="Ann"):
        before = len(self.mails.to(email)) if self.mails else 0
        status, reply = self.post("/api/v1/auth/register", {"email": email, "password": PASSWORD, "full_name": name})
        assert status == 201, reply
        if self.mails:
            assert "Confirm" in self.mails.wait(email, before + 1)[-1]["Subject"]
            self.sql("DELETE FROM mail_link WHERE email = ? AND purpose = 'verify'", email)
        return reply

    def sql(self, text, *values):
        db = sqlite3.connect(os.path.join(self.server.data, "accounts.db"), timeout=10)
        with db:
            rows = db.execute(text, values).fetchall()
        db.close()
        return rows


def links(w):
    ann = w.register("ann@example.org")
    before = len(w.mails.to("ann@example.org", "#/link="))   # the confirmation that signing up sends

    # A link signs in once, and confirms the address.
    assert w.ask("  Ann@Example.ORG ", "sign_in") == (202, {"sent": True})
    token = w.link("ann@example.org", before + 1, "sign-in link")
    w.sql("UPDATE account SET email_verified_ms = 1 WHERE id = ?", ann["id"])
    status, s = w.redeem(token)
    assert status == 200 and s["account"]["id"] == ann["id"] and s["role"] == "owner", s
    assert w.get("/api/v1/auth/me", s["access_token"])[1]["email_verified"] is True
    assert w.redeem(token)[0] == 401
    print("ok   a sign-in link signs in once")

    # Only its hash is kept, and nothing of it in the log.
    stored = "".join(str(r) for r in w.sql("SELECT * FROM mail_link"))
    assert token not in stored and token not in w.server.tail(1000)
    with open(os.path.join(w.server.data, "accounts.db"), "rb") as f:
        assert token.encode() not in f.read()

    # Somebody with a wrong, shortened or old one gets the same words.
    words = w.redeem(token)[1]["error"]
    for wrong in ("x" * 43, token[:42], token + "A", token[:-1] + ("A" if token[-1] != "A" else "B"), "../../etc/passwd", "' OR 1=1 --"):
        status, reply = w.redeem(wrong)
        assert status == 401 and reply["error"] == words, (wrong, reply)
    w.ask("ann@example.org", "password")
    token = w.link("ann@example.org", before + 2, "new password")
    w.sql("UPDATE mail_link SET expires_ms = 1 WHERE used_ms IS NULL")
    assert w.redeem(token, password=OTHER)[0] == 401
    print("ok   wrong, cut, used and old links are refused in the same words")

    # A new password: too weak costs nothing, then the old one is gone and everybody is signed out.
    w.sql("DELETE FROM mail_link")
    w.ask("ann@example.org", "password")
    token = w.link("ann@example.org", before + 3)
    status, reply = w.redeem(token)
    assert status == 422 and reply["details"]["field"] == "password", reply
    status, reply = w.redeem(token, password="password")
    assert status == 422 and reply["details"]["field"] == "password", reply
    assert w.redeem(token, password=OTHER) == (204, None)
    assert w.redeem(token, password=PASSWORD)[0] == 401
    assert w.get("/api/v1/auth/me", s["access_token"])[0] == 401
    assert w.post("/api/v1/auth/login", {"email": "ann@example.org", "password": PASSWORD})[0] == 401
    status, s = w.post("/api/v1/auth/login", {"email": "ann@example.org", "password": OTHER})
    assert status == 200, s
    notice = w.mails.wait("ann@example.org", 1, words="password for Chiron was changed")[0].get_content()
    assert "https://coach.example.org/app/#/sign-in" in notice, notice
    print("ok   a password link sets a new password, signs everybody out and tells the owner")

    # Eight come with one link at once: one gets in.
    w.sql("DELETE FROM mail_link")
    w.ask("ann@example.org", "sign_in")
    token = w.link("ann@example.org", before + 4)
    got = []
    threads = [threading.Thread(target=lambda: got.append(w.redeem(token)[0])) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(got) == [200] + [401] * 7, got
    print("ok   eight at once with one link: one gets in")

    # The refresh token in a cookie, when it is asked for.
    w.sql("DELETE FROM mail_link")
    w.ask("ann@example.org", "sign_in")
    status, reply = w.redeem(w.link("ann@example.org", before + 5), cookie=True)
    assert status == 200 and "refresh_token" not in reply and "chiron_refresh=" in w.headers["Set-Cookie"] and "; HttpOnly; SameSite=Strict; Path=/api/v1/auth; " in w.headers["Set-Cookie"]
    assert w.headers["Set-Cookie"].endswith("; Secure")   # PUBLIC_URL is https://
    return s


def silence(w):
    """Nothing tells who is known here."""
    for email, purpose in (("nobody@example.org", "sign_in"), ("nobody@example.org", "password"), ("nobody@example.org", "verify"), ("ann@example.org", "verify")):
        assert w.ask(email, purpose) == (202, {"sent": True})
    assert w.ask("ann@example.org", "sign_in", creator_id="no-such-creator") == (202, {"sent": True})
    count = len(w.mails.mails)
    time.sleep(1)
    assert len(w.mails.mails) == count
    w.sql("UPDATE account SET state = 'disabled' WHERE email = 'ann@example.org'")
    w.ask("ann@example.org", "sign_in")
    w.ask("ann@example.org", "password")
    time.sleep(1)
    assert len(w.mails.mails) == count
    w.sql("UPDATE account SET state = 'active' WHERE email = 'ann@example.org'")
    print("ok   strangers, confirmed addresses and disabled accounts get no mail, and the same answer")

    took = {"ann@example.org": [], "nobody@example.org": []}
    for _ in range(60):
        for email, times in took.items():
            begun = time.perf_counter()
            assert w.ask(email, "sign_in")[0] == 202
            times.append(time.perf_counter() - begun)
    known, unknown = (statistics.median(t) * 1000 for t in took.values())
    print("ok   asking takes %.2f ms for a known address and %.2f ms for an unknown one (medians of 60)" % (known, unknown))
    assert abs(known - unknown) < max(1.0, 0.35 * max(known, unknown)), (known, unknown)

    # However often it is asked, an address gets three mails a quarter of an hour.
    time.sleep(1)
    w.sql("DELETE FROM mail_link")
    before = len(w.mails.to("ann@example.org", "#/link="))
    for _ in range(12):
        assert w.ask("ann@example.org", "sign_in")[0] == 202
    w.mails.wait("ann@example.org", before + 3, words="#/link=")
    assert w.mails.none("ann@example.org")
    print("ok   one address gets three mails a quarter of an hour")
    w.sql("UPDATE mail_link SET created_ms = created_ms - 900001")
    w.ask("ann@example.org", "sign_in")
    w.mails.wait("ann@example.org", before + 4, words="#/link=")
    w.sql("DELETE FROM mail_link")

    for email in ("a@b\r\nBcc: eve@example.org", "a b@example.org", "a@example.org>", "<a@example.org", "a@example.org,b@example.org", "@example.org", "a@", "x" * 300 + "@example.org"):
        status, reply = w.ask(email, "sign_in")
        assert status == 422 and "email" in json.dumps(reply), (email, status, reply)
    assert w.ask("ann@example.org", "invite")[0] == 422
    assert w.ask("ann@example.org", "password", creator_id="x")[0] == 422
    print("ok   addresses that would mean something in a mail's header are refused")


def somebody_elses_address(w):
    # Eve signs up with Vic's address. When Vic comes by a link, Eve's password, sessions and keys are gone.
    eve = w.register("vic@example.org", "Eve")
    status, key = w.post("/api/v1/keys", {"name": "back door", "scopes": ["documents:read"]}, eve["access_token"])
    assert status == 201 and w.get("/api/v1/hub/documents", key["key"])[0] == 200, key
    before = len(w.mails.to("vic@example.org", "#/link="))
    w.sql("DELETE FROM mail_link")
    w.ask("vic@example.org", "sign_in")
    status, vic = w.redeem(w.link("vic@example.org", before + 1))
    assert status == 200 and vic["account"]["email_verified"], vic
    assert w.get("/api/v1/auth/me", eve["access_token"])[0] == 401
    assert w.post("/api/v1/auth/refresh", {"refresh_token": eve["refresh_token"]})[0] == 401
    assert w.post("/api/v1/auth/login", {"email": "vic@example.org", "password": PASSWORD})[0] == 401
    assert w.get("/api/v1/hub/documents", key["key"])[0] == 401
    assert w.get("/api/v1/auth/me", vic["access_token"])[0] == 200
    print("ok   who shows that an address is theirs takes the account from who only wrote it down")
    # Confirming takes nothing away from who signed up.
    zoe = w.register("zoe@example.org", "Zoe")
    before = len(w.mails.to("zoe@example.org", "#/link="))
    w.sql("DELETE FROM mail_link")
    w.ask("zoe@example.org", "verify")
    assert w.redeem(w.link("zoe@example.org", before + 1, "Confirm")) == (204, None)
    status, reply = w.get("/api/v1/auth/me", zoe["access_token"])
    assert status == 200 and reply["email_verified"], reply
    print("ok   a confirmed address is the account's own from then on")


def invitations(w, owner):
    status, reply = w.post("/api/v1/members", {"email": "new@example.org", "role": "editor"}, owner["access_token"], Accept_Language="fr, es-ES;q=0.9, en;q=0.1")
    assert status == 201 and reply["invited"] and "link" not in reply, reply
    assert "invitado" in w.mails.wait("new@example.org", 1)[0]["Subject"]
    token = w.link("new@example.org", 1)
    status, reply = w.redeem(token)
    assert status == 422 and reply["details"]["field"] == "full_name", reply
    status, reply = w.redeem(token, full_name="Nü 🏃")
    assert status == 422 and reply["details"]["field"] == "password", reply
    status, reply = w.redeem(token, full_name="Nü 🏃", password="qwertyuiop")
    assert status == 422 and reply["details"]["field"] == "password", reply
    status, reply = w.redeem(token, full_name="Nü 🏃", password=PASSWORD)
    assert status == 200 and reply["role"] == "editor" and reply["creator_id"] == owner["creator_id"], reply
    assert reply["account"]["full_name"] == "Nü 🏃" and reply["account"]["email_verified"] and len(reply["creators"]) == 1, reply
    assert w.redeem(token, full_name="X", password=PASSWORD)[0] == 401
    print("ok   an invitation makes a member with its role, in Spanish where that is read, once")
    # A newer invitation takes the place of the older one.
    w.post("/api/v1/members", {"email": "two@example.org", "role": "editor"}, owner["access_token"])
    first = w.link("two@example.org", 1)
    w.post("/api/v1/members", {"email": "two@example.org", "role": "analyst"}, owner["access_token"])
    second = w.link("two@example.org", 2)
    assert w.redeem(first, full_name="Two", password=PASSWORD)[0] == 401
    # Meanwhile they signed up: the link joins that account, and is no way around its owner.
    w.register("two@example.org", "Two")
    status, reply = w.redeem(second)
    assert status == 200 and reply["role"] == "analyst" and len(reply["creators"]) == 2, reply
    print("ok   an older invitation is closed by a newer one, and one who signed up meanwhile joins")


def people(w, owner):
    """Somebody who is coached, by a link of their creator (CRE-018)."""
    creator = owner["creator_id"]
    assert w.ask("kim@example.org", "sign_in", creator_id=creator)[0] == 202
    assert w.mails.none("kim@example.org")
    status, reply = w.post("/api/v1/creator", {"settings": {"email_users": True}}, owner["access_token"], "PUT")
    assert status == 200, reply
    w.ask("kim@example.org", "sign_in", creator_id=creator)
    status, s = w.redeem(w.link("kim@example.org", 1), full_name="Kim")
    assert status == 200 and s["role"] == "user" and s["creator_id"] == creator and "account" not in s, s
    status, me = w.get("/api/v1/auth/me", s["access_token"])
    assert status == 200 and me["user"]["email"] == "kim@example.org" and me["user"]["name"] == "Kim", me
    w.ask("kim@example.org", "sign_in", creator_id=creator)
    status, again = w.redeem(w.link("kim@example.org", 2))
    assert status == 200 and again["user_id"] == s["user_id"], again
    # The same address runs a business here: another door, another person.
    count = len(w.mails.to("ann@example.org", "#/link=")) + 1
    w.ask("ann@example.org", "sign_in", creator_id=creator)
    status, s = w.redeem(w.link("ann@example.org", count))
    assert status == 200 and s["role"] == "user" and "account" not in s, s
    print("ok   people sign in at the creator that allows it, and are the same person the next time")
    w.ask("kim@example.org", "sign_in", creator_id=creator)
    late = w.link("kim@example.org", 3)
    w.post("/api/v1/creator", {"settings": {"email_users": False}}, owner["access_token"], "PUT")
    assert w.redeem(late)[0] == 401
    print("ok   and not any more once it does not")


def notices(w):
    """Whoever changes what opens an account, its owner hears of it; and a link is no way around the second factor."""
    pat = w.register("pat@example.org", "Pat")
    token = pat["access_token"]
    assert w.post("/api/v1/auth/password", {"current_password": PASSWORD, "password": OTHER}, token, Accept_Language="es")[0] == 204
    assert "contraseña de Chiron ha cambiado" in w.mails.wait("pat@example.org", 2)[-1]["Subject"]
    assert w.post("/api/v1/auth/totp", {"password": OTHER}, token)[0] == 409
    w.ask("pat@example.org", "verify")
    assert w.redeem(w.link("pat@example.org", 2)) == (204, None)
    status, begun = w.post("/api/v1/auth/totp", {"password": OTHER}, token)
    assert status == 200, begun
    status, kept = w.post("/api/v1/auth/totp/confirm", {"code": totp(begun["secret"])}, token)
    assert status == 200, kept
    w.ask("pat@example.org", "sign_in")
    link = w.link("pat@example.org", 3)
    status, reply = w.redeem(link)
    assert status == 401 and reply["code"] == "totp_required", reply
    assert w.redeem(link, totp=totp(begun["secret"]))[0] == 401   # seen already
    assert w.redeem(link, totp=totp(begun["secret"], 1))[0] == 200
    assert w.redeem(link, recovery_code=kept["recovery_codes"][0])[0] == 401
    print("ok   a link of an account with a second factor wants its code, and stays good until it is right")
    status, reply = w.post("/api/v1/auth/totp", {"password": OTHER, "recovery_code": kept["recovery_codes"][1]}, token, "DELETE")
    assert status == 204, reply
    w.mails.wait("pat@example.org", 1, words="second factor of your account at Chiron was switched off")
    print("ok   a changed password and a second factor that is switched off are told to the owner")


def bad_days(binary):
    """The mail server's: refusing, not now, away, silent."""
    with MailServer() as mails:
        w = World(binary, mails)
        try:
            for name in ("no", "later", "ann"):
                w.register(name + "@example.org")
            w.sql("DELETE FROM mail_link")
            time.sleep(0.5)
            mails.refuse["no@example.org"] = "550 no such mailbox"
            tries = sum("no@example.org" in c for c in mails.commands)
            w.ask("no@example.org", "sign_in")
            time.sleep(7)
            assert sum("no@example.org" in c for c in mails.commands) == tries + 1, mails.commands
            before = len(mails.to("later@example.org"))
            mails.defer = 1
            w.ask("later@example.org", "sign_in")
            mails.wait("later@example.org", before + 1, 20)
            log = w.server.tail(1000)
            assert "a mail was not sent" in log and "a mail will be sent later" in log and "no@example.org" not in log, log
            status, _, text = Browser().request("GET", w.base + "/metrics")
            assert 'chiron_mails_total{outcome="failed"} 1' in text and 'outcome="again"} 1' in text and 'outcome="sent"}' in text, text
            print("ok   a \"never\" is believed, a \"not now\" is tried again, both are counted and logged without the address")
            # A server that says nothing keeps no request waiting, and not the end either.
            mails.hang.set()
            begun = time.time()
            for _ in range(20):
                assert w.ask("ann@example.org", "sign_in")[0] == 202
            assert time.time() - begun < 5
            time.sleep(0.5)
        finally:
            begun = time.time()
            wrong = w.server.stop()
        assert not wrong, wrong
        assert time.time() - begun < 15, time.time() - begun
        print("ok   a mail server that hangs holds up neither requests nor the end")
    # Nobody listens there any more.
    w = World(binary, mails)
    try:
        assert w.ask("ann@example.org", "sign_in")[0] == 202
    finally:
        assert not w.server.stop()


def without(binary):
    w = World(binary, None)
    try:
        status, reply = w.ask("ann@example.org", "sign_in")
        assert status == 503, reply
        assert w.post("/api/v1/auth/providers", None, None, "GET")[1]["mail"] is False
        owner = w.register("ann@example.org")
        status, reply = w.post("/api/v1/members", {"email": "bob@example.org", "role": "editor"}, owner["access_token"])
        assert status == 201 and "/#/link=" in reply["link"], reply
        token = reply["link"].split("link=")[1]
        # Handed over by hand it proves no mailbox: the address stays unconfirmed, and an account that is there wants its password.
        w.register("bob@example.org", "Bob")
        status, reply = w.redeem(token)
        assert status == 422 and reply["details"]["field"] == "password", reply
        assert w.redeem(token, password=OTHER)[0] == 401
        status, reply = w.redeem(token, password=PASSWORD)
        assert status == 200 and reply["role"] == "editor" and not reply["account"]["email_verified"], reply
        print("ok   without a mail server links are handed over, and prove no address")
    finally:
        assert not w.server.stop()


def settings(binary):
    good = {"MAIL_URL": "smtp://127.0.0.1:25", "MAIL_FROM": "a@example.org", "PUBLIC_URL": "https://coach.example.org"}
    with tempfile.TemporaryDirectory() as d:
        for wrong in ({"MAIL_FROM": ""}, {"PUBLIC_URL": ""}, {"MAIL_URL": "http://127.0.0.1:25"}, {"MAIL_FROM": "nobody"}, {"PUBLIC_URL": "coach.example.org"},
                      {"PUBLIC_URL": "https://coach.example.org/?x"}, {"MAIL_TLS": "maybe"}, {"MAIL_FROM": "A <a@b> c"}):
            name = list(wrong)[0]
            done = subprocess.run([binary, "serve", "--data", d, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60,
                                  env=dict(os.environ, **dict(good, **wrong)))
            assert done.returncode != 0 and name in done.stderr, (wrong, done.returncode, done.stderr)
    print("ok   half a set-up does not start, and says which setting")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary = os.path.abspath(sys.argv[1])
    settings(binary)
    with MailServer() as mails:
        w = World(binary, mails)
        try:
            owner = links(w)
            silence(w)
            somebody_elses_address(w)
            invitations(w, owner)
            people(w, owner)
            notices(w)
        except BaseException:
            print(w.server.tail(20))
            raise
        finally:
            wrong = w.server.stop()
        assert not wrong, wrong
    without(binary)
    bad_days(binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Ways in, past and around that lie between the parts of accounts, privacy and limits: each is tried against the real binary, and each
must end nowhere.

usage: break_in.py CHIRON [NAME…]
"""
import base64
import hashlib
import hmac
import json
import os
import sqlite3
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "tools"), os.path.join(HERE, "..", "fakes")]
from api_test import Server  # noqa: E402
from mail_server import MailServer  # noqa: E402

PASSWORD, OTHER = "slow rivers carry stones", "another river of another kind"


def expect(right, words, *values):
    if not right:
        raise AssertionError(words % values if values else words)


class World:
    def __init__(self, binary, mails=None, flags=(), **env):
        settings = {"LLM_CHAIN": "extractive", "LOG_LEVEL": "info", "JWT_SECRET_KEY": "a secret of the test that is long enough"}
        self.mails = mails
        if mails:
            settings.update({"PUBLIC_URL": "https://coach.example.org", "MAIL_FROM": "coach@example.org", "MAIL_URL": mails.url})
        settings.update(env)
        self.server = Server(binary, list(flags), settings)
        self.data = self.server.data
        self.setup = self.server.vars.get("SETUP")

    def call(self, method, path, body=None, token=None, **headers):
        h = [(n.replace("_", "-"), v) for n, v in headers.items()]
        if body is not None and not any(n.lower() == "content-type" for n, _ in h):
            h.append(("Content-Type", "application/json"))
        if token:
            h.append(("Authorization", "Bearer " + token))
        raw = None if body is None else json.dumps(body).encode()
        if raw is None and method != "GET":
            raw = b""
        r = self.server.request(method, path if path.startswith("/") else "/api/v1/" + path, h, raw)
        try:
            r.data = json.loads(r.body) if r.body else None
        except ValueError:
            r.data = None
        return r

    def post(self, path, body, token=None, **h):
        return self.call("POST", path, body, token, **h)

    def get(self, path, token=None, **h):
        return self.call("GET", path, None, token, **h)

    def register(self, email, name="Somebody New", **more):
        r = self.post("auth/register", dict(email=email, password=PASSWORD, full_name=name, **more))
        expect(r.status == 201, "register %s: %d %s", email, r.status, r.body)
        return r.data

    def login(self, email, password=PASSWORD, **more):
        return self.post("auth/login", dict(email=email, password=password, **more))

    def sql(self, text, *values, db="accounts.db"):
        k = sqlite3.connect(os.path.join(self.data, db), timeout=20)
        with k:
            got = k.execute(text, values).fetchall()
        k.close()
        return got

    def token(self, *words):
        r = self.server.run(["token"] + list(words))
        expect(r.status == 0, "token: %s", r.headers["stderr"])
        return r.body.strip()

    def link(self, email, subject):
        """The newest link of a mail with these words in its subject."""
        import re
        for _ in range(200):
            for m in reversed(self.mails.to(email)):
                if subject.lower() in m["Subject"].lower():
                    return re.search(r"#/link=([A-Za-z0-9_-]{43})", m.get_content()).group(1)
            time.sleep(0.05)
        raise AssertionError("no mail %r to %s: %r" % (subject, email, [m["Subject"] for m in self.mails.to(email)]))

    def found(self, *needles):
        """Where in the data folder these bytes stand."""
        out = []
        for folder, _, files in os.walk(self.data):
            for f in files:
                with open(os.path.join(folder, f), "rb") as h:
                    all = h.read()
                out += [(os.path.join(folder, f)[len(self.data):], n) for n in needles if n.encode() in all]
        log = self.server.tail(0)
        return out + [("log", n) for n in needles if n in log]


def code_of(secret, off=0):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + off), hashlib.sha1).digest()
    at = mac[19] & 15
    return "%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff) % 1000000)


def wrong_code(secret):
    near = {code_of(secret, o) for o in range(-4, 5)}
    return next(c for c in ("%06d" % i for i in range(100)) if c not in near)


def second_factor(w, token, password=PASSWORD):
    r = w.post("auth/totp", {"password": password}, token)
    expect(r.status == 200, "totp: %s", r.body)
    secret = r.data["secret"]
    # The step before: the present one is still good for what comes next.
    r = w.post("auth/totp/confirm", {"code": code_of(secret, -1)}, token)
    expect(r.status == 200, "confirm: %s", r.body)
    return secret, r.data["recovery_codes"]


def at_once(n, f):
    gate, out = threading.Barrier(n), [None] * n

    def one(i):
        gate.wait()
        out[i] = f(i)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def guessing_codes(w):
    """Knowing the password does not give endless tries at the code: another question for the password does not forgive them (CRE-015)."""
    a = w.register("guesser@x.example")
    secret, _ = second_factor(w, a["access_token"])
    for i in range(12):
        r = w.call("DELETE", "auth/totp", {"password": PASSWORD, "code": wrong_code(secret)}, a["access_token"])
        if r.status == 429:
            break
        expect(r.status == 401, "%d %s", r.status, r.body)
        if i % 3 == 2:
            w.post("auth/password", {"current_password": PASSWORD, "password": "x"}, a["access_token"])
    expect(r.status == 429, "twelve wrong codes were looked at")


def setting_up_without_a_code(w):
    """The set-up link is no way around the second factor of an account that was there before."""
    a = w.register("early@x.example")
    second_factor(w, a["access_token"])
    r = w.post("setup", {"secret": w.setup, "email": "early@x.example", "password": PASSWORD, "full_name": "Early"})
    expect(r.status == 409, "%d %s", r.status, r.body)
    r = w.post("setup", {"secret": w.setup, "email": "operator@x.example", "password": PASSWORD, "full_name": "Operator"})
    expect(r.status == 200 and r.data["role"] == "owner", "%d %s", r.status, r.body)


def asked_by_a_member(w):
    """What a member asked the coach is the member's: in their export, and gone with their account though the creator stays."""
    olga = w.register("olga@x.example", creator_id="harbour")
    mia = w.register("mia@x.example", creator_id="mias")
    link = w.post("members", {"email": "mia@x.example", "role": "analyst"}, olga["access_token"]).data["link"].split("link=")[1]
    token = w.post("auth/link/redeem", {"token": link, "password": PASSWORD}).data["access_token"]
    r = w.post("coaching/ask", {"question": "What about my zanzibar fever?"}, token)
    expect(r.status == 200, "%s", r.body)
    expect("zanzibar fever" in w.get("auth/me/export", token, Accept="application/json").body, "the export has no word of it")
    r = w.call("DELETE", "creator", {"confirm": "mias", "password": PASSWORD}, mia["access_token"])
    expect(r.status == 200, "%s", r.body)
    r = w.call("DELETE", "auth/me", {"confirm": "erase", "password": PASSWORD}, token)
    expect(r.status == 200, "%s", r.body)
    left = w.found("zanzibar fever", "mia@x.example")
    expect(not left, "left behind: %s", left)


def only_asking(w):
    """Who may ask and no more sees shared documents and nobody's private ones: keys and members too."""
    owner = w.register("shelf@x.example", creator_id="shelf")["access_token"]
    w.post("users/ann/token", {}, owner)
    ids = []
    for text, more in (("Everybody breathes out slowly on the way up.", {}), ("Ann alone has a marzipan allergy.", {"user_id": "ann"})):
        r = w.post("coaching/documents", dict(text=text, title="t", **more), owner)
        expect(r.status == 201, "%s", r.body)
        ids.append((r.data["document_id"], r.data["chunks"][0]["id"]))
    key = w.post("keys", {"name": "asker", "scopes": ["ask"]}, owner).data["key"]
    w.call("PUT", "roles/asker", {"permissions": ["ask"]}, owner)
    members = []
    for email in ("k1@x.example", "k2@x.example"):
        link = w.post("members", {"email": email, "role": "asker"}, owner).data["link"].split("link=")[1]
        members.append(w.post("auth/link/redeem", {"token": link, "password": PASSWORD, "full_name": "K"}).data["access_token"])
    ann, bob = (w.post("users/%s/token" % u, {}, owner).data["access_token"] for u in ("ann", "bob"))
    for who, name, sees in ((key, "a key", 404), (members[0], "a member", 404), (bob, "another user", 404), (ann, "she herself", 200), (owner, "the owner", 200)):
        expect(w.get("hub/documents/%s/pages/0" % ids[0][0], who).status == 200, "%s does not see a shared document", name)
        r = w.get("hub/documents/%s/pages/0" % ids[1][0], who)
        expect(r.status == sees, "%s: %d %s", name, r.status, r.body)
        r = w.post("coaching/search", {"query": "marzipan allergy"}, who)
        expect(("marzipan" in r.body) == (who == ann), "%s searches: %s", name, r.body)
    r = w.post("coaching/ask", {"question": "A question of k1?"}, members[0])
    turn = r.data["id"]
    expect(w.get("turns/" + turn, members[0]).status == 200 and len(w.get("turns", members[0]).data["turns"]) == 1, "their own turn")
    expect(w.get("turns/" + turn, members[1]).status == 404 and w.get("turns", members[1]).data["turns"] == [], "another member's turn")
    expect(w.get("turns/" + turn, bob).status == 404 and w.get("turns/" + turn, key).status == 404, "a member's turn by others")


def names_of_the_gone(w):
    """Nobody takes the name of an erased creator, which tokens made for it still open, in any spelling; the operator may."""
    owner = w.register("phoenix@x.example", creator_id="phoenix")
    old = w.token("--creator", "phoenix", "--role", "service")
    expect(w.get("hub/documents", old).status == 200, "the service's token")
    expect(w.call("DELETE", "creator", {"confirm": "phoenix", "password": PASSWORD}, owner["access_token"]).status == 200, "erasing")
    for name in ("phoenix", "Phoenix"):
        r = w.post("auth/register", {"email": "next@x.example", "password": PASSWORD, "full_name": "Next", "creator_id": name})
        expect(r.status == 409, "%s: %d %s", name, r.status, r.body)
    r = w.register("next@x.example", "Phoenix")
    expect(r["creator_id"] != "phoenix", "it was given to somebody by name")
    expect(w.get("hub/documents", old).status == 401, "the old token opens something")
    w.token("--creator", "phoenix")
    expect(w.get("hub/documents", old).status == 200, "the operator's creator")


def prepared_accounts(w):
    """Who signs up with another's address leaves nothing in the account that they could come back with (mail)."""
    thief = w.register("victim@x.example", "Thief", creator_id="trap")
    r = w.post("auth/totp", {"password": PASSWORD}, thief["access_token"])
    expect(r.status == 409, "a second factor on an address that is not shown to be theirs: %d", r.status)
    key = w.post("keys", {"name": "later", "scopes": ["documents:read", "keys:write"]}, thief["access_token"]).data["key"]
    child = w.post("keys", {"name": "child", "scopes": ["documents:read"]}, key).data["key"]
    expect(w.get("hub/documents", child).status == 200, "the key of a key")
    expect(w.post("members", {"email": "friend@x.example", "role": "owner"}, thief["access_token"]).status == 201, "inviting")
    invitation = w.link("friend@x.example", "")
    expect(w.post("auth/link", {"email": "victim@x.example", "purpose": "sign_in"}).status == 202, "asking")
    r = w.post("auth/link/redeem", {"token": w.link("victim@x.example", "sign-in")})
    expect(r.status == 200 and r.data["account"]["id"] == thief["id"], "%d %s", r.status, r.body)
    expect(w.get("auth/me", thief["access_token"]).status == 401, "the session")
    expect(w.post("auth/refresh", {"refresh_token": thief["refresh_token"]}).status == 401, "the refresh token")
    expect(w.login("victim@x.example").status == 401, "the password")
    expect(w.get("hub/documents", key).status == 401 and w.get("hub/documents", child).status == 401, "the keys")
    expect(w.post("auth/link/redeem", {"token": invitation, "password": PASSWORD, "full_name": "Friend"}).status == 401, "the invitation")
    # Once it is theirs, nothing of the owner's is taken when they come again.
    token = r.data["access_token"]
    key = w.post("keys", {"name": "mine", "scopes": ["documents:read"]}, token).data["key"]
    w.post("auth/link", {"email": "victim@x.example", "purpose": "password"})
    r = w.post("auth/link/redeem", {"token": w.link("victim@x.example", "password"), "password": OTHER})
    expect(r.status == 204, "%d %s", r.status, r.body)
    expect(w.get("hub/documents", key).status == 200, "the owner's key")
    token = w.login("victim@x.example", OTHER).data["access_token"]
    second_factor(w, token, OTHER)


def speaking_for_members(w):
    """Who may speak for any user may not speak for those who work there: their account's id is nobody's user id."""
    owner = w.register("boss@x.example", creator_id="bosses")
    token, me = owner["access_token"], owner["id"]
    w.post("coaching/ask", {"question": "The owner's own words?"}, token)
    key = w.post("keys", {"name": "k", "scopes": ["ask", "users:act_as", "users:write", "privacy:write"]}, token).data["key"]
    for r in (w.get("turns", key, X_Chiron_User=me), w.post("users/%s/token" % me, {}, key), w.call("PUT", "users/" + me, {"name": "X"}, key),
              w.post("rag/query", {"query": "x", "user_id": me}, key)):
        expect(r.status == 422, "%d %s", r.status, r.body)
    for r in (w.get("users/%s/export" % me, key), w.call("DELETE", "users/" + me, None, key)):
        expect(r.status == 404, "%d %s", r.status, r.body)
    expect(w.server.run(["token", "--creator", "bosses", "--user", me]).status != 0, "a token by hand")
    expect(w.post("rag/query", {"query": "x", "user_id": me}, token).status == 200, "for oneself")
    expect(len(w.get("turns", token).data["turns"]) == 1, "the turn")


def leaving_a_creator(w):
    """Who was removed still gets what they asked there, by export, and takes it with them when they erase themselves (CRE-062)."""
    owner = w.register("keeper@x.example", creator_id="keep")
    worker = w.register("worker@x.example", creator_id="work")
    link = w.post("members", {"email": "worker@x.example", "role": "editor"}, owner["access_token"]).data["link"].split("link=")[1]
    token = w.post("auth/link/redeem", {"token": link, "password": PASSWORD}).data["access_token"]
    w.post("coaching/ask", {"question": "A quetzal question?"}, token)
    expect(w.call("DELETE", "members/" + worker["id"], None, owner["access_token"]).status == 204, "removing")
    r = w.get("auth/me/export", worker["access_token"], Accept="application/json")
    expect(r.status == 200 and "quetzal question" in json.dumps(r.data["creators"]["keep"]).lower(), "%d %s", r.status, r.body)
    expect(sorted(r.data["creators"]) == ["keep", "work"], "%s", list(r.data["creators"]))
    expect(w.get("auth/me/export", worker["access_token"]).status == 200, "as a zip")
    w.call("DELETE", "creator", {"confirm": "work", "password": PASSWORD}, worker["access_token"])
    token = w.login("worker@x.example").data["access_token"]
    expect(w.call("DELETE", "auth/me", {"confirm": "erase", "password": PASSWORD}, token).status == 200, "erasing")
    expect(not w.found("quetzal question"), "left: %s", w.found("quetzal question"))


def after_a_stolen_key(w):
    """What was begun with a key ends when it is revoked: users it signed in, invitations; renewing it ends nobody's sign-in."""
    owner = w.register("stolen@x.example", creator_id="stolen")["access_token"]
    role = {"permissions": ["documents:read"]}
    expect(w.call("PUT", "roles/reader", role, owner).status == 201, "a role")

    def key(name, token=owner):
        return w.post("keys", {"name": name, "scopes": ["users:write", "members:write", "keys:write", "documents:read"]}, token).data

    def user(name, token):
        r = w.post("users/%s/token" % name, {}, token)
        expect(r.status == 201, "%d %s", r.status, r.body)
        return r.data

    first, other = key("first"), key("other")
    child = key("child", first["key"])
    mine, theirs, childs = user("u1", first["key"]), user("u2", other["key"]), user("u3", child["key"])
    second = w.post("keys/%s/rotate" % first["id"], {}, owner).data
    expect(w.get("turns", mine["access_token"]).status == 200, "after a renewal")
    mine = w.post("auth/refresh", {"refresh_token": mine["refresh_token"]}).data
    more = user("u4", second["key"])
    expect(w.call("DELETE", "keys/" + second["id"], None, owner).status == 204, "revoking")
    for name, t in (("the key's user", mine), ("its successor's", more)):
        expect(w.get("turns", t["access_token"]).status == 401, name)
        expect(w.post("auth/refresh", {"refresh_token": t["refresh_token"]}).status == 401, "%s refresh", name)
    expect(w.get("turns", theirs["access_token"]).status == 200, "another key's user")
    # It renews itself, at once or with grace: revoking what was stolen ends that too.
    for grace in (0, 700):
        stolen = key("renewing")
        r = w.post("keys/%s/rotate" % stolen["id"], {"grace_hours": grace}, stolen["key"])
        expect(r.status == 201 and w.get("hub/documents", r.data["key"]).status == 200, "renewing: %d %s", r.status, r.body)
        again = w.post("keys/%s/rotate" % r.data["id"], {}, r.data["key"]).data
        expect(w.call("DELETE", "keys/" + stolen["id"], None, owner).status == 204, "revoking")
        expect(w.get("hub/documents", again["key"]).status == 401 and w.get("hub/documents", r.data["key"]).status == 401, "what it renewed itself to")
    # The owner's renewal is the owner's: ending the old one early leaves it.
    early = key("early")
    later = w.post("keys/%s/rotate" % early["id"], {"grace_hours": 1}, owner).data
    expect(w.call("DELETE", "keys/" + early["id"], None, owner).status == 204 and w.get("hub/documents", later["key"]).status == 200, "the owner's renewal")
    # A member goes, with the keys they made.
    link = w.post("members", {"email": "gone@x.example", "role": "admin"}, owner).data["link"].split("link=")[1]
    admin = w.post("auth/link/redeem", {"token": link, "password": PASSWORD, "full_name": "Gone"}).data
    theirs_key = key("admin's", admin["access_token"])
    sneaky = user("u5", theirs_key["key"])
    invitation = w.post("members", {"email": "back@x.example", "role": "reader"}, theirs_key["key"]).data["link"].split("link=")[1]
    expect(w.call("DELETE", "members/%s?keys=end" % admin["account"]["id"], None, owner).status == 204, "removing")
    expect(w.get("turns", sneaky["access_token"]).status == 401, "a user of theirs")
    expect(w.post("auth/refresh", {"refresh_token": sneaky["refresh_token"]}).status == 401, "and their refresh token")
    r = w.post("auth/link/redeem", {"token": invitation, "password": PASSWORD, "full_name": "Back"})
    expect(r.status == 401, "an invitation of theirs: %d", r.status)


def one_header(w):
    """A token that is known is no API key because of that."""
    token = w.register("header@x.example")["access_token"]
    expect(w.get("auth/me", token).status == 200, "the token")
    expect(w.get("auth/me", None, X_API_Key=token).status == 401, "as a key")
    expect(w.get("auth/me", token).status == 200, "the token again")


def links_before_a_new_password(w):
    """A new password ends the links that were mailed before it, whichever way it was set (mail)."""
    a = w.register("mailbox@x.example")
    links = []
    for purpose, subject in (("password", "password"), ("sign_in", "sign-in")):
        w.post("auth/link", {"email": "mailbox@x.example", "purpose": purpose})
        links.append(w.link("mailbox@x.example", subject))
    r = w.post("auth/password", {"current_password": PASSWORD, "password": OTHER}, a["access_token"])
    expect(r.status == 204, "%d %s", r.status, r.body)
    for link in links:
        r = w.post("auth/link/redeem", {"token": link, "password": "a third river, a third kind"})
        expect(r.status == 401, "%d %s", r.status, r.body)
    expect(w.login("mailbox@x.example", OTHER).status == 200, "the new password")


def owners_leaving(w):
    """Of two owners who erase themselves at once one stays, so that no creator is left to nobody (CRE-012)."""
    for n in range(4):
        names = ["l%d%s@x.example" % (n, x) for x in "ab"]
        first = w.register(names[0], creator_id="leave%d" % n)
        other = w.register(names[1], creator_id="other%d" % n)
        link = w.post("members", {"email": names[1], "role": "owner"}, first["access_token"]).data["link"].split("link=")[1]
        second = w.post("auth/link/redeem", {"token": link, "password": PASSWORD}).data["access_token"]
        w.call("DELETE", "creator", {"confirm": "other%d" % n, "password": PASSWORD}, other["access_token"])
        got = at_once(2, lambda i: w.call("DELETE", "auth/me", {"confirm": "erase", "password": PASSWORD}, (first["access_token"], second)[i]).status)
        left = w.sql("SELECT count(*) FROM member WHERE creator_id = ? AND role = 'owner'", "leave%d" % n)[0][0]
        expect(sorted(got) == [200, 409] and left == 1, "%s, %d owners", got, left)


def hidden_addresses(binary):
    """A local proxy that nobody declared hides nobody: tries through it are counted, whatever header it or the client writes."""
    w = World(binary, LIMIT_AUTH="5/60")
    try:
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            got = [w.post("auth/login", {"email": "n%d@x.example" % i, "password": "x"}, **{name: "for=203.0.113.%d" % i}).status for i in range(7)]
            expect(got[-1] == 429, "%s: %s", name, got)
    finally:
        wrong = w.server.stop()
    expect(not wrong, "%s", wrong)


def locked_out_by_limits(w):
    """Nobody with limits:write can shut the owner out of the creator by a limit."""
    owner = w.register("limits@x.example", creator_id="limits")["access_token"]
    for bad in ({"limit": 1, "window_s": 86400}, {"limit": 1}, {"limit": 600, "window_s": 86400}):
        r = w.call("PUT", "limits", {"policies": {"service": bad}}, owner)
        expect(r.status == 422, "%s: %d %s", bad, r.status, r.body)
    r = w.call("PUT", "limits", {"policies": {"service": {"limit": 60, "window_s": 60}, "user": {"limit": 1, "window_s": 86400}}}, owner)
    expect(r.status == 200 and w.get("keys", owner).status == 200, "%d %s", r.status, r.body)


def erased_from_outside(binary):
    """A backend's own token, which names no creator, is refused once its user was erased in the house (FIT-115)."""
    secret = "an outside backend's secret, long enough"

    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps({"sub": "u9", "exp": int(time.time()) + 3600}).encode())
    token = head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())
    w = World(binary, FIT_JWT_SECRET_KEY=secret)
    try:
        expect(w.get("ai/privacy/export", token).status == 200, "before")
        expect(w.post("embeddings/generate", {"text": "kiwi", "user_id": "u9", "content_type": "workout"}, token).status == 200, "storing")
        for house in ("rag", "fit"):
            r = w.call("DELETE", "users/u9", None, w.token("--creator", house))
            expect(r.status == 200, "erasing in %s: %d %s", house, r.status, r.body)
        r = w.get("ai/privacy/export", token)
        expect(r.status == 401 and r.data["error"] == "Invalid token", "fit: %d %s", r.status, r.body)
        expect(w.post("rag/query", {"query": "x", "user_id": "u9"}, token).status == 401, "rag")
        expect(w.post("embeddings/generate", {"text": "kiwi", "user_id": "u9", "content_type": "workout"}, token).status == 401, "storing")
    finally:
        wrong = w.server.stop()
    expect(not wrong, "%s", wrong)


def names_of_issuers(binary):
    """The creator that an outside issuer's people belong to is not for strangers to make."""
    issuers = json.dumps([{"issuer": "https://id.example.org", "algorithm": "RS256", "jwks_url": "https://id.example.org/keys", "audience": "chiron",
                           "creator": "acme"}])
    w = World(binary, TRUSTED_ISSUERS=issuers)
    try:
        for name in ("acme", "ACME", "fit", "Rag"):
            r = w.post("auth/register", {"email": "a@x.example", "password": PASSWORD, "full_name": "A", "creator_id": name})
            expect(r.status == 409, "%s: %d %s", name, r.status, r.body)
        expect(w.register("a@x.example", "Acme")["creator_id"] != "acme", "given by name")
        w.token("--creator", "acme")
    finally:
        wrong = w.server.stop()
    expect(not wrong, "%s", wrong)


PLAIN = (guessing_codes, setting_up_without_a_code, asked_by_a_member, only_asking, names_of_the_gone, owners_leaving, speaking_for_members, leaving_a_creator, after_a_stolen_key, one_header,
         locked_out_by_limits)
MAILED = (prepared_accounts, links_before_a_new_password)
ALONE = (names_of_issuers, hidden_addresses, erased_from_outside)


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary, names, failed = sys.argv[1], sys.argv[2:], 0

    def wanted(list):
        return [f for f in list if not names or f.__name__ in names]

    def one(f, *args):
        nonlocal failed
        try:
            f(*args)
            print("ok   " + f.__doc__.strip(), flush=True)
        except Exception as why:
            failed += 1
            print("FAIL %s: %s: %s" % (f.__name__, type(why).__name__, why), flush=True)

    for group, mailed in ((wanted(PLAIN), False), (wanted(MAILED), True)):
        if not group:
            continue
        mails = MailServer() if mailed else None
        w = World(binary, mails, LIMIT_AUTH="0")
        for f in group:
            one(f, w)
        wrong = w.server.stop()
        if wrong:
            failed += 1
            print("FAIL the server: %s" % wrong)
        if mails:
            mails.close()
    for f in wanted(ALONE):
        one(f, binary)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

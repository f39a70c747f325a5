#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Erasing somebody, looked for byte by byte (CRE-062, RAG-027, FIT-115). A person with odd words in everything that can be given:
documents, stored embeddings, questions, names, addresses, sessions, keys of requests. They are erased while they write. Then no file
of the data folder (databases, write-ahead logs, index files, documents), no name of a file, no archive made after and no
line of the server's log may hold one of their words, in UTF-8 or UTF-16; another's data is as it was; the certificate
names every table of every database. Then the same for a whole creator.

usage: erase.py CHIRON
"""
import http.client
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from api_test import Server  # noqa: E402

ANN = "ann-zyxgrumbl7731"
WORDS = ["zyxgrumbl", "quastenhof", "wrmpfklatsch", "brizzelknorx"]
MAIL = "zyxgrumbl@quastenhof.example"
NEEDLES = [w for w in WORDS] + [w.upper() for w in WORDS] + [w.capitalize() for w in WORDS]
BOBS = "flimmerkiesel"
failures = []


def check(what, ok, more=""):
    print("%s %s%s" % ("ok  " if ok else "FAIL", what, "" if ok else ": " + str(more)[:1500]))
    if not ok:
        failures.append(what)


def call(server, token, method, path, body=None, key=None, headers=(), raw=False):
    all_headers = [("Authorization", "Bearer " + token), ("Content-Type", "application/json")] + list(headers)
    if key:
        all_headers.append(("Idempotency-Key", key))
    data = json.dumps(body).encode() if body is not None else (b"" if method != "GET" else None)
    c = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        c.request(method, path, data, dict(all_headers))
        r = c.getresponse()
        got = r.read()
        if raw:
            return r.status, got
        return r.status, (json.loads(got) if got else None)
    finally:
        c.close()


def upload(server, token, filename, text, user=None):
    boundary = uuid.uuid4().hex
    parts = []
    if user:
        parts.append('Content-Disposition: form-data; name="user_id"\r\n\r\n%s' % user)
    parts.append('Content-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: text/plain\r\n\r\n%s' % (filename, text))
    body = "".join("--%s\r\n%s\r\n" % (boundary, p) for p in parts) + "--%s--\r\n" % boundary
    c = http.client.HTTPConnection(server.host, server.port, timeout=60)
    c.request("POST", "/api/v1/hub/documents", body.encode(), {"Authorization": "Bearer " + token,
                                                              "Content-Type": "multipart/form-data; boundary=" + boundary})
    r = c.getresponse()
    got = json.loads(r.read())
    c.close()
    assert r.status == 202, got
    return got["documents"][0]


def wait_jobs(server, token):
    until = time.time() + 120
    while time.time() < until:
        jobs = call(server, token, "GET", "/api/v1/jobs?limit=100")[1]["jobs"]
        if all(j["state"] not in ("queued", "running") for j in jobs):
            return
        time.sleep(0.1)
    raise AssertionError("jobs do not end")


def needles_in(data, needles):
    found = []
    for n in needles:
        for form in (n.encode(), n.encode("utf-16-le"), n.encode("utf-16-be")):
            if form in data:
                found.append(n)
    return found


def look(folder, needles):
    """Every file below, its name and its bytes."""
    found = []
    for base, folders, files in os.walk(folder):
        for name in files + folders:
            if needles_in(name.encode(), needles):
                found.append("the name " + os.path.join(base, name))
        for name in files:
            path = os.path.join(base, name)
            try:
                with open(path, "rb") as f:
                    hits = needles_in(f.read(), needles)
            except FileNotFoundError:
                continue
            if hits:
                found.append("%s: %s" % (path, ", ".join(sorted(set(hits)))))
    return found


def tables_of(path):
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    names = {r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")}
    db.close()
    return names


def text_of(words, n):
    return "\n\n".join("%s says that %s helps with sleep, number %d. Rest is %s." % (words[0].capitalize(), words[1], i, words[2]) for i in range(n))


def fill(server, service, owner, user, words, mail):
    """Everything somebody can leave behind; gives the user's own token and the ids."""
    status, got = call(server, service, "PUT", "/api/v1/users/" + user, {"name": words[0].capitalize() + " Person", "email": mail,
                                                                        "attributes": {"note": words[3]}})
    assert status in (200, 201), got
    status, session = call(server, service, "POST", "/api/v1/users/%s/token" % user, {})
    assert status in (200, 201), session
    token = session["access_token"]
    upload(server, owner, words[0] + "-plan.txt", text_of(words, 60), user)
    wait_jobs(server, owner)
    for i in range(5):
        status, got = call(server, token, "POST", "/api/v1/embeddings/generate",
                           {"text": "my %s is %s, write to %s" % (words[1], words[2], mail), "user_id": user, "content_type": "progress",
                            "metadata": {"place": words[3]}}, key="key-%d-%s" % (i, words[0]))
        assert status == 200, got
    for question in ("what does %s say of sleep?" % words[0], "why is rest %s?" % words[2]):
        status, got = call(server, token, "POST", "/api/v1/coaching/ask", {"question": question, "conversation_id": "talk-" + words[0]},
                           key=words[1] + uuid.uuid4().hex[:8])
        assert status == 200, got
        status, got = call(server, token, "POST", "/api/v1/coaching/search", {"query": question})
        assert status == 200 and got["documents"], got
        call(server, token, "POST", "/api/v1/search/feedback", {"query_id": got["query_id"], "result_id": got["documents"][0]["id"], "event": "click"})
    call(server, token, "POST", "/api/v1/search/hybrid", {"query": words[3] + " " + mail, "user_id": user})
    return token


def export_of(server, token):
    status, got = call(server, token, "GET", "/api/v1/auth/me/export", headers=[("Accept", "application/json")])
    assert status == 200, got
    return got


def person(server):
    owner = server.run(["token", "--creator", "home", "--role", "owner"]).body.strip()
    service = server.run(["token", "--creator", "home", "--role", "service"]).body.strip()
    upload(server, owner, "shared.txt", "Shared by all: sleep well and rest. " * 20)
    bob = fill(server, service, owner, "bob", [BOBS, "kastanie", "wolkig", "linde"], "bob@kastanie.example")
    ann = fill(server, service, owner, ANN, WORDS, MAIL)
    check("the words are there to be found", len(look(server.data, NEEDLES)) >= 2)

    # The export has all of it and nothing of others (FIT-114).
    got = export_of(server, ann)
    text = json.dumps(got)
    check("the export holds every word of theirs", all(w in text.lower() for w in WORDS))
    check("the export holds nothing of another", BOBS not in text.lower() and '"bob"' not in text)
    check("the export has profile, turns, embeddings, documents, sessions and log",
          all(got["creator"].get(t) for t in ("person", "turn", "embedding", "document", "chunk", "audit")) and got["accounts"]["session"],
          {t: len(v) for t, v in got["creator"].items()})
    status, packed = call(server, ann, "GET", "/api/v1/auth/me/export", raw=True)
    archive = zipfile.ZipFile(io.BytesIO(packed))
    manifest = json.loads(archive.read("manifest.json"))
    lines = sum(len(archive.read(t["file"]).splitlines()) for t in manifest["tables"] if "file" in t)
    check("the zip's manifest counts its rows", lines == sum(t["rows"] for t in manifest["tables"]) and lines > 20)
    pages = "".join(json.loads(line)["text"] for line in archive.read("tables/creator.document_page.jsonl").splitlines())
    check("the zip holds the document's text", pages.strip() == text_of(WORDS, 60).strip(), pages[:200])
    status, fit = call(server, ann, "GET", "/api/v1/ai/privacy/export")
    check("FIT's path gives the same (FIT-114)", status == 200 and fit["subject"]["user_id"] == ANN and len(fit["creator"]["turn"]) == 2)
    status, got = call(server, bob, "GET", "/api/v1/users/%s/export" % ANN)
    check("another user may not have it", status in (403, 404), status)

    before = export_of(server, bob)
    # They go on writing while they are erased; and a document of theirs is being read in.
    upload(server, owner, WORDS[2] + "-late.txt", text_of(WORDS, 4000), ANN)
    stop, seen = threading.Event(), []

    def write(i):
        while not stop.is_set():
            try:
                if i % 2:
                    r = call(server, ann, "POST", "/api/v1/coaching/ask", {"question": "late %s and %s?" % (WORDS[3], WORDS[0])})
                else:
                    r = call(server, service, "POST", "/api/v1/embeddings/generate",
                             {"text": "late %s" % WORDS[1], "user_id": ANN, "content_type": "progress"})
                seen.append(r[0])
            except (OSError, http.client.HTTPException):
                pass

    writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for w in writers:
        w.start()
    time.sleep(0.3)
    begun = time.time()
    status, certificate = call(server, ann, "DELETE", "/api/v1/auth/me", {"confirm": "erase"})
    took = time.time() - begun
    for _ in range(40):
        if status != 503:
            break
        time.sleep(1)
        status, certificate = call(server, service, "DELETE", "/api/v1/users/" + ANN)
    time.sleep(0.5)
    stop.set()
    for w in writers:
        w.join()
    check("the erasure gives a certificate", status == 200 and certificate["certificate"].startswith("cer_"), certificate)
    print("     erased in %.2f s beside %d requests: %s" % (took, len(seen), {s: seen.count(s) for s in set(seen)}))
    check("late requests are refused, none fails otherwise", set(seen) <= {200, 401, 409}, set(seen))
    check("their token is refused", call(server, ann, "GET", "/api/v1/auth/me/export")[0] == 401)
    for i in range(100):
        if certificate["bytes"]["state"] == "removed":
            break
        job = call(server, owner, "GET", "/api/v1/jobs/" + certificate["bytes"]["job_id"])[1]
        if job["state"] == "done":
            break
        time.sleep(0.2)
    print("     bytes: %s" % certificate["bytes"])

    found = look(server.data, NEEDLES)
    check("no file of the data folder holds a word of theirs", not found, found)
    archive = os.path.join(server.dir, "after.tar")
    reply = server.run(["backup", archive])
    with open(archive, "rb") as f:
        hits = needles_in(f.read(), NEEDLES)
    check("an archive made after holds none", reply.status == 0 and not hits, hits or reply.headers)
    server.log.flush()
    with open(server.log.name, "rb") as f:
        log = f.read()
    check("no line of the server's log holds one (FIT-115)", len(log) > 100 and not needles_in(log, NEEDLES), needles_in(log, NEEDLES))
    check("the log names no user at all", b"bob" not in log and b"kastanie" not in log,
          [line for line in log.splitlines() if b"bob" in line or b"kastanie" in line][:3])

    listed = {(t["database"], t["table"]) for t in certificate["tables"]}
    there = {("accounts", t) for t in tables_of(os.path.join(server.data, "accounts.db"))}
    there |= {("creator", t) for t in tables_of(os.path.join(server.data, "creators", "home", "creator.db"))}
    check("the certificate lists every table", listed == there, listed ^ there)
    removed = {t["table"]: t["removed"] for t in certificate["tables"] if t["removed"]}
    check("it counts what went", all(removed.get(t) for t in ("turn", "chunk", "chunk_vector", "embedding", "document", "person", "session", "search_item")),
          removed)
    check("it says what stays and why", [t for t in certificate["tables"] if t["table"] == "audit" and t.get("stays")] and certificate["not_reached"])

    after = export_of(server, bob)
    for e in (before, after):
        for volatile in ("audit", "person"):
            e["creator"].pop(volatile, None)
        e["accounts"].pop("session", None)
        e.pop("made_at", None)
    check("another's data is as it was", before == after, [t for t in before["creator"] if before["creator"][t] != after["creator"][t]])
    status, got = call(server, bob, "POST", "/api/v1/coaching/search", {"query": BOBS})
    check("another still finds theirs", status == 200 and any(BOBS in d["content"].lower() for d in got["documents"]))
    status, got = call(server, service, "POST", "/api/v1/search/hybrid", {"query": WORDS[0] + " " + WORDS[1], "user_id": "bob"})
    check("nobody finds the erased", status == 200 and not needles_in(json.dumps(got).encode(), NEEDLES))
    status, got = call(server, owner, "GET", "/api/v1/audit?action=person.erase")
    check("the log says that somebody was erased, not who", status == 200 and len(got["entries"]) >= 1 and "target_name" not in got["entries"][0], got)
    status, got = call(server, owner, "GET", "/api/v1/audit/verify")
    check("the log is whole", status == 200 and got["whole"], got)

    db = sqlite3.connect("file:%s?mode=ro" % os.path.join(server.data, "creators", "home", "creator.db"), uri=True)
    lost = db.execute("SELECT count(*) FROM chunk_vector WHERE chunk_id NOT IN (SELECT id FROM chunk) AND chunk_id NOT IN (SELECT id FROM embedding)").fetchone()[0]
    loose = db.execute("SELECT count(*) FROM search_item WHERE (kind = 0 AND ref NOT IN (SELECT id FROM chunk)) OR "
                       "(kind = 1 AND ref NOT IN (SELECT id FROM embedding))").fetchone()[0]
    db.close()
    check("no vector and no index entry is left without its text (RAG-027)", lost == 0 and loose == 0, (lost, loose))

    # The creator may have a user of that id again, who begins with nothing.
    status, got = call(server, service, "PUT", "/api/v1/users/" + ANN, {"name": "Somebody new"})
    status2, session = call(server, service, "POST", "/api/v1/users/%s/token" % ANN, {})
    check("the id can be given anew by the creator", status in (200, 201) and status2 in (200, 201), (got, session))
    again = export_of(server, session["access_token"])
    check("and begins with nothing", not again["creator"]["turn"] and not again["creator"]["document"])


def creator(server):
    words = ["knuspelwatt", "grondelfix", "mirzelpock", "tarnfluse"]
    needles = [w for w in words] + [w.capitalize() for w in words]
    name = "house-" + words[3]
    owner = server.run(["token", "--creator", name, "--role", "owner"]).body.strip()
    service = server.run(["token", "--creator", name, "--role", "service"]).body.strip()
    shared = "What %s gives to all. " % words[1] * 30
    upload(server, owner, words[2] + ".txt", shared)
    user = fill(server, service, owner, "user-" + words[0], words, words[0] + "@" + words[1] + ".example")
    status, got = call(server, owner, "POST", "/api/v1/keys", {"name": words[2], "scopes": ["ask"]})
    check("a key is made", status == 201, got)
    status, packed = call(server, owner, "GET", "/api/v1/creator/export", raw=True)
    archive = zipfile.ZipFile(io.BytesIO(packed)) if status == 200 else None
    names = archive.namelist() if archive else []
    check("a creator takes everything along", status == 200 and any(n.startswith("files/") for n in names) and "tables/creator.turn.jsonl" in names
          and "tables/accounts.api_key.jsonl" in names, (status, names, packed[:300] if status != 200 else ""))
    check("its documents as they were given", [n for n in names if n.startswith("files/") and archive.read(n).decode() == shared], names)
    check("but no secret", not any(b'"hash":' in archive.read(n) for n in names if "api_key" in n or "account." in n) if archive else False)
    status, got = call(server, owner, "DELETE", "/api/v1/creator", {"confirm": "home"})
    check("not without the right word", status == 422, (status, got))
    both = []
    at_once = [threading.Thread(target=lambda: both.append(call(server, owner, "DELETE", "/api/v1/creator", {"confirm": name}))) for _ in range(2)]
    for t in at_once:
        t.start()
    for t in at_once:
        t.join()
    both.sort(key=lambda r: r[0])
    check("of two at once one does it", both[0][0] == 200 and both[1][0] in (401, 404), both)
    status, certificate = both[0]
    check("a creator goes with a certificate", status == 200 and certificate["subject"]["kind"] == "creator", certificate)
    check("its folder is gone", not os.path.exists(os.path.join(server.data, "creators", name)))
    found = [f for f in look(server.data, [n for n in needles if n != words[3]])]
    check("no file holds a word of it", not found, found)
    check("nobody gets in any more", call(server, user, "GET", "/api/v1/auth/me/export")[0] in (401, 404)
          and call(server, owner, "GET", "/api/v1/hub/documents")[0] in (401, 404))
    status, got = call(server, server.run(["token", "--creator", "home"]).body.strip(), "GET", "/api/v1/hub/documents")
    check("the other creator goes on", status == 200 and got["total"] >= 2, got)
    reply = server.run(["audit", "verify"])
    check("every log is whole", reply.status == 0, reply.body + reply.headers["stderr"])


def post(server, path, body, headers=()):
    c = http.client.HTTPConnection(server.host, server.port, timeout=60)
    c.request("POST", path, json.dumps(body), dict([("Content-Type", "application/json")] + list(headers)))
    r = c.getresponse()
    got = r.read()
    c.close()
    return r.status, json.loads(got) if got else None


def account(server):
    words = ["plomberquitsch", "wuchtelbrand"]
    needles = words + [w.capitalize() for w in words]
    mail, password = "%s@%s.example" % tuple(words), "a long walk of 27 otters"
    status, first = post(server, "/api/v1/auth/register", {"email": "other@kastanie.example", "password": password, "full_name": "Other", "creator_name": "Shop"})
    assert status == 201, first
    shop, other = first["creator_id"], first["access_token"]
    status, mine = post(server, "/api/v1/auth/register", {"email": mail, "password": password, "full_name": " ".join(w.capitalize() for w in words),
                                                         "creator_name": "Studio"})
    assert status == 201, mine
    post(server, "/api/v1/auth/login", {"email": mail, "password": "wrong " + password})
    status, mine = post(server, "/api/v1/auth/login", {"email": mail, "password": password})
    assert status == 200, mine
    token, studio = mine["access_token"], mine["creator_id"]
    check("the account's words are there to be found", len(look(server.data, needles)) >= 1)
    status, got = call(server, other, "POST", "/api/v1/members", {"email": mail, "role": "admin"})
    check("it is asked to work for another creator too", status == 201, got)
    status, got = call(server, token, "GET", "/api/v1/auth/me/export", headers=[("Accept", "application/json")])
    check("an account gets its own", status == 200 and got["accounts"]["account"][0]["email"] == mail and studio in got["creators"]
          and len(got["accounts"]["member"]) == len(got["creators"]) and "other@" not in json.dumps(got) and "argon2" not in json.dumps(got), got)
    status, got = call(server, token, "DELETE", "/api/v1/auth/me", {"confirm": "erase", "password": password})
    check("the last owner of a creator stays", status == 409 and studio in got["error"], (status, got))
    status, got = call(server, token, "DELETE", "/api/v1/auth/me", {"confirm": "erase", "password": "no " + password})
    check("not with a wrong password", status in (401, 409), (status, got))
    status, got = call(server, token, "DELETE", "/api/v1/creator", {"confirm": studio, "password": "no " + password})
    check("nor its creator", status == 401, (status, got))
    status, got = call(server, token, "DELETE", "/api/v1/creator", {"confirm": studio, "password": password})
    check("its creator goes first", status == 200 and got["subject"]["creator_id"] == studio, (status, got))
    status, mine = post(server, "/api/v1/auth/login", {"email": mail, "password": password})
    assert status == 200, mine
    token = mine["access_token"]
    status, got = call(server, token, "DELETE", "/api/v1/auth/me", {"confirm": "erase", "password": password})
    check("then the account", status == 200 and got["subject"]["kind"] == "account", (status, got))
    found = look(server.data, needles)
    check("no file holds a word of the account", not found, found)
    check("its tokens are refused", call(server, token, "GET", "/api/v1/auth/me")[0] == 401)
    check("and its password", post(server, "/api/v1/auth/login", {"email": mail, "password": password})[0] == 401)
    status, got = call(server, other, "GET", "/api/v1/members")
    check("the other creator has no more of them", status == 200 and len(got["members"]) == 1 and not got["invitations"], got)
    server.log.flush()
    with open(server.log.name, "rb") as f:
        log = f.read()
    check("no line of the log names them (FIT-115)", not needles_in(log, needles + ["other@kastanie"]))


def claim(server):
    """What a visitor left is found by who they turned out to be, and by them alone."""
    owner = server.run(["token", "--creator", "home", "--role", "owner"]).body.strip()
    status, got = call(server, owner, "PUT", "/api/v1/creator", {"settings": {"anonymous": True}})
    assert status == 200, got
    status, visitor = post(server, "/api/v1/auth/anonymous", {"creator_id": "home"})
    assert status == 201, visitor
    token, vid = visitor["access_token"], visitor["user_id"]
    status, got = call(server, token, "POST", "/api/v1/embeddings/generate", {"text": "my nebelhorn is in the attic", "user_id": vid, "content_type": "progress"})
    assert status == 200, got
    upload(server, owner, "note.txt", "The attic holds a nebelhorn of brass. " * 5, vid)
    wait_jobs(server, owner)
    question = {"query": "nebelhorn attic", "user_id": vid}
    status, got = call(server, token, "POST", "/api/v1/search/hybrid", question)
    check("the visitor finds their own", status == 200 and len(got["results"]) >= 2 and "nebelhorn" in json.dumps(got), got)
    status, cara = call(server, owner, "POST", "/api/v1/users/cara/token", {})
    assert status in (200, 201), cara
    cara = cara["access_token"]
    mine = {"query": "nebelhorn attic", "user_id": "cara"}
    status, got = call(server, cara, "POST", "/api/v1/search/hybrid", mine)
    check("the user does not yet", status == 200 and "nebelhorn" not in json.dumps(got["results"]))
    status, got = call(server, cara, "POST", "/api/v1/auth/claim", {"visitor_token": token})
    check("a claim moves all of it", status == 200 and got["moved"]["embedding"] == 1 and got["moved"]["document"] == 1
          and got["moved"]["search_item"] >= 2, got)
    status, got = call(server, cara, "POST", "/api/v1/search/hybrid", mine)
    check("now the user finds it, by words and by meaning", status == 200 and sum("nebelhorn" in r["content"] for r in got["results"]) >= 2, got)
    check("the visitor is nobody any more", call(server, token, "POST", "/api/v1/search/hybrid", question)[0] == 401)
    status, certificate = call(server, cara, "DELETE", "/api/v1/auth/me", {"confirm": "erase"})
    found = look(server.data, ["nebelhorn", vid])
    check("and it goes with the user", status == 200 and not found, (status, found))


def main():
    server = Server(sys.argv[1], [], {"LLM_CHAIN": "extractive", "LOG_LEVEL": "info", "LOG_FORMAT": "json", "JWT_SECRET_KEY": "a secret of the test, long enough"})
    wrong = None
    try:
        person(server)
        creator(server)
        account(server)
        claim(server)
    finally:
        wrong = server.stop()
    if wrong:
        check("the server ended well", False, wrong)
    print("%d failed" % len(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

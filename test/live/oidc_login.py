#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signing in at a real OpenID Connect issuer (node-oidc-provider): with RS256 and ES256, with and without a client secret, by the
forms that a browser would send.

usage: oidc_login.py CHIRON     (npm installs oidc-provider, pinned in oidc/package-lock.json, into the cache; exit 77 when it cannot)
"""
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "tools"), os.path.join(HERE, "..", "fakes")]
from api_test import Server  # noqa: E402
from browser import Browser, free_ports  # noqa: E402

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron")


def skip(why):
    print(why)
    sys.exit(77)


def node(name):
    own = os.path.join(CACHE, "node", "bin", name)
    return own if os.path.exists(own) else shutil.which(name) or skip("there is no %s here" % name)


def installed():
    source = os.path.join(HERE, "oidc")
    with open(os.path.join(source, "package-lock.json"), "rb") as f:
        folder = os.path.join(CACHE, "live", "oidc-" + hashlib.sha256(f.read()).hexdigest()[:12])
    if not os.path.exists(os.path.join(folder, "done")):
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(os.path.join(source, name), folder)
        path = os.path.dirname(node("npm")) + os.pathsep + os.environ["PATH"]
        done = subprocess.run([node("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, env=dict(os.environ, PATH=path),
                              capture_output=True, text=True)
        if done.returncode:
            skip("npm cannot install oidc-provider: " + (done.stderr.strip().splitlines() or ["no words"])[-1])
        open(os.path.join(folder, "done"), "w").close()
    shutil.copy(os.path.join(source, "issuer.mjs"), folder)
    return folder


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sign_in(base, issuer, name, back="/#/documents", browser=None):
    """Through the issuer's own pages; the address that the browser ends at, and the browser."""
    b = browser or Browser()
    ours = "^" + re.escape(base) + "/#"
    url, status, page = b.follow("GET", "%s/api/v1/auth/oidc/%s/start?back=%s" % (base, issuer, urllib.parse.quote(back)), until=ours)
    for _ in range(4):
        if re.search(ours, url):
            return url, b
        assert status == 200, (status, url, page)
        action = html.unescape(re.search(r'<form[^>]*action="([^"]*)"', page).group(1))
        fields = {k: html.unescape(v) for k, v in re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page)}
        if 'name="login"' in page:
            fields.update(login=name, password="anything")
        url, status, page = b.follow("POST", urllib.parse.urljoin(url, action), urllib.parse.urlencode(fields), FORM, until=ours)
    raise AssertionError("it does not come back: " + url)


def refresh(base, b):
    status, _, text = b.request("POST", base + "/api/v1/auth/refresh", '{"cookie":true}', {"Content-Type": "application/json", "Origin": base})
    assert status == 200, (status, text)
    return json.loads(text)


def me(base, token):
    status, _, text = Browser().request("GET", base + "/api/v1/auth/me", headers={"Authorization": "Bearer " + token})
    assert status == 200, (status, text)
    return json.loads(text)


def run(binary, issuer_port, port, folder):
    issuer, base = "http://127.0.0.1:%d" % issuer_port, "http://127.0.0.1:%d" % port
    secret = os.path.join(folder, "secret")
    with open(secret, "w") as f:
        f.write("secret of chiron-es: 100%+ sure\n")
    entry = lambda id, **more: dict({"id": id, "issuer": issuer, "client_id": "chiron-" + id}, **more)  # noqa: E731
    issuers = [entry("rs", name="The Issuer", client_secret="secret of chiron-rs: 100%+ sure"),
               entry("es", algorithm="ES256", client_secret_file=secret), entry("public"),
               dict(entry("wrong", client_secret="not this one"), client_id="chiron-rs"),
               dict(entry("other-alg", client_secret="secret of chiron-es: 100%+ sure"), client_id="chiron-es")]
    server = Server(binary, ["--listen", "127.0.0.1:%d" % port], {"PUBLIC_URL": base, "OIDC_ISSUERS": json.dumps(issuers), "LLM_CHAIN": "extractive"})
    try:
        _, _, text = Browser().request("GET", base + "/api/v1/auth/providers")
        assert [o["id"] for o in json.loads(text)["oidc"]][:3] == ["rs", "es", "public"], text
        assert json.loads(text)["oidc"][0]["name"] == "The Issuer", text

        # Somebody new gets an account and a creator of their own, and comes back to where they were.
        url, b = sign_in(base, "rs", "ann")
        assert url == base + "/#/documents", url
        s = refresh(base, b)
        ann = me(base, s["access_token"])
        assert ann["email"] == "ann@example.org" and ann["email_verified"] and ann["full_name"] == "ann of the Issuer", ann
        assert ann["role"] == "owner" and len(ann["creators"]) == 1, ann
        print("ok   a new person signs in with RS256 and a secret, and owns a creator")

        # The same person again, from another browser and by other keys of the issuer: one account.
        for id in ("rs", "es", "public"):
            url, b = sign_in(base, id, "ann", back="/#/ask")
            assert url == base + "/#/ask", url
            assert me(base, refresh(base, b)["access_token"])["id"] == ann["id"]
        print("ok   the same person is the same account, with ES256 and without a secret too")

        # A second sign-in in the browser that knows them goes through without a question.
        url, b = sign_in(base, "rs", "ann", browser=b)
        assert me(base, refresh(base, b)["access_token"])["id"] == ann["id"]

        # An address the issuer has not verified opens and makes nothing.
        url, b = sign_in(base, "rs", "loose-leaf")
        assert url == base + "/#/sign-in?error=no_email", url
        assert not any(name == "chiron_refresh" for _, name in b.jar), b.jar
        print("ok   an address that the issuer has not verified makes no account")

        # A wrong secret, or an algorithm other than this issuer's: nobody comes in.
        for id in ("wrong", "other-alg"):
            url, b = sign_in(base, id, "bob")
            assert url == base + "/#/sign-in?error=issuer", url
            assert not any(name == "chiron_refresh" for _, name in b.jar), b.jar
        print("ok   a wrong client secret and a token of another algorithm are refused")
        for back in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/%0d%0aX: y"):
            url, _ = sign_in(base, "rs", "ann", back=back)
            assert url == base + "/#/ask", (back, url)
        print("ok   nobody is sent to another site afterwards")
    except BaseException:
        print(server.tail(30))
        raise
    finally:
        wrong = server.stop()
        if wrong:
            print(wrong)
            sys.exit(1)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = installed()
    issuer_port, port = free_ports(2)
    with tempfile.TemporaryDirectory() as tmp:
        process = subprocess.Popen([node("node"), "issuer.mjs", str(issuer_port), "http://127.0.0.1:%d/api/v1/auth/oidc/callback" % port], cwd=folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            if process.stdout.readline().strip() != "ready":
                skip("the issuer does not start")
            run(sys.argv[1], issuer_port, port, tmp)
        finally:
            process.kill()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

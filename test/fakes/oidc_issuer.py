#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An OpenID Connect issuer for tests that does exactly what the protocol wants, and lies in one way at a time when told to.
Signing in takes no page: the address at the issuer leads back at once. It checks PKCE, the client's secret, the redirect address
and that each code is used once, and answers 400 when one is wrong.

    with OidcIssuer() as issuer:
        issuer.lie = {"aud": "somebody-else"}      # claims; None takes one out
        issuer.head = {"alg": "none"}              # of the token's header; issuer.sign = a function of bytes
"""
import base64
import hashlib
import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An RSA key of OpenSSL's; signing is one power."""

    def __init__(self, kid, bits=2048):
        self.kid = kid
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "key")
            subprocess.run(["openssl", "genrsa", "-out", path, str(bits)], check=True, capture_output=True)
            text = subprocess.run(["openssl", "rsa", "-in", path, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
        number = lambda name: int(re.sub(r"[\s:]", "", re.search(name + r":\n((?:\s+[0-9a-f:]+\n)+)", text).group(1)), 16)  # noqa: E731
        self.n, self.d = number("modulus"), number("privateExponent")
        self.size = bits // 8

    def jwk(self):
        return {"kty": "RSA", "use": "sig", "kid": self.kid, "n": b64(self.n.to_bytes(self.size, "big")), "e": "AQAB"}

    def sign(self, data):
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(data).digest()
        padded = b"\x00\x01" + b"\xff" * (self.size - len(digest) - 3) + b"\x00" + digest
        return pow(int.from_bytes(padded, "big"), self.d, self.n).to_bytes(self.size, "big")


class OidcIssuer:
    def __init__(self, client_id="chiron", secret="a secret: 100% of it", key=None):
        self.client_id, self.secret = client_id, secret
        self.key = key or Key("k1")
        self.published = [self.key.jwk()]
        self.codes, self.tokens, self.requests, self.refused = {}, {}, [], []
        self.person = {"sub": "u-1", "email": "ann@example.org", "email_verified": True, "name": "Ann"}
        self.honest()
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, value=None, location=None):
                body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                issuer.get(self)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                issuer.post(self, dict(urllib.parse.parse_qsl(body)))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def honest(self):
        """Takes every lie back."""
        self.lie, self.head, self.sign, self.describe, self.answer, self.userinfo, self.whole = {}, {}, None, {}, {}, None, None
        self.down = False

    def description(self):
        d = {"issuer": self.url, "authorization_endpoint": self.url + "/authorize?tenant=1", "token_endpoint": self.url + "/token",
             "jwks_uri": self.url + "/jwks", "userinfo_endpoint": self.url + "/me", "authorization_response_iss_parameter_supported": True}
        d.update(self.describe)
        return {k: v for k, v in d.items() if v is not None}

    def get(self, h):
        u = urllib.parse.urlsplit(h.path)
        q = dict(urllib.parse.parse_qsl(u.query))
        self.requests.append(u.path)
        if self.down:
            return h.reply(503)
        if u.path == "/.well-known/openid-configuration":
            return h.reply(200, self.description())
        if u.path == "/jwks":
            return h.reply(200, {"keys": self.published})
        if u.path == "/me":
            who = self.tokens.get((h.headers.get("Authorization") or "")[7:])
            return h.reply(200 if who else 401, self.userinfo or who or {})
        if u.path != "/authorize":
            return h.reply(404)
        wrong = [k for k, v in (("response_type", "code"), ("client_id", self.client_id), ("code_challenge_method", "S256")) if q.get(k) != v]
        wrong += [k for k in ("state", "nonce", "code_challenge", "redirect_uri") if len(q.get(k, "")) < 20]
        if wrong or "openid" not in q.get("scope", "").split() or q.get("tenant") != "1":
            self.refused.append(wrong)
            return h.reply(400, {"wrong": wrong})
        code = b64(os.urandom(24))
        self.codes[code] = q
        back = {"code": code, "state": q["state"], "iss": self.url}
        back.update(self.answer)
        h.reply(302, location=q["redirect_uri"] + "?" + urllib.parse.urlencode({k: v for k, v in back.items() if v is not None}))

    def id_token(self, nonce):
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.client_id, "iat": now, "exp": now + 300, "nonce": nonce}
        claims.update(self.person)
        claims.update(self.lie)
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key.kid}
        head.update(self.head)
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, claims))
        return text + "." + b64((self.sign or self.key.sign)(text.encode()))

    def post(self, h, form):
        self.requests.append(h.path)
        if self.down:
            return h.reply(503)
        basic = base64.b64decode((h.headers.get("Authorization") or "")[6:]).decode()
        name, _, secret = basic.partition(":")
        begun = self.codes.pop(form.get("code"), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        wrong = None
        if (urllib.parse.unquote(name), urllib.parse.unquote(secret)) != (self.client_id, self.secret):
            wrong = "invalid_client"
        elif not begun or form.get("grant_type") != "authorization_code" or form.get("redirect_uri") != begun["redirect_uri"] \
                or challenge != begun["code_challenge"] or not 43 <= len(form["code_verifier"]) <= 128:
            wrong = "invalid_grant"
        if wrong:
            self.refused.append(wrong)
            return h.reply(400, {"error": wrong})
        token = b64(os.urandom(16))
        self.tokens[token] = self.person
        if self.whole is not None:
            return h.reply(200, self.whole)
        h.reply(200, {"access_token": token, "token_type": "Bearer", "id_token": self.id_token(begun["nonce"])})

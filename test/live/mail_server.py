#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mails through a real mail server (aiosmtpd): STARTTLS and smtps with a certificate that is checked, a password, UTF-8 all the way,
and no mail at all where the wire or the server cannot be trusted.

usage: mail_server.py CHIRON     (installs aiosmtpd, pinned in requirements-mail.txt, into a venv in the cache; exit 77 when it cannot)
"""
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PINS = os.path.join(HERE, "requirements-mail.txt")


def inside_venv():
    """Runs this file again with aiosmtpd at hand."""
    with open(PINS, "rb") as f:
        name = "mail-" + hashlib.sha256(f.read()).hexdigest()[:12]
    folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron", "live", name)
    python = os.path.join(folder, "bin", "python3")
    if not os.path.exists(os.path.join(folder, "done")):
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        for command in ([sys.executable, "-m", "venv", folder],
                        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", PINS]):
            r = subprocess.run(command, capture_output=True, text=True)
            if r.returncode:
                print("cannot install aiosmtpd: " + (r.stderr.strip().splitlines() or ["no words"])[-1])
                sys.exit(77)
        open(os.path.join(folder, "done"), "w").close()
    os.execv(python, [python, os.path.abspath(__file__)] + sys.argv[1:] + ["inside"])


def certificate(folder, name, host, ca=None):
    """An own authority, or a certificate of it for a host: paths of key and certificate."""
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name]
    if ca:
        command += ["-CA", ca[1], "-CAkey", ca[0], "-addext", "subjectAltName=" + host, "-addext", "basicConstraints=critical,CA:FALSE"]
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode and ca:
        # OpenSSL before 3.0 has no -CA here.
        print("openssl cannot make certificates: " + r.stderr.strip().splitlines()[-1])
        sys.exit(77)
    assert not r.returncode, r.stderr
    return key, cert


def test(binary):
    import email
    import email.policy
    import json
    import logging
    import re
    import ssl
    import tempfile
    import threading
    import time
    import warnings

    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
    sys.path[:0] = [os.path.join(HERE, "..", "..", "tools"), os.path.join(HERE, "..", "fakes")]
    from api_test import Server
    from browser import Browser, free_ports

    warnings.simplefilter("ignore")
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    class Box:
        def __init__(self):
            self.mails, self.changed, self.logins = [], threading.Condition(), []

        async def handle_DATA(self, server, session, envelope):
            with self.changed:
                self.mails.append((envelope.rcpt_tos, session.ssl is not None or isinstance(server.transport, object) and
                                   server.transport.get_extra_info("ssl_object") is not None,
                                   email.message_from_bytes(envelope.content, policy=email.policy.SMTPUTF8)))
                self.changed.notify_all()
            return "250 taken"

        def authenticate(self, server, session, envelope, mechanism, data):
            self.logins.append(mechanism)
            right = isinstance(data, LoginPassword) and data.login == b"coach@example.org" and data.password == "pass:wörd/100%".encode()
            return AuthResult(success=right)

        def wait(self, seconds=10):
            until = time.time() + seconds
            with self.changed:
                while not self.mails and time.time() < until:
                    self.changed.wait(0.2)
                return self.mails.pop(0) if self.mails else None

    def context(pair):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(pair[1], pair[0])
        return c

    class Smtps(Controller):
        def factory(self):
            return SMTP(self.handler, **self.SMTP_kwargs)

    user = "coach%40example.org:pass%3Aw%C3%B6rd%2F100%25@"

    def attempt(name, box, controller, scheme, env, address="ann@example.org", signed_in="", expect=True):
        """A mail to ann through this server; what arrived."""
        controller.start()
        settings = {"MAIL_URL": "%s://%s127.0.0.1:%d" % (scheme, signed_in, controller.server.sockets[0].getsockname()[1]), "MAIL_FROM": "Él Coach <coach@example.org>",
                    "PUBLIC_URL": "https://coach.example.org", "LLM_CHAIN": "extractive", "LIMIT_AUTH": "0", "LIMIT_GUESS": "0", "LIMIT_OFFENCES": "0"}
        settings.update(env)
        server = Server(binary, [], settings)
        try:
            def post(path, body, **head):
                status, _, text = Browser().request("POST", server.vars["BASE"] + path, json.dumps(body), dict({"Content-Type": "application/json"}, **head))
                return status, json.loads(text)
            # Signing up sends the confirmation.
            status, reply = post("/api/v1/auth/register", {"email": address, "password": "long enough to be strong 7!", "full_name": "Ann"},
                                 **{"Accept-Language": "es"})
            assert status == 201, reply
            got = box.wait(10 if expect else 0)
            until = time.time() + 40
            while not expect and "a mail " not in server.tail(200) and time.time() < until:
                time.sleep(0.1)
            log = server.tail(200)
        finally:
            wrong = server.stop()
            controller.stop()
        assert not wrong, wrong
        assert (got is not None) == expect, (name, got, log)
        assert "wörd" not in log and "w%C3%B6rd" not in log
        if not expect:
            assert "a mail will be sent later" in log or "a mail was not sent" in log, log
        print("ok   " + name + ("" if expect else ": " + re.search(r'"error":"([^"]*)"', log).group(1)))
        return got, log

    with tempfile.TemporaryDirectory() as d:
        ca, other_ca = certificate(d, "ca", ""), certificate(d, "other-ca", "")
        good, other_host = certificate(d, "good", "IP:127.0.0.1", ca), certificate(d, "other-host", "IP:127.0.0.2", ca)
        trusted = {"MAIL_CA_FILE": ca[1]}

        box = Box()
        starttls = lambda pair, **more: Controller(box, "127.0.0.1", free_ports(1)[0], tls_context=context(pair), require_starttls=True, **more)  # noqa: E731
        smtps = lambda pair, **more: Smtps(box, "127.0.0.1", free_ports(1)[0], ssl_context=context(pair), **more)  # noqa: E731
        # Without STARTTLS the server does not see that the wire is encrypted all the same.
        signing_in = {"authenticator": box.authenticate, "auth_required": True}
        over_tls = dict(signing_in, auth_require_tls=False)

        (to, tls, m), _ = attempt("STARTTLS, with a certificate of the authority that was named", box, starttls(good), "smtp", trusted)
        assert to == ["ann@example.org"] and tls
        assert str(m["From"]) == "Él Coach <coach@example.org>" and m["Subject"] == "Confirma tu dirección para Chiron", (m["From"], m["Subject"])
        assert "ábrelo" in m.get_content() or "dirección es tuya" in m.get_content(), m.get_content()
        assert m["Message-ID"].endswith("@example.org>") and m["Date"] and m.get_content_type() == "text/plain" and m.get_content_charset() == "utf-8"

        (_, tls, _), _ = attempt("smtps, with a user and a password of any characters", box, smtps(good, **over_tls), "smtps", trusted, signed_in=user)
        assert tls and box.logins
        (_, tls, _), _ = attempt("STARTTLS before the password", box, starttls(good, **signing_in), "smtp", trusted, signed_in=user)
        assert tls

        attempt("no mail to a server of an unknown authority", box, starttls(good), "smtp", {"MAIL_CA_FILE": other_ca[1]}, expect=False)
        attempt("nor without naming one", box, smtps(good), "smtps", {}, expect=False)
        attempt("nor to a server with another host's certificate", box, smtps(other_host), "smtps", trusted, expect=False)
        box.logins.clear()
        attempt("nor with a wrong password", box, smtps(good, **over_tls), "smtps", trusted, signed_in="coach%40example.org:wrong@", expect=False)
        attempt("nor to somebody whose mailbox the server cannot write to", box, Controller(box, "127.0.0.1", free_ports(1)[0], enable_SMTPUTF8=False), "smtp", {},
                address="añó@example.org", expect=False)

        (to, tls, m), _ = attempt("UTF-8 on both sides of the @", box, Controller(box, "127.0.0.1", free_ports(1)[0], enable_SMTPUTF8=True), "smtp", {}, address="añó@bücher.example")
        assert to == ["añó@xn--bcher-kva.example"] and not tls, to


def main():
    if sys.argv[2:] == ["inside"]:
        test(os.path.abspath(sys.argv[1]))
        return 0
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    inside_venv()


if __name__ == "__main__":
    sys.exit(main())

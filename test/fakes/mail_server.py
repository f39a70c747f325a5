#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A mail server for tests: takes mails by SMTP on a free port of this machine and keeps them. It refuses, defers or hangs when told to.

    with MailServer() as mails:
        … MAIL_URL=mails.url …
        message = mails.wait("ann@example.org", 1)[0]       # email.message.EmailMessage
"""
import email
import email.policy
import socketserver
import threading
import time


class Handler(socketserver.StreamRequestHandler):
    timeout = 30

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        box, sender, to = self.server.box, None, []
        box.connections += 1
        if box.hang.is_set():
            box.release.wait(30)
            return
        self.say("220 test ESMTP")
        while True:
            line = self.rfile.readline(4096)
            if not line.endswith(b"\r\n"):
                return
            command = line[:-2].decode("utf-8", "replace")
            word = command[:4].upper()
            box.commands.append(command)
            if word == "EHLO":
                self.say("250-test\r\n250 8BITMIME")
            elif word == "HELO" or word == "NOOP":
                self.say("250 ok")
            elif word == "MAIL":
                sender, to = command, []
                self.say("250 ok")
            elif word == "RCPT":
                refused = box.refuse.get(command[command.find("<") + 1:command.find(">")])
                if not refused:
                    to.append(command[command.find("<") + 1:command.find(">")])
                self.say(refused or "250 ok")
            elif word == "DATA":
                if box.defer > 0:
                    box.defer -= 1
                    self.say("451 later")
                    continue
                self.say("354 go on")
                lines = []
                while True:
                    line = self.rfile.readline(65536)
                    if not line or line == b".\r\n":
                        break
                    lines.append(line[1:] if line.startswith(b".") else line)
                box.keep(sender, to, b"".join(lines))
                self.say("250 taken")
            elif word == "RSET":
                self.say("250 ok")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("500 what?")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class MailServer:
    def __init__(self, port=0):
        self.mails, self.commands, self.connections = [], [], 0
        self.refuse, self.defer = {}, 0          # {address: reply}; how many messages get "not now"
        self.hang, self.release = threading.Event(), threading.Event()
        self.changed = threading.Condition()
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.box = self
        self.port = self.server.server_address[1]
        self.url = "smtp://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def keep(self, sender, to, raw):
        message = email.message_from_bytes(raw, policy=email.policy.default)
        with self.changed:
            self.mails.append((to, message, raw))
            self.changed.notify_all()

    def to(self, address, words=""):
        """Those to an address that hold these words in subject or text."""
        return [m for recipients, m, _ in self.mails if address in recipients and words in m["Subject"] + m.get_content()]

    def wait(self, address, count, seconds=20, words=""):
        """The same once there are that many."""
        until = time.time() + seconds
        with self.changed:
            while len(self.to(address, words)) < count:
                left = until - time.time()
                if left <= 0 or not self.changed.wait(left):
                    raise AssertionError("%d mails to %s within %s s, not %d" % (len(self.to(address, words)), address, seconds, count))
            return self.to(address, words)

    def none(self, address, seconds=1.0):
        """True when none comes for a while."""
        count = len(self.to(address))
        time.sleep(seconds)
        return len(self.to(address)) == count

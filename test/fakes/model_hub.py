#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A strict server of model files: ranges and their conditions as RFC 9110 has them, and misbehaving on demand.

usage: model_hub.py FOLDER [PORT]     port 0 (default) picks one; the first line on stdout is the port

GET /PATH gives FOLDER/PATH; /x/resolve/REV/FILE gives FOLDER/x/FILE. The ETag is the content's SHA-256.
PUT /control  {"PATH": STEP, ...}   from now on, by the path's end; {} is good behaviour again
    STEP: {"cut_after": N}          closes the connection after N bytes of body       {"slow_ms": N}   waits per 64 KiB
          {"status": 404}           {"etag": "opaque"|"weak"|"none"}                  {"no_length": true} chunked, without a length
          {"redirect": URL}         {"linked": URL}  a redirect that names the SHA-256 of what it leads to
          {"no_ranges": true}       answers 200 whatever was asked                    {"astray": true}  a 206 that begins at 0
          {"longer": N}             N bytes more than there are
GET /log      {"requests": [{"path", "range", "if_range", "status"}, ...], "faults": [...]}     and forgets them
"""
import hashlib
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
control, requests, faults = {}, [], []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        control.clear()
        control.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(200)

    def do_GET(self):
        if self.path == "/log":
            body = json.dumps({"requests": requests, "faults": faults}).encode()
            requests.clear()
            faults.clear()
            return self.answer(200, body)
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        entry = {"path": self.path, "range": asked, "if_range": condition, "status": 0}
        requests.append(entry)
        if condition and not asked:
            faults.append("If-Range without Range")
        if condition and condition.startswith("W/"):
            faults.append("If-Range with a weak tag")
        step = next((s for end, s in control.items() if self.path.endswith(end)), {})
        parts = self.path.strip("/").split("/")
        if "resolve" in parts:
            at = parts.index("resolve")
            parts = parts[:at] + parts[at + 2:]
        path = os.path.join(folder, *parts)
        if "redirect" in step:
            entry["status"] = 302
            return self.answer(302, Location=step["redirect"])
        if step.get("status") or not os.path.isfile(path):
            entry["status"] = step.get("status", 404)
            return self.answer(entry["status"], b"no")
        with open(path, "rb") as f:
            data = f.read() + b"x" * step.get("longer", 0)
        digest = hashlib.sha256(data).hexdigest()
        if "linked" in step:
            entry["status"] = 302
            return self.answer(302, Location=step["linked"], X_Linked_Etag='"%s"' % digest, ETag='"of the redirect"')
        kind = step.get("etag", "sha256")
        tag = {"sha256": '"%s"' % digest, "opaque": '"v%s"' % digest[:8], "weak": 'W/"%s"' % digest[:8], "none": None}[kind]
        status, first = 200, 0
        if asked and not step.get("no_ranges") and (not condition or condition == tag):
            if not asked.startswith("bytes=") or not asked.endswith("-"):
                faults.append("a Range that is not bytes=N-: " + asked)
            first = int(asked[6:-1])
            if first >= len(data):
                entry["status"] = 416
                return self.answer(416, Content_Range="bytes */%d" % len(data))
            status = 206
        if step.get("astray"):
            first = 0
        entry["status"] = status
        body = data[first:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
        if tag:
            self.send_header("ETag", tag)
        if step.get("no_length"):
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent, most = 0, step.get("cut_after", len(body))
        try:
            while sent < min(len(body), most):
                piece = body[sent:min(sent + 65536, most)]
                self.wfile.write(piece)
                sent += len(piece)
                if step.get("slow_ms"):
                    time.sleep(step["slow_ms"] / 1000)
        except OSError:
            self.close_connection = True
        if sent < len(body):
            self.close_connection = True


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
server.daemon_threads = True
server.handle_error = lambda request, address: None      # those who hang up are part of the tests
print(server.server_address[1], flush=True)
server.serve_forever()

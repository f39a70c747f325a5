#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A strict stand-in for Cohere's rerank endpoint (v2): it refuses what the real one would refuse, and misbehaves on demand.

usage: cohere_provider.py [PORT]      port 0 (default) picks one; the first line on stdout is the port

POST /v2/rerank   {"model", "query", "documents": [text, …], "top_n"?, "max_tokens_per_doc"?}, key "co-fake"
    relevance_score is the share of the query's words (three letters or more) that the document has, less a little per place.
PUT /control  {"plan": [STEP, ...]}   the next requests get these steps, one each; afterwards plain answers
    STEP: {"status": 429, "retry_after": 1}   an error reply whose words repeat key and query    {"delay_ms": 500}
          {"hang": true}      sends nothing more after the headers      {"cut": true}      half a body
          {"bad": "json" | "html" | "index" | "twice" | "score" | "few" | "many" | "none" | "nan"}
GET  /log     {"requests": [...], "faults": [...]}     what came, what was wrong with it
"""
import json
import re
import select
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "co-fake"
MODELS = {"rerank-v4.0-pro", "rerank-v4.0-fast", "rerank-v3.5", "rerank-english-v3.0", "rerank-multilingual-v3.0", "rerank-english-v2.0"}
lock = threading.Lock()
plan, requests, faults = [], [], []


def check(o):
    if not isinstance(o, dict):
        return "invalid request: the body must be an object"
    for k in o:
        if k not in ("model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"):
            return "invalid request: unknown field: parameter '%s' is not valid" % k
    if not isinstance(o.get("model"), str) or not o["model"]:
        return "invalid request: model is required"
    if not isinstance(o.get("query"), str) or not o["query"]:
        return "invalid request: query must not be empty or be only whitespace"
    d = o.get("documents")
    if not isinstance(d, list) or not d:
        return "invalid request: list of documents must not be empty"
    if len(d) > 1000:
        return "invalid request: too many documents"
    if not all(isinstance(t, str) for t in d):
        return "invalid type: documents must be an array of strings"
    for k in ("top_n", "max_tokens_per_doc"):
        if k in o and (isinstance(o[k], bool) or not isinstance(o[k], int) or o[k] < 1):
            return "invalid request: %s must be a positive integer" % k
    return None


def score(query, text, at):
    words = {w for w in re.findall(r"\w+", query.lower()) if len(w) > 2}
    has = set(re.findall(r"\w+", text.lower()))
    return round(0.9 * len(words & has) / max(1, len(words)) + 0.05 / (1 + at), 6)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, o, headers=(), cut=False):
        body = o if isinstance(o, bytes) else json.dumps(o).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if cut else body)
        self.close_connection = cut

    def refuse(self, status, message):
        with lock:
            faults.append(message)
        self.reply(status, {"id": "fake", "message": message})

    def do_GET(self):
        with lock:
            self.reply(200, {"requests": requests, "faults": faults})

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock:
            plan[:] = json.loads(body)["plan"]
            requests.clear()
            faults.clear()
        self.reply(200, {})

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is None:
            return self.refuse(411, "Content-Length is missing")
        body = self.rfile.read(int(length))
        if self.headers.get("Authorization") != "Bearer " + KEY:
            return self.refuse(401, "invalid api token")
        if self.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            return self.refuse(415, "Content-Type must be application/json")
        if self.path != "/v2/rerank":
            return self.refuse(404, "no such path " + self.path)
        try:
            o = json.loads(body.decode("utf-8"))
        except ValueError:
            return self.refuse(400, "invalid json syntax")
        wrong = check(o)
        if wrong:
            return self.refuse(400, wrong)
        if o["model"] not in MODELS:
            return self.refuse(404, "model '%s' not found" % o["model"])
        with lock:
            requests.append(o)
            step = plan.pop(0) if plan else {}
        try:
            self.answer(o, step)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, o, step):
        if step.get("delay_ms"):
            time.sleep(step["delay_ms"] / 1000)
        if step.get("status"):
            headers = [("Retry-After", str(step["retry_after"]))] if "retry_after" in step else []
            return self.reply(step["status"], {"message": "key %s may not ask %s" % (KEY, o["query"])}, headers)
        if step.get("hang"):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.flush()
            select.select([self.connection], [], [], 30)
            self.close_connection = True
            return None
        bad = step.get("bad")
        if bad == "html":
            return self.reply(200, b"<html><body>gateway</body></html>")
        if bad == "json":
            return self.reply(200, b'{"results": [}')
        rows = [{"index": i, "relevance_score": score(o["query"], t, i)} for i, t in enumerate(o["documents"])]
        rows.sort(key=lambda r: -r["relevance_score"])
        rows = rows[:o.get("top_n", len(rows))]
        if bad == "index":
            rows[0]["index"] = len(o["documents"])
        elif bad == "twice":
            rows[-1]["index"] = rows[0]["index"]
        elif bad == "score":
            rows[0]["relevance_score"] = "high"
        elif bad == "few":
            rows.pop()
        elif bad == "many":
            rows.append(dict(rows[0]))
        elif bad == "none":
            rows = None
        if bad == "nan":
            return self.reply(200, json.dumps({"results": rows}).replace(str(rows[0]["relevance_score"]), "NaN").encode())
        return self.reply(200, {"results": rows, "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
                                "meta": {"api_version": {"version": "2", "is_experimental": False}, "billed_units": {"search_units": 1}}},
                          cut=step.get("cut", False))


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    # Whoever started us holds our stdin; when it is gone, so are we.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass


main()

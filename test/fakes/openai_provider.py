#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A strict OpenAI-compatible provider: it refuses what the real one would refuse, and misbehaves on demand.

usage: openai_provider.py [PORT]      port 0 (default) picks one; the first line on stdout is the port

PUT /control  {"plan": [STEP, ...]}   the next requests get these steps, one each; afterwards plain answers
    STEP: {"text": "…"}               streamed answer in small pieces (default text: "Train three times a week. [1]")
          {"status": 429, "retry_after": 1}      an error reply
          {"delay_ms": 500}           before the first byte         {"piece_ms": 20}  between pieces
          {"cut_after": 2}            closes the connection after so many pieces, without an end
          {"hang": true}              sends nothing more after the headers
          {"bad": "json"|"line"|"error"|"html"}  broken JSON, an endless line, an error event, a page instead of a stream
          {"whole": true}             one JSON object although a stream was asked for
          {"no_usage": true}  {"crlf": true}  {"comments": true}  {"byte": true} (one byte a packet)
GET  /log     {"requests": [...], "faults": [...], "open": N}      what came, what was wrong with it, readers now
The chat model is "fake-chat", the embedding model "fake-embedding" with 8 dimensions; the key is "sk-fake".
"""
import hashlib
import json
import select
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-fake"
lock = threading.Lock()
plan, requests, faults = [], [], []
readers = 0

NUMBERS = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
KNOWN = {"model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "n", "seed",
         "user", "presence_penalty", "frequency_penalty", "response_format", "metadata", "tools", "tool_choice"}


def check_chat(o):
    if not isinstance(o, dict):
        return "body", "the body must be an object"
    for k in o:
        if k not in KNOWN:
            return k, "Unrecognized request argument supplied: %s" % k
    if o.get("model") != "fake-chat":
        return "model", "The model does not exist"
    if not isinstance(o.get("messages"), list) or not o["messages"]:
        return "messages", "messages must be a non-empty array"
    for i, m in enumerate(o["messages"]):
        if not isinstance(m, dict) or set(m) - {"role", "content", "name"}:
            return "messages[%d]" % i, "unknown member of a message"
        if m.get("role") not in ("system", "developer", "user", "assistant", "tool"):
            return "messages[%d].role" % i, "unknown role"
        if not isinstance(m.get("content"), str) or not m["content"]:
            return "messages[%d].content" % i, "content must be a non-empty string"
    if o["messages"][-1]["role"] != "user":
        return "messages", "the last message must come from the user"
    if "stream" in o and not isinstance(o["stream"], bool):
        return "stream", "stream must be a boolean"
    if "stream_options" in o:
        if not o.get("stream"):
            return "stream_options", "only allowed with stream"
        if set(o["stream_options"]) - {"include_usage"} or not isinstance(o["stream_options"].get("include_usage"), bool):
            return "stream_options", "unknown stream option"
    for k, (low, high) in NUMBERS.items():
        if k in o and (isinstance(o[k], bool) or not isinstance(o[k], (int, float)) or not low <= o[k] <= high):
            return k, "%s must be a number from %s to %s" % (k, low, high)
    if "max_tokens" in o and "max_completion_tokens" in o:
        return "max_tokens", "only one of max_tokens and max_completion_tokens"
    for k in ("max_tokens", "max_completion_tokens"):
        if k in o and (isinstance(o[k], bool) or not isinstance(o[k], int) or o[k] < 1):
            return k, "%s must be a positive integer" % k
    if "stop" in o and not (isinstance(o["stop"], str) or (isinstance(o["stop"], list) and 1 <= len(o["stop"]) <= 4)):
        return "stop", "stop must be a string or 1 to 4 strings"
    return None


def check_embeddings(o):
    if not isinstance(o, dict) or set(o) - {"model", "input", "encoding_format", "dimensions", "user"}:
        return "body", "unknown argument"
    if o.get("model") != "fake-embedding":
        return "model", "The model does not exist"
    i = o.get("input")
    if not (isinstance(i, str) and i) and not (isinstance(i, list) and 0 < len(i) <= 2048 and all(isinstance(t, str) and t for t in i)):
        return "input", "input must be a non-empty string or a list of them"
    if o.get("encoding_format", "float") != "float":
        return "encoding_format", "only float here"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, o, headers=()):
        body = o if isinstance(o, bytes) else json.dumps(o).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, param, message, code="invalid_request"):
        with lock:
            faults.append("%s: %s" % (param, message))
        self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})

    def do_GET(self):
        if self.path == "/log":
            with lock:
                self.reply(200, {"requests": requests, "faults": faults, "open": readers})
        else:
            self.reply(404, {"error": {"message": "no such path", "type": "invalid_request_error", "param": None, "code": None}})

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
            return self.refuse(411, None, "Content-Length is missing")
        body = self.rfile.read(int(length))
        if self.headers.get("Authorization") != "Bearer " + KEY:
            return self.refuse(401, None, "Incorrect API key provided", "invalid_api_key")
        if self.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            return self.refuse(415, None, "Content-Type must be application/json")
        try:
            o = json.loads(body.decode("utf-8"))
        except ValueError:
            return self.refuse(400, None, "the body is no JSON")
        check = {"/v1/chat/completions": check_chat, "/v1/embeddings": check_embeddings}.get(self.path)
        if not check:
            return self.refuse(404, None, "no such path " + self.path)
        wrong = check(o)
        if wrong:
            return self.refuse(400, *wrong)
        with lock:
            requests.append(o)
            step = plan.pop(0) if plan else {}
        if step.get("delay_ms"):
            time.sleep(step["delay_ms"] / 1000)
        if step.get("status"):
            headers = [("Retry-After", str(step["retry_after"]))] if "retry_after" in step else []
            kind = "rate_limit_exceeded" if step["status"] == 429 else "server_error"
            return self.reply(step["status"], {"error": {"message": "key sk-fake said no", "type": kind, "param": None, "code": kind}}, headers)
        if self.path == "/v1/embeddings":
            return self.embed(o)
        try:
            self.chat(o, step)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self.close_connection = True

    def embed(self, o):
        texts = [o["input"]] if isinstance(o["input"], str) else o["input"]
        rows = []
        for i, t in enumerate(texts):
            h = hashlib.sha256(t.encode()).digest()
            v = [b - 127.5 for b in h[:8]]
            n = sum(x * x for x in v) ** 0.5
            rows.append({"object": "embedding", "index": i, "embedding": [x / n for x in v]})
        rows.reverse()
        self.reply(200, {"object": "list", "data": rows, "model": "fake-embedding", "usage": {"prompt_tokens": 3, "total_tokens": 3}})

    def chat(self, o, step):
        global readers
        text = step.get("text", "Train three times a week. [1]")
        usage = {"prompt_tokens": 111, "completion_tokens": 22, "total_tokens": 133}
        base = {"id": "chatcmpl-fake", "created": 1, "model": "fake-chat-2026-01-01"}
        if not o.get("stream") or step.get("whole"):
            return self.reply(200, dict(base, object="chat.completion", usage=usage, choices=[
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]))
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if step.get("bad") == "html" else "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        end = "\r\n" if step.get("crlf") else "\n"

        def put(s):
            data = s.encode()
            pieces = [data[i:i + 1] for i in range(len(data))] if step.get("byte") else [data]
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        def event(o):
            if step.get("comments"):
                put(": ping" + end + end)
            put("data: " + (o if isinstance(o, str) else json.dumps(dict(base, object="chat.completion.chunk", **o))) + end + end)

        def delta(d, reason=None):
            event({"choices": [{"index": 0, "delta": d, "finish_reason": reason}]})

        with lock:
            readers += 1
        try:
            if step.get("bad") == "html":
                return put("<html><body>gateway</body></html>")
            delta({"role": "assistant", "content": ""})
            if step.get("bad") == "json":
                return put("data: {\"choices\": [}" + end + end)
            if step.get("bad") == "error":
                return put("data: " + json.dumps({"error": {"message": "boom sk-fake", "type": "server_error", "code": None}}) + end + end)
            if step.get("bad") == "line":
                for _ in range(64):
                    put("x" * 65536)
                return None
            words = text.split(" ")
            for i, w in enumerate(words):
                if "cut_after" in step and i == step["cut_after"]:
                    return None
                if step.get("hang"):
                    select.select([self.connection], [], [], 30)      # readable: the reader left
                    return None
                delta({"content": (" " if i else "") + w})
                if step.get("piece_ms"):
                    time.sleep(step["piece_ms"] / 1000)
            delta({}, "stop")
            if o.get("stream_options", {}).get("include_usage") and not step.get("no_usage"):
                event({"choices": [], "usage": usage})
            event("[DONE]")
        finally:
            with lock:
                readers -= 1


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

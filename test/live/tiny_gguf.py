# SPDX-License-Identifier: MIT
"""Writes a tiny chat model in llama.cpp's file format: the llama architecture, two layers of 64 numbers, weights from a fixed seed.

usage: tiny_gguf.py FILE     (needs gguf and numpy; llama_server.py installs and calls it)
It knows bytes and made-up words only, so it reads any prompt and every sentence it writes is one no material can support.
The first number of every token's vector is constant and no layer touches it: the last matrix reads it as a bias, which
keeps raw bytes and the end mark from being chosen. An answer is words and full stops up to the token limit, never less.
"""
import os
import sys

import gguf
import numpy

SEED, LAYERS, WIDTH, HEADS, FEED, CONTEXT = 7, 2, 64, 4, 128, 32768
CONSTANT, NEVER, STOP_BIAS = 4.0, -40.0, 3.0
UNKNOWN, BEGIN, END = 0, 1, 2


def vocabulary(rng):
    """Pieces with their scores and kinds: three marks, the 256 bytes, a full stop, and words of no language."""
    kinds = gguf.TokenType
    pieces = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    pieces += [("<0x%02X>" % b, kinds.BYTE) for b in range(256)] + [(".", kinds.NORMAL)]
    words = set()
    while len(words) < 124:
        words.add("".join(rng.choice(list("bdgklmprtvz")) + rng.choice(list("aeiou")) for _ in range(rng.integers(2, 4))) + "x")
    pieces += [("\u2581" + w.capitalize(), kinds.NORMAL) for w in sorted(words)]
    return [p for p, _ in pieces], [0.0 if k != kinds.NORMAL else -float(i) for i, (_, k) in enumerate(pieces)], [k for _, k in pieces]


def matrix(rng, rows, columns):
    return (rng.standard_normal((rows, columns)) / numpy.sqrt(columns)).astype(numpy.float32)


def main():
    rng = numpy.random.default_rng(SEED)
    pieces, scores, kinds = vocabulary(rng)
    stop = pieces.index(".")
    w = gguf.GGUFWriter(sys.argv[1] + ".new", "llama")
    w.add_name("tiny gibberish")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FEED)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_rope_dimension_count(WIDTH // HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(len(pieces))
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores(scores)
    w.add_token_types(kinds)
    w.add_bos_token_id(BEGIN)
    w.add_eos_token_id(END)
    w.add_unk_token_id(UNKNOWN)
    w.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
                        "{% if add_generation_prompt %}assistant:{% endif %}")

    embedding = rng.standard_normal((len(pieces), WIDTH)).astype(numpy.float32) / 2
    embedding[:, 0] = CONSTANT
    output = matrix(rng, len(pieces), WIDTH) * 2
    output[:, 0] = 0
    output[:stop, 0] = NEVER
    output[stop, 0] = STOP_BIAS / CONSTANT
    ones = numpy.ones(WIDTH, numpy.float32)
    w.add_tensor("token_embd.weight", embedding)
    w.add_tensor("output_norm.weight", ones)
    w.add_tensor("output.weight", output)
    for i in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            w.add_tensor("blk.%d.%s.weight" % (i, name), ones)
        for name, rows, columns in (("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH, WIDTH), ("attn_v", WIDTH, WIDTH), ("attn_output", WIDTH, WIDTH),
                                    ("ffn_gate", FEED, WIDTH), ("ffn_up", FEED, WIDTH), ("ffn_down", WIDTH, FEED)):
            m = matrix(rng, rows, columns)
            if name in ("attn_output", "ffn_down"):
                m[0] = 0
            w.add_tensor("blk.%d.%s.weight" % (i, name), m)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(sys.argv[1] + ".new", sys.argv[1])


main()

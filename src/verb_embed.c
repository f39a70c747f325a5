/* SPDX-License-Identifier: MIT */
/* Lines of {"text"} in, lines of {"tokens", "embedding"} out, in the same order. Lines are taken as they come: a batch
 * ends when it is full or when the next line is not there yet, so that a pipe gets its answers while it is still
 * writing, and never more than a batch is held. The first bad line ends it, after the answers of those before it. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "encoder/encoder.h"
#include "verbs.h"

enum { BATCH_TEXTS = 512, BATCH_BYTES = 4 * 1024 * 1024, READ_BYTES = 64 * 1024, LINE_BYTES = LIMIT_REQUEST_BODY_BYTES };

struct lines {
    struct buf held;     /* read and not yet given out */
    size_t     at;       /* start of the next line in it */
    bool       ended;
    int64_t    number;   /* of the last line given out */
};

struct batch {
    json_t     *line[BATCH_TEXTS];
    const char *text[BATCH_TEXTS];   /* borrowed from line */
    size_t      len[BATCH_TEXTS];
    int         count;
    size_t      bytes;
};

/* Whether a whole line, or the last one, is held. */
static bool has_line(const struct lines *l)
{
    return l->held.len > l->at && (l->ended || memchr(l->held.data + l->at, '\n', l->held.len - l->at));
}

static bool would_wait(void)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&p, 1, 0) == 0;
}

static enum err read_more(struct call *c, struct lines *l)
{
    static char piece[READ_BYTES];
    buf_drop_front(&l->held, l->at);
    l->at = 0;
    /* A wait that a signal can end: call_check then says so. */
    while (would_wait()) {
        enum err      e = call_check(c);
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        if (e) return e;
        poll(&p, 1, 200);
    }
    ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && errno == EINTR) return OK;
    if (n < 0) return fail(c, ERR_IO, "standard input: %s", strerror(errno));
    if (n == 0) l->ended = true;
    else if (!buf_add(&l->held, piece, (size_t)n))
        return fail(c, ERR_TOO_LARGE, "line %lld: over %d bytes", (long long)l->number + 1, LINE_BYTES);
    return OK;
}

/* The next line, which must be held; its bytes are valid until the next read. */
static const char *take_line(struct lines *l, size_t *len)
{
    const char *s = l->held.data + l->at, *end = memchr(s, '\n', l->held.len - l->at);
    *len = end ? (size_t)(end - s) : l->held.len - l->at;
    l->at += *len + (end != NULL);
    l->number++;
    return s;
}

static enum err add_line(struct call *c, struct batch *b, const char *s, size_t n, int64_t number)
{
    if (n > LINE_BYTES) return fail(c, ERR_TOO_LARGE, "line %lld: over %d bytes", (long long)number, LINE_BYTES);
    json_error_t why;
    /* NUL is allowed in a text here: the tokenizer drops it, as the reference does. */
    json_t *o = json_loadb(s, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    json_t *text = json_object_get(o, "text");
    if (!json_is_string(text)) {
        enum err e = !o ? fail(c, ERR_BAD_REQUEST, "line %lld: not JSON: %.120s", (long long)number, why.text)
                        : fail(c, ERR_INVALID, "line %lld: no \"text\" that is a string", (long long)number);
        json_decref(o);
        return e;
    }
    b->line[b->count] = o;
    b->text[b->count] = json_string_value(text);
    b->len[b->count] = json_string_length(text);
    b->bytes += b->len[b->count++];
    return OK;
}

static void write_row(struct buf *out, const int32_t *ids, int count, const float *v, int dim)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "tokens");
    for (int i = 0; i < count; i++) json_put_int(&j, NULL, ids[i]);
    json_end(&j);
    json_begin_array(&j, "embedding");
    for (int i = 0; i < dim; i++) json_put_float(&j, NULL, v[i]);
    json_end(&j);
    json_end(&j);
    buf_addc(out, '\n');
}

static enum encoder_kind kind;    /* of every text */

/* The ids that the model reads: with the kind's prefix in front. */
static int ids_of(struct call *c, struct encoder *enc, const char *text, size_t n, int32_t *ids, int max)
{
    const char *prefix = encoder_prefix(enc, kind);
    if (*prefix) {
        char *whole = arena_alloc(&c->mem, strlen(prefix) + n);
        memcpy(whole, prefix, strlen(prefix));
        memcpy(whole + strlen(prefix), text, n);
        text = whole;
        n += strlen(prefix);
    }
    return tokenizer_encode(encoder_tokenizer(enc), text, n, ids, max);
}

static enum err answer(struct call *c, struct batch *b)
{
    if (!b->count) return OK;
    struct encoder *enc = encoder_default();
    const int       dim = encoder_dim(enc);
    float          *v = malloc((size_t)b->count * (size_t)dim * sizeof *v);
    int             counts[BATCH_TEXTS];
    struct buf      out;
    if (!v) abort();
    buf_init(&out, LIMIT_REPLY_BYTES);
    enum err e = encoder_embed_as(c, enc, kind, b->text, b->len, b->count, v, counts);
    for (int i = 0; i < b->count && !e; i++) {
        int32_t ids[LIMIT_TOKENS];
        int     n = ids_of(c, enc, b->text[i], b->len[i], ids, counts[i]);
        write_row(&out, ids, n, v + (size_t)i * (size_t)dim, dim);
    }
    if (!e && out.failed) e = fail(c, ERR_TOO_LARGE, "a batch's answer is over %lld bytes", (long long)LIMIT_REPLY_BYTES);
    if (!e && (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout)))
        e = fail(c, ERR_IO, "standard output: %s", strerror(errno));
    buf_dispose(&out);
    free(v);
    for (int i = 0; i < b->count; i++) json_decref(b->line[i]);
    b->count = 0;
    b->bytes = 0;
    return e;
}

static enum err embed_lines(struct call *c)
{
    static struct batch b;
    struct lines        l = { .number = 0 };
    enum err            e = OK, bad = OK;
    buf_init(&l.held, (size_t)LINE_BYTES + READ_BYTES + 1);
    for (;;) {
        if (!has_line(&l)) {
            if (l.ended) break;
            if (b.count && would_wait()) e = answer(c, &b);
            if (!e) bad = read_more(c, &l);
        } else {
            size_t      n;
            const char *s = take_line(&l, &n);
            bad = add_line(c, &b, s, n, l.number);
            if (!bad && (b.count == BATCH_TEXTS || b.bytes >= BATCH_BYTES)) e = answer(c, &b);
        }
        if (e || bad) break;
    }
    /* What came before a bad line is answered; a call that was stopped says so again by itself. */
    if (!e) e = answer(c, &b);
    buf_dispose(&l.held);
    return bad ? bad : e;
}

int verb_embed(int argc, char **argv)
{
    const char             *precision = NULL, *model = NULL, *as = NULL;
    bool                    jsonl = false;
    const struct verb_flag  flags[] = {
        { "--jsonl", NULL, NULL, NULL, &jsonl, "lines of {\"text\"} in, lines of {\"tokens\", \"embedding\"} out" },
        { "--precision", NULL, "P", &precision, NULL, "auto, int8, bf16 or f32 (ENCODER_PRECISION)" },
        { "--as", NULL, "KIND", &as, NULL, "query or passage: the texts get the model's prefix for it, if it has one" },
        { "--model", NULL, "NAME", &model, NULL, "the embedding model (ENCODER_MODEL)" },
        { 0 },
    };
    struct verb_args a;
    int              code = verb_read(argc, argv, "--jsonl [--precision P] [--as query|passage] [--model NAME] <LINES",
                                      "echo '{\"text\": \"how do I sleep better?\"}' | chiron embed --jsonl\n"
                                      "chiron embed --jsonl --precision f32 <texts.jsonl >vectors.jsonl\n",
                                      flags, &a);
    if (code != VERB_GO) return code;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"; texts come on standard input", a.words[0]);
    if (!jsonl) return verb_usage(&a, "--jsonl is needed");
    if (as && strcmp(as, "query") && strcmp(as, "passage")) return verb_usage(&a, "--as is query or passage, not \"%.40s\"", as);
    if (as) kind = *as == 'q' ? ENCODER_QUERY : ENCODER_PASSAGE;
    if (precision) conf_set("ENCODER_PRECISION", precision);
    if (model) conf_set("ENCODER_MODEL", model);
    struct verb_env v;
    enum err        e = verb_open(&v, &a, VERB_ENCODER, NULL);
    if (!e) e = embed_lines(&v.call);
    return verb_close(&v, e);
}

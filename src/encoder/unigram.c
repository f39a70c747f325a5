/* SPDX-License-Identifier: MIT */
/* Graphemes are normalised one at a time into a word; a finished word is cut by Viterbi's search over a trie of pieces,
 * with double scores and ties as the reference has them. The trie is one growing hash table of edges: a quarter of a
 * million pieces of all scripts share few beginnings, and a table per node would be mostly empty. */
#include "encoder/unigram.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "encoder/bertchars.h"
#include "encoder/spmchars.h"

enum { ROOT = 1, SPECIALS_MAX = 64, SPECIAL_BYTES = 64 };
#define UNKNOWN_PENALTY 10.0
#define METASPACE       "\u2581"

struct edge {
    uint32_t from, to;      /* from 0: an empty slot */
    uint8_t  byte;
};

/* A special token as it stands in a text, where it ends the word before it. */
struct special {
    char    text[SPECIAL_BYTES];
    size_t  len;
    int32_t id;
    bool    takes_left, takes_right;    /* the white space before it, after it, belongs to it */
};

struct unigram {
    struct edge           *edges;
    uint32_t               slots, nodes, room;    /* slots: a power of two */
    int32_t               *piece;                 /* by node: the id that ends there, -1 none */
    double                *score;                 /* by id */
    int                    size, pieces;          /* size counts special tokens behind the pieces in */
    double                 unknown_score;
    int32_t                unknown;
    int32_t                bytes[256];            /* byte_fallback: the piece of each byte; bytes[0] -1 when there is none */
    struct spmchars        forms;
    bool                   by_space, metaspace, prepend, prepend_first_only, splits;
    struct special         special[SPECIALS_MAX];
    int                    specials;
    bool                   special_begins[256];   /* by first byte */
    struct tokenizer_frame frame;
};

/* ---- the trie ---- */

static uint32_t slot_of(const struct unigram *u, uint32_t from, uint8_t byte)
{
    return (uint32_t)(((uint64_t)from << 8 | byte) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (u->slots - 1);
}

static uint32_t child(const struct unigram *u, uint32_t from, uint8_t byte)
{
    for (uint32_t i = slot_of(u, from, byte); u->edges[i].from; i = (i + 1) & (u->slots - 1))
        if (u->edges[i].from == from && u->edges[i].byte == byte) return u->edges[i].to;
    return 0;
}

static void put_edge(struct unigram *u, struct edge e)
{
    uint32_t i = slot_of(u, e.from, e.byte);
    while (u->edges[i].from) i = (i + 1) & (u->slots - 1);
    u->edges[i] = e;
}

static void widen(struct unigram *u)
{
    struct edge *old = u->edges;
    uint32_t     n = u->slots;
    u->slots = n ? n * 2 : 1024;
    u->edges = calloc(u->slots, sizeof *u->edges);
    if (!u->edges) abort();
    for (uint32_t i = 0; i < n; i++)
        if (old[i].from) put_edge(u, old[i]);
    free(old);
}

static uint32_t new_node(struct unigram *u)
{
    if (u->nodes == u->room) {
        u->room = u->room ? u->room * 2 : 1024;
        u->piece = realloc(u->piece, u->room * sizeof *u->piece);
        if (!u->piece) abort();
    }
    u->piece[u->nodes] = -1;
    return u->nodes++;
}

static uint32_t grow(struct unigram *u, uint32_t from, uint8_t byte)
{
    uint32_t to = child(u, from, byte);
    if (to) return to;
    if (u->nodes + u->nodes / 2 >= u->slots) widen(u);
    to = new_node(u);
    put_edge(u, (struct edge){ from, to, byte });
    return to;
}

/* -1 when it is no piece. */
static int32_t find_piece(const struct unigram *u, const char *s, size_t n)
{
    uint32_t node = ROOT;
    for (size_t i = 0; i < n && node; i++) node = child(u, node, (uint8_t)s[i]);
    return node && n ? u->piece[node] : -1;
}

/* ---- reading tokenizer.json ---- */

static enum err add_piece(struct call *c, struct unigram *u, const json_t *pair, int id)
{
    const json_t *text = json_array_get(pair, 0), *score = json_array_get(pair, 1);
    if (!json_is_string(text) || !json_is_number(score) || !isfinite(json_number_value(score)))
        return fail(c, ERR_CORRUPT, "tokenizer.json: piece %d is not a text and a number", id);
    const char *s = json_string_value(text);
    size_t      n = json_string_length(text);
    if (n > UNIGRAM_PIECE_BYTES) return fail(c, ERR_CORRUPT, "tokenizer.json: piece %d has %zu bytes, at most %d", id, n, UNIGRAM_PIECE_BYTES);
    uint32_t node = ROOT;
    for (size_t i = 0; i < n; i++) node = grow(u, node, (uint8_t)s[i]);
    if (n && u->piece[node] >= 0) return fail(c, ERR_CORRUPT, "tokenizer.json: piece %d stands there twice, first as %d", id, u->piece[node]);
    if (n) u->piece[node] = id;
    u->score[id] = json_number_value(score);
    return OK;
}

static enum err read_vocabulary(struct call *c, const json_t *model, struct unigram *u)
{
    const json_t *vocab = json_object_get(model, "vocab"), *one;
    size_t        n = json_array_size(vocab), i;
    double        least = INFINITY;
    enum err      e = OK;
    if (n < 1 || n > UNIGRAM_PIECES_MAX) return fail(c, ERR_CORRUPT, "tokenizer.json: vocab is not an array of 1 to %d pieces", UNIGRAM_PIECES_MAX);
    u->score = malloc(n * sizeof *u->score);
    if (!u->score) abort();
    u->size = u->pieces = (int)n;
    json_array_foreach(vocab, i, one) {
        e = add_piece(c, u, one, (int)i);
        if (e) return e;
        if (u->score[i] < least) least = u->score[i];
    }
    int64_t unknown = json_get_int(model, "unk_id", -1);
    if (unknown < 0 || unknown >= (int64_t)n) return fail(c, ERR_CORRUPT, "tokenizer.json: unk_id is not a piece's");
    u->unknown = (int32_t)unknown;
    u->unknown_score = least - UNKNOWN_PENALTY;
    u->bytes[0] = -1;
    for (int b = 0; b < 256 && json_get_bool(model, "byte_fallback", false); b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        u->bytes[b] = find_piece(u, name, strlen(name));
        if (u->bytes[b] >= 0) continue;
        return fail(c, ERR_CORRUPT, "tokenizer.json: byte_fallback is on, but there is no piece %s", name);
    }
    return OK;
}

static enum err read_added(struct call *c, const json_t *added, struct unigram *u)
{
    const json_t *one;
    size_t        i;
    if (json_array_size(added) > SPECIALS_MAX) return fail(c, ERR_CORRUPT, "tokenizer.json: more than %d added tokens", SPECIALS_MAX);
    json_array_foreach(added, i, one) {
        struct special *s = &u->special[u->specials];
        const json_t   *text = json_object_get(one, "content");
        int64_t         id = json_get_int(one, "id", -1);
        s->len = json_string_length(text);
        if (s->len < 1 || s->len >= SPECIAL_BYTES || id < 0 || id > UNIGRAM_PIECES_MAX)
            return fail(c, ERR_CORRUPT, "tokenizer.json: added token %zu is not an id and a text of 1 to %d bytes", i, SPECIAL_BYTES - 1);
        memcpy(s->text, json_string_value(text), s->len + 1);
        int32_t piece = find_piece(u, s->text, s->len);
        if (id < u->pieces ? piece != id : piece >= 0)
            return fail(c, ERR_CORRUPT, "tokenizer.json: the added token %s is not piece %lld", s->text, (long long)id);
        if (json_get_bool(one, "single_word", false))
            return fail(c, ERR_CORRUPT, "tokenizer.json: the added token %s stands for single words only, which is not known", s->text);
        s->id = (int32_t)id;
        s->takes_left = json_get_bool(one, "lstrip", false);
        s->takes_right = json_get_bool(one, "rstrip", false);
        if (id >= u->size) u->size = (int)id + 1;
        u->special_begins[(uint8_t)s->text[0]] = true;
        u->specials++;
    }
    return OK;
}

static enum err read_metaspace(struct call *c, const json_t *o, struct unigram *u)
{
    if (strcmp(json_get_text(o, "replacement", METASPACE), METASPACE))
        return fail(c, ERR_CORRUPT, "tokenizer.json: Metaspace's replacement is not U+2581");
    const char *scheme = json_get_text(o, "prepend_scheme", json_get_bool(o, "add_prefix_space", true) ? "always" : "never");
    if (strcmp(scheme, "always") && strcmp(scheme, "first") && strcmp(scheme, "never"))
        return fail(c, ERR_CORRUPT, "tokenizer.json: Metaspace's prepend_scheme %.60s is not known", scheme);
    u->metaspace = true;
    u->prepend = strcmp(scheme, "never") != 0;
    u->prepend_first_only = !strcmp(scheme, "first");
    u->splits = json_get_bool(o, "split", true);
    return OK;
}

static enum err read_words(struct call *c, const json_t *o, struct unigram *u, int depth)
{
    const char *type = json_get_text(o, "type", "of no type");
    if (!strcmp(type, "Metaspace") && !u->metaspace) return read_metaspace(c, o, u);
    if (!strcmp(type, "WhitespaceSplit") && !u->metaspace) {
        u->by_space = true;
        return OK;
    }
    if (strcmp(type, "Sequence") || depth) return fail(c, ERR_CORRUPT, "tokenizer.json: the pre-tokenizer %.60s is not known there", type);
    const json_t *one;
    size_t        i;
    enum err      e = OK;
    json_array_foreach(json_object_get(o, "pretokenizers"), i, one) {
        e = read_words(c, one, u, depth + 1);
        if (e) break;
    }
    return e;
}

/* Id of a special token that a template names. */
static int32_t special_id(const struct unigram *u, const char *text)
{
    for (int i = 0; i < u->specials; i++)
        if (!strcmp(u->special[i].text, text)) return u->special[i].id;
    return find_piece(u, text, strlen(text));
}

/* special … in order; "" for a text. */
static const char *template_part(const json_t *list, size_t i)
{
    const json_t *o = json_array_get(list, i);
    const char   *special = json_get_text(json_object_get(o, "SpecialToken"), "id", NULL);
    return special ? special : json_object_get(o, "Sequence") ? "" : "?";
}

static enum err read_template(struct call *c, const json_t *o, struct unigram *u)
{
    const json_t *single = json_object_get(o, "single"), *pair = json_object_get(o, "pair");
    size_t        n = json_array_size(pair);
    bool          good = json_array_size(single) == 3 && !*template_part(single, 1) && (n == 5 || n == 6);
    for (size_t i = 0; i < n && good; i++) good = (i == 1 || i == n - 2) == !*template_part(pair, i);
    good = good && !strcmp(template_part(single, 0), template_part(pair, 0)) && !strcmp(template_part(single, 2), template_part(pair, n - 1));
    if (!good) return fail(c, ERR_CORRUPT, "tokenizer.json: TemplateProcessing is not: begin A end, begin A one or two tokens B end");
    u->frame.begin = special_id(u, template_part(single, 0));
    u->frame.end = special_id(u, template_part(single, 2));
    u->frame.between_count = (int)n - 4;
    for (int i = 0; i < u->frame.between_count; i++) u->frame.between[i] = special_id(u, template_part(pair, 2 + (size_t)i));
    return OK;
}

static enum err read_frame(struct call *c, const json_t *o, struct unigram *u)
{
    const char *type = json_get_text(o, "type", "of no type");
    enum err    e = OK;
    if (!strcmp(type, "TemplateProcessing")) {
        e = read_template(c, o, u);
    } else if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing")) {
        const char *cls = json_string_value(json_array_get(json_object_get(o, "cls"), 0)),
                   *sep = json_string_value(json_array_get(json_object_get(o, "sep"), 0));
        int32_t end = special_id(u, sep ? sep : "");
        u->frame = (struct tokenizer_frame){ special_id(u, cls ? cls : ""), end, *type == 'R' ? 2 : 1, { end, end } };
    } else {
        e = fail(c, ERR_CORRUPT, "tokenizer.json: the post-processor %.60s is not known", type);
    }
    if (!e && (u->frame.begin < 0 || u->frame.end < 0 || u->frame.between[0] < 0 || u->frame.between[1] < 0))
        e = fail(c, ERR_CORRUPT, "tokenizer.json: a special token of %s is not in the vocabulary", type);
    return e;
}

enum err unigram_read(struct call *c, const json_t *root, struct unigram **out)
{
    struct unigram *u = calloc(1, sizeof *u);
    if (!u) abort();
    widen(u);
    new_node(u);
    new_node(u);
    enum err e = read_vocabulary(c, json_object_get(root, "model"), u);
    if (!e) e = read_added(c, json_object_get(root, "added_tokens"), u);
    if (!e) e = spmchars_read(c, json_object_get(root, "normalizer"), &u->forms);
    if (!e) e = read_words(c, json_object_get(root, "pre_tokenizer"), u, 0);
    if (!e && !u->metaspace) e = fail(c, ERR_CORRUPT, "tokenizer.json: no Metaspace pre-tokenizer");
    if (!e) e = read_frame(c, json_object_get(root, "post_processor"), u);
    if (e) {
        unigram_free(u);
        return e;
    }
    *out = u;
    return OK;
}

void unigram_free(struct unigram *u)
{
    if (!u) return;
    free(u->edges);
    free(u->piece);
    free(u->score);
    spmchars_dispose(&u->forms);
    free(u);
}

int                    unigram_size(const struct unigram *u) { return u->size; }
struct tokenizer_frame unigram_frame(const struct unigram *u) { return u->frame; }

/* ---- cutting ---- */

/* The best way to reach a byte of the word: by which piece and from where. Going back it becomes the way on. */
struct step {
    double  score;
    int32_t id;
    int16_t from;        /* -1: not reached */
    int16_t next;
};

struct reading {
    const struct unigram *u;
    int32_t              *ids;
    uint32_t             *offsets;
    int                   count, max;
    bool                  begun;          /* the section between spaces, or special tokens, has had a character */
    bool                  first;          /* it is the text's first */
    int                   spaces;         /* not yet written */
    uint32_t              space_source;
    int                   n;              /* bytes of the word */
    char                  text[UNIGRAM_WORD_BYTES];
    uint32_t              source[UNIGRAM_WORD_BYTES];    /* byte of the text that each came from */
    struct step           step[UNIGRAM_WORD_BYTES + 1];
};

static void put(struct reading *r, int32_t id, uint32_t offset)
{
    if (r->count >= r->max) return;
    if (r->ids) r->ids[r->count] = id;
    if (r->offsets) r->offsets[r->count] = offset;
    r->count++;
}

static void reach(struct step *to, double score, int32_t id, int from)
{
    if (to->from >= 0 && !(score > to->score)) return;
    *to = (struct step){ score, id, (int16_t)from, 0 };
}

static void search_word(struct reading *r)
{
    const struct unigram *u = r->u;
    for (int i = 0; i <= r->n; i++) r->step[i] = (struct step){ .from = -1 };
    for (int at = 0, len; at < r->n; at += len) {
        bertchars_decode((const unsigned char *)r->text + at, (size_t)(r->n - at), &len);
        bool     alone = false;
        double   here = r->step[at].score;
        uint32_t node = ROOT;
        for (int i = at; i < r->n; i++) {
            node = child(u, node, (uint8_t)r->text[i]);
            if (!node) break;
            int32_t id = u->piece[node];
            if (id < 0) continue;
            reach(&r->step[i + 1], u->score[id] + here, id, at);
            if (i + 1 == at + len) alone = true;
        }
        if (!alone) reach(&r->step[at + len], u->unknown_score + here, u->unknown, at);
    }
    for (int at = r->n; at > 0; at = r->step[at].from) r->step[r->step[at].from].next = (int16_t)at;
}

/* What no piece covers: the whole of it as a piece, else its bytes, else one unknown. */
static void put_unknown(struct reading *r, int from, int to)
{
    const struct unigram *u = r->u;
    int32_t               id = find_piece(u, r->text + from, (size_t)(to - from));
    if (id < 0 && u->bytes[0] >= 0) {
        for (int i = from; i < to; i++) put(r, u->bytes[(uint8_t)r->text[i]], r->source[i]);
        return;
    }
    put(r, id < 0 ? u->unknown : id, r->source[from]);
}

static void end_word(struct reading *r)
{
    if (!r->n) return;
    search_word(r);
    for (int at = 0; at < r->n && r->count < r->max;) {
        int to = r->step[at].next;
        if (r->step[to].id != r->u->unknown) {
            put(r, r->step[to].id, r->source[at]);
        } else {
            while (to < r->n && r->step[r->step[to].next].id == r->u->unknown) to = r->step[to].next;
            put_unknown(r, at, to);
        }
        at = to;
    }
    r->n = 0;
}

static void add_bytes(struct reading *r, const char *s, int len, uint32_t source)
{
    if (r->n + len > UNIGRAM_WORD_BYTES) end_word(r);
    for (int i = 0; i < len; i++) {
        r->text[r->n] = s[i];
        r->source[r->n++] = source;
    }
}

static void add_metaspace(struct reading *r, uint32_t source)
{
    if (r->u->splits) end_word(r);
    add_bytes(r, METASPACE, (int)strlen(METASPACE), source);
}

/* A character of the section, which may be its first. */
static void add_char(struct reading *r, const char *s, int len, uint32_t source)
{
    bool mark = len == (int)strlen(METASPACE) && !memcmp(s, METASPACE, (size_t)len);
    if (!r->begun && !r->spaces && !mark && r->u->prepend && (r->first || !r->u->prepend_first_only)) add_metaspace(r, source);
    for (; r->spaces; r->spaces--) add_metaspace(r, r->space_source);
    r->begun = true;
    if (mark) add_metaspace(r, source);
    else add_bytes(r, s, len, source);
}

static void add_space(struct reading *r, uint32_t source)
{
    if (!r->begun && r->u->forms.strip_left) return;
    if (!r->spaces) r->space_source = source;
    if (!r->spaces || !r->u->forms.one_space) r->spaces++;
}

static void end_section(struct reading *r)
{
    if (r->spaces && !r->u->by_space && !r->u->forms.strip_right) {
        for (; r->spaces; r->spaces--) add_metaspace(r, r->space_source);
    }
    end_word(r);
    r->spaces = 0;
    r->begun = r->first = false;
}

static bool is_white(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == ' ' || cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static void add_grapheme(struct reading *r, const char *s, size_t n, uint32_t source)
{
    char   out[SPMCHARS_OUT];
    size_t len = spmchars_apply(&r->u->forms, s, n, out);
    for (size_t at = 0; at < len;) {
        int      step;
        uint32_t cp = bertchars_decode((const unsigned char *)out + at, len - at, &step);
        if (r->u->by_space && is_white(cp)) end_section(r);
        else if (cp == ' ') add_space(r, source);
        else add_char(r, out + at, step, source);
        at += (size_t)step;
    }
}

/* The longest special token that s begins with. */
static const struct special *special_at(const struct unigram *u, const char *s, size_t n)
{
    const struct special *best = NULL;
    if (!u->special_begins[(uint8_t)*s]) return NULL;
    for (int i = 0; i < u->specials; i++) {
        const struct special *k = &u->special[i];
        if (n >= k->len && !memcmp(s, k->text, k->len) && (!best || k->len > best->len)) best = k;
    }
    return best;
}

static size_t white_after(const char *s, size_t n)
{
    size_t at = 0;
    while (at < n) {
        int len;
        if (!is_white(bertchars_decode((const unsigned char *)s + at, n - at, &len))) break;
        at += (size_t)len;
    }
    return at;
}

static void read_text(struct reading *r, const char *text, size_t len)
{
    size_t white_end = 0;
    for (size_t at = 0; at < len && r->count < r->max;) {
        if (at >= white_end) {
            white_end = at + white_after(text + at, len - at);
            const struct special *taker = white_end > at && white_end < len ? special_at(r->u, text + white_end, len - white_end) : NULL;
            if (taker && taker->takes_left) at = white_end;
        }
        const struct special *special = special_at(r->u, text + at, len - at);
        if (special) {
            end_section(r);
            put(r, special->id, (uint32_t)at);
            at += special->len;
            if (special->takes_right) at += white_after(text + at, len - at);
            continue;
        }
        size_t n = spmchars_next(text + at, len - at);
        /* A special token ends a grapheme that would reach into it. */
        for (size_t i = 1; i < n; i++)
            if (special_at(r->u, text + at + i, len - at - i)) n = i;
        if (n) add_grapheme(r, text + at, n, (uint32_t)at);
        at += n ? n : 1;
    }
    end_section(r);
}

int unigram_cut(const struct unigram *u, const char *text, size_t len, int32_t *ids_out, uint32_t *offsets_out, int max)
{
    _Static_assert(UNIGRAM_WORD_BYTES < INT16_MAX, "a step's byte has 16 bits");
    assert(len <= UINT32_MAX);
    struct reading *r = malloc(sizeof *r);
    if (!r) abort();
    r->u = u;
    r->ids = ids_out;
    r->offsets = offsets_out;
    r->count = r->n = r->spaces = 0;
    r->max = max;
    r->begun = false;
    r->first = true;
    read_text(r, text, len);
    int count = r->count;
    free(r);
    return count;
}

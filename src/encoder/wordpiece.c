/* SPDX-License-Identifier: MIT */
/* BERT's WordPiece as one pass over the bytes: characters are folded one at a time into a word of at most 100
 * characters, and a finished word is matched longest-first against a trie that lives in one hash table, so that a token
 * costs one probe per byte. Nothing is allocated per text and nothing is read past the token limit. */
#include "encoder/wordpiece.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* VOCAB_BYTES bounds the nodes too: their numbers have 24 bits in an edge's key. */
enum { WORD_CHARS = 100, TOKEN_BYTES = 255, TOKENS_MAX = 1000000, VOCAB_BYTES = 8 * 1024 * 1024, SPECIALS = 5 };

static const char *const special_text[SPECIALS] = { "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]" };
enum { UNK, CLS, SEP };

/* An edge of the trie: from node `from` over `byte` to node `to`; key 0 is an empty slot (no edge leaves node 0: the
 * roots are 1 for the start of a word and 2 for its continuation). */
struct edge {
    uint32_t key;   /* from << 8 | byte */
    uint32_t to;
};

struct wordpiece {
    struct edge *edges;
    uint32_t     mask;           /* slots - 1 */
    uint32_t     nodes;          /* used */
    int32_t     *token;          /* by node: the id that ends there, -1 none */
    int          size;
    struct bertchars_letters letters;
    int32_t      special[SPECIALS];   /* ids, -1 when the vocabulary lacks one */
};
enum { ROOT = 1, ROOT_CONTINUED = 2 };

static uint32_t slot_of(const struct wordpiece *w, uint32_t key)
{
    return (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & w->mask;
}

static uint32_t child(const struct wordpiece *w, uint32_t from, unsigned char byte)
{
    uint32_t key = from << 8 | byte;
    for (uint32_t i = slot_of(w, key); w->edges[i].key; i = (i + 1) & w->mask)
        if (w->edges[i].key == key) return w->edges[i].to;
    return 0;
}

static uint32_t grow(struct wordpiece *w, uint32_t from, unsigned char byte)
{
    uint32_t key = from << 8 | byte, i = slot_of(w, key);
    for (; w->edges[i].key; i = (i + 1) & w->mask)
        if (w->edges[i].key == key) return w->edges[i].to;
    w->edges[i] = (struct edge){ key, w->nodes };
    w->token[w->nodes] = -1;
    return w->nodes++;
}

/* Room for every byte of the vocabulary to be a node. Tokens share their beginnings: about three quarters stay empty. */
static struct wordpiece *with_room(size_t bytes)
{
    struct wordpiece *w = calloc(1, sizeof *w);
    size_t            slots = 1024;
    while (slots <= bytes) slots *= 2;
    if (w) {
        w->edges = calloc(slots, sizeof *w->edges);
        w->token = malloc((bytes + 3) * sizeof *w->token);
    }
    if (!w || !w->edges || !w->token) abort();
    w->mask = (uint32_t)slots - 1;
    w->nodes = 3;
    w->token[0] = w->token[ROOT] = w->token[ROOT_CONTINUED] = -1;
    for (int i = 0; i < SPECIALS; i++) w->special[i] = -1;
    w->letters = (struct bertchars_letters){ true, true, true };
    return w;
}

static enum err add_token(struct call *c, struct wordpiece *w, const char *s, size_t n, int32_t id)
{
    if (n > TOKEN_BYTES) return fail(c, ERR_CORRUPT, "vocabulary: token %d has %zu bytes, at most %d", id, n, TOKEN_BYTES);
    for (int i = 0; i < SPECIALS; i++)
        if (n == strlen(special_text[i]) && !memcmp(s, special_text[i], n)) w->special[i] = id;
    bool     continued = n > 2 && s[0] == '#' && s[1] == '#';
    uint32_t node = continued ? ROOT_CONTINUED : ROOT;
    for (size_t i = continued ? 2 : 0; i < n; i++) node = grow(w, node, (unsigned char)s[i]);
    if (w->token[node] != -1) return fail(c, ERR_CORRUPT, "vocabulary: token %d stands there twice", id);
    if (n) w->token[node] = id;
    w->size++;
    return OK;
}

static enum err has_specials(struct call *c, const struct wordpiece *w)
{
    for (int i = UNK; i <= SEP; i++)
        if (w->special[i] < 0) return fail(c, ERR_CORRUPT, "vocabulary: no token %s", special_text[i]);
    return OK;
}

enum err wordpiece_parse(struct call *c, const char *vocab, size_t n, struct wordpiece **out)
{
    if (n > VOCAB_BYTES) return fail(c, ERR_CORRUPT, "vocabulary: over %d bytes", VOCAB_BYTES);
    struct wordpiece *w = with_room(n);
    enum err          e = OK;
    int32_t           id = 0;
    for (size_t at = 0; at < n && !e; id++) {
        const char *end = memchr(vocab + at, '\n', n - at);
        size_t      len = (end ? (size_t)(end - vocab) : n) - at, skip = len + 1;
        if (len && vocab[at + len - 1] == '\r') len--;
        if (id >= TOKENS_MAX) e = fail(c, ERR_CORRUPT, "vocabulary: more than %d tokens", TOKENS_MAX);
        else e = add_token(c, w, vocab + at, len, id);
        at += skip;
    }
    if (!e) e = has_specials(c, w);
    if (e) {
        wordpiece_free(w);
        return e;
    }
    *out = w;
    return OK;
}

/* A token for every id, or ids would point at rows of the table that no token has. */
static enum err has_all(struct call *c, const struct wordpiece *w, int most)
{
    if (w->size != most) return fail(c, ERR_CORRUPT, "vocabulary: %d tokens have ids up to %d", w->size, most - 1);
    return OK;
}

/* What is not said is as BERT has it. */
static enum err read_letters(struct call *c, const json_t *root, struct bertchars_letters *out)
{
    const json_t *normalizer = json_object_get(root, "normalizer"), *words = json_object_get(root, "pre_tokenizer");
    const char   *type = json_get_text(normalizer, "type", "BertNormalizer"), *cut = json_get_text(words, "type", "BertPreTokenizer"),
               *continued = json_get_text(json_object_get(root, "model"), "continuing_subword_prefix", "##");
    if (strcmp(type, "BertNormalizer")) return fail(c, ERR_CORRUPT, "tokenizer.json: the normalizer %.60s is not known for WordPiece", type);
    if (strcmp(cut, "BertPreTokenizer")) return fail(c, ERR_CORRUPT, "tokenizer.json: the pre-tokenizer %.60s is not known for WordPiece", cut);
    if (strcmp(continued, "##")) return fail(c, ERR_CORRUPT, "tokenizer.json: pieces inside a word begin with %.20s, not ##", continued);
    bool lower = json_get_bool(normalizer, "lowercase", true);
    *out = (struct bertchars_letters){ lower, json_get_bool(normalizer, "strip_accents", lower), json_get_bool(normalizer, "handle_chinese_chars", true) };
    return OK;
}

enum err wordpiece_read(struct call *c, const json_t *root, size_t n, struct wordpiece **out)
{
    json_t     *vocab = json_object_get(json_object_get(root, "model"), "vocab"), *value;
    const char *key;
    int         most = 0;
    enum err    e = OK;
    if (!json_is_object(vocab)) return fail(c, ERR_CORRUPT, "tokenizer.json: no WordPiece vocabulary");
    if (n > VOCAB_BYTES) return fail(c, ERR_CORRUPT, "tokenizer.json: over %d bytes", VOCAB_BYTES);
    struct bertchars_letters letters;
    e = read_letters(c, root, &letters);
    if (e) return e;
    size_t            tokens = json_object_size(vocab);
    struct wordpiece *w = with_room(n);
    w->letters = letters;
    char             *taken = calloc(tokens + 1, 1);
    if (!taken) abort();
    json_object_foreach(vocab, key, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= TOKENS_MAX) e = fail(c, ERR_CORRUPT, "tokenizer.json: a token's id is not 0 to %d", TOKENS_MAX - 1);
        else if ((size_t)id < tokens && taken[id]) e = fail(c, ERR_CORRUPT, "tokenizer.json: two tokens have the id %d", (int)id);
        else e = add_token(c, w, key, strlen(key), (int32_t)id);
        if (e) break;
        if ((size_t)id < tokens) taken[id] = 1;
        if (id >= most) most = (int)id + 1;
    }
    free(taken);
    if (!e) e = has_all(c, w, most);
    if (!e) e = has_specials(c, w);
    if (e) {
        wordpiece_free(w);
        return e;
    }
    *out = w;
    return OK;
}

void wordpiece_letters(struct wordpiece *w, bool lower_case, bool strip_accents, bool split_chinese)
{
    w->letters = (struct bertchars_letters){ lower_case, strip_accents, split_chinese };
}

void wordpiece_free(struct wordpiece *w)
{
    if (!w) return;
    free(w->edges);
    free(w->token);
    free(w);
}

int wordpiece_size(const struct wordpiece *w) { return w->size; }

/* The word being read and where tokens go. */
struct reading {
    const struct wordpiece *w;
    int32_t                *ids;       /* NULL when only offsets are wanted */
    uint32_t               *offsets;   /* NULL when only ids are wanted */
    int                     count, max;
    int                     chars;     /* of the word; may pass WORD_CHARS, text then holds the first ones */
    int                     bytes;
    unsigned char           text[WORD_CHARS * 4];
    uint32_t                source[WORD_CHARS];  /* byte of the text that each character came from */
};

static void put(struct reading *r, int32_t id, uint32_t offset)
{
    if (r->count >= r->max) return;
    if (r->ids) r->ids[r->count] = id;
    if (r->offsets) r->offsets[r->count] = offset;
    r->count++;
}

static void add_char(struct reading *r, uint32_t cp, uint32_t offset)
{
    if (r->chars < WORD_CHARS) {
        r->source[r->chars] = offset;
        r->bytes += bertchars_encode(cp, r->text + r->bytes);
    }
    r->chars++;
}

/* Greedy longest match from the left; a word that cannot be covered whole is one [UNK]. */
static void end_word(struct reading *r)
{
    if (!r->chars) return;
    const struct wordpiece *w = r->w;
    int                     first = r->count, at = 0, at_char = 0;
    uint32_t                node = ROOT;
    bool                    whole = r->chars <= WORD_CHARS;
    while (whole && at < r->bytes && r->count < r->max) {
        int     best = -1;
        int32_t best_id = -1;
        for (int i = at; i < r->bytes; i++) {
            node = child(w, node, r->text[i]);
            if (!node) break;
            if (w->token[node] >= 0) {
                best = i + 1;
                best_id = w->token[node];
            }
        }
        if (best < 0) whole = false;
        else {
            put(r, best_id, r->source[at_char]);
            if (r->offsets)
                for (int i = at; i < best; i++) at_char += (r->text[i] & 0xc0) != 0x80;
            at = best;
            node = ROOT_CONTINUED;
        }
    }
    /* The limit may end the loop inside a word whose rest has no match: then it still is one [UNK]. */
    while (whole && at < r->bytes) {
        int best = -1;
        for (int i = at; i < r->bytes; i++) {
            node = child(w, node, r->text[i]);
            if (!node) break;
            if (w->token[node] >= 0) best = i + 1;
        }
        if (best < 0) whole = false;
        else at = best;
        node = ROOT_CONTINUED;
    }
    if (!whole) {
        r->count = first;
        put(r, w->special[UNK], r->source[0]);
    }
    r->chars = r->bytes = 0;
}

static void take_char(struct reading *r, uint32_t cp, uint8_t kind, uint32_t offset)
{
    if (kind == BERTCHARS_WORD) {
        add_char(r, cp, offset);
        return;
    }
    end_word(r);
    if (kind == BERTCHARS_PUNCT) {
        add_char(r, cp, offset);
        end_word(r);
    }
}

/* Special tokens stand in the text as they are, in capitals, and cut words in two. Index in special[], -1 when none. */
static int special_at(const struct wordpiece *w, const unsigned char *s, size_t n)
{
    for (int i = 0; i < SPECIALS; i++) {
        size_t len = strlen(special_text[i]);
        if (w->special[i] >= 0 && n >= len && !memcmp(s, special_text[i], len)) return i;
    }
    return -1;
}

static void read_text(struct reading *r, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t at = 0; at < len && r->count < r->max;) {
        uint32_t c = s[at];
        if (c < 0x80) {
            uint8_t kind = bertchars_ascii[c];
            if (kind == BERTCHARS_WORD) {
                add_char(r, c - 'A' < 26 && r->w->letters.lower_case ? c + 32 : c, (uint32_t)at++);
                continue;
            }
            int special = c == '[' ? special_at(r->w, s + at, len - at) : -1;
            if (special >= 0) {
                end_word(r);
                put(r, r->w->special[special], (uint32_t)at);
                at += strlen(special_text[special]);
                continue;
            }
            if (kind != BERTCHARS_DROP) take_char(r, c, kind, (uint32_t)at);
            at++;
            continue;
        }
        int                  n;
        struct bertchars_out folded[BERTCHARS_MAX];
        uint32_t             cp = bertchars_decode(s + at, len - at, &n);
        int                  count = bertchars_fold(cp, r->w->letters, folded);
        for (int i = 0; i < count; i++) take_char(r, folded[i].cp, folded[i].kind, (uint32_t)at);
        at += (size_t)n;
    }
    end_word(r);
}

struct tokenizer_frame wordpiece_frame(const struct wordpiece *w)
{
    return (struct tokenizer_frame){ w->special[CLS], w->special[SEP], 1, { w->special[SEP] } };
}

int wordpiece_ids(const struct wordpiece *w, const char *text, size_t len, int32_t *ids, int max)
{
    struct reading r;
    r.w = w;
    r.ids = ids;
    r.offsets = NULL;
    r.count = r.chars = r.bytes = 0;
    r.max = max;
    read_text(&r, text, len);
    return r.count;
}

int wordpiece_encode(const struct wordpiece *w, const char *text, size_t len, int32_t *ids, int max_ids)
{
    assert(max_ids >= 2);
    int n = wordpiece_ids(w, text, len, ids + 1, max_ids - 2);
    ids[0] = w->special[CLS];
    ids[n + 1] = w->special[SEP];
    return n + 2;
}

int wordpiece_spans(const struct wordpiece *w, const char *text, size_t len, uint32_t *offsets_out, int max)
{
    assert(len <= UINT32_MAX);
    struct reading r;
    r.w = w;
    r.ids = NULL;
    r.offsets = offsets_out;
    r.count = r.chars = r.bytes = 0;
    r.max = max;
    read_text(&r, text, len);
    return r.count;
}

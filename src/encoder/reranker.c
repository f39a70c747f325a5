/* SPDX-License-Identifier: MIT */
/* A cross-encoder as one object, and how many pairs become packs. Packs are taken in order and one that was begun is ended,
 * so that what has a score when the time is over is a prefix of what was asked. They are small: a deadline is looked at
 * between them, and their number is what two threads can share. It refuses models with more labels than one: their scores
 * have no order. */
#include "encoder/reranker.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "encoder/encode.h"
#include "encoder/pair.h"

enum {
    THREADS_MAX = 16,
    SEATS_MORE = 2,             /* idle ones kept beside one for each thread */
    PACK_TOKENS = 256,          /* a pack that has this many takes no further pair */
    PACK_PAIRS = 64,
    HEAD_ROWS = 32,             /* rows of the head computed together */
    TRIAL_TOKENS = 128,         /* measured at load */
};

/* What one thread needs. */
struct seat {
    struct encode_seat *encode;
    struct matmul_seat *head;
    float              *first, *pooled;    /* PACK_PAIRS × hidden; the second HEAD_ROWS × hidden */
};

struct reranker {
    struct weights        weights;
    struct tokenizer     *tokenizer;
    struct precision      precision;
    struct matmul_plan   *plan;            /* of the pooler */
    struct matmul_matrix *pooler;
    float                *place, *pooler_bias, *classifier, classifier_bias;
    bool                  sigmoid;         /* the model's own last step */
    char                  name[128];
    int                   max_ids, threads;
    _Atomic float         token_us;        /* of one thread, lately */
    atomic_int            helpers;         /* running now, over all calls; at most threads - 1 */
    pthread_mutex_t       lock;            /* of what follows */
    struct seat          *idle[THREADS_MAX + SEATS_MORE];
    int                   idle_count;
};

static struct reranker *default_reranker;
struct reranker        *reranker_default(void) { return default_reranker; }
void                    reranker_set_default(struct reranker *r) { default_reranker = r; }

const char *reranker_name(const struct reranker *r) { return r->name; }
int         reranker_max_tokens(const struct reranker *r) { return r->max_ids; }
const char *reranker_precision_used(const struct reranker *r)
{
    return precision_name(&r->precision);
}

float reranker_probability(float logit) { return 1 / (1 + expf(-logit)); }
float reranker_output(const struct reranker *r, float logit) { return r->sigmoid ? reranker_probability(logit) : logit; }

static float *floats(size_t n)
{
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes);
    if (!p) abort();
    memset(p, 0, bytes);
    return p;
}

/* ---- load ---- */

/* "torch.nn.modules.linear.Identity": the last part counts. sentence-transformers writes the name in either place; a
 * model with one label and without it has a sigmoid. */
static enum err read_activation(struct call *c, const json_t *config, bool *sigmoid_out)
{
    const char *name = json_get_text(json_object_get(config, "sentence_transformers"), "activation_fn", NULL);
    if (!name) name = json_get_text(config, "sbert_ce_default_activation_function", "Sigmoid");
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (strcmp(last, "Sigmoid") && strcmp(last, "Identity"))
        return fail(c, ERR_CORRUPT, "config.json: the activation \"%.60s\" is neither Sigmoid nor Identity", last);
    *sigmoid_out = !strcmp(last, "Sigmoid");
    return OK;
}

static enum err check_architecture(struct call *c, const json_t *config)
{
    const json_t *list = json_object_get(config, "architectures"), *labels = json_object_get(config, "id2label");
    bool          found = !list;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        found = found || (name && !strcmp(name, "BertForSequenceClassification"));
    }
    if (!found) return fail(c, ERR_CORRUPT, "config.json: architectures is not BertForSequenceClassification, so it is no cross-encoder");
    int64_t n = json_get_int(config, "num_labels", json_is_object(labels) ? (int64_t)json_object_size(labels) : 1);
    if (n != 1) return fail(c, ERR_CORRUPT, "config.json: %lld labels; a cross-encoder that ranks has 1", (long long)n);
    return OK;
}

static enum err read_config(struct call *c, struct reranker *r, const char *folder)
{
    struct mapped m;
    json_t       *config = NULL;
    enum err      e = mapped_open_in(c, folder, "config.json", &m);
    if (e) return e;
    if (json_parse(c, m.data, m.size, &config)) {
        call_forgive(c);
        e = fail(c, ERR_CORRUPT, "%s/config.json: not JSON", folder);
    }
    mapped_close(&m);
    if (!e) e = check_architecture(c, config);
    if (!e) e = read_activation(c, config, &r->sigmoid);
    json_decref(config);
    return e;
}

static enum err read_head(struct call *c, struct reranker *r)
{
    const int            n = r->weights.hidden;
    const struct tensor *weight, *bias, *last, *last_bias;
    enum err             e = weights_find(c, &r->weights, "pooler.dense.weight", n, n, &weight);
    if (!e) e = weights_find(c, &r->weights, "pooler.dense.bias", n, 0, &bias);
    if (!e) e = weights_find(c, &r->weights, "classifier.weight", 1, n, &last);
    if (!e) e = weights_find(c, &r->weights, "classifier.bias", 1, 0, &last_bias);
    if (!e && !r->weights.second) e = fail(c, ERR_CORRUPT, "config.json: one token type; a cross-encoder has two");
    if (!e) e = matmul_plan_new(c, FORM_F32, n, n, FORM_F32, true, HEAD_ROWS, &r->plan);
    if (e) return e;
    r->place = floats(matmul_plan_bytes(r->plan) / sizeof(float) + 1);
    r->pooler_bias = floats((size_t)n);
    r->classifier = floats((size_t)n);
    if (!tensor_floats(bias, 0, n, r->pooler_bias) || !tensor_floats(last, 0, n, r->classifier) ||
        !tensor_floats(last_bias, 0, 1, &r->classifier_bias))
        return fail(c, ERR_CORRUPT, "the head's tensors: a number is NaN or infinite");
    e = matmul_matrix_new(c, r->plan, r->place, r->pooler_bias, &r->pooler);
    return e ? e : matmul_matrix_pack(c, r->pooler, 0, weight, 1);
}

static void take_name(struct reranker *r, const char *folder)
{
    size_t end = strlen(folder), start;
    while (end > 1 && folder[end - 1] == '/') end--;
    for (start = end; start > 0 && folder[start - 1] != '/';) start--;
    size_t n = end - start < sizeof r->name - 1 ? end - start : sizeof r->name - 1;
    memcpy(r->name, folder + start, n);
    r->name[n] = 0;
}

static int thread_count(void)
{
    int64_t asked = conf_int("ENCODER_THREADS");
    long    cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0) return (int)asked;
    return cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (int)cores;
}

static enum err load(struct call *c, const char *folder, enum form form, struct reranker *r)
{
    enum err e = read_config(c, r, folder);
    if (!e) e = weights_load(c, folder, form, &r->weights);
    if (!e) e = tokenizer_load(c, folder, &r->weights.card, &r->tokenizer);
    if (!e && tokenizer_size(r->tokenizer) > r->weights.vocabulary)
        e = fail(c, ERR_CORRUPT, "%s: the vocabulary has %d tokens, the weights %d", folder, tokenizer_size(r->tokenizer),
                 r->weights.vocabulary);
    if (!e) e = read_head(c, r);
    if (e) return e;
    r->max_ids = r->weights.card.max_tokens < LIMIT_TOKENS ? r->weights.card.max_tokens : LIMIT_TOKENS;
    if (r->max_ids > r->weights.positions) r->max_ids = r->weights.positions;
    return r->max_ids >= PAIR_LEAST ? OK : fail(c, ERR_CORRUPT, "%s: %d tokens are too few for a pair", folder, r->max_ids);
}

/* So that the first search already knows how many texts its time is enough for. The second run counts: the first one
 * brings the weights in. */
static enum err measure(struct call *c, struct reranker *r)
{
    char                word[2 * TRIAL_TOKENS];
    const char         *text = word;
    float               logit;
    struct reranker_run run;
    memset(word, 'a', sizeof word);
    for (size_t i = 1; i < sizeof word; i += 2) word[i] = ' ';
    word[sizeof word - 1] = 0;
    enum err e = reranker_score(c, r, "a", &text, NULL, 1, &logit, &run);
    atomic_store(&r->token_us, 0);
    return e ? e : reranker_score(c, r, "a", &text, NULL, 1, &logit, &run);
}

enum err reranker_load(struct call *c, const char *folder, enum encoder_precision p, struct reranker **out)
{
    struct precision precision;
    enum err         e = precision_choose(c, p, &precision);
    if (e) return e;
    struct reranker *r = calloc(1, sizeof *r);
    if (!r) abort();
    pthread_mutex_init(&r->lock, NULL);
    r->precision = precision;
    r->threads = thread_count();
    take_name(r, folder);
    matmul_thread_begin();
    e = load(c, folder, precision.form, r);
    if (!e) e = measure(c, r);
    if (e) {
        reranker_free(r);
        return e;
    }
    *out = r;
    return OK;
}

/* ---- seats ---- */

static struct seat *seat_new(struct reranker *r)
{
    struct seat *s = calloc(1, sizeof *s);
    if (!s) abort();
    const size_t hidden = (size_t)r->weights.hidden;
    s->encode = encode_seat_new(&r->weights, &r->precision);
    s->head = matmul_seat_new(&r->plan, 1);
    s->first = floats((PACK_PAIRS + HEAD_ROWS) * hidden);
    s->pooled = floats(HEAD_ROWS * hidden);
    return s;
}

static void seat_free(struct seat *s)
{
    if (!s) return;
    encode_seat_free(s->encode);
    matmul_seat_free(s->head);
    free(s->first);
    free(s->pooled);
    free(s);
}

void reranker_free(struct reranker *r)
{
    if (!r) return;
    for (int i = 0; i < r->idle_count; i++) seat_free(r->idle[i]);
    matmul_matrix_free(r->pooler);
    matmul_plan_free(r->plan);
    free(r->place);
    free(r->pooler_bias);
    free(r->classifier);
    weights_dispose(&r->weights);
    tokenizer_free(r->tokenizer);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct seat *take_seat(struct reranker *r)
{
    struct seat *s = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->idle_count) s = r->idle[--r->idle_count];
    pthread_mutex_unlock(&r->lock);
    return s ? s : seat_new(r);
}

static void give_seat(struct reranker *r, struct seat *s)
{
    pthread_mutex_lock(&r->lock);
    if (r->idle_count < r->threads + SEATS_MORE) {
        r->idle[r->idle_count++] = s;
        s = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    seat_free(s);
}

/* ---- scoring ---- */

/* One call: what all its threads share. */
struct batch {
    struct reranker *r;
    int64_t          deadline_ms;                  /* of the call; 0 none */
    int32_t         *ids;                          /* of all pairs, end to end */
    int              lens[LIMIT_RERANK_TEXTS], firsts[LIMIT_RERANK_TEXTS];
    float           *logits;
    int              pairs;
    int              begin[LIMIT_RERANK_TEXTS + 1];   /* pack → its first pair; one more marks the end */
    int              at[LIMIT_RERANK_TEXTS + 1];      /* pack → its first id; likewise */
    int              packs;
    atomic_int       next;                         /* pack */
    atomic_bool      stop, broken;
};

/* tanh(W·x + b) of each first row, then the one label's weights. */
static bool score_rows(struct reranker *r, struct seat *s, int n, float *logits)
{
    const int hidden = r->weights.hidden;
    for (int at = 0; at < n; at += HEAD_ROWS) {
        int rows = n - at < HEAD_ROWS ? n - at : HEAD_ROWS;
        if (!matmul_seat_run(s->head, 0, r->pooler, rows, s->first + (size_t)at * (size_t)hidden, s->pooled)) return false;
        for (int i = 0; i < rows; i++) {
            double sum = (double)r->classifier_bias;
            for (int k = 0; k < hidden; k++)
                sum += (double)tanhf(s->pooled[(size_t)i * (size_t)hidden + (size_t)k]) * (double)r->classifier[k];
            logits[at + i] = (float)sum;
        }
    }
    return true;
}

static bool run_pack(struct batch *b, struct seat *s, int pack)
{
    const int    begin = b->begin[pack], n = b->begin[pack + 1] - begin;
    const size_t hidden = (size_t)b->r->weights.hidden;
    float       *rows[PACK_PAIRS];
    int64_t      start = clock_mono_us();
    for (int i = 0; i < n; i++) rows[i] = s->first + (size_t)i * hidden;
    if (!encode_pairs(s->encode, b->ids + b->at[pack], b->lens + begin, b->firsts + begin, n, rows)) return false;
    if (!score_rows(b->r, s, n, b->logits + begin)) return false;
    float us = (float)(clock_mono_us() - start) / (float)(b->at[pack + 1] - b->at[pack]), was = atomic_load(&b->r->token_us);
    atomic_store(&b->r->token_us, was > 0 ? was + (us - was) / 8 : us);
    return true;
}

/* A pack that would end after the deadline is not begun. */
static bool in_time(const struct batch *b, int pack)
{
    if (!b->deadline_ms || pack >= b->packs) return true;
    float need_us = atomic_load(&b->r->token_us) * (float)(b->at[pack + 1] - b->at[pack]);
    return clock_mono_us() + (int64_t)need_us < b->deadline_ms * 1000;
}

/* c is NULL in helper threads: only the caller may look at its call, and tells the others through stop. */
static enum err work(struct batch *b, struct call *c)
{
    struct seat *s = take_seat(b->r);
    enum err     e = OK;
    for (;;) {
        if (c) e = call_check(c);
        if (e || !in_time(b, atomic_load(&b->next))) atomic_store(&b->stop, true);
        if (atomic_load(&b->stop)) break;
        /* Looked at before and not after: a pack whose number was taken is computed. */
        int pack = atomic_fetch_add(&b->next, 1);
        if (pack >= b->packs) break;
        if (!run_pack(b, s, pack)) {
            atomic_store(&b->broken, true);
            atomic_store(&b->stop, true);
        }
    }
    give_seat(b->r, s);
    return e;
}

static void *help(void *arg)
{
    matmul_thread_begin();
    enum err e = work(arg, NULL);
    assert(!e);
    (void)e;
    return NULL;
}

static enum err run_packs(struct call *c, struct batch *b)
{
    pthread_t helper[THREADS_MAX];
    int       started = 0;
    for (; started < b->packs - 1 && started < b->r->threads - 1; started++) {
        bool free_place = atomic_fetch_add(&b->r->helpers, 1) < b->r->threads - 1;
        if (free_place && !pthread_create(&helper[started], NULL, help, b)) continue;
        atomic_fetch_sub(&b->r->helpers, 1);
        break;
    }
    enum err e = work(b, c);
    for (int i = 0; i < started; i++) pthread_join(helper[i], NULL);
    atomic_fetch_sub(&b->r->helpers, started);
    if (e == ERR_TIMEOUT) {
        call_forgive(c);
        e = OK;
    }
    if (!e && atomic_load(&b->broken)) e = fail(c, ERR_INTERNAL, "a matrix product failed");
    return e;
}

/* Token ids of all pairs, cut into packs. */
static void read_pairs(struct batch *b, const char *query, const char *const *texts, const size_t *lens, int n)
{
    struct pair p;
    int         total = 0, in_pack = PACK_TOKENS;
    pair_query(&p, b->r->tokenizer, query, strlen(query), b->r->max_ids);
    for (int i = 0; i < n; i++) {
        if (in_pack >= PACK_TOKENS || i - b->begin[b->packs - 1] >= PACK_PAIRS) {
            b->begin[b->packs] = i;
            b->at[b->packs++] = total;
            in_pack = 0;
        }
        b->lens[i] = pair_encode(&p, texts[i], lens ? lens[i] : strlen(texts[i]), b->ids + total, &b->firsts[i]);
        in_pack += b->lens[i];
        total += b->lens[i];
    }
    b->pairs = n;
    b->begin[b->packs] = n;
    b->at[b->packs] = total;
}

enum err reranker_score(struct call *c, struct reranker *r, const char *query, const char *const *texts, const size_t *lens,
                        int n, float *logits, struct reranker_run *run)
{
    _Static_assert((int)PACK_TOKENS + (int)LIMIT_TOKENS <= (int)ENCODE_PACK_TOKENS, "a pack holds what may be in it");
    assert(n >= 0 && n <= LIMIT_RERANK_TEXTS);
    if (strlen(query) > LIMIT_QUERY_BYTES) return fail(c, ERR_TOO_LARGE, "a query has at most %d bytes", LIMIT_QUERY_BYTES);
    *run = (struct reranker_run){ 0 };
    if (n == 0) return OK;
    matmul_thread_begin();
    struct batch *b = calloc(1, sizeof *b);
    if (b) b->ids = malloc((size_t)n * (size_t)r->max_ids * sizeof *b->ids);
    if (!b || !b->ids) abort();
    b->r = r;
    b->logits = logits;
    b->deadline_ms = c->deadline_ms;
    read_pairs(b, query, texts, lens, n);
    enum err e = run_packs(c, b);
    if (!e) {
        int done = atomic_load(&b->next);
        if (done > b->packs) done = b->packs;
        *run = (struct reranker_run){ .scored = b->begin[done], .batches = done, .tokens = b->at[done] };
    }
    free(b->ids);
    free(b);
    return e;
}

int reranker_texts_in(const struct reranker *r, int64_t ms, size_t text_bytes)
{
    float each_us = atomic_load(&r->token_us), tokens = (float)text_bytes / 4 + 16;
    if (!(each_us > 0)) return LIMIT_RERANK_TEXTS;
    if (tokens > (float)r->max_ids) tokens = (float)r->max_ids;
    float n = (float)ms * 1000 * (float)r->threads / (each_us * tokens);
    return n < 1 ? 1 : n > LIMIT_RERANK_TEXTS ? LIMIT_RERANK_TEXTS : (int)n;
}

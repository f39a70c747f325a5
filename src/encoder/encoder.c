/* SPDX-License-Identifier: MIT */
/* The encoder as one object, and how many texts become packs: texts are read in windows, cut into packs of whole
 * sequences, and the packs are taken one after another from an atomic counter by the caller and, when there are many,
 * by threads that live for the call. A short call needs no other thread and never waits for a long one; short calls
 * that come at the same time share packs (share.c). Seats belong to the encoder and not to threads, which come and go. */
#include "encoder/encoder.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "encoder/encode.h"
#include "encoder/share.h"
#include "encoder/tokenizer.h"

enum {
    THREADS_MAX = 16,
    SEATS_MORE = 2,             /* idle ones kept beside one for each thread; up to 6 MB each */
    WINDOW_TEXTS = 1024,        /* tokenized at a time */
    BULK_TOKENS = 512,          /* of a pack: what a thread works on before it looks up; longer packs are no faster */
    PACKS_PER_THREAD = 2,       /* fewer are not worth a thread */
    HELPER_NICE = 10,           /* so that a query's thread comes first; as a job's own threads */
};

const struct setting encoder_settings[] = {
    { .name = "ENCODER_MODEL", .dflt = "all-MiniLM-L6-v2", .help = "name of the embedding model's folder" },
    { .name = "ENCODER_MODEL_DIR", .help = "folder of the model folders; default: chiron/models in the XDG cache" },
    { .name = "ENCODER_PRECISION", .dflt = "auto",
      .help = "auto, int8, bf16 or f32; auto is the fastest here; bf16 becomes f32 where the CPU has none" },
    { .name = "ENCODER_KERNELS", .dflt = "auto",
      .help = "auto, amx, avx512, avx2 or portable: the kind of instructions; one that the CPU lacks is an error at start" },
    { .name = "ENCODER_CACHE", .dflt = "on", .flags = SETTING_BOOL,
      .help = "on or off: keep the packed weights in a file (int8.packed beside the model), so that a start need not make them" },
    { .name = "ENCODER_THREADS", .dflt = "0", .help = "threads of one bulk embedding call; 0: one per core, at most 16",
      .flags = SETTING_INT, .min = 0, .max = THREADS_MAX },
    { 0 },
};

struct encoder {
    struct weights        weights;
    struct tokenizer     *tokenizer;
    struct precision      precision;
    char                  name[128];
    int                   max_ids, reach[ENCODER_KINDS];
    int                   threads;            /* of a bulk call, the caller counted in */
    atomic_int            helpers;            /* running now, over all calls; at most threads - 1 */
    pthread_mutex_t       lock;               /* of what follows */
    struct encode_seat   *idle[THREADS_MAX + SEATS_MORE];
    int                   idle_count;
    struct share         *share;              /* where short calls meet */
};

static struct encoder *default_encoder;
struct encoder        *encoder_default(void) { return default_encoder; }
void                   encoder_set_default(struct encoder *e) { default_encoder = e; }

int                     encoder_dim(const struct encoder *e) { return e->weights.hidden; }
const char             *encoder_name(const struct encoder *e) { return e->name; }
const struct tokenizer *encoder_tokenizer(const struct encoder *e) { return e->tokenizer; }
const struct card      *encoder_card(const struct encoder *e) { return &e->weights.card; }
int                     encoder_reach(const struct encoder *e, enum encoder_kind kind) { return e->reach[kind]; }
const char             *encoder_prefix(const struct encoder *e, enum encoder_kind kind) { return e->weights.card.prefix[kind]; }
const char             *encoder_precision_used(const struct encoder *e)
{
    return precision_name(&e->precision);
}
const char *encoder_kernels_used(const struct encoder *e) { return precision_kernels(&e->precision); }

static int thread_count(void)
{
    int64_t asked = conf_int("ENCODER_THREADS");
    long    cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked > 0) return (int)asked;
    return cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (int)cores;
}

static void take_name(struct encoder *e, const char *folder)
{
    size_t end = strlen(folder), start;
    while (end > 1 && folder[end - 1] == '/') end--;
    for (start = end; start > 0 && folder[start - 1] != '/';) start--;
    size_t n = end - start < sizeof e->name - 1 ? end - start : sizeof e->name - 1;
    memcpy(e->name, folder + start, n);
    e->name[n] = 0;
}

enum err encoder_load(struct call *c, const char *folder, enum encoder_precision p, struct encoder **out)
{
    struct precision precision;
    enum err         r = precision_choose(c, p, &precision);
    if (r) return r;
    struct encoder *e = calloc(1, sizeof *e);
    if (!e) abort();
    e->precision = precision;
    pthread_mutex_init(&e->lock, NULL);
    e->threads = thread_count();
    e->share = share_new(e->threads);
    take_name(e, folder);
    matmul_thread_begin();
    r = weights_load(c, folder, precision.form, &e->weights);
    if (!r && e->weights.card.cross_encoder)
        r = fail(c, ERR_CORRUPT, "%s: this model scores pairs of texts (a cross-encoder) and makes no vectors", folder);
    if (!r) r = tokenizer_load(c, folder, &e->weights.card, &e->tokenizer);
    if (!r && tokenizer_size(e->tokenizer) > e->weights.vocabulary)
        r = fail(c, ERR_CORRUPT, "%s: the vocabulary has %d tokens, the weights %d", folder, tokenizer_size(e->tokenizer),
                 e->weights.vocabulary);
    e->max_ids = e->weights.card.max_tokens < LIMIT_TOKENS ? e->weights.card.max_tokens : LIMIT_TOKENS;
    if (e->max_ids > e->weights.positions) e->max_ids = e->weights.positions;
    for (int i = 0; i < ENCODER_KINDS && !r; i++) {
        const char *prefix = encoder_prefix(e, i);
        e->reach[i] = e->max_ids - 2 - tokenizer_spans(e->tokenizer, prefix, strlen(prefix), NULL, e->max_ids);
        if (e->reach[i] < 1) r = fail(c, ERR_CORRUPT, "%s: the prefix \"%.60s\" leaves no room for a text", folder, prefix);
    }
    if (r) {
        encoder_free(e);
        return r;
    }
    *out = e;
    return OK;
}

void encoder_free(struct encoder *e)
{
    if (!e) return;
    for (int i = 0; i < e->idle_count; i++) encode_seat_free(e->idle[i]);
    share_free(e->share);
    weights_dispose(&e->weights);
    tokenizer_free(e->tokenizer);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static struct encode_seat *take_seat(struct encoder *e)
{
    struct encode_seat *s = NULL;
    pthread_mutex_lock(&e->lock);
    if (e->idle_count) s = e->idle[--e->idle_count];
    pthread_mutex_unlock(&e->lock);
    return s ? s : encode_seat_new(&e->weights, &e->precision);
}

static void give_seat(struct encoder *e, struct encode_seat *s)
{
    pthread_mutex_lock(&e->lock);
    if (e->idle_count < e->threads + SEATS_MORE) {
        e->idle[e->idle_count++] = s;
        s = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    encode_seat_free(s);
}

/* One window of one call: what all its threads share. */
struct window {
    struct encoder *e;
    int32_t        *ids;                          /* of all texts, end to end */
    int             lens[WINDOW_TEXTS];
    float          *rows[WINDOW_TEXTS];
    int             texts, tokens;
    int             first[WINDOW_TEXTS + 1];      /* pack → its first text; one more marks the end */
    int             at[WINDOW_TEXTS];             /* pack → its first id */
    int             packs;
    atomic_int      next;                         /* pack */
    atomic_bool     stop, broken;
};

/* c is NULL in helper threads: only the caller may look at its call, and tells the others through stop. */
static enum err work(struct window *w, struct call *c)
{
    struct encode_seat *s = take_seat(w->e);
    enum err            e = OK;
    for (;;) {
        if (c) e = call_check(c);
        if (e) atomic_store(&w->stop, true);
        int p = atomic_fetch_add(&w->next, 1);
        if (p >= w->packs || atomic_load(&w->stop)) break;
        int first = w->first[p];
        if (!encode_pack(s, w->ids + w->at[p], w->lens + first, w->first[p + 1] - first, w->rows + first)) {
            atomic_store(&w->broken, true);
            atomic_store(&w->stop, true);
        }
    }
    give_seat(w->e, s);
    return e;
}

static void *help(void *arg)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), HELPER_NICE);
    matmul_thread_begin();
    enum err e = work(arg, NULL);
    assert(!e);
    (void)e;
    return NULL;
}

static bool share_pack(void *arg, const int32_t *ids, const int *lens, int n, float *const *rows)
{
    struct encoder     *e = arg;
    struct encode_seat *s = take_seat(e);
    bool                ok = encode_pack(s, ids, lens, n, rows);
    give_seat(e, s);
    return ok;
}

static enum err run_packs(struct window *w, struct call *c)
{
    if (w->packs == 1 && w->texts <= SHARE_PACK_TEXTS && w->tokens <= SHARE_TOKENS) {
        enum err checked = call_check(c);
        if (checked) return checked;
        if (!share_run(w->e->share, w->ids, w->lens, w->texts, w->rows, share_pack, w->e, NULL))
            return fail(c, ERR_INTERNAL, "a matrix product failed");
        return OK;
    }
    pthread_t helper[THREADS_MAX];
    int       started = 0, wanted = w->packs / PACKS_PER_THREAD - 1;
    for (; started < wanted && started < w->e->threads - 1; started++) {
        bool free_place = atomic_fetch_add(&w->e->helpers, 1) < w->e->threads - 1;
        if (free_place && !pthread_create(&helper[started], NULL, help, w)) continue;
        atomic_fetch_sub(&w->e->helpers, 1);
        break;
    }
    enum err e = work(w, c);
    for (int i = 0; i < started; i++) pthread_join(helper[i], NULL);
    atomic_fetch_sub(&w->e->helpers, started);
    if (!e && atomic_load(&w->broken)) e = fail(c, ERR_INTERNAL, "a matrix product failed");
    return e;
}

/* Prefix and text are read as one: a token may span where they meet. */
static int read_prefixed(const struct encoder *e, const char *prefix, size_t prefix_len, const char *text, size_t len, struct buf *room,
                         int32_t *ids)
{
    buf_clear(room);
    buf_add(room, prefix, prefix_len);
    if (!buf_add(room, text, len)) abort();
    return tokenizer_encode(e->tokenizer, room->data, room->len, ids, e->max_ids);
}

/* Token ids of as many texts as a window holds, cut into packs. */
static void read_window(struct window *w, enum encoder_kind kind, const char *const *texts, const size_t *lens, int n)
{
    const char *prefix = encoder_prefix(w->e, kind);
    size_t      prefix_len = strlen(prefix);
    struct buf  room;
    int         total = 0, in_pack = BULK_TOKENS;
    buf_init(&room, SIZE_MAX / 2);
    w->texts = n < WINDOW_TEXTS ? n : WINDOW_TEXTS;
    w->packs = 0;
    for (int i = 0; i < w->texts; i++) {
        size_t len = lens ? lens[i] : strlen(texts[i]);
        int    count = prefix_len ? read_prefixed(w->e, prefix, prefix_len, texts[i], len, &room, w->ids + total)
                                  : tokenizer_encode(w->e->tokenizer, texts[i], len, w->ids + total, w->e->max_ids);
        if (in_pack + count > BULK_TOKENS) {
            w->first[w->packs] = i;
            w->at[w->packs++] = total;
            in_pack = 0;
        }
        w->lens[i] = count;
        in_pack += count;
        total += count;
    }
    w->first[w->packs] = w->texts;
    w->tokens = total;
    atomic_store(&w->next, 0);
    buf_dispose(&room);
}

enum err encoder_embed_as(struct call *c, struct encoder *e, enum encoder_kind kind, const char *const *texts,
                          const size_t *lens, int n, float *out, int *tokens_out)
{
    if (n <= 0) return OK;
    matmul_thread_begin();
    const size_t   dim = (size_t)e->weights.hidden;
    const int      most = n < WINDOW_TEXTS ? n : WINDOW_TEXTS;
    struct window *w = calloc(1, sizeof *w);
    float         *rows = malloc((size_t)n * dim * sizeof *rows);
    int           *counts = malloc((size_t)n * sizeof *counts);
    if (w) w->ids = malloc((size_t)most * (size_t)e->max_ids * sizeof *w->ids);
    if (!w || !rows || !counts || !w->ids) abort();
    w->e = e;
    enum err r = OK;
    for (int at = 0; at < n && !r; at += w->texts) {
        read_window(w, kind, texts + at, lens ? lens + at : NULL, n - at);
        for (int i = 0; i < w->texts; i++) w->rows[i] = rows + (size_t)(at + i) * dim;
        memcpy(counts + at, w->lens, (size_t)w->texts * sizeof *counts);
        r = run_packs(w, c);
    }
    if (!r) {
        memcpy(out, rows, (size_t)n * dim * sizeof *out);
        if (tokens_out) memcpy(tokens_out, counts, (size_t)n * sizeof *counts);
    }
    free(w->ids);
    free(w);
    free(rows);
    free(counts);
    return r;
}

enum err encoder_embed(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens, int n, float *out)
{
    return encoder_embed_as(c, e, ENCODER_PLAIN, texts, lens, n, out, NULL);
}

enum err encoder_embed_counted(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens, int n,
                               float *out, int *tokens_out)
{
    return encoder_embed_as(c, e, ENCODER_PLAIN, texts, lens, n, out, tokens_out);
}

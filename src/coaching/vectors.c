/* coaching/vectors.c — sentence vectors with a memory. The sentences of a creator's material are asked for again and
 * again, and a vector costs a thousand times its lookup; so the last few thousand stay, as bytes with one scale each.
 * The key is a keyed hash of the text: nobody can craft a text that takes another's place. It never stores text. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "coaching/evidence.h"
#include "encoder/encoder.h"

#define SETS      2048
#define WAYS      8
#define DIM_MAX   384          /* longer vectors are not kept */
#define BATCH_MAX 256

struct slot {
    unsigned char key[crypto_shorthash_siphashx24_BYTES];
    float         scale;
    uint32_t      used;        /* 0: empty; larger: more recent */
    int8_t        v[DIM_MAX];
};
static struct slot    *slots;  /* SETS × WAYS, untouched pages cost nothing */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t        clock_now;
static unsigned char   secret[crypto_shorthash_siphashx24_KEYBYTES];

static struct slot *set_of(const unsigned char *key)
{
    uint32_t h;
    memcpy(&h, key, sizeof h);
    return slots + (size_t)(h % SETS) * WAYS;
}

static bool lookup(const unsigned char *key, float *out, int dim)
{
    struct slot *s = set_of(key);
    for (int i = 0; i < WAYS; i++)
        if (s[i].used && memcmp(s[i].key, key, sizeof s[i].key) == 0) {
            s[i].used = ++clock_now;
            for (int k = 0; k < dim; k++) out[k] = (float)s[i].v[k] * s[i].scale;
            return true;
        }
    return false;
}

static void remember(const unsigned char *key, const float *v, int dim)
{
    struct slot *s = set_of(key), *oldest = s;
    for (int i = 0; i < WAYS; i++) {
        if (s[i].used && memcmp(s[i].key, key, sizeof s[i].key) == 0) return;
        if (s[i].used < oldest->used) oldest = &s[i];
    }
    float most = 0;
    for (int k = 0; k < dim; k++) most = fmaxf(most, fabsf(v[k]));
    if (!(most > 0)) return;
    memcpy(oldest->key, key, sizeof oldest->key);
    oldest->scale = most / 127.0f;
    oldest->used = ++clock_now;
    for (int k = 0; k < dim; k++) oldest->v[k] = (int8_t)lrintf(v[k] / oldest->scale);
}

/* What is remembered is rounded; a first look must give the same bits as a second, or answers would change with use. */
static void round_as_kept(float *v, int dim)
{
    float most = 0;
    for (int k = 0; k < dim; k++) most = fmaxf(most, fabsf(v[k]));
    if (!(most > 0)) return;
    float scale = most / 127.0f;
    for (int k = 0; k < dim; k++) v[k] = (float)(int8_t)lrintf(v[k] / scale) * scale;
}

static void hash(const struct encoder *enc, const char *text, size_t n, unsigned char key[crypto_shorthash_siphashx24_BYTES])
{
    unsigned char k[sizeof secret];
    memcpy(k, secret, sizeof k);
    const char *name = encoder_name(enc);
    for (size_t i = 0; name[i]; i++) k[i % sizeof k] ^= (unsigned char)name[i];
    crypto_shorthash_siphashx24(key, (const unsigned char *)text, n, k);
}

static void first_use(void)
{
    slots = calloc((size_t)SETS * WAYS, sizeof *slots);
    if (!slots) abort();
    crypto_shorthash_keygen(secret);
    metric_describe("chiron_sentence_vectors_total", 'c', "Sentence vectors asked for, by whether they were remembered");
}

enum err vectors_of(struct call *c, const char *const *texts, const size_t *lens, int n, const float **out, int *dim_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct encoder *enc = encoder_default();
    if (!enc || n <= 0 || n > BATCH_MAX) {
        *out = NULL;
        *dim_out = 0;
        return OK;
    }
    pthread_once(&once, first_use);
    int dim = encoder_dim(enc);
    bool keep = dim <= DIM_MAX;
    float *v = arena_array(&c->mem, (size_t)n * (size_t)dim, sizeof *v);
    unsigned char key[BATCH_MAX][crypto_shorthash_siphashx24_BYTES];
    int missing[BATCH_MAX], missing_count = 0;
    for (int i = 0; i < n; i++) hash(enc, texts[i], lens[i], key[i]);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n; i++)
        if (!keep || !lookup(key[i], v + (size_t)i * (size_t)dim, dim)) missing[missing_count++] = i;
    pthread_mutex_unlock(&lock);
    metric_add("chiron_sentence_vectors_total", "result=\"hit\"", n - missing_count);
    if (missing_count) {
        metric_add("chiron_sentence_vectors_total", "result=\"miss\"", missing_count);
        const char *t[BATCH_MAX];
        size_t l[BATCH_MAX];
        for (int i = 0; i < missing_count; i++) t[i] = texts[missing[i]], l[i] = lens[missing[i]];
        float *made = arena_array(&c->mem, (size_t)missing_count * (size_t)dim, sizeof *made);
        enum err e = encoder_embed_as(c, enc, ENCODER_PASSAGE, t, l, missing_count, made, NULL);
        if (e) return e;
        pthread_mutex_lock(&lock);
        for (int i = 0; i < missing_count; i++) {
            float *one = made + (size_t)i * (size_t)dim;
            if (keep) {
                remember(key[missing[i]], one, dim);
                round_as_kept(one, dim);
            }
            memcpy(v + (size_t)missing[i] * (size_t)dim, one, (size_t)dim * sizeof *one);
        }
        pthread_mutex_unlock(&lock);
    }
    *out = v;
    *dim_out = dim;
    return OK;
}

float vectors_dot(const float *a, const float *b, int dim)
{
    float s = 0;
    for (int k = 0; k < dim; k++) s += a[k] * b[k];
    return s;
}

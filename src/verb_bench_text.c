/* What `chiron bench` asks and reads. All of it is made the same way in every run and on every machine, so that two programs
 * can be given the same work; questions carry a number, so that no cache knows them. Vectors come from integer arithmetic
 * alone until the last step, so that another language makes the same ones. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assets.h"
#include "base/json.h"
#include "verb_bench.h"

#define EXERCISES_MAX_BYTES (16 * 1024 * 1024)

enum { WORDS = 50, INPUT_QUERIES = 2000, CLUSTERS = 4096 };

static const char *const verbs[WORDS] = {
    "train", "stretch", "warm",  "rest",  "build", "lift",  "press", "pull",  "push", "carry", "raise", "lower", "hold",
    "bend",  "twist",   "turn",  "move",  "work",  "test",  "check", "help",  "save", "protect", "support", "relax", "cool",
    "heal",  "treat",   "fix",   "improve", "feel", "use",  "keep",  "lose",  "gain", "shape", "tone",  "grow",  "lock",
    "free",  "calm",    "ease",  "lead",  "guide", "plan",  "start", "stop",  "time", "balance", "change",
};
static const char *const kinds[WORDS] = {
    "left", "right", "upper", "lower", "tight",  "weak",  "strong", "sore",  "tired", "stiff", "bad",    "good",  "old",
    "new",  "long",  "short", "big",   "small",  "thin",  "thick",  "heavy", "light", "slow",  "fast",   "hard",  "soft",
    "hot",  "cold",  "dry",   "wet",   "cool",   "warm",  "full",   "empty", "broken", "tender", "painful", "inner", "outer",
    "front", "rear", "deep",  "high",  "low",    "wide",  "narrow", "flat",  "round", "straight", "bent",
};
static const char *const parts[WORDS] = {
    "knee", "hip",   "back",  "neck",  "shoulder", "arm",    "leg",   "foot",  "hand",   "wrist", "ankle", "elbow", "chest",
    "stomach", "thigh", "heel", "toe", "finger",   "thumb",  "palm",  "shin",  "calf",   "rib",   "spine", "jaw",   "muscle",
    "joint", "bone", "skin",  "nerve", "body",     "core",   "head",  "grip",  "step",   "stride", "pace", "swing", "kick",
    "jump", "run",   "walk",  "climb", "throw",    "stroke", "face",  "waist", "weight", "heart", "breath",
};
static const char *const questions[] = {
    "how much protein do I need",            "my knee hurts on stairs",      "when should I add weight",
    "what is a deload week",                 "exercises for the back with dumbbells", "how do I sleep better",
    "barbell row for beginners",             "stretch the hamstrings",       "how many steps should I walk",
    "cable exercises for the shoulders",     "can I train with a cold",      "creatine dose",
    "kettlebell swing technique",            "push-ups hurt my wrist",       "how to squat deeper",
    "abdominal exercise on a ball",          "lose weight slowly",           "train while travelling",
    "calf raise machine",                    "what to eat before training",
};

const char *bench_query(struct arena *mem, uint64_t i)
{
    return arena_printf(mem, "how to %s my %s %s?", verbs[i % WORDS], kinds[i / WORDS % WORDS], parts[i / WORDS / WORDS % WORDS]);
}

const char *bench_question(struct arena *mem, uint64_t i)
{
    return arena_printf(mem, "%s %llu", questions[i * 7 % (sizeof questions / sizeof *questions)], (unsigned long long)i);
}

static void add_exercises(struct buf *b, const json_t *all)
{
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *x = json_array_get(all, i), *steps = json_object_get(x, "instructions");
        buf_printf(b, "%s%s.", i ? " " : "", json_get_text(x, "name", ""));
        for (size_t k = 0; k < json_array_size(steps); k++) {
            const char *s = json_string_value(json_array_get(steps, k));
            if (s) buf_printf(b, " %s", s);
        }
    }
}

static bool read_exercises(struct call *c, struct buf *b)
{
    const char *path = arena_printf(&c->mem, "%s/data/exercises.json", verb_cache_dir(c));
    FILE       *f = fopen(path, "rbe");
    if (!f) return false;
    char   *text = malloc(EXERCISES_MAX_BYTES);
    json_t *all = NULL;
    if (!text) abort();
    size_t n = fread(text, 1, EXERCISES_MAX_BYTES, f);
    if (n < EXERCISES_MAX_BYTES && !json_parse(c, text, n, &all)) add_exercises(b, all);
    else call_forgive(c);
    json_decref(all);
    free(text);
    fclose(f);
    return b->len >= (size_t)BENCH_CHUNKS * BENCH_CHUNK_CHARS;
}

enum err bench_chunks(struct call *c, const char *const **out, int *n_out)
{
    struct buf b;
    buf_init(&b, EXERCISES_MAX_BYTES);
    if (!read_exercises(c, &b)) {
        buf_clear(&b);
        const struct asset *a;
        for (int i = 0; (a = asset_at("demo/", i)); i++)
            if (strstr(a->path, ".md")) buf_add(&b, a->data, a->len);
    }
    const char **chunks = arena_array(&c->mem, BENCH_CHUNKS, sizeof *chunks);
    size_t       at = 0;
    int          n = 0;
    while (n < BENCH_CHUNKS && at < b.len) {
        size_t end = at;
        for (int chars = 0; end < b.len && chars < BENCH_CHUNK_CHARS; chars++)
            for (end++; end < b.len && ((unsigned char)b.data[end] & 0xc0) == 0x80;) end++;
        chunks[n++] = arena_strndup(&c->mem, b.data + at, end - at);
        at = end;
    }
    buf_dispose(&b);
    if (n < 8) return fail(c, ERR_NOT_FOUND, "there is no text to measure with: run make setup");
    *out = chunks;
    *n_out = n;
    return OK;
}

enum err bench_inputs(struct bench *b)
{
    struct call       *c = &b->v->call;
    const char *const *chunks;
    int                n = 0;
    enum err           e = bench_chunks(c, &chunks, &n);
    if (e) return e;
    struct buf      line;
    struct json_out j;
    buf_init(&line, 4 << 20);
    json_out_init(&j, &line);
    json_begin_object(&j, NULL);
    json_put_text(&j, "group", "inputs");
    json_begin_array(&j, "chunks");
    for (int i = 0; i < n; i++) json_put_text(&j, NULL, chunks[i]);
    json_end(&j);
    json_begin_array(&j, "queries");
    for (uint64_t i = 0; i < INPUT_QUERIES; i++) json_put_text(&j, NULL, bench_query(&c->mem, i));
    json_end(&j);
    json_begin_array(&j, "questions");
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) json_put_text(&j, NULL, questions[i]);
    json_end(&j);
    json_end(&j);
    fprintf(b->to, "%s\n", line.data);
    buf_dispose(&line);
    return OK;
}

static uint64_t scatter(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* About normal: the sum of four 16-bit pieces, centred. */
static int bell(uint64_t x)
{
    x = scatter(x);
    return (int)(x & 0xffff) + (int)(x >> 16 & 0xffff) + (int)(x >> 32 & 0xffff) + (int)(x >> 48) - 131070;
}

void bench_vectors(uint64_t from, int n, int dim, float *out)
{
    for (int i = 0; i < n; i++) {
        uint64_t row = from + (uint64_t)i, centre = scatter(row ^ 0xc1u) % CLUSTERS;
        float   *v = out + (size_t)i * (size_t)dim;
        double   sum = 0;
        for (int k = 0; k < dim; k++) {
            int x = bell((centre << 32) + (uint64_t)k) + bell((1ull << 60) + row * (uint64_t)dim + (uint64_t)k);
            v[k] = (float)x;
            sum += (double)x * x;
        }
        float by = (float)(1 / sqrt(sum));
        for (int k = 0; k < dim; k++) v[k] *= by;
    }
}

/* Search at scale: fills a creator with made-up chunks and measures opening, the legs, filters, and queries after changes.
 *     build/bench/scale 100000 /tmp/scale            the folder is kept, and used again when it holds as many
 * Prints figures; nothing here passes or fails. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/knowledge.h"
#include "knowledge/sample.h"
#include "store/store.h"
#include "verbs.h"

const struct verb verb_table[] = { { NULL, NULL, NULL } };

#define QUERIES 300
static struct verb_env env;
static struct call *c = &env.call;
static struct sample sample;
static int question;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(enum err e)
{
    if (!e) return;
    fprintf(stderr, "scale: %s\n", c->err_text);
    exit(1);
}

static double ms_since(int64_t us)
{
    return (double)(clock_mono_us() - us) / 1000;
}

static double span_ms(const char *name)
{
    double ms = 0;
    for (int i = 0; i < c->span_count; i++)
        if (!strcmp(c->spans[i].name, name)) ms += (double)c->spans[i].took_us / 1000;
    return ms;
}

static int resident_mb(void)
{
    long pages = 0, ignored = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &ignored, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (int)(pages * 4096 / 1000000);
}

/* One search; its time without the embedding. */
static double ask(struct search_opts o, int words, bool rare, int *n)
{
    struct passage *p = NULL;
    struct search_info info;
    arena_reset(&c->mem);
    c->span_count = 0;
    const char *text = sample_question(c, &sample, ++question, words, rare);
    int64_t from = clock_mono_us();
    check(search_text(c, text, &o, &p, n, &info));
    return ms_since(from) - span_ms("embed");
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void row(const char *name, struct search_opts o, int words, bool rare, int times)
{
    double took[QUERIES], cpu[QUERIES];
    int n = 0;
    ask(o, words, rare, &n);
    for (int i = 0; i < times; i++) {
        double from = cpu_ms();
        took[i] = ask(o, words, rare, &n);
        cpu[i] = cpu_ms() - from;
    }
    qsort(took, (size_t)times, sizeof *took, by_size);
    qsort(cpu, (size_t)times, sizeof *cpu, by_size);
    printf("%-34s min %8.2f  p50 %8.2f  p95 %8.2f  ms   CPU with embedding p50 %8.2f  (%d found)\n", name, took[0], took[times / 2],
           took[times * 95 / 100], cpu[times / 2], n);
    fflush(stdout);
}

static void open_all(const char *folder, unsigned need)
{
    struct verb_args a = { .verb = "scale", .data = folder };
    check(verb_open(&env, &a, need | VERB_CREATE, "scale"));
}

int main(int argc, char **argv)
{
    if (argc != 3) return fprintf(stderr, "usage: scale CHUNKS FOLDER\n"), 2;
    setenv("LOG_LEVEL", "error", 0);
    open_all(argv[2], VERB_KNOWLEDGE);
    sample = (struct sample){ .chunks = atoll(argv[1]), .model = strdup(embed_model()), .dim = 384, .seed = 7 };
    char mark[4096];
    snprintf(mark, sizeof mark, "%s/filled-%lld", argv[2], (long long)sample.chunks);
    if (access(mark, F_OK)) {
        int64_t from = clock_mono_us();
        check(sample_fill(c, &sample));
        printf("%-34s %.1f s\n", "filled", ms_since(from) / 1000);
        FILE *f = fopen(mark, "w");
        if (f) fclose(f);
    }
    int before = resident_mb(), n = 0;
    printf("%-34s %8.1f ms\n", "first search, with opening", ask((struct search_opts){ .k = 10 }, 5, true, &n));
    printf("%-34s %8.1f MB counted, %d MB resident more\n", "memory", (double)collections_bytes() / 1e6, resident_mb() - before);
    snprintf(mark, sizeof mark, "%s/creators/scale/.search-index", argv[2]);
    for (int i = 0; i < 600 && access(mark, F_OK); i++) usleep(100000);
    if (!access(mark, F_OK)) {
        sleep(1);
        collection_forget("scale");
        printf("%-34s %8.1f ms\n", "first search, with the index file", ask((struct search_opts){ .k = 10 }, 5, true, &n));
        printf("%-34s %8.1f MB counted\n", "memory", (double)collections_bytes() / 1e6);
    }
    struct search_opts o = { .k = 10 };
    json_t *group = json_pack("{s:i}", "group", 42), *name = json_pack("{s:s}", "name", "document 77");
    int times = sample.chunks > 300000 ? 100 : QUERIES;
    if (getenv("SCALE_CHANGES")) times = 1;
    row("semantic", (struct search_opts){ .k = 10, .mode = SEARCH_SEMANTIC }, 5, true, times);
    row("keyword, 5 words", (struct search_opts){ .k = 10, .mode = SEARCH_KEYWORD }, 5, true, times);
    row("keyword, 5 frequent words", (struct search_opts){ .k = 10, .mode = SEARCH_KEYWORD }, 5, false, times);
    row("keyword, 30 frequent words", (struct search_opts){ .k = 10, .mode = SEARCH_KEYWORD }, 30, false, times);
    row("hybrid", o, 5, true, times);
    row("hybrid, 8 words of all kinds", o, 8, false, times);
    o.filter = group;
    row("hybrid, filter of 1 %", o, 5, true, times);
    o.filter = name;
    row("hybrid, filter of one document", o, 5, true, times);
    o.filter = NULL;
    o.user_id = "u3";
    row("hybrid, as a user", o, 5, true, times);
    o.user_id = NULL;
    double add[40], drop[40];
    int64_t first = 1000000000;
    for (int i = 0; i < 40; i++) {
        struct sample one = sample;
        one.first = first + i * SAMPLE_DOCUMENT;
        one.chunks = 4;
        check(sample_fill(c, &one));
        add[i] = ask(o, 5, true, &n);
    }
    for (int i = 0; i < 40; i++) {
        check(sample_drop(c, (first + i * SAMPLE_DOCUMENT) / SAMPLE_DOCUMENT));
        drop[i] = ask(o, 5, true, &n);
    }
    qsort(add, 40, sizeof *add, by_size);
    qsort(drop, 40, sizeof *drop, by_size);
    printf("%-34s p50 %8.2f  max %8.2f  ms\n", "hybrid after one document more", add[20], add[39]);
    printf("%-34s p50 %8.2f  max %8.2f  ms\n", "hybrid after one document less", drop[20], drop[39]);
    printf("%-34s %8.1f MB counted, %d MB resident\n", "memory at the end", (double)collections_bytes() / 1e6, resident_mb());
    json_decref(group);
    json_decref(name);
    free((char *)(uintptr_t)sample.model);
    return verb_close(&env, OK);
}

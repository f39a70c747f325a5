/* knowledge/feedback.c — a ring of recent searches: who asked and hashes of what was shown, never the question. An old
 * search falls out when new ones come, and its clicks are refused then, which bounds both memory and made-up clicks.
 * A shown list counts as one impression; the click-through rate is clicks per impression. Totals are durable rows. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/feedback.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "knowledge/search_store.h"

struct shown {
    char id[ID_BYTES];
    uint64_t owner;                      /* hash of creator and user */
    int n;
    uint64_t results[LIMIT_SEARCH_K], clicked[LIMIT_SEARCH_K];
};
static struct {
    pthread_mutex_t lock;
    struct shown *ring;
    int size, next;
    double clicks, impressions;
} recent = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint64_t hash(uint64_t h, const char *s)
{
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (h ^ 0xff) * 1099511628211u;
}

static uint64_t owner(const struct call *c)
{
    return hash(hash(14695981039346656037u, c->creator_id), c->user_id);
}

void feedback_open(int queries)
{
    pthread_mutex_lock(&recent.lock);
    recent.ring = calloc((size_t)queries, sizeof *recent.ring);
    if (!recent.ring) abort();
    recent.size = queries;
    recent.next = 0;
    recent.clicks = recent.impressions = 0;
    pthread_mutex_unlock(&recent.lock);
}

void feedback_close(void)
{
    pthread_mutex_lock(&recent.lock);
    free(recent.ring);
    recent.ring = NULL;
    recent.size = 0;
    pthread_mutex_unlock(&recent.lock);
}

/* Called with the lock held. */
static void count(double clicks, double impressions)
{
    recent.clicks += clicks;
    recent.impressions += impressions;
    if (clicks > 0) metric_add("chiron_search_clicks_total", NULL, clicks);
    if (impressions > 0) metric_add("chiron_search_impressions_total", NULL, impressions);
    metric_set("chiron_search_ctr", NULL, recent.impressions > 0 ? recent.clicks / recent.impressions : 0);
}

static const char *span_ms(struct call *c, const char *name)
{
    int64_t us = 0;
    for (int i = 0; i < c->span_count; i++)
        if (!strcmp(c->spans[i].name, name) && c->spans[i].took_us > 0) us += c->spans[i].took_us;
    return log_real(c, (double)us / 1000);
}

const char *feedback_begin(struct call *c, const char *surface, const struct search_info *info, const struct passage *p, int n,
                           int tokens)
{
    char id[ID_BYTES];
    id_new("qry", id);
    pthread_mutex_lock(&recent.lock);
    if (recent.size) {
        struct shown *s = &recent.ring[recent.next];
        recent.next = (recent.next + 1) % recent.size;
        *s = (struct shown){ .owner = owner(c), .n = n < LIMIT_SEARCH_K ? n : LIMIT_SEARCH_K };
        memcpy(s->id, id, sizeof s->id);
        for (int i = 0; i < s->n; i++) s->results[i] = hash(14695981039346656037u, p[i].chunk_id);
        count(0, n > 0);
    }
    pthread_mutex_unlock(&recent.lock);
    log_info(c, "search", "query_id", id, "surface", surface, "strategy", info->strategy, "model", info->model ? info->model : "",
             "cached", info->cached ? "yes" : "no", "results", log_int(c, n), "candidates", log_int(c, info->candidates), "tokens",
             log_int(c, tokens), "query_ms", span_ms(c, "query"), "embed_ms", span_ms(c, "embed"), "search_ms",
             span_ms(c, "search"), NULL);
    return arena_strdup(&c->mem, id);
}

enum err feedback_record(struct call *c, const char *query_id, const char *result_id, const char *event)
{
    uint64_t result = hash(14695981039346656037u, result_id), me = owner(c);
    bool known = false, listed = false, again = false, click = !strcmp(event, "click");
    pthread_mutex_lock(&recent.lock);
    for (int i = 0; i < recent.size && !known; i++) {
        struct shown *s = &recent.ring[i];
        if (strcmp(s->id, query_id) != 0 || s->owner != me) continue;
        known = true;
        for (int j = 0; j < s->n && !listed; j++) {
            if (s->results[j] != result) continue;
            listed = true;
            again = click && s->clicked[j];
            if (click) s->clicked[j] = 1;
        }
    }
    if (listed && click && !again) count(1, 0);
    if (listed && !strcmp(event, "impression")) count(0, 1);
    pthread_mutex_unlock(&recent.lock);
    if (!known) return fail(c, ERR_NOT_FOUND, "no recent query %.40s", query_id);
    if (!listed) return fail_field(c, "result_id", "it is not among the results of that query");
    return again ? OK : search_store_feedback(c, event, 1);
}

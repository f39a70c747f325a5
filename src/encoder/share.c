/* SPDX-License-Identifier: MIT */
/* Leaders and followers: a caller that finds a free place leads a pack at once, alone; one that does not queues up. The
 * leader that ends hands its place to the first in the queue, who takes along everybody behind that fits. Nobody waits
 * for company, so a lone query is as fast as without this file, and under load packs grow by themselves. */
#include "encoder/share.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum ticket_state { TICKET_WAITS, TICKET_LEADS, TICKET_DONE };

/* Lives on its caller's stack while it is queued or being served. */
struct ticket {
    struct ticket    *next;
    const int32_t    *ids;
    const int        *lens;
    float *const     *rows;
    int               texts, tokens, together;
    enum ticket_state state;
    bool              ok;
    pthread_cond_t    wake;
};

struct share {
    pthread_mutex_t lock;
    struct ticket  *head, **tail;   /* waiting, first come first */
    int             places, running;
};

struct share *share_new(int places)
{
    assert(places >= 1);
    struct share *s = calloc(1, sizeof *s);
    if (!s) abort();
    pthread_mutex_init(&s->lock, NULL);
    s->tail = &s->head;
    s->places = places;
    return s;
}

void share_free(struct share *s)
{
    if (!s) return;
    assert(s->running == 0 && !s->head);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct ticket *pop(struct share *s)
{
    struct ticket *t = s->head;
    s->head = t->next;
    if (!s->head) s->tail = &s->head;
    t->next = NULL;
    return t;
}

/* Under the lock: those behind the leader that still fit, taken from the queue and chained to it. */
static void gather(struct share *s, struct ticket *leader)
{
    struct ticket *last = leader;
    int tokens = leader->tokens, texts = leader->texts;
    while (s->head && tokens + s->head->tokens <= SHARE_PACK_TOKENS && texts + s->head->texts <= SHARE_PACK_TEXTS) {
        last->next = pop(s);
        last = last->next;
        tokens += last->tokens;
        texts += last->texts;
    }
}

static bool run(const struct ticket *leader, share_pack_fn pack, void *arg)
{
    if (!leader->next) return pack(arg, leader->ids, leader->lens, leader->texts, leader->rows);
    int32_t ids[SHARE_PACK_TOKENS];
    int     lens[SHARE_PACK_TEXTS], texts = 0, tokens = 0;
    float  *rows[SHARE_PACK_TEXTS];
    for (const struct ticket *t = leader; t; t = t->next) {
        memcpy(ids + tokens, t->ids, (size_t)t->tokens * sizeof *ids);
        memcpy(lens + texts, t->lens, (size_t)t->texts * sizeof *lens);
        memcpy(rows + texts, t->rows, (size_t)t->texts * sizeof(float *));
        tokens += t->tokens;
        texts += t->texts;
    }
    return pack(arg, ids, lens, texts, rows);
}

bool share_run(struct share *s, const int32_t *ids, const int *lens, int n, float *const *rows, share_pack_fn pack,
               void *arg, int *together_out)
{
    struct ticket me = { .ids = ids, .lens = lens, .rows = rows, .texts = n };
    for (int i = 0; i < n; i++) me.tokens += lens[i];
    assert(n >= 1 && n <= SHARE_PACK_TEXTS && me.tokens <= SHARE_TOKENS);
    pthread_cond_init(&me.wake, NULL);
    pthread_mutex_lock(&s->lock);
    if (s->running < s->places) {
        s->running++;
        me.state = TICKET_LEADS;
    } else {
        *s->tail = &me;
        s->tail = &me.next;
        while (me.state == TICKET_WAITS) pthread_cond_wait(&me.wake, &s->lock);
    }
    if (me.state == TICKET_LEADS) {
        gather(s, &me);
        pthread_mutex_unlock(&s->lock);
        bool ok = run(&me, pack, arg);
        pthread_mutex_lock(&s->lock);
        int together = 0;
        for (struct ticket *t = &me; t; t = t->next) together++;
        /* A follower's ticket is gone as soon as the lock is: its next is read before it is told. */
        for (struct ticket *t = &me, *next; t; t = next) {
            next = t->next;
            t->ok = ok;
            t->together = together;
            t->state = TICKET_DONE;
            if (t != &me) pthread_cond_signal(&t->wake);
        }
        if (s->head) {
            struct ticket *first = pop(s);
            first->state = TICKET_LEADS;
            pthread_cond_signal(&first->wake);
        } else {
            s->running--;
        }
    }
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&me.wake);
    if (together_out) *together_out = me.together;
    return me.ok;
}

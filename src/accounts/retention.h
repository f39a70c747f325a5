/* accounts/retention.h — how long each kind of data is kept, and its removal once a day (CRE-064). What a creator does not decide has
 * a default; the house of FIT keeps texts for an hour whatever is decided (FIT-113). Any thread.
 *     e = retention_run(c, clock_unix_ms(), false, &list, &n);        // c->tenant; for each table, how many rows went    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_RETENTION_H
#define CHIRON_ACCOUNTS_RETENTION_H
#include "base/call.h"
#include "base/json.h"

struct conn;
struct job_kind;

/* A kind of data with an age. Domains give theirs, tables.c lists them. */
struct retention_rule {
    const char *setting;         /* "turns_days" */
    const char *table;
    const char *days_setting;    /* the instance's setting for when nothing was decided, NULL: days */
    int         days;            /* 0: for ever */
    int         least_days;      /* less is not taken */
    const char *database;        /* "creator" or "accounts" */
    /* Removes, or with dry counts, what is older than before_ms. */
    enum err (*run)(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out);
};
extern const struct retention_rule *const all_retention_rules[];    /* NULL-ended list of arrays, each ended by a zero row */

struct retained { const char *table; int64_t rows; };
/* One transaction for each database; a row in the log when something went. list in c->mem, one for each rule. */
MUST_CHECK enum err retention_run(struct call *c, int64_t now_ms, bool dry, struct retained **out, int *n_out);
/* {"turns_days": 30, …}: changes what is named, null: for ever. ERR_INVALID naming the field. */
MUST_CHECK enum err retention_set(struct call *c, const json_t *days);
/* All settings in effect, as an object. */
MUST_CHECK enum err retention_put(struct call *c, struct json_out *j);
/* Queues a run for each creator whose last one was a day ago (the house of FIT: ten minutes), for the janitor. Of several processes
 * one does it. */
void retention_due(struct call *c);
extern const struct job_kind retention_kind;
#endif

/* accounts/privacy_parts.h — between the rules of erasure (erase.c), its certificate and its SQL; for these files alone. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PRIVACY_PARTS_H
#define CHIRON_ACCOUNTS_PRIVACY_PARTS_H
#include "accounts/privacy.h"

struct gone { const struct person_table *table; int64_t rows; };
struct erasure {
    struct person_who who;
    int64_t     begun_ms;
    struct gone *tables;         /* one for each row of the inventory, in c->mem */
    int         table_count;
    int         jobs, sessions, keys, creators;   /* cancelled, ended, key-value entries, creators looked through */
    int64_t     files;
    int         copies;          /* from before migrations */
    bool        bytes_done;
    const char *scrub_job;       /* NULL when bytes_done */
    const char *left_behind;     /* words on what else stays, NULL: nothing */
};
void erasure_begin(struct call *c, struct erasure *er, const struct person_who *who);
/* The signed certificate, in c->mem. */
MUST_CHECK enum err certificate_make(struct call *c, const struct erasure *er, const char **out);

/* ---- SQL ---- */
/* Jobs of this user (NULL: of anybody) that have not ended. */
MUST_CHECK enum err privacy_open_jobs(struct call *c, const char *user_id, const char ***ids_out, int *n_out);
/* A job that begins with the next start of a server, unless something else sets this creator's jobs going. One for each payload. */
MUST_CHECK enum err privacy_put_job(struct call *c, const char *kind, const char *payload, const char **id_out);
MUST_CHECK enum err privacy_change_job(struct call *c, const char *id, const char *payload);
/* The visitors that this user was before, in c->mem. */
MUST_CHECK enum err privacy_was(struct call *c, const char *user_id, const char ***ids_out, int *n_out);
/* One transaction on c->tenant's database: every table, the mark, the row of the log and a job that scrubs. *job_out: that job; NULL
 * when only_if_any and nothing was there, and nothing was done. */
MUST_CHECK enum err privacy_erase_rows(struct call *c, struct erasure *er, bool only_if_any, const char **job_out);
/* One transaction on accounts.db: every table and the row of the log. */
MUST_CHECK enum err privacy_erase_accounts(struct call *c, struct erasure *er);
MUST_CHECK enum err privacy_erase_creator(struct call *c, struct erasure *er);
/* The creators of which this account is the only owner, in words; NULL: of none. */
MUST_CHECK enum err privacy_last_owner(struct call *c, const char *account_id, const char **creators_out);
/* Accounts that are members of this creator and of no other. */
MUST_CHECK enum err privacy_only_here(struct call *c, const char *creator_id, int64_t *n_out);
/* Scrubs c->tenant's database if somebody waits for it, then accounts.db. force: in any case. */
MUST_CHECK enum err privacy_scrub(struct call *c, bool force, int *copies_out);
MUST_CHECK enum err privacy_scrub_accounts(struct call *c, int *copies_out);
int64_t privacy_scrub_bytes(struct call *c);
#endif

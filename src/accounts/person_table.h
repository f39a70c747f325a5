/* accounts/person_table.h — the inventory of what is kept about people: every table of every database stands in it, with what it
 * holds of a person or why it holds nothing, and every place that is no table. Domains give their rows, tables.c lists them; export,
 * erasure, claims and retention walk them, and a test fails when a table of the schema is missing. Rows are erased in the
 * order they stand in: what refers to others comes first.
 *     const struct person_table coaching_person_tables[] = {
 *         { "creator", "turn", "questions and answers", NULL, turns_export, turns_erase, turns_move }, { 0 } };        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PERSON_TABLE_H
#define CHIRON_ACCOUNTS_PERSON_TABLE_H
#include "base/call.h"

struct conn;
struct export_to;                /* accounts/export.h */
struct person_who {
    const char *creator_id;      /* NULL: an account, across creators */
    const char *user_id;         /* of a person being coached */
    const char *account_id;      /* of a member; user_id and account_id NULL: everything of the creator */
    const char *email;           /* known address as it is compared; NULL */
    bool        unmarked;        /* a visitor whose time is over: erased without the mark that refuses them */
};
struct person_table {
    const char *database;        /* "accounts" or "creator" */
    const char *table;
    const char *holds;           /* what of a person, for the certificate; NULL: nothing */
    const char *why;             /* holds NULL: why it holds nothing; else what stays after an erasure and why, NULL: nothing stays */
    /* Every row of this person, or of the whole creator. NULL: there is nothing to give, or it is made from what is given. */
    enum err (*export)(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x);
    /* Removes them within the transaction on that database. NULL: nothing goes. Not asked for whole creators. */
    enum err (*erase)(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out);
    /* Makes them another user's (a visitor who turned out to be somebody). NULL: stays. */
    enum err (*move)(struct call *c, struct conn *w, const struct person_who *from, const char *to_user, int64_t *rows_out);
};
extern const struct person_table *const all_person_tables[];   /* tables.c; NULL-ended list of arrays, each ended by a zero row */

/* What is kept outside of tables: files and memory. */
struct person_place {
    const char *name;            /* "files" */
    const char *holds;
    /* Calls f for each file of theirs: where it lies, and the name it shall have. NULL: no files. */
    enum err (*files)(struct call *c, const struct person_who *p, enum err (*f)(struct call *c, void *arg, const char *path, const char *name),
                      void *arg);
    /* After the rows are gone; what it was that went, static words. NULL: goes with the rows. */
    const char *(*forget)(struct call *c, const struct person_who *p);
};
extern const struct person_place *const all_person_places[];   /* tables.c, as above; name NULL ends an array */
#endif

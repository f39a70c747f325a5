/* accounts/person_table.h — the inventory of what is kept about people: every table of every database stands in it, with what it
 * holds of a person or why it holds nothing. Domains give their rows, tables.c lists them; export, erasure, claims and
 * retention walk them, and a test fails when a table of the schema is missing.
 *     const struct person_table coaching_person_tables[] = {
 *         { "creator", "turn", "questions and answers", NULL, turns_export, turns_erase, turns_move }, { 0 } };        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PERSON_TABLE_H
#define CHIRON_ACCOUNTS_PERSON_TABLE_H
#include "base/call.h"

struct conn;
struct json_out;
struct person_who {
    const char *creator_id;      /* NULL: an account, across creators */
    const char *user_id;         /* of a person being coached */
    const char *account_id;      /* of a member */
    const char *email;           /* known address as it is compared; NULL */
};
struct person_table {
    const char *database;        /* "accounts" or "creator" */
    const char *table;
    const char *holds;           /* what of a person, for the certificate; NULL: nothing */
    const char *why;             /* holds NULL: why it holds nothing; else what stays after an erasure and why, NULL: nothing stays */
    /* One JSON object per row of this person into an open array. NULL: nothing to export. */
    enum err (*export)(struct call *c, struct conn *r, const struct person_who *p, struct json_out *j, int64_t *rows_out);
    /* Removes them within the transaction. NULL: nothing goes. */
    enum err (*erase)(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out);
    /* Makes them another user's (a visitor who turned out to be somebody). NULL: stays. */
    enum err (*move)(struct call *c, struct conn *w, const struct person_who *from, const char *to_user, int64_t *rows_out);
};
extern const struct person_table *const all_person_tables[];   /* tables.c; NULL-ended list of arrays, each ended by a zero row */
#endif

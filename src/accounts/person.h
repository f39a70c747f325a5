/* accounts/person.h — the people being coached by one creator: who they are, what they are entitled to, and that they were here.
 * Every other row about somebody carries the id; only this one says who that is. c->tenant is open unless said. Any thread.
 *     e = person_put(c, "ann", &(struct person){ .name = "Ann" }, PERSON_NAME, &p, &made);                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PERSON_H
#define CHIRON_ACCOUNTS_PERSON_H
#include "base/call.h"

struct person {
    const char *id;            /* the user_id */
    const char *kind;          /* "visitor", "email", "external" */
    const char *email;         /* as it is compared; NULL: none known */
    const char *name;          /* "" when none is known */
    const char *plan;          /* "free", "premium" */
    const char *attributes;    /* JSON object */
    int64_t     created_ms, seen_ms;   /* unix; seen_ms 0: never */
};
/* In c->mem. ERR_NOT_FOUND. */
MUST_CHECK enum err person_get(struct call *c, const char *id, struct person *out);
/* The one whose address this is; ERR_NOT_FOUND without words. */
MUST_CHECK enum err person_of_email(struct call *c, const char *email, struct person *out);
/* Newest first, those of whom id, name or address hold q (NULL: all), whatever case and accents. */
MUST_CHECK enum err person_list(struct call *c, const char *q, int offset, int limit, struct person **out, int *n_out, int64_t *total_out);

enum { PERSON_NAME = 1, PERSON_EMAIL = 2, PERSON_PLAN = 4, PERSON_ATTRIBUTES = 8, PERSON_BY_SELF = 16 /* who was erased is not made anew */ };
/* Makes them (of p->kind, NULL: "external") or changes the fields that `which` names. ERR_INVALID: a field, or an id that
 * id_valid refuses; ERR_CONFLICT: the address is another's. made_out may be NULL. */
MUST_CHECK enum err person_put(struct call *c, const char *id, const struct person *p, unsigned which, struct person *out, bool *made_out);

/* Does somebody pay for more? Nobody known is "free". Remembered for 60 s in this process, and dropped when it is changed. Opens
 * c->creator_id for itself when no tenant is open; without a creator it is false. */
MUST_CHECK enum err person_plan(struct call *c, const char *user_id, bool *premium_out);
/* After anything else changed or removed somebody's row. */
void person_plan_forget(const char *creator_id, const char *user_id);
#endif

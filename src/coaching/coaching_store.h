/* coaching/coaching_store.h — what coaching keeps in the creator's database. Every call needs c->tenant; results are in
 * c->mem. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_COACHING_STORE_H
#define CHIRON_COACHING_COACHING_STORE_H
#include "coaching/coaching.h"

/* id NULL: the oldest coach. *found_out false: none, *out untouched. */
MUST_CHECK enum err coach_load(struct call *c, const char *id, struct coach *out, bool *found_out);
MUST_CHECK enum err coach_save(struct call *c, const struct coach *coach, bool keep_existing);

struct turn_row {
    const char *id, *conversation_id, *user_id, *coach_id, *question, *answer, *step, *trace;
    bool        covered;
    double      confidence, took_ms;
    int64_t     created_ms;
};
/* Durable when OK. ERR_CONFLICT: its user was erased meanwhile. */
MUST_CHECK enum err turn_save(struct call *c, const struct turn_row *t);
/* user_id NULL: any user's. ERR_NOT_FOUND. */
MUST_CHECK enum err turn_load_trace(struct call *c, const char *id, const char *user_id, const char **trace_out);
/* Newest first; only id, question, covered, created_ms, took_ms, confidence are filled. */
MUST_CHECK enum err turn_load_list(struct call *c, const char *user_id, int max, struct turn_row **out, int *n_out);
/* The last covered turns of a conversation of this user, oldest first: question and answer. */
MUST_CHECK enum err turn_load_history(struct call *c, const char *conversation_id, const char *user_id, int max,
                                      struct turn_row **out, int *n_out);
#endif

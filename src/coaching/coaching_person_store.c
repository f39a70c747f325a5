/* What coaching keeps about people, for export, erasure and claims. A turn holds everything that was said, in columns and in
 * its trace; it goes whole. */
/* SPDX-License-Identifier: MIT */
#include "accounts/export.h"
#include "accounts/retention.h"
#include "store/db.h"

extern const struct person_table coaching_person_tables[];
extern const struct retention_rule coaching_retention_rules[];

static enum err turns_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, conversation_id, user_id, coach_id, question, answer, covered, step, confidence, took_ms, "
                               "created_ms, trace FROM turn WHERE (?s IS NULL OR user_id = ?s) ORDER BY created_ms, id",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x,
                       "id conversation_id user_id coach_id question answer covered? step confidence% took_ms% created_at@ trace{}");
}

static enum err turns_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM turn WHERE user_id = ?s", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err turns_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    enum err e = db_run(c, w, "UPDATE turn SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err coaches_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    (void)p;
    enum err e = db_select(c, r, &rs, "SELECT id, name, description, language, expertise, method, style, created_ms, updated_ms FROM coach ORDER BY id");
    return export_rows(c, &rs, e, x, "id name description language expertise method style created_at@ updated_at@");
}

static enum err turns_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    enum err e = db_run(c, w, "DELETE FROM turn WHERE created_ms < ?i", before_ms);
    if (!e) *rows_out = db_changes(w);
    return e;
}

const struct retention_rule coaching_retention_rules[] = {
    { "turns_days", "turn", "TURNS_KEEP_DAYS", 0, 1, "creator", turns_old },
    { 0 },
};

const struct person_table coaching_person_tables[] = {
    { "creator", "turn", "questions, answers and how each answer came about", NULL, turns_export, turns_erase, turns_move },
    { "creator", "coach", NULL, "the creator's personas", coaches_export, NULL, NULL },
    { 0 },
};

/* Who the people being coached are. What comes from a creator's own systems is checked like anything from outside: names are
 * shown to the creator's people, attributes go into exports. It refuses to make two people of one address. */
/* SPDX-License-Identifier: MIT */
#include "accounts/person.h"

#include <stdlib.h>
#include <string.h>

#include "accounts/email.h"
#include "store/erased.h"
#include "accounts/label.h"
#include "accounts/person_store.h"
#include "base/id.h"
#include "base/json.h"
#include "store/store.h"

#define PLAN_KEPT_MS 60000

enum err person_get(struct call *c, const char *id, struct person *out)
{
    bool     found = false;
    enum err e = id_valid(id) ? person_load(c, id, out, &found) : OK;
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such user");
    return e;
}

enum err person_of_email(struct call *c, const char *email, struct person *out)
{
    bool     found = false;
    enum err e = person_load_email(c, email, out, &found);
    return e ? e : found ? OK : ERR_NOT_FOUND;
}

/* %text% with LIKE's own characters escaped. */
static const char *like_of(struct call *c, const char *q)
{
    const char *s = label_fold(c, q);
    char       *out = arena_alloc(&c->mem, 2 * strlen(s) + 3), *p = out;
    *p++ = '%';
    for (; *s; s++) {
        if (*s == '%' || *s == '_' || *s == '\\') *p++ = '\\';
        *p++ = *s;
    }
    *p++ = '%';
    *p = '\0';
    return out;
}

enum err person_list(struct call *c, const char *q, int offset, int limit, struct person **out, int *n_out, int64_t *total_out)
{
    const char *trimmed = NULL;
    enum err    e = q ? label_check(c, "q", q, LIMIT_NAME_BYTES + LIMIT_EMAIL_BYTES, &trimmed) : OK;
    if (e) return e;
    return person_load_list(c, trimmed && *trimmed ? like_of(c, trimmed) : NULL, offset, limit, out, n_out, total_out);
}

static enum err attributes_check(struct call *c, const char *text, const char **out)
{
    json_t  *v = NULL;
    char    *compact = NULL;
    enum err e = strlen(text) > LIMIT_METADATA_BYTES
                     ? fail_field(c, "attributes", "attributes are over %d bytes", LIMIT_METADATA_BYTES)
                     : json_parse(c, text, strlen(text), &v);
    if (!e && !json_is_object(v)) e = fail_field(c, "attributes", "attributes must be an object");
    if (!e) compact = json_dumps(v, JSON_COMPACT);
    if (!e) *out = arena_strdup(&c->mem, compact ? compact : "{}");
    free(compact);
    json_decref(v);
    return e;
}

enum err person_put(struct call *c, const char *id, const struct person *p, unsigned which, struct person *out, bool *made_out)
{
    struct person now = { .id = id, .kind = p->kind ? p->kind : "external", .plan = p->plan };
    bool          made = false;
    enum err      e = OK;
    if (!id_user_valid(id))
        return fail_field(c, "id", "a user's id has 1 to %d of A-Z a-z 0-9 . _ : @ -, and begins with none of . -", LIMIT_ID_BYTES);
    if (which & PERSON_NAME) e = label_check(c, "name", p->name ? p->name : "", LIMIT_NAME_BYTES, &now.name);
    if (!e && (which & PERSON_EMAIL) && p->email) e = email_check(c, "email", p->email, &now.email);
    if (!e && (which & PERSON_PLAN) && strcmp(p->plan, "free") && strcmp(p->plan, "premium"))
        e = fail_field(c, "plan", "plan is free or premium");
    if (!e && (which & PERSON_ATTRIBUTES)) e = attributes_check(c, p->attributes, &now.attributes);
    /* Whoever makes somebody anew means it: the mark of an erasure would refuse all that they do. */
    if (!e && !(which & PERSON_BY_SELF)) e = erased_drop(c, id);
    if (!e) e = person_save(c, &now, which, out, &made);
    if (e) return e;
    person_plan_forget(c->creator_id, id);
    if (made_out) *made_out = made;
    return OK;
}

#define PLAN_KEY_BYTES (2 * LIMIT_ID_BYTES + 32)

/* No id holds a slash, so two people never share a key. */
static void plan_key(char key[PLAN_KEY_BYTES], const char *creator_id, const char *user_id)
{
    static const char prefix[] = "person:plan:";
    size_t a = strlen(creator_id), b = strlen(user_id);
    if (a > LIMIT_ID_BYTES) a = LIMIT_ID_BYTES;
    if (b > LIMIT_ID_BYTES) b = LIMIT_ID_BYTES;
    memcpy(key, prefix, sizeof prefix - 1);
    memcpy(key + sizeof prefix - 1, creator_id, a);
    key[sizeof prefix - 1 + a] = '/';
    memcpy(key + sizeof prefix + a, user_id, b);
    key[sizeof prefix + a + b] = '\0';
}

void person_plan_forget(const char *creator_id, const char *user_id)
{
    char key[PLAN_KEY_BYTES];
    plan_key(key, creator_id, user_id);
    kv_drop(key);
}

/* In a call of its own: the caller's tenant and arena stay as they are. */
static enum err plan_look(struct call *c, const char *user_id, bool *premium)
{
    struct call own;
    const char *plan = NULL;
    call_init(&own);
    own.deadline_ms = c->deadline_ms;
    enum err e = tenant_open(&own, c->creator_id);
    if (!e) e = person_plan_load(&own, tenant_db(own.tenant), user_id, &plan);
    if (!e) *premium = plan && !strcmp(plan, "premium");
    else if (e == ERR_NOT_FOUND) e = OK;
    else e = fail(c, e, "%s", own.err_text);
    tenant_release(&own);
    call_dispose(&own);
    return e;
}

enum err person_plan(struct call *c, const char *user_id, bool *premium_out)
{
    const void *kept = NULL;
    size_t      n = 0;
    bool        premium = false;
    char        key[PLAN_KEY_BYTES];
    if (!c->creator_id[0] || !user_id[0]) {
        *premium_out = false;
        return OK;
    }
    plan_key(key, c->creator_id, user_id);
    if (!kv_get(c, key, &kept, &n) && n == 1) {
        *premium_out = *(const char *)kept == '1';
        return OK;
    }
    enum err e = plan_look(c, user_id, &premium);
    if (e) return e;
    /* Not remembered is only slower. */
    if (kv_put(c, key, premium ? "1" : "0", 1, PLAN_KEPT_MS)) call_forgive(c);
    *premium_out = premium;
    return OK;
}

/* Requests for rows nobody described: a body is made from the row's own schema, with what the schema asks for and nothing else, but for
 * the one text that gets somebody else's id. Names decide only which values are likely to be taken (an e-mail address looks like
 * one), never whether a row is asked. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "verb_doctor_tenants.h"

enum { ID_LEAST = 5, ID_MADE_BYTES = 26 };

static const struct {
    const char *name, *before;     /* before NULL: wherever it stands */
    const char *kinds;             /* with a blank between */
} names[] = {
    { "id", "documents", "document" }, { "id", "jobs", "job" }, { "id", "turns", "turn" }, { "id", "chunks", "chunk" },
    { "id", "models", "creator coach" }, { "id", "sessions", "session" }, { "id", "users", "user" }, { "id", "keys", "key" },
    { "id", "invitations", "invitation" }, { "name", "roles", "role" }, { "account_id", NULL, "account" },
    { "user_id", NULL, "user" }, { "user", NULL, "user" }, { "document_id", NULL, "document" }, { "replace", NULL, "document" },
    { "conversation_id", NULL, "conversation" }, { "conversation", NULL, "conversation" }, { "creator_id", NULL, "creator" },
    { "creator", NULL, "creator" }, { "query_id", NULL, "query" }, { "result_id", NULL, "chunk document" }, { "session_id", NULL, "session" },
    { "job_id", NULL, "job" }, { "turn_id", NULL, "turn" }, { "chunk_id", NULL, "chunk" }, { "coach", NULL, "coach" },
    { "coach_id", NULL, "coach" }, { "model", NULL, "creator coach" }, { "key_id", NULL, "key" }, { "role", NULL, "role" },
    { "actor", NULL, "account user key" }, { "target", NULL, "account user key document session" },
    { "page", "pages", "=0" }, { "email", NULL, "email" },
};

const char *tenants_kind_of(const char *name, const char *before)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name) && (!names[i].before || (before && !strcmp(names[i].before, before)))) return names[i].kinds;
    return "";
}

static bool type_is(const json_t *schema, const char *word)
{
    const json_t *t = json_object_get(schema, "type"), *one;
    size_t        i;
    if (json_is_string(t)) return !strcmp(json_string_value(t), word);
    json_array_foreach(t, i, one)
        if (json_is_string(one) && !strcmp(json_string_value(one), word)) return true;
    return false;
}

static bool is_free_text(const json_t *schema)
{
    return type_is(schema, "string") && !json_object_get(schema, "enum");
}

static bool is_open_object(const json_t *schema)
{
    return type_is(schema, "object") && !json_object_get(schema, "properties");
}

/* Texts are counted in the order of the schema, depth first; *at reaches 0 at the one looked for. */
static const char *text_at(const json_t *schema, const char *name, int *at)
{
    const char *key, *found;
    json_t     *v;
    if (is_free_text(schema) || is_open_object(schema)) return (*at)-- == 0 ? name : NULL;
    json_object_foreach(json_object_get(schema, "properties"), key, v)
        if ((found = text_at(v, key, at))) return found;
    if (json_object_get(schema, "items")) return text_at(json_object_get(schema, "items"), name, at);
    return NULL;
}

int tenants_body_texts(const json_t *schema)
{
    int at = 1 << 20;
    text_at(schema, "", &at);
    return (1 << 20) - at;
}

const char *tenants_body_text_name(const json_t *schema, int at)
{
    return text_at(schema, "", &at);
}

static json_t *text_value(const json_t *schema, const char *name, const struct tenants_fill *f)
{
    char          text[600];
    const json_t *pattern = json_object_get(schema, "pattern");
    size_t        least = (size_t)json_integer_value(json_object_get(schema, "minLength")), n;
    const char   *kinds = tenants_kind_of(name, NULL), *own = NULL;
    json_int_t    most = json_object_get(schema, "maxLength") ? json_integer_value(json_object_get(schema, "maxLength")) : (json_int_t)sizeof text - 1;
    if (!strcmp(name, "user_id") || !strcmp(name, "user")) return json_string(f->caller->user ? f->caller->user : f->own->user);
    if (strstr(name, "email")) return json_sprintf("stranger.%06lld@example.org", (long long)(f->serial % 1000000));
    if (strstr(name, "password")) return json_string("Deep-anchor-9-windlass");
    if (strstr(name, "url") || strstr(name, "uri")) return json_string("https://example.org/");
    if (!strcmp(name, "language")) return json_string("en");
    if (!strcmp(name, "model") && f->encoder && f->embeds) return json_string(f->encoder);
    if (!strcmp(name, "model")) return json_string(f->own->creator);
    if (!strcmp(name, "as_of")) return json_string("2026-01-01T00:00:00Z");
    if (!strcmp(name, "content_type")) return json_string("document");
    if (!strcmp(name, "role")) return json_string("analyst");
    if (!strcmp(name, "permissions") || !strcmp(name, "scopes")) return json_string("ask");
    if (*kinds && !strchr(kinds, ' ')) own = tenants_side_find(f->own, kinds);
    if (own) return json_string(own);
    if (pattern && !strcmp(name, "code")) return json_string("000000");
    n = (size_t)snprintf(text, sizeof text, "What keeps a stranger out sn%06lld", (long long)(f->serial % 1000000));
    if (pattern) n = (size_t)snprintf(text, sizeof text, "sn%06lld", (long long)(f->serial % 1000000));
    if (most >= 1 && (size_t)most < n) n = (size_t)most;
    while (n < least && n < sizeof text - 1) text[n++] = 'x';
    return json_stringn(text, n);
}

static bool wanted(const json_t *schema, const char *name)
{
    const json_t *one;
    size_t        i;
    json_array_foreach(json_object_get(schema, "required"), i, one)
        if (!strcmp(json_string_value(one), name)) return true;
    /* Asked for by the handler where the schema leaves a choice. */
    return !strcmp(name, "text") || !strcmp(name, "content");
}

static json_t *value_of(const json_t *schema, const char *name, const struct tenants_fill *f, int *at);

static json_t *object_of(const json_t *schema, const struct tenants_fill *f, int *at)
{
    json_t     *o = json_object(), *v;
    const char *key;
    json_object_foreach(json_object_get(schema, "properties"), key, v) {
        int  texts = tenants_body_texts(v);
        bool holds = *at >= 0 && *at < texts;
        if (wanted(schema, key) || holds) {
            int inside = *at;
            json_object_set_new(o, key, value_of(v, key, f, &inside));
        }
        *at -= texts;
    }
    return o;
}

static json_t *value_of(const json_t *schema, const char *name, const struct tenants_fill *f, int *at)
{
    const json_t *choices = json_object_get(schema, "enum"), *choice;
    size_t        k;
    json_array_foreach(choices, k, choice)
        if (!strcmp(name, "role") && json_is_string(choice) && !strcmp(json_string_value(choice), "user")) return json_incref((json_t *)choice);
    if (choices) return json_incref(json_array_get(choices, 0));
    if (is_free_text(schema)) return (*at)-- == 0 ? json_string(f->value) : text_value(schema, name, f);
    if (is_open_object(schema)) {
        if ((*at)-- != 0) return json_object();
        return json_pack("{s:s, s:s, s:s, s:s}", "user_id", f->value, "document_id", f->value, "creator_id", f->value, "id", f->value);
    }
    if (type_is(schema, "object")) return object_of(schema, f, at);
    if (type_is(schema, "array")) {
        const json_t *items = json_object_get(schema, "items");
        json_t       *a = json_array();
        size_t        n = (size_t)json_integer_value(json_object_get(schema, "minItems"));
        for (size_t i = 0; items && i < (n ? n : 1); i++) json_array_append_new(a, value_of(items, name, f, at));
        return a;
    }
    if (type_is(schema, "integer") || type_is(schema, "number")) {
        const json_t *least = json_object_get(schema, "minimum");
        return least ? json_incref((json_t *)least) : json_integer(1);
    }
    if (type_is(schema, "boolean")) return json_false();
    return json_null();
}

json_t *tenants_body(const json_t *schema, const struct tenants_fill *given)
{
    struct tenants_fill f = *given;
    int                 at = f.at;
    f.embeds = json_object_get(json_object_get(schema, "properties"), "input") != NULL;
    return value_of(schema, "", &f, &at);
}

/* ---- sides ---- */

const char *tenants_none_of(struct call *c, const char *id)
{
    static const char digit[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned char     raw[LIMIT_ID_BYTES + 1];
    char             *out = arena_strdup(&c->mem, id), *mark = strrchr(out, '_'), *from = out, *until = strchr(out, '@');
    size_t            n = strlen(out);
    bool              made = mark && strlen(mark + 1) == ID_MADE_BYTES;
    if (!until) until = out + n;
    id_random(raw, sizeof raw);
    /* Of a made id the time stays: the id of nothing is as old as the one it stands beside. */
    if (made) from = out + n - 16;
    for (char *p = from; p < until; p++) {
        unsigned char r = raw[(size_t)(p - out) % sizeof raw];
        if (made) *p = digit[r % 32];
        else if (islower((unsigned char)*p)) *p = (char)('a' + r % 26);
        else if (isupper((unsigned char)*p)) *p = (char)('A' + r % 26);
        else if (isdigit((unsigned char)*p)) *p = (char)('0' + r % 10);
    }
    return out;
}

const char *tenants_side_find(const struct tenants_side *s, const char *kind)
{
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->ids[i].kind, kind)) return s->ids[i].id;
    return NULL;
}

void tenants_side_add(struct call *c, struct tenants_side *s, const char *kind, const char *id, bool chosen)
{
    /* A word that every creator has, such as the id of the first coach, is nobody's. */
    if (!id || strlen(id) < ID_LEAST || s->count == TENANTS_IDS) return;
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->ids[i].kind, kind) && !strcmp(s->ids[i].id, id)) return;
    s->ids[s->count++] = (struct tenants_id){ kind, arena_strdup(&c->mem, id), tenants_none_of(c, id), chosen };
}

void tenants_side_mark(struct call *c, struct tenants_side *s, const char *word)
{
    if (s->mark_count < TENANTS_MARKS) s->marks[s->mark_count++] = arena_strdup(&c->mem, word);
}

/* ---- comparing ---- */

static bool id_char(char ch)
{
    return isalnum((unsigned char)ch) || ch == '_' || ch == '-' || ch == '.' || ch == ':';
}

static size_t run_of(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && id_char(*p)) p++;
    return (size_t)(p - from);
}

static bool has_digit(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isdigit((unsigned char)p[i])) return true;
    return false;
}

/* "took_ms": and others whose numbers are of the moment. */
static bool of_the_moment(const char *name, size_t n)
{
    static const char *const ends[] = { "_ms", "_us", "_at", "seq", "remaining", "used", "reset_s", "number", "score", "start", "end", "expires_in" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i]);
        if (n >= m && !memcmp(name + n - m, ends[i], m)) return true;
    }
    return false;
}

static size_t begins(const char *p, const char *end, const char *word)
{
    size_t n = word ? strlen(word) : 0;
    return n && (size_t)(end - p) >= n && !memcmp(p, word, n) ? n : 0;
}

const char *tenants_mask(struct call *c, const struct tenants_reply *r, const char *sent, const char *also)
{
    struct buf  b;
    const char *p = r->body, *end = p + r->len;
    buf_init(&b, TENANTS_REPLY_BYTES * 2);
    while (p < end) {
        size_t id = begins(p, end, sent);
        if (!id) id = begins(p, end, also);
        if (id) {
            buf_adds(&b, "<sent>");
            p += id;
            continue;
        }
        if (end - p >= 8 && p[0] == 's' && p[1] == 'n' && run_of(p, p + 8) == 8 && has_digit(p + 2, 6)) {
            buf_adds(&b, "<serial>");
            p += 8;
            continue;
        }
        if (*p == '"') {
            size_t n = run_of(p + 1, end);
            if (p + 1 + n + 1 < end && p[1 + n] == '"' && p[2 + n] == ':' && of_the_moment(p + 1, n)) {
                const char *v = p + n + 3;
                buf_add(&b, p, n + 3);
                while (v < end && *v != ',' && *v != '}' && *v != ']') v++;
                p = v;
                continue;
            }
        }
        size_t n = id_char(*p) && (p == r->body || !id_char(p[-1])) ? run_of(p, end) : 0;
        /* "conversation_id": a name is no id, and an id with a slash or a quote beside it is. */
        if (n >= 20 && has_digit(p, n)) {
            buf_adds(&b, "<id>");
            p += n;
            continue;
        }
        buf_addc(&b, *p++);
    }
    const char *out = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

const char *tenants_betrayed(const struct tenants_plan *p, const struct tenants_side *victim, const struct tenants_reply *r, const char *sent)
{
    for (int i = 0; i < victim->mark_count; i++)
        if (strstr(r->body, victim->marks[i]) || strstr(r->head, victim->marks[i])) return victim->marks[i];
    for (int i = 0; i < victim->count; i++) {
        const struct tenants_id *t = &victim->ids[i];
        if (t->chosen || (sent && strstr(sent, t->id)) || (!strstr(r->body, t->id) && !strstr(r->head, t->id))) continue;
        bool stored = false;
        for (int k = 0; k < p->stored_count && !stored; k++) stored = !strcmp(p->stored[k], t->id);
        if (!stored) return t->id;
    }
    return NULL;
}

/* Two creators with everything a creator can own, made the way people make it: by asking the server. A step whose route is not there is
 * passed over; one that fails is a finding, because what was not made is not tested. Each side has a word of its own in
 * everything that people write, so that a reply that shows it is seen wherever it comes from. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "accounts/role.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "http/http.h"
#include "store/store.h"
#include "verb_doctor_tenants.h"

enum { JOB_WAIT_MS = 30000, JOB_LOOK_US = 20000, PEOPLE = 16 };
#define PASSWORD "Quiet-harbour-7-lantern"

/* Somebody of a side who can ask. */
struct person_of {
    const char        *name;      /* "owner", "u1" … of the steps */
    const char        *role;      /* shown */
    const char        *headers;   /* NULL: not made */
    const char        *user, *email;
    struct session_who who;       /* kind NULL: no session, a secret or a key */
};
struct making {
    struct call         *c;
    struct tenants_plan *p;
    struct tenants_side *side, *first, *owners; /* first: what is the first user's own; owners: the owner's sign-ins */
    const char          *letter;            /* "iso-a" */
    const char          *mark, *user_mark;
    struct person_of     people[PEOPLE];
    int                  count;
};

/* $M the side's word, $U the first user's, $S its name, $kind the first thing of that kind, $1 $2 the users. Saved: "kind:where" with dots, * for each. */
struct step {
    const char *row_method, *row;           /* the row of a table that it needs */
    const char *as;                         /* of people; NULL: nobody */
    const char *path;                       /* NULL: the row's */
    const char *body;                       /* JSON; with "file:" before it a form with one file of that text */
    const char *saves;                      /* NULL: nothing */
    bool        users;                      /* what it makes is the first user's own */
};

static const struct step steps[] = {
    { "PUT", "/api/v1/coach", "owner", NULL,
      "{\"name\":\"Coach $M\",\"description\":\"Keeps $M\",\"language\":\"en\",\"expertise\":\"$M\",\"method\":\"$M\",\"style\":\"plain\"}", NULL, false },
    { "GET", "/api/v1/coach", "owner", NULL, NULL, "coach:id", false },
    { "PUT", "/api/v1/creator", "owner", NULL, "{\"name\":\"House $M\",\"settings\":{\"anonymous\":true,\"email_users\":true}}", NULL, false },
    { "PUT", "/api/v1/users/{id}", "owner", "/api/v1/users/$1", "{\"name\":\"Ann $U\",\"email\":\"$S.ann@example.org\",\"attributes\":{\"note\":\"$U\"}}", NULL, false },
    { "PUT", "/api/v1/users/{id}", "owner", "/api/v1/users/$2", "{\"name\":\"Bob $M\"}", NULL, false },
    { "POST", "/api/v1/coaching/documents", "owner", NULL,
      "{\"text\":\"The harbour wall of $M keeps its lantern lit through the night. Ships turn at the third buoy of $M.\",\"title\":\"Harbour "
      "$M\",\"metadata\":{\"shelf\":\"$M\"}}", "document:document_id chunk:chunks.*.id", false },
    { "POST", "/api/v1/coaching/documents", "owner", NULL,
      "{\"text\":\"Ann of $U rows before breakfast and writes $U into her log.\",\"title\":\"Log $U\",\"user_id\":\"$1\"}",
      "document:document_id chunk:chunks.*.id", true },
    { "POST", "/api/v1/hub/documents", "owner", NULL, "file:# Tides of $M\n\nThe tide of $M turns twice a day, and the pilots of $M know when.\n",
      "document:documents.*.document_id job:documents.*.job_id", false },
    { "POST", "/api/v1/embeddings/generate", "u1", NULL, "{\"text\":\"My goal for $U is to row ten miles\",\"user_id\":\"$1\",\"content_type\":\"goal\"}",
      "embedding:id", true },
    { "POST", "/api/v1/coaching/search", "u1", NULL, "{\"query\":\"What keeps a stranger out of the harbour?\"}", "query:query_id", true },
    { "POST", "/api/v1/rag/query", "u1", NULL, "{\"query\":\"How many miles do I row for $U?\",\"user_id\":\"$1\"}", "query:query_id", true },
    { "POST", "/api/v1/coaching/ask", "u1", NULL, "{\"question\":\"When does the tide of $U turn?\"}", "turn:id conversation:conversation_id", true },
    { "POST", "/api/v1/coaching/ask", "owner", NULL, "{\"question\":\"What does the wall of $M keep lit?\"}", "turn:id conversation:conversation_id", false },
    { "PUT", "/api/v1/roles/{name}", "owner", "/api/v1/roles/$S-pilot", "{\"permissions\":[\"ask\",\"documents:read\"]}", NULL, false },
    { "POST", "/api/v1/members", "owner", NULL, "{\"email\":\"$S.guest@example.org\",\"role\":\"editor\"}", NULL, false },
    { "GET", "/api/v1/members", "owner", NULL, NULL, "account:members.*.account_id invitation:invitations.*.id", false },
    { "POST", "/api/v1/keys", "owner", NULL, "{\"name\":\"Second $M\",\"scopes\":[\"ask\"]}", "key:id", false },
    { "GET", "/api/v1/keys", "owner", NULL, NULL, "key:keys.*.id", false },
    { "GET", "/api/v1/auth/sessions", "owner", NULL, NULL, "session:sessions.*.id", false },
    { "GET", "/api/v1/auth/sessions", "u1", NULL, NULL, "session:sessions.*.id", true },
    { "PUT", "/api/v1/privacy/retention", "owner", NULL, "{\"turns_days\":4000}", NULL, false },
    { "GET", "/api/v1/jobs", "owner", NULL, NULL, "job:jobs.*.id", false },
};

static bool row_there(const struct tenants_plan *p, const char *method, const char *path)
{
    for (int i = 0; p->tables[i]; i++)
        for (const struct route *r = p->tables[i]; r->method; r++)
            if (!strcmp(r->method, method) && !strcmp(r->path, path)) return true;
    return false;
}

static struct person_of *person_named(struct making *m, const char *name)
{
    for (int i = 0; name && i < m->count; i++)
        if (!strcmp(m->people[i].name, name)) return &m->people[i];
    return NULL;
}

static const char *bearer(struct call *c, const char *token)
{
    return arena_printf(&c->mem, "Authorization: Bearer %s\r\n", token);
}

/* Only a name that is all lower-case letters and stands for something is replaced. */
static const char *replaced(struct making *m, const char *text)
{
    static const char *const kinds[] = { "document", "job", "turn", "coach", "key", "invitation" };
    struct buf b;
    if (!text) return NULL;
    buf_init(&b, 65536);
    while (*text) {
        const char *v = NULL;
        size_t      skip = 2;
        if (*text != '$') {
            buf_addc(&b, *text++);
            continue;
        }
        if (text[1] == 'M') v = m->mark;
        else if (text[1] == 'U') v = m->user_mark;
        else if (text[1] == 'S') v = m->letter;
        else if (text[1] == '1' || text[1] == '2') v = arena_printf(&m->c->mem, "%s-u%c", m->letter, text[1]);
        for (size_t i = 0; !v && i < sizeof kinds / sizeof *kinds; i++)
            if (!strncmp(text + 1, kinds[i], strlen(kinds[i]))) {
                v = tenants_side_find(m->side, kinds[i]);
                skip = 1 + strlen(kinds[i]);
            }
        buf_adds(&b, v ? v : "");
        text += skip;
    }
    const char *out = arena_strndup(&m->c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

/* "documents.*.job_id" in a reply: every text there becomes a thing of the side. */
static void save_at(struct making *m, const char *kind, const json_t *v, const char *where, bool users)
{
    size_t        n = strcspn(where, ". "), i;
    const json_t *one;
    char          name[64];
    if (!n) {
        if (!json_is_string(v)) return;
        /* What is the same for every creator, as the first coach's id is, says nothing. */
        if (!strchr(json_string_value(v), '_')) return;
        /* A conversation is called what its first question called it. */
        bool chosen = !strcmp(kind, "conversation");
        tenants_side_add(m->c, m->side, kind, json_string_value(v), chosen);
        if (users) tenants_side_add(m->c, m->first, kind, json_string_value(v), chosen);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)n, where);
    where += n + (where[n] == '.');
    if (*name == '*') json_array_foreach(v, i, one) save_at(m, kind, one, where, users);
    else save_at(m, kind, json_object_get(v, name), where, users);
}

static void save(struct making *m, const char *saves, const struct tenants_reply *r, bool users)
{
    static const char *const kinds[] = { "document", "chunk", "job", "embedding", "query", "turn", "conversation", "coach", "account", "invitation",
                                         "key", "session", "user" };
    json_t *v = json_loadb(r->body, r->len, 0, NULL);
    for (const char *p = saves; v && p && *p;) {
        size_t n = strcspn(p, ":");
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (strlen(kinds[i]) == n && !memcmp(kinds[i], p, n)) save_at(m, kinds[i], v, p + n + 1, users);
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    json_decref(v);
}

/* Asks, with words where the answer is not as it should be. got: whether it was. */
static enum err send(struct making *m, const char *method, const char *path, const char *headers, const char *body, struct tenants_reply *r, bool *got)
{
    struct tenants_ask a = { .method = method, .path = path, .headers = headers };
    if (body && !strncmp(body, "file:", 5)) {
        a.type = "multipart/form-data; boundary=world";
        a.body = arena_printf(&m->c->mem, "--world\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s.md\"\r\nContent-Type: "
                                          "text/markdown\r\n\r\n%s\r\n--world--\r\n", m->letter, body + 5);
    } else if (body) {
        a.type = "application/json";
        a.body = body;
    }
    if (a.body) a.len = strlen(a.body);
    enum err e = tenants_ask(m->c, &m->p->client, &a, r);
    if (e) return e;
    *got = r->status >= 200 && r->status < 300;
    if (!*got) tenants_find(m->c, m->p, NULL, "%s could not make what it should own: %s %s answered %d %.200s", m->letter, method, path, r->status, r->body);
    return OK;
}

static enum err take_step(struct making *m, const struct step *s)
{
    struct tenants_reply    r;
    const struct person_of *who = person_named(m, s->as);
    bool                    got = false;
    if (!row_there(m->p, s->row_method, s->row) || (s->as && !(who && who->headers))) return OK;
    enum err e = send(m, s->row_method, replaced(m, s->path ? s->path : s->row), who ? who->headers : NULL, replaced(m, s->body), &r, &got);
    if (!e && got && s->saves) save(m, s->saves, &r, s->users);
    return e;
}

/* A step before its turn; in its turn it changes nothing. */
static enum err send_step(struct making *m, const char *method, const char *row)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!strcmp(steps[i].row_method, method) && !strcmp(steps[i].row, row)) return take_step(m, &steps[i]);
    return OK;
}

static enum err wait_jobs(struct making *m)
{
    struct person_of *owner = person_named(m, "owner");
    int64_t           until = clock_mono_ms() + JOB_WAIT_MS;
    enum err          e = OK;
    if (!row_there(m->p, "GET", "/api/v1/jobs")) return OK;
    for (;;) {
        struct tenants_reply r;
        struct tenants_ask   a = { .method = "GET", .path = "/api/v1/jobs?limit=100", .headers = owner->headers };
        e = tenants_ask(m->c, &m->p->client, &a, &r);
        if (e) return e;
        if (!strstr(r.body, "\"queued\"") && !strstr(r.body, "\"running\"")) return OK;
        if (clock_mono_ms() > until) return fail(m->c, ERR_TIMEOUT, "the jobs of %s did not end", m->letter);
        usleep(JOB_LOOK_US);
    }
}

/* ---- people ---- */

static struct person_of *person_add(struct making *m, const char *name, const char *role)
{
    struct person_of *k = &m->people[m->count++];
    *k = (struct person_of){ .name = name, .role = role };
    return k;
}

static enum err by_secret(struct making *m, const char *name, const char *shown, const char *role)
{
    const char *token = NULL;
    enum err    e = token_make(m->c, m->side->creator, NULL, role, 1, &token);
    if (e) return e;
    struct person_of *k = person_add(m, name, shown);
    k->headers = bearer(m->c, token);
    return OK;
}

/* Signed in by this process, whose keys the server shares: no password is waited for. */
static enum err sign_in(struct call *c, const struct session_who *who, const char **headers_out, const char **session_out)
{
    struct session_tokens t;
    enum err e = session_begin(c, who, &t);
    if (e) return e;
    *headers_out = bearer(c, t.access);
    *session_out = t.session_id;
    return OK;
}

static enum err with_session(struct making *m, struct person_of *k)
{
    const char *session = NULL;
    enum err    e = sign_in(m->c, &k->who, &k->headers, &session);
    if (e) return e;
    tenants_side_add(m->c, m->side, "session", session, false);
    if (!strcmp(k->name, "u1")) tenants_side_add(m->c, m->first, "session", session, false);
    if (!strcmp(k->name, "owner")) tenants_side_add(m->c, m->owners, "session", session, false);
    return OK;
}

static enum err user_make(struct making *m, const char *name, const char *id)
{
    struct person_of *k = person_add(m, name, "user");
    k->user = id;
    k->who = (struct session_who){ .kind = "user", .creator_id = m->side->creator, .user_id = id, .role = "user" };
    tenants_side_add(m->c, m->side, "user", id, true);
    return with_session(m, k);
}

/* An account with a creator of its own; the side's, for the owner. */
static enum err account_make_for(struct making *m, const char *name, const char *creator, struct person_of **out)
{
    struct call         *c = m->c;
    struct tenants_reply r;
    struct person_of    *k = person_add(m, name, name);
    bool                 got = false;
    k->email = arena_printf(&c->mem, "%s.%s@example.org", m->letter, name);
    const char *body = arena_printf(&c->mem, "{\"email\":\"%s\",\"password\":\"" PASSWORD "\",\"full_name\":\"%s %s\",\"creator_id\":\"%s\",\"creator_name\":\"House %s\"}",
                                    k->email, name, m->mark, creator, m->mark);
    enum err e = send(m, "POST", "/api/v1/auth/register", NULL, body, &r, &got);
    if (e || !got) return e;
    json_t *v = json_loadb(r.body, r.len, 0, NULL);
    const char *account = arena_strdup(&c->mem, json_get_text(v, "id", NULL));
    json_decref(v);
    tenants_side_add(c, m->side, "account", account, false);
    tenants_side_add(c, m->side, "email", k->email, true);
    k->who = (struct session_who){ .kind = "member", .creator_id = m->side->creator, .account_id = account, .role = "owner" };
    *out = k;
    return OK;
}

/* Invited, and come in by the link, which is handed over where no mail server is. */
static enum err member_make(struct making *m, const char *role)
{
    struct call         *c = m->c;
    struct person_of    *k = person_add(m, role, role), *owner = person_named(m, "owner");
    struct tenants_reply r;
    bool                 got = false;
    const char          *given = strcmp(role, "pilot") ? role : arena_printf(&c->mem, "%s-pilot", m->letter), *link = NULL;
    k->email = arena_printf(&c->mem, "%s.%s@example.org", m->letter, role);
    enum err e = send(m, "POST", "/api/v1/members", owner->headers, arena_printf(&c->mem, "{\"email\":\"%s\",\"role\":\"%s\"}", k->email, given), &r, &got);
    if (e || !got) return e;
    json_t *v = json_loadb(r.body, r.len, 0, NULL);
    link = strstr(json_get_text(v, "link", ""), "link=");
    link = link ? arena_strdup(&c->mem, link + 5) : "";
    json_decref(v);
    e = send(m, "POST", "/api/v1/auth/link/redeem", NULL,
             arena_printf(&c->mem, "{\"token\":\"%s\",\"password\":\"" PASSWORD "\",\"full_name\":\"%s %s\"}", link, role, m->mark), &r, &got);
    if (e || !got) return e;
    v = json_loadb(r.body, r.len, 0, NULL);
    const char *account = arena_strdup(&c->mem, json_get_text(json_object_get(v, "account"), "id", NULL));
    json_decref(v);
    if (!account) {
        tenants_find(c, m->p, NULL, "%s of %s has no account: %.200s", role, m->letter, r.body);
        return OK;
    }
    tenants_side_add(c, m->side, "account", account, false);
    tenants_side_add(c, m->side, "email", k->email, true);
    k->who = (struct session_who){ .kind = "member", .creator_id = m->side->creator, .account_id = account, .role = given };
    return with_session(m, k);
}

static enum err visitor_make(struct making *m)
{
    struct tenants_reply r;
    bool                 got = false;
    enum err e = send(m, "POST", "/api/v1/auth/anonymous", NULL, arena_printf(&m->c->mem, "{\"creator_id\":\"%s\"}", m->letter), &r, &got);
    if (e || !got) return e;
    struct person_of *k = person_add(m, "visitor", "visitor");
    json_t           *v = json_loadb(r.body, r.len, 0, NULL);
    k->user = arena_strdup(&m->c->mem, json_get_text(v, "user_id", NULL));
    k->headers = bearer(m->c, json_get_text(v, "access_token", ""));
    k->who = (struct session_who){ .kind = "visitor", .creator_id = m->side->creator, .user_id = k->user, .role = "visitor" };
    tenants_side_add(m->c, m->side, "session", json_get_text(v, "session_id", NULL), false);
    tenants_side_add(m->c, m->side, "user", k->user, false);
    json_decref(v);
    return OK;
}

static enum err key_make(struct making *m)
{
    struct tenants_reply r;
    bool                 got = false;
    enum err e = send(m, "POST", "/api/v1/keys", person_named(m, "owner")->headers,
                      arena_printf(&m->c->mem, "{\"name\":\"First %s\",\"scopes\":[\"ask\",\"documents:read\",\"documents:write\",\"users:act_as\",\"users:write\"]}", m->mark),
                      &r, &got);
    if (e || !got) return e;
    json_t           *v = json_loadb(r.body, r.len, 0, NULL);
    struct person_of *k = person_add(m, "key", "key");
    k->headers = arena_printf(&m->c->mem, "X-API-Key: %s\r\n", json_get_text(v, "key", ""));
    tenants_side_add(m->c, m->side, "key", json_get_text(v, "id", NULL), false);
    json_decref(v);
    return OK;
}

static enum err owner_make(struct making *m)
{
    struct person_of *k = NULL;
    enum err          e = account_make_for(m, "owner", m->side->creator, &k);
    return e || !k ? e : with_session(m, k);
}

static enum err people(struct making *m)
{
    static const char *const roles[] = { "admin", "editor", "analyst", "pilot" };
    const char *u1 = arena_printf(&m->c->mem, "%s-u1", m->letter), *u2 = arena_printf(&m->c->mem, "%s-u2", m->letter);
    m->side->user = m->first->user = m->owners->user = u1;
    enum err e = owner_make(m);
    if (!e && !person_named(m, "owner")->headers) e = fail(m->c, ERR_INTERNAL, "the owner of %s could not be made", m->letter);
    if (!e) e = send_step(m, "PUT", "/api/v1/roles/{name}");
    for (size_t i = 0; !e && i < sizeof roles / sizeof *roles; i++) e = member_make(m, roles[i]);
    if (!e) e = user_make(m, "u1", u1);
    if (!e) e = user_make(m, "u2", u2);
    tenants_side_add(m->c, m->first, "user", u1, true);
    if (!e) e = by_secret(m, "secret", "secret", "owner");
    if (!e) e = by_secret(m, "service", "service", "service");
    if (!e) e = key_make(m);
    return e;
}

/* What a caller may do is what the server says it may. */
static enum err rights_of(struct making *m, struct tenants_caller *k)
{
    struct tenants_reply r;
    struct tenants_ask   a = { .method = "GET", .path = "/api/v1/me", .headers = k->headers };
    enum err             e = tenants_ask(m->c, &m->p->client, &a, &r);
    if (e) return e;
    json_t       *v = json_loadb(r.body, r.len, 0, NULL);
    const json_t *one;
    size_t        i;
    json_array_foreach(json_object_get(v, "rights"), i, one) k->rights |= right_of(json_string_value(one));
    json_decref(v);
    if (!k->rights) tenants_find(m->c, m->p, NULL, "%s of %s may do nothing: GET /api/v1/me answered %d %.200s", k->role, m->letter, r.status, r.body);
    k->rights |= RIGHT_PUBLIC;
    return OK;
}

/* Somebody who signed out signs in again; somebody who is gone is followed by another of the same kind. */
static enum err renew(struct call *c, struct tenants_caller *k, void *arg)
{
    const struct person_of *p = arg;
    const char             *session = NULL;
    enum err                e = sign_in(c, &p->who, &k->headers, &session);
    if (!e) return OK;
    call_forgive(c);
    k->renew = NULL;
    return OK;
}

static enum err caller_add(struct making *m, struct tenants_case *of, const char *name)
{
    struct person_of      *k = person_named(m, name);
    struct tenants_caller *to = &of->callers[of->count];
    if (!k || !k->headers || of->count == TENANTS_CALLERS) return OK;
    of->count++;
    *to = (struct tenants_caller){ .role = k->role, .user = k->user, .headers = k->headers, .renew = k->who.kind ? renew : NULL, .arg = k };
    return rights_of(m, to);
}

static enum err side_make(struct call *c, struct tenants_plan *p, const char *letter, struct making *m)
{
    unsigned char        raw[12];
    struct tenants_reply r;
    bool                 got;
    id_random(raw, sizeof raw);
    *m = (struct making){ .c = c, .p = p, .letter = letter, .side = arena_alloc(&c->mem, sizeof *m->side), .first = arena_alloc(&c->mem, sizeof *m->first),
                          .owners = arena_alloc(&c->mem, sizeof *m->owners) };
    /* One word for every tokenizer, and no word of any language. */
    m->mark = arena_printf(&c->mem, "zq%02x%02x%02x%02x%02x%02x", raw[0], raw[1], raw[2], raw[3], raw[4], raw[5]);
    m->user_mark = arena_printf(&c->mem, "zu%02x%02x%02x%02x%02x%02x", raw[6], raw[7], raw[8], raw[9], raw[10], raw[11]);
    m->side->creator = m->first->creator = m->owners->creator = letter;
    tenants_side_mark(c, m->side, m->mark);
    tenants_side_mark(c, m->side, m->user_mark);
    tenants_side_mark(c, m->first, m->user_mark);
    tenants_side_add(c, m->side, "creator", letter, true);
    enum err e = people(m);
    for (size_t i = 0; !e && i < sizeof steps / sizeof *steps; i++) e = take_step(m, &steps[i]);
    if (!e) e = wait_jobs(m);
    if (!e) e = visitor_make(m);
    /* Shut again: whether there is such a creator is nobody's business then. */
    if (!e) e = send(m, "PUT", "/api/v1/creator", person_named(m, "owner")->headers, "{\"settings\":{\"anonymous\":false,\"email_users\":false}}", &r, &got);
    tenants_side_add(c, m->side, "role", arena_printf(&c->mem, "%s-pilot", letter), true);
    tenants_side_add(c, m->side, "email", arena_printf(&c->mem, "%s.ann@example.org", letter), true);
    return e;
}

enum err tenants_world(struct call *c, struct tenants_plan *p)
{
    static const char *const everybody[] = { "owner", "admin", "editor", "analyst", "pilot", "secret", "key", "service", "u1", "visitor" };
    static const char *const neighbours[] = { "u2", "visitor" };
    static const char *const colleagues[] = { "editor", "pilot", "u2" };
    struct making *a = arena_alloc(&c->mem, sizeof *a), *b = arena_alloc(&c->mem, sizeof *b);
    enum err       e = side_make(c, p, "iso-a", a);
    if (!e) e = side_make(c, p, "iso-b", b);
    if (e) return e;
    struct tenants_case *stranger = &p->cases[0], *neighbour = &p->cases[1], *colleague = &p->cases[2];
    p->case_count = 3;
    stranger->name = "another creator";
    stranger->own = a->side;
    stranger->victim = b->side;
    neighbour->name = "another user";
    neighbour->own = arena_alloc(&c->mem, sizeof *neighbour->own);
    neighbour->own->creator = b->letter;
    neighbour->own->user = person_named(b, "u2")->user;
    neighbour->victim = b->first;
    for (size_t i = 0; !e && i < sizeof everybody / sizeof *everybody; i++) e = caller_add(a, stranger, everybody[i]);
    for (size_t i = 0; !e && i < sizeof neighbours / sizeof *neighbours; i++) e = caller_add(b, neighbour, neighbours[i]);
    colleague->name = "another member";
    colleague->own = neighbour->own;
    colleague->victim = b->owners;
    for (size_t i = 0; !e && i < sizeof colleagues / sizeof *colleagues; i++) e = caller_add(b, colleague, colleagues[i]);
    struct tenants_case keep = { 0 };
    if (!e) e = caller_add(b, &keep, "owner");
    stranger->keeper = keep.callers[0];
    keep.count = 0;
    keep.callers[0] = (struct tenants_caller){ 0 };
    if (!e) e = caller_add(b, &keep, "u1");
    neighbour->keeper = keep.callers[0];
    colleague->keeper = stranger->keeper;
    return e;
}

/* What people may ask of the data about them, over HTTP. Whoever is asked about comes from the credential, or from a path that only
 * RIGHT_PRIVACY opens. An export goes out whole or not at all: one that is larger than a reply may be is made by
 * `chiron privacy export`, and the words say so. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/audit.h"
#include "accounts/auth_reply_http.h"
#include "accounts/export.h"
#include "accounts/privacy.h"
#include "accounts/retention.h"
#include "base/clock.h"
#include "base/id.h"
#include "http/http.h"

#define HTTP_EXPORT_BYTES (1LL << 30)    /* before it is packed */

extern const struct route privacy_routes[];

static enum err file_read(struct call *c, const char *path, size_t n, char **out)
{
    FILE *f = fopen(path, "rbe");
    char *all = malloc(n + 1);
    if (!all) abort();
    bool whole = f && fread(all, 1, n, f) == n;
    if (f) fclose(f);
    if (!whole) {
        free(all);
        return fail(c, ERR_IO, "cannot read the export");
    }
    *out = all;
    return OK;
}

static const char *kind_of(const struct person_who *p)
{
    return p->user_id ? "person.export" : p->account_id ? "account.export" : "creator.export";
}

static enum err note_export(struct call *c, const struct person_who *p, const struct export_sum *sum)
{
    char               rows[24];
    snprintf(rows, sizeof rows, "%lld", (long long)sum->rows);
    struct audit_entry a = { kind_of(p), "", "done", (const char *[]){ "rows", rows, NULL } };
    if (p->account_id && !p->user_id) {
        a.target = p->account_id;
        return audit_put_instance(c, &a);
    }
    a.target = p->user_id ? arena_printf(&c->mem, AUDIT_USER "%s", p->user_id) : p->creator_id;
    return audit_put(c, &a);
}

static enum err send_export(struct req *r, const struct person_who *p, bool json)
{
    struct call      *c = &r->call;
    struct export_sum sum;
    const char       *path = NULL;
    char             *all = NULL;
    /* Long, like everything here that walks a whole person: others are answered meanwhile. */
    enum err e = auth_step_aside(r);
    if (!e) e = export_make(c, p, json ? EXPORT_JSON : EXPORT_ZIP, json ? LIMIT_REPLY_BYTES : HTTP_EXPORT_BYTES, &path, &sum);
    if (!e && sum.bytes >= LIMIT_REPLY_BYTES) e = fail(c, ERR_TOO_LARGE, "the export has over %lld bytes", (long long)LIMIT_REPLY_BYTES);
    if (e == ERR_TOO_LARGE) snprintf(c->err_text + strlen(c->err_text), sizeof c->err_text - strlen(c->err_text), ": ask for it with `chiron privacy export`");
    if (!e) e = file_read(c, path, (size_t)sum.bytes, &all);
    if (!e) e = note_export(c, p, &sum);
    if (!e) {
        reply_header(r, "Cache-Control", "no-store");
        reply_header(r, "Content-Disposition", json ? "attachment; filename=\"export.json\"" : "attachment; filename=\"export.zip\"");
        reply_bytes(r, 200, json ? "application/json" : "application/zip", all, (size_t)sum.bytes);
    }
    free(all);
    export_drop(path);
    return e;
}

static bool wants_json(struct req *r)
{
    const char *accept = req_header(r, "accept");
    return accept && strstr(accept, "application/json") && !strstr(accept, "application/zip");
}

/* The caller's own self: a member's account, else the user. */
static enum err self(struct req *r, struct person_who *out)
{
    struct call *c = &r->call;
    if (c->account_id[0]) return account_find(c, c->account_id, out);
    if (!c->user_id[0]) return fail(c, ERR_FORBIDDEN, "this credential is nobody's own");
    return person_find(c, c->user_id, out);
}

static enum err get_own(struct req *r)
{
    struct person_who p;
    enum err          e = self(r, &p);
    return e ? e : send_export(r, &p, wants_json(r));
}

static enum err get_own_json(struct req *r)
{
    struct person_who p;
    enum err          e = self(r, &p);
    return e ? e : send_export(r, &p, true);
}

/* One who was never heard of is told apart from one without rows by nobody but those who may see both. */
static enum err other(struct req *r, struct person_who *out)
{
    const char *id = req_path(r, "id");
    bool        known = false;
    if (!id_user_valid(id)) return fail(&r->call, ERR_NOT_FOUND, "no user %.60s", id);
    enum err e = person_known(&r->call, id, &known);
    if (!e && !known) e = fail(&r->call, ERR_NOT_FOUND, "no user %.60s", id);
    return e ? e : person_find(&r->call, id, out);
}

static enum err get_user_export(struct req *r)
{
    struct person_who p;
    enum err          e = other(r, &p);
    return e ? e : send_export(r, &p, wants_json(r));
}

static enum err get_creator_export(struct req *r)
{
    struct call            *c = &r->call;
    const struct person_who p = { .creator_id = arena_strdup(&c->mem, c->creator_id) };
    return send_export(r, &p, wants_json(r));
}

static enum err confirmed(struct req *r, const char *want)
{
    const char *given = json_get_text(r->json, "confirm", "");
    return strcmp(given, want) ? fail_field(&r->call, "confirm", "confirm must be \"%s\": this cannot be undone", want) : OK;
}

static void put_certificate(struct req *r, const char *certificate)
{
    reply_header(r, "Cache-Control", "no-store");
    reply_bytes(r, 200, "application/json", certificate, strlen(certificate));
}

static enum err delete_own(struct req *r)
{
    struct call *c = &r->call;
    const char  *certificate = NULL;
    enum err     e = confirmed(r, "erase");
    if (!e) e = auth_step_aside(r);
    if (!e && c->account_id[0]) {
        e = account_prove_erasure(c, json_get_text(r->json, "password", NULL));
        if (!e) e = account_erase(c, arena_strdup(&c->mem, c->account_id), &certificate);
    } else if (!e) {
        if (!c->user_id[0]) return fail(c, ERR_FORBIDDEN, "this credential is nobody's own");
        e = person_erase(c, arena_strdup(&c->mem, c->user_id), &certificate);
    }
    if (!e) put_certificate(r, certificate);
    return e;
}

static enum err delete_user(struct req *r)
{
    struct person_who p;
    const char       *certificate = NULL;
    enum err          e = other(r, &p);
    if (!e) e = auth_step_aside(r);
    if (!e) e = person_erase(&r->call, p.user_id, &certificate);
    if (!e) put_certificate(r, certificate);
    return e;
}

static enum err delete_creator(struct req *r)
{
    struct call *c = &r->call;
    const char  *certificate = NULL, *creator = arena_strdup(&c->mem, c->creator_id);
    enum err     e = confirmed(r, creator);
    if (!e) e = auth_step_aside(r);
    if (!e) e = account_prove_erasure(c, json_get_text(r->json, "password", NULL));
    if (!e) e = creator_erase(c, creator, &certificate);
    if (!e) put_certificate(r, certificate);
    return e;
}

/* ---- retention ---- */

static enum err put_retention(struct req *r)
{
    enum err e = retention_set(&r->call, r->json);
    return e ? e : retention_put(&r->call, reply_json(r, 200));
}

static enum err get_retention(struct req *r)
{
    return retention_put(&r->call, reply_json(r, 200));
}

static enum err run_retention(struct req *r)
{
    struct call     *c = &r->call;
    bool             dry = json_get_bool(r->json, "dry_run", false);
    const char      *as_of = json_get_text(r->json, "as_of", NULL);
    int64_t          now = clock_unix_ms();
    struct retained *list = NULL;
    int              n = 0;
    if (as_of && !dry) return fail_field(c, "as_of", "as_of is for a dry run only");
    if (as_of && !clock_read_iso(as_of, &now)) return fail_field(c, "as_of", "as_of is a time like 2027-01-31T08:00:00Z");
    enum err e = auth_step_aside(r);
    if (!e) e = retention_run(c, now, dry, &list, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_bool(j, "dry_run", dry);
    json_begin_object(j, "removed");
    for (int i = 0; i < n; i++) json_put_int(j, list[i].table, list[i].rows);
    json_end(j);
    json_end(j);
    return OK;
}

#define CERTIFICATE                                                                                                            \
    "{\"type\":\"object\",\"required\":[\"certificate\",\"subject\",\"tables\",\"signature\"],\"properties\":{\"certificate\":{\"type\":" \
    "\"string\"},\"subject\":{\"type\":\"object\"},\"tables\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"signature\":"     \
    "{\"type\":\"string\"}}}"
#define EXPORTED "{\"type\":\"object\",\"required\":[\"format\",\"subject\"],\"properties\":{\"format\":{\"type\":\"string\"},\"subject\":{\"type\":\"object\"}}}"
#define DAYS "{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":36500}"
#define RETENTION                                                                                                              \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"turns_days\":" DAYS ",\"visitors_days\":" DAYS               \
    ",\"sessions_days\":" DAYS ",\"links_days\":" DAYS ",\"replies_days\":" DAYS ",\"jobs_days\":" DAYS ",\"audit_days\":" DAYS "}}"

const struct route privacy_routes[] = {
    { .method = "GET", .path = "/api/v1/auth/me/export", .rights = RIGHT_SELF, .flags = ROUTE_ARCHIVE, .handler = get_own,
      .summary = "Everything that is kept about the caller, as a zip or, with Accept: application/json, as one JSON object",
      .surface = "accounts", .reply_schema = EXPORTED },
    { .method = "DELETE", .path = "/api/v1/auth/me", .rights = RIGHT_SELF, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"confirm\"],\"additionalProperties\":false,\"properties\":{"
                "\"confirm\":{\"type\":\"string\",\"maxLength\":20},\"password\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256}}}",
      .handler = delete_own, .summary = "Erase the caller and everything that is kept about them, with a certificate", .surface = "accounts",
      .reply_schema = CERTIFICATE, .rate = "auth" },
    { .method = "GET", .path = "/api/v1/ai/privacy/export", .rights = RIGHT_ASK | RIGHT_SELF, .handler = get_own_json,
      .summary = "Everything that is kept about the caller, as one JSON object", .surface = "fit", .house = "fit", .reply_schema = EXPORTED },
    { .method = "GET", .path = "/api/v1/users/{id}/export", .rights = RIGHT_PRIVACY, .flags = ROUTE_ARCHIVE, .handler = get_user_export,
      .summary = "Everything that is kept about one user", .surface = "accounts", .reply_schema = EXPORTED },
    { .method = "DELETE", .path = "/api/v1/users/{id}", .rights = RIGHT_PRIVACY, .handler = delete_user,
      .summary = "Erase one user, with a certificate", .surface = "accounts", .reply_schema = CERTIFICATE },
    { .method = "GET", .path = "/api/v1/creator/export", .rights = RIGHT_OWN, .flags = ROUTE_ARCHIVE, .handler = get_creator_export,
      .summary = "Everything of the creator", .surface = "accounts", .reply_schema = EXPORTED },
    { .method = "DELETE", .path = "/api/v1/creator", .rights = RIGHT_OWN, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"confirm\"],\"additionalProperties\":false,\"properties\":{"
                "\"confirm\":{\"type\":\"string\",\"maxLength\":128},\"password\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256}}}",
      .handler = delete_creator, .summary = "Erase the whole creator, with a certificate; confirm is its id", .surface = "accounts",
      .reply_schema = CERTIFICATE, .rate = "auth" },
    { .method = "GET", .path = "/api/v1/privacy/retention", .rights = RIGHT_PRIVACY, .handler = get_retention,
      .summary = "How many days each kind of data is kept; null: for ever", .surface = "accounts", .reply_schema = RETENTION },
    { .method = "PUT", .path = "/api/v1/privacy/retention", .rights = RIGHT_PRIVACY, .body_max = 4096, .schema = RETENTION, .handler = put_retention,
      .summary = "Set how long data is kept; what is not named stays as it is", .surface = "accounts", .reply_schema = RETENTION },
    { .method = "POST", .path = "/api/v1/privacy/retention/run", .rights = RIGHT_PRIVACY, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"dry_run\":{\"type\":\"boolean\"},"
                "\"as_of\":{\"type\":\"string\",\"maxLength\":40}}}",
      .handler = run_retention, .summary = "Remove now what is older than it may be, or only count it", .surface = "accounts",
      .reply_schema = "{\"type\":\"object\",\"required\":[\"dry_run\",\"removed\"],\"properties\":{\"dry_run\":{\"type\":\"boolean\"},"
                      "\"removed\":{\"type\":\"object\"}}}" },
    { 0 },
};

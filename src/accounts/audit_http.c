/* The creator's log over HTTP: read, searched and checked, never written. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/audit.h"
#include "base/clock.h"
#include "http/http.h"

extern const struct route audit_routes[];

static enum err query_time(struct req *r, const char *name, int64_t *out)
{
    const char *text = req_query(r, name);
    if (text && *text && !clock_read_iso(text, out))
        return fail_field(&r->call, name, "%s is a day or a time like 2027-01-31T08:00:00Z", name);
    return OK;
}

static enum err get_audit(struct req *r)
{
    struct call        *c = &r->call;
    struct audit_row   *rows = NULL;
    int64_t             next = 0, limit = 0;
    int                 n = 0;
    char                iso[25];
    struct audit_filter f = { .actor = req_query(r, "actor"), .action = req_query(r, "action"), .target = req_query(r, "target"),
                              .outcome = req_query(r, "outcome"), .q = req_query(r, "q") };
    enum err e = req_query_int(r, "limit", 50, 1, 200, &limit);
    if (!e) e = req_query_int(r, "before", 0, 0, INT64_MAX, &f.before);
    if (!e) e = query_time(r, "from", &f.from_ms);
    if (!e) e = query_time(r, "to", &f.to_ms);
    f.limit = (int)limit;
    if (!e && f.q && strlen(f.q) > 200) e = fail_field(c, "q", "q has at most 200 bytes");
    if (!e) e = audit_list(c, false, &f, &rows, &n, &next);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "entries");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_int(j, "seq", rows[i].seq);
        json_put_text(j, "at", clock_iso(rows[i].at_ms, iso));
        json_put_text(j, "actor_kind", rows[i].actor_kind);
        json_put_text(j, "actor", rows[i].actor);
        if (rows[i].actor_name) json_put_text(j, "actor_name", rows[i].actor_name);
        json_put_text(j, "action", rows[i].action);
        json_put_text(j, "target", rows[i].target);
        if (rows[i].target_name) json_put_text(j, "target_name", rows[i].target_name);
        json_put_text(j, "outcome", rows[i].outcome);
        json_put_text(j, "address", rows[i].address);
        json_put_text(j, "request_id", rows[i].request_id);
        json_put_raw(j, "details", rows[i].details, strlen(rows[i].details));
        json_end(j);
    }
    json_end(j);
    if (next) json_put_int(j, "next", next);
    else json_put_null(j, "next");
    json_end(j);
    return OK;
}

static enum err get_verify(struct req *r)
{
    struct audit_state s;
    enum err           e = audit_verify(&r->call, false, &s);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_int(j, "entries", s.entries);
    json_put_bool(j, "whole", s.whole);
    if (s.whole) json_put_null(j, "first_broken");
    else json_put_int(j, "first_broken", s.first_broken);
    if (s.why) json_put_text(j, "why", s.why);
    json_put_text(j, "head", s.head);
    json_end(j);
    return OK;
}

#define ENTRY                                                                                                                  \
    "{\"type\":\"object\",\"required\":[\"seq\",\"at\",\"actor_kind\",\"actor\",\"action\",\"target\",\"outcome\",\"details\"],\"properties\":{"  \
    "\"seq\":{\"type\":\"integer\"},\"at\":{\"type\":\"string\"},\"actor_kind\":{\"type\":\"string\"},\"actor\":{\"type\":\"string\"},"    \
    "\"actor_name\":{\"type\":\"string\"},\"action\":{\"type\":\"string\"},\"target\":{\"type\":\"string\"},\"target_name\":{\"type\":\"string\"}," \
    "\"outcome\":{\"type\":\"string\"},\"address\":{\"type\":\"string\"},\"request_id\":{\"type\":\"string\"},\"details\":{\"type\":\"object\"}}}"

const struct route audit_routes[] = {
    { .method = "GET", .path = "/api/v1/audit", .rights = RIGHT_AUDIT, .handler = get_audit,
      .summary = "What was done here, newest first; actor, action, target, outcome, q, from, to, before and limit narrow it", .surface = "accounts",
      .reply_schema = "{\"type\":\"object\",\"required\":[\"entries\",\"next\"],\"properties\":{\"entries\":{\"type\":\"array\",\"items\":" ENTRY
                      "},\"next\":{\"type\":[\"integer\",\"null\"]}}}" },
    { .method = "GET", .path = "/api/v1/audit/verify", .rights = RIGHT_AUDIT, .handler = get_verify,
      .summary = "Whether the log is as it was written", .surface = "accounts",
      .reply_schema = "{\"type\":\"object\",\"required\":[\"entries\",\"whole\",\"first_broken\",\"head\"],\"properties\":{\"entries\":"
                      "{\"type\":\"integer\"},\"whole\":{\"type\":\"boolean\"},\"first_broken\":{\"type\":[\"integer\",\"null\"]},\"why\":"
                      "{\"type\":\"string\"},\"head\":{\"type\":\"string\"}}}" },
    { 0 },
};

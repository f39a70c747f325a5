/* What an erasure is proven by: every row of the inventory with what went and what stays, the places that are no tables, and what
 * cannot be reached from here. Signed, so that whoever holds it can show it years later; the instance itself keeps only
 * the counts, in its log. */
/* SPDX-License-Identifier: MIT */
#include <sodium.h>
#include <string.h>

#include "accounts/privacy_parts.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/secret.h"

#define CERTIFICATE_BYTES (256 * 1024)

static const struct { const char *what, *why; } out_of_reach[] = {
    { "archives made by a backup before this erasure, or that was running meanwhile", "they lie where they were put; restore none of them without erasing again, and let them expire" },
    { "lines the server wrote to its standard error", "they hold request ids and counts, no names, ids of users or texts" },
    { "what a provider of models outside was sent", "it is kept or not by that provider's terms; texts were masked before" },
    { "blocks of the disk that the file system has freed", "their fate is the file system's and the device's" },
};

static void put_subject(struct json_out *j, const struct person_who *p)
{
    json_begin_object(j, "subject");
    json_put_text(j, "kind", p->account_id ? "account" : p->user_id ? "user" : "creator");
    if (p->creator_id) json_put_text(j, "creator_id", p->creator_id);
    if (p->user_id) json_put_text(j, "user_id", p->user_id);
    if (p->account_id) json_put_text(j, "account_id", p->account_id);
    json_end(j);
}

static void put_table(struct json_out *j, const struct erasure *er, const struct gone *g)
{
    const struct person_table *t = g->table;
    bool whole = !er->who.user_id && !er->who.account_id, here = !strcmp(t->database, "creator");
    json_begin_object(j, NULL);
    json_put_text(j, "database", t->database);
    json_put_text(j, "table", t->table);
    if (whole && here) {
        json_put_text(j, "holds", t->holds ? t->holds : t->why);
        json_put_text(j, "removed", "all");
    } else if (!t->holds) {
        json_put_null(j, "holds");
        json_put_int(j, "removed", g->rows);
        json_put_text(j, "why", t->why);
    } else {
        json_put_text(j, "holds", t->holds);
        if (whole) json_put_text(j, "removed", "all of this creator");
        else json_put_int(j, "removed", g->rows);
        if (t->why) json_put_text(j, "stays", t->why);
    }
    json_end(j);
}

static void put_places(struct json_out *j, const struct erasure *er)
{
    json_begin_array(j, "places");
    for (int i = 0; all_person_places[i]; i++) {
        for (const struct person_place *pl = all_person_places[i]; pl->name; pl++) {
            json_begin_object(j, NULL);
            json_put_text(j, "name", pl->name);
            json_put_text(j, "holds", pl->holds);
            if (pl->files) json_put_int(j, "removed", er->files);
            else json_put_bool(j, "removed", true);
            json_end(j);
        }
    }
    json_begin_object(j, NULL);
    json_put_text(j, "name", "key-value store");
    json_put_text(j, "holds", "counters and short-lived state under their id");
    json_put_int(j, "removed", er->keys);
    json_end(j);
    json_begin_object(j, NULL);
    json_put_text(j, "name", "copies from before migrations");
    json_put_text(j, "holds", "whole databases of earlier days");
    json_put_int(j, "removed", er->copies);
    json_end(j);
    json_end(j);
}

static void put_all(struct json_out *j, const struct erasure *er)
{
    char id[ID_BYTES], iso[25];
    json_put_text(j, "certificate", id_new("cer", id));
    json_put_int(j, "version", 1);
    put_subject(j, &er->who);
    json_put_text(j, "begun_at", clock_iso(er->begun_ms, iso));
    json_put_text(j, "ended_at", clock_iso(clock_unix_ms(), iso));
    json_begin_array(j, "tables");
    for (int i = 0; i < er->table_count; i++) put_table(j, er, &er->tables[i]);
    json_end(j);
    put_places(j, er);
    json_put_int(j, "jobs_cancelled", er->jobs);
    json_put_int(j, "sessions_ended", er->sessions);
    json_begin_object(j, "bytes");
    json_put_text(j, "state", er->bytes_done ? "removed" : "queued");
    json_put_text(j, "about", "database files written anew and their write-ahead logs emptied");
    if (er->scrub_job) json_put_text(j, "job_id", er->scrub_job);
    json_end(j);
    if (er->left_behind) json_put_text(j, "left_behind", er->left_behind);
    json_begin_array(j, "not_reached");
    for (size_t i = 0; i < sizeof out_of_reach / sizeof *out_of_reach; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "what", out_of_reach[i].what);
        json_put_text(j, "why", out_of_reach[i].why);
        json_end(j);
    }
    json_end(j);
}

/* Over the object's text as it stands before the signature is added to it. */
static enum err sign(struct call *c, const char *text, size_t n, char out[2 * SECRET_BYTES + 1])
{
    unsigned char mac[SECRET_BYTES];
    enum err      e = secret_mac(c, "certificate of erasure", text, n, mac);
    if (!e) sodium_bin2hex(out, 2 * SECRET_BYTES + 1, mac, sizeof mac);
    return e;
}

enum err certificate_make(struct call *c, const struct erasure *er, const char **out)
{
    struct buf      b;
    struct json_out j;
    char            mac[2 * SECRET_BYTES + 1];
    buf_init(&b, CERTIFICATE_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    put_all(&j, er);
    json_end(&j);
    enum err e = b.failed ? fail(c, ERR_INTERNAL, "the certificate has over %d bytes", CERTIFICATE_BYTES) : sign(c, b.data, b.len, mac);
    if (!e) *out = arena_printf(&c->mem, "%.*s,\"signature\":\"%s\"}", (int)b.len - 1, b.data, mac);
    buf_dispose(&b);
    return e;
}

enum err certificate_check(struct call *c, const char *text, bool *right_out)
{
    static const char mark[] = ",\"signature\":\"";
    char              mac[2 * SECRET_BYTES + 1];
    const char       *at = NULL;
    for (const char *p = text; (p = strstr(p, mark)); p++) at = p;
    *right_out = false;
    if (!at || strlen(at) < sizeof mark - 1 + 2 * SECRET_BYTES + 2) return OK;
    const char *body = arena_printf(&c->mem, "%.*s}", (int)(at - text), text);
    enum err    e = sign(c, body, strlen(body), mac);
    if (!e) *right_out = !sodium_memcmp(mac, at + sizeof mark - 1, 2 * SECRET_BYTES) && !strcmp(at + sizeof mark - 1 + 2 * SECRET_BYTES, "\"}");
    return e;
}

/* http/idempotency.c — why here and not in each handler: what makes a request the same one (caller, key, method, path, query,
 * body) is known to the listener, and a handler that forgot it would do things twice. The row's name is a hash of caller
 * and key; the reply is sealed under a key made from both and the instance's secret, because a reply may show a secret
 * that is shown only once: without the Idempotency-Key the file does not give it away.
 * It refuses to guess: a request whose process died is answered with "unknown", never run again under the same key. Replies of
 * 5xx and 429 are forgotten, so that they can be tried again; streams and replies over the limit are remembered as
 * done, but not repeated. */
/* SPDX-License-Identifier: MIT */
#include "http/idempotency.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/idempotency_store.h"
#include "http/multipart.h"
#include "store/owner.h"
#include "store/store.h"

#define KEY_MAX 128
#define SWEEP_MS (3600 * 1000)
#define CALLER_BYTES (2 * LIMIT_ID_BYTES + 256)

struct idempotent {              /* a request that runs under a key; in the call's arena */
    char          id[65];
    unsigned char seal[crypto_secretbox_KEYBYTES];
    char          creator_id[LIMIT_ID_BYTES + 1];   /* "" when the row is in accounts.db */
};

static bool changes(const char *method)
{
    return !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH") || !strcmp(method, "DELETE");
}

static void hex(const unsigned char *p, size_t n, char *out)
{
    sodium_bin2hex(out, n * 2 + 1, p, n);
}

static void add_text(crypto_generichash_state *st, const char *s)
{
    crypto_generichash_update(st, (const unsigned char *)s, strlen(s) + 1);
}

static void add_piece(void *st, const char *p, size_t n)
{
    crypto_generichash_update(st, (const unsigned char *)p, n);
}

/* Under the seal's key: a body may hold a password, and a plain hash of it could be guessed at. */
static void fingerprint_of(const struct exchange *x, const struct idempotent *i, char out[65])
{
    crypto_generichash_state st;
    unsigned char            sum[32];
    crypto_generichash_init(&st, i->seal, sizeof i->seal, sizeof sum);
    add_text(&st, x->head.method);
    add_text(&st, x->head.path);
    add_text(&st, x->head.query);
    if (x->form) multipart_each(x->form, add_piece, &st);
    else if (x->body.len) crypto_generichash_update(&st, (const unsigned char *)x->body.data, x->body.len);
    crypto_generichash_final(&st, sum, sizeof sum);
    hex(sum, sizeof sum, out);
}

/* Whoever signs in again is the same caller; a key that speaks for a user is another one for each of them. */
static void name_caller(const struct call *c, char out[CALLER_BYTES])
{
    snprintf(out, CALLER_BYTES, "%s\n%s\n%s\n%s\n%s", c->creator_id, c->key_id, c->account_id, c->user_id, c->role);
}

static void derive(struct exchange *x, const char *key, struct idempotent *i)
{
    struct call  *c = &x->req.call;
    char          caller[CALLER_BYTES];
    unsigned char sum[32];
    name_caller(c, caller);
    const char *text = arena_printf(&c->mem, "%s\n%s", caller, key);
    crypto_generichash(sum, sizeof sum, (const unsigned char *)text, strlen(text), NULL, 0);
    hex(sum, sizeof sum, i->id);
    const char *secret = x->server->conf->derive ? x->server->conf->derive(c, "chiron idempotency", text) : text;
    crypto_generichash(i->seal, sizeof i->seal, (const unsigned char *)secret, strlen(secret), (const unsigned char *)"seal of a kept reply", 20);
    snprintf(i->creator_id, sizeof i->creator_id, "%s", c->tenant ? c->creator_id : "");
}

static enum err check_key(struct call *c, const char *key)
{
    size_t n = strlen(key);
    bool   ok = n >= 1 && n <= KEY_MAX;
    for (const char *p = key; *p && ok; p++) ok = *p >= 0x20 && *p < 0x7f;
    return ok ? OK : fail_field(c, "Idempotency-Key", "Idempotency-Key must be 1 to %d printable ASCII characters", KEY_MAX);
}

/* status, flags and three texts in one: lengths first, then bytes. */
struct packed {
    uint32_t type_len, extra_len, body_len;
    uint32_t own_csp, own_cache;
};

static enum err unseal(struct exchange *x, const struct idempotent *i, const struct idempotency_row *row)
{
    struct call  *c = &x->req.call;
    struct packed p;
    const size_t  over = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    if (!row->sealed || row->sealed_len < over + sizeof p) return fail(c, ERR_CONFLICT, "this was done already, but its reply can no longer be read");
    size_t         n = row->sealed_len - over;
    unsigned char *plain = arena_alloc(&c->mem, n + 1);
    const unsigned char *sealed = row->sealed;
    if (crypto_secretbox_open_easy(plain, sealed + crypto_secretbox_NONCEBYTES, n + crypto_secretbox_MACBYTES, sealed, i->seal))
        return fail(c, ERR_CONFLICT, "this was done already, but its reply can no longer be read");
    memcpy(&p, plain, sizeof p);
    if ((uint64_t)p.type_len + p.extra_len + p.body_len + sizeof p != n) return fail(c, ERR_CORRUPT, "a kept reply does not fit its row");
    const char *type = (const char *)plain + sizeof p, *extra = type + p.type_len, *body = extra + p.extra_len;
    reply_bytes(&x->req, row->status, arena_strndup(&c->mem, type, p.type_len), body, p.body_len);
    if (!p.type_len) x->content_type = NULL;
    buf_add(&x->extra, extra, p.extra_len);
    x->own_csp = p.own_csp;
    x->own_cache = p.own_cache;
    reply_header(&x->req, "Idempotency-Replayed", "true");
    return OK;
}

static enum err answer_again(struct exchange *x, const struct idempotent *i, const struct idempotency_row *row, const char *fingerprint)
{
    struct call *c = &x->req.call;
    c->err_code = "idempotency_key_reused";
    if (strcmp(row->fingerprint, fingerprint)) return fail_field(c, "Idempotency-Key", "this Idempotency-Key came with another request before");
    c->err_code = "idempotency_running";
    if (!strcmp(row->kept, "running") && owner_alive(row->owner)) return fail(c, ERR_CONFLICT, "the same request is still running");
    c->err_code = "idempotency_unknown";
    if (!strcmp(row->kept, "running"))
        return fail(c, ERR_CONFLICT,
                    "the same request was begun before, but the server ended before its reply: whether it was done is unknown. Look, and try again with "
                    "another Idempotency-Key if it was not");
    c->err_code = "idempotency_not_kept";
    if (!strcmp(row->kept, "stream")) return fail(c, ERR_CONFLICT, "this was done already; its reply was a stream, which is not kept");
    if (!strcmp(row->kept, "large")) return fail(c, ERR_CONFLICT, "this was done already with status %d; its reply was too large to be kept", row->status);
    enum err e = unseal(x, i, row);
    if (!e) c->err_code = NULL;
    return e;
}

enum err idempotency_begin(struct exchange *x, bool *replayed)
{
    struct call *c = &x->req.call;
    *replayed = false;
    const char *key = wire_header(&x->head, "idempotency-key");
    bool        known = c->user_id[0] || c->account_id[0] || c->key_id[0] || c->role[0];
    if (!key || !changes(x->head.method) || !known || !(x->cred.authorization || x->cred.api_key)) return OK;
    enum err e = check_key(c, key);
    if (e) return e;
    struct idempotent     *i = arena_alloc(&c->mem, sizeof *i);
    struct idempotency_row row;
    char                   fingerprint[65];
    bool                   found;
    derive(x, key, i);
    fingerprint_of(x, i, fingerprint);
    e = idempotency_take(c, i->id, fingerprint, owner_mark(), &found, &row);
    if (e) return e;
    if (!found) {
        x->idempotent = i;
        return OK;
    }
    e = answer_again(x, i, &row, fingerprint);
    sodium_memzero(i->seal, sizeof i->seal);
    *replayed = !e;
    return e;
}

/* NULL: too large for a row, or this creator's share of a day is used up. In c->mem. */
static unsigned char *sealed_reply(struct exchange *x, struct call *c, const struct idempotent *i, size_t *len_out)
{
    const char   *body = x->fixed ? x->fixed : x->reply.data;
    size_t        body_len = x->fixed ? x->fixed_len : x->reply.len;
    struct packed p = { (uint32_t)(x->content_type ? strlen(x->content_type) : 0), (uint32_t)x->extra.len, (uint32_t)body_len, x->own_csp, x->own_cache };
    int64_t       today = 0;
    if (body_len > LIMIT_IDEMPOTENCY_REPLY_BYTES) return NULL;
    size_t      n = sizeof p + p.type_len + p.extra_len + p.body_len;
    const char *meter = arena_printf(&c->mem, "idempotency:bytes:%s", i->creator_id);
    if (kv_add(c, meter, (int64_t)n, IDEMPOTENCY_KEEP_MS, &today)) call_forgive(c);
    if (today > LIMIT_IDEMPOTENCY_BYTES) return NULL;
    unsigned char *plain = arena_alloc(&c->mem, n), *at = plain;
    memcpy(at, &p, sizeof p);
    at += sizeof p;
    if (p.type_len) memcpy(at, x->content_type, p.type_len);
    at += p.type_len;
    if (p.extra_len) memcpy(at, x->extra.data, p.extra_len);
    at += p.extra_len;
    if (p.body_len) memcpy(at, body, p.body_len);
    unsigned char *sealed = arena_alloc(&c->mem, crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + n);
    randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, plain, n, sealed, i->seal);
    sodium_memzero(plain, n);
    *len_out = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + n;
    return sealed;
}

void idempotency_end(struct exchange *x)
{
    struct idempotent *i = x->idempotent;
    if (!i) return;
    x->idempotent = NULL;
    /* A call of its own: the request's deadline may be over, its creator may be another or gone by now. */
    struct call c;
    call_init(&c);
    snprintf(c.log_id, sizeof c.log_id, "%s", x->req.call.log_id);
    enum err e = i->creator_id[0] ? tenant_open(&c, i->creator_id) : OK;
    bool     again = !x->stream.open && (x->status >= 500 || x->status == 429 || x->status == 499);
    size_t   n = 0;
    if (!e && again) e = idempotency_forget(&c, i->id);
    else if (!e && x->stream.open) e = idempotency_keep(&c, i->id, "stream", x->status, NULL, 0);
    else if (!e) {
        unsigned char *sealed = sealed_reply(x, &c, i, &n);
        e = idempotency_keep(&c, i->id, sealed ? "whole" : "large", x->status, sealed, n);
    }
    /* A creator that was erased took its rows with it. */
    if (e && e != ERR_NOT_FOUND) log_error(&c, "a reply could not be kept for its Idempotency-Key", "error", c.err_text, NULL);
    sodium_memzero(i->seal, sizeof i->seal);
    if (c.tenant) tenant_release(&c);
    call_dispose(&c);
}

void idempotency_sweep(struct call *c)
{
    static int64_t next_ms;
    int64_t now = clock_mono_ms();
    if (now < next_ms) return;
    next_ms = now + SWEEP_MS;
    if (!idempotency_drop_old(c)) return;
    log_warn(c, "old replies could not be removed", "error", c->err_text, NULL);
    call_forgive(c);
}

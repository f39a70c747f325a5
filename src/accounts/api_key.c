/* The life of an API key. A key never opens more than its maker could: scopes are checked against the caller when it is made and
 * again when it is renewed, because renewing shows a secret. A key that makes keys cannot outlive itself through them: they
 * end with it. It refuses to show a key twice: only its hash is kept. */
/* SPDX-License-Identifier: MIT */
#include "accounts/api_key.h"

#include <sodium.h>
#include <string.h>

#include "accounts/api_key_store.h"
#include "accounts/audit.h"
#include "accounts/label.h"
#include "accounts/role.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "base/id.h"

#define NAME_BYTES   100
#define SECRET_BYTES 32
#define DAY_MS       (24 * 3600 * (int64_t)1000)
#define HOUR_MS      (3600 * (int64_t)1000)

/* What belongs to a person alone: a key has no self, and handing over a creator is nobody's but its owner's. */
#define NEVER_A_SCOPE (RIGHT_PUBLIC | RIGHT_SELF | RIGHT_OWN)

static bool ended(const struct api_key *k, int64_t now_ms)
{
    return k->ended_ms || (k->expires_ms && k->expires_ms <= now_ms);
}

const char *api_key_state(const struct api_key *k, int64_t now_ms)
{
    if (!ended(k, now_ms)) return "active";
    if (k->ended_why && !strcmp(k->ended_why, "revoked")) return "revoked";
    return k->replaced_by ? "rotated" : k->ended_ms ? "revoked" : "expired";
}

enum err api_key_list(struct call *c, struct api_key **out, int *n_out)
{
    return api_key_load_list(c, clock_unix_ms(), out, n_out);
}

static enum err get(struct call *c, const char *id, struct api_key *out)
{
    bool     found = false;
    enum err e = api_key_load(c, id, out, &found);
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such key");
    return e;
}

static enum err scopes_allowed(struct call *c, unsigned scopes)
{
    unsigned lacking = scopes & ~c->rights;
    if (!scopes) return fail_field(c, "scopes", "a key needs a scope");
    for (unsigned bit = 1; bit && bit <= scopes; bit <<= 1) {
        if (scopes & bit & NEVER_A_SCOPE) return fail_field(c, "scopes", "no key may have the scope %s", right_word(bit));
        if (lacking & bit) return fail(c, ERR_FORBIDDEN, "you may not give %s, which you do not have", right_word(bit));
    }
    return OK;
}

/* A fresh key's secret parts into *k; returns the whole key. */
static const char *secret_make(struct call *c, struct api_key *k)
{
    unsigned char raw[SECRET_BYTES];
    char          text[64], id[ID_BYTES], hash[65];
    id_random(raw, sizeof raw);
    sodium_bin2base64(text, sizeof text, raw, sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    const char *secret = arena_printf(&c->mem, API_KEY_PREFIX "%s", text);
    k->id = arena_strdup(&c->mem, id_new("key", id));
    k->prefix = arena_strndup(&c->mem, secret, API_KEY_SHOWN);
    k->hash = arena_strdup(&c->mem, id_sha256_hex(secret, strlen(secret), hash));
    sodium_memzero(raw, sizeof raw);
    sodium_memzero(text, sizeof text);
    return secret;
}

/* Who makes it; a key gives none a longer life than its own. */
static enum err maker(struct call *c, struct api_key *k)
{
    if (!c->key_id[0]) {
        k->created_by = c->account_id[0] ? arena_strdup(&c->mem, c->account_id) : NULL;
        return OK;
    }
    struct api_key own;
    enum err       e = get(c, c->key_id, &own);
    if (e) return e;
    k->created_by = own.id;
    if (own.expires_ms && (!k->expires_ms || k->expires_ms > own.expires_ms)) k->expires_ms = own.expires_ms;
    return OK;
}

static enum err note(struct call *c, const char *action, const char *id, const char *name, const char *value)
{
    return audit_put(c, &(struct audit_entry){ action, id, "done", (const char *[]){ name, value, NULL } });
}

static const char *scope_words(struct call *c, unsigned scopes)
{
    const char *words = "";
    for (unsigned bit = 1; bit && bit <= scopes; bit <<= 1)
        if (scopes & bit) words = arena_printf(&c->mem, "%s%s%s", words, *words ? " " : "", right_word(bit));
    return words;
}

enum err api_key_make(struct call *c, const char *name, unsigned scopes, int days, struct api_key *out, const char **secret_out)
{
    struct api_key k = { .scopes = scopes, .created_ms = clock_unix_ms() };
    bool           full = false;
    if (days) k.expires_ms = k.created_ms + days * DAY_MS;
    enum err e = label_check(c, "name", name, NAME_BYTES, &k.name);
    if (!e && !*k.name) e = fail_field(c, "name", "name is empty");
    if (!e) e = scopes_allowed(c, scopes);
    if (!e) e = maker(c, &k);
    if (e) return e;
    const char *secret = secret_make(c, &k);
    e = api_key_insert(c, &k, &full);
    if (!e && full) e = fail(c, ERR_CONFLICT, "there are %d keys already, which is the most; end some first", API_KEY_LIVE_MAX);
    if (!e) e = note(c, "key.make", k.id, "scopes", scope_words(c, scopes));
    if (e) return e;
    *out = k;
    *secret_out = secret;
    return OK;
}

enum err api_key_rotate(struct call *c, const char *id, int grace_hours, struct api_key *out, const char **secret_out)
{
    struct api_key old, k = { .created_ms = clock_unix_ms() };
    bool           replaced = false;
    enum err       e = get(c, id, &old);
    if (e) return e;
    if (ended(&old, k.created_ms)) return fail(c, ERR_CONFLICT, "this key has ended");
    if (old.replaced_by) return fail(c, ERR_CONFLICT, "this key was replaced already");
    e = scopes_allowed(c, old.scopes);
    k.name = old.name;
    k.scopes = old.scopes;
    if (old.expires_ms) k.expires_ms = k.created_ms + (old.expires_ms - old.created_ms);
    if (!e) e = maker(c, &k);
    if (e) return e;
    /* A key that renews itself is the maker of the new one: who stole it must not have one that outlives its revocation. */
    const char *secret = secret_make(c, &k);
    e = api_key_replace(c, old.id, k.created_ms + grace_hours * HOUR_MS, &k, &replaced);
    if (!e && !replaced) e = fail(c, ERR_CONFLICT, "this key has ended or was replaced meanwhile");
    if (!e) e = access_changed(c);
    if (!e) e = note(c, "key.rotate", old.id, "by", k.id);
    if (e) return e;
    *out = k;
    *secret_out = secret;
    return OK;
}

enum err api_key_revoke(struct call *c, const char *id)
{
    struct api_key k;
    enum err       e = get(c, id, &k);
    if (!e) e = api_key_end(c, k.id, "revoked");
    if (!e) e = access_changed(c);
    if (!e) e = note(c, "key.revoke", k.id, "prefix", k.prefix);
    return e;
}

/* The form of the log's rows: what is hashed, what is masked, who counts as the actor. Kept apart from the SQL so that a
 * row can be checked by anybody who has its fields. The hash of a row shows that it was changed; the keyed mark on the last one
 * shows that rows were cut off, or the whole rewritten by somebody with the database but without the instance's key. It
 * cannot show a database put back as a whole to an earlier day: for that, keep the head that `chiron audit verify` prints. */
/* SPDX-License-Identifier: MIT */
#include "accounts/audit_chain.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/mask.h"
#include "store/secret.h"

enum { VALUE_BYTES = 200 };

static void add_text(crypto_hash_sha256_state *st, const char *s)
{
    unsigned char len[8];
    uint64_t      n = strlen(s);
    for (int i = 0; i < 8; i++) len[i] = (unsigned char)(n >> 8 * i);
    crypto_hash_sha256_update(st, len, sizeof len);
    crypto_hash_sha256_update(st, (const unsigned char *)s, n);
}

static void add_int(crypto_hash_sha256_state *st, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    add_text(st, text);
}

void audit_hash(const struct audit_row *r, char out[AUDIT_HASH_BYTES])
{
    unsigned char            hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state st;
    crypto_hash_sha256_init(&st);
    add_int(&st, r->seq);
    add_int(&st, r->at_ms);
    add_text(&st, r->actor_kind);
    add_text(&st, r->actor);
    add_text(&st, r->action);
    add_text(&st, r->target);
    add_text(&st, r->outcome);
    add_text(&st, r->address);
    add_text(&st, r->request_id);
    add_text(&st, r->details);
    add_text(&st, r->previous);
    crypto_hash_sha256_final(&st, hash);
    sodium_bin2hex(out, AUDIT_HASH_BYTES, hash, sizeof hash);
}

enum err audit_head_mac(struct call *c, const char *log, const struct audit_head *h, char out[AUDIT_HASH_BYTES])
{
    unsigned char mac[SECRET_BYTES];
    /* Ids and hashes hold no blank: the fields cannot be read in another way. */
    const char *text = arena_printf(&c->mem, "%s %lld %s %lld %s %lld", log, (long long)h->first_seq, h->first_previous,
                                    (long long)h->seq, h->hash, (long long)h->broken_seq);
    enum err e = secret_mac(c, "audit head", text, strlen(text), mac);
    if (e) return e;
    sodium_bin2hex(out, AUDIT_HASH_BYTES, mac, sizeof mac);
    return OK;
}

void audit_actor(struct call *c, const char **kind_out, const char **actor_out)
{
    *actor_out = "";
    if (c->key_id[0]) {
        *kind_out = "key";
        *actor_out = c->key_id;
    } else if (c->account_id[0]) {
        *kind_out = "account";
        *actor_out = c->account_id;
    } else if (c->user_id[0]) {
        *kind_out = "user";
        *actor_out = arena_printf(&c->mem, AUDIT_USER "%s", c->user_id);
    } else {
        *kind_out = c->remote[0] ? "nobody" : "system";
    }
}

const char *audit_value(struct call *c, const char *value)
{
    size_t n = strnlen(value, VALUE_BYTES);
    while (n && value[n] && ((unsigned char)value[n] & 0xc0) == 0x80) n--; /* whole characters only */
    char *s = arena_strdup(&c->mem, mask_pii(c, value, n, NULL));
    for (char *p = s; *p; p++)
        if (iscntrl((unsigned char)*p)) *p = ' ';
    return s;
}

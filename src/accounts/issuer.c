/* Who else is trusted. An issuer stands for one algorithm and its keys, decided here and never by a token. The shared secret of FIT-036
 * is one of them: its tokens are users of the route's house whatever else they claim, so that an outside backend's own "role"
 * means nothing here and nobody becomes an owner by a claim. */
/* SPDX-License-Identifier: MIT */
#include "accounts/issuer.h"

#include <sodium.h>
#include <string.h>

#include "accounts/signature.h"
#include "base/conf.h"

static struct {
    unsigned char bytes[TOKEN_KEY_MAX_BYTES];
    size_t        len;
} shared;
static const struct issuer shared_issuer = { "", TOKEN_HS256, NULL, NULL, "user", "sub", true };

enum err issuers_open(struct call *c)
{
    const char *own = conf_text("FIT_JWT_SECRET_KEY");
    size_t      n = 0;
    if (own && *own) {
        n = strlen(own);
        if (n < TOKEN_KEY_MIN_BYTES || n > TOKEN_KEY_MAX_BYTES)
            return fail_field(c, "FIT_JWT_SECRET_KEY", "FIT_JWT_SECRET_KEY has %zu bytes; %d to %d are needed", n, TOKEN_KEY_MIN_BYTES,
                              TOKEN_KEY_MAX_BYTES);
        memcpy(shared.bytes, own, n);
    } else {
        own = (const char *)token_key(&n);
        memcpy(shared.bytes, own, n);
    }
    shared.len = n;
    return OK;
}

void issuers_close(void)
{
    sodium_memzero(&shared, sizeof shared);
}

/* Is iss one of the names with commas between? */
static bool listed(const char *names, const char *iss)
{
    size_t n = strlen(iss);
    for (const char *p = names; p && *p;) {
        p += strspn(p, ", \t");
        size_t len = strcspn(p, ", \t");
        if (len == n && n && !memcmp(p, iss, n)) return true;
        p += len;
    }
    return false;
}

const struct issuer *issuer_find(const char *iss)
{
    if (!iss || listed(conf_text("FIT_JWT_ISSUER"), iss)) return &shared_issuer;
    return NULL;
}

bool issuer_signed(struct call *c, const struct issuer *i, const struct token_text *t)
{
    (void)c;
    if (t->algorithm != i->algorithm) return false;
    return i == &shared_issuer && signature_hs256(shared.bytes, shared.len, t);
}

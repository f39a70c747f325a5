/* Who may come in: the instance's secret, the one-time set-up link, and the rule which user a caller may speak for.
 * The key is made once and kept in the data folder unless JWT_SECRET_KEY gives it (FIT-036). Nobody becomes owner by being
 * first: without the link's secret there is no way in, and used links stay used. */
/* SPDX-License-Identifier: MIT */
#include "accounts/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/access_change.h"
#include "accounts/accounts_store.h"
#include "accounts/issuer.h"
#include "accounts/password.h"
#include "accounts/person_seen.h"
#include "accounts/signing.h"
#include "accounts/token_cache.h"
#include "base/id.h"
#include "store/store.h"

#define KEY_RANDOM_BYTES 32

const struct setting accounts_settings[] = {
    { "JWT_SECRET_KEY", NULL, "the instance's secret, at least 32 bytes; made and kept in the data folder when unset", SETTING_SECRET, 0, 0 },
    { "JWT_SECRET", NULL, "another name of JWT_SECRET_KEY", SETTING_SECRET, 0, 0 },
    { "JWT_ALGORITHM", "HS256", "of tokens that an outside backend signs with the shared secret; no other is accepted", 0, 0, 0 },
    { "JWT_EXPIRATION_HOURS", "24", "hours a token of `chiron token` lives, 1 to 8760", SETTING_INT, 1, 8760 },
    { "JWT_PRIVATE_KEY", NULL, "RSA key in PEM that signs our tokens; unset: made, kept sealed and rotated here", SETTING_SECRET, 0, 0 },
    { "JWT_PUBLIC_KEY", NULL, "its public half, to be sure; unset: taken from it", SETTING_SECRET, 0, 0 },
    { "TOKEN_ISSUER", "chiron", "the iss claim of our tokens", 0, 0, 0 },
    { "FIT_JWT_SECRET_KEY", NULL, "secret shared with an outside backend, at least 32 bytes; unset: JWT_SECRET_KEY", SETTING_SECRET, 0, 0 },
    { "FIT_JWT_ISSUER", NULL, "iss claims its tokens may carry, with commas between; they may have none", 0, 0, 0 },
    { "TRUSTED_ISSUERS", NULL, "outside issuers whose tokens open something here: a JSON list, or the path of a file that holds one", 0, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

/* The key file's text into key; ERR_NOT_FOUND without words when there is none. */
static enum err key_read(struct call *c, const char *path, char *key, size_t cap, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) return ERR_NOT_FOUND;
    if (fd < 0) return fail(c, ERR_IO, "cannot read the signing key %s: %s", path, strerror(errno));
    struct stat st;
    ssize_t     n = -1;
    enum err    e = OK;
    if (fstat(fd, &st) || (st.st_mode & 077))
        e = fail(c, ERR_IO, "the signing key %s is readable by others; chmod 600 it", path);
    else if ((n = read(fd, key, cap)) <= 0)
        e = fail(c, ERR_CORRUPT, "the signing key %s is empty or unreadable", path);
    close(fd);
    if (e) return e;
    while (n > 0 && (key[n - 1] == '\n' || key[n - 1] == '\r')) n--;
    *len = (size_t)n;
    return OK;
}

/* Written beside and linked into place: of two processes starting at once the second finds the first one's key. */
static enum err key_make(struct call *c, const char *path)
{
    unsigned char raw[KEY_RANDOM_BYTES];
    char          text[KEY_RANDOM_BYTES * 2];
    id_random(raw, sizeof raw);
    sodium_bin2base64(text, sizeof text, raw, sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char        suffix[ID_BYTES];
    const char *fresh = arena_printf(&c->mem, "%s.%s", path, id_new("new", suffix));
    int         fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool        ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !fsync(fd);
    int         why = errno;
    if (fd >= 0) close(fd);
    if (ok && link(fresh, path) && errno != EEXIST) {
        ok = false;
        why = errno;
    }
    if (fd >= 0) unlink(fresh);
    sodium_memzero(raw, sizeof raw);
    sodium_memzero(text, sizeof text);
    if (!ok) return fail(c, ERR_IO, "cannot keep the signing key in %s: %s", path, strerror(why));
    return OK;
}

/* JWT_SECRET is the name of CRE-067; both given must be the same. */
static enum err secret_given(struct call *c, const char **out)
{
    const char *key = conf_text("JWT_SECRET_KEY"), *other = conf_text("JWT_SECRET");
    bool        has_key = key && *key, has_other = other && *other;
    if (has_key && has_other && strcmp(key, other))
        return fail_field(c, "JWT_SECRET", "JWT_SECRET and JWT_SECRET_KEY are two names of one secret, but differ");
    if (has_other && strlen(other) < TOKEN_KEY_MIN_BYTES)
        return fail_field(c, "JWT_SECRET", "JWT_SECRET has %zu bytes; at least %d are needed", strlen(other), TOKEN_KEY_MIN_BYTES);
    *out = has_key ? key : has_other ? other : NULL;
    return OK;
}

static enum err secret_open(struct call *c)
{
    const char *given = NULL;
    enum err    e = secret_given(c, &given);
    if (e) return e;
    if (given) return token_key_set(c, given, strlen(given));
    const char *path = arena_printf(&c->mem, "%s/jwt.key", store_dir());
    char        key[TOKEN_KEY_MAX_BYTES];
    size_t      n = 0;
    e = key_read(c, path, key, sizeof key, &n);
    if (e == ERR_NOT_FOUND) {
        e = key_make(c, path);
        if (!e) e = key_read(c, path, key, sizeof key, &n);
        if (e == ERR_NOT_FOUND) e = fail(c, ERR_IO, "the signing key %s has gone", path);
    }
    if (!e) e = token_key_set(c, key, n);
    sodium_memzero(key, sizeof key);
    return e;
}

enum err accounts_open(struct call *c)
{
    if (sodium_init() < 0) return fail(c, ERR_INTERNAL, "libsodium does not start");
    const char *alg = conf_text("JWT_ALGORITHM");
    if (!alg || strcmp(alg, "HS256"))
        return fail_field(c, "JWT_ALGORITHM", "JWT_ALGORITHM is \"%.40s\"; only HS256 is accepted", alg ? alg : "");
    enum err e = secret_open(c);
    if (!e) e = signing_open(c);
    if (!e) e = issuers_open(c);
    if (e) {
        accounts_close();
        return e;
    }
    token_cache_open();
    return OK;
}

void accounts_close(void)
{
    password_close();
    token_cache_close();
    issuers_close();
    signing_close();
    token_key_wipe();
    access_change_forget();
}

enum err setup_secret(struct call *c, const char **out)
{
    const char *nonce = NULL;
    enum err    e = setup_nonce(c, &nonce);
    if (e) return e;
    *out = nonce ? token_derive(c, "chiron set-up link", nonce) : NULL;
    return OK;
}

enum err setup_check(struct call *c, const char *secret, const char **nonce_out)
{
    const char *nonce = NULL;
    enum err    e = setup_nonce(c, &nonce);
    if (e) return e;
    bool right = false;
    if (nonce) {
        const char *want = token_derive(c, "chiron set-up link", nonce);
        right = strlen(want) == strlen(secret) && !sodium_memcmp(want, secret, strlen(want));
    }
    if (!right) return fail(c, ERR_UNAUTHENTICATED, "this set-up link is wrong or was used already");
    *nonce_out = nonce;
    return OK;
}

enum err setup_redeem(struct call *c, const char *secret, const char *creator, const char *creator_name, const char **token_out)
{
    /* The token first: a link is only spent on a token that could be made. */
    bool        created = false, won = false;
    const char *token = NULL, *nonce = NULL;
    enum err    e = setup_check(c, secret, &nonce);
    if (!e) e = token_make(c, creator, "owner", "owner", 0, &token);
    if (!e) e = tenant_create(c, creator, creator_name, &created);
    if (!e) e = setup_nonce_use(c, nonce, &won);
    if (e) return e;
    if (!won) return fail(c, ERR_UNAUTHENTICATED, "this set-up link is wrong or was used already");
    *token_out = token;
    return OK;
}

enum err user_check(struct call *c, const char *field, const char *user_id, const char **user_out)
{
    if (!user_id || !*user_id) return fail_field(c, field, "%s is empty", field);
    if (!id_valid(user_id) || (!id_user_valid(user_id) && strcmp(c->account_id, user_id)))
        return fail_field(c, field, "%s must be 1 to %d letters, digits or . _ : @ -, beginning with none of . -, and is no account's", field,
                          LIMIT_ID_BYTES);
    bool self = !strcmp(c->user_id[0] ? c->user_id : c->account_id, user_id);
    if (!self && !(c->rights & RIGHT_ACT_AS)) return fail(c, ERR_FORBIDDEN, "this credential may not speak for another user");
    person_seen_as(c, user_id);
    *user_out = arena_strdup(&c->mem, user_id);
    return OK;
}

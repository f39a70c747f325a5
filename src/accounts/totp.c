/* One-time codes. The secret is sealed with a key of the data folder and bound to its account: a row copied to another account, or
 * a copied database alone, opens nothing. That a code counts once is one conditional UPDATE of the last step, not a check
 * before a write. Recovery codes have 80 random bits, so a plain hash of them is enough. It refuses more than one step of
 * clock error: each more step is one more code that would be right. */
/* SPDX-License-Identifier: MIT */
#include "accounts/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "accounts/account_store.h"
#include "accounts/audit.h"
#include "accounts/mail.h"
#include "accounts/token.h"
#include "base/clock.h"
#include "base/id.h"

#define RECOVERY_LETTERS 16       /* of 32: 80 bits */
#define SEAL_NONCE       crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEAL_TAG         crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEALED_BYTES     (SEAL_NONCE + TOTP_SECRET_BYTES + SEAL_TAG)

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

int totp_code(const unsigned char *secret, size_t n, int64_t step)
{
    unsigned char text[8], mac[EVP_MAX_MD_SIZE];
    unsigned      len = 0;
    for (int i = 0; i < 8; i++) text[i] = (unsigned char)((uint64_t)step >> (56 - 8 * i));
    if (!HMAC(EVP_sha1(), secret, (int)n, text, sizeof text, mac, &len) || len != 20) return -1;
    const unsigned char *p = mac + (mac[19] & 15);
    return (int)((((uint32_t)p[0] & 127) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) % 1000000);
}

bool totp_match(const unsigned char *secret, size_t n, const char *text, int64_t now_s, int64_t *step_out)
{
    char given[TOTP_DIGITS + 1] = "";
    size_t len = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ' ') continue;
        if (*p < '0' || *p > '9' || len == TOTP_DIGITS) return false;
        given[len++] = *p;
    }
    if (len != TOTP_DIGITS) return false;
    int64_t at = now_s / TOTP_STEP_SECONDS, found = -1;
    for (int64_t step = at - TOTP_SKEW_STEPS; step <= at + TOTP_SKEW_STEPS; step++) {
        char want[12];
        snprintf(want, sizeof want, "%06d", totp_code(secret, n, step));
        if (!sodium_memcmp(want, given, TOTP_DIGITS)) found = step;
    }
    if (found < 0) return false;
    *step_out = found;
    return true;
}

const char *totp_base32(struct call *c, const unsigned char *p, size_t n)
{
    char    *out = arena_alloc(&c->mem, (n * 8 + 4) / 5 + 1), *q = out;
    uint32_t bits = 0;
    int      have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 5; have -= 5) *q++ = letters[bits >> (have - 5) & 31];
    }
    if (have) *q++ = letters[bits << (5 - have) & 31];
    *q = '\0';
    return out;
}

static void seal_key(struct call *c, unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES])
{
    const char *derived = token_derive(c, "chiron second factor", "seal");
    crypto_generichash(key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, (const unsigned char *)derived, strlen(derived), NULL, 0);
}

static void seal(struct call *c, const char *account_id, const unsigned char secret[TOTP_SECRET_BYTES], unsigned char out[SEALED_BYTES])
{
    unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    seal_key(c, key);
    id_random(out, SEAL_NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEAL_NONCE, NULL, secret, TOTP_SECRET_BYTES, (const unsigned char *)account_id,
                                               strlen(account_id), NULL, out, key);
    sodium_memzero(key, sizeof key);
}

static enum err unseal(struct call *c, const char *account_id, const struct account_proof *p, unsigned char secret[TOTP_SECRET_BYTES])
{
    unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    const unsigned char *s = p->totp_sealed;
    seal_key(c, key);
    bool ok = p->totp_sealed_len == SEALED_BYTES &&
              !crypto_aead_xchacha20poly1305_ietf_decrypt(secret, NULL, NULL, s + SEAL_NONCE, SEALED_BYTES - SEAL_NONCE,
                                                          (const unsigned char *)account_id, strlen(account_id), s, key);
    sodium_memzero(key, sizeof key);
    if (!ok) return fail(c, ERR_CORRUPT, "the second factor of %s was sealed with another key", account_id);
    return OK;
}

/* What may stand in a label of the URI, RFC 3986 2.3. */
static const char *escaped(struct call *c, const char *text)
{
    char *out = arena_alloc(&c->mem, strlen(text) * 3 + 1), *q = out;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~@", *p);
        if (plain) *q++ = (char)*p;
        else q += snprintf(q, 4, "%%%02X", *p);
    }
    *q = '\0';
    return out;
}

enum err totp_begin(struct call *c, const struct account *a, const char **secret_out, const char **uri_out)
{
    unsigned char secret[TOTP_SECRET_BYTES], sealed[SEALED_BYTES];
    bool          done = false;
    /* Else somebody could shut an address's owner out with a code before they ever came. */
    if (mail_ready() && !a->email_verified) return fail(c, ERR_CONFLICT, "confirm your e-mail address first: the link for it comes by mail");
    id_random(secret, sizeof secret);
    seal(c, a->id, secret, sealed);
    const char *text = totp_base32(c, secret, sizeof secret);
    sodium_memzero(secret, sizeof secret);
    enum err e = account_row_totp_begin(c, a->id, sealed, sizeof sealed, &done);
    if (!e && !done) e = fail(c, ERR_CONFLICT, "the second factor is on already");
    if (e) return e;
    *secret_out = text;
    *uri_out = arena_printf(&c->mem, "otpauth://totp/Chiron:%s?secret=%s&issuer=Chiron&algorithm=SHA1&digits=%d&period=%d",
                            escaped(c, a->email), text, TOTP_DIGITS, TOTP_STEP_SECONDS);
    return OK;
}

static const char *recovery_hash(struct call *c, const char *account_id, const char *code)
{
    char   plain[RECOVERY_LETTERS + 1], hex[65];
    size_t n = 0;
    for (const char *p = code; *p; p++) {
        char ch = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        if (ch == '-' || ch == ' ') continue;
        if (n == RECOVERY_LETTERS || !strchr(letters, ch)) return NULL;
        plain[n++] = ch;
    }
    if (n != RECOVERY_LETTERS) return NULL;
    plain[n] = '\0';
    const char *text = arena_printf(&c->mem, "%s:%s", account_id, plain);
    return arena_strdup(&c->mem, id_sha256_hex(text, strlen(text), hex));
}

static const char *recovery_make(struct call *c)
{
    unsigned char raw[RECOVERY_LETTERS * 5 / 8];
    id_random(raw, sizeof raw);
    const char *t = totp_base32(c, raw, sizeof raw);
    return arena_printf(&c->mem, "%.4s-%.4s-%.4s-%.4s", t, t + 4, t + 8, t + 12);
}

enum err totp_confirm(struct call *c, const struct account *a, const char *code, const char *recovery_out[TOTP_RECOVERY_CODES])
{
    struct account       now;
    struct account_proof p;
    unsigned char        secret[TOTP_SECRET_BYTES];
    const char          *codes[TOTP_RECOVERY_CODES], *hashes[TOTP_RECOVERY_CODES];
    int64_t              step = 0;
    bool                 done = false;
    enum err             e = account_row_get(c, a->id, NULL, &now, &p);
    if (!e && p.totp_on) return fail(c, ERR_CONFLICT, "the second factor is on already");
    if (!e && !p.totp_sealed) return fail(c, ERR_CONFLICT, "there is no second factor to confirm: begin one first");
    if (!e) e = unseal(c, a->id, &p, secret);
    if (e) return e;
    bool right = totp_match(secret, sizeof secret, code, clock_unix_ms() / 1000, &step);
    sodium_memzero(secret, sizeof secret);
    if (!right) return fail(c, ERR_UNAUTHENTICATED, "the code is wrong; is the clock of your telephone right?");
    for (int i = 0; i < TOTP_RECOVERY_CODES; i++) {
        codes[i] = recovery_make(c);
        hashes[i] = recovery_hash(c, a->id, codes[i]);
    }
    e = account_row_totp_on(c, a->id, step, hashes, TOTP_RECOVERY_CODES, &done);
    if (!e && !done) e = fail(c, ERR_CONFLICT, "the second factor is on already, or this code was used before");
    if (!e) e = audit_put_instance(c, &(struct audit_entry){ "account.second_factor_on", a->id, "done", NULL });
    if (!e) memcpy(recovery_out, codes, sizeof codes);
    return e;
}

enum err totp_check(struct call *c, const struct account *a, const struct account_proof *p, const char *code, const char *recovery, bool *right_out)
{
    unsigned char secret[TOTP_SECRET_BYTES];
    int64_t       step = 0;
    bool          right = false;
    enum err      e = OK;
    if (code) {
        e = unseal(c, a->id, p, secret);
        bool match = !e && totp_match(secret, sizeof secret, code, clock_unix_ms() / 1000, &step);
        sodium_memzero(secret, sizeof secret);
        if (match) e = account_row_totp_step(c, a->id, step, &right);
    } else if (recovery) {
        const char *hash = recovery_hash(c, a->id, recovery);
        if (hash) e = account_row_recovery(c, a->id, hash, &right);
    }
    if (!e) *right_out = right;
    return e;
}

enum err totp_off(struct call *c, const struct account *a, const struct proof *p)
{
    struct proof both = *p;
    both.second = true;
    if (!a->totp) return fail(c, ERR_CONFLICT, "there is no second factor to turn off");
    enum err e = account_prove(c, a, &both);
    if (!e) e = account_row_totp_off(c, a->id);
    if (!e) e = audit_put_instance(c, &(struct audit_entry){ "account.second_factor_off", a->id, "done", NULL });
    return e;
}

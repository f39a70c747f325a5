/* The keys that sign. They are kept parsed, since parsing a PEM costs more than a signature check. The private half stands in
 * accounts.db sealed under the instance's secret; only keys that this secret opens are used, also to verify: who can write that
 * database but does not know the secret cannot add a key, and another secret ends every token. A key's name is the hash
 * of its public half. It refuses keys shorter than SIGNING_BITS and never shows a private half. */
/* SPDX-License-Identifier: MIT */
#include "accounts/signing.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#include "accounts/access_change.h"
#include "accounts/audit.h"
#include "accounts/session.h"
#include "accounts/signature.h"
#include "accounts/signing_store.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/json.h"
#include "base/log.h"

enum { PEM_MAX = 16384, MODULUS_MAX = 1024, TRIES = 5, MEET_MS = 20 };
#define SEAL_PURPOSE "chiron signing keys"

struct key {
    struct signing_state  s;
    struct signature_key *key;
};
static struct {
    pthread_rwlock_t lock;
    struct key       keys[SIGNING_KEYS_MAX];   /* newest first; that of the setting before all */
    int              count;
    _Atomic int64_t  seq;                      /* they were read under this change number; -1: never */
} ring = { .lock = PTHREAD_RWLOCK_INITIALIZER, .seq = -1 };
static struct {
    pthread_t thread;
    bool      running;                         /* of a first start; joined at the end */
} maker;

/* ---- one key ---- */

/* n and e as base64url; false when it is no RSA key. */
static bool public_numbers(struct call *c, EVP_PKEY *k, const char **n_out, const char **e_out)
{
    BIGNUM       *n = NULL, *e = NULL;
    unsigned char raw[MODULUS_MAX];
    bool          good = EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA && EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
                EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_num_bytes(n) <= MODULUS_MAX && BN_num_bytes(e) <= 8;
    if (good) {
        *n_out = token_text_base64(c, raw, (size_t)BN_bn2bin(n, raw));
        *e_out = token_text_base64(c, raw, (size_t)BN_bn2bin(e, raw));
    }
    BN_free(n);
    BN_free(e);
    return good;
}

/* RFC 7638: the hash of the required members in their order. */
static bool kid_of(struct call *c, EVP_PKEY *k, char out[SIGNING_KID_BYTES + 1])
{
    const char   *n = NULL, *e = NULL;
    unsigned char sum[crypto_hash_sha256_BYTES];
    if (!public_numbers(c, k, &n, &e)) return false;
    const char *text = arena_printf(&c->mem, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e, n);
    crypto_hash_sha256(sum, (const unsigned char *)text, strlen(text));
    const char *kid = token_text_base64(c, sum, sizeof sum);
    assert(strlen(kid) == SIGNING_KID_BYTES);
    memcpy(out, kid, SIGNING_KID_BYTES + 1);
    return true;
}

/* A passphrase is never asked for on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static EVP_PKEY *read_private(const char *pem, size_t n)
{
    BIO      *b = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
    BIO_free(b);
    return k;
}

static EVP_PKEY *read_public(const char *pem, size_t n)
{
    BIO      *b = BIO_new_mem_buf(pem, (int)n);
    EVP_PKEY *k = b ? PEM_read_bio_PUBKEY(b, NULL, no_passphrase, NULL) : NULL;
    BIO_free(b);
    return k;
}

/* ---- sealing: nonce, then the box ---- */

static EVP_PKEY *unseal(const struct signing_row *row)
{
    unsigned char        key[TOKEN_DERIVED_BYTES], pem[PEM_MAX];
    const unsigned char *p = row->sealed;
    EVP_PKEY            *k = NULL;
    if (row->sealed_len <= crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES || row->sealed_len > sizeof pem) return NULL;
    size_t n = row->sealed_len - crypto_secretbox_NONCEBYTES;
    token_derive_key(SEAL_PURPOSE, key);
    if (!crypto_secretbox_open_easy(pem, p + crypto_secretbox_NONCEBYTES, n, p, key)) k = read_private((const char *)pem, n - crypto_secretbox_MACBYTES);
    sodium_memzero(key, sizeof key);
    sodium_memzero(pem, sizeof pem);
    return k;
}

static bool seal(struct call *c, EVP_PKEY *k, struct signing_row *row)
{
    unsigned char key[TOKEN_DERIVED_BYTES];
    BIO          *priv = BIO_new(BIO_s_secmem()), *pub = BIO_new(BIO_s_mem());
    char         *pem = NULL, *pub_pem = NULL;
    long          n = 0, pub_n = 0;
    bool          good = priv && pub && PEM_write_bio_PrivateKey(priv, k, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_bio_PUBKEY(pub, k) == 1;
    if (good) {
        n = BIO_get_mem_data(priv, &pem);
        pub_n = BIO_get_mem_data(pub, &pub_pem);
        good = n > 0 && pub_n > 0 && (size_t)n + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES <= PEM_MAX;
    }
    if (good) {
        unsigned char *box = arena_alloc(&c->mem, (size_t)n + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES);
        randombytes_buf(box, crypto_secretbox_NONCEBYTES);
        token_derive_key(SEAL_PURPOSE, key);
        crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const unsigned char *)pem, (size_t)n, box, key);
        sodium_memzero(key, sizeof key);
        row->sealed = box;
        row->sealed_len = (size_t)n + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
        row->public_pem = arena_printf(&c->mem, "%.*s", (int)pub_n, pub_pem);
    }
    BIO_free(priv);
    BIO_free(pub);
    return good;
}

/* ---- the setting (CRE-067) ---- */

/* As it is, or with "\n" written out, as a line of an environment file holds it. */
static const char *pem_of(struct call *c, const char *name)
{
    const char *text = conf_text(name);
    if (!text || !*text) return NULL;
    char *out = arena_strdup(&c->mem, text), *to = out;
    for (const char *p = out; *p; p++) {
        bool written = p[0] == '\\' && p[1] == 'n';
        *to++ = written ? '\n' : *p;
        if (written) p++;
    }
    *to = '\0';
    return out;
}

/* NULL in *out: none is set. */
static enum err from_setting(struct call *c, EVP_PKEY **out)
{
    const char *priv = pem_of(c, "JWT_PRIVATE_KEY"), *pub = pem_of(c, "JWT_PUBLIC_KEY");
    if (!priv && pub) return fail_field(c, "JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY needs JWT_PRIVATE_KEY: tokens are signed here");
    if (!priv) return OK;
    EVP_PKEY *k = read_private(priv, strlen(priv)), *p = pub ? read_public(pub, strlen(pub)) : NULL;
    enum err  e = OK;
    if (!k || EVP_PKEY_get_base_id(k) != EVP_PKEY_RSA || EVP_PKEY_get_bits(k) < SIGNING_BITS || EVP_PKEY_get_bits(k) > MODULUS_MAX * 8)
        e = fail_field(c, "JWT_PRIVATE_KEY", "JWT_PRIVATE_KEY is no RSA key in PEM of %d bits or more", SIGNING_BITS);
    else if (pub && (!p || EVP_PKEY_eq(k, p) != 1))
        e = fail_field(c, "JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY does not belong to JWT_PRIVATE_KEY");
    EVP_PKEY_free(p);
    if (e) EVP_PKEY_free(k);
    else *out = k;
    return e;
}

/* ---- the ring ---- */

static void drop_keys(struct key *keys, int n)
{
    for (int i = 0; i < n; i++) signature_key_drop(keys[i].key);
}

/* The key of a kid that is parsed already, with a use of its own. */
static struct signature_key *kept(const char *kid)
{
    struct signature_key *k = NULL;
    pthread_rwlock_rdlock(&ring.lock);
    for (int i = 0; i < ring.count && !k; i++)
        if (!strcmp(ring.keys[i].s.kid, kid) && !ring.keys[i].s.from_setting) k = signature_key_take(ring.keys[i].key);
    pthread_rwlock_unlock(&ring.lock);
    return k;
}

/* The keys as they are now; *rows_out counts those in the database, openable or not. */
static enum err read_keys(struct call *c, struct key keys[SIGNING_KEYS_MAX], int *count, int *rows_out)
{
    struct signing_row *rows = NULL;
    int                 n = 0, k = 0;
    EVP_PKEY           *own = NULL;
    enum err            e = from_setting(c, &own);
    if (!e) e = signing_store_list(c, clock_unix_ms(), &rows, &n);
    if (e) {
        EVP_PKEY_free(own);
        return e;
    }
    memset(keys, 0, SIGNING_KEYS_MAX * sizeof *keys);
    if (own && kid_of(c, own, keys[0].s.kid) && (keys[0].key = signature_key_new(own))) {
        keys[0].s.from_setting = true;
        k = 1;
    }
    for (int i = 0; i < n && k < SIGNING_KEYS_MAX; i++) {
        struct key *to = &keys[k];
        to->key = kept(rows[i].kid);
        if (!to->key) to->key = signature_key_new(unseal(&rows[i]));
        /* Of another secret, or tampered with. */
        if (!to->key || !kid_of(c, signature_key_is(to->key), to->s.kid) || strcmp(to->s.kid, rows[i].kid)) {
            signature_key_drop(to->key);
            *to = (struct key){ 0 };
            continue;
        }
        to->s.created_ms = rows[i].created_ms;
        to->s.retired_ms = rows[i].retired_ms;
        to->s.gone_ms = rows[i].gone_ms;
        k++;
    }
    for (int i = 0; i < k; i++) {
        keys[i].s.signs = keys[i].s.from_setting || !keys[i].s.retired_ms;
        if (keys[i].s.signs) break;
    }
    *count = k;
    *rows_out = n;
    return OK;
}

static void ring_set(struct key *keys, int n, int64_t seq)
{
    struct key old[SIGNING_KEYS_MAX];
    pthread_rwlock_wrlock(&ring.lock);
    int old_n = ring.count;
    memcpy(old, ring.keys, sizeof old);
    memcpy(ring.keys, keys, (size_t)n * sizeof *keys);
    ring.count = n;
    atomic_store(&ring.seq, seq);
    pthread_rwlock_unlock(&ring.lock);
    drop_keys(old, old_n);
}

static const struct key *signer_of(const struct key *keys, int n)
{
    for (int i = 0; i < n; i++)
        if (keys[i].s.signs) return &keys[i];
    return NULL;
}

static EVP_PKEY *generate(void)
{
    return EVP_RSA_gen(SIGNING_BITS);
}

/* A new key into the database; *added is false when another process was faster. retire: keys of ours that still sign. */
static enum err add_key(struct call *c, const struct key *keys, int n, int rows, bool *added, char *kid_out)
{
    const char        *retire[SIGNING_KEYS_MAX];
    int                retire_n = 0;
    int64_t            seq = 0, now = clock_unix_ms();
    struct signing_row row = { .created_ms = now };
    char               kid[SIGNING_KID_BYTES + 1];
    EVP_PKEY          *k = generate();
    bool               made = k && kid_of(c, k, kid) && seal(c, k, &row);
    EVP_PKEY_free(k);
    if (!made) return fail(c, ERR_INTERNAL, "could not make a signing key");
    row.kid = kid;
    for (int i = 0; i < n; i++)
        if (!keys[i].s.from_setting && !keys[i].s.retired_ms) retire[retire_n++] = keys[i].s.kid;
    enum err e = signing_store_add(c, &row, rows, retire, retire_n, now + (SESSION_REFRESH_SECONDS + TOKEN_SKEW_SECONDS) * 1000LL, added, &seq);
    if (!e && *added) access_change_saw(seq);
    if (!e && *added && kid_out) memcpy(kid_out, kid, sizeof kid);
    return e;
}

static bool has_signer(void)
{
    pthread_rwlock_rdlock(&ring.lock);
    bool has = signer_of(ring.keys, ring.count) != NULL;
    pthread_rwlock_unlock(&ring.lock);
    return has;
}

/* Reads the keys; with make, until one of them signs. */
static enum err read_ring(struct call *c, bool make)
{
    for (int i = 0; i < TRIES; i++) {
        struct key keys[SIGNING_KEYS_MAX];
        int        n = 0, rows = 0;
        int64_t    seq = 0;
        bool       added = false;
        enum err   e = access_change_seq(c, &seq);
        if (!e) e = read_keys(c, keys, &n, &rows);
        if (e) return e;
        if (!make || signer_of(keys, n)) {
            ring_set(keys, n, seq);
            return OK;
        }
        e = add_key(c, keys, n, rows, &added, NULL);
        drop_keys(keys, n);
        if (e) return e;
    }
    return fail(c, ERR_BUSY, "other processes keep making signing keys");
}

/* Whoever needs the first key while it is made waits for it here. */
static enum err need_signer(struct call *c)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    if (has_signer()) return OK;
    pthread_mutex_lock(&one);
    enum err e = has_signer() ? OK : read_ring(c, true);
    pthread_mutex_unlock(&one);
    return e;
}

static void *make_first(void *arg)
{
    struct call c;
    (void)arg;
    call_init(&c);
    if (need_signer(&c)) log_error(&c, "no signing key could be made; the next sign-in tries again", "error", c.err_text, NULL);
    call_dispose(&c);
    return NULL;
}

/* Making a key takes from a tenth of a second to more than one: a first start does not wait for it. */
enum err signing_open(struct call *c)
{
    enum err e = read_ring(c, false);
    if (e || has_signer()) return e;
    maker.running = !pthread_create(&maker.thread, NULL, make_first, NULL);
    return maker.running ? OK : need_signer(c);
}

void signing_close(void)
{
    if (maker.running) pthread_join(maker.thread, NULL);
    maker.running = false;
    pthread_rwlock_wrlock(&ring.lock);
    drop_keys(ring.keys, ring.count);
    memset(ring.keys, 0, sizeof ring.keys);
    ring.count = 0;
    atomic_store(&ring.seq, -1);
    pthread_rwlock_unlock(&ring.lock);
}

enum err signing_look(struct call *c, int64_t seq)
{
    struct key keys[SIGNING_KEYS_MAX];
    int        n = 0, rows = 0;
    if (atomic_load(&ring.seq) >= seq) return OK;
    enum err e = read_keys(c, keys, &n, &rows);
    if (e) return e;
    /* Another secret's process may have retired all of ours: what is here goes on signing until this process starts again. */
    if (!signer_of(keys, n)) {
        if (has_signer()) log_warn(c, "no signing key is left in the database; keeping the ones in memory", NULL);
        drop_keys(keys, n);
        atomic_store(&ring.seq, seq);
        return OK;
    }
    ring_set(keys, n, seq);
    return OK;
}

/* A process beside this one may have made the key a moment ago: its token must not wait for the next look. Strangers may name
 * any kid, so there are not more than fifty such looks a second. */
void signing_meet(struct call *c, const char *kid)
{
    static _Atomic int64_t looked_ms;
    int64_t                now = clock_mono_ms(), before = atomic_load(&looked_ms);
    struct key             keys[SIGNING_KEYS_MAX];
    int                    n = 0, rows = 0;
    if (signing_knows(kid) || (before && now - before < MEET_MS) || !atomic_compare_exchange_strong(&looked_ms, &before, now)) return;
    if (read_keys(c, keys, &n, &rows)) {
        log_warn(c, "the signing keys cannot be read", "error", c->err_text, NULL);
        call_forgive(c);
    } else if (signer_of(keys, n)) {
        ring_set(keys, n, atomic_load(&ring.seq));
    } else {
        drop_keys(keys, n);
    }
}

enum err signing_compact(struct call *c, const char *type, const char *payload, size_t n, const char **out)
{
    char                  kid[SIGNING_KID_BYTES + 1];
    struct signature_key *k = NULL;
    enum err              e = need_signer(c);
    if (e) return e;
    pthread_rwlock_rdlock(&ring.lock);
    const struct key *s = signer_of(ring.keys, ring.count);
    if (s) {
        k = signature_key_take(s->key);
        memcpy(kid, s->s.kid, sizeof kid);
    }
    pthread_rwlock_unlock(&ring.lock);
    if (!k) return fail(c, ERR_INTERNAL, "there is no signing key");
    const char    *header = arena_printf(&c->mem, "{\"alg\":\"RS256\",\"typ\":\"%s\",\"kid\":\"%s\"}", type, kid);
    const char    *text = arena_printf(&c->mem, "%s.%s", token_text_base64(c, header, strlen(header)), token_text_base64(c, payload, n));
    unsigned char *sig = NULL;
    size_t         sig_n = 0;
    bool           made = signature_make(c, k, text, strlen(text), &sig, &sig_n);
    signature_key_drop(k);
    if (!made) return fail(c, ERR_INTERNAL, "could not sign a token");
    *out = arena_printf(&c->mem, "%s.%s", text, token_text_base64(c, sig, sig_n));
    return OK;
}

static struct signature_key *find(const char *kid)
{
    int64_t               now = clock_unix_ms();
    struct signature_key *k = NULL;
    pthread_rwlock_rdlock(&ring.lock);
    for (int i = 0; i < ring.count && !k; i++) {
        const struct key *at = &ring.keys[i];
        if (!strcmp(at->s.kid, kid) && (!at->s.gone_ms || now < at->s.gone_ms)) k = signature_key_take(at->key);
    }
    pthread_rwlock_unlock(&ring.lock);
    return k;
}

bool signing_right(const struct token_text *t)
{
    struct signature_key *k = t->algorithm == TOKEN_RS256 ? find(t->kid) : NULL;
    bool                  right = k && signature_right(k, t);
    signature_key_drop(k);
    return right;
}

bool signing_knows(const char *kid)
{
    struct signature_key *k = find(kid);
    signature_key_drop(k);
    return k != NULL;
}

enum err signing_rotate(struct call *c, char *kid_out)
{
    enum err e = need_signer(c);
    if (e) return e;
    for (int i = 0; i < TRIES; i++) {
        struct key keys[SIGNING_KEYS_MAX];
        int        n = 0, rows = 0;
        bool       added = false;
        int64_t    seq = 0;
        e = read_keys(c, keys, &n, &rows);
        if (e) return e;
        if (n && keys[0].s.from_setting)
            e = fail(c, ERR_CONFLICT, "tokens are signed with JWT_PRIVATE_KEY: give another there");
        else if (n == SIGNING_KEYS_MAX)
            e = fail(c, ERR_CONFLICT, "%d signing keys are still needed by tokens that live", n);
        if (!e) e = add_key(c, keys, n, rows, &added, kid_out);
        drop_keys(keys, n);
        if (!e && added) e = access_change_seq(c, &seq);
        if (!e && added) e = signing_look(c, seq);
        if (!e && added) return audit_put_instance(c, &(struct audit_entry){ "signing_key.rotate", kid_out, "done", NULL });
        if (e) return e;
    }
    return fail(c, ERR_BUSY, "other processes keep making signing keys");
}

enum err signing_list(struct call *c, struct signing_state **out, int *n_out)
{
    struct signing_state *list = arena_array(&c->mem, SIGNING_KEYS_MAX, sizeof *list);
    enum err              e = need_signer(c);
    if (e) return e;
    pthread_rwlock_rdlock(&ring.lock);
    int n = ring.count;
    for (int i = 0; i < n; i++) list[i] = ring.keys[i].s;
    pthread_rwlock_unlock(&ring.lock);
    *out = list;
    *n_out = n;
    return OK;
}

void signing_put_jwks(struct call *c, struct json_out *j)
{
    json_begin_array(j, "keys");
    pthread_rwlock_rdlock(&ring.lock);
    for (int i = 0; i < ring.count; i++) {
        const char *n = NULL, *e = NULL;
        if (!public_numbers(c, signature_key_is(ring.keys[i].key), &n, &e)) continue;
        json_begin_object(j, NULL);
        json_put_text(j, "kty", "RSA");
        json_put_text(j, "use", "sig");
        json_put_text(j, "alg", "RS256");
        json_put_text(j, "kid", ring.keys[i].s.kid);
        json_put_text(j, "n", n);
        json_put_text(j, "e", e);
        json_end(j);
    }
    pthread_rwlock_unlock(&ring.lock);
    json_end(j);
}

/* Hashing away from the threads that answer. A hash takes 15 to 20 ms of one core and 19 MiB, so two at a time are all there may
 * be. They run beside the threads that answer, not behind them: behind, a hash shares the caches for longer and slows more
 * questions. Whoever waits gives up after two seconds: the task then
 * finds nobody and is not done. A missing hash is compared with one that nothing matches, since the time must not tell.
 * Passwords are composed by compatibility (NFKC): the same keys give the same bytes on every device. They are wiped here
 * when done; none is logged or kept. */
/* SPDX-License-Identifier: MIT */
#include "accounts/password.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include "base/metric.h"
#include "base/pool.h"

struct task {
    char   password[LIMIT_PASSWORD_BYTES + 1];
    size_t len;
    char   hash[crypto_pwhash_STRBYTES];   /* to compare with, or made */
    bool   make, never;                    /* never: whatever is compared is wrong */
    bool   done, left, good, old;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  done;
    struct pool    *pool;
    char            nobody[crypto_pwhash_STRBYTES];   /* "" until it is made */
} hashing = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void describe(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&hashing.done, &attr);
    pthread_condattr_destroy(&attr);
    metric_describe("chiron_password_hash_seconds", 'h', "Time to hash or check one password, without waiting");
    metric_describe("chiron_password_refused_total", 'c', "Passwords not looked at because too many were waiting");
}

static void task_free(struct task *t)
{
    sodium_memzero(t, sizeof *t);
    free(t);
}

/* ---- the hash ---- */

static bool make(char out[crypto_pwhash_STRBYTES], const char *password, size_t n)
{
    return crypto_pwhash_str_alg(out, password, n, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) == 0;
}

static void work(struct task *t)
{
    if (t->make) {
        t->good = make(t->hash, t->password, t->len);
        return;
    }
    t->good = crypto_pwhash_str_verify(t->hash, t->password, t->len) == 0 && !t->never;
    t->old = t->good && crypto_pwhash_str_needs_rehash(t->hash, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES) != 0;
}

/* ---- waiting for it ---- */

static void run(void *arg)
{
    struct task *t = arg;
    pthread_mutex_lock(&hashing.lock);
    bool left = t->left;
    pthread_mutex_unlock(&hashing.lock);
    if (!left) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        work(t);
        clock_gettime(CLOCK_MONOTONIC, &b);
        metric_observe("chiron_password_hash_seconds", NULL, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    }
    pthread_mutex_lock(&hashing.lock);
    t->done = true;
    left = t->left;
    pthread_cond_broadcast(&hashing.done);
    pthread_mutex_unlock(&hashing.lock);
    if (left) task_free(t);
}

/* Random, made once by whoever comes first: nobody knows what it would match. */
static bool nobody_make(void)
{
    unsigned char secret[32];
    char          made[crypto_pwhash_STRBYTES];
    randombytes_buf(secret, sizeof secret);
    bool ok = make(made, (const char *)secret, sizeof secret);
    pthread_mutex_lock(&hashing.lock);
    if (ok && !hashing.nobody[0]) memcpy(hashing.nobody, made, sizeof made);
    pthread_mutex_unlock(&hashing.lock);
    sodium_memzero(secret, sizeof secret);
    return ok;
}

static enum err begin(struct call *c)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (sodium_init() < 0) return fail(c, ERR_INTERNAL, "libsodium does not start");
    pthread_once(&once, describe);
    pthread_mutex_lock(&hashing.lock);
    if (!hashing.pool) hashing.pool = pool_open("password", PASSWORD_THREADS, LIMIT_PASSWORD_QUEUE);
    bool first = !hashing.nobody[0];
    pthread_mutex_unlock(&hashing.lock);
    if (first && !nobody_make()) return fail(c, ERR_INTERNAL, "no memory to hash a password");
    return OK;
}

static enum err busy(struct call *c)
{
    metric_add("chiron_password_refused_total", NULL, 1);
    c->retry_after_s = 2;
    return fail(c, ERR_BUSY, "too many are signing in just now; try again in a moment");
}

/* Owns t. */
static enum err wait_for(struct call *c, struct task *t, struct task *out)
{
    struct timespec until;
    if (!pool_submit(hashing.pool, run, t)) {
        task_free(t);
        return busy(c);
    }
    int64_t ms = call_left_ms(c, LIMIT_PASSWORD_WAIT_MS);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&hashing.lock);
    for (int late = 0; !t->done && late != ETIMEDOUT;) late = pthread_cond_timedwait(&hashing.done, &hashing.lock, &until);
    bool done = t->done;
    t->left = !done;
    if (done) *out = *t;
    pthread_mutex_unlock(&hashing.lock);
    if (!done) return busy(c);
    task_free(t);
    return OK;
}

/* false: no password of ours is written so. */
static bool put_normal(struct task *t, const char *password)
{
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t  n = -1;
    if (strlen(password) <= LIMIT_PASSWORD_BYTES)
        n = utf8proc_map((const utf8proc_uint8_t *)password, 0, &normal, UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    bool good = n >= 0 && n <= LIMIT_PASSWORD_BYTES;
    if (good) {
        memcpy(t->password, normal, (size_t)n);
        t->len = (size_t)n;
    }
    if (n > 0) sodium_memzero(normal, (size_t)n);
    free(normal);
    return good;
}

static struct task *task_new(void)
{
    struct task *t = calloc(1, sizeof *t);
    if (!t) abort();
    return t;
}

enum err password_hash(struct call *c, const char *password, const char **hash_out)
{
    struct task done;
    enum err    e = begin(c);
    if (e) return e;
    struct task *t = task_new();
    t->make = true;
    if (!put_normal(t, password)) {
        task_free(t);
        return fail_field(c, "password", "a password has at most %d bytes", LIMIT_PASSWORD_BYTES);
    }
    e = wait_for(c, t, &done);
    if (!e && !done.good) e = fail(c, ERR_INTERNAL, "no memory to hash a password");
    if (!e) *hash_out = arena_strdup(&c->mem, done.hash);
    sodium_memzero(&done, sizeof done);
    return e;
}

enum err password_check(struct call *c, const char *password, const char *hash, bool *right_out, bool *old_out)
{
    struct task done;
    enum err    e = begin(c);
    if (e) return e;
    struct task *t = task_new();
    bool         written = put_normal(t, password);
    size_t       n = hash ? strlen(hash) : 0;
    t->never = !written || n == 0 || n >= sizeof t->hash;
    memcpy(t->hash, t->never ? hashing.nobody : hash, t->never ? sizeof hashing.nobody : n);
    e = wait_for(c, t, &done);
    if (!e) {
        *right_out = done.good;
        *old_out = done.old;
    }
    sodium_memzero(&done, sizeof done);
    return e;
}

void password_close(void)
{
    pthread_mutex_lock(&hashing.lock);
    struct pool *p = hashing.pool;
    hashing.pool = NULL;
    pthread_mutex_unlock(&hashing.lock);
    pool_close(p);
}

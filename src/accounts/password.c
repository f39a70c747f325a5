/* Hashing away from the threads that answer. A hash takes 10 to 20 ms of one core and 19 MiB, so two at a time are all there may
 * be, and a core that has a question to answer does most of that first. The memory is kept between hashes and given back when
 * nobody signs in: clearing it anew for each takes a third of the time. Whoever waits gives up after two seconds: the task then finds
 * nobody and is not done. A missing hash is compared with one that nothing matches, since the time must not tell.
 * Passwords are composed by compatibility (NFKC): the same keys give the same bytes on every device. They are wiped here
 * when done; none is logged or kept. */
/* SPDX-License-Identifier: MIT */
#include "accounts/password.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#include "accounts/argon2.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pool.h"

#define NICE        1      /* behind the threads that answer; 4 doubles the time of a sign-in and does not help them measurably */
#define BLOCKS      (PASSWORD_MEMORY_BYTES / ARGON2_BLOCK_BYTES)
#define HUGE_BYTES  (2u << 20)
#define IDLE_MS     30000
#define STORED_HEAD "$argon2id$v=19$m=19456,t=2,p=1$"
#define SALT_LETTERS 22    /* base64 without padding of 16 bytes, and of 32 */
#define TAG_LETTERS  43

struct task {
    char   password[LIMIT_PASSWORD_BYTES + 1];
    size_t len;
    char   hash[crypto_pwhash_STRBYTES];   /* to compare with, or made */
    bool   make, never;                    /* never: whatever is compared is wrong */
    bool   done, left, good, old;
};

/* Of one thread at a time. */
struct room {
    void   *memory;        /* NULL: none */
    bool    taken;
    int64_t used_ms;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  done;
    struct pool    *pool;
    char            nobody[crypto_pwhash_STRBYTES];   /* "" until it is made */
    struct room     rooms[PASSWORD_THREADS];
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

static struct room *room_take(void)
{
    struct room *r = NULL;
    pthread_mutex_lock(&hashing.lock);
    for (int i = 0; i < PASSWORD_THREADS && !r; i++)
        if (!hashing.rooms[i].taken) r = &hashing.rooms[i];
    if (r) r->taken = true;
    pthread_mutex_unlock(&hashing.lock);
    if (r && !r->memory) {
        /* Aligned, and said to be huge: ten pages to clear and to look up, not five thousand. */
        void *p = NULL;
        if (!posix_memalign(&p, HUGE_BYTES, PASSWORD_MEMORY_BYTES)) madvise(p, PASSWORD_MEMORY_BYTES, MADV_HUGEPAGE);
        r->memory = p;
    }
    return r;
}

static void room_leave(struct room *r)
{
    pthread_mutex_lock(&hashing.lock);
    r->taken = false;
    r->used_ms = clock_mono_ms();
    pthread_mutex_unlock(&hashing.lock);
}

/* The tag with our own parameters. false: not here; libsodium does it. */
static bool tag_of(const char *password, size_t n, const unsigned char *salt, unsigned char *tag)
{
    enum argon2_kernel k = argon2_best();
    struct room       *r = k == ARGON2_NONE ? NULL : room_take();
    bool               ok = r && r->memory;
    if (ok) argon2_tag(k, r->memory, BLOCKS, PASSWORD_PASSES, password, n, salt, tag);
    if (r) room_leave(r);
    return ok;
}

static bool make(char out[crypto_pwhash_STRBYTES], const char *password, size_t n)
{
    unsigned char salt[ARGON2_SALT_BYTES], tag[ARGON2_TAG_BYTES];
    id_random(salt, sizeof salt);
    if (!tag_of(password, n, salt, tag))
        return crypto_pwhash_str_alg(out, password, n, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) == 0;
    char salt_text[SALT_LETTERS + 1], tag_text[TAG_LETTERS + 1];
    sodium_bin2base64(salt_text, sizeof salt_text, salt, sizeof salt, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    sodium_bin2base64(tag_text, sizeof tag_text, tag, sizeof tag, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    memset(out, 0, crypto_pwhash_STRBYTES);
    snprintf(out, crypto_pwhash_STRBYTES, STORED_HEAD "%s$%s", salt_text, tag_text);
    return true;
}

/* What was stored with our own parameters is taken apart here, everything else by libsodium. */
static bool matches(const char *stored, const char *password, size_t n)
{
    unsigned char salt[ARGON2_SALT_BYTES], tag[ARGON2_TAG_BYTES], want[ARGON2_TAG_BYTES];
    const char   *p = stored + strlen(STORED_HEAD);
    size_t        len = 0;
    bool ours = strlen(stored) == strlen(STORED_HEAD) + SALT_LETTERS + 1 + TAG_LETTERS && !strncmp(stored, STORED_HEAD, strlen(STORED_HEAD)) &&
                p[SALT_LETTERS] == '$' &&
                !sodium_base642bin(salt, sizeof salt, p, SALT_LETTERS, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) &&
                len == sizeof salt &&
                !sodium_base642bin(want, sizeof want, p + SALT_LETTERS + 1, TAG_LETTERS, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) &&
                len == sizeof want;
    if (!ours || !tag_of(password, n, salt, tag)) return crypto_pwhash_str_verify(stored, password, n) == 0;
    return sodium_memcmp(tag, want, sizeof tag) == 0;
}

static void work(struct task *t)
{
    if (t->make) {
        t->good = make(t->hash, t->password, t->len);
        return;
    }
    t->good = matches(t->hash, t->password, t->len) && !t->never;
    t->old = t->good && crypto_pwhash_str_needs_rehash(t->hash, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES) != 0;
}

/* ---- waiting for it ---- */

static void run(void *arg)
{
    static _Thread_local bool stepped_back;
    struct task *t = arg;
    if (!stepped_back) {
        int now = getpriority(PRIO_PROCESS, 0);
        if (setpriority(PRIO_PROCESS, (id_t)gettid(), now + NICE < 19 ? now + NICE : 19)) log_warn(NULL, "passwords are hashed at the others' priority", NULL);
        stepped_back = true;
    }
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

void password_idle(void)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&hashing.lock);
    for (int i = 0; i < PASSWORD_THREADS; i++) {
        struct room *r = &hashing.rooms[i];
        if (r->taken || !r->memory || now - r->used_ms < IDLE_MS) continue;
        free(r->memory);
        r->memory = NULL;
    }
    pthread_mutex_unlock(&hashing.lock);
}

void password_close(void)
{
    pthread_mutex_lock(&hashing.lock);
    struct pool *p = hashing.pool;
    hashing.pool = NULL;
    pthread_mutex_unlock(&hashing.lock);
    pool_close(p);
    for (int i = 0; i < PASSWORD_THREADS; i++) {
        free(hashing.rooms[i].memory);
        hashing.rooms[i].memory = NULL;
    }
}

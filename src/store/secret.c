/* The secret of a data folder. It is written beside its name and linked into place, so of two processes that start at once
 * the second finds the first one's. It refuses a file that others can read: what is signed with it would prove nothing. */
/* SPDX-License-Identifier: MIT */
#include "store/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "store/store.h"

static struct {
    pthread_mutex_t lock;
    unsigned char   bytes[SECRET_BYTES];
    bool            known;
} secret = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ERR_NOT_FOUND without words when there is none. */
static enum err secret_read(struct call *c, const char *path, unsigned char out[SECRET_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) return ERR_NOT_FOUND;
    if (fd < 0) return fail(c, ERR_IO, "cannot read the instance's key %s: %s", path, strerror(errno));
    struct stat st;
    enum err    e = OK;
    if (fstat(fd, &st) || (st.st_mode & 077))
        e = fail(c, ERR_IO, "the instance's key %s is readable by others; chmod 600 it", path);
    else if (st.st_size != SECRET_BYTES || read(fd, out, SECRET_BYTES) != SECRET_BYTES)
        e = fail(c, ERR_CORRUPT, "the instance's key %s has not %d bytes", path, SECRET_BYTES);
    close(fd);
    return e;
}

static enum err secret_make(struct call *c, const char *path)
{
    unsigned char raw[SECRET_BYTES];
    char          suffix[ID_BYTES];
    const char   *fresh = arena_printf(&c->mem, "%s.%s", path, id_new("new", suffix));
    id_random(raw, sizeof raw);
    int  fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, raw, sizeof raw) == (ssize_t)sizeof raw && !fsync(fd);
    int  why = errno;
    if (fd >= 0) close(fd);
    if (ok && link(fresh, path) && errno != EEXIST) {
        ok = false;
        why = errno;
    }
    if (fd >= 0) unlink(fresh);
    sodium_memzero(raw, sizeof raw);
    return ok ? OK : fail(c, ERR_IO, "cannot keep the instance's key in %s: %s", path, strerror(why));
}

static enum err secret_load(struct call *c)
{
    const char *path = arena_printf(&c->mem, "%s/instance.key", store_dir());
    enum err    e = secret_read(c, path, secret.bytes);
    if (e == ERR_NOT_FOUND) {
        e = secret_make(c, path);
        if (!e) e = secret_read(c, path, secret.bytes);
        if (e == ERR_NOT_FOUND) e = fail(c, ERR_IO, "the instance's key %s has gone", path);
    }
    if (!e) secret.known = true;
    return e;
}

static void mac_of(const unsigned char key[SECRET_BYTES], const void *p, size_t n, unsigned char out[SECRET_BYTES])
{
    _Static_assert(SECRET_BYTES == crypto_auth_hmacsha256_BYTES, "a key is as long as a MAC");
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, key, SECRET_BYTES);
    crypto_auth_hmacsha256_update(&st, p, n);
    crypto_auth_hmacsha256_final(&st, out);
    sodium_memzero(&st, sizeof st);
}

enum err secret_key(struct call *c, const char *purpose, unsigned char out[SECRET_BYTES])
{
    enum err e = OK;
    pthread_mutex_lock(&secret.lock);
    if (!secret.known) e = secret_load(c);
    if (!e) mac_of(secret.bytes, purpose, strlen(purpose), out);
    pthread_mutex_unlock(&secret.lock);
    return e;
}

enum err secret_mac(struct call *c, const char *purpose, const void *p, size_t n, unsigned char out[SECRET_BYTES])
{
    unsigned char key[SECRET_BYTES];
    enum err      e = secret_key(c, purpose, key);
    if (e) return e;
    mac_of(key, p, n, out);
    sodium_memzero(key, sizeof key);
    return OK;
}

void secret_close(void)
{
    pthread_mutex_lock(&secret.lock);
    sodium_memzero(secret.bytes, sizeof secret.bytes);
    secret.known = false;
    pthread_mutex_unlock(&secret.lock);
}

/* store/tar.c — the plain part of tar that a backup needs: regular files, long names by a pax header, large files by
 * the base-256 size. Links, devices, absolute names and ".." are refused when reading: an archive comes from outside
 * and must not be able to name a place of its own choice. */
/* SPDX-License-Identifier: MIT */
#include "store/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, PIECE = 128 * 1024, NAME_AT = 0, MODE_AT = 100, SIZE_AT = 124, TIME_AT = 136, SUM_AT = 148,
       TYPE_AT = 156, MAGIC_AT = 257, PREFIX_AT = 345, NAME_BYTES = 100, PREFIX_BYTES = 155, PAX_BYTES = 8192 };

bool tar_name_valid(const char *name)
{
    if (!*name || *name == '/' || strlen(name) >= sizeof ((struct tar_member *)0)->name) return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t n = strcspn(part, "/");
        if (!n || (n == 1 && *part == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) return false;
    }
    return true;
}

static void put_octal(unsigned char *at, int digits, uint64_t v)
{
    at[digits] = '\0';
    for (int i = digits - 1; i >= 0; i--, v >>= 3) at[i] = (unsigned char)('0' + (v & 7));
}

static unsigned checksum(const unsigned char *h)
{
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= SUM_AT && i < SUM_AT + 8 ? ' ' : h[i];
    return sum;
}

/* true when the name fits the two fields of the header. */
static bool put_name(unsigned char *h, const char *name)
{
    size_t n = strlen(name);
    if (n <= NAME_BYTES) {
        memcpy(h + NAME_AT, name, n);
        return true;
    }
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t before = (size_t)(slash - name), after = n - before - 1;
        if (before > PREFIX_BYTES) break;
        if (after > NAME_BYTES) continue;
        memcpy(h + PREFIX_AT, name, before);
        memcpy(h + NAME_AT, slash + 1, after);
        return true;
    }
    memcpy(h + NAME_AT, name, NAME_BYTES);
    return false;
}

static enum err put_bytes(struct call *c, FILE *to, const void *p, size_t n)
{
    if (fwrite(p, 1, n, to) != n) return fail(c, ERR_IO, "cannot write the archive: %s", strerror(errno));
    return OK;
}

static enum err put_padding(struct call *c, FILE *to, int64_t size)
{
    static const char zeros[BLOCK];
    size_t over = (size_t)(size % BLOCK);
    return over ? put_bytes(c, to, zeros, BLOCK - over) : OK;
}

static enum err put_header(struct call *c, FILE *to, const char *name, int64_t size, int64_t mtime_s, char type)
{
    unsigned char h[BLOCK] = { 0 };
    if (!put_name(h, name) && type == '0') {
        /* "LENGTH path=NAME\n", where LENGTH counts itself. */
        char record[PAX_BYTES];
        int  body = (int)strlen(name) + 7, n = body;
        while (snprintf(record, sizeof record, "%d path=%s\n", n, name) != n) n = (int)strlen(record);
        enum err e = put_header(c, to, "pax", n, mtime_s, 'x');
        if (!e) e = put_bytes(c, to, record, (size_t)n);
        if (!e) e = put_padding(c, to, n);
        if (e) return e;
    }
    put_octal(h + MODE_AT, 7, 0600);
    put_octal(h + 108, 7, 0);
    put_octal(h + 116, 7, 0);
    if (size < 1LL << 33) {
        put_octal(h + SIZE_AT, 11, (uint64_t)size);
    } else {
        h[SIZE_AT] = 0x80;
        for (int i = 0; i < 8; i++) h[SIZE_AT + 4 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
    }
    put_octal(h + TIME_AT, 11, mtime_s > 0 ? (uint64_t)mtime_s : 0);
    h[TYPE_AT] = (unsigned char)type;
    memcpy(h + MAGIC_AT, "ustar\00000", 8);
    put_octal(h + SUM_AT, 6, checksum(h));
    h[SUM_AT + 7] = ' ';
    return put_bytes(c, to, h, BLOCK);
}

enum err tar_put(struct call *c, FILE *to, const char *name, const void *p, size_t n, int64_t mtime_s)
{
    enum err e = put_header(c, to, name, (int64_t)n, mtime_s, '0');
    if (!e) e = put_bytes(c, to, p, n);
    return e ? e : put_padding(c, to, (int64_t)n);
}

static void hex_of(EVP_MD_CTX *md, char out[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(md, sum, NULL) != 1) abort();
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

struct copy {
    unsigned char *piece;
    EVP_MD_CTX    *md;
};

static struct copy copy_open(void)
{
    struct copy k = { malloc(PIECE), EVP_MD_CTX_new() };
    if (!k.piece || !k.md || EVP_DigestInit_ex(k.md, EVP_sha256(), NULL) != 1) abort();
    return k;
}

static void copy_close(struct copy *k)
{
    free(k->piece);
    EVP_MD_CTX_free(k->md);
}

enum err tar_put_file(struct call *c, FILE *to, const char *name, const char *path, int64_t size_bytes, int64_t mtime_s,
                      char sha256_out[65])
{
    FILE *f = fopen(path, "rbe");
    if (!f) return fail(c, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    struct copy k = copy_open();
    enum err e = put_header(c, to, name, size_bytes, mtime_s, '0');
    for (int64_t left = size_bytes; !e && left > 0;) {
        size_t n = fread(k.piece, 1, left < PIECE ? (size_t)left : PIECE, f);
        if (!n) e = fail(c, ERR_IO, "%s became shorter while it was read", path);
        if (!e && EVP_DigestUpdate(k.md, k.piece, n) != 1) abort();
        if (!e) e = put_bytes(c, to, k.piece, n);
        if (!e) e = call_check(c);
        left -= (int64_t)n;
    }
    if (!e) e = put_padding(c, to, size_bytes);
    if (!e && sha256_out) hex_of(k.md, sha256_out);
    copy_close(&k);
    fclose(f);
    return e;
}

enum err tar_end(struct call *c, FILE *to)
{
    static const char zeros[2 * BLOCK];
    enum err e = put_bytes(c, to, zeros, sizeof zeros);
    if (!e && (fflush(to) || fsync(fileno(to)))) e = fail(c, ERR_IO, "cannot write the archive: %s", strerror(errno));
    return e;
}

static enum err take_bytes(struct call *c, FILE *from, void *p, size_t n)
{
    if (fread(p, 1, n, from) == n) return OK;
    if (ferror(from)) return fail(c, ERR_IO, "cannot read the archive: %s", strerror(errno));
    return fail(c, ERR_CORRUPT, "the archive is cut off");
}

static enum err take_padding(struct call *c, FILE *from, int64_t size)
{
    unsigned char rest[BLOCK];
    size_t over = (size_t)(size % BLOCK);
    return over ? take_bytes(c, from, rest, BLOCK - over) : OK;
}

static bool number_at(const unsigned char *at, int width, int64_t *out)
{
    uint64_t v = 0;
    int i = 0;
    if (at[0] & 0x80) {
        if (at[0] != 0x80) return false;
        for (i = 1; i < width; i++) {
            if (v >> 55) return false;
            v = v << 8 | at[i];
        }
    } else {
        while (i < width && at[i] == ' ') i++;
        for (; i < width && at[i] >= '0' && at[i] <= '7'; i++) v = v << 3 | (uint64_t)(at[i] - '0');
        if (i < width && at[i] && at[i] != ' ') return false;
    }
    *out = (int64_t)v;
    return true;
}

/* "27 path=creators/…\n": only path is ours; other records are passed over. */
static bool path_of_records(const char *p, size_t n, char *name, size_t size)
{
    for (size_t at = 0; at < n;) {
        char *end;
        unsigned long len = strtoul(p + at, &end, 10);
        const char *key = end + 1, *stop = p + at + len;
        if (!len || len > n - at || *end != ' ' || stop[-1] != '\n' || key >= stop) return false;
        if (!strncmp(key, "path=", 5)) {
            size_t value = (size_t)(stop - 1 - (key + 5));
            if (value >= size || memchr(key + 5, '\0', value)) return false;
            memcpy(name, key + 5, value);
            name[value] = '\0';
        }
        at += len;
    }
    return true;
}

static void name_of_header(const unsigned char *h, struct tar_member *out)
{
    const char *name = (const char *)h + NAME_AT, *prefix = (const char *)h + PREFIX_AT;
    int name_len = (int)strnlen(name, NAME_BYTES), prefix_len = (int)strnlen(prefix, PREFIX_BYTES);
    snprintf(out->name, sizeof out->name, "%.*s%s%.*s", prefix_len, prefix, prefix_len ? "/" : "", name_len, name);
}

static enum err take_header(struct call *c, FILE *from, unsigned char *h, struct tar_member *out, bool *more)
{
    int64_t sum;
    enum err e = take_bytes(c, from, h, BLOCK);
    if (e) return e;
    *more = false;
    for (int i = 0; i < BLOCK; i++) *more = *more || h[i];
    if (!*more) return OK;
    if (!number_at(h + SUM_AT, 8, &sum) || sum != checksum(h) || memcmp(h + MAGIC_AT, "ustar", 5) ||
        !number_at(h + SIZE_AT, 12, &out->size_bytes) || out->size_bytes < 0)
        return fail(c, ERR_CORRUPT, "the archive is damaged or no backup");
    return OK;
}

enum err tar_next(struct call *c, FILE *from, struct tar_member *out, bool *more)
{
    unsigned char h[BLOCK];
    char records[PAX_BYTES], longer[sizeof out->name] = "";
    for (;;) {
        enum err e = take_header(c, from, h, out, more);
        if (e || !*more) return e;
        if (h[TYPE_AT] != 'x') break;
        if (out->size_bytes >= PAX_BYTES) return fail(c, ERR_CORRUPT, "the archive is damaged or no backup");
        size_t n = (size_t)out->size_bytes;
        e = take_bytes(c, from, records, n);
        if (!e) e = take_padding(c, from, out->size_bytes);
        if (e) return e;
        records[n] = '\0';
        if (!path_of_records(records, n, longer, sizeof longer))
            return fail(c, ERR_CORRUPT, "the archive is damaged or no backup");
    }
    if (longer[0])
        memcpy(out->name, longer, sizeof longer);
    else
        name_of_header(h, out);
    if (h[TYPE_AT] != '0' && h[TYPE_AT] != '\0')
        return fail(c, ERR_CORRUPT, "the archive holds something that is not a file");
    if (!tar_name_valid(out->name)) return fail(c, ERR_CORRUPT, "the archive holds a file outside of it");
    return OK;
}

enum err tar_take(struct call *c, FILE *from, const struct tar_member *m, void *to)
{
    enum err e = take_bytes(c, from, to, (size_t)m->size_bytes);
    return e ? e : take_padding(c, from, m->size_bytes);
}

enum err tar_take_file(struct call *c, FILE *from, const struct tar_member *m, const char *path, char sha256_out[65])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) {
        enum err e = fail(c, ERR_IO, "cannot create %s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return e;
    }
    struct copy k = copy_open();
    enum err e = OK;
    for (int64_t left = m->size_bytes; !e && left > 0;) {
        size_t n = left < PIECE ? (size_t)left : PIECE;
        e = take_bytes(c, from, k.piece, n);
        if (!e && EVP_DigestUpdate(k.md, k.piece, n) != 1) abort();
        if (!e && fwrite(k.piece, 1, n, f) != n) e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
        if (!e) e = call_check(c);
        left -= (int64_t)n;
    }
    if (!e) e = take_padding(c, from, m->size_bytes);
    if (!e) hex_of(k.md, sha256_out);
    if (!e && (fflush(f) || fsync(fd))) e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (fclose(f) && !e) e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    copy_close(&k);
    return e;
}

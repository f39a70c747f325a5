/* The multipart reader: the first byte says how the rest is cut into pieces. Whole and in pieces must come out the same,
 * and no file may stay behind. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/multipart.h"

static char dir[] = "/tmp/chiron-multipart-fuzz-XXXXXX";

static void remove_dir(void)
{
    assert(rmdir(dir) == 0);   /* fails when a file was left */
}

static enum err read_all(const uint8_t *p, size_t n, size_t piece, char *out, size_t max)
{
    struct call c;
    struct multipart *m;
    call_init(&c);
    enum err e = multipart_open(&c, "multipart/form-data; boundary=b", dir, &m);
    assert(e == OK);
    for (size_t at = 0; at < n && !e; at += piece) e = multipart_feed(m, &c, p + at, n - at < piece ? n - at : piece);
    if (!e) e = multipart_end(m, &c);
    out[0] = '\0';
    int count;
    struct upload *u = multipart_uploads(m, &count);
    assert(count <= MULTIPART_PARTS_MAX);
    size_t len = 0;
    for (int i = 0; i < count && !e && len < max; i++) {
        assert(!strchr(u[i].filename, '/') && !strchr(u[i].filename, '\\') && strlen(u[i].sha256) == 64);
        len += (size_t)snprintf(out + len, max - len, "%s|%s|%lld|%s\n", u[i].name, u[i].filename, (long long)u[i].size_bytes, u[i].sha256);
    }
    multipart_close(m);
    call_dispose(&c);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[65536], cut[65536];
    static int ready;
    if (!ready) {
        ready = 1;
        if (!mkdtemp(dir)) abort();
        atexit(remove_dir);
    }
    if (size == 0) return 0;
    enum err a = read_all(data + 1, size - 1, size, whole, sizeof whole);
    enum err b = read_all(data + 1, size - 1, 1u + data[0], cut, sizeof cut);
    assert(a == b);
    assert(strcmp(whole, cut) == 0);
    return 0;
}

/* base/id.c — ids, random bytes and SHA-256. Random bytes come from the kernel only: an id that can be guessed is a
 * door. Nothing here keeps state, so a fork cannot repeat an id. */
/* SPDX-License-Identifier: MIT */
#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"

void id_random(void *out, size_t n)
{
    unsigned char *p = out;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            fprintf(stderr, "id: the system gives no random bytes\n");
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

char *id_new(const char *prefix, char out[ID_BYTES])
{
    static const char digit[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    size_t plen = strlen(prefix);
    assert(plen >= 1 && plen <= 4);
    unsigned char raw[16];
    uint64_t ms = (uint64_t)clock_unix_ms();
    for (int i = 0; i < 6; i++) raw[i] = (unsigned char)(ms >> (40 - 8 * i));
    id_random(raw + 6, 10);
    memcpy(out, prefix, plen);
    out[plen] = '_';
    /* 26 digits hold 130 bits: the first one carries two zero bits and the top three of the time. */
    for (int i = 0; i < 26; i++) {
        int bit = i * 5 - 2, v = 0;
        for (int k = bit; k < bit + 5; k++) v = v << 1 | (k >= 0 ? raw[k / 8] >> (7 - k % 8) & 1 : 0);
        out[plen + 1 + (size_t)i] = digit[v];
    }
    out[plen + 27] = '\0';
    return out;
}

bool id_valid(const char *s)
{
    if (!s || !*s || *s == '.' || *s == '-') return false;
    size_t n = 0;
    for (; s[n]; n++) {
        char ch = s[n];
        bool good = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '.' ||
                    ch == '_' || ch == ':' || ch == '@' || ch == '-';
        if (!good || n >= LIMIT_ID_BYTES) return false;
    }
    return true;
}

static char *hex_of(const unsigned char *p, char out[65])
{
    static const char digit[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
    }
    out[64] = '\0';
    return out;
}

bool id_user_valid(const char *s)
{
    return id_valid(s) && !(!strncmp(s, "acc_", 4) && strlen(s) == 4 + 26);
}

char *id_sha256_hex(const void *p, size_t n, char out[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    if (EVP_Digest(p ? p : "", n, sum, NULL, EVP_sha256(), NULL) != 1) abort();
    return hex_of(sum, out);
}

bool id_sha256_file(const char *path, char out[65])
{
    enum { PIECE = 128 * 1024 };
    bool good = false;
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned char *piece = malloc(PIECE);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!piece || !md) abort();
    FILE *f = fopen(path, "rbe");
    if (!f || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) goto out;
    for (size_t n; (n = fread(piece, 1, PIECE, f)) > 0;)
        if (EVP_DigestUpdate(md, piece, n) != 1) goto out;
    if (ferror(f) || EVP_DigestFinal_ex(md, sum, NULL) != 1) goto out;
    hex_of(sum, out);
    good = true;
out:
    if (f) fclose(f);
    EVP_MD_CTX_free(md);
    free(piece);
    return good;
}

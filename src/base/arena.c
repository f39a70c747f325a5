/* base/arena.c — bump allocation out of a chain of growing blocks. The first block survives a reset, so that a thread
 * which serves one request after the other stops calling malloc. Larger pieces get a block of their own, put behind
 * the newest one so that its free tail stays in use. There is no way to free one piece: what needs that is not for here. */
/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif

#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
/* A gap nobody may touch stands between two pieces, so that an overrun is caught as it would be with malloc. */
enum { GAP_BYTES = 16 };
#else
enum { GAP_BYTES = 0 };
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN_BYTES = 16, FIRST_BLOCK_BYTES = 8 * 1024, MOST_BLOCK_BYTES = 1024 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t              cap;
    size_t              used;
    size_t              pad; /* keeps data on 16 bytes */
    unsigned char       data[];
};

static void die(const char *words, size_t n)
{
    fprintf(stderr, "arena: %s (%zu bytes)\n", words, n);
    abort();
}

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){ .max_bytes = max_bytes };
}

static void block_free(struct arena *a, struct arena_block *b)
{
    ASAN_UNPOISON_MEMORY_REGION(b->data, b->cap);
    a->used_bytes -= b->cap;
    free(b);
}

void arena_reset(struct arena *a)
{
    while (a->head && a->head->next) {
        struct arena_block *b = a->head;
        a->head = b->next;
        block_free(a, b);
    }
    if (a->head) {
        a->head->used = 0;
        ASAN_POISON_MEMORY_REGION(a->head->data, a->head->cap);
    }
}

void arena_dispose(struct arena *a)
{
    while (a->head) {
        struct arena_block *b = a->head;
        a->head = b->next;
        block_free(a, b);
    }
}

static struct arena_block *block_new(struct arena *a, size_t cap)
{
    if (cap > a->max_bytes || a->used_bytes > a->max_bytes - cap) die("over its maximum", cap);
    struct arena_block *b = malloc(sizeof *b + cap);
    if (!b) die("out of memory", cap);
    b->next = NULL;
    b->cap = cap;
    b->used = 0;
    a->used_bytes += cap;
    ASAN_POISON_MEMORY_REGION(b->data, cap);
    return b;
}

static struct arena_block *block_with(struct arena *a, size_t need)
{
    if (a->head && a->head->cap - a->head->used >= need) return a->head;
    size_t next = a->head ? a->head->cap * 2 : FIRST_BLOCK_BYTES;
    if (next > MOST_BLOCK_BYTES) next = MOST_BLOCK_BYTES;
    if (next < FIRST_BLOCK_BYTES) next = FIRST_BLOCK_BYTES;
    if (a->head && need > next / 4) {
        /* Behind the newest, but never last: the last block is the one a reset keeps, and it must stay a small one. */
        struct arena_block *own = block_new(a, need);
        struct arena_block **at = a->head->next ? &a->head->next : &a->head;
        own->next = *at;
        *at = own;
        return own;
    }
    if (need > next) next = need;
    if (next > a->max_bytes - a->used_bytes && need <= a->max_bytes - a->used_bytes) next = need;
    struct arena_block *b = block_new(a, next);
    b->next = a->head;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) die("absurd size", n);
    size_t need = ((n ? n : 1) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES + GAP_BYTES;
    struct arena_block *b = block_with(a, need);
    unsigned char *p = b->data + b->used;
    b->used += need;
    ASAN_UNPOISON_MEMORY_REGION(p, n);
    memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes)) die("array size overflows", n);
    return arena_alloc(a, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n) memcpy(p, s, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char    small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n < 0) die("bad format", 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof small)
        memcpy(p, small, (size_t)n + 1);
    else
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

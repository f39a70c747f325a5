/* base/arena.h — memory with one end of life: everything allocated from an arena goes when the arena is reset.
 * One thread at a time. Out of memory, or past the arena's maximum, aborts: sizes are checked before they get here.
 *     struct arena a; arena_init(&a, LIMIT_ARENA_BYTES);
 *     char *s = arena_printf(&a, "%s-%d", name, n);
 *     arena_dispose(&a);                                                                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_ARENA_H
#define CHIRON_BASE_ARENA_H
#include <stdarg.h>
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;   /* newest block first */
    size_t used_bytes;          /* sum over blocks */
    size_t max_bytes;
};

void arena_init(struct arena *a, size_t max_bytes);   /* no allocation yet */
void arena_reset(struct arena *a);                    /* frees all but the first block; every pointer is dead */
void arena_dispose(struct arena *a);                  /* frees all; a zeroed arena is allowed */
/* n zeroed bytes, 16-byte aligned, never NULL; n == 0 gives a distinct pointer. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, returns_nonnull));
void *arena_array(struct arena *a, size_t n, size_t each) __attribute__((malloc, returns_nonnull)); /* overflow aborts */
char *arena_strdup(struct arena *a, const char *s);               /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);    /* n bytes and a NUL; s may hold NULs */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
#endif

/* coaching/check.h — is a sentence supported by the evidence? Decides before anything is shown. Pure but for the
 * sentence's vector. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_CHECK_H
#define CHIRON_COACHING_CHECK_H
#include "coaching/evidence.h"

struct checked {
    bool        kept;
    int         sentence;     /* the evidence sentence that supports it best; -1 none */
    float       support;      /* 0..1 */
    const char *why;          /* static words: what decided */
};
/* text: one sentence without citation marks. */
MUST_CHECK enum err check_sentence(struct call *c, const struct evidence *ev, const char *text, size_t n, struct checked *out);

struct number {
    char digits[24];          /* "8", "2.5", "1000": no leading zeros, no separators */
    char unit[8];             /* canonical ("min", "kg", "set"), "" none or not a known one */
};
/* Numbers of a text in digits and in English or Spanish words from two up; list marks at its start do not count. */
int numbers_read(const char *text, size_t n, struct number *out, int max);
/* Every number of a stands in b, and where both have a unit, with the same one. */
bool numbers_within(const struct number *a, int a_count, const struct number *b, int b_count);
#endif

/* accounts/strength.h — how many guesses a password would take from somebody who knows how people make them. Any thread.
 *     e = strength_check(c, "password", given, (const char *[]){ email, full_name, NULL });                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_STRENGTH_H
#define CHIRON_ACCOUNTS_STRENGTH_H
#include "base/call.h"

#define STRENGTH_LETTERS_MIN 8
#define STRENGTH_BITS_MIN    20    /* a million guesses; the lock leaves a guesser some hundred a day */

enum strength_kind { STRENGTH_RANDOM, STRENGTH_WORDS, STRENGTH_OWN, STRENGTH_KEYS, STRENGTH_REPEAT, STRENGTH_DATE };
/* log2 of the guesses, and what most of the password is made of. own: words about the person, ended by NULL, may be NULL. Letters
 * past the 64th count as random ones. */
double strength_bits(const char *password, const char *const *own, enum strength_kind *kind_out);
/* ERR_INVALID with the reason for people: under STRENGTH_LETTERS_MIN letters, over LIMIT_PASSWORD_BYTES, with control characters,
 * or under STRENGTH_BITS_MIN and why. Long phrases pass whatever they are made of, if it is not one thing repeated. */
MUST_CHECK enum err strength_check(struct call *c, const char *field, const char *password, const char *const *own);
#endif

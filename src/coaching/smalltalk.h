/* coaching/smalltalk.h — messages that are a greeting, thanks or a question about the coach itself, and nothing else. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_SMALLTALK_H
#define CHIRON_COACHING_SMALLTALK_H
#include <stddef.h>

/* What the whole message is: "hello", "thanks", "who", "can" or "bye"; NULL when it says anything more. *language_out is
 * that of the phrase, "en" or "es". name: the coach's, which may be part of the message. Pure. */
const char *smalltalk_kind(const char *message, size_t n, const char *name, const char **language_out);
#endif

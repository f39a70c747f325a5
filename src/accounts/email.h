/* accounts/email.h — addresses as they are compared: one form for sign-up, sign-in, invitations and the people being coached. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_EMAIL_H
#define CHIRON_ACCOUNTS_EMAIL_H
#include "base/call.h"

/* Trimmed, NFKC and case folded, in c->mem. International names are fine on both sides of the @. ERR_INVALID naming the field:
 * no address, longer than LIMIT_EMAIL_BYTES, white space, control characters or what would mean something in a mail's header. */
MUST_CHECK enum err email_check(struct call *c, const char *field, const char *text, const char **out);
#endif

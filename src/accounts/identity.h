/* accounts/identity.h — how addresses and names of people may look, and the form in which they are compared. Any thread.
 *     e = identity_email(c, "email", " Ann@Example.COM ", &email);      // "ann@example.com"                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_IDENTITY_H
#define CHIRON_ACCOUNTS_IDENTITY_H
#include "base/call.h"

/* The address as it is compared, in c->mem: without white space around it, composed (NFC), case folded. Domains beyond ASCII are
 * taken as they are written. ERR_INVALID names the field and what is wrong: over LIMIT_EMAIL_BYTES, not one @, a control
 * character or a space in it, a domain that cannot be. */
MUST_CHECK enum err identity_email(struct call *c, const char *field, const char *text, const char **out);
/* A person's name, kept byte for byte in c->mem: any script, any direction, emoji. ERR_INVALID: empty or blank, over
 * LIMIT_NAME_BYTES, or with characters that write outside of it: controls, line separators, overrides of direction. */
MUST_CHECK enum err identity_name(struct call *c, const char *field, const char *text, const char **out);
/* A creator's id made of a name: "Ann's Gym" → "ann-s-gym"; "" when no letter of it can be written in a-z and 0-9. */
const char *identity_slug(struct call *c, const char *name);
#endif

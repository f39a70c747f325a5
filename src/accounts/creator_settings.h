/* accounts/creator_settings.h — what a creator decided about who may come in and how long things are kept. c->tenant is open
 * in every call. Any thread.
 *     struct creator_settings s;
 *     e = creator_settings_get(c, &s);
 *     if (!e && !s.anonymous) …                                                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_CREATOR_SETTINGS_H
#define CHIRON_ACCOUNTS_CREATOR_SETTINGS_H
#include "base/call.h"

struct creator_settings {
    const char *name;          /* of the creator, for people */
    bool        anonymous;     /* strangers may talk as visitors; off unless set */
    bool        email_users;   /* people may sign themselves in by a link sent to their address; off unless set */
    const char *retention;     /* JSON object, "{}" when nothing was decided */
};
/* In c->mem. */
MUST_CHECK enum err creator_settings_get(struct call *c, struct creator_settings *out);

enum { CREATOR_NAME = 1, CREATOR_ANONYMOUS = 2, CREATOR_EMAIL_USERS = 4, CREATOR_RETENTION = 8 };
/* Stores the fields that `which` names, all or none of the creator's own; ERR_INVALID for a name that label_check refuses or
 * that is empty. retention is a JSON object that its caller has checked. */
MUST_CHECK enum err creator_settings_put(struct call *c, const struct creator_settings *s, unsigned which);
/* Sets `anonymous` unless somebody has decided already. */
MUST_CHECK enum err creator_anonymous_default(struct call *c, bool on);
#endif

/* accounts/member.h — who works for a creator, and as what: accounts with a role. c->tenant is open unless said. Any thread. A change
 * holds at the next request of the one it is about.
 *     e = member_add(c, "ann@example.com", "editor", NULL, &added);
 *     if (!e && added.invited) …                                                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_MEMBER_H
#define CHIRON_ACCOUNTS_MEMBER_H
#include "base/call.h"

#define MEMBER_MAX     1000    /* of one creator */
#define INVITATION_MAX 200     /* that wait, of one creator */

struct member {
    const char *account_id, *email, *full_name, *role;
    bool        email_verified;
    int64_t     created_ms, seen_ms;   /* unix; seen_ms: last use of a sign-in for this creator, 0: none that is known */
};
struct invitation {
    const char *id, *email, *role;
    int64_t     created_ms, expires_ms;
};
/* Oldest members first, newest invitations first; in c->mem. */
MUST_CHECK enum err member_list(struct call *c, struct member **out, int *n_out, struct invitation **waiting_out, int *waiting_n_out);

struct member_added {
    bool          invited;     /* else member is set */
    struct member member;
    const char   *invitation_id, *email, *role;
    const char   *link;        /* to hand over, when no mail is set up; else NULL */
    int64_t       expires_ms;
};
/* Invites them. An account of this address becomes a member at once where that tells nothing and surprises nobody: it works with
 * the caller already, or SIGNUP is closed, so that only who was invited has one; and, where mails are sent, its address was
 * confirmed: who reads that mailbox decides, not who signed up with its name. language: an Accept-Language, may be NULL.
 * ERR_INVALID: address or role; ERR_FORBIDDEN: the role may do what the caller may not; ERR_CONFLICT: a member already, or
 * too many. */
MUST_CHECK enum err member_add(struct call *c, const char *email, const char *role, const char *language, struct member_added *out);
/* ERR_NOT_FOUND; ERR_FORBIDDEN: the role they have or shall have may do what the caller may not; ERR_CONFLICT: the last owner,
 * or changed meanwhile. Invitations they made that still wait go. */
MUST_CHECK enum err member_role(struct call *c, const char *account_id, const char *role, struct member *out);
/* As member_role; everybody may leave, whatever their role. end_keys: the API keys they made stop working too. */
MUST_CHECK enum err member_remove(struct call *c, const char *account_id, bool end_keys);
MUST_CHECK enum err invitation_remove(struct call *c, const char *id);
#endif

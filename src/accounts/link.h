/* accounts/link.h — one-time links sent by mail: a sign-in, an invitation, a new password, a confirmed address. A link holds 256
 * random bits; only their SHA-256 is stored. It is good once, also when two come with it at the same moment. Any thread.
 *     e = link_ask(c, &(struct link_ask){ .email = e, .purpose = LINK_SIGN_IN });              // same time for every address
 *     e = link_invite(c, &(struct link_invitation){ .creator_id = "c1", .email = e, .role = "editor" }, &link, &expires_ms);  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LINK_H
#define CHIRON_ACCOUNTS_LINK_H
#include "base/call.h"

enum link_purpose { LINK_SIGN_IN, LINK_INVITE, LINK_PASSWORD, LINK_VERIFY, LINK_PURPOSES };
/* "sign_in", "invite", "password", "verify": static. And back: LINK_PURPOSES for no such word. */
const char       *link_word(enum link_purpose p);
enum link_purpose link_of(const char *word);

struct link_ask {
    const char       *email;        /* as email_check gives it */
    enum link_purpose purpose;      /* not LINK_INVITE */
    const char       *creator_id;   /* with LINK_SIGN_IN: a person that this creator coaches; NULL: an account */
    const char       *language;     /* "es", "en-GB,en;q=0.9" …: an Accept-Language; NULL: English */
};
/* Asks for a link to be mailed, if there is somebody to mail it to; that is found out later, on another thread, so nothing here
 * tells. ERR_BUSY: no mail server is set up (retry_after_s 0), or too many wait. */
MUST_CHECK enum err link_ask(struct call *c, const struct link_ask *a);

struct link_invitation {
    const char *creator_id, *creator_name;
    const char *email;              /* as email_check gives it */
    const char *role;
    const char *created_by;         /* account or key; NULL: the command line */
    const char *language;           /* as above */
};
/* Makes the row of an invitation, in the place of an earlier one of this creator to this address, and mails it. Without a mail
 * server *link_out is the address to hand over (in c->mem); else NULL. id_out: "inv_…" in c->mem. ERR_RATE_LIMITED: this address was
 * written to often already. */
MUST_CHECK enum err link_invite(struct call *c, const struct link_invitation *i, const char **id_out, const char **link_out,
                                int64_t *expires_ms_out);

/* A link that can be redeemed, without using it. ERR_UNAUTHENTICATED: wrong, used or too old. All in c->mem. */
struct link {
    enum link_purpose purpose;
    const char       *hash;         /* its name in the table */
    const char       *creator_id, *account_id, *role;   /* each may be NULL */
    const char       *email;
    bool              mailed;       /* it went to that address and nowhere else: who holds it reads that mailbox */
    bool              spent;        /* by link_spend of this one */
};
MUST_CHECK enum err link_read(struct call *c, const char *token, struct link *out);
/* Uses it. ERR_UNAUTHENTICATED: somebody was faster. */
MUST_CHECK enum err link_spend(struct call *c, struct link *l);
/* Gives it back after what it was spent on failed. */
MUST_CHECK enum err link_unspend(struct call *c, const struct link *l);
/* A link of this account that signs it in within five minutes, not mailed: for a sign-in elsewhere that wants a second factor. */
MUST_CHECK enum err link_for_account(struct call *c, const char *account_id, const char *email, const char **token_out);
/* Where the page redeems a link: PUBLIC_URL + "/#/link=TOKEN", in c->mem. */
const char *link_address(struct call *c, const char *token);
#endif

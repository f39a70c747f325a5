/* Links in mails. Whoever asks for one is told the same, in the same time, whatever the address is: the request only queues the
 * asking, and what is known of the address is looked up beside it. A link opens one thing, once. It refuses to fill
 * anybody's mailbox: a few mails an address and quarter of an hour, whoever asks. */
/* SPDX-License-Identifier: MIT */
#include "accounts/link.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/account.h"
#include "accounts/creator_settings.h"
#include "accounts/link_store.h"
#include "accounts/mail.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/store.h"

#define TOKEN_RANDOM_BYTES 32
#define TOKEN_TEXT_BYTES   43          /* of 32 bytes in base64url */
#define LIVE_MAX           5           /* links of one address that are good at a time */
#define SENT_MAX           3           /* mails to one address … */
#define SENT_WINDOW_MS     (15 * 60 * 1000)   /* … in this time */
#define ELSEWHERE_MS       (5 * 60 * 1000)

static const struct {
    const char *word;
    int64_t     lives_ms;
} purposes[LINK_PURPOSES] = {
    [LINK_SIGN_IN] = { "sign_in", 15 * 60 * 1000 },
    [LINK_INVITE] = { "invite", 7 * 24 * 3600 * 1000LL },
    [LINK_PASSWORD] = { "password", 3600 * 1000 },
    [LINK_VERIFY] = { "verify", 24 * 3600 * 1000 },
};

const char *link_word(enum link_purpose p)
{
    return purposes[p].word;
}

enum link_purpose link_of(const char *word)
{
    int p = 0;
    while (p < LINK_PURPOSES && strcmp(purposes[p].word, word)) p++;
    return (enum link_purpose)p;
}

const char *link_address(struct call *c, const char *token)
{
    return arena_printf(&c->mem, "%s/#/link=%s", public_url(), token);
}

/* Adds a row for a fresh secret; *token is NULL when the address has had its mails. */
static enum err add(struct call *c, struct link_row *row, int64_t lives_ms, const char **token)
{
    unsigned char raw[TOKEN_RANDOM_BYTES];
    char          hash[65], *text = arena_alloc(&c->mem, TOKEN_TEXT_BYTES + 1);
    bool          added = false;
    id_random(raw, sizeof raw);
    sodium_bin2base64(text, TOKEN_TEXT_BYTES + 1, raw, sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(raw, sizeof raw);
    row->hash = id_sha256_hex(text, TOKEN_TEXT_BYTES, hash);
    row->created_ms = clock_unix_ms();
    row->expires_ms = row->created_ms + lives_ms;
    enum err e = link_row_add(c, row, LIVE_MAX, SENT_MAX, row->created_ms - SENT_WINDOW_MS, &added);
    if (!e) *token = added ? text : NULL;
    return e;
}

/* ---- asking for one ---- */

struct asked {
    enum link_purpose purpose;
    char             *email, *creator_id, *language;
};

static void asked_free(struct asked *a)
{
    free(a->email);
    free(a->creator_id);
    free(a->language);
    free(a);
}

/* Who is behind the address: fills the row's account, or leaves *wanted false. */
static enum err look_up(struct call *c, const struct asked *a, struct link_row *row, const char **name, bool *wanted)
{
    if (a->creator_id) {
        struct creator_settings s;
        enum err e = tenant_open(c, a->creator_id);
        if (!e) e = creator_settings_get(c, &s);
        if (e == ERR_NOT_FOUND) {
            call_forgive(c);
            return OK;
        }
        if (e || !s.email_users) return e;
        row->creator_id = a->creator_id;
        *name = s.name;
        *wanted = true;
        return OK;
    }
    struct account account;
    enum err e = account_of_email(c, a->email, &account);
    if (e) return e == ERR_NOT_FOUND ? OK : e;
    row->account_id = account.id;
    *wanted = account.active && (a->purpose != LINK_VERIFY || !account.email_verified);
    return OK;
}

static void answer(struct call *c, void *arg)
{
    struct asked   *a = arg;
    struct link_row row = { .purpose = link_word(a->purpose), .email = a->email, .mailed = true };
    const char     *name = "Chiron", *token = NULL;
    bool            wanted = false;
    enum err        e = c ? look_up(c, a, &row, &name, &wanted) : OK;
    if (wanted && !e) e = add(c, &row, purposes[a->purpose].lives_ms, &token);
    if (token)
        e = mail_put(c, &(struct mail){ .to = a->email, .words = row.purpose, .language = a->language,
                                        .values = (const struct mail_value[]){ { "name", name }, { "link", link_address(c, token) }, { NULL, NULL } } });
    if (c && wanted && !e && !token) log_info(c, "an address has had its mails for now", "purpose", row.purpose, NULL);
    if (e) log_error(c, "a link was not mailed", "purpose", row.purpose, "error", c->err_text, NULL);
    if (c) tenant_release(c);
    asked_free(a);
}

static char *copy(const char *s)
{
    char *p = s ? strdup(s) : NULL;
    if (s && !p) abort();
    return p;
}

enum err link_ask(struct call *c, const struct link_ask *a)
{
    struct asked *copied = malloc(sizeof *copied);
    if (!copied) abort();
    *copied = (struct asked){ a->purpose, copy(a->email), copy(a->creator_id), copy(a->language) };
    enum err e = mail_task(c, answer, copied);
    if (e) asked_free(copied);
    return e;
}

/* ---- invitations and others ---- */

enum err link_invite(struct call *c, const struct link_invitation *i, const char **id_out, const char **link_out, int64_t *expires_ms_out)
{
    char            id[ID_BYTES];
    const char     *token = NULL, *address = NULL;
    struct link_row row = { .id = id_new("inv", id), .purpose = link_word(LINK_INVITE), .creator_id = i->creator_id, .email = i->email,
                            .role = i->role, .created_by = i->created_by, .mailed = mail_ready() };
    enum err        e = add(c, &row, purposes[LINK_INVITE].lives_ms, &token);
    if (!e && !token) {
        c->retry_after_s = SENT_WINDOW_MS / 1000;
        e = fail(c, ERR_RATE_LIMITED, "this address has had %d mails from here in the last quarter of an hour", SENT_MAX);
    }
    if (e) return e;
    address = link_address(c, token);
    if (row.mailed)
        e = mail_put(c, &(struct mail){ .to = i->email, .words = row.purpose, .language = i->language,
                                        .values = (const struct mail_value[]){ { "name", i->creator_name }, { "role", i->role }, { "link", address }, { NULL, NULL } } });
    if (e) return e;
    *id_out = arena_strdup(&c->mem, id);
    *link_out = row.mailed ? NULL : address;
    *expires_ms_out = row.expires_ms;
    return OK;
}

enum err link_for_account(struct call *c, const char *account_id, const char *email, const char **token_out)
{
    struct link_row row = { .purpose = link_word(LINK_SIGN_IN), .account_id = account_id, .email = email };
    return add(c, &row, ELSEWHERE_MS, token_out);
}

/* ---- redeeming ---- */

static enum err refuse(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "this link is wrong, was used already or is too old");
}

enum err link_read(struct call *c, const char *token, struct link *out)
{
    char            hash[65];
    struct link_row row;
    if (strlen(token) != TOKEN_TEXT_BYTES) return refuse(c);
    enum err e = link_row_get(c, id_sha256_hex(token, TOKEN_TEXT_BYTES, hash), &row);
    if (e == ERR_NOT_FOUND) return refuse(c);
    if (e) return e;
    enum link_purpose purpose = link_of(row.purpose);
    if (purpose == LINK_PURPOSES) return fail(c, ERR_CORRUPT, "a mail link has the unknown purpose \"%.20s\"", row.purpose);
    *out = (struct link){ purpose, row.hash, row.creator_id, row.account_id, row.role, row.email, row.mailed, false };
    return OK;
}

enum err link_spend(struct call *c, struct link *l)
{
    bool     won = false;
    enum err e = link_row_use(c, l->hash, &won);
    if (!e) l->spent = won;
    return e ? e : won ? OK : refuse(c);
}

enum err link_unspend(struct call *c, const struct link *l)
{
    return link_row_unuse(c, l->hash);
}

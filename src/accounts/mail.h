/* accounts/mail.h — mails to people, sent beside the requests by threads of their own. The queue is bounded and lives in memory:
 * a link's secret is nowhere on disk. A mail that cannot be sent is tried MAIL_TRIES times, then logged and counted. Any thread.
 *     e = mail_put(c, &(struct mail){ .to = email, .words = "sign_in", .language = "es", .values = (const struct mail_value[]){
 *                  { "link", link }, { NULL, NULL } } });                                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_MAIL_H
#define CHIRON_ACCOUNTS_MAIL_H
#include "base/call.h"
#include "base/conf.h"

#define MAIL_TRIES 4

extern const struct setting mail_settings[];   /* MAIL_URL, MAIL_FROM, MAIL_TLS, MAIL_CA_FILE, PUBLIC_URL */

/* Checks the settings and starts the threads when MAIL_URL is set. ERR_INVALID: MAIL_URL without MAIL_FROM or PUBLIC_URL, or
 * one of them malformed. */
MUST_CHECK enum err mail_open(struct call *c);
/* Sends what waits for its first try within a few seconds, drops the rest (logged) and ends the threads. */
void mail_close(void);
bool mail_ready(void);             /* there is a server to send by */
const char *public_url(void);      /* PUBLIC_URL without a slash at its end; "" when unset */
bool url_is_loopback(const char *url);   /* does its host mean this machine by name or number? */

struct mail_value { const char *name, *value; };
struct mail {
    const char              *to;         /* an address */
    const char              *words;      /* mails/WORDS.LANGUAGE.txt: "Subject: …", an empty line, the text */
    const char              *language;   /* an Accept-Language; NULL or none of ours: English */
    const struct mail_value *values;     /* for {name} in the words; ended by a NULL name */
};
/* Queues a copy. ERR_BUSY: nothing is set up (retry_after_s 0), or the queue is full. */
MUST_CHECK enum err mail_put(struct call *c, const struct mail *m);
/* Tells somebody what was changed about their account: mails/notice_WHAT.*.txt. with: the name of an issuer, may be NULL. It holds nobody
 * up: without a mail server nothing happens, and with a full queue it is logged. */
void mail_notice(struct call *c, const char *to, const char *what, const char *with, const char *language);
/* Queues work that ends in mail_put: run is called once with a call of its own, on a thread that may wait; it frees arg, also
 * when the queue is closed before (c is then NULL). ERR_BUSY: as above, arg stays the caller's. */
MUST_CHECK enum err mail_task(struct call *c, void (*run)(struct call *c, void *arg), void *arg);
#endif

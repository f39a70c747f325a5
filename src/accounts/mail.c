/* Mails leave beside the requests: a request only puts something into a bounded list, so how long a mail server takes, and
 * whether there was anybody to write to, shows to nobody. The list lives in memory because what it holds are secrets of links,
 * and those are kept nowhere; a restart loses links that were asked for a moment ago, and people ask again. A server's "not
 * now" is tried again a few times, its "never" is believed. It refuses to start half set up. */
/* SPDX-License-Identifier: MIT */
#include "accounts/mail.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/assets.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/id.h"
#include "base/log.h"
#include "base/message.h"
#include "base/metric.h"
#include "base/punycode.h"

#define MAIL_THREADS   2
#define DRAIN_MS       5000
#define LANGUAGE_BYTES 200       /* of an Accept-Language that is looked at */

const struct setting mail_settings[] = {
    { "MAIL_URL", NULL, "smtp://USER:PASSWORD@HOST:587 or smtps://HOST: the server that takes our mails; unset: no mails",
      SETTING_SECRET, 0, 0 },
    { "MAIL_FROM", NULL, "who the mails are from: an address, or NAME <ADDRESS>", 0, 0, 0 },
    { "MAIL_TLS", "auto", "auto: smtp:// is encrypted (STARTTLS) unless the server is this machine; off: when the server can", 0, 0, 0 },
    { "MAIL_CA_FILE", NULL, "PEM file of who may vouch for the mail server; unset: the system's list", 0, 0, 0 },
    { "PUBLIC_URL", NULL, "how people reach this server from outside: https://coach.example.org", 0, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

/* How long to wait before the next try. */
static const int again_ms[MAIL_TRIES] = { 0, 5000, 30000, 120000 };

struct item {
    struct item *next;
    void (*run)(struct call *c, void *arg);   /* a task; else a mail */
    void   *arg;
    char   *to, *subject, *text;
    char    language[4];
    int     tries;
    int64_t due_ms;                           /* monotonic */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    pthread_t       threads[MAIL_THREADS];
    int             running;
    struct item    *first, **last;
    int             waiting;
    bool            ready, plain_allowed;
    int64_t         drain_until_ms;
    atomic_bool     closing, stop;   /* closing is set under the lock */
    char            from[LIMIT_EMAIL_BYTES + 1], from_name[LIMIT_NAME_BYTES + 1], public_url[512];
} box = { .lock = PTHREAD_MUTEX_INITIALIZER };

bool mail_ready(void)
{
    return box.ready;
}

const char *public_url(void)
{
    return box.public_url;
}

/* ---- settings ---- */

/* The host of an address with scheme: where it begins, and its length. */
static const char *host_of(const char *url, size_t *n)
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t      rest = strcspn(p, "/?#");
    const char *at = memrchr(p, '@', rest);
    if (at) {
        rest -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    *n = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/?#");
    if (*n > rest) *n = rest;
    return p;
}

bool url_is_loopback(const char *url)
{
    size_t      n;
    const char *host = host_of(url, &n);
    return (n == 9 && !strncasecmp(host, "localhost", 9)) || (n == 5 && !strncmp(host, "[::1]", 5)) ||
           (n > 4 && !strncmp(host, "127.", 4) && strspn(host, "0123456789.") == n);
}

static enum err read_public_url(struct call *c)
{
    const char *url = conf_text("PUBLIC_URL");
    box.public_url[0] = '\0';
    if (!url || !*url) return OK;
    size_t n = strlen(url), host;
    host_of(url, &host);
    bool https = !strncmp(url, "https://", 8), http = !strncmp(url, "http://", 7);
    if ((!https && !http) || !host || n >= sizeof box.public_url || strpbrk(url, "?#@ <>\"'\\") || strspn(url, " ") ||
        n != strcspn(url, "\r\n\t"))
        return fail_field(c, "PUBLIC_URL", "PUBLIC_URL is http:// or https:// and a host, perhaps a path, and nothing behind it");
    while (n && url[n - 1] == '/') n--;
    memcpy(box.public_url, url, n);
    box.public_url[n] = '\0';
    return OK;
}

/* "NAME <ADDRESS>" or an address alone. */
static enum err read_from(struct call *c)
{
    const char *from = conf_text("MAIL_FROM");
    const char *open = strrchr(from, '<'), *close = open ? strchr(open, '>') : NULL;
    const char *address = open && close ? open + 1 : from;
    size_t      n = open && close ? (size_t)(close - address) : strlen(from), name = open && close ? (size_t)(open - from) : 0;
    while (name && (from[name - 1] == ' ' || from[name - 1] == '"')) name--;
    if (name && *from == '"') {
        from++;
        name--;
    }
    const char *at = memchr(address, '@', n);
    if (!at || at == address || at + 1 == address + n || n >= sizeof box.from || name >= sizeof box.from_name ||
        memchr(address, ' ', n) || (close && close[1]))
        return fail_field(c, "MAIL_FROM", "MAIL_FROM is an address, or NAME <ADDRESS>");
    memcpy(box.from, address, n);
    box.from[n] = '\0';
    memcpy(box.from_name, from, name);
    box.from_name[name] = '\0';
    return OK;
}

static enum err read_settings(struct call *c)
{
    enum err e = read_public_url(c);
    if (e) return e;
    const char *url = conf_text("MAIL_URL"), *from = conf_text("MAIL_FROM"), *tls = conf_text("MAIL_TLS");
    if (strcmp(tls, "auto") && strcmp(tls, "off")) return fail_field(c, "MAIL_TLS", "MAIL_TLS is auto or off, not \"%.20s\"", tls);
    box.ready = false;
    if (!url || !*url) return OK;
    if (strncmp(url, "smtp://", 7) && strncmp(url, "smtps://", 8))
        return fail_field(c, "MAIL_URL", "MAIL_URL begins with smtp:// or smtps://");
    if (!from || !*from) return fail_field(c, "MAIL_FROM", "MAIL_URL is set, so MAIL_FROM is needed");
    if (!box.public_url[0]) return fail_field(c, "PUBLIC_URL", "MAIL_URL is set, so PUBLIC_URL is needed: mails hold links to it");
    box.plain_allowed = !strncmp(url, "smtp://", 7) && (!strcmp(tls, "off") || url_is_loopback(url));
    return read_from(c);
}

/* ---- words ---- */

/* Which of our languages an Accept-Language likes best. */
static const char *language_of(const char *accept)
{
    static const char *const ours[] = { "en", "es" };
    const char *best = ours[0];
    double      most = 0;
    for (const char *p = accept ? accept : ""; *p && p - accept < LANGUAGE_BYTES;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ",");
        const char *q = memmem(p, n, ";q=", 3);
        double weight = q ? strtod(q + 3, NULL) : 1;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            if (n >= 2 && !strncasecmp(p, ours[i], 2) && (n == 2 || strchr("-;, ", p[2])) && weight > most) {
                best = ours[i];
                most = weight;
            }
        p += n;
    }
    return best;
}

static void fill(struct buf *b, const char *text, size_t n, const struct mail_value *values)
{
    for (const char *p = text, *end = text + n; p < end;) {
        const char *open = memchr(p, '{', (size_t)(end - p)), *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (!close) {
            buf_add(b, p, (size_t)(end - p));
            return;
        }
        buf_add(b, p, (size_t)(open - p));
        const struct mail_value *v = values;
        size_t                   len = (size_t)(close - open) - 1;
        while (v->name && !(strlen(v->name) == len && !memcmp(v->name, open + 1, len))) v++;
        if (!v->name) {
            fprintf(stderr, "mail: no value for {%.*s}\n", (int)len, open + 1);
            abort();
        }
        buf_adds(b, v->value ? v->value : "");
        p = close + 1;
    }
}

static enum err write_words(struct call *c, const struct mail *m, struct item *to)
{
    static const char subject[] = "Subject: ";
    snprintf(to->language, sizeof to->language, "%s", language_of(m->language));
    const struct asset *a = asset_find(arena_printf(&c->mem, "mails/%s.%s.txt", m->words, to->language));
    const char *line = a ? memchr(a->data, '\n', a->len) : NULL, *text = a ? (const char *)a->data : NULL;
    if (!line || strncmp(text, subject, strlen(subject))) {
        fprintf(stderr, "mail: mails/%s.%s.txt is not built in, or has no subject\n", m->words, to->language);
        abort();
    }
    struct buf b;
    buf_init(&b, LIMIT_MAIL_BYTES / 2);
    fill(&b, text + strlen(subject), (size_t)(line - text) - strlen(subject), m->values);
    bool whole = !b.failed;
    to->subject = buf_take(&b, NULL);
    buf_init(&b, LIMIT_MAIL_BYTES / 2);
    fill(&b, line + 2, a->len - (size_t)(line + 2 - text), m->values);
    whole = whole && !b.failed;
    to->text = buf_take(&b, NULL);
    return whole ? OK : fail(c, ERR_TOO_LARGE, "the mail is over %d bytes", LIMIT_MAIL_BYTES / 2);
}

/* ---- the list ---- */

static void item_free(struct item *it)
{
    if (it->run) it->run(NULL, it->arg);
    free(it->to);
    free(it->subject);
    /* It holds a link's secret. */
    if (it->text) explicit_bzero(it->text, strlen(it->text));
    free(it->text);
    free(it);
}

static struct item *item_new(void)
{
    struct item *it = calloc(1, sizeof *it);
    if (!it) abort();
    return it;
}

/* Under the lock. */
static void append(struct item *it)
{
    it->next = NULL;
    *box.last = it;
    box.last = &it->next;
    box.waiting++;
    pthread_cond_signal(&box.wake);
}

/* Takes it when there is room. What a task puts may go over the bound by one per thread: it stood in the list itself. */
static enum err put(struct call *c, struct item *it, int more)
{
    if (!box.ready) return fail(c, ERR_BUSY, "no mail server is set up here");
    pthread_mutex_lock(&box.lock);
    bool room = box.running && !box.closing && box.waiting < LIMIT_MAIL_QUEUE + more;
    if (room) append(it);
    pthread_mutex_unlock(&box.lock);
    if (room) return OK;
    c->retry_after_s = 10;
    return fail(c, ERR_BUSY, "too many mails are waiting to be sent");
}

enum err mail_put(struct call *c, const struct mail *m)
{
    struct item *it = item_new();
    enum err     e = write_words(c, m, it);
    it->to = strdup(m->to);
    if (!it->to) abort();
    if (!e) e = put(c, it, MAIL_THREADS);
    if (e) item_free(it);
    return e;
}

void mail_notice(struct call *c, const char *to, const char *what, const char *with, const char *language)
{
    if (!box.ready) return;
    /* What was changed stays changed: the call must not remember that its mail found no place. */
    struct call mine;
    call_init(&mine);
    memcpy(mine.log_id, c->log_id, sizeof mine.log_id);
    enum err e = mail_put(&mine, &(struct mail){ .to = to, .words = arena_printf(&mine.mem, "notice_%s", what), .language = language,
                                                 .values = (const struct mail_value[]){ { "name", "Chiron" }, { "url", box.public_url }, { "issuer", with }, { NULL, NULL } } });
    if (e) log_warn(&mine, "a notice was not mailed", "what", what, "error", mine.err_text, NULL);
    call_dispose(&mine);
}

enum err mail_task(struct call *c, void (*run)(struct call *c, void *arg), void *arg)
{
    struct item *it = item_new();
    it->run = run;
    it->arg = arg;
    enum err e = put(c, it, 0);
    if (e) {
        it->run = NULL;
        item_free(it);
    }
    return e;
}

/* ---- sending ---- */

static enum err send_item(struct call *c, const struct item *it, bool *permanent)
{
    const char *to = it->to, *bytes = NULL, *host = NULL;
    const char *at = strrchr(to, '@');
    size_t      n = 0;
    char        id[ID_BYTES];
    if (!at) return fail(c, ERR_INVALID, "no address");
    enum err e = punycode_host(c, at + 1, &host);
    if (!e) to = arena_printf(&c->mem, "%.*s@%s", (int)(at - to), to, host);
    if (!e)
        e = message_write(c, &(struct message){ .from = box.from, .from_name = box.from_name, .to = to, .subject = it->subject, .text = it->text,
                                                .language = it->language, .id = id_new("mail", id), .at_ms = clock_unix_ms() }, &bytes, &n);
    if (e) {
        *permanent = true;
        return e;
    }
    const char *ca = conf_text("MAIL_CA_FILE");
    return fetch_mail(c, &(struct mail_opts){ .url = conf_text("MAIL_URL"), .from = box.from, .to = to, .message = bytes, .message_len = n,
                                              .ca_file = ca && *ca ? ca : NULL, .plain_allowed = box.plain_allowed }, permanent);
}

/* Sends it, or says when to try again; true when it is over either way. */
static bool work(struct item *it)
{
    struct call c;
    call_init(&c);
    c.stop = &box.stop;
    id_new("mail", c.log_id);
    bool over = true;
    if (it->run) {
        it->run(&c, it->arg);
        it->run = NULL;
    } else {
        bool     permanent = false;
        enum err e = send_item(&c, it, &permanent);
        it->tries++;
        over = !e || permanent || it->tries >= MAIL_TRIES || box.closing;
        if (!over) it->due_ms = clock_mono_ms() + again_ms[it->tries];
        metric_add("chiron_mails_total", !e ? "outcome=\"sent\"" : over ? "outcome=\"failed\"" : "outcome=\"again\"", 1);
        if (e)
            log_event(over ? LOG_ERROR : LOG_WARN, &c, over ? "a mail was not sent" : "a mail will be sent later", "error", c.err_text,
                      "tries", log_int(&c, it->tries), NULL);
    }
    call_dispose(&c);
    return over;
}

/* Under the lock: the next one that is due, taken out; else how long until one is. */
static struct item *take(int64_t *wait_ms)
{
    int64_t now = clock_mono_ms();
    *wait_ms = 60000;
    for (struct item **at = &box.first; *at; at = &(*at)->next) {
        struct item *it = *at;
        if (it->due_ms > now || (box.closing && it->tries)) {
            if (it->due_ms - now < *wait_ms) *wait_ms = it->due_ms - now;
            continue;
        }
        *at = it->next;
        if (box.last == &it->next) box.last = at;
        box.waiting--;
        return it;
    }
    return NULL;
}

static void *run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&box.lock);
    for (;;) {
        int64_t      wait_ms = 0;
        bool         late = box.closing && clock_mono_ms() >= box.drain_until_ms;
        struct item *it = late ? NULL : take(&wait_ms);
        if (!it && box.closing) break;
        if (!it) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += wait_ms / 1000;
            until.tv_nsec += wait_ms % 1000 * 1000000 + 1000000;
            if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
            }
            pthread_cond_timedwait(&box.wake, &box.lock, &until);
            continue;
        }
        pthread_mutex_unlock(&box.lock);
        bool over = work(it);
        pthread_mutex_lock(&box.lock);
        if (!over && !box.closing) {
            append(it);
            continue;
        }
        pthread_mutex_unlock(&box.lock);
        item_free(it);
        pthread_mutex_lock(&box.lock);
    }
    pthread_mutex_unlock(&box.lock);
    return NULL;
}

enum err mail_open(struct call *c)
{
    enum err e = read_settings(c);
    if (e || !conf_text("MAIL_URL") || !*conf_text("MAIL_URL")) return e;
    metric_describe("chiron_mails_total", 'c', "Tries to send a mail, by outcome: sent, again (a later try follows), failed.");
    /* Waits are counted on the clock that nobody sets. */
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box.wake, &attr);
    pthread_condattr_destroy(&attr);
    box.first = NULL;
    box.last = &box.first;
    box.waiting = box.running = 0;
    box.closing = false;
    atomic_store(&box.stop, false);
    while (box.running < MAIL_THREADS && !pthread_create(&box.threads[box.running], NULL, run, NULL)) box.running++;
    if (!box.running) {
        pthread_cond_destroy(&box.wake);
        return fail(c, ERR_INTERNAL, "no thread to send mails");
    }
    box.ready = true;
    return OK;
}

void mail_close(void)
{
    if (!box.ready) return;
    struct timespec until;
    pthread_mutex_lock(&box.lock);
    box.closing = true;
    box.drain_until_ms = clock_mono_ms() + DRAIN_MS;
    pthread_cond_broadcast(&box.wake);
    pthread_mutex_unlock(&box.lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_MS / 1000;
    for (int i = 0; i < box.running; i++) {
        if (!pthread_timedjoin_np(box.threads[i], NULL, &until)) continue;
        atomic_store(&box.stop, true);
        pthread_join(box.threads[i], NULL);
    }
    int lost = 0;
    for (struct item *it = box.first, *next; it; it = next, lost++) {
        next = it->next;
        item_free(it);
    }
    char n[16];
    snprintf(n, sizeof n, "%d", lost);
    if (lost) log_warn(NULL, "mails were not sent before the end", "count", n, NULL);
    box.first = NULL;
    box.waiting = box.running = 0;
    box.ready = false;
    pthread_cond_destroy(&box.wake);
}

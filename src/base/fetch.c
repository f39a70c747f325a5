/* base/fetch.c — HTTP and mail to others through libcurl. Each thread keeps one multi handle, whose connection cache is what
 * makes the second request to a provider cheap; the multi interface is used for one transfer at a time because only it
 * lets a wait be cut short. Certificates are always verified, redirects never followed, proxies only as the
 * environment says. Retrying is the caller's business: only it knows whether a request may be repeated. */
/* SPDX-License-Identifier: MIT */
#include "base/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { FETCH_TAG_BYTES = 256, FETCH_URL_BYTES = 8192 };
enum { MAIL_REPLY_S = 20 };        /* the most a mail server may think about one command */
enum { POLL_MS = 50, CONNECT_MS = 10000, STREAM_ERROR_BYTES = 64 * 1024 };

struct transfer {
    struct call             *c;
    const struct fetch_opts *o;
    CURL                    *easy;
    struct buf               body;
    size_t                   seen_bytes, max_bytes;
    int                      file;          /* -1 until the first byte is written */
    int64_t                  last_byte_ms;
    bool                     ended_by_caller, too_large, cannot_write, unwanted, wrong_range;
    int                      write_errno;
    int                      retry_after_s;
    char                     etag[FETCH_TAG_BYTES], linked_etag[FETCH_TAG_BYTES], location[FETCH_URL_BYTES];
    int64_t                  range_from;    /* of a 206; -1: not said */
};

static pthread_key_t  per_thread;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void thread_ends(void *multi)
{
    curl_multi_cleanup(multi);
}

/* A peer that hangs up while it is written to must not end the process; curl leaves that to its caller. */
static void open_once(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || pthread_key_create(&per_thread, thread_ends)) abort();
}

void fetch_open(void)
{
    pthread_once(&once, open_once);
}

/* Other threads have ended by now and freed their own; the calling thread's is freed here. */
void fetch_close(void)
{
    pthread_once(&once, open_once);
    CURLM *m = pthread_getspecific(per_thread);
    if (m) curl_multi_cleanup(m);
    pthread_setspecific(per_thread, NULL);
}

static CURLM *thread_multi(void)
{
    CURLM *m = pthread_getspecific(per_thread);
    if (m) return m;
    m = curl_multi_init();
    if (!m) abort();
    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, 4L);
    pthread_setspecific(per_thread, m);
    return m;
}

static long status_of(const struct transfer *t)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* 206 continues the file; anything else in 2xx is the whole thing again. */
static bool open_file(struct transfer *t, long status)
{
    if (t->file >= 0) return true;
    bool append = t->o->resume_from > 0 && status == 206;
    t->file = open(t->o->to_file, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0600);
    t->write_errno = errno;
    return t->file >= 0;
}

static bool write_file(struct transfer *t, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(t->file, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            t->write_errno = errno;
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* What is known to become too large, or is not wanted, ends before a byte of it is written. n: bytes about to be. */
static bool progress(struct transfer *t, long status, size_t n)
{
    int64_t before = t->o->resume_from > 0 && status == 206 ? t->o->resume_from : 0;
    curl_off_t body = -1;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &body);
    if (body > 0 && (uint64_t)body > t->max_bytes) {
        t->too_large = true;
        return false;
    }
    if (!t->o->on_progress) return true;
    t->unwanted = !t->o->on_progress(t->o->arg, before + (int64_t)(t->seen_bytes - n), body < 0 ? -1 : before + (int64_t)body, t->etag);
    return !t->unwanted;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t n = size * count;
    long   status = status_of(t);
    bool   good = status >= 200 && status < 300;
    t->last_byte_ms = clock_mono_ms();
    if (n > t->max_bytes - t->seen_bytes) {
        t->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    t->seen_bytes += n;
    if (good && t->o->to_file) {
        if (t->o->resume_from > 0 && status == 206 && t->range_from != t->o->resume_from) {
            t->wrong_range = true;
            return CURL_WRITEFUNC_ERROR;
        }
        if (!progress(t, status, n)) return CURL_WRITEFUNC_ERROR;
        if (!open_file(t, status) || !write_file(t, p, n)) {
            t->cannot_write = true;
            return CURL_WRITEFUNC_ERROR;
        }
    } else if (good && t->o->on_data) {
        if (!t->o->on_data(t->o->arg, p, n)) {
            t->ended_by_caller = true;
            return CURL_WRITEFUNC_ERROR;
        }
    } else if (t->o->to_file || t->o->on_data) {
        size_t room = STREAM_ERROR_BYTES - t->body.len;
        buf_add(&t->body, p, n < room ? n : room);
    } else {
        buf_add(&t->body, p, n);
    }
    return n;
}

/* A header that is too long for its place is one that was not sent. */
static void take_header(const char *line, size_t n, const char *name, char *to, size_t room)
{
    size_t skip = strlen(name);
    if (n <= skip || strncasecmp(line, name, skip)) return;
    while (skip < n && (line[skip] == ' ' || line[skip] == '\t')) skip++;
    while (n > skip && strchr("\r\n\t ", line[n - 1])) n--;
    if (n - skip >= room) return;
    memcpy(to, line + skip, n - skip);
    to[n - skip] = 0;
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t n = size * count;
    static const char name[] = "retry-after:";
    char range[80] = "";
    t->last_byte_ms = clock_mono_ms();
    if (n >= 5 && !strncasecmp(p, "HTTP/", 5)) {
        t->retry_after_s = -1;
        t->range_from = -1;
        t->etag[0] = t->linked_etag[0] = t->location[0] = 0;
    }
    take_header(p, n, "etag:", t->etag, sizeof t->etag);
    take_header(p, n, "x-linked-etag:", t->linked_etag, sizeof t->linked_etag);
    take_header(p, n, "location:", t->location, sizeof t->location);
    take_header(p, n, "content-range:", range, sizeof range);
    if (!strncasecmp(range, "bytes ", 6)) t->range_from = strtoll(range + 6, NULL, 10);
    if (n <= sizeof name - 1 || strncasecmp(p, name, sizeof name - 1)) return n;
    char value[64];
    snprintf(value, sizeof value, "%.*s", (int)(n - (sizeof name - 1)), p + sizeof name - 1);
    char *from = value + strspn(value, " \t"), *end;
    long  s = strtol(from, &end, 10);
    if (end > from && s >= 0) {
        t->retry_after_s = s > 86400 ? 86400 : (int)s;
    } else {
        time_t at = curl_getdate(from, NULL), now = time(NULL);
        if (at >= 0) t->retry_after_s = at <= now ? 0 : at - now > 86400 ? 86400 : (int)(at - now);
    }
    return n;
}

static struct curl_slist *header_list(const struct fetch_opts *o)
{
    /* Without the empty Expect a provider may be waited for a second before a body over 1 KiB is sent. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (const char *const *h = o->headers; list && h && *h; h++) list = curl_slist_append(list, *h);
    if (!list) abort();
    return list;
}

static void set_options(struct transfer *t, struct curl_slist *headers)
{
    const struct fetch_opts *o = t->o;
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_URL, o->url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "chiron");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    if (o->body) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, o->body);
    }
    if (o->method && !strcmp(o->method, "HEAD")) curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (o->method && !o->body && !strcmp(o->method, "POST")) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
    } else if (o->method && strcmp(o->method, "GET") && strcmp(o->method, "POST"))
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, o->method);
    if (o->resume_from > 0) {
        char range[40];
        snprintf(range, sizeof range, "%lld-", (long long)o->resume_from);
        curl_easy_setopt(e, CURLOPT_RANGE, range);
    }
}

/* Drives the transfer to its end. OK: curl has a verdict, in *code. */
static enum err drive(struct transfer *t, CURLM *m, int64_t timeout_ms, CURLcode *code)
{
    struct call *c = t->c;
    int64_t end_ms = clock_mono_ms() + timeout_ms;
    t->last_byte_ms = clock_mono_ms();
    for (;;) {
        int running, left;
        CURLMcode mc = curl_multi_perform(m, &running);
        if (mc) return fail(c, ERR_UPSTREAM, "transfer failed: %s", curl_multi_strerror(mc));
        for (CURLMsg *msg; (msg = curl_multi_info_read(m, &left));) {
            if (msg->msg != CURLMSG_DONE || msg->easy_handle != t->easy) continue;
            *code = msg->data.result;
            return OK;
        }
        enum err e = call_check(c);
        if (e) return e;
        int64_t now = clock_mono_ms(), wait = end_ms - now;
        if (wait <= 0) return fail(c, ERR_TIMEOUT, "no complete answer within %lld ms", (long long)timeout_ms);
        if (t->o->idle_ms && now - t->last_byte_ms >= t->o->idle_ms)
            return fail(c, ERR_TIMEOUT, "no data for %lld ms", (long long)t->o->idle_ms);
        if (wait > POLL_MS) wait = POLL_MS;
        curl_multi_poll(m, NULL, 0, (int)wait, NULL);
    }
}

/* The words never hold the URL: some carry a key in the query. */
static enum err verdict(struct transfer *t, CURLcode code)
{
    struct call *c = t->c;
    if (t->ended_by_caller) return OK;
    if (t->too_large) return fail(c, ERR_TOO_LARGE, "the answer has over %zu bytes", t->max_bytes);
    if (t->unwanted) return fail(c, ERR_CANCELLED, "the transfer was ended");
    if (t->wrong_range) return fail(c, ERR_UPSTREAM, "the answer does not go on at byte %lld as asked", (long long)t->o->resume_from);
    if (t->cannot_write) return fail(c, ERR_IO, "cannot write %s: %s", t->o->to_file, strerror(t->write_errno));
    if (code == CURLE_OPERATION_TIMEDOUT) return fail(c, ERR_TIMEOUT, "the other side did not answer in time");
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return fail(c, ERR_UPSTREAM, "not an http or https address");
    if (code) return fail(c, ERR_UPSTREAM, "%s", curl_easy_strerror(code));
    return OK;
}

static enum err deliver(struct transfer *t, struct fetch_reply *out)
{
    long status = status_of(t);
    bool good = status >= 200 && status < 300;
    if (good && t->o->to_file && !open_file(t, status))
        return fail(t->c, ERR_IO, "cannot write %s: %s", t->o->to_file, strerror(t->write_errno));
    char *type = NULL, *location = NULL;
    if (t->location[0]) curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &location);
    if (location && strncasecmp(location, "http://", 7) && strncasecmp(location, "https://", 8)) location = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    *out = (struct fetch_reply){ .status = (int)status,
                                 .body = arena_strndup(&t->c->mem, t->body.data ? t->body.data : "", t->body.len),
                                 .body_len = t->body.len,
                                 .retry_after_s = t->retry_after_s,
                                 .content_type = arena_strdup(&t->c->mem, type ? type : ""),
                                 .etag = arena_strdup(&t->c->mem, t->etag),
                                 .linked_etag = arena_strdup(&t->c->mem, t->linked_etag),
                                 .location = arena_strdup(&t->c->mem, location ? location : "") };
    return OK;
}

/* Adds the transfer to the thread's handle, drives it and takes it off again. */
static enum err perform(struct transfer *t, int64_t timeout_ms, CURLcode *code)
{
    CURLM    *m = thread_multi();
    CURLMcode mc = curl_multi_add_handle(m, t->easy);
    if (mc) return fail(t->c, ERR_UPSTREAM, "transfer failed: %s", curl_multi_strerror(mc));
    enum err e = drive(t, m, timeout_ms, code);
    /* Taking a mail's transfer off in its midst says goodbye to the server, and waits for it to answer. */
    if (e) curl_easy_setopt(t->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 1L);
    curl_multi_remove_handle(m, t->easy);
    return e;
}

enum err fetch(struct call *c, const struct fetch_opts *o, struct fetch_reply *out)
{
    enum err e = call_check(c);
    if (e) return e;
    pthread_once(&once, open_once);
    size_t max = o->max_bytes ? o->max_bytes : (size_t)LIMIT_FETCH_BYTES;
    struct transfer t = { .c = c, .o = o, .max_bytes = max, .file = -1, .retry_after_s = -1, .range_from = -1 };
    buf_init(&t.body, max);
    struct curl_slist *headers = header_list(o);
    CURLcode code = CURLE_OK;
    t.easy = curl_easy_init();
    if (!t.easy) abort();
    set_options(&t, headers);
    e = perform(&t, call_left_ms(c, o->timeout_ms ? o->timeout_ms : LIMIT_FETCH_MS), &code);
    if (!e) e = verdict(&t, code);
    if (!e) e = deliver(&t, out);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(headers);
    if (t.file >= 0 && close(t.file) && !e) e = fail(c, ERR_IO, "cannot write %s: %s", o->to_file, strerror(errno));
    buf_dispose(&t.body);
    return e;
}

struct outgoing {
    const char *p;
    size_t      left;
};

static size_t on_send(char *to, size_t size, size_t count, void *arg)
{
    struct outgoing *o = arg;
    size_t room = size * count, n = o->left < room ? o->left : room;
    memcpy(to, o->p, n);
    o->p += n;
    o->left -= n;
    return n;
}

/* An address goes into a command line of the protocol: what could end it, or begin another, is refused here again. */
static bool address_ok(const char *s)
{
    const char *at = s ? strrchr(s, '@') : NULL;
    if (!at || at == s || !at[1] || strlen(s) > LIMIT_EMAIL_BYTES) return false;
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '<' || *p == '>') return false;
    return true;
}

static void set_mail_options(CURL *e, const struct mail_opts *o, struct curl_slist *to, struct outgoing *message)
{
    curl_easy_setopt(e, CURLOPT_URL, o->url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(e, CURLOPT_USE_SSL, o->plain_allowed ? (long)CURLUSESSL_TRY : (long)CURLUSESSL_ALL);
    if (o->ca_file) curl_easy_setopt(e, CURLOPT_CAINFO, o->ca_file);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)MAIL_REPLY_S);
    /* A kept connection would be said goodbye to when its thread ends, where nothing bounds the wait. */
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(e, CURLOPT_MAIL_FROM, o->from);
    curl_easy_setopt(e, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(e, CURLOPT_READDATA, message);
    curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)message->left);
}

enum err fetch_mail(struct call *c, const struct mail_opts *o, bool *permanent_out)
{
    enum err e = call_check(c);
    if (e) return e;
    if (!address_ok(o->from) || !address_ok(o->to)) return fail(c, ERR_INVALID, "an address of the mail cannot be written to");
    pthread_once(&once, open_once);
    static const struct fetch_opts none = { 0 };
    struct transfer  t = { .c = c, .o = &none, .max_bytes = STREAM_ERROR_BYTES, .file = -1 };
    struct outgoing  message = { o->message, o->message_len };
    struct curl_slist *to = curl_slist_append(NULL, o->to);
    CURLcode         code = CURLE_OK;
    t.easy = curl_easy_init();
    if (!to || !t.easy) abort();
    buf_init(&t.body, STREAM_ERROR_BYTES);
    curl_easy_setopt(t.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t.easy, CURLOPT_WRITEDATA, &t);
    set_mail_options(t.easy, o, to, &message);
    e = perform(&t, call_left_ms(c, o->timeout_ms ? o->timeout_ms : LIMIT_MAIL_MS), &code);
    long reply = status_of(&t);
    /* A refused sign-in is the operator's to put right, and then the mail can go: only these two are about this mail. */
    bool permanent = reply >= 500 && reply != 530 && (code == CURLE_SEND_ERROR || code == CURLE_WEIRD_SERVER_REPLY);
    if (!e && code == CURLE_OPERATION_TIMEDOUT) e = fail(c, ERR_TIMEOUT, "the mail server did not answer in time");
    else if (!e && code == CURLE_USE_SSL_FAILED) e = fail(c, ERR_UPSTREAM, "the mail server offers no TLS, and MAIL_TLS demands it");
    else if (!e && code) e = fail(c, ERR_UPSTREAM, "mail server: %s (reply %ld)", curl_easy_strerror(code), reply);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(to);
    buf_dispose(&t.body);
    if (e) *permanent_out = permanent;
    return e;
}

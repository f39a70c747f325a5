/* SPDX-License-Identifier: MIT */
/* A part is gone on with only where what comes must be the same file: its hash is known, or the server's strong tag for it
 * is, which If-Range holds it to. The hash decides in the end; a part that turns out wrong after being resumed is fetched
 * once more from the start. Redirects are followed here, since only here is it known what may be: five, and never from
 * https to http. It refuses plain http for what no hash protects, except from this machine. */
#include "encoder/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fetch.h"
#include "base/id.h"
#include "store/folder.h"

enum { REDIRECTS_MAX = 5, WHOLE_MS = 6 * 60 * 60 * 1000, IDLE_MS = 30000, PROGRESS_MS = 200, TAG_BYTES = 256 };
#define SPACE_KEPT_BYTES (16LL * 1024 * 1024)

struct transfer {
    struct call     *c;
    struct download *d;
    const char      *part, *tag_file;
    char             named[65];       /* SHA-256 that it must have; "" when no one says */
    bool             begun;
    int64_t          shown_ms, began_at, have, total;
    enum err         refused;         /* why progress ended it, with its words */
    const char      *words;
};

static const char *beside(struct call *c, const struct download *d, const char *before)
{
    char *flat = arena_strdup(&c->mem, d->name);
    for (char *p = flat; *p; p++)
        if (*p == '/') *p = '_';
    return arena_printf(&c->mem, "%s/%s%s", d->folder, before, flat);
}

/* The 64 digits in a tag that is a SHA-256, as content-addressed stores send it: "…", possibly with sha256: before. */
static bool sha256_in(const char *tag, char out[65])
{
    if (*tag == '"') tag++;
    if (!strncasecmp(tag, "sha256:", 7)) tag += 7;
    size_t n = strspn(tag, "0123456789abcdef");
    if (n != 64 || (tag[n] && strcmp(tag + n, "\""))) return false;
    memcpy(out, tag, 64);
    out[64] = 0;
    return true;
}

static void read_tag(const struct transfer *t, char tag[TAG_BYTES])
{
    FILE *f = fopen(t->tag_file, "re");
    size_t n = f ? fread(tag, 1, TAG_BYTES - 1, f) : 0;
    tag[n] = 0;
    if (f) fclose(f);
    if (strpbrk(tag, "\r\n")) *tag = 0;
}

static void write_tag(const struct transfer *t, const char *tag)
{
    FILE *f = *tag == '"' ? fopen(t->tag_file, "we") : NULL;    /* a weak one holds no server to anything */
    if (!f) {
        unlink(t->tag_file);
        return;
    }
    fputs(tag, f);
    if (fclose(f)) unlink(t->tag_file);
}

static bool refuse(struct transfer *t, enum err e, const char *words)
{
    t->refused = e;
    t->words = words;
    return false;
}

static bool may_begin(struct transfer *t, const char *etag)
{
    struct arena       *mem = &t->c->mem;
    struct statvfs      v;
    const struct download *d = t->d;
    if (!*t->named) sha256_in(etag, t->named);
    if (d->must_be_named && !*t->named)
        return refuse(t, ERR_INVALID, "the server names no SHA-256 for it; give it with --sha256");
    if (d->bytes > 0 && t->total >= 0 && t->total != d->bytes)
        return refuse(t, ERR_CORRUPT, arena_printf(mem, "it has %lld bytes there, not %lld", (long long)t->total, (long long)d->bytes));
    int64_t missing = t->total >= 0 ? t->total - t->have : 0;
    if (!statvfs(d->folder, &v) && (int64_t)v.f_bavail * (int64_t)v.f_frsize < missing + SPACE_KEPT_BYTES)
        return refuse(t, ERR_IO, arena_printf(mem, "not enough space: %lld MB are to come, %lld MB are free in %s", (long long)(missing / 1000000),
                                              (long long)((int64_t)v.f_bavail * (int64_t)v.f_frsize / 1000000), d->folder));
    t->began_at = t->have;
    write_tag(t, etag);
    return true;
}

static bool on_progress(void *arg, int64_t have, int64_t total, const char *etag)
{
    struct transfer *t = arg;
    int64_t          now = clock_mono_ms();
    t->have = have;
    t->total = total;
    if (!t->begun) {
        t->begun = true;
        if (!may_begin(t, etag)) return false;
    }
    if (t->d->progress && now - t->shown_ms >= PROGRESS_MS) {
        t->shown_ms = now;
        t->d->progress(t->d->arg, t->d->name, have, total);
    }
    return true;
}

static bool is_local(const char *url)
{
    static const char *const hosts[] = { "http://127.0.0.1", "http://localhost", "http://[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        if (!strncasecmp(url, hosts[i], n) && (url[n] == ':' || url[n] == '/' || !url[n])) return true;
    }
    return false;
}

static enum err may_ask(struct call *c, const struct download *d, const char *from, const char *url)
{
    bool plain = !strncasecmp(url, "http://", 7);
    if (!plain && strncasecmp(url, "https://", 8)) return fail(c, ERR_INVALID, "not an http or https address");
    if (plain && from && !strncasecmp(from, "https://", 8)) return fail(c, ERR_UPSTREAM, "the server leads from https to http");
    if (plain && !d->sha256 && !is_local(url)) return fail(c, ERR_INVALID, "over http only a file with a known SHA-256 is fetched");
    return OK;
}

static bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

static enum err ask(struct transfer *t, int64_t from, const char *tag, struct fetch_reply *r)
{
    struct call       *c = t->c;
    const char        *url = t->d->url, *before = NULL;
    const char        *headers[2] = { from && *tag ? arena_printf(&c->mem, "If-Range: %s", tag) : NULL, NULL };
    struct fetch_opts  o = { .headers = headers, .timeout_ms = WHOLE_MS, .idle_ms = IDLE_MS, .to_file = t->part, .resume_from = from,
                             .max_bytes = (size_t)(t->d->bytes > 0 ? t->d->bytes : t->d->max_bytes), .on_progress = on_progress, .arg = t };
    t->begun = false;
    t->began_at = t->have = from;
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        enum err e = may_ask(c, t->d, before, url);
        if (e) return e;
        o.url = url;
        e = fetch(c, &o, r);
        if (t->refused) {
            call_forgive(c);
            return fail(c, t->refused, "%s", t->words);
        }
        if (e) return e;
        if (!*t->named) sha256_in(r->linked_etag, t->named);
        if (!is_redirect(r->status)) return OK;
        if (!*r->location) return fail(c, ERR_UPSTREAM, "the server answers %d and does not say where to", r->status);
        before = url;
        url = r->location;
    }
    return fail(c, ERR_UPSTREAM, "over %d redirects", REDIRECTS_MAX);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (int64_t)st.st_size;
}

/* The part against its hash. *again: it was wrong, and what was there before may be why. */
static enum err settle(struct transfer *t, bool resumed, bool *again)
{
    struct call     *c = t->c;
    struct download *d = t->d;
    *again = false;
    if (!id_sha256_file(t->part, d->hex)) return fail(c, ERR_IO, "cannot read %s back", t->part);
    enum err e = call_check(c);
    if (e) return e;
    if (*t->named && strcmp(d->hex, t->named)) {
        unlink(t->part);
        unlink(t->tag_file);
        *again = resumed;
        return resumed ? OK : fail(c, ERR_CORRUPT, "it has SHA-256 %s, not %s; refused and removed", d->hex, t->named);
    }
    d->named = *t->named != 0;
    const char *to = arena_printf(&c->mem, "%s/%s", d->folder, d->name);
    e = folder_make_for(c, to);
    /* For whoever the models are shared with. */
    if (!e) chmod(t->part, 0644);
    if (!e && strchr(d->name, '/')) chmod(arena_strndup(&c->mem, to, (size_t)(strrchr(to, '/') - to)), 0755);
    if (!e && rename(t->part, to)) e = fail(c, ERR_IO, "cannot put it at %s: %s", to, strerror(errno));
    if (!e) unlink(t->tag_file);
    return e;
}

static enum err once(struct transfer *t, bool *again)
{
    struct call       *c = t->c;
    struct download   *d = t->d;
    struct fetch_reply r = { 0 };
    char               tag[TAG_BYTES];
    *again = false;
    read_tag(t, tag);
    int64_t have = size_of(t->part);
    if ((!d->sha256 && !*tag) || (d->bytes > 0 && have > d->bytes)) {
        unlink(t->part);
        have = 0;
    }
    if (d->sha256 && d->bytes > 0 && have == d->bytes) return settle(t, true, again);
    enum err e = ask(t, have, tag, &r);
    if (t->begun) d->fetched_bytes += size_of(t->part) - t->began_at;
    if (e) return e;
    if (r.status == 416 && have) {
        /* The part is all there is, or of another file: the hash says, and without one it is begun again. */
        if (*t->named) return settle(t, true, again);
        unlink(t->part);
        unlink(t->tag_file);
        *again = true;
        return OK;
    }
    if (r.status == 404 || r.status == 410) {
        d->missing = d->optional;
        return d->optional ? OK : fail(c, ERR_NOT_FOUND, "the server does not have it (%d)", r.status);
    }
    if (r.status == 401 || r.status == 403) return fail(c, ERR_FORBIDDEN, "the server does not give it to just anyone (%d)", r.status);
    if (r.status != 200 && r.status != 206) return fail(c, ERR_UPSTREAM, "the server answers %d", r.status);
    if (d->must_be_named && !*t->named) return fail(c, ERR_INVALID, "the server names no SHA-256 for it; give it with --sha256");
    d->resumed_bytes = r.status == 206 ? have : 0;
    return settle(t, r.status == 206, again);
}

enum err download(struct call *c, struct download *d)
{
    struct transfer t = { .c = c, .d = d, .part = beside(c, d, ".part-"), .tag_file = beside(c, d, ".tag-") };
    bool            again = false;
    if (d->sha256) memcpy(t.named, d->sha256, 65);
    enum err e = once(&t, &again);
    if (!e && again) {
        if (!d->sha256) *t.named = 0;
        e = once(&t, &again);
        if (!e && again) e = fail(c, ERR_UPSTREAM, "what comes is never whole");
    }
    if (!e) return OK;
    const char *words = arena_strdup(&c->mem, c->err_text);
    call_forgive(c);
    return fail(c, e, "%s: %s", d->name, words);
}

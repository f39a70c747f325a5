/* The parent's side: start the child, read frames, check every one, hand on whole pages. The child runs this same
 * binary afresh (posix_spawn of /proc/self/exe), since a server with threads must not fork and go on. What it sends is
 * a stranger's work: lengths, numbers, offsets and UTF-8 are checked, sums are bounded, and silence ends it. Heading
 * paths are made here, so that they carry over from page to page. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utf8proc.h>

#include "base/buf.h"
#include "base/clock.h"
#include "knowledge/extract_writer.h"

#define PATH_MAX_BYTES 600
#define POLL_MS        200
#define WAIT_MS_MAX    (10 * LIMIT_EXTRACT_SECONDS * 1000LL)   /* for all its output together */
#define CHUNK_BYTES    (64 * 1024)

struct run {
    struct call *c;
    extract_page_fn on_page;
    void *arg;
    struct extract_info *info;
    pid_t pid;
    int fd;
    struct buf in;    /* bytes not yet taken apart */
    struct buf text;  /* of the page being read */
    struct arena mem; /* headings of the page being read */
    struct extract_mark *marks;
    int mark_count, mark_room;
    char levels[HEADING_LEVELS + 1][HEADING_MAX + 1];
    char path[PATH_MAX_BYTES]; /* in force where the page began */
    char now[PATH_MAX_BYTES];  /* in force where reading is */
    int64_t total_bytes;
    int last_page, pages;
    bool done;
    enum err said; /* what the child says went wrong */
};

static enum err start(struct call *c, const char *path, enum media_kind kind, pid_t *pid_out, int *fd_out)
{
    const char *exe = getenv("CHIRON_EXE");
    const char *argv[] = { "chiron", "__extract", media_type_word(kind), NULL };
    static char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "OMP_NUM_THREADS=1", NULL };
    int p[2];
    if (!exe || !*exe) exe = "/proc/self/exe";
    if (pipe2(p, O_CLOEXEC) != 0) return fail(c, ERR_IO, "cannot make a pipe: %s", strerror(errno));

    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, dflt;
    sigemptyset(&none);
    sigfillset(&dflt);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_addopen(&fa, 0, path, O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &dflt);
    int rc = posix_spawn(pid_out, exe, &fa, &at, (char *const *)argv, env);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    close(p[1]);
    if (rc != 0) {
        close(p[0]);
        return fail(c, ERR_IO, "cannot start the document reader: %s", strerror(rc));
    }
    *fd_out = p[0];
    return OK;
}

static enum err broken(struct run *r)
{
    return fail(r->c, ERR_INVALID, "the document broke its reader");
}

/* Titles from a stranger: what is not UTF-8 ends it. */
static const char *words(struct run *r, const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i]) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(n - i), &cp);
        if (len <= 0 || cp < 32) break;
        i += (size_t)len;
    }
    return arena_strndup(&r->c->mem, p, i);
}

static uint32_t u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void make_path(struct run *r)
{
    size_t o = 0;
    r->now[0] = 0;
    for (int i = 0; i <= HEADING_LEVELS; i++) {
        if (!r->levels[i][0]) continue;
        int n = snprintf(r->now + o, sizeof(r->now) - o, "%s%s", o ? " > " : "", r->levels[i]);
        if (n < 0 || (size_t)n >= sizeof(r->now) - o) {
            r->now[o] = 0; /* a path too long loses its deepest heading whole */
            return;
        }
        o += (size_t)n;
    }
}

static enum err take_mark(struct run *r, const char *p, size_t n)
{
    if (n < 10 || n > 9 + HEADING_MAX) return broken(r);
    size_t at = u32(p), body = u32(p + 4);
    int level = (unsigned char)p[8];
    size_t before = r->mark_count ? r->marks[r->mark_count - 1].body_at : 0;
    if (level > HEADING_LEVELS || at > body || body > r->text.len || at < before) return broken(r);
    for (int i = level; i <= HEADING_LEVELS; i++) r->levels[i][0] = 0;
    snprintf(r->levels[level], sizeof(r->levels[level]), "%s", words(r, p + 9, n - 9));
    make_path(r);
    if (r->mark_count == r->mark_room) {
        int room = r->mark_room ? r->mark_room * 2 : 64;
        struct extract_mark *more = arena_array(&r->mem, (size_t)room, sizeof(*more));
        if (r->mark_count) memcpy(more, r->marks, (size_t)r->mark_count * sizeof(*more));
        r->marks = more;
        r->mark_room = room;
    }
    r->marks[r->mark_count++] = (struct extract_mark){
        .at = at, .body_at = body, .heading = arena_strdup(&r->mem, r->now), .record = level == 0
    };
    return r->mark_count > MARKS_MAX ? broken(r) : OK;
}

static bool valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t len =
            (unsigned char)p[i] < 0x80
                ? 1
                : utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(n - i < 4 ? n - i : 4), &cp);
        if (len <= 0 || p[i] == 0) return false;
        i += (size_t)len;
    }
    return true;
}

static enum err take_page(struct run *r, const char *p, size_t n)
{
    char number[16];
    snprintf(number, sizeof(number), "%.*s", (int)n, p);
    long page = strtol(number, NULL, 10);
    if (page < 0 || page > LIMIT_DOCUMENT_PAGES || (r->pages && page != r->last_page + 1) || (!r->pages && page > 1))
        return broken(r);
    r->total_bytes += (int64_t)r->text.len;
    if (r->total_bytes > LIMIT_DOCUMENT_TEXT_BYTES)
        return fail(r->c, ERR_TOO_LARGE, "the document holds more than %lld bytes of text",
                    (long long)LIMIT_DOCUMENT_TEXT_BYTES);
    if (!valid(r->text.data, r->text.len)) return broken(r);
    if (media_type_eicar(r->text.data, r->text.len))
        return fail(r->c, ERR_UNSUPPORTED_TYPE,
                    "the file was refused by the security scan: it holds the EICAR test pattern");
    struct extract_page out = { .page = (int)page,
                                .text = r->text.data ? r->text.data : "",
                                .len = r->text.len,
                                .heading = r->path,
                                .marks = r->marks,
                                .mark_count = r->mark_count };
    enum err e = r->on_page(r->arg, &out, r->info);
    r->last_page = (int)page;
    r->pages++;
    snprintf(r->path, sizeof(r->path), "%s", r->now);
    buf_clear(&r->text);
    arena_reset(&r->mem);
    r->marks = NULL;
    r->mark_count = r->mark_room = 0;
    return e;
}

static enum err take(struct run *r, char kind, const char *p, size_t n)
{
    switch (kind) {
    case FRAME_TITLE:
        if (!r->info->title[0]) r->info->title = words(r, p, n);
        return OK;
    case FRAME_LANGUAGE:
        if (!r->info->language[0]) r->info->language = words(r, p, n < 40 ? n : 40);
        return OK;
    case FRAME_NOTE:
        r->info->note = words(r, p, n);
        return OK;
    case FRAME_PAGES: {
        char number[16];
        snprintf(number, sizeof(number), "%.*s", (int)n, p);
        long pages = strtol(number, NULL, 10);
        if (pages < 0 || pages > LIMIT_DOCUMENT_PAGES) return broken(r);
        r->info->pages = (int)pages;
        return OK;
    }
    case FRAME_TEXT:
        return buf_add(&r->text, p, n) ? OK
                                       : fail(r->c, ERR_TOO_LARGE, "the document holds more than %lld bytes of text",
                                              (long long)LIMIT_DOCUMENT_TEXT_BYTES);
    case FRAME_MARK:
        return take_mark(r, p, n);
    case FRAME_PAGE:
        return take_page(r, p, n);
    case FRAME_FAILED:
        if (n < 2 || p[0] <= 0 || p[0] >= ERR_COUNT) return broken(r);
        r->said = (enum err)p[0];
        return fail(r->c, r->said, "%s", words(r, p + 1, n - 1));
    case FRAME_DONE:
        r->done = true;
        return OK;
    default:
        return broken(r);
    }
}

static enum err take_all(struct run *r)
{
    size_t at = 0;
    enum err e = OK;
    while (!e && !r->done && r->in.len - at >= 5) {
        size_t n = u32(r->in.data + at + 1);
        if (n > FRAME_MAX) return broken(r);
        if (r->in.len - at < 5 + n) break;
        e = take(r, r->in.data[at], r->in.data + at + 5, n);
        at += 5 + n;
    }
    buf_drop_front(&r->in, at);
    return e;
}

static enum err pump(struct run *r)
{
    char *b = arena_alloc(&r->c->mem, CHUNK_BYTES);
    int64_t heard_ms = clock_mono_ms(), waited_ms = 0;
    while (!r->done) {
        enum err e = call_check(r->c);
        if (e) return e;
        struct pollfd f = { .fd = r->fd, .events = POLLIN };
        int64_t began_ms = clock_mono_ms();
        int n = poll(&f, 1, POLL_MS);
        waited_ms += clock_mono_ms() - began_ms;
        if (waited_ms > WAIT_MS_MAX) return fail(r->c, ERR_TIMEOUT, "the document could not be read in %lld seconds", WAIT_MS_MAX / 1000);
        if (n < 0 && errno != EINTR)
            return fail(r->c, ERR_IO, "cannot wait for the document reader: %s", strerror(errno));
        if (n <= 0) {
            if (clock_mono_ms() - heard_ms > LIMIT_EXTRACT_PAGE_SECONDS * 1000)
                return fail(r->c, ERR_TIMEOUT, "no page could be read for %d seconds after page %d",
                            LIMIT_EXTRACT_PAGE_SECONDS, r->last_page);
            continue;
        }
        ssize_t got = read(r->fd, b, CHUNK_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return OK;
        if (!buf_add(&r->in, b, (size_t)got)) return broken(r);
        e = take_all(r);
        if (e) return e;
        heard_ms = clock_mono_ms(); /* the page's own processing is not the child's silence */
    }
    return OK;
}

static enum err died(struct run *r, int status)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (sig == SIGXCPU || sig == SIGKILL)
        return fail(r->c, ERR_TOO_LARGE, "the document takes more than %d seconds of computing to read",
                    LIMIT_EXTRACT_SECONDS);
    if (sig == SIGABRT)
        return fail(r->c, ERR_TOO_LARGE, "the document needs more than %lld MB of memory to read, or is damaged",
                    (long long)(LIMIT_EXTRACT_MEMORY_BYTES >> 20));
    if (sig) return fail(r->c, ERR_INVALID, "the document broke its reader (signal %d)", sig);
    return fail(r->c, ERR_INTERNAL, "the document reader ended early (status %d)", WEXITSTATUS(status));
}

enum err extract_run(struct call *c, const char *path, enum media_kind kind, extract_page_fn on_page, void *arg,
                     struct extract_info *info)
{
    *info = (struct extract_info){ .title = "", .language = "", .note = "" };
    struct run *r = arena_alloc(&c->mem, sizeof(*r));
    *r = (struct run){ .c = c, .on_page = on_page, .arg = arg, .info = info };
    enum err e = start(c, path, kind, &r->pid, &r->fd);
    if (e) return e;
    buf_init(&r->in, 4 * FRAME_MAX);
    buf_init(&r->text, LIMIT_DOCUMENT_TEXT_BYTES + 16);
    arena_init(&r->mem, LIMIT_ARENA_BYTES);

    int status = 0;
    e = pump(r);
    close(r->fd);
    /* An end without a farewell: give it a moment to be seen as what it died of. Then, whatever it said, it goes. */
    for (int i = 0; !e && !r->done && i < 20 && waitpid(r->pid, &status, WNOHANG) == 0; i++) usleep(10000);
    kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) continue;
    if (!e && !r->done) e = died(r, status);
    arena_dispose(&r->mem);
    buf_dispose(&r->in);
    buf_dispose(&r->text);
    return e;
}

/* SPDX-License-Identifier: MIT */
/* The file is one page-aligned header with a table of its parts, and the parts. Two checksums cover every byte; even
 * so nothing in the table is believed before it was compared with what the caller expects: a wrong file can only be
 * refused. It is written under a lock on the name it has until it is whole: a killed writer leaves one
 * file there, which the next one writes over. It refuses to repair: what is wrong is made anew. */
#include "encoder/packed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum { VERSION = 1, BYTE_ORDER_MARK = 0x01020304, SMALL_ALIGN = 64, HASH_BYTES = 32, PLACES = 2 };
static const char     magic[8] = { 'c', 'h', 'i', 'p', 'a', 'c', 'k', '\n' };
static const uint64_t settled_ns = UINT64_C(2000000000);

struct entry {
    char     name[PACKED_NAME_BYTES];
    uint64_t at, bytes;              /* from the file's beginning */
};
struct header {
    char                magic[8];
    uint32_t            order, version;
    uint64_t            header_sum;      /* of header and table, this field zero */
    uint64_t            parts_sum;       /* of all behind them */
    uint64_t            file_bytes, parts_at;
    uint32_t            parts, reserved;
    uint8_t             model_hash[HASH_BYTES];
    struct mapped_stamp model_stamp;     /* zero: not to be relied on */
    char                shape[PACKED_SHAPE_BYTES];
};
_Static_assert(sizeof(struct header) % 8 == 0 && sizeof(struct entry) == 48, "no padding is written");

/* ---- checksum ---- */

#define PRIME1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME3 UINT64_C(0x165667B19E3779F9)
#define PRIME4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t turned(uint64_t v, int by) { return v << by | v >> (64 - by); }
static uint64_t mixed(uint64_t lane, uint64_t in) { return turned(lane + in * PRIME2, 31) * PRIME1; }

static uint64_t word_at(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t packed_sum(const void *data, size_t n)
{
    const unsigned char *p = data, *const end = p + n;
    uint64_t             sum = PRIME5;
    if (n >= 32) {
        uint64_t lane[4] = { PRIME1 + PRIME2, PRIME2, 0, 0 - PRIME1 };
        for (; end - p >= 32; p += 32)
            for (int i = 0; i < 4; i++) lane[i] = mixed(lane[i], word_at(p + 8 * i));
        sum = turned(lane[0], 1) + turned(lane[1], 7) + turned(lane[2], 12) + turned(lane[3], 18);
        for (int i = 0; i < 4; i++) sum = (sum ^ mixed(0, lane[i])) * PRIME1 + PRIME4;
    }
    sum += n;
    for (; end - p >= 8; p += 8) sum = turned(sum ^ mixed(0, word_at(p)), 27) * PRIME1 + PRIME4;
    if (end - p >= 4) {
        uint32_t half;
        memcpy(&half, p, sizeof half);
        sum = turned(sum ^ half * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
    }
    for (; p < end; p++) sum = turned(sum ^ *p * PRIME5, 11) * PRIME1;
    sum = (sum ^ sum >> 33) * PRIME2;
    sum = (sum ^ sum >> 29) * PRIME3;
    return sum ^ sum >> 32;
}

/* ---- layout ---- */

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* Where each part begins, counted from the first; returns how long all are. A block of a matrix is a page long: where
 * it begins at one, reading it looks one page up instead of two. */
static size_t place_parts(const struct packed_part *parts, int n, size_t *at)
{
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        end = rounded(end, parts[i].bytes >= PACKED_PAGE ? PACKED_PAGE : SMALL_ALIGN);
        at[i] = end;
        end += parts[i].bytes;
    }
    return rounded(end, PACKED_PAGE);
}

/* Where the parts begin: a page's multiple behind the table. */
static size_t parts_from(uint32_t parts)
{
    return rounded(sizeof(struct header) + (size_t)parts * sizeof(struct entry), PACKED_PAGE);
}

/* Of all before the parts, with the sum's own place taken as zero. */
static uint64_t header_sum(const void *data, size_t parts_at)
{
    struct header h;
    memcpy(&h, data, sizeof h);
    h.header_sum = 0;
    return packed_sum(&h, sizeof h) ^ turned(packed_sum((const char *)data + sizeof h, parts_at - sizeof h), 1);
}

void packed_seal(void *data, size_t size)
{
    struct header h;
    if (size < sizeof h) return;
    memcpy(&h, data, sizeof h);
    if (h.parts > PACKED_PARTS_MAX || size < parts_from(h.parts)) return;
    const size_t from = parts_from(h.parts);
    h.parts_sum = packed_sum((const char *)data + from, size - from);
    memcpy(data, &h, sizeof h);
    h.header_sum = header_sum(data, from);
    memcpy(data, &h, sizeof h);
}

const char *packed_parse(const void *data, size_t size, const char *shape, struct packed_part *parts, int n)
{
    struct header h;
    if (size < sizeof h) return "too short";
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic)) return "no packed weights";
    if (h.order != BYTE_ORDER_MARK) return "of the other byte order";
    if (h.version != VERSION) return "of another version";
    if (h.parts > PACKED_PARTS_MAX || size < parts_from(h.parts) || h.file_bytes != size) return "cut or too long";
    if (h.header_sum != header_sum(data, parts_from(h.parts))) return "damaged";
    if (memchr(h.shape, 0, sizeof h.shape) == NULL || strcmp(h.shape, shape)) return "for another form or model";
    if (h.parts != (uint32_t)n || n > PACKED_PARTS_MAX) return "for another form or model";
    const size_t from = parts_from(h.parts);
    size_t      *at = malloc(((size_t)n + 1) * sizeof *at);
    if (!at) abort();
    const char         *wrong = NULL;
    const struct entry *table = (const struct entry *)(const void *)((const char *)data + sizeof h);
    if (h.parts_at != from || from + place_parts(parts, n, at) != size) wrong = "of another layout";
    for (int i = 0; i < n && !wrong; i++)
        if (strncmp(table[i].name, parts[i].name, sizeof table[i].name) || table[i].bytes != parts[i].bytes ||
            table[i].at != from + at[i])
            wrong = "of another layout";
    if (!wrong && packed_sum((const char *)data + from, size - from) != h.parts_sum) wrong = "damaged";
    /* The caller may write to what room gave it; this it only reads. */
    for (int i = 0; i < n && !wrong; i++) parts[i].data = (char *)(uintptr_t)data + from + at[i];
    free(at);
    return wrong;
}

/* ---- places ---- */

static const char *path_beside(struct call *c, const struct packed_of *of)
{
    return arena_printf(&c->mem, "%s/%s.packed", of->folder, of->form);
}

/* NULL where there is no such place. Folders are made when make is set. */
static const char *path_in_cache(struct call *c, const struct packed_of *of, bool make)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *dir;
    if (cache && *cache == '/') dir = cache;
    else if (home && *home == '/') dir = arena_printf(&c->mem, "%s/.cache", home);
    else return NULL;
    char *whole = realpath(of->folder, NULL);
    if (!whole) return NULL;
    uint64_t    name = packed_sum(whole, strlen(whole));
    const char *steps[] = { dir, arena_printf(&c->mem, "%s/chiron", dir), arena_printf(&c->mem, "%s/chiron/packed", dir) };
    free(whole);
    for (int i = 0; i < 3 && make; i++) (void)!mkdir(steps[i], 0700);
    return arena_printf(&c->mem, "%s/%016llx-%s.packed", steps[2], (unsigned long long)name, of->form);
}

static const char *path_of(struct call *c, const struct packed_of *of, int place, bool make)
{
    return place == 0 ? path_beside(c, of) : path_in_cache(c, of, make);
}

/* ---- the model ---- */

static void hash_of(const struct packed_of *of, uint8_t *out)
{
    unsigned n = HASH_BYTES;
    if (!EVP_Digest(of->model->data, of->model->size, out, &n, EVP_sha256(), NULL) || n != HASH_BYTES) abort();
}

static bool has_settled(const struct mapped_stamp *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return s->written_ns + settled_ns < now && s->changed_ns + settled_ns < now;
}

/* ---- load ---- */

enum tried { TRIED_LOADED, TRIED_UNUSABLE, TRIED_OTHER_STAMP };

static enum tried unusable(struct call *c, const char *path, const char *why)
{
    log_warn(c, "the packed weights are not used and are made anew", "file", path, "why", why, NULL);
    return TRIED_UNUSABLE;
}

/* hashing: go by the model's hash where the stamp is another. */
static enum tried try_load(struct call *c, const struct packed_of *of, const char *path, bool hashing,
                           struct packed_part *parts, int n, struct packed *out)
{
    struct mapped file;
    enum err      e = mapped_open(c, path, &file);
    if (e) {
        if (e != ERR_NOT_FOUND) unusable(c, path, c->err_text);
        call_forgive(c);
        return TRIED_UNUSABLE;
    }
    /* All of it is about to be read for the checksum, and to be used. */
    if (file.size) madvise((void *)(uintptr_t)file.data, file.size, MADV_WILLNEED);
    const char   *wrong = packed_parse(file.data, file.size, of->shape, parts, n);
    enum tried    t = TRIED_LOADED;
    struct header h;
    if (wrong) t = unusable(c, path, wrong);
    else memcpy(&h, file.data, sizeof h);
    if (!t && memcmp(&h.model_stamp, &of->model->stamp, sizeof h.model_stamp)) {
        uint8_t hash[HASH_BYTES];
        if (!hashing) t = TRIED_OTHER_STAMP;
        else hash_of(of, hash);
        if (!t && memcmp(hash, h.model_hash, sizeof hash)) t = unusable(c, path, "of other weights");
        if (!t && has_settled(&of->model->stamp)) packed_save(c, of, parts, n);
    }
    if (t) mapped_close(&file);
    else *out = (struct packed){ .file = file };
    return t;
}

bool packed_load(struct call *c, const struct packed_of *of, struct packed_part *parts, int n, struct packed *out)
{
    enum tried t[PLACES] = { TRIED_UNUSABLE, TRIED_UNUSABLE };
    for (int i = 0; i < PLACES; i++) {
        const char *path = path_of(c, of, i, false);
        if (path) t[i] = try_load(c, of, path, false, parts, n, out);
        if (t[i] == TRIED_LOADED) return true;
    }
    for (int i = 0; i < PLACES; i++)
        if (t[i] == TRIED_OTHER_STAMP && try_load(c, of, path_of(c, of, i, false), true, parts, n, out) == TRIED_LOADED)
            return true;
    return false;
}

enum err packed_room(struct call *c, struct packed_part *parts, int n, struct packed *out)
{
    const size_t huge = 2 * 1024 * 1024;
    size_t      *at = malloc(((size_t)n + 1) * sizeof *at);
    if (!at) abort();
    size_t bytes = rounded(place_parts(parts, n, at), huge);
    /* A huge page too much, so that the whole ones inside begin where the system can use them. */
    char *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        free(at);
        return fail(c, ERR_IO, "no memory for %zu bytes of weights", bytes);
    }
    char *begin = (char *)rounded((uintptr_t)p, huge);
    if (begin > p) munmap(p, (size_t)(begin - p));
    munmap(begin + bytes, (size_t)(p + huge - begin));
#ifdef MADV_HUGEPAGE
    madvise(begin, bytes, MADV_HUGEPAGE);
#endif
    for (int i = 0; i < n; i++) parts[i].data = begin + at[i];
    free(at);
    *out = (struct packed){ .room = begin, .room_bytes = bytes };
    return OK;
}

void packed_dispose(struct packed *p)
{
    mapped_close(&p->file);
    if (p->room) munmap(p->room, p->room_bytes);
    *p = (struct packed){ 0 };
}

/* ---- save ---- */

static bool write_at(int fd, const void *data, size_t n, size_t at)
{
    const char *p = data;
    while (n) {
        ssize_t done = pwrite(fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        p += done;
        n -= (size_t)done;
        at += (size_t)done;
    }
    return true;
}

/* The bytes between parts are zero in memory as in the file, so that the sum is of the whole image at once. */
static char *image_of(const struct packed_of *of, const struct packed_part *parts, int n, size_t *size_out)
{
    size_t *at = malloc(((size_t)n + 1) * sizeof *at);
    if (!at) abort();
    const size_t  from = parts_from((uint32_t)n), size = from + place_parts(parts, n, at);
    char         *image = aligned_alloc(PACKED_PAGE, size);
    struct header h = { .order = BYTE_ORDER_MARK, .version = VERSION, .file_bytes = size, .parts_at = from, .parts = (uint32_t)n };
    if (!image) abort();
    memset(image, 0, size);
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.shape, of->shape, strlen(of->shape));
    hash_of(of, h.model_hash);
    if (has_settled(&of->model->stamp)) h.model_stamp = of->model->stamp;
    for (int i = 0; i < n; i++) {
        struct entry e = { .at = from + at[i], .bytes = parts[i].bytes };
        assert(strlen(parts[i].name) < sizeof e.name);
        memcpy(e.name, parts[i].name, strlen(parts[i].name));
        memcpy(image + sizeof h + (size_t)i * sizeof e, &e, sizeof e);
        memcpy(image + e.at, parts[i].data, parts[i].bytes);
    }
    free(at);
    memcpy(image, &h, sizeof h);
    packed_seal(image, size);
    *size_out = size;
    return image;
}

enum written { WRITTEN, WRITTEN_BY_ANOTHER, WRITE_FAILED };

static enum written write_file(struct call *c, const struct packed_of *of, const char *path, const char *image, size_t size)
{
    const char  *beside = arena_printf(&c->mem, "%s.new", path);
    struct stat  mine, there;
    enum written w = WRITE_FAILED;
    int          fd = open(beside, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd < 0) return WRITE_FAILED;
    /* The lock is given up after the rename: who gets it then holds the finished file, and sees that here. */
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK) w = WRITTEN_BY_ANOTHER;
    } else if (fstat(fd, &mine) || !S_ISREG(mine.st_mode)) {
        errno = EINVAL;
    } else if (lstat(beside, &there) || mine.st_ino != there.st_ino || mine.st_dev != there.st_dev) {
        w = WRITTEN_BY_ANOTHER;
    } else {
        bool whole = !ftruncate(fd, 0) && write_at(fd, image, size, 0) && !fsync(fd);
        /* Asked last: the parts were made of the map while the file could still change under it. */
        bool same = whole && mapped_is_current(of->model, arena_printf(&c->mem, "%s/model.safetensors", of->folder));
        if (whole && !same) w = WRITTEN_BY_ANOTHER;
        if (same && !rename(beside, path)) w = WRITTEN;
        if (w != WRITTEN) {
            int kept = errno;
            unlink(beside);
            errno = kept;
        }
    }
    int kept = errno;
    close(fd);
    errno = kept;
    return w;
}

void packed_save(struct call *c, const struct packed_of *of, const struct packed_part *parts, int n)
{
    assert(n <= PACKED_PARTS_MAX && strlen(of->shape) < PACKED_SHAPE_BYTES);
    size_t       size;
    char        *image = image_of(of, parts, n, &size);
    enum written w = WRITE_FAILED;
    int          error = 0;
    for (int place = 0; place < PLACES && w == WRITE_FAILED; place++) {
        const char *path = path_of(c, of, place, true);
        if (!path) continue;
        w = write_file(c, of, path, image, size);
        if (w == WRITE_FAILED) error = errno;
        if (w == WRITTEN) log_info(c, "the packed weights are kept for the next start", "file", path, NULL);
    }
    if (w == WRITE_FAILED) log_warn(c, "the packed weights cannot be kept; every start packs anew", "why", strerror(error), NULL);
    free(image);
}

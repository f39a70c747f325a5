/* knowledge/index_file.c — the arrays of a snapshot one after the other, each at a multiple of 64 bytes, behind a header from
 * which every place follows. Vectors and postings are used where they are mapped; the narrow columns are copied, because
 * later snapshots append to them. It is written whole into a file whose blocks are there before the first byte: a full disk
 * is an error and not a signal. It refuses to hold anything that was taken out. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/index_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "encoder/mapped.h"
#include "encoder/packed.h"
#include "knowledge/collection_parts.h"
#include "knowledge/search_store.h"
#include "store/store.h"

enum { VERSION = 1, BYTE_ORDER_MARK = 0x01020304, ALIGN = 64, MODEL_BYTES = 160 };
static const char magic[8] = { 'c', 'h', 'i', 'i', 'n', 'd', 'x', '\n' };

struct head {
    char     magic[8];
    uint32_t order, version;
    uint64_t sum;                /* of all else */
    uint64_t file_bytes;
    char     mark[INDEX_MARK_BYTES];
    int64_t  generation, last_item, last_seq, last_gone;
    uint64_t length_sum, names_bytes, sources_bytes;
    uint32_t count, private_count, name_count, source_count, set_count, run_count;
};
struct head_set {
    char     model[MODEL_BYTES];
    uint32_t dim, count;
};
struct head_run {
    uint32_t term_count, slot_count;
    uint64_t text_bytes, entries;
};
_Static_assert(sizeof(struct head) % 8 == 0 && sizeof(struct head_set) % 8 == 0 && sizeof(struct head_run) % 8 == 0, "no padding is written");

struct index_file {
    struct mapped map;
};

/* Where things are in the bytes; walks the header's numbers and gives each array its place. */
struct places {
    struct head h;
    const struct head_set *sets;
    const struct head_run *runs;
    int64_t *item;
    uint32_t *user, *type, *source, *length;
    char *names, *sources;
    struct { uint32_t *index; struct vectors_part part; } set[COLLECTION_SETS];
    struct postings_arrays run[COLLECTION_RUNS];
    uint64_t end;
};

static void *place(struct places *p, char *data, uint64_t n, uint64_t each)
{
    uint64_t at = (p->end + ALIGN - 1) / ALIGN * ALIGN;
    p->end = at + n * each;
    return data ? data + at : NULL;
}

/* data NULL: only the length is wanted. The header's numbers have been bounded, so that no sum here overflows. */
static void find_places(struct places *p, char *data)
{
    const struct head *h = &p->h;
    p->end = sizeof *h + h->set_count * sizeof *p->sets + h->run_count * sizeof *p->runs;
    p->item = place(p, data, h->count, sizeof *p->item);
    p->user = place(p, data, h->count, sizeof *p->user);
    p->type = place(p, data, h->count, sizeof *p->type);
    p->source = place(p, data, h->count, sizeof *p->source);
    p->length = place(p, data, h->count, sizeof *p->length);
    p->names = place(p, data, h->names_bytes, 1);
    p->sources = place(p, data, h->sources_bytes, 1);
    for (uint32_t i = 0; i < h->run_count; i++) {
        const struct head_run *r = &p->runs[i];
        p->run[i] = (struct postings_arrays){ .term_count = r->term_count, .slot_count = r->slot_count, .text_bytes = r->text_bytes,
                                              .entries = r->entries };
        p->run[i].terms = place(p, data, r->term_count, sizeof *p->run[i].terms);
        p->run[i].slots = place(p, data, r->slot_count, sizeof *p->run[i].slots);
        p->run[i].text = place(p, data, r->text_bytes, 1);
        p->run[i].index = place(p, data, r->entries, sizeof *p->run[i].index);
        p->run[i].weight = place(p, data, r->entries, sizeof *p->run[i].weight);
    }
    for (uint32_t i = 0; i < h->set_count; i++) {
        uint64_t n = p->sets[i].count;
        size_t stride = vectors_stride((int)p->sets[i].dim);
        p->set[i].index = place(p, data, n, sizeof *p->set[i].index);
        p->set[i].part.high = place(p, data, n, stride);
        p->set[i].part.low = place(p, data, n, stride);
        p->set[i].part.scale = place(p, data, n, sizeof(float));
        p->set[i].part.slack = place(p, data, n, sizeof(float));
        p->set[i].part.full = place(p, data, n * p->sets[i].dim, sizeof(float));
    }
}

static uint64_t sum_of(const void *data, size_t n)
{
    struct head h;
    memcpy(&h, data, sizeof h);
    h.sum = 0;
    return packed_sum(&h, sizeof h) * 31 + packed_sum((const char *)data + sizeof h, n - sizeof h);
}

void index_file_seal(void *data, size_t n)
{
    struct head h;
    if (n < sizeof h) return;
    memcpy(&h, data, sizeof h);
    h.file_bytes = n;
    memcpy(data, &h, sizeof h);
    h.sum = sum_of(data, n);
    memcpy(data, &h, sizeof h);
}

/* ---- reading ---- */

static bool texts_are(const char *p, uint64_t bytes, uint32_t count)
{
    uint32_t n = 0;
    for (const char *end = p + bytes; p < end; p += strlen(p) + 1) n++;
    return n == count;
}

static bool run_is_sound(const struct postings_arrays *a, uint32_t items)
{
    uint64_t at = 0;
    uint32_t used = 0;
    if (a->slot_count == 0 || (a->slot_count & (a->slot_count - 1)) || a->slot_count <= a->term_count) return false;
    for (uint32_t i = 0; i < a->term_count; i++) {
        const struct postings_term *t = &a->terms[i];
        if (t->start != at || t->count > a->entries - at || (uint64_t)t->text + t->len > a->text_bytes) return false;
        at += t->count;
    }
    for (uint32_t i = 0; i < a->slot_count; i++) {
        if (a->slots[i] > a->term_count) return false;
        used += a->slots[i] != 0;
    }
    uint32_t most = 0;
    for (uint64_t i = 0; i < a->entries; i++) most = a->index[i] > most ? a->index[i] : most;
    return at == a->entries && used <= a->term_count && (a->entries == 0 || most < items);
}

static const char *unsound(const struct places *p)
{
    const struct head *h = &p->h;
    if (h->names_bytes && p->names[h->names_bytes - 1]) return "names do not end";
    if (h->sources_bytes && p->sources[h->sources_bytes - 1]) return "sources do not end";
    if (!texts_are(p->names, h->names_bytes, h->name_count)) return "names do not count";
    if (!texts_are(p->sources, h->sources_bytes, h->source_count)) return "sources do not count";
    uint64_t length = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        if (i && p->item[i] <= p->item[i - 1]) return "items do not ascend";
        if (p->user[i] >= h->name_count || p->type[i] >= h->name_count) return "an item has no name";
        if (p->source[i] != COLLECTION_NONE && p->source[i] >= h->source_count) return "an item has no source";
        length += p->length[i];
    }
    if (length != h->length_sum || h->private_count > h->count) return "sums do not agree";
    if (h->count && p->item[h->count - 1] > h->last_item) return "items go on past the last";
    for (uint32_t i = 0; i < h->run_count; i++)
        if (!run_is_sound(&p->run[i], h->count)) return "postings do not fit";
    for (uint32_t i = 0; i < h->set_count; i++)
        for (uint32_t k = 0; k < p->sets[i].count; k++)
            if (p->set[i].index[k] != COLLECTION_NONE && p->set[i].index[k] >= h->count) return "a vector has no item";
    return NULL;
}

static const char *find_and_check(const void *data, size_t n, struct places *p)
{
    char *bytes = (char *)(uintptr_t)data;   /* only read */
    if (n < sizeof p->h) return "too short";
    memcpy(&p->h, data, sizeof p->h);
    const struct head *h = &p->h;
    if (memcmp(h->magic, magic, sizeof magic) || h->order != BYTE_ORDER_MARK || h->version != VERSION) return "of another kind or version";
    if (h->file_bytes != n) return "cut or too long";
    if (h->sum != sum_of(data, n)) return "damaged";
    if (h->set_count > COLLECTION_SETS || h->run_count >= COLLECTION_RUNS || h->names_bytes > n || h->sources_bytes > n ||
        memchr(h->mark, 0, sizeof h->mark) == NULL)
        return "out of bounds";
    size_t table = sizeof *h + h->set_count * sizeof *p->sets + h->run_count * sizeof *p->runs;
    if (n < table) return "too short";
    p->sets = (const struct head_set *)(const void *)(bytes + sizeof *h);
    p->runs = (const struct head_run *)(const void *)(bytes + sizeof *h + h->set_count * sizeof *p->sets);
    for (uint32_t i = 0; i < h->set_count; i++)
        if (memchr(p->sets[i].model, 0, MODEL_BYTES) == NULL || p->sets[i].dim == 0 || p->sets[i].dim > 8192) return "out of bounds";
    for (uint32_t i = 0; i < h->run_count; i++)
        if (p->runs[i].text_bytes > n || p->runs[i].entries > n) return "out of bounds";
    find_places(p, bytes);
    return p->end == n ? unsound(p) : "of another layout";
}

static bool add_set(struct collection *s, const struct places *p, uint32_t i)
{
    const struct head_set *h = &p->sets[i];
    uint32_t mapped = h->count & ~63u;
    struct vectors *rows = vectors_over((int)h->dim, &p->set[i].part, mapped);
    int set = collection_set_add(s, h->model, (int)h->dim, rows);
    if (set < 0) {
        vectors_free(rows);
        return false;
    }
    for (uint32_t k = mapped; k < h->count; k++) vectors_add(rows, p->set[i].part.full + (size_t)k * h->dim);
    for (uint32_t k = 0; k < h->count; k++) collection_index_put(s, set, k, p->set[i].index[k]);
    s->sets[set].index_of = s->index_of[set] ? s->index_of[set]->index : NULL;
    return true;
}

struct collection *index_file_parse(const void *data, size_t n, char mark_out[INDEX_MARK_BYTES], const char **why_out)
{
    struct places p = { 0 };
    *why_out = find_and_check(data, n, &p);
    if (*why_out) return NULL;
    struct collection *s = collection_new();
    const char *text = p.names;
    for (uint32_t i = 0; i < p.h.name_count && !*why_out; i++, text += strlen(text) + 1)
        if (collection_name(s->base, text, true) != i) *why_out = "a name stands twice";
    text = p.sources;
    for (uint32_t i = 0; i < p.h.source_count && !*why_out; i++, text += strlen(text) + 1)
        if (collection_source(s->base, text) != i) *why_out = "a source is empty";
    collection_room(s, p.h.count);
    memcpy(s->columns->item, p.item, p.h.count * sizeof *p.item);
    memcpy(s->columns->user, p.user, p.h.count * sizeof *p.user);
    memcpy(s->columns->type, p.type, p.h.count * sizeof *p.type);
    memcpy(s->columns->source, p.source, p.h.count * sizeof *p.source);
    memcpy(s->columns->length, p.length, p.h.count * sizeof *p.length);
    s->count = p.h.count;
    s->private_count = p.h.private_count;
    s->length_sum = p.h.length_sum;
    s->generation = p.h.generation;
    s->last_item = p.h.last_item;
    s->last_seq = p.h.last_seq;
    s->last_gone = p.h.last_gone;
    for (uint32_t i = 0; i < p.h.run_count; i++) s->runs[s->run_count++] = postings_over(&p.run[i]);
    for (uint32_t i = 0; i < p.h.set_count && !*why_out; i++)
        if (!add_set(s, &p, i)) *why_out = "too many sets";
    memcpy(mark_out, p.h.mark, INDEX_MARK_BYTES);
    if (!*why_out) return s;
    collection_release(s);
    return NULL;
}

static const char *path_of(struct call *c, const char *end)
{
    return arena_printf(&c->mem, "%s/.search-index%s", tenant_dir(c->tenant), end);
}

void index_file_close(struct index_file *f)
{
    if (!f) return;
    mapped_close(&f->map);
    free(f);
}

struct collection *index_file_read(struct call *c, struct conn *r, int64_t generation)
{
    const char *mark = NULL, *why = NULL, *path = path_of(c, "");
    char own[INDEX_MARK_BYTES];
    struct mapped map = { 0 };
    bool failed = c->err != OK;
    enum err e = search_store_marked(c, r, &mark);
    if (!e && mark) e = mapped_open(c, path, &map);
    if (e && e != ERR_NOT_FOUND) log_warn(c, "the index file cannot be read; all is read from the database", "file", path, "why", c->err_text, NULL);
    if (e && !failed) call_forgive(c);
    if (e || !mark) return NULL;
    struct collection *col = index_file_parse(map.data, map.size, own, &why);
    if (col && strcmp(own, mark) != 0) why = "of another state of the database";
    if (col && col->generation > generation) why = "newer than the database";
    if (why) {
        log_warn(c, "the index file is not used and is made anew", "file", path, "why", why, NULL);
        collection_release(col);
        mapped_close(&map);
        return NULL;
    }
    struct index_file *f = malloc(sizeof *f);
    if (!f) abort();
    f->map = map;
    col->base->file = f;
    return col;
}

/* ---- writing ---- */

/* Names and sources stay as many as were counted at first: readers may add names meanwhile. */
static char *names_text(struct base *b, uint32_t *count, uint64_t *bytes)
{
    pthread_mutex_lock(&b->lock);
    const char **by_id = calloc((size_t)b->name_count + 1, sizeof *by_id);
    if (!by_id) abort();
    for (uint32_t i = 0; i < b->name_slots; i++)
        if (b->names[i]) by_id[b->name_ids[i]] = b->names[i];
    *count = b->name_count;
    *bytes = 0;
    for (uint32_t i = 0; i < *count; i++) *bytes += strlen(by_id[i]) + 1;
    char *text = malloc(*bytes + 1), *to = text;
    if (!text) abort();
    for (uint32_t i = 0; i < *count; i++) to = stpcpy(to, by_id[i]) + 1;
    free(by_id);
    pthread_mutex_unlock(&b->lock);
    return text;
}

static void copy_rows(const struct collection_set *set, const struct vectors_part *to)
{
    size_t stride = vectors_stride(set->dim), dim = (size_t)set->dim;
    struct vectors_part from;
    for (uint32_t at = 0, n; at < set->count; at += n) {
        n = vectors_parts(set->rows, at, &from);
        if (n > set->count - at) n = set->count - at;
        memcpy((char *)(uintptr_t)to->high + at * stride, from.high, n * stride);
        memcpy((char *)(uintptr_t)to->low + at * stride, from.low, n * stride);
        memcpy((float *)(uintptr_t)to->scale + at, from.scale, n * sizeof(float));
        memcpy((float *)(uintptr_t)to->slack + at, from.slack, n * sizeof(float));
        memcpy((float *)(uintptr_t)to->full + at * dim, from.full, n * dim * sizeof(float));
    }
}

static void copy_run(const struct postings_arrays *to, const struct postings_arrays *from)
{
    memcpy((void *)(uintptr_t)to->terms, from->terms, from->term_count * sizeof *from->terms);
    memcpy((void *)(uintptr_t)to->slots, from->slots, from->slot_count * sizeof *from->slots);
    memcpy((void *)(uintptr_t)to->text, from->text, from->text_bytes);
    memcpy((void *)(uintptr_t)to->index, from->index, from->entries * sizeof *from->index);
    memcpy((void *)(uintptr_t)to->weight, from->weight, from->entries * sizeof *from->weight);
}

/* An empty array is no place to copy from. */
static void copy_some(void *to, const void *from, size_t n)
{
    if (n) memcpy(to, from, n);
}

struct plan {
    struct places p;
    struct head_set sets[COLLECTION_SETS];
    struct head_run runs[COLLECTION_RUNS];
    char *names;
};

static bool make_plan(const struct collection *col, const char *mark, struct plan *plan)
{
    struct head *h = &plan->p.h;
    *h = (struct head){ .order = BYTE_ORDER_MARK, .version = VERSION, .generation = col->generation, .last_item = col->last_item,
                        .last_seq = col->last_seq, .last_gone = col->last_gone, .length_sum = col->length_sum, .count = col->count,
                        .private_count = col->private_count, .set_count = (uint32_t)col->set_count, .run_count = (uint32_t)col->run_count };
    memcpy(h->magic, magic, sizeof magic);
    snprintf(h->mark, sizeof h->mark, "%s", mark);
    /* The base may hold sources that came after this snapshot; those that are needed are the first. */
    uint32_t most = 0;
    for (uint32_t i = 0; i < col->count; i++)
        if (col->columns->source[i] != COLLECTION_NONE && col->columns->source[i] >= most) most = col->columns->source[i] + 1;
    h->source_count = most;
    for (uint32_t i = 0; i < most; i++) h->sources_bytes += strlen(collection_source_at(col->base, i)->text) + 1;
    for (int i = 0; i < col->set_count; i++) {
        if (strlen(col->sets[i].model) >= MODEL_BYTES) return false;
        snprintf(plan->sets[i].model, MODEL_BYTES, "%s", col->sets[i].model);
        plan->sets[i].dim = (uint32_t)col->sets[i].dim;
        plan->sets[i].count = col->sets[i].count;
    }
    for (int i = 0; i < col->run_count; i++) {
        const struct postings_arrays *a = postings_arrays(col->runs[i]);
        plan->runs[i] = (struct head_run){ a->term_count, a->slot_count, a->text_bytes, a->entries };
    }
    plan->names = names_text(col->base, &h->name_count, &h->names_bytes);
    plan->p.sets = plan->sets;
    plan->p.runs = plan->runs;
    find_places(&plan->p, NULL);
    h->file_bytes = plan->p.end;
    return h->run_count < COLLECTION_RUNS;
}

static void fill(const struct collection *col, struct plan *plan, char *data)
{
    struct places *p = &plan->p;
    const struct head *h = &p->h;
    const struct columns *k = col->columns;
    find_places(p, data);
    memcpy(data + sizeof *h, plan->sets, h->set_count * sizeof *plan->sets);
    memcpy(data + sizeof *h + h->set_count * sizeof *plan->sets, plan->runs, h->run_count * sizeof *plan->runs);
    memcpy(p->item, k->item, h->count * sizeof *k->item);
    memcpy(p->user, k->user, h->count * sizeof *k->user);
    memcpy(p->type, k->type, h->count * sizeof *k->type);
    memcpy(p->source, k->source, h->count * sizeof *k->source);
    memcpy(p->length, k->length, h->count * sizeof *k->length);
    copy_some(p->names, plan->names, h->names_bytes);
    char *to = p->sources;
    for (uint32_t i = 0; i < h->source_count; i++) to = stpcpy(to, collection_source_at(col->base, i)->text) + 1;
    for (int i = 0; i < col->run_count; i++) copy_run(&p->run[i], postings_arrays(col->runs[i]));
    for (int i = 0; i < col->set_count; i++) {
        copy_some(p->set[i].index, col->sets[i].index_of, col->sets[i].count * sizeof(uint32_t));
        copy_rows(&col->sets[i], &p->set[i].part);
    }
    memcpy(data, h, sizeof *h);
    index_file_seal(data, h->file_bytes);
}

static enum err write_file(struct call *c, const struct collection *col, struct plan *plan, const char *path)
{
    size_t n = plan->p.h.file_bytes;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    enum err e = OK;
    int had = posix_fallocate(fd, 0, (off_t)n);
    char *data = had ? MAP_FAILED : mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (had || data == MAP_FAILED) {
        e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(had ? had : errno));
    } else {
        fill(col, plan, data);
        munmap(data, n);
        if (fsync(fd)) e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    close(fd);
    return e;
}

void index_file_drop(struct call *c)
{
    unlink(path_of(c, ""));
    unlink(path_of(c, ".new"));
}

struct placing { const char *from, *to; };

static enum err put_in_place(struct call *c, void *arg)
{
    const struct placing *p = arg;
    return rename(p->from, p->to) ? fail(c, ERR_IO, "cannot rename %s: %s", p->from, strerror(errno)) : OK;
}

bool index_file_write(struct call *c, const struct collection *col)
{
    if (col->dead_count) return false;
    char mark[ID_BYTES];
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan) abort();
    struct placing p = { path_of(c, ".new"), path_of(c, "") };
    bool kept = false, failed = c->err != OK;
    enum err e = OK;
    if (make_plan(col, id_new("idx", mark), plan)) {
        e = write_file(c, col, plan, p.from);
        if (!e) e = search_store_mark(c, mark, col->last_gone, put_in_place, &p, &kept);
    }
    if (e) log_warn(c, "the index file was not written", "file", p.to, "why", c->err_text, NULL);
    if (!kept) index_file_drop(c);
    if (e && !failed) call_forgive(c);
    free(plan->names);
    free(plan);
    return kept;
}

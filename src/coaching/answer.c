/* coaching/answer.c — sentence by sentence: cut, check, cite, emit. A sentence is final once it is emitted, so whatever
 * could stop it has to happen before; nothing is ever taken back. The material's own sentences are shown without their
 * markup, but their citation is the untouched bytes. */
/* SPDX-License-Identifier: MIT */
#include "coaching/answer.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "coaching/check.h"
#include "coaching/prompt.h"

#define TEXT_BYTES    (256 * 1024)
#define REFUSAL       "NOT_COVERED"
#define NEAREST_MAX   3
#define ENDS_MAX      64

void answer_init(struct answer *a, struct call *c, const struct evidence *ev, const struct turn_sink *sink)
{
    memset(a, 0, sizeof *a);
    a->c = c;
    a->ev = ev;
    a->sink = sink;
    buf_init(&a->text, TEXT_BYTES);
    buf_init(&a->pending, TEXT_BYTES);
}

void answer_dispose(struct answer *a)
{
    buf_dispose(&a->text);
    buf_dispose(&a->pending);
}

static void record(struct answer *a, const char *text, size_t n, const struct checked *k)
{
    if (a->record_count == ANSWER_SENTENCES_MAX) return;
    a->record[a->record_count++] = (struct trace_sentence){
        .text = arena_strndup(&a->c->mem, text, n), .passage = k->sentence < 0 ? 0 : a->ev->sentences[k->sentence].passage + 1,
        .support = k->support, .kept = k->kept, .why = k->why
    };
}

static void emit(struct answer *a, size_t from, const struct citation *cites, int count)
{
    if (a->text.failed) {
        a->e = fail(a->c, ERR_TOO_LARGE, "answer over %d bytes", TEXT_BYTES);
        return;
    }
    if (a->sink && a->sink->sentence && !a->e)
        a->e = a->sink->sentence(a->sink->arg, a->text.data + from, a->text.len - from, cites, count);
}

static struct citation *cite_new(struct answer *a, int passage, int64_t start, int64_t end, float score)
{
    const struct passage *p = &a->ev->passages[passage];
    struct citation *k = &a->cites[a->cite_count];
    *k = (struct citation){ .number = a->cite_count + 1, .document_id = p->document_id, .title = p->title, .heading = p->heading,
                            .chunk_id = p->chunk_id, .page = p->page, .start_byte = start, .end_byte = end, .score = score };
    k->text = arena_strndup(&a->c->mem, p->text + (start - p->start_byte), (size_t)(end - start));
    a->cite_count++;
    return k;
}

/* The citation for evidence sentence i, said in the answer from `from` to `to`. Neighbours in the material that are
 * neighbours in the answer share one, which grows. NULL: no room. */
static struct citation *cite(struct answer *a, int i, int from, int to, float score)
{
    const struct sentence *s = &a->ev->sentences[i];
    const struct passage *p = &a->ev->passages[s->passage];
    if (a->cite_count) {
        struct citation *last = &a->cites[a->cite_count - 1];
        int at = a->cite_last[a->cite_count - 1];
        bool next = at + 1 == i && s->follows && a->ev->sentences[at].passage == s->passage;
        if (at == i || next) {
            last->end_byte = s->end_byte;
            last->text = arena_strndup(&a->c->mem, p->text + (last->start_byte - p->start_byte),
                                       (size_t)(last->end_byte - last->start_byte));
            last->answer_end = to;
            if (score > last->score) last->score = score;
            a->cite_last[a->cite_count - 1] = i;
            return last;
        }
    }
    for (int k = 0; k < a->cite_count; k++)
        if (strcmp(a->cites[k].chunk_id, p->chunk_id) == 0 && a->cites[k].start_byte <= s->start_byte &&
            a->cites[k].end_byte >= s->end_byte)
            return &a->cites[k];
    if (a->cite_count == ANSWER_CITATIONS_MAX) return NULL;
    struct citation *k = cite_new(a, s->passage, s->start_byte, s->end_byte, score);
    k->answer_start = from;
    k->answer_end = to;
    a->cite_last[k->number - 1] = i;
    return k;
}

static size_t marker_len(const char *p, size_t n)
{
    size_t i = 0;
    if (n > 1 && strchr("-*+", p[0]) && p[1] == ' ') i = 1;
    else if (n > 3 && memcmp(p, "\xe2\x80\xa2", 3) == 0) i = 3;
    else {
        while (i < n && i < 3 && isdigit((unsigned char)p[i])) i++;
        if (i == 0 || i + 1 >= n || !strchr(".)", p[i]) || p[i + 1] != ' ') return 0;
        i++;
    }
    while (i < n && p[i] == ' ') i++;
    return i;
}

/* Plain words of a sentence: one line, no Markdown marks, no [n] marks of a model. */
static void plain(struct buf *b, const char *p, size_t n, bool drop_marks)
{
    bool space = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)p[i];
        if (isspace(ch)) {
            space = b->len > 0;
            continue;
        }
        if ((ch == '*' && i + 1 < n && p[i + 1] == '*') || (ch == '_' && i + 1 < n && p[i + 1] == '_')) {
            i++;
            continue;
        }
        if (ch == '`') continue;
        if (drop_marks && ch == '[') {
            size_t k = i + 1;
            while (k < n && (isdigit((unsigned char)p[k]) || p[k] == ',' || p[k] == ' ')) k++;
            if (k > i + 1 && k < n && p[k] == ']') {
                i = k;
                continue;
            }
        }
        if (ch == '[') {       /* a link keeps its words */
            const char *close = memchr(p + i, ']', n - i);
            if (close && close + 1 < p + n && close[1] == '(') {
                const char *end = memchr(close, ')', (size_t)(p + n - close));
                if (end) {
                    if (space) buf_addc(b, ' ');
                    space = false;
                    buf_add(b, p + i + 1, (size_t)(close - p) - i - 1);
                    i = (size_t)(end - p);
                    continue;
                }
            }
        }
        if (space && !(drop_marks && strchr(".,;:!?", ch))) buf_addc(b, ' ');
        space = false;
        buf_addc(b, (char)ch);
    }
}

static void say(struct answer *a, const char *words, size_t n, const char *marker, size_t marker_n, int i, float support)
{
    size_t begin = a->text.len;
    bool item = marker_n > 0;
    if (begin == 0) {
        /* Steps without their lead-in need their title to make sense. */
        const char *section = passage_section(&a->ev->passages[a->ev->sentences[i].passage]);
        if (item && *section) buf_printf(&a->text, "%s:\n", section);
    } else {
        buf_addc(&a->text, item || a->last_item ? '\n' : ' ');
    }
    if (item) buf_add(&a->text, marker, marker_n);
    size_t from = a->text.len;
    buf_add(&a->text, words, n);
    struct citation *k = cite(a, i, (int)from, (int)a->text.len, support);
    if (k) buf_printf(&a->text, " [%d]", k->number);
    a->last_item = item;
    a->kept++;
    a->support_sum += support;
    emit(a, begin, k, k ? 1 : 0);
}

static void say_evidence(struct answer *a, int i)
{
    const struct sentence *s = &a->ev->sentences[i];
    size_t m = s->item ? marker_len(s->text, s->n) : 0;
    struct buf b;
    buf_init(&b, TEXT_BYTES);
    plain(&b, s->text + m, s->n - m, false);
    struct checked k = { .kept = true, .sentence = i, .support = s->relevance, .why = "the material's own words" };
    record(a, s->text, s->n, &k);
    if (b.len) say(a, b.data, b.len, s->text, m, i, s->relevance);
    buf_dispose(&b);
}

/* One whole sentence of a language model. */
static void judge(struct answer *a, const char *p, size_t n)
{
    while (n && isspace((unsigned char)*p)) p++, n--;
    while (n && isspace((unsigned char)p[n - 1])) n--;
    size_t m = marker_len(p, n);
    struct buf b;
    buf_init(&b, TEXT_BYTES);
    plain(&b, p + m, n - m, true);
    if (b.len >= sizeof REFUSAL - 1 && memcmp(b.data, REFUSAL, sizeof REFUSAL - 1) == 0) {
        a->refused = true;
    } else if (b.len > 1 || (b.len && isalnum((unsigned char)b.data[0]))) {
        struct checked k;
        int64_t t = clock_mono_us();
        enum err e = check_sentence(a->c, a->ev, b.data, b.len, &k);
        a->check_us += clock_mono_us() - t;
        if (e) {
            a->e = e;
        } else {
            record(a, b.data, b.len, &k);
            if (k.kept) say(a, b.data, b.len, p, m, k.sentence, k.support);
            else a->dropped++;
        }
    }
    buf_dispose(&b);
}

/* Whole sentences leave pending; at_end: everything does. */
static void cut(struct answer *a, bool at_end)
{
    size_t from = 0;
    while (from < a->pending.len && !a->e && !a->refused) {
        const char *p = a->pending.data + from;
        size_t left = a->pending.len - from;
        const char *nl = memchr(p, '\n', left);
        size_t line = nl ? (size_t)(nl - p) : left;
        bool whole = nl || at_end;
        size_t m = marker_len(p, line);
        uint32_t ends[ENDS_MAX];
        int count = m ? 0 : text_sentences(p, line, ends, ENDS_MAX);
        size_t done = 0;
        for (int i = 0; i < count && !a->e && !a->refused; i++) {
            if (ends[i] >= line && !whole) break;
            judge(a, p + done, ends[i] - done);
            done = ends[i];
        }
        if (!whole) {
            from += done;
            break;
        }
        if (done < line && !a->e && !a->refused) judge(a, p + done, line - done);
        from += nl ? line + 1 : line;
    }
    buf_drop_front(&a->pending, from);
}

bool answer_delta(void *arg, const char *text, size_t n, int sentence)
{
    struct answer *a = arg;
    if (sentence >= 0) {
        say_evidence(a, sentence);
    } else if (!buf_add(&a->pending, text, n)) {
        a->e = fail(a->c, ERR_UPSTREAM, "the model wrote a sentence without end");
    } else {
        cut(a, false);
    }
    return a->e == OK && !a->refused;
}

enum err answer_finish(struct answer *a)
{
    if (!a->e && !a->refused) cut(a, true);
    return a->e;
}

/* What stands for a passage when it is only near: its most relevant sentence, else its beginning. */
static struct citation *cite_nearest(struct answer *a, int passage)
{
    const struct passage *p = &a->ev->passages[passage];
    int best = -1;
    for (int i = 0; i < a->ev->count; i++)
        if (a->ev->sentences[i].passage == passage &&
            (best < 0 || a->ev->sentences[i].relevance > a->ev->sentences[best].relevance))
            best = i;
    if (best >= 0)
        return cite_new(a, passage, a->ev->sentences[best].start_byte, a->ev->sentences[best].end_byte,
                        a->ev->sentences[best].relevance);
    return cite_new(a, passage, p->start_byte, p->start_byte + (int64_t)strlen(p->text), 0);
}

enum err answer_say(struct answer *a, const char *words)
{
    buf_adds(&a->text, words);
    emit(a, 0, NULL, 0);
    return a->e;
}

enum err answer_unknown(struct answer *a, const char *language)
{
    const struct pair none[] = { { 0 } };
    bool first = true;
    buf_clear(&a->text);
    a->cite_count = 0;
    buf_adds(&a->text, prompt_words(a->c, "unknown", language, none));
    emit(a, 0, NULL, 0);
    size_t begin = a->text.len;
    for (int i = 0; i < a->ev->passage_count && a->cite_count < NEAREST_MAX; i++) {
        const char *section = passage_section(&a->ev->passages[i]);
        bool again = !*section;
        for (int k = 0; k < i && !again; k++) again = strcmp(passage_section(&a->ev->passages[k]), section) == 0;
        if (again) continue;
        if (first) buf_printf(&a->text, " %s", prompt_words(a->c, "nearest", language, none));
        struct citation *k = cite_nearest(a, i);
        buf_adds(&a->text, first ? " " : ", ");
        k->answer_start = (int)a->text.len;
        buf_printf(&a->text, strcmp(language, "es") == 0 ? "«%s»" : "“%s”", section);
        k->answer_end = (int)a->text.len;
        buf_printf(&a->text, " [%d]", k->number);
        first = false;
    }
    if (!first) {
        buf_addc(&a->text, '.');
        emit(a, begin, a->cites, a->cite_count);
    }
    return a->e;
}

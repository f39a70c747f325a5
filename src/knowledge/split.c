/* The recursive splitter of ARC-006, turned around: instead of cutting the text into ever smaller pieces and gluing
 * them together, look for the best place to end each chunk within its reach. The results are the same where the
 * recursion is sensible, every chunk is a span of the text (so a citation can point at it), and memory is one list of
 * chunks. Sections are never joined, except a heading that has no text of its own with the section after it. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/split.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/encoder.h"

/* Where a chunk may end, best first. */
enum level { LEVEL_END, LEVEL_PARAGRAPH, LEVEL_LINE, LEVEL_SENTENCE, LEVEL_WORD, LEVEL_ANY };

struct split {
    struct call *c;
    const char *text;
    size_t len;
    const struct split_opts *o;
    uint32_t *tokens; /* where each begins; NULL in code points */
    int token_count;
    struct split_piece *pieces;
    int count, room;
};

static bool blank(char ch)
{
    return ch == ' ' || ch == '\n' || ch == '\t';
}

static bool inside_char(char ch)
{
    return ((unsigned char)ch & 0xc0) == 0x80;
}

/* The first token that begins at or after at. */
static int token_at(const struct split *s, size_t at)
{
    int lo = 0, hi = s->token_count;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (s->tokens[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The furthest end of a chunk that begins at from; at most to. */
static size_t reach(const struct split *s, size_t from, size_t to)
{
    if (s->tokens) {
        int i = token_at(s, from) + s->o->size;
        return i < s->token_count && s->tokens[i] < to ? s->tokens[i] : to;
    }
    size_t at = from;
    for (int i = 0; i < s->o->size && at < to; i++)
        for (at++; at < to && inside_char(s->text[at]); at++) continue;
    return at;
}

/* The earliest start whose distance to end is within the overlap. */
static size_t reach_back(const struct split *s, size_t from, size_t end)
{
    if (s->tokens) {
        int i = token_at(s, end) - s->o->overlap;
        return i < 0 ? from : s->tokens[i] > from ? s->tokens[i] : from;
    }
    size_t at = end;
    for (int i = 0; i < s->o->overlap && at > from; i++)
        for (at--; at > from && inside_char(s->text[at]); at--) continue;
    return at;
}

static bool sentence_ends(const char *t, size_t at)
{
    if (at < 2 || t[at - 1] != ' ') return false;
    char last = t[at - 2];
    if ((last == ')' || last == '"') && at >= 3) last = t[at - 3];
    return last == '.' || last == '!' || last == '?';
}

/* The last place after `after`, not past `limit`, where a chunk may end, and of which kind. Ends stand after the
 * separator; blanks are trimmed later. */
static size_t find_end(const struct split *s, size_t from, size_t after, size_t limit, size_t to, enum level *level_out)
{
    const char *t = s->text;
    if (limit >= to) {
        *level_out = LEVEL_END;
        return to;
    }
    size_t line = 0, word = 0, sentence = 0;
    /* The separator itself may lie past the limit: what it ends has still room. */
    size_t top = limit;
    while (top < to && top < limit + 2 && blank(t[top])) top++;
    for (size_t at = top; at > after; at--) {
        if (!blank(t[at - 1])) continue;
        if (t[at - 1] == '\n' && at >= 2 && t[at - 2] == '\n') {
            *level_out = LEVEL_PARAGRAPH;
            return at;
        }
        if (!line && t[at - 1] == '\n') line = at;
        if (!word) word = at;
        if (!sentence && sentence_ends(t, at)) sentence = at;
    }
    if (line) {
        *level_out = LEVEL_LINE;
        return line;
    }
    if (sentence && !s->tokens && (sentence - from) * 10 > (limit - from) * 7) {
        *level_out = LEVEL_SENTENCE;
        return sentence;
    }
    if (word) {
        *level_out = LEVEL_WORD;
        return word;
    }
    *level_out = LEVEL_ANY;
    /* Between code points, and never without progress. */
    size_t at = limit;
    while (at > after && inside_char(t[at])) at--;
    if (at <= after)
        for (at = after + 1; at < to && inside_char(t[at]); at++) continue;
    return at;
}

static bool begins_at(const struct split *s, size_t at, enum level level)
{
    const char *t = s->text;
    switch (level) {
    case LEVEL_PARAGRAPH:
        return at >= 2 && t[at - 1] == '\n' && t[at - 2] == '\n';
    case LEVEL_LINE:
        return t[at - 1] == '\n';
    case LEVEL_SENTENCE:
        return t[at - 1] == '\n' || sentence_ends(t, at);
    case LEVEL_WORD:
        return blank(t[at - 1]);
    default:
        return !inside_char(t[at]);
    }
}

/* Where the chunk after one that ended at end (by level) begins: as far back as the overlap allows at a place of the
 * same kind; sentences fall back to words, and so does a short rest. */
static size_t next_start(const struct split *s, size_t from, size_t end, size_t to, enum level level)
{
    size_t back = reach_back(s, from + 1, end);
    /* What is left is short: with a piece of what stands before it, it still says what it is about. */
    bool last = s->o->overlap > 0 && to > end && reach_back(s, end, to) == end;
    for (enum level l = level; l <= (last || level == LEVEL_SENTENCE ? LEVEL_WORD : level); l++)
        for (size_t at = back; at < end; at++)
            if (begins_at(s, at, l) && !blank(s->text[at])) return at;
    return end;
}

static void add(struct split *s, size_t start, size_t end, const char *heading)
{
    while (start < end && blank(s->text[start])) start++;
    while (end > start && blank(s->text[end - 1])) end--;
    if (start == end) return;
    if (s->count == s->room) {
        int room = s->room ? s->room * 2 : 64;
        struct split_piece *more = arena_array(&s->c->mem, (size_t)room, sizeof(*more));
        if (s->count) memcpy(more, s->pieces, (size_t)s->count * sizeof(*more));
        s->pieces = more;
        s->room = room;
    }
    s->pieces[s->count++] = (struct split_piece){ .start = start, .end = end, .heading = heading };
}

/* One section. least: no chunk ends before it (the heading's line does not stand alone). */
static void section(struct split *s, size_t from, size_t to, size_t least, const char *heading)
{
    while (from < to && blank(s->text[from])) from++;
    while (to > from && blank(s->text[to - 1])) to--;
    while (least < to && blank(s->text[least])) least++;
    size_t done = from; /* the text up to here is in a chunk */
    while (done < to) {
        enum level level, fresh;
        while (blank(s->text[from])) from++;
        size_t after = done > least ? done : least < reach(s, from, to) ? least : done;
        size_t end = find_end(s, from, after, reach(s, from, to), to, &level);
        if (from < done) {
            /* An overlap that forces a worse break, or leaves nothing new, is not worth having. */
            size_t begin = done;
            while (begin < to && blank(s->text[begin])) begin++;
            size_t alone = find_end(s, begin, begin, reach(s, begin, to), to, &fresh);
            if (fresh < level && fresh != LEVEL_SENTENCE && fresh != LEVEL_END) {
                from = begin;
                end = alone;
                level = fresh;
            }
        }
        add(s, from, end, heading);
        done = end;
        while (done < to && blank(s->text[done])) done++;
        from = done < to ? next_start(s, from, end, to, level) : to;
    }
}

static bool only_heading(const char *text, size_t from, size_t to)
{
    while (from < to && blank(text[from])) from++;
    return from == to;
}

int split_page(struct call *c, const struct extract_page *p, const struct split_opts *o, struct split_piece **out)
{
    assert(o->size >= 1 && o->overlap >= 0 && o->overlap < o->size);
    struct split s = { .c = c, .text = p->text, .len = p->len, .o = o };
    if (o->tokens && p->len) {
        /* Counted first: a character may become several tokens. */
        int most = tokenizer_spans(o->tokens, p->text, p->len, NULL, INT_MAX);
        s.tokens = malloc(((size_t)most + 1) * sizeof(*s.tokens));
        assert(s.tokens);
        s.token_count = tokenizer_spans(o->tokens, p->text, p->len, s.tokens, most);
    }
    const char *heading = p->heading;
    size_t from = 0, least = 0;
    bool open = false; /* a heading without text waits for the next section */
    for (int i = 0; i <= p->mark_count; i++) {
        size_t to = i < p->mark_count ? p->marks[i].at : p->len;
        bool next_record = i < p->mark_count && p->marks[i].record;
        if (i == p->mark_count || next_record || !open || !only_heading(p->text, least, to)) {
            section(&s, from, to, least, heading);
            from = to;
        }
        if (i == p->mark_count) break;
        heading = p->marks[i].heading;
        least = p->marks[i].body_at;
        open = true;
    }
    free(s.tokens);
    *out = s.pieces;
    return s.count;
}

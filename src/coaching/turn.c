/* coaching/turn.c — one turn from question to stored trace, in the order of ARC-003. Whether the material covers the
 * question is decided before any model is asked: a refusal costs nothing and cannot be talked out of. A provider that
 * fails makes the answer plainer, never absent. The turn is stored even when the person left. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "coaching/answer.h"
#include "coaching/coaching_store.h"
#include "coaching/cover.h"
#include "coaching/prompt.h"
#include "coaching/smalltalk.h"
#include "coaching/trace.h"
#include "encoder/encoder.h"
#include "models/models.h"

#define PASSAGES_DEFAULT 6
#define PASSAGES_MOST    20
#define SEARCH_LEAST     40        /* passages looked at, of which the best become evidence */
#define HISTORY_TURNS    3
#define HISTORY_MOST     12        /* messages given to a model */
#define BEGIN_MS         1000

const struct setting coaching_settings[] = {
    { "TURNS_KEEP_DAYS", "90", "days a turn and its trace are kept where the creator did not decide, 1 to 3650", SETTING_INT, 1, 3650 },
    { 0 }
};

struct work {
    struct call          *c;
    const struct turn_in *in;
    const char           *question, *language, *searched;
    struct coach          coach;
    struct said          *history;
    int                   history_count;
    struct evidence       ev;
    struct search_info    info;
    struct cover          cover;
    bool                  found;        /* ev, info and cover are filled */
    bool                  late;         /* there was no time to look */
};

static void describe(void)
{
    metric_describe("chiron_answers_total", 'c', "Answers by the step of the degrade ladder that gave them");
    metric_describe("chiron_answer_seconds", 'h', "Time of a whole turn");
    metric_describe("chiron_answer_sentences_dropped_total", 'c', "Generated sentences that failed the check");
    metric_describe("chiron_traces_lost_total", 'c', "Turns whose trace could not be stored");
}

static enum err check_question(struct call *c, const struct turn_in *in, const char **out)
{
    const char *q = in->question ? in->question : "";
    size_t n = strlen(q);
    if (n > LIMIT_QUERY_BYTES) return fail(c, ERR_TOO_LARGE, "the question has %zu bytes, at most %d are read", n, LIMIT_QUERY_BYTES);
    while (n && strchr(" \t\r\n", q[n - 1])) n--;
    while (n && strchr(" \t\r\n", *q)) q++, n--;
    if (n == 0) return fail_field(c, "question", "the question is empty");
    if (in->conversation_id && !id_valid(in->conversation_id)) return fail_field(c, "conversation_id", "not a valid id");
    if (in->k < 0 || in->k > PASSAGES_MOST) return fail_field(c, "k", "k must be 1 to %d", PASSAGES_MOST);
    *out = arena_strndup(&c->mem, q, n);
    return OK;
}

static enum err load_history(struct work *w)
{
    if (w->in->history) {
        int skip = w->in->history_count > HISTORY_MOST ? w->in->history_count - HISTORY_MOST : 0;
        w->history_count = w->in->history_count - skip;
        w->history = arena_array(&w->c->mem, (size_t)w->history_count + 1, sizeof *w->history);
        memcpy(w->history, w->in->history + skip, (size_t)w->history_count * sizeof *w->history);
        return OK;
    }
    if (!w->in->conversation_id) return OK;
    struct turn_row *rows = NULL;
    int n = 0;
    enum err e = turn_load_history(w->c, w->in->conversation_id, trace_owner(w->c), HISTORY_TURNS, &rows, &n);
    if (e) return e;
    w->history = arena_array(&w->c->mem, (size_t)n * 2 + 1, sizeof *w->history);
    for (int i = 0; i < n; i++) {
        w->history[w->history_count++] = (struct said){ "user", rows[i].question };
        w->history[w->history_count++] = (struct said){ "assistant", rows[i].answer };
    }
    return OK;
}

/* Who answers and what was said are two short reads without which even "not in time" cannot be said: they get the time. */
static enum err begin(struct work *w)
{
    struct call *c = w->c;
    int64_t      outer = c->deadline_ms;
    if (outer && call_left_ms(c, BEGIN_MS) < BEGIN_MS) c->deadline_ms = clock_mono_ms() + BEGIN_MS;
    enum err e = coach_get(c, w->in->coach_id, &w->coach);
    if (!e) e = load_history(w);
    c->deadline_ms = outer;
    return e;
}

static enum err look(struct work *w, const char *text, struct evidence *ev, struct search_info *info, struct cover *cover)
{
    int use = w->in->k ? w->in->k : PASSAGES_DEFAULT, n = 0;
    struct passage *p = NULL;
    const struct search_opts o = { .k = use > SEARCH_LEAST ? use : SEARCH_LEAST, .types = w->in->types };
    enum err e = search_text(w->c, text, &o, &p, &n, info);
    if (e) return e;
    int span = span_begin(w->c, "context");
    e = evidence_make(w->c, info->corrected ? info->corrected : text, w->language, p, n, use, ev);
    if (!e) cover_judge(ev, cover);
    span_end(w->c, span);
    return e;
}

/* A question that is not covered alone may lean on the one before ("and for beginners?"). */
static enum err find(struct work *w)
{
    enum err e = look(w, w->question, &w->ev, &w->info, &w->cover);
    if (e) return e;
    w->searched = w->info.corrected ? w->info.corrected : w->question;
    w->found = true;
    if (w->cover.probability >= COVER_LEAST) return OK;
    const char *before = NULL;
    for (int i = w->history_count - 1; i >= 0 && !before; i--)
        if (strcmp(w->history[i].role, "user") == 0) before = w->history[i].text;
    if (!before || strlen(before) + strlen(w->question) + 2 > LIMIT_QUERY_BYTES / 4 || w->ev.terms.count > 6) return OK;
    const char *both = arena_printf(&w->c->mem, "%s %s", before, w->question);
    struct evidence ev;
    struct search_info info;
    struct cover cover;
    e = look(w, both, &ev, &info, &cover);
    if (e == ERR_TIMEOUT) {
        call_forgive(w->c);
        call_degrade(w->c, "search", "the question alone", "no time");
        return OK;
    }
    if (e) return e;
    /* Its own words must be in what was found, or the question before would answer for it. */
    struct terms own = w->ev.terms;
    float share = 0;
    for (int i = 0; i < ev.passage_count && own.count; i++) {
        float s = terms_share(&own, &ev.passage_terms[i]);
        if (s > share) share = s;
    }
    if (cover.probability >= COVER_LEAST && (own.count == 0 || share >= 0.4f)) {
        w->ev = ev;
        w->info = info;
        w->cover = cover;
        w->searched = info.corrected ? info.corrected : both;
    }
    return OK;
}

/* The last rung: nothing could be looked up in the time there was. The deadline is over, its answer is due all the same. */
static enum err say_late(struct work *w, struct answer *a)
{
    const struct pair none[] = { { 0 } };
    struct call *c = w->c;
    int64_t      outer = c->deadline_ms;
    call_forgive(c);
    buf_clear(&a->text);
    a->e = OK;
    c->deadline_ms = 0;
    enum err e = answer_say(a, prompt_words(c, "late", w->language, none));
    c->deadline_ms = outer;
    return e;
}

static bool ended_in_time(const struct call *c, enum err e)
{
    return e != ERR_TIMEOUT || (c->stop && atomic_load(c->stop));
}

static const char *small_reply(struct work *w, const char *kind)
{
    const struct pair who[] = { { "name", w->coach.name }, { 0 } };
    return prompt_words(w->c, arena_printf(&w->c->mem, "small_%s", kind), w->language, who);
}

static int tokens_of(const char *text)
{
    struct encoder *enc = encoder_default();
    size_t n = strlen(text);
    return enc ? tokenizer_spans(encoder_tokenizer(enc), text, n, NULL, 1 << 20) : (int)(n / 4 + 1);
}

/* What the person has read stays; where nothing was said, the material speaks itself. */
static enum err generate(struct work *w, struct answer *a, struct turn *t, const char **ended)
{
    struct call *c = w->c;
    struct prompt p = { .temperature = w->in->temperature_set || w->in->temperature < 0 ? w->in->temperature : -1,
                        .max_tokens = w->in->max_tokens };
    struct generation g = { 0 };
    int span = span_begin(c, "generate");
    prompt_compose(c, &w->coach, w->history, w->history_count, &w->ev, w->question, &p);
    enum err e = models_generate(c, &p, answer_delta, a, &g);
    span_end(c, span);
    span = span_begin(c, "check");
    const char *why = g.failed_because;
    bool fell_back = g.fell_back, cut_off = false;
    if ((e == ERR_UPSTREAM || e == ERR_TIMEOUT) && !a->e) {      /* broke off after its first piece */
        why = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        fell_back = cut_off = true;
        g = (struct generation){ .provider = "openai", .model = "", .finish_reason = "stop" };
        e = OK;
    }
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        e = OK;
    }
    if (!e && !cut_off) e = answer_finish(a);
    if (!e && a->e) e = a->e;
    if (!e && a->kept == 0 && !a->refused && g.provider && strcmp(g.provider, "extractive") != 0) {
        if (!why) why = "nothing it wrote was supported by the material";
        fell_back = true;
        int prompt_tokens = g.prompt_tokens, completion_tokens = g.completion_tokens;
        e = models_extract(c, &p, answer_delta, a, &g);
        if (e == ERR_NOT_FOUND) {
            call_forgive(c);
            e = OK;
        }
        g.prompt_tokens = prompt_tokens;              /* paid for, though nothing of it was used */
        g.completion_tokens = completion_tokens;
        if (!e && a->e) e = a->e;
    }
    span_end(c, span);
    if (e == ERR_CANCELLED && !(c->stop && atomic_load(c->stop))) {
        *ended = "the caller had enough";
        call_forgive(c);
        e = OK;
    }
    if (cut_off && a->kept) *ended = "the provider broke off";
    t->provider = g.provider ? g.provider : "extractive";
    t->model = g.model ? g.model : "extractive";
    t->prompt_tokens = g.prompt_tokens;
    t->completion_tokens = g.completion_tokens;
    t->fell_back = fell_back;
    t->fell_back_why = fell_back ? why : NULL;
    t->step = strcmp(t->provider, "extractive") == 0 ? "extractive" : "full";
    return e;
}

/* With a context of its own: the asker's may be cancelled or out of time, and its trace is wanted all the more. */
static void store(struct work *w, const struct turn *t, const struct trace *trace)
{
    struct call s;
    call_init(&s);
    s.tenant = w->c->tenant;
    memcpy(s.creator_id, w->c->creator_id, sizeof s.creator_id);
    memcpy(s.log_id, w->c->log_id, sizeof s.log_id);
    const struct turn_row row = { .id = t->id, .conversation_id = t->conversation_id, .user_id = trace_owner(w->c),
                                  .coach_id = w->coach.id, .question = w->question, .answer = t->answer, .step = t->step,
                                  .trace = trace_write(w->c, trace), .covered = t->covered, .confidence = (double)t->confidence,
                                  .took_ms = t->took_ms, .created_ms = trace->created_ms };
    enum err e = turn_save(&s, &row);
    if (e) {
        log_error(w->c, "trace not stored", "turn", t->id, "why", s.err_text, NULL);
        metric_add("chiron_traces_lost_total", NULL, 1);
    }
    call_dispose(&s);
}

static float confidence(const struct cover *k, const struct answer *a, bool covered)
{
    if (!covered) return 0.3f * k->probability;
    float support = a->kept ? a->support_sum / (float)a->kept : 0;
    float sure = (k->probability - COVER_LEAST) / (1 - COVER_LEAST);
    float v = 0.5f + 0.3f * (sure > 0 ? sure : 0) + 0.2f * (support > 1 ? 1 : support);
    return v > 1 ? 1 : v;
}

enum err coaching_turn(struct call *c, const struct turn_in *in, const struct turn_sink *sink, struct turn *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    struct work w = { .c = c, .in = in };
    struct turn t = { .step = "unknown", .provider = "none", .model = "", .strategy = "", .answer = "" };
    struct trace trace = { .turn = &t, .in = in, .created_ms = clock_unix_ms(), .start_us = clock_mono_us(),
                           .span_first = c->span_count };
    char id[ID_BYTES];
    enum err e = check_question(c, in, &w.question);
    if (!e) e = begin(&w);
    if (e) return e;
    t.id = arena_strdup(&c->mem, id_new("turn", id));
    t.conversation_id = in->conversation_id ? in->conversation_id : arena_strdup(&c->mem, id_new("conv", id));
    t.language = text_language(w.question, strlen(w.question));
    if (!t.language || !*t.language) t.language = w.coach.language;
    const char *small = smalltalk_kind(w.question, strlen(w.question), w.coach.name, &t.language);
    w.language = t.language;
    trace.coach_id = w.coach.id;
    struct answer a;
    answer_init(&a, c, &w.ev, sink);
    if (small) {
        t.step = "greeting";
        w.searched = w.question;
        e = answer_say(&a, small_reply(&w, small));
        if (e == ERR_CANCELLED && !(c->stop && atomic_load(c->stop))) {
            call_forgive(c);
            e = OK;
        }
    } else {
        e = find(&w);
        if (!ended_in_time(c, e)) {
            call_degrade(c, "search", "no answer", "no time");
            w.late = true;
            e = OK;
        }
    }
    if (!e && w.found && w.cover.probability >= COVER_LEAST) {
        e = generate(&w, &a, &t, &trace.ended);
        if (!ended_in_time(c, e)) {
            call_forgive(c);
            call_degrade(c, "generate", a.kept ? "what was said in time" : "no answer", "no time");
            trace.ended = "the time was over";
            w.late = !a.kept;
            e = OK;
        }
    }
    if (!e && w.late) {
        t.step = "unknown";
        t.provider = "none", t.model = "";
        e = say_late(&w, &a);
        if (e == ERR_CANCELLED && !(c->stop && atomic_load(c->stop))) {
            call_forgive(c);
            e = OK;
        }
    } else if (!e && a.kept) {
        t.covered = true;
    } else if (!e && !small) {
        t.step = "unknown";
        if (!a.refused) t.provider = "none", t.model = "";
        e = answer_unknown(&a, w.language);
        if (e == ERR_CANCELLED && !(c->stop && atomic_load(c->stop))) {
            call_forgive(c);
            e = OK;
        }
    }
    if (e && !w.found && !small && !w.late) goto out;
    t.answer = arena_strndup(&c->mem, a.text.data ? a.text.data : "", a.text.len);
    t.citations = arena_array(&c->mem, (size_t)a.cite_count + 1, sizeof *t.citations);
    memcpy(t.citations, a.cites, (size_t)a.cite_count * sizeof *t.citations);
    t.citation_count = a.cite_count;
    t.dropped = a.dropped;
    t.degrades = c->degrades;
    t.degrade_count = c->degrade_count;
    t.strategy = w.info.strategy ? w.info.strategy : "";
    t.confidence = confidence(&w.cover, &a, t.covered);
    if (t.prompt_tokens == 0) t.prompt_tokens = tokens_of(w.question);
    if (t.completion_tokens == 0) t.completion_tokens = tokens_of(t.answer);
    t.took_ms = (double)(clock_mono_us() - trace.start_us) / 1000.0;
    if (e) trace.ended = e == ERR_CANCELLED ? "the person left" : arena_strdup(&c->mem, c->err_text);
    trace.searched = w.searched;
    trace.ev = w.found ? &w.ev : NULL;
    trace.info = w.found ? &w.info : NULL;
    trace.cover = w.found ? &w.cover : NULL;
    trace.sentences = a.record;
    trace.sentence_count = a.record_count;
    trace.check_ms = (double)a.check_us / 1000.0;
    store(&w, &t, &trace);
    metric_add("chiron_answers_total", small ? "step=\"greeting\"" : strcmp(t.step, "full") == 0 ? "step=\"full\"" :
               strcmp(t.step, "extractive") == 0 ? "step=\"extractive\"" : "step=\"unknown\"", 1);
    if (a.dropped) metric_add("chiron_answer_sentences_dropped_total", NULL, a.dropped);
    metric_observe("chiron_answer_seconds", NULL, t.took_ms / 1000.0);
    if (!e) *out = t;
out:
    answer_dispose(&a);
    return e;
}

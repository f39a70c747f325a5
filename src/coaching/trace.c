/* coaching/trace.c — what a turn did, for `why`, the page and a later replay. It holds the person's question and the
 * material's words, so it is kept in the creator's database only and shown to nobody else. */
/* SPDX-License-Identifier: MIT */
#include "coaching/trace.h"

#include <string.h>

#include "base/clock.h"
#include "coaching/coaching_store.h"
#include "coaching/prompt.h"

#define TRACE_BYTES       (1024 * 1024)
#define TRACE_LIST_MAX    200

void citation_write(struct json_out *j, const char *name, const struct citation *k)
{
    json_begin_object(j, name);
    json_put_int(j, "number", k->number);
    json_put_text(j, "document_id", k->document_id);
    json_put_text(j, "title", k->title);
    json_put_text(j, "heading", k->heading);
    json_put_text(j, "chunk_id", k->chunk_id);
    json_put_int(j, "page", k->page);
    json_put_int(j, "start_byte", k->start_byte);
    json_put_int(j, "end_byte", k->end_byte);
    json_put_text(j, "text", k->text);
    json_put_float(j, "score", k->score);
    json_put_int(j, "answer_start", k->answer_start);
    json_put_int(j, "answer_end", k->answer_end);
    json_end(j);
}

static void usage_write(struct json_out *j, const struct turn *t)
{
    json_begin_object(j, "usage");
    json_put_int(j, "prompt_tokens", t->prompt_tokens);
    json_put_int(j, "completion_tokens", t->completion_tokens);
    json_end(j);
}

void turn_write(struct json_out *j, const char *name, const struct turn *t)
{
    json_begin_object(j, name);
    json_put_text(j, "id", t->id);
    json_put_text(j, "conversation_id", t->conversation_id);
    json_put_text(j, "answer", t->answer);
    json_put_text(j, "language", t->language);
    json_put_bool(j, "covered", t->covered);
    json_put_text(j, "step", t->step);
    json_put_float(j, "confidence", t->confidence);
    json_begin_array(j, "citations");
    for (int i = 0; i < t->citation_count; i++) citation_write(j, NULL, &t->citations[i]);
    json_end(j);
    json_put_text(j, "provider", t->provider);
    json_put_text(j, "model", t->model);
    json_put_text(j, "strategy", t->strategy);
    usage_write(j, t);
    json_put_bool(j, "fell_back", t->fell_back);
    json_put_text(j, "fell_back_why", t->fell_back_why);
    json_put_degraded(j, t->degrades, t->degrade_count);
    json_put_int(j, "dropped", t->dropped);
    json_put_real(j, "took_ms", t->took_ms);
    json_end(j);
}

/* A question asked before takes its vector and passages from memory: the stage was passed, in no time. */
static void stage_remembered(struct json_out *j, double at_ms)
{
    json_begin_object(j, NULL);
    json_put_text(j, "name", "embed");
    json_put_real(j, "start_ms", at_ms);
    json_put_real(j, "took_ms", 0);
    json_put_bool(j, "remembered", true);
    json_end(j);
}

static void stages_write(struct json_out *j, const struct call *c, const struct trace *t)
{
    bool embedded = !t->info || !t->info->cached;
    json_begin_array(j, "stages");
    for (int i = t->span_first; i < c->span_count; i++) {
        if (strcmp(c->spans[i].name, "embed") == 0) embedded = true;
        if (strcmp(c->spans[i].name, "search") == 0 && !embedded) {
            stage_remembered(j, (double)(c->spans[i].start_us - t->start_us) / 1000.0);
            embedded = true;
        }
        json_begin_object(j, NULL);
        json_put_text(j, "name", c->spans[i].name);
        json_put_real(j, "start_ms", (double)(c->spans[i].start_us - t->start_us) / 1000.0);
        json_put_real(j, "took_ms", c->spans[i].took_us < 0 ? 0 : (double)c->spans[i].took_us / 1000.0);
        json_end(j);
    }
    json_end(j);
}

static void passages_write(struct json_out *j, const struct trace *t)
{
    const struct evidence *ev = t->ev;
    json_begin_array(j, "passages");
    for (int i = 0; ev && i < ev->found_count; i++) {
        const struct passage *p = &ev->passages[i];
        bool used = false;
        for (int k = 0; k < t->turn->citation_count && t->turn->covered; k++)
            used |= strcmp(t->turn->citations[k].chunk_id, p->chunk_id) == 0;
        json_begin_object(j, NULL);
        json_put_int(j, "rank", i + 1);
        json_put_text(j, "document_id", p->document_id);
        json_put_text(j, "chunk_id", p->chunk_id);
        json_put_text(j, "title", p->title);
        json_put_text(j, "heading", p->heading);
        json_put_int(j, "page", p->page);
        if (i < ev->passage_count) json_put_text(j, "text", p->text);
        json_put_float(j, "score", p->score);
        json_put_float(j, "score_cos", p->score_cos);
        json_put_float(j, "score_bm25", p->score_bm25);
        if (p->score_rerank > 0) json_put_float(j, "score_rerank", p->score_rerank);
        json_put_int(j, "rank_semantic", p->rank_semantic);
        json_put_int(j, "rank_keyword", p->rank_keyword);
        json_put_bool(j, "used", used);
        json_put_text(j, "why", used ? "cited by the answer" : i >= ev->passage_count ? "ranked too low to be read"
                                : !t->turn->covered ? "does not cover the question" : "no sentence of it was needed");
        json_end(j);
    }
    json_end(j);
}

const char *trace_write(struct call *c, const struct trace *t)
{
    const struct turn *turn = t->turn;
    char iso[25];
    struct buf b;
    struct json_out j;
    buf_init(&b, TRACE_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "id", turn->id);
    json_put_text(&j, "conversation_id", turn->conversation_id);
    json_put_text(&j, "coach", t->coach_id);
    json_put_text(&j, "created_at", clock_iso(t->created_ms, iso));
    json_put_text(&j, "question", t->in->question);
    if (t->searched && strcmp(t->searched, t->in->question) != 0) json_put_text(&j, "searched", t->searched);
    json_put_text(&j, "answer", turn->answer);
    json_put_bool(&j, "covered", turn->covered);
    json_put_text(&j, "step", turn->step);
    json_put_float(&j, "confidence", turn->confidence);
    json_put_text(&j, "language", turn->language);
    json_put_text(&j, "provider", turn->provider);
    json_put_text(&j, "model", turn->model);
    json_put_text(&j, "prompt_version", prompt_version());
    usage_write(&j, turn);
    json_put_bool(&j, "fell_back", turn->fell_back);
    json_put_text(&j, "fell_back_why", turn->fell_back_why);
    json_put_degraded(&j, turn->degrades, turn->degrade_count);
    json_put_text(&j, "ended", t->ended ? t->ended : "in full");
    json_put_int(&j, "dropped", turn->dropped);
    json_put_real(&j, "took_ms", turn->took_ms);
    json_put_real(&j, "check_ms", t->check_ms);
    stages_write(&j, c, t);
    if (t->info) {
        json_begin_object(&j, "search");
        json_put_text(&j, "strategy", t->info->strategy);
        json_put_text(&j, "model", t->info->model);
        json_put_int(&j, "candidates", t->info->candidates);
        json_put_bool(&j, "cached", t->info->cached);
        search_rerank_put(&j, &t->info->rerank);
        json_end(&j);
    }
    if (t->cover) {
        json_begin_object(&j, "cover");
        json_put_float(&j, "probability", t->cover->probability);
        json_put_float(&j, "cos_passage", t->cover->cos_passage);
        json_put_float(&j, "cos_sentence", t->cover->cos_sentence);
        json_put_float(&j, "words_best", t->cover->words_best);
        json_put_float(&j, "words_sentence", t->cover->words_sentence);
        json_put_float(&j, "words_found", t->cover->words_found);
        json_put_float(&j, "stands_out", t->cover->stands_out);
        json_put_float(&j, "sentence_out", t->cover->sentence_out);
        json_put_float(&j, "section", t->cover->section);
        json_put_float(&j, "relevance", t->cover->relevance);
        json_put_float(&j, "unknown", t->cover->unknown);
        json_end(&j);
    }
    passages_write(&j, t);
    json_begin_array(&j, "sentences");
    for (int i = 0; i < t->sentence_count; i++) {
        const struct trace_sentence *s = &t->sentences[i];
        json_begin_object(&j, NULL);
        json_put_text(&j, "text", s->text);
        json_put_int(&j, "passage", s->passage);
        json_put_float(&j, "support", s->support);
        json_put_bool(&j, "kept", s->kept);
        json_put_text(&j, "why", s->why);
        json_end(&j);
    }
    json_end(&j);
    json_begin_array(&j, "citations");
    for (int i = 0; i < turn->citation_count; i++) citation_write(&j, NULL, &turn->citations[i]);
    json_end(&j);
    json_end(&j);
    /* Too large to keep whole happens only with absurd documents; a turn without trace is better than no turn. */
    const char *out = b.failed ? "{}" : arena_strndup(&c->mem, b.data, b.len);
    buf_dispose(&b);
    return out;
}

const char *trace_owner(const struct call *c)
{
    return c->user_id[0] ? c->user_id : c->account_id;
}

/* Whose turns the caller may see: NULL all, else this user's; "" matches nobody's when the caller is no user. */
static enum err viewer(struct call *c, const char **user_out)
{
    if (c->rights & RIGHT_READ) {
        *user_out = NULL;
        return OK;
    }
    if (!*trace_owner(c)) return fail(c, ERR_NOT_FOUND, "no such turn");
    *user_out = trace_owner(c);
    return OK;
}

enum err trace_get(struct call *c, const char *turn_id, const char **json_out)
{
    const char *user = NULL;
    enum err e = viewer(c, &user);
    if (!e) e = turn_load_trace(c, turn_id, user, json_out);
    return e;
}

enum err trace_list(struct call *c, int max, const char **json_array_out)
{
    const char *user = NULL;
    struct turn_row *rows = NULL;
    int n = 0;
    enum err e = OK;
    if (max < 1) max = 1;
    if (max > TRACE_LIST_MAX) max = TRACE_LIST_MAX;
    if (!(c->rights & RIGHT_READ)) user = trace_owner(c);
    if (!user || *user) e = turn_load_list(c, user, max, &rows, &n);
    if (e) return e;
    struct buf b;
    struct json_out j;
    char iso[25];
    buf_init(&b, LIMIT_REPLY_BYTES);
    json_out_init(&j, &b);
    json_begin_array(&j, NULL);
    for (int i = 0; i < n; i++) {
        json_begin_object(&j, NULL);
        json_put_text(&j, "id", rows[i].id);
        json_put_text(&j, "question", rows[i].question);
        json_put_bool(&j, "covered", rows[i].covered);
        json_put_text(&j, "created_at", clock_iso(rows[i].created_ms, iso));
        json_put_real(&j, "took_ms", rows[i].took_ms);
        json_put_real(&j, "confidence", rows[i].confidence);
        json_end(&j);
    }
    json_end(&j);
    *json_array_out = arena_strndup(&c->mem, b.data, b.len);
    buf_dispose(&b);
    return OK;
}

/* coaching/prompt.c — the words around the evidence. Passages are quoted data between marks that carry a random token,
 * so that no document can close them and speak as the system; the rules say so before any passage is read. The same
 * templates serve every provider. */
/* SPDX-License-Identifier: MIT */
#include "coaching/prompt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assets.h"
#include "base/buf.h"
#include "base/id.h"

#define PROMPT_BYTES   (512 * 1024)
#define HISTORY_BYTES  1200        /* of one earlier message */

static const char *fill(struct call *c, const char *text, size_t len, const struct pair *pairs)
{
    struct buf b;
    buf_init(&b, PROMPT_BYTES);
    for (const char *p = text, *end = text + len; p < end;) {
        const char *open = memchr(p, '{', (size_t)(end - p));
        const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (!close) {
            buf_add(&b, p, (size_t)(end - p));
            break;
        }
        buf_add(&b, p, (size_t)(open - p));
        const struct pair *q = pairs;
        size_t n = (size_t)(close - open) - 1;
        while (q && q->name && !(strlen(q->name) == n && memcmp(q->name, open + 1, n) == 0)) q++;
        if (!q || !q->name) {
            fprintf(stderr, "prompt: no value for {%.*s}\n", (int)n, open + 1);
            abort();
        }
        buf_adds(&b, q->value ? q->value : "");
        p = close + 1;
    }
    while (b.len && b.data[b.len - 1] == '\n') b.data[--b.len] = '\0';
    const char *out = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

const char *prompt_fill(struct call *c, const char *path, const struct pair *pairs)
{
    const struct asset *a = asset_find(path);
    if (!a) {
        fprintf(stderr, "prompt: %s is not built in\n", path);
        abort();
    }
    return fill(c, (const char *)a->data, a->len, pairs);
}

const char *prompt_words(struct call *c, const char *name, const char *language, const struct pair *pairs)
{
    const char *path = arena_printf(&c->mem, "prompts/%s.%.8s.txt", name, language && *language ? language : "en");
    if (!asset_find(path)) path = arena_printf(&c->mem, "prompts/%s.en.txt", name);
    return prompt_fill(c, path, pairs);
}

static char version[32];

static void make_version(void)
{
    const struct asset *a = asset_find("prompts/coach.txt"), *b = asset_find("prompts/question.txt");
    char one[65], two[65], both[131], all[65];
    if (!a || !b) abort();
    snprintf(both, sizeof both, "%s%s", id_sha256_hex(a->data, a->len, one), id_sha256_hex(b->data, b->len, two));
    snprintf(version, sizeof version, "coach-%.10s", id_sha256_hex(both, strlen(both), all));
}

const char *prompt_version(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_version);
    return version;
}

static const char *language_name(const char *language)
{
    return strcmp(language, "es") == 0 ? "Spanish" : strcmp(language, "en") == 0 ? "English" : "the language of the question";
}

static const char *quote(struct call *c, const struct evidence *ev, const char *fence)
{
    struct buf b;
    buf_init(&b, PROMPT_BYTES / 2);
    for (int i = 0; i < ev->passage_count; i++) {
        const struct passage *p = &ev->passages[i];
        const char *title = p->title ? p->title : "", *heading = p->heading ? p->heading : "";
        buf_printf(&b, "%s PASSAGE %d: %.120s%s%.160s\n%s\n%s END %d\n", fence, i + 1, title, *heading ? ", " : "", heading, p->text,
                   fence, i + 1);
    }
    const char *out = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

void prompt_compose(struct call *c, const struct coach *coach, const struct said *history, int history_count,
                    const struct evidence *ev, const char *question, struct prompt *out)
{
    char token[ID_BYTES];
    id_new("q", token);
    const char *fence = arena_printf(&c->mem, "#####%.12s", token + strlen(token) - 12);
    const char *expertise = *coach->expertise ? arena_printf(&c->mem, " and %s expert", coach->expertise) : "";
    const struct pair who[] = { { "name", coach->name }, { "expertise", expertise },
                                { "method", *coach->method ? coach->method : "As the material teaches it." },
                                { "style", *coach->style ? coach->style : "Warm, plain and short." },
                                { "language", language_name(ev->language) }, { "fence", fence }, { 0 } };
    const struct pair what[] = { { "passages", quote(c, ev, fence) }, { "question", question }, { 0 } };
    struct message *m = arena_array(&c->mem, (size_t)history_count + 2, sizeof *m);
    int n = 0;
    m[n++] = (struct message){ "system", prompt_fill(c, "prompts/coach.txt", who) };
    for (int i = 0; i < history_count; i++)
        m[n++] = (struct message){ history[i].role, arena_strndup(&c->mem, history[i].text, strnlen(history[i].text, HISTORY_BYTES)) };
    m[n++] = (struct message){ "user", prompt_fill(c, "prompts/question.txt", what) };
    struct prompt_passage *p = arena_array(&c->mem, (size_t)ev->passage_count + 1, sizeof *p);
    for (int i = 0; i < ev->passage_count; i++)
        p[i] = (struct prompt_passage){ ev->passages[i].text, ev->passages[i].title, ev->passages[i].heading, ev->passages[i].score,
                                        ev->passages[i].language };
    struct prompt_sentence *s = arena_array(&c->mem, (size_t)ev->count + 1, sizeof *s);
    for (int i = 0; i < ev->count; i++) {
        const struct sentence *from = &ev->sentences[i];
        s[i] = (struct prompt_sentence){ .text = from->text, .n = from->n, .passage = from->passage, .relevance = from->relevance,
                                         .item = from->item, .lead = from->lead, .follows = from->follows };
    }
    out->messages = m;
    out->count = n;
    out->question = question;
    out->language = ev->language;
    out->passages = p;
    out->passage_count = ev->passage_count;
    out->sentences = s;
    out->sentence_count = ev->count;
}

/* A question at the prompt. On a terminal the sentences appear as they are checked and their sources follow; in a pipe the
 * answer comes whole, so that a failed turn leaves stdout empty. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "coaching/coaching.h"
#include "coaching/trace.h"
#include "verbs.h"

static enum err print_sentence(void *arg, const char *text, size_t n, const struct citation *cites, int count)
{
    (void)arg, (void)cites, (void)count;
    fwrite(text, 1, n, stdout);
    fflush(stdout);
    return OK;
}

static void print_sources(const struct turn *t)
{
    for (int i = 0; i < t->citation_count; i++) {
        const struct citation *k = &t->citations[i];
        printf("\n[%d] %s", k->number, k->title ? k->title : k->document_id);
        if (k->heading && *k->heading) printf(", %s", k->heading);
        if (k->page) printf(", page %d", k->page);
        size_t n = strlen(k->text);
        printf("\n    \"");
        for (size_t c = 0, shown = 0; c < n && shown < 200; c++, shown++) putchar(k->text[c] == '\n' ? ' ' : k->text[c]);
        printf("%s\"", n > 200 ? "…" : "");
    }
    if (t->citation_count) putchar('\n');
}

int verb_ask(int argc, char **argv)
{
    const char *creator = NULL, *k_text = NULL, *conversation = NULL, *user = NULL;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose coach is asked" },
        { "--user", NULL, "U", &user, NULL, "who asks: sees shared documents and their own (none)" },
        { "--conversation", NULL, "ID", &conversation, NULL, "continues this conversation" },
        { "--limit", "-k", "N", &k_text, NULL, "passages to read, 1 to 20 (6)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "--creator C QUESTION",
                         "chiron ask --creator demo \"How often should I train?\"\n"
                         "chiron ask --creator demo -o json \"What should I eat before training?\" | jq .citations\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    int64_t k = 0;
    if (!verb_number(&a, "--limit", k_text, 6, 1, 20, &k)) return EXIT_USAGE;
    if (!creator || a.count != 1) return verb_usage(&a, "one QUESTION and --creator are needed");
    struct verb_env v;
    struct turn t;
    enum err e = verb_open(&v, &a, VERB_ANSWERS, creator);
    if (!e && user) snprintf(v.call.user_id, sizeof v.call.user_id, "%s", user);
    bool live = isatty(STDOUT_FILENO) && !a.json;
    const struct turn_sink sink = { print_sentence, NULL };
    const struct turn_in in = { .question = a.words[0], .k = (int)k, .conversation_id = conversation, .temperature = -1 };
    if (!e) e = coaching_turn(&v.call, &in, live ? &sink : NULL, &t);
    if (!e && a.json) {
        struct buf b;
        struct json_out j;
        buf_init(&b, LIMIT_REPLY_BYTES);
        json_out_init(&j, &b);
        turn_write(&j, NULL, &t);
        puts(b.failed ? "{}" : b.data);
        buf_dispose(&b);
    } else if (!e) {
        if (!live) fputs(t.answer, stdout);
        putchar('\n');
        print_sources(&t);
        fprintf(stderr, "\n%s, confidence %.2f, %.0f ms. Why: chiron why --creator %s %s\n", t.step, (double)t.confidence, t.took_ms,
                creator, t.id);
    }
    return verb_close(&v, e);
}

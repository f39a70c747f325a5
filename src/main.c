/* The command line's first step: find the verb and run it. Everything else is in verb_*.c. It never guesses a verb: an
 * unknown one ends with 2 and the nearest name. The hidden verbs __extract (the sandboxed child that reads strangers' files)
 * and __check (the route tables, for `make check`) are for the program itself. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/http.h"
#include "knowledge/extract.h"
#include "verbs.h"

const struct verb verb_table[] = {
    { "serve", verb_serve, "run the server: API, web page, background jobs" },
    { "ingest", verb_ingest, "put documents into a creator's knowledge" },
    { "search", verb_search, "find passages" },
    { "ask", verb_ask, "ask the coach a question" },
    { "why", verb_why, "show how an answer was made" },
    { "embed", verb_embed, "turn text lines into vectors" },
    { "rerank", verb_rerank, "order lines by how well they answer a query" },
    { "eval", verb_eval, "measure retrieval on a judged collection" },
    { "token", verb_token, "make an access token" },
    { "keys", verb_keys, "list or rotate the keys that sign tokens" },
    { "models", verb_models, "list, fetch, verify and remove models" },
    { "reindex", verb_reindex, "make another embedding model that of what is stored" },
    { "audit", verb_audit, "show and check the logs of what was done" },
    { "privacy", verb_privacy, "what is kept about people: list, export, erase" },
    { "backup", verb_backup, "write the whole instance into one file" },
    { "restore", verb_restore, "read such a file into an empty data folder" },
    { "doctor", verb_doctor, "check the installation and the data" },
    { "bench", verb_bench, "measure embedding, search and answers here" },
    { "config", verb_config, "show the settings in effect" },
    { NULL, NULL, NULL },
};

static int check_tables(void)
{
    struct call c;
    call_init(&c);
    enum err e = http_check_tables(&c, all_routes);
    if (e) fprintf(stderr, "chiron: route tables: %s\n", c.err_text);
    call_dispose(&c);
    return e ? EXIT_FAILED : EXIT_OK;
}

static void print_help(FILE *to)
{
    fputs("Chiron: a coach's documents in, grounded and cited answers out.\n\nusage: chiron VERB [options]\n\n", to);
    for (const struct verb *v = verb_table; v->name; v++) fprintf(to, "  %-9s %s\n", v->name, v->help);
    fputs("  version   print the version\n\n"
          "Every verb has --help with examples, --data DIR and -o json.\n"
          "Start here:  chiron serve --demo\n", to);
}

/* Edits between two short words; verbs and typing slips fit easily, anything longer is "far". */
static int distance(const char *a, const char *b)
{
    enum { MOST = 16 };
    size_t la = strlen(a), lb = strlen(b);
    if (la > MOST || lb > MOST) return MOST;
    int row[MOST + 1];
    for (size_t j = 0; j <= lb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

static int unknown_verb(const char *word)
{
    const char *nearest = NULL;
    int best = 4;
    for (const struct verb *v = verb_table; v->name; v++) {
        int d = distance(word, v->name);
        if (d < best) {
            best = d;
            nearest = v->name;
        }
    }
    fprintf(stderr, "chiron: there is no verb \"%.40s\"", word);
    if (nearest) fprintf(stderr, "; did you mean \"%s\"?", nearest);
    fputs("\nTry: chiron --help\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "__extract")) return extract_child_main(argc - 1, argv + 1);
    if (!strcmp(word, "__check")) return check_tables();
    if (!strcmp(word, "help") && argc > 2) {
        char *help[] = { argv[2], (char[]){ "--help" }, NULL };
        for (const struct verb *v = verb_table; v->name; v++)
            if (!strcmp(argv[2], v->name)) return v->run(2, help);
        return unknown_verb(argv[2]);
    }
    if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h")) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (!strcmp(word, "version") || !strcmp(word, "--version")) {
        puts("chiron " CHIRON_VERSION);
        return EXIT_OK;
    }
    for (const struct verb *v = verb_table; v->name; v++) {
        if (strcmp(word, v->name)) continue;
        int code = v->run(argc - 1, argv + 1);
        /* A full disk or a closed pipe behind stdout must not look like success. */
        if (fflush(stdout) || ferror(stdout)) {
            if (code == EXIT_OK) code = EXIT_FAILED;
            fputs("chiron: could not write the output\n", stderr);
        }
        return code;
    }
    return unknown_verb(word);
}

/* verbs.h — the command line: one function per verb, and what they share (arguments, start-up, errors, exit codes).
 * Data goes to stdout, everything else to stderr. A verb gets its own name as argv[0].
 *     int verb_search(int argc, char **argv)
 *     {
 *         const char *creator = NULL, *k = NULL;
 *         const struct verb_flag flags[] = { { "--creator", NULL, "C", &creator, NULL, "whose knowledge" },
 *                                            { "--limit", "-k", "N", &k, NULL, "how many, 1 to 100 (5)" }, { 0 } };
 *         struct verb_args a;
 *         int code = verb_read(argc, argv, "--creator C QUERY", "chiron search --creator demo \"sleep\"\n", flags, &a);
 *         if (code != VERB_GO) return code;
 *         if (!creator || a.count != 1) return verb_usage(&a, "one QUERY and --creator are needed");
 *         struct verb_env v;
 *         enum err e = verb_open(&v, &a, VERB_KNOWLEDGE, creator);
 *         …  if (!e) e = search_text(&v.call, a.words[0], …);  …print to stdout…
 *         return verb_close(&v, e);
 *     }                                                                                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_VERBS_H
#define CHIRON_VERBS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/call.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/version.h"

int verb_serve(int argc, char **argv);
int verb_ingest(int argc, char **argv);
int verb_search(int argc, char **argv);
int verb_ask(int argc, char **argv);
int verb_why(int argc, char **argv);
int verb_embed(int argc, char **argv);
int verb_rerank(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_token(int argc, char **argv);
int verb_keys(int argc, char **argv);
int verb_models(int argc, char **argv);
int verb_reindex(int argc, char **argv);
int verb_audit(int argc, char **argv);
int verb_privacy(int argc, char **argv);
int verb_backup(int argc, char **argv);
int verb_restore(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_config(int argc, char **argv);

struct verb {
    const char *name;
    int       (*run)(int argc, char **argv);
    const char *help;                 /* one line */
};
extern const struct verb verb_table[];    /* main.c; ended by a zero row */

/* ---- exit codes ---- */
enum { VERB_GO = -1, EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AUTH = 4, EXIT_INTERRUPTED = 130 };

/* ---- arguments ---- */
struct verb_flag {
    const char  *name;                /* "--creator" */
    const char  *brief;               /* "-k", or NULL */
    const char  *arg;                 /* "N": takes a value (as the next word or --name=value); NULL: a switch */
    const char **text;                /* gets the value; the last one wins, or all joined with commas when arg ends in "..." (one such flag a verb) */
    bool        *on;                  /* set by a switch */
    const char  *help;
};
struct verb_args {
    const char  *verb;
    const char **words;               /* what is no flag, in order; everything after "--" */
    int          count;
    bool         json;                /* -o json */
    const char  *data;                /* --data, NULL when not given */
};
/* Every verb also has --data DIR, -o/--output text|json, -h/--help. VERB_GO, or the exit code to return (0 after --help,
 * 2 after words on stderr). out->words lives in static storage. */
int verb_read(int argc, char **argv, const char *synopsis, const char *examples, const struct verb_flag *flags, struct verb_args *out);
/* "chiron VERB: words" and how to get help on stderr; returns EXIT_USAGE. */
int verb_usage(const struct verb_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A whole number in min..max, dflt when text is NULL. false: usage words were printed; return EXIT_USAGE. */
bool verb_number(const struct verb_args *a, const char *name, const char *text, int64_t dflt, int64_t min, int64_t max, int64_t *out);
bool verb_real(const struct verb_args *a, const char *name, const char *text, double dflt, double min, double max, double *out);

/* ---- start-up ---- */
enum verb_need {
    VERB_CONF = 0,                    /* settings, log and signals: always */
    VERB_STORE = 1,                   /* the data folder; created when missing */
    VERB_ENCODER = 2,                 /* the default model, or the words that say how to get it */
    VERB_KNOWLEDGE = 1 | 2 | 4,       /* store, encoder, cross-encoder and search */
    VERB_ANSWERS = 1 | 2 | 4 | 8,     /* and the provider chain */
    VERB_STAND_IN = 8 | 32,           /* the provider chain; where it can embed, a missing encoder is no error */
    VERB_CREATE = 16,                 /* the creator is made when it is missing, with a note on stderr */
};
struct verb_env {
    struct call call;                 /* stop is set by SIGINT and SIGTERM; rights: all */
    bool        json;
    const char *verb;
    int         opened;               /* what verb_close has to close */
};
/* creator NULL: none is opened. On an error verb_close must still be called. */
MUST_CHECK enum err verb_open(struct verb_env *v, const struct verb_args *a, unsigned need, const char *creator);
/* Says what failed ("chiron VERB: words", or the error object with -o json, on stderr), closes all; returns the exit code. */
int verb_close(struct verb_env *v, enum err e);
/* The steps of verb_open that serve takes one by one. */
MUST_CHECK enum err verb_settings(struct call *c, const char *data, enum log_level least);   /* and the log */
MUST_CHECK enum err verb_encoder(struct call *c);     /* loads the default encoder; ERR_NOT_FOUND says what to run */
/* Loads the cross-encoder when RERANK wants one and RERANK_MODEL's folder is there. One that cannot be used is said in the log
 * and left out: searches then have no second look, and say so. */
void verb_reranker(struct call *c);
const char *verb_data_dir(struct call *c);            /* --data, CHIRON_DATA, else the XDG data folder; in c->mem */
const char *verb_cache_dir(struct call *c);           /* ${XDG_CACHE_HOME:-~/.cache}/chiron, in c->mem */
const char *verb_models_dir(struct call *c);          /* folder of model folders: ENCODER_MODEL_DIR, else in the cache */
const char *verb_model_dir(struct call *c);           /* the default model's folder */
/* Each file of a model folder against its SHA256SUMS. ERR_NOT_FOUND: no model or no sums; ERR_CORRUPT names the file. */
MUST_CHECK enum err verb_model_verify(struct call *c, const char *folder, int *files_out);
extern const struct setting verb_settings_rows[];     /* CHIRON_DATA, LOG_LEVEL … */
/* Prints how each creator's (or this one's) model stands, after making the default encoder theirs unless it only looks. */
MUST_CHECK enum err verb_reindex_run(struct verb_env *v, const char *creator, bool only_look);
/* `doctor --tenants`; returns the exit code. */
int verb_doctor_tenants(const struct verb_args *a);
/* Tables of the whole product (tables.c). */
extern const struct setting *const all_settings[];
struct route; struct job_kind;
extern const struct route *const all_routes[];
extern const struct job_kind *const all_jobs[];
#endif

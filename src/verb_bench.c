/* `chiron bench`: how fast is this machine at what the product does, and what share of what it could do is that. Each part runs
 * in a child process with settings and a folder of its own and hands its rows back, a line of JSON each; the parent shows
 * them and removes the folders. Nothing here passes or fails: comparing is for those who read the rows. */
/* SPDX-License-Identifier: MIT */
#include "verb_bench.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"

enum { FORMS = 3, SIZES = 8, REPLY_BYTES = 64 << 20, ROWS_MOST = 20000000, PRODUCT_ROWS_MOST = 100000 };
static const char *const forms[FORMS] = { "int8", "bf16", "f32" };

/* What varies from child to child. */
enum vary { ONCE = 0, BY_PRECISION = 1, BY_THREADS = 2, BY_ROWS = 4, BY_SMALL_ROWS = 8 };
static const struct part {
    const char *group;
    enum err  (*run)(struct bench *b);
    unsigned    need, vary;
} parts[] = {
    { "machine", bench_machine, VERB_CONF, ONCE },
    { "inputs", bench_inputs, VERB_CONF, ONCE },
    { "embed", bench_embed, VERB_ENCODER, BY_PRECISION | BY_THREADS },
    { "rerank", bench_rerank, VERB_ENCODER, BY_PRECISION | BY_THREADS },
    { "search", bench_scan, VERB_CONF, BY_ROWS },
    { "search", bench_search, VERB_KNOWLEDGE, BY_SMALL_ROWS },
    { "ingest", bench_ingest, VERB_ANSWERS, ONCE },
    { "ingest", bench_busy, VERB_ANSWERS, ONCE },
    { "tokens", bench_tokens, VERB_STORE, ONCE },
    { "turn", bench_turn, VERB_ANSWERS, ONCE },
    { "http", bench_http, VERB_CONF, ONCE },
    { "tenants", bench_tenants, VERB_CONF, ONCE },
};
enum { PARTS = sizeof parts / sizeof *parts };

struct plan {
    struct verb_args a;
    struct bench     common;
    int64_t          rows[SIZES];
    int              row_count;
    bool             given_rows, given_precision, bare;
    double           limits[FORMS][2], memory;    /* operations and bytes a second; [1]: all threads */
    json_t          *out;                         /* rows and notes as they came */
    char             dir[512];
    int              made;
    bool             failed;
};

static volatile sig_atomic_t stopped, running;
static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
    if (running) kill(running, SIGTERM);
}

/* ---- showing ---- */

static const char *scaled(double v, char out[32])
{
    static const char *const units[] = { "", " k", " M", " G", " T" };
    int                      u = 0;
    while (v >= 100000 && u < 4) {
        v /= 1000;
        u++;
    }
    snprintf(out, 32, v < 100 ? "%.1f%s" : "%.0f%s", v, units[u]);
    return out;
}

static void show(const struct plan *p, const json_t *row)
{
    if (p->a.json) return;
    const char *note = json_get_text(row, "note", NULL), *group = json_get_text(row, "group", "");
    if (note) printf("%-8s %s\n", group, note);
    if (!json_get_text(row, "name", NULL)) return;
    char        what[96], rate[32];
    int64_t     threads = json_get_int(row, "threads", 0), clients = json_get_int(row, "clients", 0), rows = json_get_int(row, "rows", 0);
    size_t      n = (size_t)snprintf(what, sizeof what, "%s %s", json_get_text(row, "name", ""), json_get_text(row, "precision", ""));
    if (threads) n += (size_t)snprintf(what + n, sizeof what - n, " %lldt", (long long)threads);
    if (clients > 1) n += (size_t)snprintf(what + n, sizeof what - n, " %lld clients", (long long)clients);
    if (rows) snprintf(what + n, sizeof what - n, " %lld rows", (long long)rows);
    double rate_now = json_get_real(row, "per_second_median", json_get_real(row, "per_second", 0));
    if (!strcmp(group, "machine")) {
        printf("%-8s %-34s %12s %s/s\n", group, what, scaled(rate_now, rate), json_get_text(row, "per", ""));
        return;
    }
    printf("%-8s %-34s p50 %9.3f  p95 %9.3f ms  %10s %s/s", group, what, json_get_real(row, "p50_ms", 0), json_get_real(row, "p95_ms", 0),
           scaled(rate_now, rate), json_get_text(row, "per", ""));
    double share = json_get_real(row, "share_of_limit", 0), recall = json_get_real(row, "recall_at_10", -1);
    if (share > 0) printf("  %.0f %% of the limit", share * 100);
    if (recall >= 0) printf("  recall@10 %.4f", recall);
    putchar('\n');
    fflush(stdout);
}

static void take_limit(struct plan *p, const json_t *row)
{
    const char *name = json_get_text(row, "name", ""), *precision = json_get_text(row, "precision", "");
    double      v = json_get_real(row, "per_second", 0);
    bool        one = json_get_int(row, "threads", 0) == 1;
    for (int f = 0; f < FORMS && !strcmp(name, "matmul"); f++)
        if (!strcmp(forms[f], precision)) p->limits[f][one ? 0 : 1] = v;
    if (!strcmp(name, "memory_read") && one) p->memory = v;
}

/* ---- one child ---- */

static int child(struct plan *p, const struct part *part, struct bench *b)
{
    struct verb_env  v;
    struct verb_args a = p->a;
    char             number[16];
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    running = 0;
    a.data = b->dir;
    b->v = &v;
    snprintf(number, sizeof number, "%d", b->threads);
    /* As the environment and not as flags: a server that the part starts is to have them too. */
    setenv("LLM_CHAIN", "extractive", 1);
    setenv("ENCODER_THREADS", number, 1);
    if (b->precision) setenv("ENCODER_PRECISION", b->precision, 1);
    enum err e = verb_open(&v, &a, part->need, NULL);
    if (!e) e = part->run(b);
    fflush(b->to);
    return verb_close(&v, e);
}

static void read_rows(struct plan *p, FILE *from)
{
    char   *line = NULL;
    size_t  cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, from)) > 0) {
        json_t *row = json_loadb(line, (size_t)n, 0, NULL);
        if (!row) continue;
        show(p, row);
        if (!strcmp(json_get_text(row, "group", ""), "machine")) take_limit(p, row);
        json_array_append_new(p->out, row);
    }
    free(line);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void run_child(struct plan *p, const struct part *part, struct bench b)
{
    int  ends[2], status = 0;
    char dir[sizeof p->dir + 16];
    if (stopped) return;
    snprintf(dir, sizeof dir, "%s/%d", p->dir, p->made++);
    b.dir = dir;
    if (mkdir(dir, 0700) || pipe(ends)) {
        fprintf(stderr, "chiron bench: %s: %s\n", dir, strerror(errno));
        p->failed = true;
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        b.to = fdopen(ends[1], "w");
        int code = b.to ? child(p, part, &b) : EXIT_FAILED;
        fflush(stdout);
        _exit(code);
    }
    running = pid > 0 ? pid : 0;
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (from) read_rows(p, from);
    if (from) fclose(from);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    running = 0;
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) p->failed = true;
    if (pid > 0 && WIFSIGNALED(status)) fprintf(stderr, "chiron bench: %s ended by signal %d\n", part->group, WTERMSIG(status));
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int form_of(const char *precision)
{
    for (int f = 0; precision && f < FORMS; f++)
        if (!strcmp(forms[f], precision)) return f;
    return -1;
}

static void run_part(struct plan *p, const struct part *part)
{
    struct bench b = p->common;
    for (int f = 0; f < (part->vary & BY_PRECISION && !p->given_precision ? FORMS : 1); f++) {
        if (part->vary & BY_PRECISION && !p->given_precision) b.precision = forms[f];
        int form = form_of(b.precision);
        for (int threads = part->vary & BY_THREADS ? 1 : p->common.threads; threads <= p->common.threads;
             threads = threads < p->common.threads ? p->common.threads : threads + 1) {
            b.threads = threads;
            b.limit_1 = part->vary & BY_ROWS ? p->memory : form >= 0 ? p->limits[form][0] : 0;
            b.limit_n = form >= 0 ? p->limits[form][1] : 0;
            for (int r = 0; r < (part->vary & (BY_ROWS | BY_SMALL_ROWS) ? p->row_count : 1); r++) {
                b.rows = p->rows[r];
                if (part->vary & BY_SMALL_ROWS && b.rows > PRODUCT_ROWS_MOST && !p->given_rows) continue;
                run_child(p, part, b);
            }
        }
    }
}

/* ---- the verb ---- */

/* "10k,100k,1M" */
static bool read_sizes(struct plan *p, const char *text)
{
    p->row_count = 0;
    while (*text) {
        char  *end = NULL;
        double v = strtod(text, &end);
        if (end == text || p->row_count == SIZES) return false;
        if (*end == 'k') v *= 1000, end++;
        else if (*end == 'M') v *= 1000000, end++;
        if (v < 100 || v > ROWS_MOST || (*end && *end != ',')) return false;
        p->rows[p->row_count++] = (int64_t)v;
        text = *end ? end + 1 : end;
    }
    return p->row_count > 0;
}

static bool asked_for(const struct verb_args *a, const char *group)
{
    bool all = !a->count;
    for (int i = 0; i < a->count; i++) {
        if (!strcmp(a->words[i], group)) return true;
        if (!strcmp(a->words[i], "all")) all = true;
    }
    return all && strcmp(group, "inputs");
}

static bool known(const char *word)
{
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(parts[i].group, word)) return true;
    return !strcmp(word, "all");
}

static bool write_out(struct plan *p, const char *path)
{
    json_t *o = json_pack("{s:s, s:s, s:O}", "format", "chiron-bench-1", "version", CHIRON_VERSION, "rows", p->out);
    FILE   *f = path ? fopen(path, "we") : stdout;
    bool    ok = f && o && !json_dumpf(o, f, JSON_INDENT(1)) && fputc('\n', f) != EOF;
    if (f && path && fclose(f)) ok = false;
    if (!ok) fprintf(stderr, "chiron bench: cannot write %s: %s\n", path ? path : "the output", strerror(errno));
    json_decref(o);
    return ok;
}

static int run(struct plan *p, const char *json_path)
{
    char        self[512];
    const char *tmp = p->a.data ? p->a.data : getenv("TMPDIR");
    ssize_t     n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return EXIT_FAILED;
    self[n] = 0;
    p->common.self = self;
    if (snprintf(p->dir, sizeof p->dir, "%s/chiron-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp") >= (int)sizeof p->dir || !mkdtemp(p->dir)) {
        fprintf(stderr, "chiron bench: cannot make a folder in %s: %s\n", tmp && *tmp ? tmp : "/tmp", strerror(errno));
        return EXIT_FAILED;
    }
    if (getrandom(&p->common.seed, sizeof p->common.seed, 0) < 0) p->common.seed = (uint64_t)getpid();
    p->common.seed %= 1000000000;
    p->out = json_array();
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    /* Shares need the limits, so the machine comes first whatever was asked for. */
    for (int i = 0; i < PARTS; i++)
        if (asked_for(&p->a, parts[i].group) || (i == 0 && !p->bare)) run_part(p, &parts[i]);
    nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    bool ok = true;
    if (json_path) ok = write_out(p, json_path);
    if (p->a.json) ok = write_out(p, NULL) && ok;
    json_decref(p->out);
    return stopped ? EXIT_INTERRUPTED : p->failed || !ok ? EXIT_FAILED : EXIT_OK;
}

int verb_bench(int argc, char **argv)
{
    static struct plan p;
    const char *seconds = NULL, *threads = NULL, *precision = NULL, *rows = NULL, *json_path = NULL, *only = NULL, *url = NULL, *token = NULL,
               *clients = NULL, *pid = NULL;
    const struct verb_flag flags[] = {
        { "--seconds", NULL, "N", &seconds, NULL, "how long each row is measured, 0.1 to 60 (3)" },
        { "--threads", NULL, "N", &threads, NULL, "most threads of a row, 1 to 16 (one per core)" },
        { "--precision", NULL, "P", &precision, NULL, "int8, bf16 or f32 (embed and rerank: each; else ENCODER_PRECISION)" },
        { "--rows", NULL, "LIST", &rows, NULL, "sizes of the searched collection (10k,100k,1M; whole searches up to 100k)" },
        { "--json", NULL, "FILE", &json_path, NULL, "write the rows there as well" },
        { "--only", NULL, "ROWS", &only, NULL, "only rows of these names, e.g. bulk,query" },
        { "--bare", NULL, NULL, NULL, &p.bare, "do not measure the machine's limits first" },
        { "--url", NULL, "URL", &url, NULL, "http: a server that is there instead of one of its own" },
        { "--token", NULL, "TOKEN", &token, NULL, "http: its access token" },
        { "--pid", NULL, "N", &pid, NULL, "http: its process, for CPU time and memory" },
        { "--clients", NULL, "N", &clients, NULL, "http: clients at once, 1 to 128 (each row's own)" },
        { 0 },
    };
    int code = verb_read(argc, argv, "[machine|embed|rerank|search|ingest|tokens|turn|http|tenants|all]... [--seconds N] [--json FILE]",
                         "chiron bench\nchiron bench embed --precision int8 --seconds 10\nchiron bench search --rows 100k,1M -o json\n"
                         "chiron bench http --url http://127.0.0.1:8000 --token \"$TOKEN\" --only rag\n",
                         flags, &p.a);
    if (code != VERB_GO) return code;
    int64_t threads_n = 0, clients_n = 0, pid_n = 0;
    long    cores = sysconf(_SC_NPROCESSORS_ONLN);
    cores = cores < 1 ? 1 : cores > BENCH_THREADS ? BENCH_THREADS : cores;
    if (!verb_real(&p.a, "--seconds", seconds, 3, 0.1, 60, &p.common.seconds)) return EXIT_USAGE;
    if (!verb_number(&p.a, "--threads", threads, cores, 1, BENCH_THREADS, &threads_n)) return EXIT_USAGE;
    if (!verb_number(&p.a, "--clients", clients, 0, 1, BENCH_CLIENTS, &clients_n)) return EXIT_USAGE;
    if (!verb_number(&p.a, "--pid", pid, 0, 1, 1 << 30, &pid_n)) return EXIT_USAGE;
    for (int i = 0; i < p.a.count; i++)
        if (!known(p.a.words[i])) return verb_usage(&p.a, "there is no part \"%.60s\"", p.a.words[i]);
    if (precision && form_of(precision) < 0) return verb_usage(&p.a, "--precision is int8, bf16 or f32, not \"%.40s\"", precision);
    if (!read_sizes(&p, rows ? rows : "10k,100k,1M")) return verb_usage(&p.a, "--rows is a list such as 10k,1M, not \"%.60s\"", rows);
    p.given_rows = rows != NULL;
    p.given_precision = precision != NULL;
    p.common.precision = precision;
    p.common.threads = (int)threads_n;
    p.common.clients = (int)clients_n;
    p.common.pid = (int)pid_n;
    p.common.only = only;
    p.common.url = url;
    p.common.token = token;
    return run(&p, json_path);
}

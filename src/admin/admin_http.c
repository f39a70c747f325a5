/* What a browser and a monitor see: the embedded page, health, metrics, and who the caller is. The page's hashed files may be
 * kept for ever, the page itself never. Health answers from what is already known and asks no disk and no provider, so that
 * a probe stays fast when something is slow. It refuses to serve a file that was not built into the binary. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "admin/admin.h"
#include "base/assets.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/right.h"
#include "base/version.h"
#include "coaching/coaching.h"
#include "encoder/encoder.h"
#include "encoder/reranker.h"
#include "http/http.h"
#include "models/models.h"
#include "store/jobs.h"
#include "store/store.h"

#define METRICS_BYTES (4 * 1024 * 1024)

extern const struct route admin_routes[];

const struct setting admin_settings[] = {
    { "METRICS", "1", "0: no /metrics", SETTING_BOOL, 0, 0 },
    { "DEMO_EXERCISES", NULL, "exercise data of the demo; unset: chiron/data/exercises.json in the cache", 0, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

static int64_t started_ms;

/* Before main: uptime counts from the process's start, whichever route is asked first. */
__attribute__((constructor)) static void note_start(void)
{
    started_ms = clock_mono_ms();
}

/* ---- the page ---- */

static const char plain_page[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Chiron</title>\n<h1>Chiron is running</h1>\n"
    "<p>This binary was built without its web page (<code>NO_WEB=1</code>). The API is here:\n"
    "<a href=\"/docs\">documentation</a>, <a href=\"/openapi.json\">openapi.json</a>, <a href=\"/health\">health</a>.</p>\n"
    "</html>\n";

static const char *media_type(const char *path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        { ".html", "text/html; charset=utf-8" },   { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },     { ".svg", "image/svg+xml" },
        { ".json", "application/json" },           { ".webmanifest", "application/manifest+json" },
        { ".png", "image/png" },                   { ".ico", "image/x-icon" },
        { ".woff2", "font/woff2" },                { ".txt", "text/plain; charset=utf-8" },
        { ".map", "application/json" },            { ".wasm", "application/wasm" },
    };
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t m = strlen(types[i].ending);
        if (n > m && !strcmp(path + n - m, types[i].ending)) return types[i].type;
    }
    return "application/octet-stream";
}

/* "gzip" stands in Accept-Encoding and is not refused by a quality of zero. */
static bool takes_gzip(struct req *r)
{
    const char *p = req_header(r, "accept-encoding");
    while (p && *p) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ",");
        if (n >= 4 && strncasecmp(p, "gzip", 4) == 0 && (n == 4 || p[4] == ';' || p[4] == ' ')) {
            const char *q = memmem(p, n, "q=", 2);
            return !q || strtod(q + 2, NULL) > 0;
        }
        p += n;
    }
    return false;
}

static enum err send_file(struct req *r, const char *path, const char *cache)
{
    const struct asset *a = asset_find(arena_printf(&r->call.mem, "web/%s", path));
    if (!a) return fail(&r->call, ERR_NOT_FOUND, "there is no %s", r->path);
    const struct asset *small = asset_find(arena_printf(&r->call.mem, "webgz/%s", path));
    reply_header(r, "Cache-Control", cache);
    if (small) reply_header(r, "Vary", "Accept-Encoding");
    if (small && takes_gzip(r)) {
        reply_header(r, "Content-Encoding", "gzip");
        a = small;
    }
    reply_static(r, 200, media_type(path), a->data, a->len);
    return OK;
}

static enum err get_page(struct req *r)
{
    if (asset_find("web/index.html")) return send_file(r, "index.html", "no-cache");
    reply_static(r, 200, "text/html; charset=utf-8", plain_page, sizeof plain_page - 1);
    return OK;
}

/* Vite names these by their content. */
static enum err get_asset(struct req *r)
{
    return send_file(r, arena_printf(&r->call.mem, "assets/%s", req_path(r, "file")), "public, max-age=31536000, immutable");
}

static enum err get_file(struct req *r)
{
    return send_file(r, r->path + 1, "public, max-age=3600");
}

/* ---- health ---- */

struct state {
    const char *database, *cache, *model, *status;
};

static struct state state_now(void)
{
    struct encoder *enc = encoder_default();
    struct state    s = { store_state(), kv_state(), enc ? encoder_name(enc) : NULL, "healthy" };
    bool            database = !strcmp(s.database, "connected"), cache = !strcmp(s.cache, "connected");
    if (!database) s.status = "unhealthy";
    else if (!cache || !s.model) s.status = "degraded";
    return s;
}

static enum err get_health(struct req *r)
{
    struct state s = state_now();
    reply_header(r, "Cache-Control", "no-store");
    struct json_out *j = reply_json(r, strcmp(s.status, "unhealthy") ? 200 : 503);
    json_begin_object(j, NULL);
    json_put_text(j, "status", s.status);
    json_begin_array(j, "models_loaded");
    if (s.model) json_put_text(j, NULL, s.model);
    if (reranker_default()) json_put_text(j, NULL, reranker_name(reranker_default()));
    json_end(j);
    json_put_text(j, "database", s.database);
    json_put_text(j, "cache", s.cache);
    json_put_int(j, "uptime_seconds", (clock_mono_ms() - started_ms) / 1000);
    json_put_text(j, "service", "chiron");
    json_put_text(j, "version", CHIRON_VERSION);
    json_put_text(j, "profile", conf_bool("DEMO") ? "demo" : "standard");
    json_put_text(j, "provider", models_state());
    json_end(j);
    return OK;
}

static enum err get_live(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "status", "alive");
    json_end(j);
    return OK;
}

static enum err get_ready(struct req *r)
{
    struct state     s = state_now();
    bool             ready = strcmp(s.status, "unhealthy") != 0;
    struct json_out *j = reply_json(r, ready ? 200 : 503);
    json_begin_object(j, NULL);
    json_put_text(j, "status", ready ? "ready" : "not_ready");
    json_put_text(j, "database", s.database);
    json_put_text(j, "cache", s.cache);
    json_end(j);
    return OK;
}

/* ---- metrics (RAG-028) ---- */

static double resident_bytes(void)
{
    long  pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void describe(void)
{
    metric_describe("chiron_uptime_seconds", 'g', "Time since the process started.");
    metric_describe("process_resident_memory_bytes", 'g', "Memory of the process in RAM.");
}

static enum err get_metrics(struct req *r)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    if (!conf_bool("METRICS")) return fail(&r->call, ERR_NOT_FOUND, "metrics are switched off");
    metric_set("chiron_uptime_seconds", NULL, (double)(clock_mono_ms() - started_ms) / 1000.0);
    metric_set("process_resident_memory_bytes", NULL, resident_bytes());
    metric_set("chiron_jobs_waiting", NULL, jobs_waiting());
    struct buf b;
    buf_init(&b, METRICS_BYTES);
    metric_write(&b);
    reply_bytes(r, 200, "text/plain; version=0.0.4; charset=utf-8", b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return OK;
}

/* ---- who am I ---- */

/* The demo's manifest suggests first questions; another creator's page suggests none. */
static void put_questions(struct call *c, struct json_out *j)
{
    const struct asset *a = strcmp(c->creator_id, "demo") ? NULL : asset_find("demo/manifest.json");
    json_t             *manifest = NULL;
    if (a && json_parse(c, (const char *)a->data, a->len, &manifest)) call_forgive(c);
    const json_t *questions = json_object_get(json_object_get(manifest, "coach"), "questions");
    if (questions) json_put_value(j, "questions", questions);
    json_decref(manifest);
}

static enum err get_me(struct req *r)
{
    struct call *c = &r->call;
    struct coach coach;
    enum err     e = coach_get(c, NULL, &coach);
    if (e && e != ERR_NOT_FOUND) return e;
    bool has_coach = !e;
    if (e) call_forgive(c);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "creator_id", c->creator_id);
    json_put_text(j, "user_id", c->user_id);
    json_put_text(j, "role", c->role);
    rights_put(j, "rights", c->rights);
    if (has_coach) {
        json_begin_object(j, "coach");
        json_put_text(j, "id", coach.id);
        json_put_text(j, "name", coach.name);
        json_put_text(j, "description", coach.description);
        json_put_text(j, "language", coach.language);
        put_questions(c, j);
        json_end(j);
    } else {
        json_put_null(j, "coach");
    }
    json_put_bool(j, "demo", conf_bool("DEMO"));
    json_put_text(j, "version", CHIRON_VERSION);
    json_end(j);
    return OK;
}

#define HEALTH_REPLY                                                                                                   \
    "{\"type\":\"object\",\"required\":[\"status\",\"models_loaded\",\"database\",\"cache\",\"uptime_seconds\"],"           \
    "\"properties\":{\"status\":{\"type\":\"string\"},\"models_loaded\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}," \
    "\"database\":{\"type\":\"string\"},\"cache\":{\"type\":\"string\"},\"uptime_seconds\":{\"type\":\"integer\"}}}"

const struct route admin_routes[] = {
    { "GET", "/", RIGHT_PUBLIC, 0, NULL, get_page, "The web page", "admin", 0, NULL, NULL, NULL },
    { "GET", "/assets/{file...}", RIGHT_PUBLIC, 0, NULL, get_asset, "Files of the web page", "admin", 0, NULL, NULL, NULL },
    { "GET", "/favicon.svg", RIGHT_PUBLIC, 0, NULL, get_file, "The page's icon", "admin", 0, NULL, NULL, NULL },
    { "GET", "/favicon.ico", RIGHT_PUBLIC, 0, NULL, get_file, "The page's icon for old browsers", "admin", 0, NULL, NULL, NULL },
    { "GET", "/manifest.webmanifest", RIGHT_PUBLIC, 0, NULL, get_file, "The page as an app", "admin", 0, NULL, NULL, NULL },
    { "GET", "/robots.txt", RIGHT_PUBLIC, 0, NULL, get_file, "For crawlers", "admin", 0, NULL, NULL, NULL },
    { "GET", "/health", RIGHT_PUBLIC, 0, NULL, get_health, "State of the service and its parts", "admin", 0, NULL, HEALTH_REPLY, NULL },
    { "GET", "/health/live", RIGHT_PUBLIC, 0, NULL, get_live, "The process answers", "admin", 0, NULL, NULL, "none" },
    { "GET", "/health/ready", RIGHT_PUBLIC, 0, NULL, get_ready, "Requests can be served", "admin", 0, NULL, NULL, "none" },
    { "GET", "/metrics", RIGHT_PUBLIC, 0, NULL, get_metrics, "Numbers in Prometheus form", "admin", 0, NULL, NULL, "none" },
    { "GET", "/api/v1/me", RIGHT_ASK, 0, NULL, get_me, "Who the caller is and what they may do", "accounts", 0, NULL, NULL, NULL },
    { 0 },
};

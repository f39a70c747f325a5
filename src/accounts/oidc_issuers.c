/* The operator's list of issuers, and their own description. Addresses come from the settings and from what a configured issuer
 * says about itself, never from a request; http is for this machine only, so no token crosses a network in the clear. A
 * setting that is not understood keeps the server from starting: a half-read list of who may sign people in is no list. */
/* SPDX-License-Identifier: MIT */
#include "accounts/oidc_issuers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/mail.h"
#include "accounts/role.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/json.h"
#include "base/log.h"

#define ID_MAX          40
#define FILE_BYTES      (64 * 1024)
#define DISCOVERY_BYTES (128 * 1024)
#define DISCOVERY_MS    (60 * 60 * 1000)
#define FETCH_MS        8000
#define WELL_KNOWN      "/.well-known/openid-configuration"

const struct setting oidc_settings[] = {
    { "OIDC_ISSUERS", NULL,
      "issuers to sign in with: a JSON array, or the path of a file with one, of {\"id\",\"name\",\"issuer\",\"client_id\",…}; see docs/accounts.md",
      SETTING_SECRET, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

struct entry {
    struct oidc_issuer o;
    json_t            *discovery;   /* NULL: not fetched yet; the rest under the lock */
    int64_t            got_ms;
};
static struct {
    struct arena  mem;              /* of the list's texts */
    struct entry  entries[OIDC_ISSUERS_MAX];
    int           count;
    pthread_mutex_t lock;
} list = { .lock = PTHREAD_MUTEX_INITIALIZER };

int oidc_issuer_count(void)
{
    return list.count;
}

const struct oidc_issuer *oidc_issuer_at(int i)
{
    return &list.entries[i].o;
}

const struct oidc_issuer *oidc_issuer_find(const char *id)
{
    for (int i = 0; i < list.count; i++)
        if (!strcmp(list.entries[i].o.id, id)) return &list.entries[i].o;
    return NULL;
}

/* ---- the list ---- */

static enum err wrong(struct call *c, int i, const char *member, const char *what)
{
    return fail_field(c, "OIDC_ISSUERS", "OIDC_ISSUERS[%d].%s %s", i, member, what);
}

/* A file's text without a line end behind it, in c->mem. */
static enum err read_file(struct call *c, const char *path, const char **out)
{
    char   *text = arena_alloc(&c->mem, FILE_BYTES + 1);
    ssize_t n = -1, got = 0;
    int     fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && n < FILE_BYTES && (got = read(fd, text + (n < 0 ? 0 : n), (size_t)(FILE_BYTES - (n < 0 ? 0 : n)))) > 0) n = (n < 0 ? 0 : n) + got;
    int why = errno;
    if (fd >= 0) close(fd);
    if (fd < 0 || got < 0) return fail(c, ERR_INVALID, "cannot read %s: %s", path, strerror(why));
    if (n <= 0 || n == FILE_BYTES) return fail(c, ERR_INVALID, "%s is empty or over %d bytes", path, FILE_BYTES);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    text[n] = '\0';
    *out = text;
    return OK;
}

static bool url_allowed(const char *url)
{
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) return false;
    return strlen(url) < 1024 && ((!strncmp(url, "https://", 8) && url[8] && url[8] != '/') || (!strncmp(url, "http://", 7) && url_is_loopback(url)));
}

static bool text_ok(const char *s, size_t most)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) return false;
    return *s && strlen(s) <= most;
}

static enum err read_domains(struct call *c, const json_t *from, int i, struct oidc_issuer *o)
{
    const json_t *all = json_object_get(from, "domains"), *one;
    size_t        n;
    if (!all) return OK;
    if (!json_is_array(all) || !json_array_size(all) || json_array_size(all) > OIDC_DOMAINS_MAX)
        return wrong(c, i, "domains", "is a list of 1 to 16 domains");
    json_array_foreach(all, n, one)
    {
        if (!json_is_string(one) || !text_ok(json_string_value(one), 253) || strchr(json_string_value(one), '@'))
            return wrong(c, i, "domains", "is a list of domains: [\"example.org\"]");
        o->domains[n] = arena_strdup(&list.mem, json_string_value(one));
    }
    return OK;
}

static enum err read_secret(struct call *c, const json_t *from, int i, struct oidc_issuer *o)
{
    const char *secret = json_get_text(from, "client_secret", NULL), *path = json_get_text(from, "client_secret_file", NULL);
    if (secret && path) return wrong(c, i, "client_secret", "and client_secret_file are both there; one is enough");
    enum err e = path ? read_file(c, path, &secret) : OK;
    if (e) return e;
    if (secret && !text_ok(secret, 4096)) return wrong(c, i, "client_secret", "is empty, too long or holds control characters");
    o->client_secret = arena_strdup(&list.mem, secret);
    return OK;
}

static enum err read_entry(struct call *c, const json_t *from, int i, struct oidc_issuer *o)
{
    static const char *const known[] = { "id", "name", "issuer", "client_id", "client_secret", "client_secret_file", "scopes", "algorithm",
                                         "creator", "role", "signup", "domains", NULL };
    const char *name;
    json_t     *value;
    if (!json_is_object(from)) return fail_field(c, "OIDC_ISSUERS", "OIDC_ISSUERS[%d] is not an object", i);
    json_object_foreach((json_t *)from, name, value)
    {
        int k = 0;
        while (known[k] && strcmp(known[k], name)) k++;
        if (!known[k]) return fail_field(c, "OIDC_ISSUERS", "OIDC_ISSUERS[%d] has the unknown member \"%.40s\"", i, name);
        bool is_text = strcmp(name, "signup") && strcmp(name, "domains");
        if (is_text && !json_is_string(value)) return wrong(c, i, name, "is a text");
        if (!strcmp(name, "signup") && !json_is_boolean(value)) return wrong(c, i, name, "is true or false");
    }
    *o = (struct oidc_issuer){ .id = json_get_text(from, "id", ""), .issuer = json_get_text(from, "issuer", ""),
                               .client_id = json_get_text(from, "client_id", ""), .scopes = json_get_text(from, "scopes", "openid email profile"),
                               .algorithm = json_get_text(from, "algorithm", "RS256"), .creator = json_get_text(from, "creator", NULL),
                               .role = json_get_text(from, "role", NULL), .signup_said = json_object_get(from, "signup") != NULL,
                               .signup = json_get_bool(from, "signup", false) };
    o->name = json_get_text(from, "name", o->id);
    if (!*o->id || strlen(o->id) > ID_MAX || strspn(o->id, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(o->id))
        return wrong(c, i, "id", "is 1 to 40 of a-z, 0-9 and -");
    if (oidc_issuer_find(o->id)) return wrong(c, i, "id", "is there twice");
    if (!url_allowed(o->issuer) || strpbrk(o->issuer, "?#")) return wrong(c, i, "issuer", "is an https:// address (http:// only for this machine)");
    if (!text_ok(o->client_id, 512)) return wrong(c, i, "client_id", "is missing");
    if (!text_ok(o->name, LIMIT_NAME_BYTES)) return wrong(c, i, "name", "is empty, too long or holds control characters");
    if (!text_ok(o->scopes, 512) || !strstr(o->scopes, "openid")) return wrong(c, i, "scopes", "must hold openid");
    if (strcmp(o->algorithm, "RS256") && strcmp(o->algorithm, "ES256")) return wrong(c, i, "algorithm", "is RS256 or ES256");
    if (!o->creator != !o->role) return wrong(c, i, "creator", "and role go together");
    if (o->role && !*o->role) return wrong(c, i, "role", "is empty");
    /* The words live as long as the list, not as the settings' text. */
    const char **texts[] = { &o->id, &o->name, &o->issuer, &o->client_id, &o->scopes, &o->algorithm, &o->creator, &o->role };
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) *texts[t] = arena_strdup(&list.mem, *texts[t]);
    enum err e = read_secret(c, from, i, o);
    return e ? e : read_domains(c, from, i, o);
}

enum err oidc_issuers_open(struct call *c)
{
    const char *text = conf_text("OIDC_ISSUERS");
    list.count = 0;
    if (!text || !*text) return OK;
    if (!*public_url()) return fail_field(c, "PUBLIC_URL", "OIDC_ISSUERS is set, so PUBLIC_URL is needed: issuers send people back to it");
    json_t  *all = NULL;
    enum err e = OK;
    if (text[strspn(text, " \t\r\n")] != '[') e = read_file(c, text, &text);
    if (!e && (e = json_parse(c, text, strlen(text), &all))) return e;
    if (e) return e;
    arena_init(&list.mem, FILE_BYTES * 4);
    if (!json_is_array(all) || json_array_size(all) > OIDC_ISSUERS_MAX) e = fail_field(c, "OIDC_ISSUERS", "OIDC_ISSUERS is a JSON array of at most %d issuers", OIDC_ISSUERS_MAX);
    for (size_t i = 0; !e && i < json_array_size(all); i++) {
        struct oidc_issuer o;
        e = read_entry(c, json_array_get(all, i), (int)i, &o);
        if (!e) list.entries[list.count++] = (struct entry){ .o = o };
    }
    json_decref(all);
    if (e) oidc_issuers_close();
    return e;
}

void oidc_issuers_close(void)
{
    for (int i = 0; i < list.count; i++) json_decref(list.entries[i].discovery);
    list.count = 0;
    arena_dispose(&list.mem);
    list.mem = (struct arena){ 0 };
}

/* ---- discovery ---- */

static enum err fetch_discovery(struct call *c, const struct oidc_issuer *o, json_t **out)
{
    size_t n = strlen(o->issuer);
    while (n && o->issuer[n - 1] == '/') n--;
    struct fetch_reply r;
    const char        *url = arena_printf(&c->mem, "%.*s%s", (int)n, o->issuer, WELL_KNOWN);
    enum err           e = fetch(c, &(struct fetch_opts){ .url = url, .timeout_ms = FETCH_MS, .max_bytes = DISCOVERY_BYTES,
                                                          .headers = (const char *[]){ "Accept: application/json", NULL } }, &r);
    if (!e && r.status != 200) e = fail(c, ERR_UPSTREAM, "the issuer %s does not describe itself: status %d", o->id, r.status);
    json_t *d = NULL;
    if (!e && json_parse(c, r.body, r.body_len, &d)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the issuer %s does not describe itself in JSON", o->id);
    }
    /* Another name here is how one issuer would pass for another. */
    if (!e && strcmp(json_get_text(d, "issuer", ""), o->issuer)) e = fail(c, ERR_UPSTREAM, "the issuer %s calls itself otherwise than OIDC_ISSUERS does", o->id);
    static const char *const endpoints[] = { "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint" };
    for (int i = 0; !e && i < 4; i++) {
        const char *at = json_get_text(d, endpoints[i], i < 3 ? "" : NULL);
        bool        inside = url_is_loopback(o->issuer) || (at && !strncmp(at, "https://", 8));
        if (at && (!url_allowed(at) || !inside)) e = fail(c, ERR_UPSTREAM, "the issuer %s has no usable %s", o->id, endpoints[i]);
    }
    if (e) json_decref(d);
    else *out = d;
    return e;
}

static bool holds(const json_t *array, const char *word)
{
    size_t        i;
    const json_t *one;
    json_array_foreach(array, i, one) if (json_is_string(one) && !strcmp(json_string_value(one), word)) return true;
    return false;
}

static void copy_out(struct call *c, const json_t *d, struct oidc_discovery *out)
{
    const json_t *methods = json_object_get(d, "token_endpoint_auth_methods_supported");
    *out = (struct oidc_discovery){
        .authorization_endpoint = arena_strdup(&c->mem, json_get_text(d, "authorization_endpoint", "")),
        .token_endpoint = arena_strdup(&c->mem, json_get_text(d, "token_endpoint", "")),
        .jwks_uri = arena_strdup(&c->mem, json_get_text(d, "jwks_uri", "")),
        .userinfo_endpoint = arena_strdup(&c->mem, json_get_text(d, "userinfo_endpoint", NULL)),
        .secret_in_body = methods && !holds(methods, "client_secret_basic") && holds(methods, "client_secret_post"),
        .says_iss = json_get_bool(d, "authorization_response_iss_parameter_supported", false),
    };
}

/* Two that find it old at once both fetch it; that is rarer than it is worth a queue. */
enum err oidc_discover(struct call *c, const struct oidc_issuer *o, struct oidc_discovery *out)
{
    struct entry *en = &list.entries[(const struct entry *)o - list.entries];
    pthread_mutex_lock(&list.lock);
    bool fresh = en->discovery && clock_mono_ms() - en->got_ms < DISCOVERY_MS;
    if (fresh) copy_out(c, en->discovery, out);
    pthread_mutex_unlock(&list.lock);
    if (fresh) return OK;

    json_t  *d = NULL;
    enum err e = fetch_discovery(c, o, &d);
    pthread_mutex_lock(&list.lock);
    if (!e) {
        json_decref(en->discovery);
        en->discovery = d;
        en->got_ms = clock_mono_ms();
    } else if (en->discovery && e != ERR_CANCELLED) {
        log_warn(c, "an issuer's description could not be fetched; the old one is used on", "issuer", o->id, "error", c->err_text, NULL);
        call_forgive(c);
        e = OK;
    }
    if (!e) copy_out(c, en->discovery, out);
    pthread_mutex_unlock(&list.lock);
    return e;
}

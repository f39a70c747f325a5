/* Who else is trusted. An issuer stands for one algorithm and its keys, decided here and never by a token, and for what its tokens
 * may be: the creator and the role are the operator's words, not the token's. The shared secret of FIT-036 is one of them: its
 * tokens are users of the route's house whatever else they claim, so that an outside backend's own "role" means nothing here and
 * nobody becomes an owner by a claim. It refuses a list it does not wholly understand: a slip there is an open door. */
/* SPDX-License-Identifier: MIT */
#include "accounts/issuer.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "accounts/jwks.h"
#include "accounts/mail.h"
#include "accounts/role.h"
#include "accounts/signature.h"
#include "base/conf.h"
#include "base/id.h"
#include "base/json.h"

enum { FILE_BYTES = 256 * 1024 };
#define SETTING "TRUSTED_ISSUERS"

static struct {
    struct arena  mem;
    bool          open;
    struct issuer entries[ISSUERS_MAX + 1];   /* the first is the shared secret */
    int           count;
} list;

static enum err wrong(struct call *c, int i, const char *member, const char *what)
{
    return fail_field(c, SETTING, SETTING "[%d].%s %s", i, member, what);
}

/* A file's text in list.mem; *n without line ends behind it. */
static enum err read_file(struct call *c, const char *path, char **out, size_t *n_out)
{
    char   *text = arena_alloc(&c->mem, FILE_BYTES + 1);
    size_t  n = 0;
    ssize_t got = 0;
    int     fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && n <= FILE_BYTES && (got = read(fd, text + n, FILE_BYTES + 1 - n)) > 0) n += (size_t)got;
    int why = errno;
    if (fd >= 0) close(fd);
    if (fd < 0 || got < 0) return fail_field(c, SETTING, SETTING ": cannot read %s: %s", path, strerror(why));
    if (!n || n > FILE_BYTES) return fail_field(c, SETTING, SETTING ": %s is empty or over %d bytes", path, FILE_BYTES);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    *out = arena_alloc(&list.mem, n + 1);
    memcpy(*out, text, n);
    (*out)[n] = '\0';
    sodium_memzero(text, n);
    *n_out = n;
    return OK;
}

static bool url_allowed(const char *url)
{
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) return false;
    return strlen(url) < 1024 && ((!strncmp(url, "https://", 8) && url[8] && url[8] != '/') || (!strncmp(url, "http://", 7) && url_is_loopback(url)));
}

/* Exactly one place to take keys from, and of the kind that belongs to the algorithm. */
static enum err read_keys(struct call *c, const json_t *from, int i, struct issuer *o)
{
    const char *url = json_get_text(from, "jwks_url", NULL), *set = json_get_text(from, "jwks_file", NULL),
               *secret = json_get_text(from, "secret_file", NULL);
    bool     hmac = o->algorithm == TOKEN_HS256;
    char    *text = NULL;
    size_t   n = 0;
    enum err e = OK;
    if ((url != NULL) + (set != NULL) + (secret != NULL) != 1 || hmac != (secret != NULL))
        return wrong(c, i, "algorithm", hmac ? "HS256 takes its key from secret_file" : "takes its keys from one of jwks_url and jwks_file");
    if (url && !url_allowed(url)) return wrong(c, i, "jwks_url", "is an https:// address (http:// only for this machine)");
    o->jwks_url = url ? arena_strdup(&list.mem, url) : NULL;
    if (!url) e = read_file(c, hmac ? secret : set, &text, &n);
    if (e || url) return e;
    if (hmac && (n < TOKEN_KEY_MIN_BYTES || n > TOKEN_KEY_MAX_BYTES)) return wrong(c, i, "secret_file", "holds a secret of 32 to 4096 bytes");
    if (hmac) {
        o->secret = (unsigned char *)text;
        o->secret_len = n;
        return OK;
    }
    if (json_parse(c, text, n, &o->jwks)) {
        call_forgive(c);
        return wrong(c, i, "jwks_file", "is not JSON");
    }
    if (!json_is_array(json_object_get(o->jwks, "keys"))) return wrong(c, i, "jwks_file", "holds no list of keys");
    return OK;
}

static enum err read_words(struct call *c, const json_t *from, int i)
{
    static const char *const known[] = { "issuer", "algorithm", "jwks_url", "jwks_file", "secret_file", "audience", "creator", "role", "user_claim", NULL };
    const char *name;
    json_t     *value;
    if (!json_is_object(from)) return fail_field(c, SETTING, SETTING "[%d] is not an object", i);
    json_object_foreach((json_t *)from, name, value)
    {
        int k = 0;
        while (known[k] && strcmp(known[k], name)) k++;
        if (!known[k]) return fail_field(c, SETTING, SETTING "[%d] has the unknown member \"%.40s\"", i, name);
        if (!strcmp(name, "audience") && json_is_null(value)) continue;
        if (!json_is_string(value) || !json_string_length(value) || json_string_length(value) > 1024) return wrong(c, i, name, "is a text");
    }
    return OK;
}

static enum err read_entry(struct call *c, const json_t *from, int i, struct issuer *o)
{
    enum err e = read_words(c, from, i);
    if (e) return e;
    const char *algorithm = json_get_text(from, "algorithm", ""), *name = json_get_text(from, "issuer", "");
    *o = (struct issuer){ .name = name, .audience = json_get_text(from, "audience", NULL), .creator = json_get_text(from, "creator", NULL),
                          .role = json_get_text(from, "role", "user"), .user_claim = json_get_text(from, "user_claim", "sub") };
    o->algorithm = !strcmp(algorithm, "RS256") ? TOKEN_RS256 : !strcmp(algorithm, "ES256") ? TOKEN_ES256 : !strcmp(algorithm, "HS256") ? TOKEN_HS256
                                                                                                                        : TOKEN_NO_ALGORITHM;
    if (!*name) return wrong(c, i, "issuer", "is missing");
    if (!strcmp(name, conf_text("TOKEN_ISSUER"))) return wrong(c, i, "issuer", "is our own name, TOKEN_ISSUER");
    if (issuer_find(name)) return wrong(c, i, "issuer", "is there twice, or in FIT_JWT_ISSUER");
    if (!o->algorithm) return wrong(c, i, "algorithm", "is RS256, ES256 or HS256");
    /* Whoever signs for many would otherwise open this door with tokens that were made for others'. */
    if (!json_object_get(from, "audience")) return wrong(c, i, "audience", "is missing; null takes tokens for anybody");
    if (o->creator && !id_valid(o->creator)) return wrong(c, i, "creator", "is no creator id");
    if (!role_built_in(o->role) || (role_built_in(o->role) & RIGHT_OWN)) return wrong(c, i, "role", "is a built-in role other than owner");
    const char **texts[] = { &o->name, &o->audience, &o->creator, &o->role, &o->user_claim };
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) *texts[t] = *texts[t] ? arena_strdup(&list.mem, *texts[t]) : NULL;
    return read_keys(c, from, i, o);
}

static enum err read_shared(struct call *c)
{
    const char *own = conf_text("FIT_JWT_SECRET_KEY");
    size_t      n = own ? strlen(own) : 0;
    if (n && (n < TOKEN_KEY_MIN_BYTES || n > TOKEN_KEY_MAX_BYTES))
        return fail_field(c, "FIT_JWT_SECRET_KEY", "FIT_JWT_SECRET_KEY has %zu bytes; %d to %d are needed", n, TOKEN_KEY_MIN_BYTES,
                          TOKEN_KEY_MAX_BYTES);
    const void *key = own;
    if (!n) key = token_key(&n);
    struct issuer *o = &list.entries[list.count++];
    *o = (struct issuer){ .name = "", .algorithm = TOKEN_HS256, .role = "user", .user_claim = "sub", .expiry_by_iat = true };
    o->secret = arena_alloc(&list.mem, n);
    o->secret_len = n;
    memcpy(o->secret, key, n);
    return OK;
}

/* The list itself, or the path of a file that holds it. */
static enum err read_list(struct call *c)
{
    const char *text = conf_text(SETTING);
    char       *from_file = NULL;
    json_t     *all = NULL, *one;
    size_t      i, n = text ? strlen(text) : 0;
    enum err    e = OK;
    if (!n) return OK;
    if (text[strspn(text, " \t\r\n")] != '[') {
        e = read_file(c, text, &from_file, &n);
        text = from_file;
    }
    if (e) return e;
    if (json_parse(c, text, n, &all) || !json_is_array(all)) {
        call_forgive(c);
        e = fail_field(c, SETTING, SETTING " is not a JSON list, nor a file that holds one");
    } else if (json_array_size(all) > ISSUERS_MAX) {
        e = fail_field(c, SETTING, SETTING " has %zu entries; at most %d are taken", json_array_size(all), ISSUERS_MAX);
    }
    if (!e)
        json_array_foreach(all, i, one)
        {
            e = read_entry(c, one, (int)i, &list.entries[list.count]);
            /* Also a failed one may hold a set that is to be released. */
            list.count++;
            if (e) break;
        }
    json_decref(all);
    return e;
}

enum err issuers_open(struct call *c)
{
    arena_init(&list.mem, LIMIT_ARENA_BYTES);
    list.open = true;
    enum err e = read_shared(c);
    if (!e) e = read_list(c);
    if (e) issuers_close();
    return e;
}

void issuers_close(void)
{
    if (!list.open) return;
    for (int i = 0; i < list.count; i++) {
        json_decref(list.entries[i].jwks);
        if (list.entries[i].secret) sodium_memzero(list.entries[i].secret, list.entries[i].secret_len);
    }
    arena_dispose(&list.mem);
    memset(&list, 0, sizeof list);
}

/* Is iss one of the names with commas between? */
static bool listed(const char *names, const char *iss)
{
    size_t n = strlen(iss);
    for (const char *p = names; p && *p;) {
        p += strspn(p, ", \t");
        size_t len = strcspn(p, ", \t");
        if (len == n && n && !memcmp(p, iss, n)) return true;
        p += len;
    }
    return false;
}

const struct issuer *issuer_at(int i)
{
    return i >= 0 && i < list.count ? &list.entries[i] : NULL;
}

const struct issuer *issuer_find(const char *iss)
{
    if (!iss || listed(conf_text("FIT_JWT_ISSUER"), iss)) return &list.entries[0];
    for (int i = 1; i < list.count; i++)
        if (!strcmp(list.entries[i].name, iss)) return &list.entries[i];
    return NULL;
}

enum err issuer_signed(struct call *c, const struct issuer *i, const struct token_text *t)
{
    EVP_PKEY   *key = NULL;
    const char *algorithm = i->algorithm == TOKEN_RS256 ? "RS256" : "ES256";
    if (t->algorithm != i->algorithm) return token_refuse(c);
    if (i->secret) return signature_hs256(i->secret, i->secret_len, t) ? OK : token_refuse(c);
    enum err e = i->jwks ? jwks_find(c, i->jwks, algorithm, t->kid, &key) : jwks_key(c, i->jwks_url, algorithm, t->kid, &key);
    bool     right = !e && jwks_verify(key, algorithm, t->signed_text, t->signed_len, t->signature, t->signature_len);
    EVP_PKEY_free(key);
    if (right) return OK;
    if (e == ERR_UNAUTHENTICATED) call_forgive(c);
    return e && e != ERR_UNAUTHENTICATED ? e : token_refuse(c);
}

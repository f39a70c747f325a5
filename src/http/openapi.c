/* http/openapi.c — OpenAPI 3.1 from the same rows that route and guard, so the description cannot be wrong about a path,
 * a right or a body. What a row does not know (query parameters, error words) is left to the summary.
 * Refuses nothing: http_check_tables has seen every schema before. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/right.h"
#include "http/exchange.h"

static const char error_schema[] =
    "{\"type\":\"object\",\"required\":[\"error\",\"code\",\"request_id\"],\"properties\":{"
    "\"error\":{\"type\":\"string\",\"description\":\"What went wrong, for a person\"},"
    "\"code\":{\"type\":\"string\",\"description\":\"The same for a program; branch on this\"},"
    "\"request_id\":{\"type\":\"string\"},"
    "\"details\":{\"type\":\"object\",\"properties\":{\"field\":{\"type\":\"string\",\"description\":\"Path of the wrong field\"}}}}}";
static const char openai_error_schema[] =
    "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
    "\"required\":[\"message\",\"type\",\"param\",\"code\"],\"properties\":{\"message\":{\"type\":\"string\"},"
    "\"type\":{\"type\":\"string\"},\"param\":{\"type\":[\"string\",\"null\"]},\"code\":{\"type\":[\"string\",\"null\"]}}}}}";

/* Headers that mean something on many rows, and the fields of replies that say what is left. */
static const char parameters[] =
    "{\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"description\":\"The same key and request within 24 hours are done "
    "once and get the first reply again\",\"schema\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,\"pattern\":\"^[!-~]([ -~]*[!-~])?$\"}},"
    "\"ActAs\":{\"name\":\"X-Chiron-User\",\"in\":\"header\",\"description\":\"The user that an API key with users:act_as speaks "
    "for\",\"schema\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,\"pattern\":\"^[A-Za-z0-9_:@][A-Za-z0-9._:@-]*$\"}}}";
static const char reply_headers[] =
    "{\"X-Request-ID\":{\"schema\":{\"type\":\"string\"}},\"RateLimit-Limit\":{\"schema\":{\"type\":\"integer\"}},"
    "\"RateLimit-Remaining\":{\"schema\":{\"type\":\"integer\"}},\"RateLimit-Reset\":{\"description\":\"Seconds\",\"schema\":{\"type\":\"integer\"}},"
    "\"Retry-After\":{\"description\":\"Seconds; with 429 and 503\",\"schema\":{\"type\":\"integer\"}}}";

/* "{rest...}" is "{rest}" there; false when another row of the same path came before and has written it. */
static void path_text(const char *path, char *out, size_t max)
{
    size_t n = 0;
    for (const char *p = path; *p && n + 1 < max; p++) {
        if (strncmp(p, "...}", 4) == 0) p += 3;
        out[n++] = *p;
    }
    out[n] = '\0';
}

static void put_ref(struct json_out *j, const char *name, const char *ref)
{
    json_begin_object(j, name);
    json_put_text(j, "$ref", ref);
    json_end(j);
}

static bool changes(const struct route *r)
{
    return strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0;
}

/* The schema of a row without a body describes its query: each member is a parameter. */
static void put_query(struct json_out *j, const struct route *r)
{
    json_t *schema = json_loads(r->schema, 0, NULL);
    const json_t *required = json_object_get(schema, "required");
    const char *name;
    json_t *v;
    json_object_foreach(json_object_get(schema, "properties"), name, v)
    {
        bool must = false;
        for (size_t i = 0; i < json_array_size(required); i++) must = must || strcmp(json_string_value(json_array_get(required, i)), name) == 0;
        json_begin_object(j, NULL);
        json_put_text(j, "name", name);
        json_put_text(j, "in", "query");
        json_put_bool(j, "required", must);
        json_put_value(j, "schema", v);
        json_end(j);
    }
    json_decref(schema);
}

static void put_parameters(struct json_out *j, const struct route *r, const char *path)
{
    json_begin_array(j, "parameters");
    for (const char *p = path; (p = strchr(p, '{'));) {
        const char *end = strchr(p, '}');
        size_t n = (size_t)(end - p) - 1;
        json_begin_object(j, NULL);
        json_put_textn(j, "name", p + 1, n);
        json_put_text(j, "in", "path");
        json_put_bool(j, "required", true);
        json_begin_object(j, "schema");
        json_put_text(j, "type", "string");
        json_end(j);
        json_end(j);
        p = end;
    }
    if (r->body_max == 0 && r->schema) put_query(j, r);
    if (changes(r) && !(r->rights & RIGHT_PUBLIC)) put_ref(j, NULL, "#/components/parameters/IdempotencyKey");
    if (!(r->rights & RIGHT_PUBLIC)) put_ref(j, NULL, "#/components/parameters/ActAs");
    json_end(j);
}

static void put_type(struct json_out *j, const char *type, const char *schema)
{
    json_begin_object(j, type);
    json_put_raw(j, "schema", schema, strlen(schema));
    json_end(j);
}

static void put_content(struct json_out *j, const char *type, const char *schema)
{
    json_begin_object(j, "content");
    put_type(j, type, schema);
    json_end(j);
}

static void put_body(struct json_out *j, const struct route *r)
{
    if (r->body_max == 0) return;
    json_begin_object(j, "requestBody");
    char words[80];
    snprintf(words, sizeof words, "At most %lld bytes", (long long)r->body_max);
    json_put_text(j, "description", words);
    json_put_bool(j, "required", r->schema != NULL || (r->flags & ROUTE_MULTIPART));
    if (r->flags & ROUTE_MULTIPART)
        put_content(j, "multipart/form-data",
                    "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\",\"contentMediaType\":\"application/octet-stream\"}}}");
    else if (r->flags & ROUTE_RAW) put_content(j, "application/octet-stream", "{}");
    else put_content(j, "application/json", r->schema ? r->schema : "{}");
    json_end(j);
}

/* What a row of this kind can answer: what the guard refuses is known exactly, a handler's own reasons by what there is to
 * refuse: an id in the path may be nobody's, a change may collide. */
static void put_responses(struct json_out *j, const struct route *r)
{
    bool public = r->rights & RIGHT_PUBLIC, body = r->body_max > 0, openai = r->flags & ROUTE_OPENAI, change = changes(r);
    bool param = strchr(r->path, '{') != NULL, query = !body && r->schema, page = public && !change;
    const struct {
        const char *status;
        bool        can;
    } list[] = { { "400", true },
                 { "401", !public || change },
                 { "403", !public || change },
                 { "404", true },
                 { "409", change },
                 { "413", true },
                 { "415", body },
                 { "422", !openai && (body || query || param || !public) },
                 { "429", true },
                 { "431", true },
                 { "500", true },
                 { "502", !page },
                 { "503", true },
                 { "504", true } };
    json_begin_object(j, "responses");
    json_begin_object(j, "2XX");
    json_put_text(j, "description", r->summary);
    if (r->reply_schema) {
        json_begin_object(j, "content");
        put_type(j, "application/json", r->reply_schema);
        if (r->flags & ROUTE_ARCHIVE) put_type(j, "application/zip", "{}");
        json_end(j);
    }
    json_end(j);
    if (page) {
        json_begin_object(j, "3XX");
        json_put_text(j, "description", "It is somewhere else, or has not changed");
        json_end(j);
    }
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].can) put_ref(j, list[i].status, openai ? "#/components/responses/OpenAIError" : "#/components/responses/Error");
    json_end(j);
}

static void put_scheme(struct json_out *j, const char *name)
{
    json_begin_object(j, NULL);
    json_begin_array(j, name);
    json_end(j);
    json_end(j);
}

static void put_operation(struct json_out *j, const struct route *r)
{
    char name[16], id[200], path[200];
    size_t n = 0;
    for (; r->method[n] && n < sizeof name - 1; n++) name[n] = (char)tolower((unsigned char)r->method[n]);
    name[n] = '\0';
    path_text(r->path, path, sizeof path);
    size_t len = (size_t)snprintf(id, sizeof id, "%s", name);
    bool gap = true;
    for (const char *p = path; *p && len + 2 < sizeof id; p++) {
        if (!isalnum((unsigned char)*p) && *p != '.') {
            gap = true;
            continue;
        }
        if (gap) id[len++] = '_';
        gap = false;
        id[len++] = *p == '.' ? '_' : *p;
    }
    id[len] = '\0';
    json_begin_object(j, name);
    json_put_text(j, "operationId", id);
    json_put_text(j, "summary", r->summary);
    json_begin_array(j, "tags");
    json_put_text(j, NULL, r->surface);
    json_end(j);
    put_parameters(j, r, path);
    put_body(j, r);
    put_responses(j, r);
    json_begin_array(j, "security");
    if (r->rights & RIGHT_PUBLIC) {
        json_begin_object(j, NULL);
        json_end(j);
    }
    put_scheme(j, "bearer");
    put_scheme(j, "apiKey");
    json_end(j);
    json_begin_array(j, "x-rights");
    for (unsigned bit = RIGHT_PUBLIC; right_word(bit); bit <<= 1)
        if (r->rights & bit) json_put_text(j, NULL, right_word(bit));
    json_end(j);
    json_end(j);
}

static void put_error_component(struct json_out *j, const char *name, const char *schema_ref)
{
    json_begin_object(j, name);
    json_put_text(j, "description", "An error: its words, its code and the id of the request");
    json_put_raw(j, "headers", reply_headers, sizeof reply_headers - 1);
    json_begin_object(j, "content");
    json_begin_object(j, "application/json");
    put_ref(j, "schema", schema_ref);
    json_end(j);
    json_end(j);
    json_end(j);
}

static void put_components(struct json_out *j)
{
    json_begin_object(j, "components");
    json_begin_object(j, "securitySchemes");
    json_begin_object(j, "bearer");
    json_put_text(j, "type", "http");
    json_put_text(j, "scheme", "bearer");
    json_put_text(j, "bearerFormat", "JWT");
    json_put_text(j, "description", "An access token, or an API key");
    json_end(j);
    json_begin_object(j, "apiKey");
    json_put_text(j, "type", "apiKey");
    json_put_text(j, "in", "header");
    json_put_text(j, "name", "X-API-Key");
    json_end(j);
    json_end(j);
    json_put_raw(j, "parameters", parameters, sizeof parameters - 1);
    json_begin_object(j, "schemas");
    json_put_raw(j, "Error", error_schema, sizeof error_schema - 1);
    json_put_raw(j, "OpenAIError", openai_error_schema, sizeof openai_error_schema - 1);
    json_end(j);
    json_begin_object(j, "responses");
    put_error_component(j, "Error", "#/components/schemas/Error");
    put_error_component(j, "OpenAIError", "#/components/schemas/OpenAIError");
    json_end(j);
    json_end(j);
}

enum err http_openapi(struct call *c, const struct http_conf *conf, struct buf *out)
{
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j, NULL);
    json_put_text(&j, "openapi", "3.1.0");
    json_begin_object(&j, "info");
    json_put_text(&j, "title", conf->title ? conf->title : "Chiron");
    json_put_text(&j, "version", conf->version ? conf->version : "0");
    json_end(&j);
    json_begin_object(&j, "paths");
    for (int i = 0; conf->tables[i]; i++)
        for (const struct route *r = conf->tables[i]; r->method; r++) {
            bool seen = false;
            for (int k = 0; conf->tables[k] && k <= i && !seen; k++)
                for (const struct route *q = conf->tables[k]; q->method && q != r && !seen; q++)
                    seen = strcmp(q->path, r->path) == 0;
            if (seen) continue;
            char path[200];
            path_text(r->path, path, sizeof path);
            json_begin_object(&j, path);
            for (int k = i; conf->tables[k]; k++)
                for (const struct route *q = k == i ? r : conf->tables[k]; q->method; q++)
                    if (strcmp(q->path, r->path) == 0) put_operation(&j, q);
            json_end(&j);
        }
    json_end(&j);
    put_components(&j);
    json_end(&j);
    return out->failed ? fail(c, ERR_TOO_LARGE, "openapi.json is over %zu bytes", out->max) : OK;
}

static enum err get_openapi(struct req *r)
{
    const struct buf *made = &((struct exchange *)r)->server->openapi;
    reply_static(r, 200, "application/json", made->data, made->len);
    return OK;
}

/* The page is three small assets, so that the strict policy of every page holds for it too: nothing inline, nothing
 * from elsewhere. */
static const char docs_html[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
    "<title>API</title><link rel=\"stylesheet\" href=\"/docs/docs.css\"></head><body><header><h1 id=\"title\">API</h1>"
    "<p>Made from <a href=\"/openapi.json\">openapi.json</a></p><label for=\"find\">Find</label>"
    "<input id=\"find\" type=\"search\" autocomplete=\"off\"></header><main id=\"list\" aria-live=\"polite\"><p>Loading…</p></main>"
    "<noscript><p>The description itself is at /openapi.json.</p></noscript><script src=\"/docs/docs.js\" defer></script></body></html>\n";
static const char docs_css[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--page:#fff;--box:#f6f8fa;--get:#0a6b3d;--post:#0b57b0;"
    "--put:#8a5300;--delete:#b3261e}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#30363d;--page:#0d1117;--box:#161b22;--get:#4cc38a;"
    "--post:#6cb2ff;--put:#e3b341;--delete:#ff8a80}}"
    "*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page)}"
    "header,main{max-width:60rem;margin:0 auto;padding:1rem}h1{margin:.5rem 0 0}h2{margin:2rem 0 .5rem;text-transform:capitalize}"
    "a{color:var(--post)}label{font-weight:600;margin-right:.5rem}"
    "input{font:inherit;padding:.4rem .6rem;border:1px solid var(--line);border-radius:.4rem;background:var(--box);color:inherit;width:min(24rem,100%)}"
    "details{border:1px solid var(--line);border-radius:.5rem;margin:.4rem 0;background:var(--box)}"
    "summary{cursor:pointer;padding:.5rem .75rem;display:flex;flex-wrap:wrap;gap:.25rem .75rem;align-items:baseline}"
    "summary b{min-width:4rem;font:600 .85rem ui-monospace,monospace}.get{color:var(--get)}.post{color:var(--post)}.put,.patch{color:var(--put)}"
    ".delete{color:var(--delete)}code{font:.95rem ui-monospace,monospace;overflow-wrap:anywhere}summary span{color:var(--soft)}"
    "details>div{padding:0 .75rem .75rem;border-top:1px solid var(--line)}"
    "pre{overflow:auto;background:var(--page);border:1px solid var(--line);border-radius:.4rem;padding:.75rem;font-size:.85rem}"
    ":focus-visible{outline:3px solid var(--post);outline-offset:2px}\n";
static const char docs_js[] =
    "'use strict';(async()=>{const list=document.getElementById('list'),find=document.getElementById('find');"
    "const el=(n,t,c)=>{const e=document.createElement(n);if(t!==undefined)e.textContent=t;if(c)e.className=c;return e};"
    "let api;try{api=await(await fetch('/openapi.json')).json()}catch{list.textContent='openapi.json could not be read.';return}"
    "document.getElementById('title').textContent=api.info.title+' '+api.info.version;document.title=api.info.title+' API';"
    "const groups=new Map();for(const[path,ops]of Object.entries(api.paths))for(const[method,op]of Object.entries(ops)){"
    "const tag=op.tags[0];if(!groups.has(tag))groups.set(tag,[]);groups.get(tag).push({path,method,op})}"
    "const show=()=>{const q=find.value.toLowerCase();list.replaceChildren();let n=0;for(const[tag,rows]of groups){"
    "const hit=rows.filter(r=>(r.path+' '+r.method+' '+r.op.summary+' '+tag).toLowerCase().includes(q));if(!hit.length)continue;"
    "list.append(el('h2',tag));for(const{path,method,op}of hit){n++;const d=el('details'),s=el('summary');"
    "s.append(el('b',method.toUpperCase(),method),el('code',path),el('span',op.summary));const box=el('div');"
    "box.append(el('p','Needs: '+op['x-rights'].join(' or ')));const body=op.requestBody;if(body){box.append(el('h3','Body'),"
    "el('p',Object.keys(body.content)[0]+'. '+(body.description||'')),el('pre',JSON.stringify(Object.values(body.content)[0].schema,null,2)))}"
    "const ok=op.responses['2XX'].content;if(ok)box.append(el('h3','Reply'),el('pre',JSON.stringify(Object.values(ok)[0].schema,null,2)));"
    "box.append(el('p','Errors: '+Object.keys(op.responses).filter(k=>k!=='2XX').join(', ')));d.append(s,box);list.append(d)}}"
    "if(!n)list.append(el('p','Nothing found.'))};find.addEventListener('input',show);show()})();\n";

static enum err get_docs(struct req *r)
{
    reply_static(r, 200, "text/html; charset=utf-8", docs_html, sizeof docs_html - 1);
    return OK;
}

static enum err get_docs_css(struct req *r)
{
    reply_static(r, 200, "text/css; charset=utf-8", docs_css, sizeof docs_css - 1);
    return OK;
}

static enum err get_docs_js(struct req *r)
{
    reply_static(r, 200, "text/javascript; charset=utf-8", docs_js, sizeof docs_js - 1);
    return OK;
}

const struct route http_routes[] = {
    { "GET", "/openapi.json", RIGHT_PUBLIC, 0, NULL, get_openapi, "This API as OpenAPI 3.1", "admin", 0, NULL, "{\"type\":\"object\"}", NULL },
    { "GET", "/docs", RIGHT_PUBLIC, 0, NULL, get_docs, "This API as a page", "admin", 0, NULL, NULL, NULL },
    { "GET", "/docs/docs.css", RIGHT_PUBLIC, 0, NULL, get_docs_css, "The style of that page", "admin", 0, NULL, NULL, NULL },
    { "GET", "/docs/docs.js", RIGHT_PUBLIC, 0, NULL, get_docs_js, "The script of that page", "admin", 0, NULL, NULL, NULL },
    { 0 },
};

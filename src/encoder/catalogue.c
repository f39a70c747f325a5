/* SPDX-License-Identifier: MIT */
/* The list is data, so that a model is added without code; it is still not believed: a name in it becomes a path. */
#include "encoder/catalogue.h"

#include <string.h>

#include "base/assets.h"
#include "base/conf.h"
#include "base/id.h"
#include "base/json.h"

#define ASSET "models/catalogue.json"

static bool file_name_is_plain(const char *s)
{
    const char *slash = strchr(s, '/');
    if (!*s || *s == '.' || strlen(s) >= CATALOGUE_NAME_BYTES || s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/")])
        return false;
    return !slash || (slash[1] && slash[1] != '.' && !strchr(slash + 1, '/'));
}

static bool is_sha256(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

static enum err read_file(struct call *c, const char *model, const json_t *o, struct catalogue_file *out)
{
    const char *name = json_get_text(o, "name", ""), *sha256 = json_get_text(o, "sha256", NULL);
    if (!file_name_is_plain(name)) return fail(c, ERR_CORRUPT, ASSET ": %s: the file name \"%.80s\" is not plain", model, name);
    if (sha256 && !is_sha256(sha256)) return fail(c, ERR_CORRUPT, ASSET ": %s: %s has no SHA-256 of 64 digits", model, name);
    *out = (struct catalogue_file){ .name = arena_strdup(&c->mem, name), .bytes = json_get_int(o, "bytes", -1),
                                    .sha256 = sha256 ? arena_strdup(&c->mem, sha256) : NULL };
    return OK;
}

static enum err read_model(struct call *c, const json_t *o, const char *base, struct catalogue_model *m)
{
    const json_t *files = json_object_get(o, "files"), *settings = json_object_get(o, "settings"), *one;
    const char   *name = json_get_text(o, "name", "");
    size_t        i;
    if (!id_valid(name)) return fail(c, ERR_CORRUPT, ASSET ": \"%.80s\" is no name", name);
    *m = (struct catalogue_model){
        .name = arena_strdup(&c->mem, name),
        .kind = arena_strdup(&c->mem, json_get_text(o, "kind", "embedder")),
        .pooling = arena_strdup(&c->mem, json_get_text(o, "pooling", "")),
        .license = arena_strdup(&c->mem, json_get_text(o, "license", "")),
        .about = arena_strdup(&c->mem, json_get_text(o, "about", "")),
        .url = arena_printf(&c->mem, "%s/%s", base, json_get_text(o, "path", "")),
        .dim = (int)json_get_int(o, "dim", 0),
        .max_tokens = (int)json_get_int(o, "max_tokens", 0),
    };
    if (settings) {
        char *text = json_dumps(settings, JSON_COMPACT);
        m->settings = arena_strdup(&c->mem, text);
        free(text);
    }
    if (json_array_size(files) > CATALOGUE_FILES) return fail(c, ERR_CORRUPT, ASSET ": %s has over %d files", name, CATALOGUE_FILES);
    json_array_foreach(files, i, one) {
        enum err e = read_file(c, name, one, &m->files[m->file_count++]);
        if (e) return e;
    }
    return OK;
}

enum err catalogue_read(struct call *c, struct catalogue *out)
{
    const struct asset *asset = asset_find(ASSET);
    json_t             *root = NULL, *one;
    size_t              i;
    if (!asset) return fail(c, ERR_CORRUPT, ASSET " is not built in");
    enum err e = json_parse(c, (const char *)asset->data, asset->len, &root);
    if (e) return e;
    const json_t *models = json_object_get(root, "models");
    const char   *own = conf_text("MODELS_BASE_URL"), *base = own && *own ? own : json_get_text(root, "base", "");
    size_t        n = strlen(base);
    while (n && base[n - 1] == '/') n--;
    base = arena_strndup(&c->mem, base, n);
    struct catalogue list = { arena_array(&c->mem, json_array_size(models) + 1, sizeof *list.models), 0 };
    json_array_foreach(models, i, one) {
        e = read_model(c, one, base, &list.models[list.count++]);
        if (e) break;
    }
    json_decref(root);
    if (!e) *out = list;
    return e;
}

const struct catalogue_model *catalogue_find(const struct catalogue *k, const char *name)
{
    for (int i = 0; i < k->count; i++)
        if (!strcmp(k->models[i].name, name)) return &k->models[i];
    return NULL;
}

enum err catalogue_of_url(struct call *c, const char *url, const char *name, const char *sha256, struct catalogue_model *out)
{
    static const struct {
        const char *name;
        bool        optional;
    } files[] = {
        { "config.json", false }, { "tokenizer.json", true }, { "vocab.txt", true }, { "tokenizer_config.json", true }, { "modules.json", true },
        { "1_Pooling/config.json", true }, { "sentence_bert_config.json", true }, { "config_sentence_transformers.json", true },
        { "chiron.json", true }, { "model.safetensors", false },
    };
    size_t n = strcspn(url, "?#");
    while (n && url[n - 1] == '/') n--;
    const char *folder = arena_strndup(&c->mem, url, n), *host = strstr(folder, "://"), *resolve = strstr(folder, "/resolve/");
    size_t      end = resolve ? (size_t)(resolve - folder) : n, start = end;
    while (start && folder[start - 1] != '/') start--;
    if (!name) name = arena_strndup(&c->mem, folder + start, end - start);
    if (!host || (size_t)(host - folder) + 3 >= start || !id_valid(name) || strlen(name) >= CATALOGUE_NAME_BYTES)
        return fail(c, ERR_INVALID, "no name for the model can be made of the address; give one with --name");
    *out = (struct catalogue_model){ .name = arena_strdup(&c->mem, name), .kind = "", .pooling = "", .license = "", .about = "", .url = folder };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        out->files[out->file_count++] = (struct catalogue_file){ .name = files[i].name, .bytes = -1, .optional = files[i].optional };
    out->files[out->file_count - 1].sha256 = sha256;
    return OK;
}

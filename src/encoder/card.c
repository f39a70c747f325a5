/* SPDX-License-Identifier: MIT */
/* The folder of a sentence encoder is several small files of several libraries, which repeat and overrule each other;
 * here they become one plain struct. A file that is not there means its library's default. What is there and cannot be
 * done is refused by name: a vector made almost as the model wants it looks right and finds the wrong passages. */
#include "encoder/card.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "encoder/kernels.h"
#include "encoder/mapped.h"

enum { HIDDEN_MAX = 4096, INNER_MAX = 16384, LAYERS_MAX = 64, POSITIONS_MAX = 65536, VOCABULARY_MAX = 1000000, TYPES_MAX = 16,
       FILE_BYTES = 1024 * 1024 };

/* Numbers come as reals: "no limit" is written as a length with thirty digits, which no integer holds. */
static enum err read_json(struct call *c, const char *folder, const char *name, json_t **out)
{
    struct mapped m;
    json_error_t  why;
    enum err      e = mapped_open_in(c, folder, name, &m);
    if (e) return e;
    if (m.size > FILE_BYTES) e = fail(c, ERR_CORRUPT, "%s/%s: over %d bytes", folder, name, FILE_BYTES);
    else if (!(*out = json_loadb(m.data, m.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why)))
        e = fail(c, ERR_CORRUPT, "%s/%s: not JSON, line %d column %d", folder, name, why.line, why.column);
    mapped_close(&m);
    return e;
}

/* An object; *out is NULL when the file is not there. */
static enum err read_object(struct call *c, const char *folder, const char *name, json_t **out)
{
    enum err e = read_json(c, folder, name, out);
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        *out = NULL;
        return OK;
    }
    if (e || json_is_object(*out)) return e;
    json_decref(*out);
    *out = NULL;
    return fail(c, ERR_CORRUPT, "%s/%s: no object", folder, name);
}

static enum err read_size(struct call *c, const json_t *o, const char *name, int max, int *out)
{
    double v = json_get_real(o, name, 0);
    if (!(v >= 1 && v <= max) || v != floor(v)) return fail(c, ERR_CORRUPT, "config.json: %s is not 1 to %d", name, max);
    *out = (int)v;
    return OK;
}

static enum err read_config(struct call *c, const json_t *o, struct card *k)
{
    const struct {
        const char *name;
        int         max, *to;
    } sizes[] = {
        { "hidden_size", HIDDEN_MAX, &k->hidden },         { "num_hidden_layers", LAYERS_MAX, &k->layers },
        { "num_attention_heads", HIDDEN_MAX, &k->heads },  { "intermediate_size", INNER_MAX, &k->inner },
        { "max_position_embeddings", POSITIONS_MAX, &k->positions }, { "vocab_size", VOCABULARY_MAX, &k->vocabulary },
    };
    const char *type = json_get_text(o, "model_type", "bert");
    if (strcmp(type, "bert")) return fail(c, ERR_CORRUPT, "config.json: model_type is %.60s; only bert is read", type);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        enum err e = read_size(c, o, sizes[i].name, sizes[i].max, sizes[i].to);
        if (e) return e;
    }
    k->token_types = 2;
    if (json_object_get(o, "type_vocab_size")) {
        enum err e = read_size(c, o, "type_vocab_size", TYPES_MAX, &k->token_types);
        if (e) return e;
    }
    if (strcmp(json_get_text(o, "hidden_act", "gelu"), "gelu"))
        return fail(c, ERR_CORRUPT, "config.json: hidden_act is %.60s, not gelu", json_get_text(o, "hidden_act", ""));
    if (strcmp(json_get_text(o, "position_embedding_type", "absolute"), "absolute"))
        return fail(c, ERR_CORRUPT, "config.json: position_embedding_type is not absolute");
    if (json_get_bool(o, "is_decoder", false)) return fail(c, ERR_CORRUPT, "config.json: is_decoder is true");
    double eps = json_get_real(o, "layer_norm_eps", 1e-12);
    if (!(eps >= 0 && eps < 1)) return fail(c, ERR_CORRUPT, "config.json: layer_norm_eps is not 0 to 1");
    k->norm_eps = (float)eps;
    k->head_dim = k->hidden / k->heads;
    if (k->hidden % k->heads || k->head_dim % 32 || k->head_dim > KERNELS_HEAD_DIM_MAX || k->inner % 32)
        return fail(c, ERR_CORRUPT, "config.json: heads of %d/%d and an inner size of %d are not multiples of 32 (heads at most %d)",
                    k->hidden, k->heads, k->inner, KERNELS_HEAD_DIM_MAX);
    const char *architecture = json_string_value(json_array_get(json_object_get(o, "architectures"), 0));
    k->cross_encoder = architecture && strstr(architecture, "ForSequenceClassification");
    return OK;
}

/* What comes after BERT itself: pooling and normalising, each at most once, and nothing else. */
static enum err read_modules(struct call *c, const char *folder, struct card *k, const char **pooling_out)
{
    json_t  *modules = NULL;
    size_t   i;
    json_t  *one;
    enum err e = read_json(c, folder, "modules.json", &modules);
    *pooling_out = "1_Pooling";
    k->normalised = true;
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        return OK;
    }
    if (e) return e;
    bool pools = false;
    k->normalised = false;
    if (!json_is_array(modules)) e = fail(c, ERR_CORRUPT, "%s/modules.json: no array", folder);
    json_array_foreach(modules, i, one) {
        if (e) break;
        const char *type = json_get_text(one, "type", ""), *path = json_get_text(one, "path", ""), *dot = strrchr(type, '.');
        const char *name = dot ? dot + 1 : type;
        if (!strcmp(name, "Transformer") && i == 0) {
            if (*path) e = fail(c, ERR_CORRUPT, "modules.json: the model is in the folder %.60s, not at the top", path);
        } else if (!strcmp(name, "Pooling") && !pools) {
            if (!*path || strchr(path, '/') || *path == '.') e = fail(c, ERR_CORRUPT, "modules.json: the path of Pooling is no plain name");
            else *pooling_out = arena_strdup(&c->mem, path);
            pools = true;
        } else if (!strcmp(name, "Normalize")) {
            k->normalised = true;
        } else {
            e = fail(c, ERR_CORRUPT, "modules.json: the step %.60s is not known here; Transformer, Pooling and Normalize are", name);
        }
    }
    json_decref(modules);
    return e;
}

static enum err pooling_named(struct call *c, const char *file, const char *name, enum card_pooling *out)
{
    if (!strcmp(name, "mean")) *out = CARD_MEAN;
    else if (!strcmp(name, "cls")) *out = CARD_FIRST;
    else return fail(c, ERR_CORRUPT, "%s: pooling is %.60s; only mean and cls are known here", file, name);
    return OK;
}

/* Exactly one of the ways has to be on; several are put side by side by their library, which no model of this form does. */
static enum err read_pooling(struct call *c, const char *folder, const char *path, struct card *k, bool *with_prompt)
{
    static const struct {
        const char *key, *name;
    } ways[] = {
        { "pooling_mode_mean_tokens", "mean" }, { "pooling_mode_cls_token", "cls" }, { "pooling_mode_max_tokens", "max" },
        { "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len" }, { "pooling_mode_weightedmean_tokens", "weightedmean" },
        { "pooling_mode_lasttoken", "lasttoken" },
    };
    json_t     *o = NULL;
    const char *file = arena_printf(&c->mem, "%s/config.json", path), *found = NULL;
    enum err    e = read_object(c, folder, file, &o);
    *with_prompt = true;
    if (e || !o) return e;
    *with_prompt = json_get_bool(o, "include_prompt", true);
    if (json_is_string(json_object_get(o, "pooling_mode"))) {
        e = pooling_named(c, file, json_get_text(o, "pooling_mode", ""), &k->pooling);
        json_decref(o);
        return e;
    }
    bool said = false;
    for (size_t i = 0; i < sizeof ways / sizeof *ways && !e; i++) {
        said |= json_object_get(o, ways[i].key) != NULL;
        if (!json_get_bool(o, ways[i].key, false)) continue;
        if (found) e = fail(c, ERR_CORRUPT, "%s: pooling is both %s and %s", file, found, ways[i].name);
        found = ways[i].name;
    }
    if (!e && found) e = pooling_named(c, file, found, &k->pooling);
    else if (!e && said) e = fail(c, ERR_CORRUPT, "%s: no pooling is on", file);
    json_decref(o);
    return e;
}

static enum err put_prefix(struct call *c, const char *file, const json_t *text, char *to)
{
    if (!text || json_is_null(text)) return OK;
    if (!json_is_string(text)) return fail(c, ERR_CORRUPT, "%s: a prefix is no text", file);
    if (json_string_length(text) >= CARD_PREFIX_BYTES)
        return fail(c, ERR_CORRUPT, "%s: a prefix has over %d bytes", file, CARD_PREFIX_BYTES - 1);
    memcpy(to, json_string_value(text), json_string_length(text) + 1);
    return OK;
}

static const json_t *first_of(const json_t *o, const char *const *names)
{
    for (; *names; names++)
        if (json_object_get(o, *names)) return json_object_get(o, *names);
    return NULL;
}

/* prompts: name → text; the default one goes before every text that has none of its own. */
static enum err read_prompts(struct call *c, const char *folder, struct card *k)
{
    static const char file[] = "config_sentence_transformers.json";
    static const char *const queries[] = { "query", "search_query", NULL };
    static const char *const passages[] = { "passage", "document", "corpus", "search_document", NULL };
    json_t  *o = NULL;
    enum err e = read_object(c, folder, file, &o);
    if (e || !o) return e;
    const json_t *prompts = json_object_get(o, "prompts");
    const char   *dflt = json_get_text(o, "default_prompt_name", NULL), *similarity = json_get_text(o, "similarity_fn_name", "cosine");
    if (prompts && !json_is_object(prompts) && !json_is_null(prompts)) e = fail(c, ERR_CORRUPT, "%s: prompts is no object", file);
    if (!e && !k->normalised && strcmp(similarity, "cosine"))
        e = fail(c, ERR_CORRUPT, "%s: vectors are compared by %.60s without being normalised; only the cosine is known here", file, similarity);
    if (!e && dflt && *dflt) {
        const json_t *text = json_object_get(prompts, dflt);
        if (!text) e = fail(c, ERR_CORRUPT, "%s: default_prompt_name is %.60s, which prompts does not have", file, dflt);
        for (int i = 0; i < ENCODER_KINDS && !e; i++) e = put_prefix(c, file, text, k->prefix[i]);
    }
    if (!e) e = put_prefix(c, file, first_of(prompts, queries), k->prefix[ENCODER_QUERY]);
    if (!e) e = put_prefix(c, file, first_of(prompts, passages), k->prefix[ENCODER_PASSAGE]);
    json_decref(o);
    return e;
}

/* A length that is not there, or too large to be meant, leaves *out as it is. */
static void read_length(const json_t *o, const char *name, int *out)
{
    double v = json_get_real(o, name, 0);
    if (v >= 2 && v < *out) *out = (int)v;
}

static enum err read_lengths_and_letters(struct call *c, const char *folder, struct card *k)
{
    json_t  *o = NULL;
    bool     said = false;
    enum err e = read_object(c, folder, "sentence_bert_config.json", &o);
    k->max_tokens = k->positions;
    k->lower_case = k->split_chinese = true;
    if (e) return e;
    read_length(o, "max_seq_length", &k->max_tokens);
    said = json_is_number(json_object_get(o, "max_seq_length"));
    bool lower_first = json_get_bool(o, "do_lower_case", false);
    json_decref(o);
    e = read_object(c, folder, "tokenizer_config.json", &o);
    if (e) return e;
    if (!said) read_length(o, "model_max_length", &k->max_tokens);
    k->letters_said = json_object_get(o, "do_lower_case") || lower_first;
    k->lower_case = json_get_bool(o, "do_lower_case", true) || lower_first;
    k->strip_accents = json_get_bool(o, "strip_accents", json_get_bool(o, "do_lower_case", true));
    k->split_chinese = json_get_bool(o, "tokenize_chinese_chars", true);
    json_decref(o);
    return OK;
}

static enum err read_own(struct call *c, const char *folder, struct card *k)
{
    static const char file[] = "chiron.json";
    json_t     *o = NULL, *value;
    const char *key;
    enum err    e = read_object(c, folder, file, &o);
    if (e) return e;
    json_object_foreach(o, key, value) {
        if (!strcmp(key, "query_prefix")) e = put_prefix(c, file, value, k->prefix[ENCODER_QUERY]);
        else if (!strcmp(key, "passage_prefix")) e = put_prefix(c, file, value, k->prefix[ENCODER_PASSAGE]);
        else if (!strcmp(key, "pooling")) e = pooling_named(c, file, json_get_text(o, key, "no text"), &k->pooling);
        else if (!strcmp(key, "max_tokens")) {
            double v = json_get_real(o, key, 0);
            if (v < 2 || v > k->positions) e = fail(c, ERR_CORRUPT, "%s: max_tokens is not 2 to %d", file, k->positions);
            else k->max_tokens = (int)v;
        } else {
            e = fail(c, ERR_CORRUPT, "%s: %.60s is not known; query_prefix, passage_prefix, pooling and max_tokens are", file, key);
        }
        if (e) break;
    }
    json_decref(o);
    return e;
}

enum err card_read(struct call *c, const char *folder, struct card *out)
{
    struct card k = { .pooling = CARD_MEAN };
    json_t     *config = NULL;
    const char *pooling = NULL;
    bool        with_prompt = true;
    enum err    e = read_json(c, folder, "config.json", &config);
    if (!e && !json_is_object(config)) e = fail(c, ERR_CORRUPT, "%s/config.json: no object", folder);
    if (!e) e = read_config(c, config, &k);
    json_decref(config);
    if (!e) e = read_modules(c, folder, &k, &pooling);
    if (!e) e = read_pooling(c, folder, pooling, &k, &with_prompt);
    if (!e) e = read_prompts(c, folder, &k);
    if (!e) e = read_lengths_and_letters(c, folder, &k);
    if (!e) e = read_own(c, folder, &k);
    if (e) return e;
    for (int i = 0; i < ENCODER_KINDS; i++)
        if (!with_prompt && k.pooling == CARD_MEAN && *k.prefix[i])
            return fail(c, ERR_CORRUPT, "%s/config.json: include_prompt is false, and a mean without the prefix's tokens is not known here", pooling);
    *out = k;
    return OK;
}

const char *card_pooling_name(enum card_pooling p) { return p == CARD_FIRST ? "cls" : "mean"; }

/* The installed model and rows of JSON lines, for the encoder's tests. Set-up installs the model, so its absence fails. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_ENCODER_MODEL_H
#define CHIRON_TEST_ENCODER_MODEL_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef fail
#include "base/conf.h"
#include "base/json.h"
#include "encoder/encoder.h"

enum { ROWS_MAX = 512, DIM = 384, MODEL_TOKENS = 256 };   /* the last: what its folder says */

struct row {
    const char *text;
    size_t      len;
    int32_t     ids[MODEL_TOKENS];
    int         count;
    float       embedding[DIM];    /* zero when the row has none */
};

static inline const char *model_folder(void)
{
    static char path[1024];
    const char *models = getenv("CHIRON_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (models && *models) snprintf(path, sizeof path, "%s/all-MiniLM-L6-v2", models);
    else if (cache && *cache) snprintf(path, sizeof path, "%s/chiron/models/all-MiniLM-L6-v2", cache);
    else snprintf(path, sizeof path, "%s/.cache/chiron/models/all-MiniLM-L6-v2", home ? home : "");
    return path;
}

static inline void model_settings(struct call *c, const char *threads)
{
    static const struct setting *const tables[] = { encoder_settings, NULL };
    conf_set("ENCODER_THREADS", threads);
    assert_int_equal(conf_load(c, tables, "/dev/null"), OK);
}

static inline struct encoder *model_load(struct call *c, enum encoder_precision p)
{
    struct encoder *e = NULL;
    enum err        r = encoder_load(c, model_folder(), p, &e);
    if (r) print_error("%s\n", c->err_text);
    assert_int_equal(r, OK);
    return e;
}

/* Rows of a JSONL file into rows[ROWS_MAX]; 0 when the file is not there. Texts live in *keep: json_decref. */
static inline int read_rows(const char *path, struct row *rows, json_t **keep)
{
    FILE  *f = fopen(path, "r");
    char  *line = NULL;
    size_t cap = 0;
    int    n = 0;
    *keep = json_array();
    while (f && n < ROWS_MAX && getline(&line, &cap, f) > 0) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL), *text = json_object_get(o, "text"), *ids = json_object_get(o, "ids");
        assert_non_null(text);
        json_array_append_new(*keep, o);
        struct row *r = &rows[n++];
        memset(r, 0, sizeof *r);
        r->text = json_string_value(text);
        r->len = json_string_length(text);
        r->count = (int)json_array_size(ids);
        assert_in_range(r->count, 2, MODEL_TOKENS);
        for (int i = 0; i < r->count; i++) r->ids[i] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
        json_t *v = json_object_get(o, "embedding");
        for (size_t i = 0; i < json_array_size(v); i++) r->embedding[i] = (float)json_number_value(json_array_get(v, i));
    }
    free(line);
    if (f) fclose(f);
    return n;
}

static inline const char *shared_reference(void)
{
    static char path[1024];
    const char *shared = getenv("CHIRON_SHARED");
    snprintf(path, sizeof path, "%s/reference/minilm.jsonl", shared && *shared ? shared : "../shared");
    return path;
}

static inline double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIM; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / __builtin_sqrt(aa * bb);
}
#endif

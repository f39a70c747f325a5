/* knowledge/search_preset.c — the searches that the specified systems name, each as one row: how many are found, by what they are
 * filtered, what looks at them again and how many are left. A surface asks for its row by name and adds only what comes
 * with the request. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "knowledge/knowledge.h"
#include "models/cohere.h"

static const struct search_preset presets[] = {
    /* FIT-080: the five nearest of the user's level; Cohere's three best of them when there is a key. */
    { .name = "fit", .mode = SEARCH_SEMANTIC, .k = 5, .top = 3, .filter_field = "user_level", .rerank_by = RERANK_COHERE,
      .model_setting = "FIT_COHERE_RERANK_MODEL", .model = "rerank-english-v2.0" },
};

const struct search_preset *search_preset(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, name)) return &presets[i];
    return NULL;
}

/* The surface's own name of a setting, the plain one, the surface's default. */
static const char *model_of(const struct search_preset *p)
{
    const char *own = conf_text(p->model_setting), *plain = conf_text("COHERE_RERANK_MODEL");
    return own && *own ? own : plain && *plain ? plain : p->model;
}

enum err search_by_preset(struct call *c, const struct search_preset *p, const char *text, const char *filter_value,
                          struct passage **out, int *n_out, struct search_info *info)
{
    json_t *filter = filter_value ? json_pack("{s:s}", p->filter_field, filter_value) : NULL;
    if (filter_value && !filter) return fail_field(c, p->filter_field, "it is no UTF-8 text");
    const struct search_opts o = {
        .mode = p->mode, .k = p->k, .top = p->top, .filter = filter, .rerank = cohere_configured() ? SEARCH_RERANK_ON : SEARCH_RERANK_OFF,
        .rerank_depth = p->k, .rerank_by = p->rerank_by, .rerank_model = model_of(p),
    };
    enum err e = search_text(c, text, &o, out, n_out, info);
    json_decref(filter);
    return e;
}

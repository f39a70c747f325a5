/* coaching/coach.c — the persona that speaks. A creator always has one: the first question must not fail because nobody
 * has described the coach yet. Its texts go into prompts, so their sizes are bounded here and nowhere else. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/id.h"
#include "coaching/coaching.h"
#include "coaching/coaching_store.h"

#define COACH_ID         "coach"
#define COACH_NAME_BYTES 120
#define COACH_TEXT_BYTES 4000

enum err coach_get(struct call *c, const char *id_or_null, struct coach *out)
{
    bool found = false;
    enum err e = coach_load(c, id_or_null, out, &found);
    if (e || found) return e;
    if (id_or_null && strcmp(id_or_null, COACH_ID) != 0) return fail(c, ERR_NOT_FOUND, "no coach %.64s", id_or_null);
    const struct coach made = { .id = COACH_ID, .name = "Coach", .description = "", .language = "en", .expertise = "",
                                .method = "", .style = "" };
    e = coach_save(c, &made, true);
    if (!e) e = coach_load(c, id_or_null, out, &found);
    if (!e && !found) e = fail(c, ERR_INTERNAL, "the coach could not be made");
    return e;
}

static enum err fits(struct call *c, const char *field, const char *text, size_t max)
{
    if (text && strlen(text) > max) return fail_field(c, field, "%s is longer than %zu bytes", field, max);
    return OK;
}

enum err coach_put(struct call *c, const struct coach *coach)
{
    struct coach k = *coach;
    if (!k.id) k.id = COACH_ID;
    if (!id_valid(k.id)) return fail_field(c, "id", "not a valid id");
    if (!k.name || !k.name[strspn(k.name, " \t\r\n")]) return fail_field(c, "name", "a coach needs a name");
    enum err e = fits(c, "name", k.name, COACH_NAME_BYTES);
    if (!e) e = fits(c, "description", k.description, COACH_TEXT_BYTES);
    if (!e) e = fits(c, "language", k.language, 16);
    if (!e) e = fits(c, "expertise", k.expertise, COACH_TEXT_BYTES);
    if (!e) e = fits(c, "method", k.method, COACH_TEXT_BYTES);
    if (!e) e = fits(c, "style", k.style, COACH_TEXT_BYTES);
    if (e) return e;
    if (!k.description) k.description = "";
    if (!k.language || !*k.language) k.language = "en";
    if (!k.expertise) k.expertise = "";
    if (!k.method) k.method = "";
    if (!k.style) k.style = "";
    return coach_save(c, &k, false);
}

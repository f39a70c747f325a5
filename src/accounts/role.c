/* What a role may do. The built-in roles are in the program, so that no row of a database can take the owner's rights away or
 * give a user more; a creator's own role may not take a built-in name. RIGHT_OWN is never in a role but the owner's. */
/* SPDX-License-Identifier: MIT */
#include "accounts/role.h"

#include <string.h>

#include "accounts/role_store.h"
#include "base/json.h"

enum {
    OWNER = RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_WRITE | RIGHT_ADMIN | RIGHT_ACT_AS | RIGHT_SELF | RIGHT_USERS | RIGHT_MEMBERS |
            RIGHT_KEYS | RIGHT_AUDIT | RIGHT_PRIVACY | RIGHT_LIMITS | RIGHT_OWN,
};

static const struct {
    const char *name;
    unsigned    rights;
} built_in[] = {
    { "owner", OWNER },
    { "admin", OWNER & ~RIGHT_OWN },
    { "editor", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_WRITE | RIGHT_SELF },
    { "analyst", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_AUDIT | RIGHT_SELF },
    { "service", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_WRITE | RIGHT_ACT_AS | RIGHT_USERS },
    { "user", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF },
    { "visitor", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF },
};
enum { BUILT_IN = sizeof built_in / sizeof *built_in };

const char *role_built_in_name(int i)
{
    return i >= 0 && i < BUILT_IN ? built_in[i].name : NULL;
}

unsigned role_built_in(const char *name)
{
    for (int i = 0; i < BUILT_IN; i++)
        if (!strcmp(built_in[i].name, name)) return built_in[i].rights;
    return 0;
}

unsigned role_words(struct call *c, const char *text)
{
    json_t  *words = NULL;
    unsigned rights = 0;
    size_t   i;
    json_t  *word;
    if (!text || json_parse(c, text, strlen(text), &words)) {
        if (text) call_forgive(c);
        return 0;
    }
    json_array_foreach(words, i, word)
        if (json_is_string(word)) rights |= right_of(json_string_value(word));
    json_decref(words);
    return rights;
}

enum err role_rights(struct call *c, const char *creator_id, const char *role, unsigned *out)
{
    unsigned    rights = role_built_in(role);
    const char *words = NULL;
    if (!rights) {
        if (!creator_id || !*creator_id || !*role) return ERR_NOT_FOUND;
        enum err e = role_store_words(c, creator_id, role, &words);
        if (e) return e;
        if (!words) return ERR_NOT_FOUND;
        rights = RIGHT_PUBLIC | (role_words(c, words) & ~(unsigned)RIGHT_OWN);
    }
    *out = rights;
    return OK;
}

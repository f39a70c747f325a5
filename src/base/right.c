/* The one table of rights' words, in the order of their bits. It lies below the listener, which describes routes by them, and
 * below accounts, which keeps them in roles and keys. A word that was ever stored is never given another meaning. */
/* SPDX-License-Identifier: MIT */
#include "base/right.h"

#include <stddef.h>
#include <string.h>

#include "base/call.h"
#include "base/json.h"

static const struct {
    unsigned    bit;
    const char *word, *about;
} words[] = {
    { RIGHT_PUBLIC, "public", "what needs no credential" },
    { RIGHT_ASK, "ask", "ask the coach, search, read own things" },
    { RIGHT_READ, "documents:read", "read the documents, jobs and everybody's turns" },
    { RIGHT_WRITE, "documents:write", "add, change and delete documents" },
    { RIGHT_ADMIN, "settings:write", "change the coach and the settings" },
    { RIGHT_ACT_AS, "users:act_as", "speak for any user" },
    { RIGHT_SELF, "self", "own account, sessions, export and erasure" },
    { RIGHT_USERS, "users:write", "list and change users, sign them in" },
    { RIGHT_MEMBERS, "members:write", "members, invitations and roles" },
    { RIGHT_KEYS, "keys:write", "API keys" },
    { RIGHT_AUDIT, "audit:read", "read the audit log" },
    { RIGHT_PRIVACY, "privacy:write", "export and erase others, retention" },
    { RIGHT_LIMITS, "limits:write", "see and set limits" },
    { RIGHT_OWN, "creator:own", "erase or hand over everything" },
};
enum { WORDS = sizeof words / sizeof *words };

const char *right_word(unsigned bit)
{
    for (int i = 0; i < WORDS; i++)
        if (words[i].bit == bit) return words[i].word;
    return NULL;
}

const char *right_about(unsigned bit)
{
    for (int i = 0; i < WORDS; i++)
        if (words[i].bit == bit) return words[i].about;
    return NULL;
}

unsigned right_of(const char *word)
{
    for (int i = 0; i < WORDS; i++)
        if (!strcmp(words[i].word, word)) return words[i].bit;
    return 0;
}

void rights_put(struct json_out *j, const char *name, unsigned rights)
{
    json_begin_array(j, name);
    for (int i = 0; i < WORDS; i++)
        if (rights & words[i].bit & ~(unsigned)RIGHT_PUBLIC) json_put_text(j, NULL, words[i].word);
    json_end(j);
}

/* Where a sign-in came from. An address is a person's data: only its network is kept, enough to tell home from a stranger's
 * country. Of the browser only its kind: whole User-Agent strings tell people apart. */
/* SPDX-License-Identifier: MIT */
#include "accounts/agent.h"

#include <arpa/inet.h>
#include <string.h>

enum { KIND_MAX = 60 };

struct named {
    const char *mark, *name;
};

/* Order matters: Edge and Opera also say Chrome, Chrome also says Safari. */
static const struct named browsers[] = {
    { "Edg", "Edge" },         { "OPR/", "Opera" },       { "Vivaldi", "Vivaldi" },   { "SamsungBrowser", "Samsung Internet" },
    { "Firefox/", "Firefox" }, { "FxiOS", "Firefox" },    { "CriOS", "Chrome" },      { "Chrome/", "Chrome" },
    { "Safari/", "Safari" },   { "curl/", "curl" },       { "Wget", "Wget" },         { "python", "Python" },
    { "Python", "Python" },    { "Go-http", "Go" },       { "node", "Node" },         { "okhttp", "Android app" },
    { "CFNetwork", "iOS app" },{ "PostmanRuntime", "Postman" },
};
static const struct named systems[] = {
    { "Windows", "Windows" }, { "iPhone", "iPhone" },   { "iPad", "iPad" },   { "Android", "Android" },
    { "CrOS", "ChromeOS" },   { "Mac OS X", "macOS" },  { "Linux", "Linux" },
};

static const char *find(const struct named *list, size_t n, const char *in)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(in, list[i].mark)) return list[i].name;
    return NULL;
}

const char *agent_kind(struct call *c, const char *user_agent)
{
    if (!user_agent || !*user_agent) return "";
    const char *browser = find(browsers, sizeof browsers / sizeof *browsers, user_agent);
    const char *system = find(systems, sizeof systems / sizeof *systems, user_agent);
    if (browser && system) return arena_printf(&c->mem, "%s on %s", browser, system);
    if (browser || system) return browser ? browser : system;
    /* Its first word, if it is one that can be shown anywhere. */
    size_t n = strcspn(user_agent, "/ \t(;");
    for (size_t i = 0; i < n; i++)
        if (user_agent[i] < 0x21 || user_agent[i] > 0x7e) return "unknown";
    if (!n) return "unknown";
    return arena_printf(&c->mem, "%.*s", (int)(n < KIND_MAX ? n : KIND_MAX), user_agent);
}

const char *agent_network(struct call *c, const char *address)
{
    unsigned char   raw[16];
    char            text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, address, raw) == 1) {
        raw[3] = 0;
        inet_ntop(AF_INET, raw, text, sizeof text);
        return arena_printf(&c->mem, "%s/24", text);
    }
    if (inet_pton(AF_INET6, address, raw) != 1) return "";
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (!memcmp(raw, mapped, sizeof mapped)) return arena_printf(&c->mem, "%d.%d.%d.0/24", raw[12], raw[13], raw[14]);
    memset(raw + 6, 0, 10);
    inet_ntop(AF_INET6, raw, text, sizeof text);
    return arena_printf(&c->mem, "%s/48", text);
}

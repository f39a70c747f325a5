/* One creator in a store of its own for every test of a file that searches, and the settings around all of them. Included
 * after cmocka.h; `c` and `dir` are the file's. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_KNOWLEDGE_INSTANCE_H
#define CHIRON_TEST_KNOWLEDGE_INSTANCE_H
#include "../store/folder.h"
#include "base/conf.h"
#include "knowledge/knowledge.h"
#include "store/store.h"
#include "verbs.h"

static char        dir[64];
static struct call c;

static inline int open_settings(void **s)
{
    (void)s;
    call_init(&c);
    conf_set("LLM_CHAIN", "extractive");
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    return 0;
}

static inline int close_settings(void **s)
{
    (void)s;
    conf_free();
    call_dispose(&c);
    return 0;
}

static int setup(void **s)
{
    (void)s;
    bool created;
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, knowledge_open(&c));
    assert_ok(&c, tenant_create(&c, "t", "t", &created));
    assert_ok(&c, tenant_open(&c, "t"));
    c.span_count = 0;
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    c.deadline_ms = 0;
    c.user_id[0] = 0;
    tenant_release(&c);
    knowledge_close();
    store_close();
    folder_remove(dir);
    arena_reset(&c.mem);
    return 0;
}
#endif

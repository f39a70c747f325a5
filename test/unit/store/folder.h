/* A data folder for one test, gone afterwards; and the words of an error when something failed. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_FOLDER_H
#define CHIRON_TEST_FOLDER_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#undef fail /* cmocka's; ours is a function */
#include "base/call.h"

#define assert_ok(c, expression)                                                                                       \
    do {                                                                                                               \
        enum err got_ = (expression);                                                                                  \
        if (got_) {                                                                                                    \
            print_error("%s: %s: %s\n", #expression, err_word(got_), (c)->err_text);                                   \
            _fail(__FILE__, __LINE__);                                                                                 \
        }                                                                                                              \
    } while (0)

static inline int folder_remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static inline char *folder_new_on_disk(char path[64])
{
    snprintf(path, 64, "/tmp/chiron-store-XXXXXX");
    if (!mkdtemp(path)) abort();
    return path;
}

/* In memory where there is such a place: a test that is not about the disk need not wait for it. */
static inline char *folder_new(char path[64])
{
    snprintf(path, 64, "/dev/shm/chiron-store-XXXXXX");
    return mkdtemp(path) ? path : folder_new_on_disk(path);
}

static inline void folder_remove(const char *path)
{
    nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
#endif

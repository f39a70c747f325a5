/* base/conf.h — settings: flag, environment, .env file, default, in this order. Names are case-insensitive.
 * NAME_FILE gives a secret from a file. Domains declare theirs as rows; tables.c lists the rows; loaded once at start,
 * read-only afterwards, so any thread may read.
 *     const struct setting encoder_settings[] = {{ "ENCODER_PRECISION", "bf16", "f32 or bf16", 0 }, { 0 }};
 *     const char *p = conf_text("ENCODER_PRECISION");                                                 */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_CONF_H
#define CHIRON_BASE_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "base/call.h"

enum { SETTING_SECRET = 1, SETTING_INT = 2, SETTING_BOOL = 4 };
struct setting {
    const char *name;      /* upper case */
    const char *dflt;      /* NULL: unset */
    const char *help;      /* one line with unit and range */
    unsigned    flags;     /* SETTING_… */
    int64_t     min, max;  /* for SETTING_INT */
};

/* tables: NULL-ended list of row arrays, each ended by a zero row; kept by reference. env_file may be NULL (".env" if
 * it is there). ERR_INVALID names the setting and its range. */
MUST_CHECK enum err conf_load(struct call *c, const struct setting *const *tables, const char *env_file);
void        conf_set(const char *name, const char *value);  /* a flag: wins over all; before threads start */
const char *conf_text(const char *name);                    /* NULL when unset without default; unknown name aborts */
int64_t     conf_int(const char *name);
bool        conf_bool(const char *name);
const char *conf_source(const char *name);                  /* "flag", "environment", "file", "default" */
/* Calls f for every setting in table order; secrets come masked ("set", "unset"). */
void        conf_each(void (*f)(void *arg, const struct setting *s, const char *shown, const char *source), void *arg);
void        conf_free(void);
#endif

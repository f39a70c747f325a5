/* knowledge/embedder.c — a short list under one mutex. The default's entry is made when it is first asked for and again
 * when main has set another; the hash of its files is made only when a row's stamp does not settle it. Loading happens
 * under a second mutex, so that a search which needs no loading never waits for one. A folder that could not be loaded
 * is left alone for a while, because every search would try it again. It refuses to fetch a model. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/embedder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "encoder/encoder.h"
#include "encoder/modelprint.h"

enum { DIR_BYTES = 4096, NAME_BYTES = 128, FAILED_MS = 5000, IDLE_MS = 60000 };

struct embedder {
    struct embedder *next;
    struct encoder *enc;
    bool is_default;              /* enc belongs to main */
    int refs;
    int64_t used_ms;
    int dim;
    char name[NAME_BYTES], key[NAME_BYTES + 40], stamp[MODELPRINT_STAMP_BYTES], print[65];   /* print "": not made yet */
};
static struct {
    char name[NAME_BYTES], stamp[MODELPRINT_STAMP_BYTES];
    int64_t until_ms;
} failed;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, loading = PTHREAD_MUTEX_INITIALIZER;
static struct embedder *list;
static char dir[DIR_BYTES];

void embedders_open(const char *models_dir)
{
    snprintf(dir, sizeof dir, "%s", models_dir ? models_dir : "");
}

static bool folder_of(const char *name, char path[DIR_BYTES + NAME_BYTES])
{
    if (!*dir || !*name || *name == '.' || strchr(name, '/')) return false;
    snprintf(path, DIR_BYTES + NAME_BYTES, "%s/%s", dir, name);
    return true;
}

static struct embedder *entry_new(const char *name, struct encoder *enc, const char *stamp)
{
    struct embedder *e = calloc(1, sizeof *e);
    if (!e) abort();
    e->enc = enc;
    e->dim = encoder_dim(enc);
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->stamp, sizeof e->stamp, "%s", stamp);
    snprintf(e->key, sizeof e->key, "%s:%.16s", e->name, e->stamp);
    e->next = list;
    list = e;
    return e;
}

/* With the lock held. An entry of a default that main has replaced stays until nobody uses it. */
static struct embedder *default_entry(void)
{
    struct encoder *enc = encoder_default();
    char path[DIR_BYTES + NAME_BYTES], stamp[MODELPRINT_STAMP_BYTES] = "";
    if (!enc) return NULL;
    for (struct embedder *e = list; e; e = e->next)
        if (e->is_default && e->enc == enc && !strcmp(e->name, encoder_name(enc))) return e;
    if (folder_of(encoder_name(enc), path) && !modelprint_stamp(path, stamp)) stamp[0] = 0;
    struct embedder *e = entry_new(encoder_name(enc), enc, stamp);
    e->is_default = true;
    return e;
}

/* The hash of the default's files, "" when it cannot be had. Made outside the lock: it takes a while. */
static void know_print(struct embedder *e, char print[65])
{
    char path[DIR_BYTES + NAME_BYTES];
    pthread_mutex_lock(&loading);
    pthread_mutex_lock(&lock);
    snprintf(print, 65, "%s", e->print);
    pthread_mutex_unlock(&lock);
    if (!*print && *e->stamp && folder_of(e->name, path) && modelprint_of(path, print)) {
        pthread_mutex_lock(&lock);
        memcpy(e->print, print, sizeof e->print);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_unlock(&loading);
}

static bool is_same(const struct model_row *m, struct embedder *e)
{
    char print[65];
    if (m->remote || strcmp(m->name, e->name) != 0 || m->dim != e->dim) return false;
    if (!*m->print || !*e->stamp) return true;
    if (!strcmp(m->stamp, e->stamp)) {
        pthread_mutex_lock(&lock);
        if (!*e->print) snprintf(e->print, sizeof e->print, "%s", m->print);
        pthread_mutex_unlock(&lock);
        return true;
    }
    know_print(e, print);
    return !*print || !strcmp(print, m->print);
}

struct embedder *embedder_take_default(void)
{
    pthread_mutex_lock(&lock);
    struct embedder *e = default_entry();
    if (e) e->refs++;
    pthread_mutex_unlock(&lock);
    return e;
}

bool embedder_is_default(const struct model_row *m)
{
    struct embedder *e = embedder_take_default();
    bool same = e && m->label && is_same(m, e);
    embedder_give(e);
    return same;
}

bool embedder_default(struct call *c, struct model_row *out)
{
    char print[65];
    struct embedder *e = embedder_take_default();
    if (!e) return false;
    know_print(e, print);
    *out = (struct model_row){ .name = arena_strdup(&c->mem, e->name), .print = arena_strdup(&c->mem, print),
                               .stamp = arena_strdup(&c->mem, e->stamp), .dim = e->dim };
    embedder_give(e);
    return true;
}

/* ---- others than the default ---- */

static struct embedder *take_loaded(const struct model_row *m, const char *stamp)
{
    pthread_mutex_lock(&lock);
    struct embedder *e = list;
    while (e && (e->is_default || strcmp(e->name, m->name) || e->dim != m->dim || (*stamp && strcmp(e->stamp, stamp)) ||
                 (*m->print && strcmp(e->print, m->print))))
        e = e->next;
    if (e) e->refs++;
    pthread_mutex_unlock(&lock);
    return e;
}

static enum err load(struct call *c, const struct model_row *m, const char *path, const char *stamp, struct embedder **out)
{
    char print[65];
    struct encoder *enc = NULL;
    if (!modelprint_of(path, print)) return fail(c, ERR_NOT_FOUND, "the model %s cannot be read", m->name);
    if (*m->print && strcmp(print, m->print)) return fail(c, ERR_NOT_FOUND, "%s holds another model now", path);
    enum encoder_precision form = ENCODER_AUTO;
    enum err e = encoder_precision_parse(c, conf_text("ENCODER_PRECISION"), &form);
    if (!e) e = encoder_load(c, path, form, &enc);
    if (e) return e;
    if (encoder_dim(enc) != m->dim) {
        encoder_free(enc);
        return fail(c, ERR_NOT_FOUND, "%s holds another model now", path);
    }
    pthread_mutex_lock(&lock);
    struct embedder *made = entry_new(m->name, enc, stamp);
    memcpy(made->print, print, sizeof print);
    made->refs = 1;
    pthread_mutex_unlock(&lock);
    log_info(c, "a second embedding model was loaded", "model", m->name, NULL);
    *out = made;
    return OK;
}

enum err embedder_take(struct call *c, const struct model_row *m, struct embedder **out)
{
    char path[DIR_BYTES + NAME_BYTES], stamp[MODELPRINT_STAMP_BYTES];
    struct embedder *e = embedder_take_default();
    if (e && is_same(m, e)) {
        *out = e;
        return OK;
    }
    embedder_give(e);
    if (m->remote || !folder_of(m->name, path) || !modelprint_stamp(path, stamp))
        return fail(c, ERR_NOT_FOUND, "the model %s is not here", m->name);
    e = take_loaded(m, stamp);
    enum err err = OK;
    if (!e) {
        pthread_mutex_lock(&loading);
        e = take_loaded(m, stamp);
        bool recent = !strcmp(failed.name, m->name) && !strcmp(failed.stamp, stamp) && clock_mono_ms() < failed.until_ms;
        if (!e) err = recent ? fail(c, ERR_NOT_FOUND, "the model %s could not be loaded", m->name) : load(c, m, path, stamp, &e);
        if (err && !recent) {
            snprintf(failed.name, sizeof failed.name, "%s", m->name);
            memcpy(failed.stamp, stamp, sizeof failed.stamp);
            failed.until_ms = clock_mono_ms() + FAILED_MS;
        }
        pthread_mutex_unlock(&loading);
    }
    if (!err) *out = e;
    return err;
}

void embedder_give(struct embedder *e)
{
    if (!e) return;
    pthread_mutex_lock(&lock);
    e->refs--;
    e->used_ms = clock_mono_ms();
    pthread_mutex_unlock(&lock);
}

struct encoder *embedder_encoder(const struct embedder *e)
{
    return e->enc;
}

const char *embedder_name(const struct embedder *e)
{
    return e->name;
}

const char *embedder_key(const struct embedder *e)
{
    return e->key;
}

void embedders_trim(void)
{
    int64_t before = clock_mono_ms() - IDLE_MS;
    pthread_mutex_lock(&lock);
    for (struct embedder **at = &list; *at;) {
        struct embedder *e = *at;
        if (e->refs || (e->is_default && e->enc == encoder_default()) || e->used_ms > before) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        if (!e->is_default) encoder_free(e->enc);
        free(e);
    }
    pthread_mutex_unlock(&lock);
}

void embedders_close(void)
{
    pthread_mutex_lock(&lock);
    for (struct embedder **at = &list; *at;) {
        struct embedder *e = *at;
        *at = e->next;
        if (!e->is_default) encoder_free(e->enc);
        free(e);
    }
    pthread_mutex_unlock(&lock);
    failed.name[0] = 0;
    dir[0] = 0;
}

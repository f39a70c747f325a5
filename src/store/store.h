/* store/store.h — the door of the store: opening, tenants, migrations, backup, key-value, and what may be named by
 * rules without SQL. SQL itself goes through store/db.h, which only *_store.c files include.
 *     e = store_open(&c, "/var/lib/chiron");
 *     e = tenant_open(&c, "demo");                    // sets c.tenant and c.creator_id
 *     …  tenant_release(&c);                                                                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_STORE_H
#define CHIRON_STORE_STORE_H
#include "base/call.h"
#include "base/conf.h"

struct db;
struct tenant;

extern const struct setting store_settings[];

/* Open (and create, 0700) the data folder, migrate accounts.db. Once per process. ERR_CONFLICT: the schema is newer
 * than this binary (words say both numbers). Several processes may open one folder (the server and a CLI verb). */
MUST_CHECK enum err store_open(struct call *c, const char *data_dir);
void        store_close(void);
const char *store_dir(void);                               /* absolute path of the data folder */
struct db  *store_accounts(void);                          /* accounts.db */

/* The creator's database, opened and migrated when needed, kept open for the next (at most LIMIT_OPEN_TENANTS,
 * least recently used and unused goes first). ERR_NOT_FOUND: no such creator. Sets c->tenant, c->creator_id. */
MUST_CHECK enum err tenant_open(struct call *c, const char *creator_id);
/* Closes creators that nobody has used for at least idle_ms; the next use opens them again. */
void        tenants_close_idle(int64_t idle_ms);
void        tenant_release(struct call *c);                /* NULL tenant allowed */
struct db  *tenant_db(struct tenant *t);
const char *tenant_id(struct tenant *t);
const char *tenant_dir(struct tenant *t);                  /* the creator's own folder for files; exists */
MUST_CHECK enum err tenant_create(struct call *c, const char *creator_id, const char *name, bool *created_out); /* idempotent */
/* The same, with more rows of accounts.db in the transaction that makes it exist: also is called only when the creator is new, and
 * its error leaves neither. For *_store.c. */
struct conn;
typedef enum err (*tenant_also_fn)(struct call *c, struct conn *w, void *arg);
MUST_CHECK enum err tenant_create_with(struct call *c, const char *creator_id, const char *name, tenant_also_fn also, void *arg,
                                       bool *created_out);
/* The creator's row with all that hangs on it, its database and its files. c->tenant must not be this creator. Who has it open is
 * awaited; from now on it is not found. Again after a crash is allowed; ERR_NOT_FOUND: no such creator; ERR_BUSY: it is in use
 * for too long, and stays closed to others only while this waits. in: within the transaction that removes the row, may be NULL. */
MUST_CHECK enum err tenant_remove(struct call *c, const char *creator_id, tenant_also_fn in, void *arg);
/* Ids of all creators, sorted, in c->mem. */
MUST_CHECK enum err tenant_list(struct call *c, const char ***ids_out, int *n_out);

/* Everything (accounts, every creator, their files) as one archive (uncompressed POSIX tar: manifest.json with SHA-256
 * of each member, then databases as consistent snapshots taken while running, then files). Written beside `path` and renamed. */
MUST_CHECK enum err store_backup(struct call *c, const char *path);
/* Into an empty or missing data folder only. Verified against the manifest before anything is put in place. */
MUST_CHECK enum err store_restore(struct call *c, const char *path, const char *data_dir);
/* Integrity of every database; words of the first fault. For `chiron doctor`. */
MUST_CHECK enum err store_check(struct call *c, int *databases_out);
const char *store_state(void);                             /* "connected" or what is wrong; cheap, cached up to 1 s */

/* Key-value with time to live; in memory here, Redis later; same meaning. Values are bytes, at most 1 MiB.
 * Bounded by LIMIT_KV_ENTRIES and LIMIT_KV_BYTES: the least recently used goes first. Any thread. */
MUST_CHECK enum err kv_put(struct call *c, const char *key, const void *p, size_t n, int64_t ttl_ms);
MUST_CHECK enum err kv_get(struct call *c, const char *key, const void **p_out, size_t *n_out); /* in c->mem; ERR_NOT_FOUND has no words */
void kv_drop(const char *key);
int  kv_drop_named(const char *part);                      /* every key that part stands in, whole between colons or slashes */
MUST_CHECK enum err kv_add(struct call *c, const char *key, int64_t by, int64_t ttl_ms, int64_t *now_out); /* counter; ttl set when created */

/* Counters of limits: fixed windows that begin with the first count. Apart from the values above, so that those cannot push
 * them out; bounded by LIMIT_KV_COUNTERS a pool, the one furthest from its limit goes first. Any thread.
 *     struct kv_counter k[2] = { { .key = "limit:user:u1", .window_ms = 60000, .limit = 600 }, … };
 *     e = kv_count(c, KV_KNOWN, k, 2, &refused);              // refused < 0: both were counted              */
enum kv_pool { KV_KNOWN, KV_STRANGERS, KV_POOLS };
#define KV_COUNT_MAX 8
struct kv_counter {
    const char *key;
    int64_t     window_ms, limit;
    const char *level_key;       /* of kv_strike: its level halves the limit that many times; NULL: nothing does */
    bool        peek;            /* only looked at */
    int64_t     count;           /* out: with this one when it was counted */
    int64_t     allowed;         /* out: the limit that held, at least 1 */
    int64_t     left_ms;         /* out: of the window */
    int         level;           /* out */
};
/* All or nothing, as one step: when one of them has no room left, none is counted and *refused_out is its index, else -1. */
MUST_CHECK enum err kv_count(struct call *c, enum kv_pool pool, struct kv_counter *k, int n, int *refused_out);
struct kv_strike {
    const char *key;
    int64_t     window_ms, limit;   /* this many within the window raise the level by one */
    const char *level_key;
    int64_t     level_ms;           /* which falls to 0 this long after it was last raised */
    int         level_max;
};
MUST_CHECK enum err kv_strike(struct call *c, enum kv_pool pool, const struct kv_strike *s, int *level_out);
/* Living counters whose keys begin so, at most max, in no order; limit as last asked, keys in c->mem. Looks at every counter. */
MUST_CHECK enum err kv_counts(struct call *c, enum kv_pool pool, const char *prefix, struct kv_counter *out, int max, int *n_out);
void kv_sweep(void);                                       /* removes what has expired; called by the janitor */
const char *kv_state(void);                                /* "connected" */
#endif

/* The one row that counts changes of who may do what. Asked on use and not by a thread of its own: an idle process has nothing
 * to be told. One caller asks for all of them; the others go on with the number they have, which is no older than the
 * interval. When it cannot be read nobody is let in on what was remembered. */
/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "accounts/access_change.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { POLL_MS = 250 };

static _Atomic int64_t newest, asked_ms;   /* asked_ms 0: never */

void access_change_saw(int64_t seq)
{
    int64_t have = atomic_load(&newest);
    while (have < seq && !atomic_compare_exchange_weak(&newest, &have, seq)) {}
}

void access_change_forget(void)
{
    atomic_store(&newest, 0);
    atomic_store(&asked_ms, 0);
}

enum err access_change_seq(struct call *c, int64_t *out)
{
    int64_t now = clock_mono_ms(), before = atomic_load(&asked_ms);
    bool    first = atomic_load(&newest) == 0;
    if (first || ((!before || now - before >= POLL_MS) && atomic_compare_exchange_strong(&asked_ms, &before, now))) {
        struct conn *r = NULL;
        int64_t      seq = 0;
        enum err     e = db_read(c, store_accounts(), &r);
        if (!e) e = db_get_int(c, r, 1, &seq, "SELECT seq FROM access_change WHERE id = 1");
        db_release(&r);
        if (e) {
            atomic_store(&asked_ms, 0);
            return e;
        }
        access_change_saw(seq);
    }
    *out = atomic_load(&newest);
    return OK;
}

enum err access_change_in(struct call *c, struct conn *w, int64_t *seq_out)
{
    int64_t  seq = 0;
    enum err e = db_run(c, w, "UPDATE access_change SET seq = seq + 1 WHERE id = 1");
    if (!e) e = db_get_int(c, w, 0, &seq, "SELECT seq FROM access_change WHERE id = 1");
    if (!e) *seq_out = seq;
    return e;
}

enum err access_changed(struct call *c)
{
    struct conn *w = NULL;
    int64_t      seq = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = access_change_in(c, w, &seq);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    access_change_saw(seq);
    return OK;
}

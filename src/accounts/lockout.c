/* Guessing made slow. The claim comes before the password is looked at and takes its punishment in advance where one is due, so that
 * a hundred tries at one moment are not one; who was right takes it back. What is closed is answered from one read, before any
 * hash and without a write: ten thousand wrong passwords cost little and change nothing for others.
 * It refuses the right password too while closed: else a guesser would learn from the answer that it was right. */
/* SPDX-License-Identifier: MIT */
#include "accounts/lockout.h"

#include <stdatomic.h>
#include <string.h>

#include "accounts/limit_policy.h"
#include "accounts/lockout_store.h"
#include "accounts/token.h"
#include "base/clock.h"

#define SWEEP_MS (60 * 1000)

static int64_t punishment(int64_t tries, int tries_max)
{
    int64_t ms = LOCKOUT_FIRST_MS;
    for (int64_t i = tries_max; i < tries && ms < LOCKOUT_MOST_MS; i++) ms *= 2;
    return ms < LOCKOUT_MOST_MS ? ms : LOCKOUT_MOST_MS;
}

/* Few tries are forgotten after the window; who was closed out is remembered an hour longer, or waiting would be a way around. */
static bool forgotten(const struct lockout_row *r, int tries_max, int64_t now)
{
    if (r->closed_until_ms > now) return false;
    if (r->tries < tries_max) return now - r->updated_ms > LOCKOUT_WINDOW_MS;
    int64_t last = r->closed_until_ms > r->updated_ms ? r->closed_until_ms : r->updated_ms;
    return now - last > LOCKOUT_MOST_MS;
}

int64_t lockout_count(struct lockout_row *r, int tries_max, int64_t now)
{
    if (forgotten(r, tries_max, now)) *r = (struct lockout_row){ 0 };
    if (r->closed_until_ms > now) return r->closed_until_ms - now;
    if (r->tries >= tries_max) {
        /* All the tries there are, none of them answered yet. */
        if (r->closed_until_ms == 0 && now - r->updated_ms < LOCKOUT_PENDING_MS) return 1000;
        r->closed_until_ms = now + punishment(r->tries + 1, tries_max);
    }
    r->tries++;
    r->updated_ms = now;
    return 0;
}

bool lockout_fail(struct lockout_row *r, int tries_max, int64_t now)
{
    if (r->tries >= tries_max && r->closed_until_ms <= now) r->closed_until_ms = now + punishment(r->tries, tries_max);
    r->updated_ms = now;
    return r->closed_until_ms > now;
}

void lockout_undo(struct lockout_row *r, int tries_max, int64_t now)
{
    if (r->tries > 0) r->tries--;
    /* Not 0: that would be a row of tries that are all still being looked at. */
    r->closed_until_ms = r->tries >= tries_max ? now : 0;
}

struct decision {
    int64_t now, wait;
    bool    closed;
};

static bool decide_claim(void *arg, struct lockout_row *name, struct lockout_row *address)
{
    struct decision   *d = arg;
    struct lockout_row was = *name;
    d->wait = lockout_count(name, LOCKOUT_NAME_TRIES, d->now);
    int64_t other = lockout_count(address, LOCKOUT_ADDRESS_TRIES, d->now);
    if (other) *name = was;
    if (other > d->wait) d->wait = other;
    return d->wait == 0;
}

static bool decide_right(void *arg, struct lockout_row *name, struct lockout_row *address)
{
    struct decision *d = arg;
    *name = (struct lockout_row){ 0 };
    /* Only this one is taken back: an account of one's own must not wash an address clean. */
    lockout_undo(address, LOCKOUT_ADDRESS_TRIES, d->now);
    return true;
}

static bool decide_wrong(void *arg, struct lockout_row *name, struct lockout_row *address)
{
    struct decision *d = arg;
    d->closed = lockout_fail(name, LOCKOUT_NAME_TRIES, d->now);
    (void)lockout_fail(address, LOCKOUT_ADDRESS_TRIES, d->now);
    return true;
}

static bool decide_undecided(void *arg, struct lockout_row *name, struct lockout_row *address)
{
    struct decision *d = arg;
    lockout_undo(name, LOCKOUT_NAME_TRIES, d->now);
    lockout_undo(address, LOCKOUT_ADDRESS_TRIES, d->now);
    return true;
}

static void sweep_at_times(struct call *c, int64_t now)
{
    static _Atomic int64_t last;
    int64_t was = atomic_load(&last);
    if (now - was < SWEEP_MS || !atomic_compare_exchange_strong(&last, &was, now)) return;
    if (lockout_sweep(c, now)) call_forgive(c);
}

enum err lockout_claim(struct call *c, const char *name, struct lockout *out)
{
    struct lockout     l = { .name_key = token_derive(c, "chiron sign-in name", name) };
    struct lockout_row n, a;
    struct decision    d = { .now = clock_unix_ms() };
    char               network[64];
    if (c->remote[0] && limit_network(c->remote, network)) l.address_key = token_derive(c, "chiron sign-in address", network);
    enum err e = lockout_rows_read(c, &l, &n, &a);
    if (e) return e;
    sweep_at_times(c, d.now);
    if (decide_claim(&d, &n, &a)) e = lockout_rows_change(c, &l, decide_claim, &d);
    if (!e && d.wait) {
        c->retry_after_s = (int)((d.wait + 999) / 1000);
        e = fail(c, ERR_RATE_LIMITED, "too many wrong tries; try again in %d s", c->retry_after_s);
    }
    if (!e) *out = l;
    return e;
}

enum err lockout_right(struct call *c, const struct lockout *l)
{
    struct decision d = { .now = clock_unix_ms() };
    return lockout_rows_change(c, l, decide_right, &d);
}

enum err lockout_wrong(struct call *c, const struct lockout *l, bool *closed_out)
{
    struct decision d = { .now = clock_unix_ms() };
    enum err        e = lockout_rows_change(c, l, decide_wrong, &d);
    if (!e) *closed_out = d.closed;
    return e;
}

enum err lockout_undecided(struct call *c, const struct lockout *l)
{
    struct decision d = { .now = clock_unix_ms() };
    return lockout_rows_change(c, l, decide_undecided, &d);
}

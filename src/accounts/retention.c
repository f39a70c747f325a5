/* The rules of age. A day's work for a creator is one job in its own queue; what is removed there is only what has an age of its
 * own. Visitors whom nobody has seen for long are erased as people are, with everything of theirs, and without a mark:
 * nobody was promised anything. It refuses to shorten the log below what can be asked for in a year. */
/* SPDX-License-Identifier: MIT */
#include "accounts/retention.h"

#include <stdlib.h>
#include <string.h>

#include "accounts/audit.h"
#include "accounts/creator_settings.h"
#include "accounts/export.h"
#include "accounts/lockout_store.h"
#include "accounts/privacy.h"
#include "accounts/retention_parts.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "store/jobs.h"
#include "store/store.h"

#define DAY_MS        86400000LL
#define HOUR_MS       3600000LL
#define FIT_HOUSE     "fit"
#define FIT_TEXT_MS   3600000LL      /* FIT-113 */
#define FIT_EVERY_MS  600000LL
#define RULES_MAX     32
#define DAYS_MAX      36500
#define VISITORS_MAX  500
#define BATCHES_MAX   100            /* of one run; the next day's takes the rest */

static int rules_all(const struct retention_rule *out[RULES_MAX])
{
    int n = 0;
    for (int i = 0; all_retention_rules[i]; i++)
        for (const struct retention_rule *r = all_retention_rules[i]; r->table && n < RULES_MAX; r++) out[n++] = r;
    return n;
}

static enum err decided(struct call *c, json_t **out)
{
    struct creator_settings s;
    enum err                e = creator_settings_get(c, &s);
    return e ? e : json_parse(c, s.retention, strlen(s.retention), out);
}

/* Days of a rule; 0: for ever. */
static int days_of(const json_t *settings, const struct retention_rule *r)
{
    const json_t *v = json_object_get(settings, r->setting);
    if (!v) return r->days_setting ? (int)conf_int(r->days_setting) : r->days;
    int64_t days = json_is_integer(v) ? json_integer_value(v) : 0;
    if (days && days < r->least_days) days = r->least_days;
    return (int)(days > DAYS_MAX ? DAYS_MAX : days);
}

static bool first_of(const struct retention_rule *const *rules, int i)
{
    for (int k = 0; k < i; k++)
        if (!strcmp(rules[k]->setting, rules[i]->setting)) return false;
    return true;
}

enum err retention_put(struct call *c, struct json_out *j)
{
    const struct retention_rule *rules[RULES_MAX];
    int                          n = rules_all(rules);
    json_t                      *v = NULL;
    enum err                     e = decided(c, &v);
    if (e) return e;
    json_begin_object(j, NULL);
    for (int i = 0; i < n; i++) {
        if (!first_of(rules, i)) continue;
        int days = days_of(v, rules[i]);
        if (days) json_put_int(j, rules[i]->setting, days);
        else json_put_null(j, rules[i]->setting);
    }
    json_end(j);
    json_decref(v);
    return OK;
}

enum err retention_set(struct call *c, const json_t *days)
{
    const struct retention_rule *rules[RULES_MAX];
    int                          n = rules_all(rules);
    json_t                      *now = NULL;
    const char                  *name;
    json_t                      *v;
    enum err                     e = decided(c, &now);
    json_object_foreach((json_t *)days, name, v)
    {
        const struct retention_rule *rule = NULL;
        for (int i = 0; i < n && !e && !rule; i++)
            if (!strcmp(rules[i]->setting, name)) rule = rules[i];
        if (e) break;
        if (!rule) e = fail_field(c, name, "there is no %.40s", name);
        else if (!json_is_null(v) && (json_integer_value(v) < rule->least_days || json_integer_value(v) < 1 || json_integer_value(v) > DAYS_MAX))
            e = fail_field(c, name, "%s is %d to %d days, or null: for ever", name, rule->least_days > 1 ? rule->least_days : 1, DAYS_MAX);
        else json_object_set(now, name, v);
    }
    char *text = e ? NULL : json_dumps(now, JSON_COMPACT | JSON_SORT_KEYS);
    if (!e) e = creator_settings_put(c, &(struct creator_settings){ .retention = text ? text : "{}" }, CREATOR_RETENTION);
    if (!e) e = audit_put(c, &(struct audit_entry){ "retention.change", c->creator_id, "done", (const char *[]){ "settings", text, NULL } });
    free(text);
    json_decref(now);
    return e;
}

static enum err visitors(struct call *c, int64_t before_ms, bool dry, int64_t *rows_out)
{
    const char **ids = NULL;
    int          n = 0;
    int64_t      sum = 0;
    enum err     e = OK;
    struct call  one; /* memory of one at a time; the tenant is borrowed */
    call_init(&one);
    one.tenant = c->tenant;
    one.stop = c->stop;
    memcpy(one.creator_id, c->creator_id, sizeof one.creator_id);
    for (int batch = 0; !e && batch < (dry ? 1 : BATCHES_MAX); batch++) {
        e = retention_visitors(c, before_ms, dry ? VISITORS_MAX * BATCHES_MAX : VISITORS_MAX, &ids, &n);
        for (int i = 0; !e && !dry && i < n; i++) {
            e = person_forget(&one, ids[i]);
            if (e) e = fail(c, e, "%s", one.err_text);
            if (!e) e = call_check(c);
            arena_reset(&one.mem);
        }
        sum += n;
        if (n < VISITORS_MAX) break;
    }
    call_dispose(&one);
    if (!e) *rows_out = sum;
    return e;
}

static enum err note(struct call *c, const struct retained *list, int n)
{
    const char *details[2 * LIMIT_AUDIT_DETAILS + 1] = { 0 };
    int         k = 0;
    for (int i = 0; i < n && k < 2 * LIMIT_AUDIT_DETAILS; i++) {
        if (!list[i].rows) continue;
        details[k++] = list[i].table;
        details[k++] = log_int(c, list[i].rows);
    }
    return k ? audit_put(c, &(struct audit_entry){ "retention.run", c->creator_id, "done", details }) : OK;
}

enum err retention_run(struct call *c, int64_t now_ms, bool dry, struct retained **out, int *n_out)
{
    const struct retention_rule *rules[RULES_MAX];
    int64_t                      before[RULES_MAX], rows[RULES_MAX] = { 0 }, people = 0;
    int                          n = rules_all(rules);
    json_t                      *settings = NULL;
    enum err                     e = decided(c, &settings);
    if (e) return e;
    for (int i = 0; i < n; i++) {
        int days = days_of(settings, rules[i]);
        before[i] = days ? now_ms - days * DAY_MS : 0;
        if (!strcmp(rules[i]->table, "turn") && !strcmp(c->creator_id, FIT_HOUSE)) before[i] = now_ms - FIT_TEXT_MS;
    }
    json_decref(settings);
    e = retention_rows(c, rules, before, n, dry, rows);
    struct retained *list = arena_array(&c->mem, (size_t)n + 1, sizeof *list);
    for (int i = 0; !e && i < n; i++) {
        if (!rules[i]->run && before[i]) {
            e = visitors(c, before[i], dry, &people);
            rows[i] = people;
        }
        list[i] = (struct retained){ rules[i]->table, rows[i] };
    }
    if (!e && !dry) e = note(c, list, n);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

static enum err run_job(struct call *c, const struct job *j)
{
    struct retained *list = NULL;
    int              n = 0;
    (void)j;
    return retention_run(c, clock_unix_ms(), false, &list, &n);
}

const struct job_kind retention_kind = { .kind = "retention", .tries = 3, .run = run_job };

static void queue(struct call *c, const char *creator, int64_t before_ms, int64_t now_ms)
{
    bool        won = false;
    const char *id = NULL;
    enum err    e = retention_claim(c, creator, before_ms, now_ms, &won);
    if (!e && won) {
        e = tenant_open(c, creator);
        if (!e) e = jobs_add(c, retention_kind.kind, "{}", &id);
        tenant_release(c);
    }
    if (e) {
        log_warn(c, "retention could not be queued", "error", c->err_text, NULL);
        call_forgive(c);
    }
}

void retention_due(struct call *c)
{
    static int64_t ended_ms; /* one janitor */
    const char   **ids = NULL;
    int            n = 0;
    int64_t        now = clock_unix_ms();
    enum err       e = OK;
    if (now - ended_ms >= HOUR_MS || now < ended_ms) {
        e = retention_ended(c, now);
        if (!e) e = lockout_sweep(c, now);
        export_sweep(c);
        ended_ms = now;
    }
    if (!e) e = retention_old(c, now - DAY_MS, &ids, &n);
    for (int i = 0; !e && i < n; i++) queue(c, ids[i], now - DAY_MS, now);
    if (!e) e = retention_old(c, now - FIT_EVERY_MS, &ids, &n);
    for (int i = 0; !e && i < n; i++)
        if (!strcmp(ids[i], FIT_HOUSE)) queue(c, ids[i], now - FIT_EVERY_MS, now);
    if (e) {
        log_warn(c, "retention could not look", "error", c->err_text, NULL);
        call_forgive(c);
    }
}

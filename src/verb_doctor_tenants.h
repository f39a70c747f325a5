/* verb_doctor_tenants.h — proof of isolation: a stranger with every right of their own and every id of somebody else asks every
 * route for them. What is not theirs must be answered exactly as what is not there. The parts know no route by name: a new
 * row of a table joins by being there, and one that no request can be built for is a finding.
 *     struct tenants_plan p = { .tables = all_routes, .client = { .host = "127.0.0.1", .port = port, .fd = -1 } };
 *     …fill p.cases: who asks, and whose things they ask for…
 *     e = tenants_walk(c, &p, 0);                     // p.rows and p.findings are filled
 *     tenants_plan_dispose(&p);                                                                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_VERB_DOCTOR_TENANTS_H
#define CHIRON_VERB_DOCTOR_TENANTS_H
#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/call.h"

enum {
    TENANTS_IDS = 256,        /* things of one side */
    TENANTS_MARKS = 16,
    TENANTS_CALLERS = 12,     /* of one case */
    TENANTS_CASES = 8,
    TENANTS_FORGED = 64,
    TENANTS_FINDINGS = 500,   /* kept; all are counted */
    TENANTS_STATUSES = 10,    /* different ones of one row and caller */
    TENANTS_REPLY_BYTES = 16 << 20,
};

struct route;

/* ---- the client: one connection, one request at a time ---- */
struct tenants_client {
    const char *host;
    int         port;
    int         fd;           /* -1: not connected */
};
struct tenants_ask {
    const char *method, *path;
    const char *headers;      /* whole lines, each ended by \r\n; may be NULL */
    const char *type;         /* of the body, NULL: none */
    const char *body;
    size_t      len;
};
struct tenants_reply {        /* in the arena given */
    int         status;
    const char *head;         /* header lines */
    const char *body;         /* NUL-terminated */
    size_t      len;
};
/* ERR_IO: no whole reply came. Event streams are read until they end, or for a second. */
MUST_CHECK enum err tenants_ask(struct call *c, struct tenants_client *k, const struct tenants_ask *a, struct tenants_reply *out);
void tenants_client_close(struct tenants_client *k);

/* ---- what there is, and whose ---- */
struct tenants_id {
    const char *kind;         /* "document", "job", "user" …, static */
    const char *id;
    const char *none;         /* of the same form and length, of nothing */
    bool        chosen;       /* by people and not made: others may have the same */
};
struct tenants_side {
    const char       *creator, *user;
    const char       *marks[TENANTS_MARKS];   /* words that stand in its things and nowhere else */
    int               mark_count;
    struct tenants_id ids[TENANTS_IDS];
    int               count;
};
/* Adds a thing; the id of nothing is made. Once per kind and id. */
void        tenants_side_add(struct call *c, struct tenants_side *s, const char *kind, const char *id, bool chosen);
void        tenants_side_mark(struct call *c, struct tenants_side *s, const char *word);
const char *tenants_side_find(const struct tenants_side *s, const char *kind);   /* the first of a kind, NULL */
/* An id of the same form, in c->mem. */
const char *tenants_none_of(struct call *c, const char *id);

struct tenants_caller {
    const char *role;         /* "owner"; shown */
    const char *user;         /* who it is, for bodies that must say so */
    unsigned    rights;
    const char *headers;      /* the credential's header lines, in memory that outlives the walk */
    /* Asked for another credential when this one has ended, as after a sign-out; NULL: there is no other. */
    enum err  (*renew)(struct call *c, struct tenants_caller *k, void *arg);
    void       *arg;
};
struct tenants_forged {
    const char *name;         /* "expired" */
    const char *headers;
    bool        none;         /* no credential at all: rows that take one only when it is given may answer */
};
struct tenants_case {
    const char           *name;              /* "another creator" */
    struct tenants_side  *own, *victim;
    struct tenants_caller callers[TENANTS_CALLERS];
    int                   count;
    struct tenants_caller keeper;            /* may do everything with the victim's things; headers NULL: there is none */
};

/* ---- what came of it ---- */
struct tenants_cell {
    int status[TENANTS_STATUSES], times[TENANTS_STATUSES], kinds;
};
struct tenants_row {
    const struct route *route;
    struct tenants_cell cells[TENANTS_CASES][TENANTS_CALLERS];
    struct tenants_cell forged, own;         /* own: the victim asks for their own things */
    int                 requests, findings;
};
struct tenants_finding {
    const struct route *route;               /* NULL: not of one row */
    const char         *words;
};
struct tenants_plan {
    const struct route *const *tables;
    struct tenants_client      client;
    const char                *encoder;      /* name of the embedding model, NULL: none */
    struct tenants_case        cases[TENANTS_CASES];
    int                        case_count;
    struct tenants_forged      forged[TENANTS_FORGED];
    int                        forged_count;
    struct tenants_row        *rows;         /* heap; one per row of the tables */
    int                        row_count;
    struct tenants_finding     findings[TENANTS_FINDINGS];
    int                        finding_count, requests;
    const char                *stored[TENANTS_IDS]; /* ids that a caller wrote into something of their own */
    int                        stored_count;
    int64_t                    serial;
};
/* One case over every row. Leaks are findings of the plan and no error; an error says that the walk did not come to its end. */
MUST_CHECK enum err tenants_walk(struct call *c, struct tenants_plan *p, int which);
/* Credentials that are none, and what the keepers can read with theirs. */
MUST_CHECK enum err tenants_walk_forged(struct call *c, struct tenants_plan *p);
/* The keepers use what is theirs, so that "not there" was not said of things that nobody can reach. It changes and removes them:
 * afterwards, and after they were compared. */
MUST_CHECK enum err tenants_walk_own(struct call *c, struct tenants_plan *p);
void tenants_plan_dispose(struct tenants_plan *p);
void tenants_find(struct call *c, struct tenants_plan *p, struct tenants_row *row, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ---- building requests ---- */
struct tenants_fill {
    const struct tenants_side   *own;
    const struct tenants_caller *caller;
    const char                  *encoder;    /* a model's name where texts are embedded */
    int64_t                      serial;     /* stands in texts, so that no two are the same */
    int                          at;         /* the text that gets value, -1: none */
    const char                  *value;
    bool                         embeds;     /* for the body's own maker */
};
/* How many texts of a body may hold an id, and the name of each. */
int         tenants_body_texts(const json_t *schema);
const char *tenants_body_text_name(const json_t *schema, int at);
/* A body that the schema takes; the caller's to json_decref. */
json_t     *tenants_body(const json_t *schema, const struct tenants_fill *f);
/* Kinds of ids that a name of a parameter or member stands for, "" when any may be meant; before: the path's part before it. */
const char *tenants_kind_of(const char *name, const char *before);

/* ---- comparing ---- */
/* The reply without what differs from one request to the next: ids, times, durations, the ids that were sent (each may be NULL). In
 * c->mem. */
const char *tenants_mask(struct call *c, const struct tenants_reply *r, const char *sent, const char *also);
/* The first word of the victim's in a reply, NULL: none. Words that the request itself held do not count. */
const char *tenants_betrayed(const struct tenants_plan *p, const struct tenants_side *victim, const struct tenants_reply *r, const char *sent);

/* ---- the real thing ---- */
/* Two creators with everything they can own, their callers and the forged credentials; over the client's server, whose data
 * folder this process has open too. */
MUST_CHECK enum err tenants_world(struct call *c, struct tenants_plan *p);
MUST_CHECK enum err tenants_forge(struct call *c, struct tenants_plan *p);
#endif

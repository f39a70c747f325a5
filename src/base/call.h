/* base/call.h — the one context: who asks, until when, with which memory, and the words of the first error.
 * It comes first in every function that can fail. One thread at a time; its arena dies with it.
 *     struct call c; call_init(&c);
 *     enum err e = search_text(&c, "how do I sleep better?", &opts, &p, &n);
 *     if (e) fprintf(stderr, "%s\n", c.err_text);
 *     call_dispose(&c);                                                                               */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_CALL_H
#define CHIRON_BASE_CALL_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    OK = 0,
    ERR_BAD_REQUEST,      /* 400 not parseable: JSON, header, multipart, duplicate key */
    ERR_UNAUTHENTICATED,  /* 401 no or bad credential */
    ERR_FORBIDDEN,        /* 403 known, but may not */
    ERR_NOT_FOUND,        /* 404 also another creator's id */
    ERR_METHOD,           /* 405 */
    ERR_CONFLICT,         /* 409 */
    ERR_TOO_LARGE,        /* 413 over a named limit */
    ERR_UNSUPPORTED_TYPE, /* 415 a document or body of a kind we do not read */
    ERR_INVALID,          /* 422 well formed, but a field is wrong; c->err_field names it */
    ERR_RATE_LIMITED,     /* 429 c->retry_after_s is set */
    ERR_CANCELLED,        /* 499 the client went, or a job was cancelled */
    ERR_INTERNAL,         /* 500 */
    ERR_IO,               /* 500 disk, socket, file */
    ERR_CORRUPT,          /* 500 stored data or a file does not check */
    ERR_UPSTREAM,         /* 502 a provider failed */
    ERR_BUSY,             /* 503 a queue is full; c->retry_after_s is set */
    ERR_TIMEOUT,          /* 504 past the deadline */
    ERR_COUNT
};

/* What a caller may do, and the word of it in roles, keys' scopes and replies. A route row lists what it needs; zero on a row
 * refuses everyone. */
enum right {
    RIGHT_PUBLIC  = 1u << 0,  /* "public": no credential needed */
    RIGHT_ASK     = 1u << 1,  /* "ask": ask, search, read own things */
    RIGHT_READ    = 1u << 2,  /* "documents:read": the creator's documents, jobs, everybody's turns */
    RIGHT_WRITE   = 1u << 3,  /* "documents:write": change the creator's documents */
    RIGHT_ADMIN   = 1u << 4,  /* "settings:write": the coach and the creator's settings */
    RIGHT_ACT_AS  = 1u << 5,  /* "users:act_as": a service may name any user_id of its creator */
    RIGHT_SELF    = 1u << 6,  /* "self": own account, sessions, export and erasure; never through an API key */
    RIGHT_USERS   = 1u << 7,  /* "users:write": list and change the creator's users, sign them in */
    RIGHT_MEMBERS = 1u << 8,  /* "members:write": members, invitations and roles */
    RIGHT_KEYS    = 1u << 9,  /* "keys:write": API keys */
    RIGHT_AUDIT   = 1u << 10, /* "audit:read" */
    RIGHT_PRIVACY = 1u << 11, /* "privacy:write": export and erase others, retention */
    RIGHT_LIMITS  = 1u << 12, /* "limits:write": see and set limits */
    RIGHT_OWN     = 1u << 13, /* "creator:own": erase or hand over the whole creator */
};

#define SPANS_MAX 24
struct span {
    const char *name;         /* static storage: "embed", "search", … */
    int64_t     start_us;     /* monotonic */
    int64_t     took_us;      /* -1 while open */
};

/* The stages that can be bounded one by one and given up one by one. */
enum call_stage { CALL_EMBED, CALL_SEARCH, CALL_RERANK, CALL_GENERATE, CALL_STAGES };

/* One step down the ladder: which stage did less than it could, what it did instead, and why. */
#define DEGRADES_MAX 8
struct degrade {
    const char *stage, *to;   /* static: "rerank" → "first-stage order", "generate" → "extractive" */
    const char *why;          /* for people, in c->mem or static */
};

struct tenant;
struct call {
    struct arena       mem;               /* everything the call returns lives here */
    struct tenant     *tenant;            /* store/tenant handle; NULL outside a creator */
    char               creator_id[LIMIT_ID_BYTES + 1]; /* "" when none */
    char               user_id[LIMIT_ID_BYTES + 1];    /* "" when the caller is no user */
    unsigned           rights;            /* enum right bits */
    char               account_id[32];    /* a member's account, "" when the caller has none */
    char               session_id[32];    /* the sign-in behind the token, "" for keys and tokens without one */
    char               key_id[32];        /* the API key, "" when none was used */
    char               role[LIMIT_ROLE_BYTES + 1]; /* name of the role the rights come from, "" when none */
    char               remote[64];        /* the client's address as text, "" outside a request */
    int64_t            deadline_ms;       /* clock_mono_ms() value; 0 none */
    int64_t            stage_ms[CALL_STAGES]; /* the most a stage may take; 0: what is left of the call */
    struct degrade     degrades[DEGRADES_MAX];/* steps taken, in order; replies show them */
    int                degrade_count;
    const atomic_bool *stop;              /* set when the client is gone or the process stops; may be NULL */
    enum err           err;               /* the first error; its words follow */
    char               err_text[400];     /* one line, no trailing dot needed, no secrets */
    char               err_field[96];     /* JSON path of the wrong field ("candidates[3]"), or "" */
    const char        *err_code;          /* static: the "code" of the reply when err's own word says too little; NULL: none */
    int                retry_after_s;     /* with ERR_RATE_LIMITED and ERR_BUSY */
    char               log_id[40];        /* request id, also in logs and replies */
    struct span        spans[SPANS_MAX];  /* stages in the order they began */
    int                span_count;
    bool               spans_full;        /* more stages ran than fit */
};

void call_init(struct call *c);
void call_dispose(struct call *c);        /* releases the arena; the tenant handle is its taker's to release */

/* Attach words to an error where it is first known and return it. A second call keeps the first words. e is not OK. */
enum err fail(struct call *c, enum err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* As fail with ERR_INVALID, naming the field. */
enum err fail_field(struct call *c, const char *field, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Forget an error that was handled (a fallback was used). */
void call_forgive(struct call *c);

/* OK, ERR_CANCELLED or ERR_TIMEOUT, with words. Long loops ask this often. */
MUST_CHECK enum err call_check(struct call *c);
/* Milliseconds left, at most cap_ms; cap_ms when there is no deadline; 0 when it has passed. */
int64_t call_left_ms(const struct call *c, int64_t cap_ms);

/* Until call_stage_end the deadline is the stage's own, if it has one and that is earlier; keep_ms of what the call has left
 * is kept back from it, for what must come after. Returns the call's deadline, for call_stage_end. */
int64_t call_stage_begin(struct call *c, enum call_stage s, int64_t keep_ms);
void    call_stage_end(struct call *c, int64_t outer);
/* Says in the reply and in chiron_degraded_total{stage,to} that less was done than could be. The same step is kept
 * once a call, and at most DEGRADES_MAX of them; all are counted once a step. */
void call_degrade(struct call *c, const char *stage, const char *to, const char *why);

/* Stage timing. span_begin returns an index for span_end; names are string literals. Safe when full. */
int  span_begin(struct call *c, const char *name);
void span_end(struct call *c, int index);

/* The word of an error for the "code" field ("not_found"), static. */
const char *err_word(enum err e);
#endif

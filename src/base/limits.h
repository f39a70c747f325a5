/* base/limits.h — every maximum of the product, in one place. A buffer, queue, wait or retry that is not bounded by a
 * name from here (or by a setting whose own maximum is here) is a bug. Units are in the names. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_LIMITS_H
#define CHIRON_BASE_LIMITS_H

/* one request */
#define LIMIT_REQUEST_BODY_BYTES     (1024 * 1024)        /* JSON bodies, unless the route row says less */
#define LIMIT_UPLOAD_BYTES           (256LL * 1024 * 1024)/* one uploaded document */
#define LIMIT_HEADER_BYTES           (16 * 1024)
#define LIMIT_JSON_DEPTH             64
#define LIMIT_REPLY_BYTES            (64LL * 1024 * 1024)
#define LIMIT_ARENA_BYTES            (512LL * 1024 * 1024)
#define LIMIT_CONNECTIONS            2048
#define LIMIT_IDLE_SECONDS           60
#define LIMIT_HEADER_SECONDS         10                   /* from accept to complete headers */
#define LIMIT_BODY_SECONDS           120                  /* from headers to complete body, JSON routes */
#define LIMIT_REQUEST_QUEUE          256                  /* waiting for a worker; then 503 + Retry-After */
#define LIMIT_SSE_QUEUE_BYTES        (64 * 1024)          /* unsent bytes before the producer waits */
#define LIMIT_SSE_STALL_SECONDS      30                   /* a reader that takes nothing this long is dropped */
#define SSE_HEARTBEAT_SECONDS        15
#define LIMIT_IDEMPOTENCY_REPLY_BYTES (256 * 1024)        /* of a reply kept for its Idempotency-Key */
#define LIMIT_IDEMPOTENCY_BYTES      (256LL * 1024 * 1024)/* of all replies that a creator keeps in a day */
#define LIMIT_DEADLINE_MS            120000               /* the most a request may ask for */
#define LIMIT_STOP_SECONDS           30                   /* graceful stop */

/* texts */
#define LIMIT_QUERY_BYTES            (32 * 1024)          /* a question or search query; more is ERR_TOO_LARGE */
#define LIMIT_TITLE_BYTES            512
#define LIMIT_METADATA_BYTES         (16 * 1024)
#define LIMIT_ID_BYTES               128
#define LIMIT_ROLE_BYTES             40
#define LIMIT_EMAIL_BYTES            254                  /* RFC 5321 4.5.3.1.3, without the angle brackets */
#define LIMIT_NAME_BYTES             200                  /* of a person */
#define LIMIT_SESSIONS_OPEN          200                  /* of one person; the longest unused ends */
#define LIMIT_PASSWORD_BYTES         256
#define LIMIT_AUDIT_DETAILS          16                   /* names with values of one row of the log */
#define LIMIT_PASSWORD_QUEUE         32                   /* passwords waiting to be hashed */
#define LIMIT_PASSWORD_WAIT_MS       2000                 /* how long one waits for that */
#define LIMIT_SEARCH_K               100
#define LIMIT_EMBED_BATCH            2048                 /* texts in one embeddings request */
#define LIMIT_RERANK_TEXTS           200                  /* candidates of one re-ranking */

/* documents */
#define LIMIT_DOCUMENT_TEXT_BYTES    (64LL * 1024 * 1024) /* extracted text of one document */
#define LIMIT_DOCUMENT_PAGES         20000
#define LIMIT_EXTRACT_SECONDS        120                  /* CPU, whole document */
#define LIMIT_EXTRACT_PAGE_SECONDS   20                   /* no output for this long: the child is killed */
#define LIMIT_EXTRACT_MEMORY_BYTES   (1024LL * 1024 * 1024)
#define LIMIT_CHUNK_CHARS            1000
#define LIMIT_CHUNK_OVERLAP_CHARS    200
#define LIMIT_INDEX_BYTES            (2048LL * 1024 * 1024) /* all in-memory vector rows; least recently used creator goes first */

/* encoder */
#define LIMIT_TOKENS                 512                  /* of one sequence; a model says its own, at most this */

/* stores */
#define LIMIT_OPEN_TENANTS           2048
#define LIMIT_TENANT_READERS         8                    /* read connections kept per creator */
#define LIMIT_TENANT_READS           64                   /* read connections of one creator at a time; more wait */
#define LIMIT_SQL_WAIT_MS            10000
#define LIMIT_SQL_STATEMENTS         256                  /* prepared statements kept per connection */
#define LIMIT_SQL_PLACEHOLDERS       64                   /* in one statement */
#define LIMIT_KV_ENTRIES             100000
#define LIMIT_KV_BYTES               (64LL * 1024 * 1024)
#define LIMIT_KV_VALUE_BYTES         (1024 * 1024)
#define LIMIT_KV_COUNTERS            65536                /* of limits, in each of two pools */
#define LIMIT_JOBS_QUEUED            10000                /* waiting jobs of one creator */
#define LIMIT_JOBS_KEPT              1000                 /* ended jobs kept per creator */
#define LIMIT_JOB_PAYLOAD_BYTES      (256 * 1024)
#define LIMIT_SCHEMA_BACKUPS         3                    /* copies kept from before a migration, per database */
#define LIMIT_ARCHIVE_MEMBERS        1000000              /* files in a backup */
#define LIMIT_EXPORT_BYTES           (16LL * 1024 * 1024 * 1024) /* of one person or creator, before it is packed */

/* calls to others */
#define LIMIT_FETCH_BYTES            (32LL * 1024 * 1024)
#define LIMIT_FETCH_RETRIES          3
#define LIMIT_FETCH_MS               60000
#define LIMIT_MAIL_MS                60000                /* to give one mail to the mail server */
#define LIMIT_MAIL_BYTES             (64 * 1024)          /* one mail, headers and all */
#define LIMIT_MAIL_QUEUE             256                  /* mails and requests for one that wait; then 503 + Retry-After */
#define LIMIT_RETRY_AFTER_SECONDS    30                   /* a provider asking for more is a failure now */

/* the process itself */
#define LIMIT_METRIC_SERIES          256                  /* label sets of one metric; the rest count as one */
#define LIMIT_SETTINGS               1024                 /* settings declared, and names in a settings file */
#define LIMIT_SETTINGS_FILE_BYTES    (1024 * 1024)

#endif

/* base/log.h — one line per event on stderr: text on a terminal, JSON otherwise (LOG_FORMAT=text|json overrides).
 * Any thread; a line is one write. No document text, question text or secret is ever logged;
 * e-mail addresses and phone numbers in a value are masked (FIT-115).
 *     log_info(c, "ingest finished", "document", id, "chunks", log_int(c, n), NULL);                 */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_LOG_H
#define CHIRON_BASE_LOG_H
#include <stdint.h>

struct call;
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_open(enum log_level least, int json);     /* json: 1 yes, 0 no, -1 by terminal */
/* Pairs of name, value (both text), ended by NULL. c may be NULL; else its log_id is added. */
void log_event(enum log_level l, const struct call *c, const char *message, ...) __attribute__((sentinel));
const char *log_int(struct call *c, int64_t v);    /* decimal in c->mem */
const char *log_real(struct call *c, double v);    /* three decimals in c->mem */
#define log_debug(c, ...) log_event(LOG_DEBUG, c, __VA_ARGS__)
#define log_info(c, ...)  log_event(LOG_INFO, c, __VA_ARGS__)
#define log_warn(c, ...)  log_event(LOG_WARN, c, __VA_ARGS__)
#define log_error(c, ...) log_event(LOG_ERROR, c, __VA_ARGS__)
#endif

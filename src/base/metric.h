/* base/metric.h — the one registry of numbers, written as Prometheus text. Any thread.
 *     metric_add("chiron_http_requests_total", "route=\"/health\",status=\"200\"", 1);
 * Names are snake_case in base units; labels are a literal or bounded set (no tenant, user or document). A name must be
 * described in the table of metric.c (name, kind, help), else it aborts in tests and is dropped in production.        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_METRIC_H
#define CHIRON_BASE_METRIC_H
struct buf;

void   metric_describe(const char *name, char kind, const char *help);  /* kind: 'c' counter, 'g' gauge, 'h' histogram of seconds */
void   metric_add(const char *name, const char *labels, double n);      /* counter; labels may be NULL */
void   metric_set(const char *name, const char *labels, double v);      /* gauge */
void   metric_observe(const char *name, const char *labels, double seconds);
double metric_read(const char *name, const char *labels);               /* counter or gauge value, histogram count; 0 if none */
void   metric_write(struct buf *out);                                   /* exposition format 0.0.4 */
#endif

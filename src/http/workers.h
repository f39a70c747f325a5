/* http/workers.h — the threads that run handlers. A fixed number does ordinary requests; one that turns to streaming
 * leaves that number and another takes its place, so that long streams cannot starve short requests.
 *     struct workers *w = workers_open(4, 256, LIMIT_REQUEST_QUEUE);
 *     if (!workers_submit(w, run, arg)) …503…                                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_WORKERS_H
#define CHIRON_HTTP_WORKERS_H
#include <stdbool.h>

struct workers;
struct workers *workers_open(int ordinary, int streaming_max, int queue_max);   /* aborts when no thread can start */
/* Any thread; never blocks. false: the queue is full or closing, arg stays the caller's. */
bool workers_submit(struct workers *w, void (*run)(void *), void *arg);
/* Called inside run: this thread will stream until run returns. false: streaming_max threads do already. */
bool workers_stream(struct workers *w);
int  workers_waiting(struct workers *w);     /* queued, not yet begun */
int  workers_threads(struct workers *w);     /* alive now */
void workers_close(struct workers *w);       /* runs what is queued, joins all, frees; NULL allowed */
#endif

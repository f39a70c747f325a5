/* verb_child.h — a server of this very program in a process of its own, on a free port of this machine's own address, for verbs
 * that ask one. It ends with the process that started it.
 *     struct verb_child s = { .data = dir, .log = log };
 *     e = verb_child_start(c, &s);  …  verb_child_stop(&s);                                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_VERB_CHILD_H
#define CHIRON_VERB_CHILD_H
#include <sys/types.h>

#include "base/call.h"

struct verb_child {
    const char        *data, *log;      /* its data folder, and the file that gets what it says */
    const char *const *settings;        /* NAME, value, …, NULL: beside those of this process; may be NULL */
    bool               demo;
    pid_t              pid;             /* 0: not running */
    int                port;
    double             start_ms;        /* until it was ready */
};
/* ERR_IO: it ended while it started; the words hold the end of its log. ERR_TIMEOUT. */
MUST_CHECK enum err verb_child_start(struct call *c, struct verb_child *s);
/* Waits for its graceful end, then makes it. */
void verb_child_stop(struct verb_child *s);
/* Of any process: CPU seconds used, and MiB that are resident. 0 when it is not there. */
double verb_child_cpu(pid_t pid);
double verb_child_resident(pid_t pid);
#endif

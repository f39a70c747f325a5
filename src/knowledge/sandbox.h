/* knowledge/sandbox.h — take everything away from a process that parses strangers' files. For the extract child only:
 * it has one thread, and nothing here can be undone.
 *     sandbox_limits();
 *     e = sandbox_tool(c, argv, 0, &tool);                 // pdftotext, in a cage of its own
 *     e = sandbox_enter(c);                                // from here: no open for writing, no network, no exec, no fork  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SANDBOX_H
#define CHIRON_KNOWLEDGE_SANDBOX_H
#include <stdio.h>
#include <sys/types.h>

#include "base/call.h"

struct tool {
    pid_t pid;
    FILE *out;           /* its standard output */
    int   err;           /* reads its standard error; what does not fit into the pipe is lost */
};

/* CPU seconds, address space, no file writes, few descriptors, dies with its parent. */
void sandbox_limits(void);
/* Starts argv[0] (found in PATH) with descriptor in as its standard input. ERR_IO: not installed. */
MUST_CHECK enum err sandbox_tool(struct call *c, const char *const *argv, int in, struct tool *out);
/* Waits for it and closes what is open: exit status, or -signal. words (may be NULL) receives its standard error. */
int  sandbox_tool_end(struct tool *t, char *words, size_t max);
/* ERR_INTERNAL when the kernel refuses the filter: then nothing is read at all. */
MUST_CHECK enum err sandbox_enter(struct call *c);
#endif

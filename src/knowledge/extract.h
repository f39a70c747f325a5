/* knowledge/extract.h — a file's text, page by page, read by a child process that can do nothing else.
 * Any thread; each call starts and ends its own child. The text is the same for the same bytes, so that an ingest that
 * was killed can read again and go on where it stopped.
 *     e = extract_run(c, path, MEDIA_PDF, on_page, arg, &info);                                                   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EXTRACT_H
#define CHIRON_KNOWLEDGE_EXTRACT_H
#include "knowledge/media_type.h"

/* Where a heading (or a record) begins. What stands before the first mark has the heading of the page before. */
struct extract_mark {
    size_t      at;          /* byte in the page's text */
    size_t      body_at;     /* just past the heading's own line */
    const char *heading;     /* path, "Nutrition > Protein" */
    bool        record;      /* a record of a JSON list: nothing before it belongs to it */
};
struct extract_page {
    int                        page;    /* from 1; 0 the only one of a format without pages */
    const char                *text;    /* valid UTF-8, no NUL; ends with a newline unless empty */
    size_t                     len;
    const char                *heading; /* path in force where the page begins */
    const struct extract_mark *marks;
    int                        mark_count;
};
struct extract_info {
    const char *title;       /* found in the document, "" none */
    const char *language;    /* named by the document, "" none */
    const char *note;        /* what was unusual ("read as Windows-1252"), "" nothing */
    int         pages;       /* of the whole document as soon as it is known; 0 none */
};

/* Called for each page in order, with what is known so far; all pointers live until it returns. An error ends the run. */
typedef enum err (*extract_page_fn)(void *arg, const struct extract_page *p, const struct extract_info *info);

/* ERR_INVALID: damaged, password-protected, without text; ERR_TOO_LARGE: expands past a limit, too deep; ERR_TIMEOUT: no
 * output for LIMIT_EXTRACT_PAGE_SECONDS, or more CPU than LIMIT_EXTRACT_SECONDS; ERR_CANCELLED. info's text is in c->mem. */
MUST_CHECK enum err extract_run(struct call *c, const char *path, enum media_kind kind, extract_page_fn on_page, void *arg,
                                struct extract_info *info);

/* main() of the child, argv[1] its KIND (`chiron __extract KIND`): file on descriptor 0, frames to descriptor 1. Runs before anything else of
 * the program is set up. The binary is /proc/self/exe unless the environment's CHIRON_EXE names another (tests). */
int extract_child_main(int argc, char **argv);
#endif

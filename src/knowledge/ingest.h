/* knowledge/ingest.h — the ingest job's payload, and what the document rules share with it. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_INGEST_H
#define CHIRON_KNOWLEDGE_INGEST_H
#include "knowledge/document_store.h"

const char *ingest_payload(struct call *c, const struct ingest_task *t);     /* JSON in c->mem */
MUST_CHECK enum err ingest_task_read(struct call *c, const char *payload, struct ingest_task *out);   /* text in c->mem */
/* The text to embed for a chunk: its own, after its deepest heading where it does not begin with it. In mem. */
const char *ingest_embed_text(struct arena *mem, const char *text, size_t n, const char *heading);
/* A copy of a file the caller keeps, inside the creator's folder, ready for document_add_file. In c->mem. */
MUST_CHECK enum err document_import(struct call *c, const char *path, const char **out);
#endif

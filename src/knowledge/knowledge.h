/* knowledge/knowledge.h — a creator's documents: take them in, find passages, take them out again.
 * Any thread may search; adds and removes queue behind one writer per creator. Every call needs c->tenant.
 *     struct passage *p; int n; struct search_info info;
 *     e = search_text(c, "how do I sleep better?", &(struct search_opts){ .k = 5 }, &p, &n, &info);             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_KNOWLEDGE_H
#define CHIRON_KNOWLEDGE_KNOWLEDGE_H
#include <jansson.h>

#include "base/call.h"
#include "base/conf.h"
#include "base/json.h"

struct job_kind;
extern const struct setting  knowledge_settings[];
extern const struct job_kind ingest_kind, reindex_kind;

MUST_CHECK enum err knowledge_open(struct call *c); /* after store_open and encoder_set_default */
void knowledge_close(void);
/* Folder of the model folders, so that a model from before a change can be run too; before knowledge_open. */
void knowledge_models(const char *dir);
/* A server's watch over the models of all creators: begins a change where the default encoder is another than theirs. After
 * jobs_open, until before jobs_close. */
void knowledge_watch_begin(void);
void knowledge_watch_end(void);

/* ---- documents ---- */
enum document_state { DOCUMENT_QUEUED, DOCUMENT_READY, DOCUMENT_FAILED };
struct document {
    const char *id;             /* "doc_…" */
    const char *title;          /* given, else found in the text, else the file name */
    const char *filename;       /* "" when it came as text */
    const char *media_type;     /* by content: text/plain text/markdown text/html application/pdf …docx application/jsonl */
    const char *language;       /* "en", "es", "" unknown */
    const char *content_type;   /* RAG-008 type: workout goal conversation progress nutrition, or "document" */
    const char *user_id;        /* "" shared by all users of the creator; else only this user sees it */
    const char *sha256;         /* of the bytes */
    const char *metadata;       /* JSON object */
    enum document_state state;
    const char *job_id;         /* the last ingest job */
    const char *error;          /* NULL unless failed */
    int64_t     size_bytes, text_bytes;
    int         pages;          /* 0: the format has none */
    int         chunks;
    int         version;        /* from 1; a replacement counts up */
    int64_t     created_ms, updated_ms;
};
struct ingest_opts {
    const char *title;          /* NULL: found */
    const char *filename;       /* NULL: none */
    const char *content_type;   /* NULL: "document" */
    const char *user_id;        /* NULL: shared */
    const char *metadata;       /* JSON object text, NULL: {} */
    const char *language;       /* NULL: detected */
    const char *replace_id;     /* new version of this document; the old one answers until the new one is in */
    const char *unit;           /* "characters" (default) or "tokens" (CRE-025) */
    int         chunk_size, chunk_overlap;   /* 0: 1000 and 200 */
};
/* Takes the file (moved into the creator's folder under its hash; still there on an error) and queues its ingest.
 * The same bytes again (same content_type, user, title): *known_out = true, the existing id, no job. */
MUST_CHECK enum err document_add_file(struct call *c, const char *path, const struct ingest_opts *o, const char **document_id_out,
                                      const char **job_id_out, bool *known_out);
MUST_CHECK enum err document_add_text(struct call *c, const char *text, size_t n, const struct ingest_opts *o,
                                      const char **document_id_out, const char **job_id_out, bool *known_out);
MUST_CHECK enum err document_get(struct call *c, const char *id, struct document *out);
MUST_CHECK enum err document_list(struct call *c, int offset, int max, struct document **out, int *n_out, int64_t *total_out);
MUST_CHECK enum err document_remove(struct call *c, const char *id);    /* row, chunks, vectors, lexical entries: one transaction */
/* Extracted text of one page (from 1; 0 the whole, cut at 1 MiB) with where it starts in the document's text. */
MUST_CHECK enum err document_text(struct call *c, const char *id, int page, const char **text_out, int64_t *start_byte_out, int64_t *total_out);
struct chunk { const char *id, *text, *heading; int page; int64_t start_byte, end_byte; int index; };
MUST_CHECK enum err document_chunks(struct call *c, const char *id, struct chunk **out, int *n_out);

/* ---- search ---- */
enum search_mode { SEARCH_HYBRID, SEARCH_SEMANTIC, SEARCH_KEYWORD };
/* How passages are looked at a second time: as the setting RERANK says, or by one method alone. */
enum rerank_choice { RERANK_AUTO, RERANK_CROSS_ENCODER, RERANK_COHERE, RERANK_HYBRID, RERANK_OFF };
/* AUTO: a hybrid search is re-ranked when there is something to do it with, as far as RERANK_MS allows. */
enum search_rerank { SEARCH_RERANK_AUTO, SEARCH_RERANK_ON, SEARCH_RERANK_OFF };
struct search_opts {
    enum search_mode mode;
    int         k;              /* 1..LIMIT_SEARCH_K; 0: 5 */
    int         top;            /* how many of the k are returned after re-ranking, 1..k; 0: all */
    float       alpha;          /* semantic share 0..1; <= 0 and !alpha_set: 0.5 */
    bool        alpha_set;
    float       threshold;      /* least score; 0 none. Semantic: cosine; hybrid and keyword: combined score */
    float       min_cosine;     /* passages of a hybrid search below this cosine and without a keyword hit are dropped; 0 none */
    const json_t *filter;       /* metadata equality {"topic":"sleep"}: text, number, bool, or list of alternatives; NULL none */
    const char *const *types;   /* content types, NULL-ended; NULL all */
    bool        as_written;     /* misspelt words stay */
    const char *user_id;        /* sees shared documents and this user's own; NULL: c->user_id when the caller is a user, else all shared */
    enum search_rerank rerank;
    int         rerank_depth;   /* how many of the first stage's best are re-ranked, 1..LIMIT_SEARCH_K; 0: the setting RERANK_DEPTH */
    enum rerank_choice rerank_by;
    const char *rerank_model;   /* Cohere's; NULL: the setting */
};
struct passage {
    const char *chunk_id, *document_id, *title, *heading, *content_type, *language;
    const char *text;           /* UTF-8 */
    const char *metadata;       /* the document's JSON object */
    int         page;           /* from 1; 0 when the document has no pages */
    int64_t     start_byte, end_byte;   /* in the document's extracted text */
    float       score;          /* hybrid: 0..1 combined by RAG-020; semantic: cosine; keyword: BM25 normalised to 0..1 */
    float       score_cos;      /* cosine, -2 when the semantic leg did not score it */
    float       score_semantic; /* the semantic leg's part of a hybrid score before normalising: score_cos, or by feedback */
    float       score_bm25;     /* raw, higher is better; 0 when the keyword leg did not find it */
    int         rank_semantic, rank_keyword;   /* from 1; 0 not found by that leg */
    float       score_rerank;   /* 0..1; -1 when nothing re-ranked it. Passages that have it stand before those that have not */
    int64_t     created_ms;
};
struct search_rerank_info {
    const char *method;         /* "cross-encoder", "cohere" or "none"; NULL: no re-ranking was wanted */
    const char *model, *fell_back_why;   /* NULL: none */
    int         scored, of;     /* passages with a score, passages that were to have one */
};
struct search_info {
    const char *strategy;       /* "hybrid", "semantic", "keyword", or "keyword (no encoder)" … what really ran */
    const char *model;          /* embedding model, NULL when none was used */
    bool        cached;         /* from the query LRU */
    int         candidates;     /* union of both legs */
    struct search_rerank_info rerank;
    const char *corrected;      /* the question that was searched for, NULL when it is the one that was asked */
};
/* The best k passages, best first, in c->mem. Nothing found is not an error. Stages are spans: query, embed, search, rerank.
 * ERR_INVALID: empty text or k out of range; ERR_TOO_LARGE: over LIMIT_QUERY_BYTES; ERR_TIMEOUT. */
MUST_CHECK enum err search_text(struct call *c, const char *text, const struct search_opts *o, struct passage **out, int *n_out,
                                struct search_info *info);
/* The best k of the passages nearest to one that is there (FIT-084), by its stored vector, itself not among them. Of o: k,
 * threshold, filter, types, user_id. ERR_NOT_FOUND: this caller's searches would not show it; ERR_CONFLICT: it has no vector. */
struct search_similar_info {
    const char *model;          /* whose vectors were compared */
    int         dim;
};
MUST_CHECK enum err search_similar(struct call *c, const char *chunk_id, const struct search_opts *o, struct passage **out, int *n_out,
                                   struct search_similar_info *info);
/* A search that a specified system names (design: one core, presets per surface). */
struct search_preset {
    const char        *name;            /* "fit" */
    enum search_mode   mode;
    int                k, top;          /* found, returned */
    const char        *filter_field;    /* of the documents' metadata, equal to the value that comes with the request */
    enum rerank_choice rerank_by;       /* when it is configured; else the order stays */
    const char        *model_setting, *model;   /* of the re-ranking: the surface's setting, and its default */
};
const struct search_preset *search_preset(const char *name);    /* NULL: there is none */
/* filter_value NULL: not filtered. */
MUST_CHECK enum err search_by_preset(struct call *c, const struct search_preset *p, const char *text, const char *filter_value,
                                     struct passage **out, int *n_out, struct search_info *info);
/* "rerank": {…} of a reply; nothing when none was wanted. */
void search_rerank_put(struct json_out *j, const struct search_rerank_info *r);
/* A request's "rerank": true, false or how many passages. NULL leaves AUTO. ERR_INVALID. */
MUST_CHECK enum err search_rerank_read(struct call *c, const json_t *v, struct search_opts *o);
/* min-max to 0..1 in place; all equal: 1.0 (RAG-020). */
void search_normalise(float *scores, int n);
/* Shared analyser: language of a text ("en", "es", "" unsure), and its index terms (folded, stemmed, stop words dropped,
 * fitness forms kept) as one space-separated string in c->mem. */
const char *text_language(const char *text, size_t n);
const char *text_terms(struct call *c, const char *text, size_t n, const char *language);
/* Sentence ends of a text: offsets just past each sentence (abbreviations, decimals, lists minded); count returned. */
int text_sentences(const char *text, size_t n, uint32_t *ends_out, int max);
/* Embeds a question through the default encoder with both caches (RAG-023, RAG-024); out: dim floats. The model used is named. When
 * the encoder is missing or fails the OpenAI-compatible one is used when configured (RAG-016): dim and model say so. */
MUST_CHECK enum err embed_text(struct call *c, const char *text, size_t n, const float **out, int *dim_out, const char **model_out);
#endif

/* coaching/evidence.h — the sentences an answer may stand on: the passages of a search cut into sentences, each with its
 * exact place in its document and its relevance to the question. Everything lives in c->mem.                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_EVIDENCE_H
#define CHIRON_COACHING_EVIDENCE_H
#include "coaching/coaching.h"
#include "knowledge/knowledge.h"

#define EVIDENCE_MAX        160    /* sentences kept per question */
#define EVIDENCE_EMBED_MAX  18     /* … of which get a vector */

struct terms {                     /* index terms of a text, each once */
    const char **word;
    float       *weight;           /* rarity, 0..1 */
    int          count;
};

struct sentence {
    const char  *text;             /* slice of its passage's text */
    size_t       n;
    int          passage;          /* index into the passages */
    int64_t      start_byte, end_byte;   /* in the document's extracted text */
    struct terms terms;            /* its own and its heading's */
    float        lexical;          /* weighted share of the question's terms in it, 0..1 */
    float        cosine;           /* to the question; -2 when it has no vector */
    float        relevance;        /* 0..1, all together */
    const float *vector;           /* NULL when none was made */
    int          block;            /* sentences of one paragraph or list share it, within their passage */
    bool         item, lead, follows;
    bool         fragment;         /* a chunk's edge cut it */
};

struct evidence {
    const char      *question;
    const char      *language;     /* of the question */
    struct terms     terms;        /* of the question */
    const float     *vector;       /* of the question, dim floats; NULL without an encoder */
    int              dim;
    struct passage  *passages;     /* best first */
    int              passage_count;/* that may be used; more may follow in the array */
    int              found_count;  /* in the array */
    struct terms    *passage_terms;/* per used passage: text, heading and title */
    struct terms    *heading_terms;/* … heading path and title */
    struct terms    *section_terms;/* … the innermost heading, else the title */
    float           *section;      /* … how well its section's name is what was asked, 0..1, by words or meaning */
    float           *crowd;        /* … share of what was found that comes from its document */
    float           *section_cosine; /* … cosine of that name to the question, -2 without one */
    struct sentence *sentences;    /* by passage, in text order */
    int              count;
};

/* question: what was searched for. The best `use` of the found passages become evidence and come first; all of them tell
 * how common the question's words are here. */
MUST_CHECK enum err evidence_make(struct call *c, const char *question, const char *language, struct passage *passages,
                                  int found, int use, struct evidence *out);
/* Puts the `use` passages that become evidence first, best first (order.c). */
void evidence_order(struct call *c, const struct terms *asked, struct passage *passages, int found, int use);
/* Share of the other passages found that are of i's document, 0..1. */
float evidence_crowd(const struct passage *passages, int found, int i);
/* Fills lexical, vector, cosine and relevance of the sentences (relevance.c). */
MUST_CHECK enum err relevance_score(struct call *c, struct evidence *ev);
/* The innermost heading of a passage, else its title, else "". */
const char *passage_section(const struct passage *p);
/* Index terms with weights; a word's weight is how rare it is in the encoder's vocabulary. */
struct terms terms_of(struct call *c, const char *text, size_t n, const char *language);
/* Weighted share of a's terms that are in b, 0..1; 0 when a has none. */
float terms_share(const struct terms *a, const struct terms *b);
bool  terms_have(const struct terms *t, const char *word);

/* Unit vectors of n texts from the process's encoder, the recently used ones from memory. *out NULL: no encoder. */
MUST_CHECK enum err vectors_of(struct call *c, const char *const *texts, const size_t *lens, int n, const float **out, int *dim_out);
float vectors_dot(const float *a, const float *b, int dim);
#endif

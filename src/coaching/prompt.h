/* coaching/prompt.h — what a language model is told. Templates are the text files of prompts/; {name} is a placeholder. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_PROMPT_H
#define CHIRON_COACHING_PROMPT_H
#include "coaching/evidence.h"
#include "models/models.h"

struct pair { const char *name, *value; };
/* The template with its placeholders filled, in c->mem, without its last line end. A placeholder without a pair, or a
 * missing file, is a bug and aborts. pairs end with a NULL name. */
const char *prompt_fill(struct call *c, const char *path, const struct pair *pairs);
/* prompts/NAME.LANGUAGE.txt, English when there is none for the language. */
const char *prompt_words(struct call *c, const char *name, const char *language, const struct pair *pairs);
/* Name and hash of the templates a language model sees: changes with any of them. Static. */
const char *prompt_version(void);
/* The messages for the coach, the history and the evidence. */
void prompt_compose(struct call *c, const struct coach *coach, const struct said *history, int history_count,
                    const struct evidence *ev, const char *question, struct prompt *out);
#endif

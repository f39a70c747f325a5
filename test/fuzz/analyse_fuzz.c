/* Any bytes as a document and as a question: terms stay within their alphabet, sentences cover the text. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/analyse.h"
#include "knowledge/knowledge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 20000) return 0;
    struct call c;
    call_init(&c);
    char *text = arena_strndup(&c.mem, (const char *)data, size);
    const char *language = text_language(text, size);
    static const char *const all[] = { "en", "es", "" };
    for (int i = 0; i < 3; i++)
        if (strpbrk(text_terms(&c, text, size, all[i]), "\"'()*^{};\n\t")) abort();
    int n = 0;
    bool only_stop;
    analyse_query(&c, text, size, language, &n, &only_stop);
    if (n > ANALYSE_QUERY_TERMS) abort();
    uint32_t ends[64], before = 0;
    int count = text_sentences(text, size, ends, 64);
    for (int i = 0; i < count; i++) {
        if (ends[i] <= before || ends[i] > size) abort();
        before = ends[i];
    }
    if (size > 0 && count < 64 && (count == 0 || ends[count - 1] != size)) abort();
    call_dispose(&c);
    return 0;
}

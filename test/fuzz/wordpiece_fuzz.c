/* SPDX-License-Identifier: MIT */
/* Any bytes through the tokenizer: counts stay inside their limits, ids inside the vocabulary, offsets inside the text
 * and in order, and both readings find the same number of tokens. The vocabulary is fixed, but
 * an input that begins with 'V' is read as a vocabulary of its own. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##a\n##b\n##c\nabc\n##abc\n##ab\ne\n##e\n.\n,\n-\n[\n]\n"
                                 "squat\n##s\n##ting\n\xe6\xb7\xb1\n\xd1\x8f\n##\xd1\x8f\n\xe1\x84\x80\n##\xe1\x85\xa1\n1\n##1\n";

static void require(int held)
{
    if (!held) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wordpiece *w;
    struct call              c;
    call_init(&c);
    if (!w) require(wordpiece_parse(&c, vocabulary, sizeof vocabulary - 1, &w) == OK);
    if (size && data[0] == 'V') {
        struct wordpiece *own = NULL;
        if (!wordpiece_parse(&c, (const char *)data + 1, size - 1, &own)) {
            int32_t ids[16];
            require(wordpiece_encode(own, (const char *)data, size, ids, 16) <= 16);
        }
        wordpiece_free(own);
    }
    int       most = (int)size * 8 + 2;
    int32_t  *ids = malloc((size_t)most * sizeof *ids);
    uint32_t *at = malloc((size_t)most * sizeof *at);
    require(ids && at);
    int n = wordpiece_encode(w, (const char *)data, size, ids, most);
    require(n >= 2 && n <= most);
    for (int i = 0; i < n; i++) require(ids[i] >= 0 && ids[i] < wordpiece_size(w));
    require(wordpiece_spans(w, (const char *)data, size, at, most) == n - 2);
    for (int i = 0; i < n - 2; i++) require(at[i] < size && (i == 0 || at[i] >= at[i - 1]));
    for (int max = 2; max < 12 && max <= n; max++) {
        int32_t cut[12];
        require(wordpiece_encode(w, (const char *)data, size, cut, max) == max);
        require(!memcmp(cut, ids, (size_t)(max - 1) * sizeof *cut));
    }
    free(ids);
    free(at);
    call_dispose(&c);
    return 0;
}

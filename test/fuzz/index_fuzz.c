/* SPDX-License-Identifier: MIT */
/* Any bytes as an index file: what is accepted can be searched and nothing outside it is read. An odd first byte gives the
 * rest a right length and checksum, so that what comes behind them is reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/collection.h"
#include "knowledge/index_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search_all(struct collection *col)
{
    static const char *const terms[] = { "squat", "sleep", "ba" };
    struct collection_hit best[8];
    struct vector_hit near[8];
    struct call c;
    call_init(&c);
    int n = collection_words(col, terms, 3, NULL, 8, best);
    for (int i = 0; i < n; i++)
        if (collection_find(col, collection_item(col, best[i].index), 0) != best[i].index) abort();
    const char *const types[] = { "document", NULL };
    json_t *filter = json_pack("{s:i}", "group", 3);
    const uint64_t *bits = collection_allowed(&c, col, "u1", types, filter);
    for (int dim = 1; dim <= 64; dim++) {
        const struct collection_set *set = collection_set(col, "toy", dim);
        float q[64] = { 1 };
        if (set) vectors_scan(set->rows, q, set->count, collection_slots(&c, col, set, bits), 8, near);
        if (set) vectors_scan(set->rows, q, set->count, NULL, 8, near);
    }
    json_decref(filter);
    call_dispose(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    size_t n = size - 1;
    char *file = aligned_alloc(4096, (n + 4096) / 4096 * 4096), mark[INDEX_MARK_BYTES];
    if (!file) abort();
    memcpy(file, data + 1, n);
    if (data[0] & 1) index_file_seal(file, n);
    const char *why = NULL;
    struct collection *col = index_file_parse(file, n, mark, &why);
    if (!col != !!why) abort();
    if (col) search_all(col);
    collection_release(col);
    free(file);
    return 0;
}

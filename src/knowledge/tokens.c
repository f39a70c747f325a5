/* knowledge/tokens.c — counts of tokens by passage. The key holds a hash of the text, since a replaced document may give a
 * passage's id to other words, and the encoder's name, since another model cuts differently. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/tokens.h"

#include <string.h>

#include "encoder/encoder.h"
#include "knowledge/lru.h"

static struct lru *cache;

void tokens_open(int passages)
{
    cache = lru_new("tokens", passages, (size_t)passages * 512);
}

void tokens_close(void)
{
    lru_free(cache);
    cache = NULL;
}

void tokens_forget(void)
{
    lru_clear(cache);
}

int tokens_of(struct call *c, const char *id, const char *text)
{
    const struct encoder *e = encoder_default();
    size_t n = strlen(text);
    if (!e) return (int)((n + 3) / 4);
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    const char *key = arena_printf(&c->mem, "%s %s %zu %llx", encoder_name(e), id, n, (unsigned long long)h);
    void *known;
    size_t known_bytes;
    int count;
    if (cache && lru_get(cache, key, strlen(key), &c->mem, &known, &known_bytes) && known_bytes == sizeof count) {
        memcpy(&count, known, sizeof count);
        return count;
    }
    count = tokenizer_spans(encoder_tokenizer(e), text, n, NULL, (int)n + 1);
    if (cache) lru_put(cache, key, strlen(key), &count, sizeof count);
    return count;
}

/* SPDX-License-Identifier: MIT */
/* tokenizer.json of strangers, and what a small Unigram tokenizer makes of any text. First byte: 'j' the rest is a
 * tokenizer.json, 'm' a character map (16-bit size before it) and a text, else a text. */
#include <stdlib.h>
#include <string.h>

#include "encoder/charsmap.h"
#include "encoder/tokenizer.h"

static void require(int yes)
{
    if (!yes) abort();
}

static const char small[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\"},{\"id\":1,\"content\":\"</s>\"},{\"id\":300,\"content\":\"<m>\",\"lstrip\":true,\"rstrip\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"},{\"type\":\"NFKC\"},{\"type\":\"Lowercase\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\"},"
    "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",1],\"cls\":[\"<s>\",0]},"
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":2,\"vocab\":[[\"<s>\",0],[\"</s>\",0],[\"<u>\",0],[\"\u2581\",-2],[\"a\",-3],[\"ab\",-3.5],[\"\u2581ab\",-4],"
    "[\"é\",-5],[\"bc\",-4],[\"c\",-4],[\"abc\",-9],[\"\u2581\u2581\",-3]]}}";

static void cut(const struct tokenizer *t, const char *text, size_t n)
{
    static int32_t  ids[65536], few[8];
    static uint32_t at[65536];
    int             count = tokenizer_encode(t, text, n, ids, 65536);
    require(count >= 2);
    for (int i = 0; i < count; i++) require(ids[i] >= 0 && ids[i] < tokenizer_size(t));
    require(tokenizer_spans(t, text, n, at, 65536) == count - 2);
    for (int i = 0; i + 2 < count; i++) require(at[i] < n && (i == 0 || at[i] >= at[i - 1]));
    int cut_count = tokenizer_encode(t, text, n, few, 8);
    require(cut_count == (count < 8 ? count : 8));
    for (int i = 0; i + 1 < cut_count; i++) require(few[i] == ids[i]);
}

static void map_text(struct call *c, const char *p, size_t n)
{
    if (n < 2) return;
    size_t size = (unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8, len;
    struct charsmap map;
    p += 2, n -= 2;
    if (size > n) size = n;
    char *own = malloc(size + 1);
    if (!own) abort();
    memcpy(own, p, size);
    if (!charsmap_parse(c, (const unsigned char *)own, size, &map))
        for (size_t i = size; i < n; i++) {
            const char *to = charsmap_find(&map, p + i, n - i, &len);
            require(!to || (to >= map.texts && to + len < map.texts + map.text_bytes && len <= CHARSMAP_TEXT_BYTES));
        }
    free(own);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char        sample[] = "An abc\u00e9 <m> \u00a0x <s>";
    static struct tokenizer *t;
    struct call              c;
    struct tokenizer        *own = NULL;
    call_init(&c);
    if (!t) require(tokenizer_read(&c, small, sizeof small - 1, &t) == OK);
    if (size && data[0] == 'j') {
        if (!tokenizer_read(&c, (const char *)data + 1, size - 1, &own)) cut(own, sample, sizeof sample - 1);
        tokenizer_free(own);
    } else if (size && data[0] == 'm') {
        map_text(&c, (const char *)data + 1, size - 1);
    } else {
        cut(t, (const char *)data, size);
    }
    call_dispose(&c);
    return 0;
}

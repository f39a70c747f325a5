/* What pdftotext prints, were it in a stranger's hands; and the splitter on whatever text the bytes are. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "writer_check.h"

#include "knowledge/split.h"

static void split_bytes(const char *p, size_t n)
{
    struct call c;
    struct split_piece *k;
    char *text = malloc(n + 1);
    assert(text);
    /* Pages are valid UTF-8 without NUL: extract_run sees to that. */
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(n - i), &cp);
        size_t used = len > 0 ? (size_t)len : 1;
        memcpy(text + i, len > 0 && cp ? p + i : "?", used);
        i += used;
    }
    text[n] = 0;
    struct extract_mark m = { .at = n / 3, .body_at = n / 2, .heading = "H" };
    while (m.at && ((unsigned char)text[m.at] & 0xc0) == 0x80) m.at--;
    while (m.body_at && ((unsigned char)text[m.body_at] & 0xc0) == 0x80) m.body_at--;
    struct extract_page page = { .text = text, .len = n, .heading = "", .marks = &m, .mark_count = 1 };
    call_init(&c);
    int count = split_page(&c, &page, &(struct split_opts){ .size = 20, .overlap = 7 }, &k);
    for (int i = 0; i < count; i++) {
        assert(k[i].start < k[i].end && k[i].end <= n);
        if (i) assert(k[i].end > k[i - 1].end && k[i].start > k[i - 1].start);
    }
    call_dispose(&c);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call c;
    struct extract_writer w;
    struct seen s;
    if (size < 1) return 0;
    FILE *f = fmemopen((void *)data, size, "r");
    assert(f);
    seen_begin(&s, &w, &c);
    enum err e = extract_pdf_read(&c, &w, f);
    seen_end(&s, &w, &c, e);
    fclose(f);
    split_bytes((const char *)data, size);
    return 0;
}

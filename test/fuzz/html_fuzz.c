/* The readers of text formats; the first byte chooses: HTML mostly, Markdown, records, plain text. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "writer_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call c;
    struct extract_writer w;
    struct seen s;
    if (size < 1) return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1;
    seen_begin(&s, &w, &c);
    enum err e = data[0] % 8 == 1   ? extract_markdown_read(&c, &w, p, n)
                 : data[0] % 8 == 2 ? extract_json_read(&c, &w, p, n)
                 : data[0] % 8 == 3 ? extract_text_read(&c, &w, p, n)
                                    : extract_html_read(&c, &w, p, n);
    seen_end(&s, &w, &c, e);
    return 0;
}

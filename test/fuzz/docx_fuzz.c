/* DOCX as strangers may send it. Odd first byte: the rest is a zip as it stands; even: it is the XML of a document.xml, so
 * that the fuzzer reaches the walker without having to make checksums. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "writer_check.h"

static void as_zip(const char *p, size_t n)
{
    struct call c;
    struct extract_writer w;
    struct seen s;
    seen_begin(&s, &w, &c);
    enum err e = extract_docx_read(&c, &w, p, n);
    seen_end(&s, &w, &c, e);
}

static void as_xml(const char *p, size_t n)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *to = zip_source_buffer_create(NULL, 0, 0, &why);
    zip_t *z = to ? zip_open_from_source(to, ZIP_TRUNCATE, &why) : NULL;
    assert(z);
    zip_source_keep(to);
    zip_source_t *part = zip_source_buffer(z, p, n, 0);
    zip_int64_t at = zip_file_add(z, "word/document.xml", part, 0);
    assert(at >= 0);
    zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_STORE, 0);
    int rc = zip_close(z);
    assert(rc == 0);
    rc = zip_source_open(to);
    assert(rc == 0);
    struct zip_stat st;
    zip_source_stat(to, &st);
    char *b = malloc(st.size + 1);
    assert(b);
    zip_int64_t got = zip_source_read(to, b, st.size);
    zip_source_close(to);
    zip_source_free(to);
    if (got > 0) as_zip(b, (size_t)got);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    if (data[0] & 1) as_zip((const char *)data + 1, size - 1);
    else as_xml((const char *)data + 1, size - 1);
    return 0;
}

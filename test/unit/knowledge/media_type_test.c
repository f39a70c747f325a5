/* What a file is, by its bytes. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail
#include "document_files.h"
#include "knowledge/media_type.h"

static const char *sniff(const void *p, size_t n, const char *name, enum media_kind *k)
{
    *k = MEDIA_KINDS;
    return media_type_sniff(p, n, p, n, name, k);
}

static void expect_kind(const char *text, const char *name, enum media_kind want)
{
    enum media_kind k;
    assert_null(sniff(text, strlen(text), name, &k));
    assert_int_equal(k, want);
}

static void the_kind_is_found_by_content_whatever_the_name_says(void **s)
{
    (void)s;
    expect_kind("%PDF-1.7\n1 0 obj", "notes.txt", MEDIA_PDF);
    expect_kind("<!DOCTYPE html><html><body>x", "plan.pdf.txt", MEDIA_HTML);
    expect_kind("  <!-- hi -->\n<html lang=en>", "x.md", MEDIA_HTML);
    expect_kind("# Plan\n\n- one\n- two\n", "plan.txt", MEDIA_MARKDOWN);
    expect_kind("---\ntitle: A\n---\nText", "a.txt", MEDIA_MARKDOWN);
    expect_kind("Just words.\nMore words.", "a.txt", MEDIA_TEXT);
    expect_kind("Just words.", "a.md", MEDIA_MARKDOWN);
    expect_kind("{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "a.txt", MEDIA_JSON);
    expect_kind("[\n  {\n \"name\": \"Squat\"}]", "a.json", MEDIA_JSON);
    expect_kind("<p>A paragraph", "a", MEDIA_HTML);
    expect_kind("<pressure is a word here", "a", MEDIA_TEXT);
    expect_kind("MZ is also how a sentence may begin.", "a.txt", MEDIA_TEXT);
    expect_kind("Peso: 80 kg, tama\xf1o y coraz\xf3n en Latin-1", "a.txt", MEDIA_TEXT);
    expect_kind("\xff\xfe" "H\0i\0", "a.txt", MEDIA_TEXT);
}

static void programs_images_and_archives_are_refused_with_what_they_look_like(void **s)
{
    (void)s;
    const struct { const char *bytes; size_t n; const char *name, *looks; } bad[] = {
        { "\x7f" "ELF\2\1\1\0\0\0", 10, "plan.pdf", "program" },
        { "MZ\x90\0\3\0\0\0", 8, "plan.pdf", "Windows program" },
        { "MZ this claims to be a PDF", 26, "plan.pdf", "Windows program" },
        { "#!/bin/sh\nrm -rf /\n", 19, "notes.txt", "script" },
        { "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "a.pdf", "PNG" },
        { "\xff\xd8\xff\xe0\0\x10JFIF\0", 11, "a.docx", "JPEG" },
        { "PK\3\4....mimetypeapplication/epub", 33, "a.docx", "zip archive" },
        { "PK\3\4....xl/workbook.xml....", 28, "a.docx", "Excel" },
        { "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "a.docx", "old Word" },
        { "{\\rtf1 hello}", 13, "a.txt", "RTF" },
        { "a\0b\0c\1\2\3", 8, "a.txt", "binary" },
        { "<?xml version=\"1.0\"?><svg xmlns=\"x\"/>", 37, "a.html", "SVG" },
        { "<?xml version=\"1.0\"?><rss/>", 27, "a.html", "XML" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        enum media_kind k;
        const char *looks = sniff(bad[i].bytes, bad[i].n, bad[i].name, &k);
        assert_non_null(looks);
        if (!strstr(looks, bad[i].looks)) assert_string_equal(looks, bad[i].looks);
    }
}

static void an_executable_renamed_pdf_is_refused_and_the_words_say_what_is_read(void **s) /* CRE-024 */
{
    (void)s;
    struct call c;
    struct media m;
    char path[] = "/tmp/chiron-media-XXXXXX";
    close(mkstemp(path));
    put_file(path, "\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16);
    call_init(&c);
    assert_int_equal(media_type_find(&c, path, "plan.pdf", &m), ERR_UNSUPPORTED_TYPE);
    assert_non_null(strstr(c.err_text, "looks like a Linux program"));
    assert_non_null(strstr(c.err_text, "PDF, DOCX, HTML, Markdown"));
    call_dispose(&c);
    unlink(path);
}

static void the_eicar_pattern_is_refused_wherever_it_stands(void **s) /* CRE-024 */
{
    (void)s;
    char path[] = "/tmp/chiron-media-XXXXXX";
    close(mkstemp(path));
    static const char a[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", b[] = "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
    size_t sizes[] = { 0, 1000, 256 * 1024 - 40, 600 * 1024 };
    for (size_t i = 0; i < 4; i++) {
        struct buf f;
        struct call c;
        struct media m;
        buf_init(&f, 1024 * 1024);
        while (f.len < sizes[i]) buf_addc(&f, f.len % 60 == 59 ? '\n' : 'w');
        buf_adds(&f, a);
        buf_adds(&f, b);
        buf_adds(&f, "\nmore words");
        put_file(path, f.data, f.len);
        call_init(&c);
        assert_int_equal(media_type_find(&c, path, "a.txt", &m), ERR_UNSUPPORTED_TYPE);
        assert_non_null(strstr(c.err_text, "EICAR"));
        call_dispose(&c);
        buf_dispose(&f);
    }
    assert_false(media_type_eicar("EICAR is a test", 15));
    unlink(path);
}

static void an_empty_file_is_invalid_and_a_missing_one_not_found(void **s)
{
    (void)s;
    char path[] = "/tmp/chiron-media-XXXXXX";
    struct media m;
    struct call c;
    close(mkstemp(path));
    call_init(&c);
    assert_int_equal(media_type_find(&c, path, "a.txt", &m), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "empty"));
    call_dispose(&c);
    unlink(path);
    call_init(&c);
    assert_int_equal(media_type_find(&c, path, "a.txt", &m), ERR_NOT_FOUND);
    call_dispose(&c);
}

static void a_docx_is_a_zip_with_a_word_document(void **s)
{
    (void)s;
    char path[] = "/tmp/chiron-media-XXXXXX";
    struct media m;
    struct call c;
    close(mkstemp(path));
    zip_make(path, (const char *const[]){ "[Content_Types].xml", "<Types/>", "word/document.xml", DOCX_OPEN DOCX_CLOSE, NULL });
    call_init(&c);
    assert_int_equal(media_type_find(&c, path, "a.txt", &m), OK);
    assert_int_equal(m.kind, MEDIA_DOCX);
    call_dispose(&c);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_found_by_content_whatever_the_name_says),
        cmocka_unit_test(programs_images_and_archives_are_refused_with_what_they_look_like),
        cmocka_unit_test(an_executable_renamed_pdf_is_refused_and_the_words_say_what_is_read),
        cmocka_unit_test(the_eicar_pattern_is_refused_wherever_it_stands),
        cmocka_unit_test(an_empty_file_is_invalid_and_a_missing_one_not_found),
        cmocka_unit_test(a_docx_is_a_zip_with_a_word_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

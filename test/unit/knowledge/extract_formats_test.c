/* What each format's reader makes of good and bad bytes, in this process. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail
#include "document_files.h"

typedef enum err (*read_fn)(struct call *c, struct extract_writer *w, const char *p, size_t n);

static struct call c;
static struct extract_writer w;
static struct kept k;

static enum err read_bytes(read_fn f, const void *p, size_t n)
{
    call_init(&c);
    kept_init(&k, &w);
    enum err e = f(&c, &w, p, n);
    kept_read(&k);
    return e;
}

static enum err read_string(read_fn f, const char *s)
{
    return read_bytes(f, s, strlen(s));
}

static void done(void)
{
    kept_dispose(&k, &w);
    call_dispose(&c);
}

/* ---- text ---- */

static void text_is_cleaned_but_not_changed(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_text_read, "\n\nOne  two\t three \r\n\r\n\r\n\r\nfour\rfive\x01\x07 e\xef\xac\x83" "cient so\xc2\xad" "ft\n"), OK);
    assert_string_equal(k.text.data, "One two three\n\nfour\nfive efficient soft\n");
    assert_string_equal(k.note, "");
    done();
}

static void text_in_another_encoding_is_read_and_the_document_says_so(void **s)
{
    (void)s;
    assert_int_equal(read_bytes(extract_text_read, "\xff\xfeH\0\xf3\0l\0a\0=\xd8\xaa\xdc", 14), OK);
    assert_string_equal(k.text.data, "H\xc3\xb3la\xf0\x9f\x92\xaa\n");
    assert_string_equal(k.note, "read as UTF-16LE");
    done();
    assert_int_equal(read_bytes(extract_text_read, "\xfe\xff\0H\0i", 6), OK);
    assert_string_equal(k.text.data, "Hi\n");
    done();
    assert_int_equal(read_string(extract_text_read, "coraz\xf3n \x93quoted\x94 5 \x80"), OK);
    assert_string_equal(k.text.data, "coraz\xc3\xb3n \xe2\x80\x9cquoted\xe2\x80\x9d 5 \xe2\x82\xac\n");
    assert_non_null(strstr(k.note, "Windows-1252"));
    done();
    assert_int_equal(read_string(extract_text_read, "\xef\xbb\xbfWith a mark"), OK);
    assert_string_equal(k.text.data, "With a mark\n");
    done();
}

static void characters_cut_between_two_pieces_are_whole_again(void **s)
{
    (void)s;
    const char *text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xaaz\xc3(";
    for (size_t cut = 1; cut < strlen(text); cut++) {
        kept_init(&k, &w);
        writer_text(&w, text, cut);
        writer_text(&w, text + cut, strlen(text) - cut);
        writer_page_end(&w, 0);
        kept_read(&k);
        assert_string_equal(k.text.data, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xaaz\xef\xbf\xbd(\n");
        kept_dispose(&k, &w);
    }
}

/* ---- markdown ---- */

static void markdown_is_kept_and_its_headings_are_seen(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_markdown_read,
                            "---\ntitle: \"The Plan\"\nlang: es\n---\n# Start #\ntext\n- a\n  - b\n\n```\n# no heading\n```\nUnder\n=====\n\n##  Deep\n#notitle\n"), OK);
    assert_string_equal(k.title, "The Plan");
    assert_string_equal(k.language, "es");
    assert_string_equal(k.headings, "1:Start\n1:Under\n2:Deep\n");
    assert_non_null(strstr(k.text.data, "- a\n  - b\n\n```\n# no heading\n```"));
    assert_null(strstr(k.text.data, "title:"));
    done();
    assert_int_equal(read_string(extract_markdown_read, "# First\n## Second\n"), OK);
    assert_string_equal(k.title, "First");
    done();
    assert_int_equal(read_string(extract_markdown_read, "---\nnot closed\n"), OK);
    assert_string_equal(k.text.data, "---\nnot closed\n");
    done();
}

/* ---- records ---- */

static void each_record_is_a_section_of_its_own(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_json_read,
                            "[{\"name\":\"Squat\",\"instructions\":[\"Stand up. Breathe.\",\"Go down.\"],\"primaryMuscles\":[\"quads\",\"glutes\"],\"mechanic\":null,"
                            "\"images\":[\"a.jpg\"],\"id\":\"sq\",\"rest_seconds\":90,\"timed\":true},{\"name\":\"Plank\",\"level\":\"beginner\"}]"), OK);
    assert_string_equal(k.headings, "0:Squat\n0:Plank\n");
    assert_string_equal(k.text.data, "Squat\n\nPrimary muscles: quads, glutes\nRest seconds: 90\nTimed: yes\n\nInstructions:\nStand up. Breathe.\nGo down.\n\n"
                                     "Plank\n\nLevel: beginner\n");
    done();
    assert_int_equal(read_string(extract_json_read, "{\"title\":\"A\",\"text\":\"One.\\n\\nTwo.\",\"metadata\":{\"x\":1}}\n\n{\"id\":\"b7\",\"text\":\"Three\"}\n"), OK);
    assert_string_equal(k.headings, "0:A\n0:b7\n");
    assert_string_equal(k.text.data, "A\n\nOne.\n\nTwo.\n\nb7\n\nThree\n");
    done();
}

static void broken_records_are_refused_with_their_line(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_json_read, "{\"text\":\"a\"}\n{\"text\":\n"), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "line "));
    done();
    assert_int_equal(read_string(extract_json_read, "[{\"a\":1},\n"), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "cut off"));
    done();
    assert_int_equal(read_string(extract_json_read, "{\"a\":1}\n[1,2]\n"), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "line 2"));
    done();
    struct buf deep;
    buf_init(&deep, 1 << 20);
    buf_adds(&deep, "{\"a\":");
    for (int i = 0; i < 100000; i++) buf_addc(&deep, '[');
    assert_int_equal(read_bytes(extract_json_read, deep.data, deep.len), ERR_INVALID);
    done();
    buf_dispose(&deep);
}

/* ---- html ---- */

static void html_gives_its_main_text_with_headings_lists_and_tables(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_html_read,
                            "<!doctype html><html lang='es'><head><title> My &amp; page </title><style>p{}</style></head><body><nav>Home About</nav>"
                            "<h1>Plan</h1><p>First <b>bold</b>\nline.</p><script>alert('x')</script><h2>Days</h2><ul><li>One</li><li><p>Two</p></li></ul>"
                            "<table><tr><th>Set</th><th>Reps</th></tr><tr><td>1</td><td>10</td></tr></table><pre>a  b\n c</pre><footer>foot</footer></body></html>"), OK);
    assert_string_equal(k.title, "My & page");
    assert_string_equal(k.language, "es");
    assert_string_equal(k.headings, "1:Plan\n2:Days\n");
    assert_string_equal(k.text.data, "Plan\n\nFirst bold line.\n\nDays\n\n- One\n- Two\n\nSet | Reps\n1 | 10\n\na  b\n c\n");
    done();
    assert_int_equal(read_string(extract_html_read, "<html><body><div>menu menu</div><main><h1>T</h1><p>The words that count stand here.</p></main></body></html>"), OK);
    assert_string_equal(k.text.data, "T\n\nThe words that count stand here.\n");
    done();
}

static void html_in_another_encoding_is_read_as_it_says(void **s)
{
    (void)s;
    assert_int_equal(read_string(extract_html_read, "<html><head><meta charset=windows-1251></head><body><p>\xcf\xf0\xe8\xe2\xe5\xf2</p></body></html>"), OK);
    assert_string_equal(k.text.data, "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\n");
    assert_non_null(strstr(k.note, "windows-1251"));
    done();
}

static void html_nested_too_deep_is_refused(void **s)
{
    (void)s;
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_adds(&b, "<html><body>");
    for (int i = 0; i < 200000; i++) buf_adds(&b, "<div>");
    buf_adds(&b, "deep");
    assert_int_equal(read_bytes(extract_html_read, b.data, b.len), ERR_TOO_LARGE);
    assert_non_null(strstr(c.err_text, "nested deeper than"));
    done();
    buf_dispose(&b);
}

/* ---- docx ---- */

static const char *zip_path(void)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/chiron-docx-%d", (int)getpid());
    return path;
}

static enum err read_docx(const char *const *parts)
{
    size_t n;
    zip_make(zip_path(), parts);
    char *p = file_get(zip_path(), &n);
    unlink(zip_path());
    enum err e = read_bytes(extract_docx_read, p, n);
    free(p);
    return e;
}

static void docx_gives_headings_by_style_lists_tables_and_no_deleted_text(void **s)
{
    (void)s;
    assert_int_equal(read_docx((const char *const[]){
        "word/styles.xml", "<w:styles xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:style w:type='paragraph' w:styleId='Ttulo1'>"
                           "<w:name w:val='heading 1'/></w:style></w:styles>",
        "docProps/core.xml", "<cp:coreProperties xmlns:cp='x' xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:title>Recovery</dc:title></cp:coreProperties>",
        "word/document.xml", DOCX_OPEN "<w:p><w:pPr><w:pStyle w:val='Ttulo1'/></w:pPr><w:r><w:t>Sue</w:t></w:r><w:r><w:t>\xc3\xb1o</w:t></w:r></w:p>"
                             "<w:p><w:r><w:t xml:space='preserve'>Sleep </w:t></w:r><w:del><w:r><w:delText>never </w:delText><w:t>gone</w:t></w:r></w:del><w:r><w:t>well.</w:t></w:r></w:p>"
                             "<w:p><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr><w:r><w:t>one</w:t></w:r></w:p>"
                             "<w:p><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr><w:r><w:t>two</w:t></w:r></w:p>"
                             "<w:tbl><w:tr><w:tc>" DOCX_P("Set") "</w:tc><w:tc>" DOCX_P("Reps") "</w:tc></w:tr><w:tr><w:tc>" DOCX_P("1") "</w:tc><w:tc>" DOCX_P("10") DOCX_P("max")
                             "</w:tc></w:tr></w:tbl>" DOCX_P("End") DOCX_CLOSE, NULL }), OK);
    assert_string_equal(k.title, "Recovery");
    assert_string_equal(k.headings, "1:Sue\xc3\xb1o\n");
    assert_string_equal(k.text.data, "Sue\xc3\xb1o\n\nSleep well.\n\n- one\n- two\n\nSet | Reps\n1 | 10 max\n\nEnd\n");
    done();
}

static void docx_text_boxes_are_read_once(void **s)
{
    (void)s;
    assert_int_equal(read_docx((const char *const[]){ "word/document.xml",
        DOCX_OPEN "<w:p><w:r><w:t>Before.</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>" DOCX_P("In the box.") "</w:txbxContent></mc:Choice>"
        "<mc:Fallback><w:txbxContent>" DOCX_P("In the box.") "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>" DOCX_CLOSE, NULL }), OK);
    assert_string_equal(k.text.data, "Before.\n\nIn the box.\n");
    done();
}

static void entities_and_dtds_in_docx_are_refused(void **s)
{
    (void)s;
    assert_int_equal(read_docx((const char *const[]){ "word/document.xml",
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>"
        "<!ENTITY f SYSTEM 'file:///etc/passwd'>]><w:document xmlns:w='x'><w:p><w:t>&c;&f;</w:t></w:p></w:document>", NULL }), ERR_INVALID);
    if (!strstr(c.err_text, "entity")) assert_string_equal(c.err_text, "words about an entity");
    assert_null(strstr(k.text.data, "root:"));
    done();
}

static void a_zip_bomb_is_stopped_by_what_it_really_unpacks(void **s)
{
    (void)s;
    struct buf b;
    buf_init(&b, 64 << 20);
    buf_adds(&b, DOCX_OPEN);
    for (int i = 0; i < 1200000; i++) buf_adds(&b, "<w:p></w:p>             ");
    buf_adds(&b, DOCX_CLOSE);
    assert_int_equal(read_docx((const char *const[]){ "word/document.xml", b.data, NULL }), ERR_TOO_LARGE);
    assert_non_null(strstr(c.err_text, "zip bomb"));
    done();
    buf_dispose(&b);
}

static void damaged_and_deep_docx_are_refused(void **s)
{
    (void)s;
    size_t n;
    zip_make(zip_path(), (const char *const[]){ "word/document.xml", DOCX_OPEN DOCX_P("Hello") DOCX_CLOSE, NULL });
    char *p = file_get(zip_path(), &n);
    unlink(zip_path());
    assert_int_equal(read_bytes(extract_docx_read, p, n / 2), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "damaged"));
    done();
    free(p);
    assert_int_equal(read_docx((const char *const[]){ "word/other.xml", "<x/>", NULL }), ERR_INVALID);
    done();
    assert_int_equal(read_docx((const char *const[]){ "word/document.xml", DOCX_OPEN "<w:p><w:t>cut", NULL }), ERR_INVALID);
    done();
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_adds(&b, DOCX_OPEN);
    for (int i = 0; i < 5000; i++) buf_adds(&b, "<w:sdt>");
    assert_int_equal(read_docx((const char *const[]){ "word/document.xml", b.data, NULL }), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "nested too deep"));
    done();
    buf_dispose(&b);
}

/* ---- pdf ---- */

static enum err read_pdf(const char *bbox)
{
    FILE *f = fmemopen((void *)bbox, strlen(bbox), "r");
    call_init(&c);
    kept_init(&k, &w);
    enum err e = extract_pdf_read(&c, &w, f);
    fclose(f);
    kept_read(&k);
    return e;
}

#define LINE(x0, y0, x1, y1, s) "<line xMin=\"" #x0 "\" yMin=\"" #y0 "\" xMax=\"" #x1 "\" yMax=\"" #y1 "\">\n<word xMin=\"0\" yMin=\"0\" xMax=\"0\" yMax=\"0\">" s "</word>\n</line>\n"

static void pdf_lines_become_paragraphs_headings_lists_and_rows(void **s)
{
    (void)s;
    assert_int_equal(read_pdf("<title>A &amp; B</title>\n<page>\n<block >\n" LINE(50, 40, 200, 60, "Sleep") "</block>\n<block >\n"
                              LINE(50, 80, 400, 90, "Good sleep needs exer-") LINE(50, 92, 400, 102, "cise and a dark room &lt;3") "</block>\n<block >\n"
                              LINE(50, 120, 55, 130, "\xe2\x80\xa2") "</block>\n<block >\n" LINE(50, 134, 55, 144, "\xe2\x80\xa2") "</block>\n<block >\n"
                              LINE(70, 120, 200, 130, "first item of the list") "</block>\n<block >\n" LINE(70, 134, 200, 144, "second item of the list") "</block>\n<block >\n"
                              LINE(50, 160, 90, 170, "Week") "</block>\n<block >\n" LINE(150, 160, 190, 170, "Sets") "</block>\n<block >\n"
                              LINE(290, 800, 300, 810, "7") "</block>\n</page>\n<page>\n<block >\n" LINE(50, 40, 300, 50, "On the second page.") "</block>\n</page>\n"), OK);
    assert_string_equal(k.title, "A & B");
    assert_string_equal(k.headings, "1:Sleep\n");
    assert_string_equal(k.text.data, "Sleep\n\nGood sleep needs exercise and a dark room <3\n\n- first item of the list\n- second item of the list\n\nWeek | Sets\n"
                                     "On the second page.\n");
    assert_int_equal(k.pages, 2);
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cleaned_but_not_changed),
        cmocka_unit_test(text_in_another_encoding_is_read_and_the_document_says_so),
        cmocka_unit_test(characters_cut_between_two_pieces_are_whole_again),
        cmocka_unit_test(markdown_is_kept_and_its_headings_are_seen),
        cmocka_unit_test(each_record_is_a_section_of_its_own),
        cmocka_unit_test(broken_records_are_refused_with_their_line),
        cmocka_unit_test(html_gives_its_main_text_with_headings_lists_and_tables),
        cmocka_unit_test(html_in_another_encoding_is_read_as_it_says),
        cmocka_unit_test(html_nested_too_deep_is_refused),
        cmocka_unit_test(docx_gives_headings_by_style_lists_tables_and_no_deleted_text),
        cmocka_unit_test(docx_text_boxes_are_read_once),
        cmocka_unit_test(entities_and_dtds_in_docx_are_refused),
        cmocka_unit_test(a_zip_bomb_is_stopped_by_what_it_really_unpacks),
        cmocka_unit_test(damaged_and_deep_docx_are_refused),
        cmocka_unit_test(pdf_lines_become_paragraphs_headings_lists_and_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

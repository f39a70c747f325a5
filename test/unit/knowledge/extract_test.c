/* The child process: what it may do, what it reads, and how the parent ends it. This program is its own child. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#undef fail
#include "document_files.h"

#include "base/clock.h"
#include "knowledge/extract.h"
#include "knowledge/sandbox.h"

static char path[64];
static struct call c;
static struct extract_info info;
static struct buf text;
static int pages, marks;
static char last_heading[256];

static int setup(void **s)
{
    (void)s;
    snprintf(path, sizeof(path), "/tmp/chiron-extract-%d", (int)getpid());
    call_init(&c);
    buf_init(&text, 256 << 20);
    pages = marks = 0;
    last_heading[0] = 0;
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_dispose(&c);
    buf_dispose(&text);
    unlink(path);
    return 0;
}

static enum err on_page(void *arg, const struct extract_page *p, const struct extract_info *i)
{
    (void)arg, (void)i;
    pages++;
    marks += p->mark_count;
    buf_add(&text, p->text, p->len);
    for (int k = 0; k < p->mark_count; k++) snprintf(last_heading, sizeof(last_heading), "%s", p->marks[k].heading);
    return OK;
}

static enum err run(enum media_kind kind)
{
    return extract_run(&c, path, kind, on_page, NULL, &info);
}

static enum err run_bytes(enum media_kind kind, const void *p, size_t n)
{
    put_file(path, p, n);
    return run(kind);
}

static const char *numbered_page(int page)
{
    static char b[4096];
    size_t n = (size_t)snprintf(b, sizeof(b), "Chapter %d\n", page);
    for (int i = 0; i < 20; i++) n += (size_t)snprintf(b + n, sizeof(b) - n, "On page %d line %d tells how to train with care and patience.\n", page, i);
    return b;
}

static const char *no_text(int page)
{
    (void)page;
    return "";
}

static void a_pdf_is_read_page_by_page_with_its_headings(void **s) /* CRE-024 */
{
    (void)s;
    struct buf b;
    pdf_make(&b, 3, numbered_page);
    assert_int_equal(run_bytes(MEDIA_PDF, b.data, b.len), OK);
    buf_dispose(&b);
    assert_int_equal(pages, 3);
    assert_int_equal(info.pages, 3);
    assert_int_equal(marks, 3);
    assert_string_equal(last_heading, "Chapter 3");
    assert_non_null(strstr(text.data, "On page 2 line 19 tells how to train"));
}

static void a_pdf_of_500_pages_is_read_whole(void **s)
{
    (void)s;
    struct buf b;
    pdf_make(&b, 500, numbered_page);
    assert_int_equal(run_bytes(MEDIA_PDF, b.data, b.len), OK);
    buf_dispose(&b);
    assert_int_equal(pages, 500);
    assert_non_null(strstr(text.data, "On page 500 line 19"));
}

static void a_scanned_pdf_a_cut_off_pdf_and_noise_are_refused_with_words(void **s)
{
    (void)s;
    struct buf b;
    pdf_make(&b, 2, no_text);
    assert_int_equal(run_bytes(MEDIA_PDF, b.data, b.len), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "looks scanned"));
    buf_dispose(&b);
    call_forgive(&c);
    assert_int_equal(run_bytes(MEDIA_PDF, "%PDF-1.7\nnothing of the kind", 28), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "damaged"));
}

static void a_pdf_behind_a_password_is_refused_and_says_so(void **s)
{
    (void)s;
    const char *fixture = "test/fixtures/password.pdf";
    size_t n;
    if (access(fixture, R_OK) != 0) {
        print_message("skipped: %s is not here\n", fixture);
        skip();
    }
    char *p = file_get(fixture, &n);
    assert_int_equal(run_bytes(MEDIA_PDF, p, n), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "password"));
    free(p);
}

static void every_other_kind_comes_through_the_child(void **s)
{
    (void)s;
    assert_int_equal(run_bytes(MEDIA_TEXT, "Plain words.", 12), OK);
    assert_int_equal(run_bytes(MEDIA_MARKDOWN, "# A\n## B\nwords", 14), OK);
    assert_string_equal(last_heading, "A > B");
    assert_int_equal(run_bytes(MEDIA_HTML, "<html><body><p>Web words.", 25), OK);
    assert_int_equal(run_bytes(MEDIA_JSON, "{\"title\":\"R\",\"text\":\"Record words.\"}", 37 - 1), OK);
    assert_string_equal(last_heading, "R");
    zip_make(path, (const char *const[]){ "word/document.xml", DOCX_OPEN DOCX_P("Word words.") DOCX_CLOSE, NULL });
    assert_int_equal(run(MEDIA_DOCX), OK);
    assert_string_equal(text.data, "Plain words.\n# A\n\n## B\n\nwords\nWeb words.\nR\n\nRecord words.\nWord words.\n");
}

static void a_file_without_text_is_invalid(void **s)
{
    (void)s;
    assert_int_equal(run_bytes(MEDIA_TEXT, " \n\n ", 4), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "no text"));
}

static void an_error_of_the_page_function_ends_the_child(void **s)
{
    (void)s;
    atomic_bool stop = true;
    struct buf b;
    pdf_make(&b, 50, numbered_page);
    put_file(path, b.data, b.len);
    buf_dispose(&b);
    c.stop = &stop;
    int64_t began = clock_mono_ms();
    assert_int_equal(run(MEDIA_PDF), ERR_CANCELLED);
    assert_true(clock_mono_ms() - began < 5000);
    c.stop = NULL;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);    /* nobody left behind */
}

static void the_eicar_pattern_inside_a_document_is_refused(void **s) /* CRE-024 */
{
    (void)s;
    static const char a[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", z[] = "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
    char doc[512];
    snprintf(doc, sizeof(doc), DOCX_OPEN "<w:p><w:r><w:t>%s%s</w:t></w:r></w:p>" DOCX_CLOSE, a, z);
    zip_make(path, (const char *const[]){ "word/document.xml", doc, NULL });
    assert_int_equal(run(MEDIA_DOCX), ERR_UNSUPPORTED_TYPE);
    assert_non_null(strstr(c.err_text, "EICAR"));
}

/* A child that is not what it should be: a script in its place. */
static enum err run_script(const char *script)
{
    static char program[80];
    snprintf(program, sizeof(program), "%s.sh", path);
    put_file(program, script, strlen(script));
    if (chmod(program, 0700)) abort();
    put_file(path, "words", 5);
    setenv("CHIRON_EXE", program, 1);
    call_forgive(&c);
    enum err e = run(MEDIA_TEXT);
    unsetenv("CHIRON_EXE");
    unlink(program);
    return e;
}

static void a_child_that_lies_or_dies_is_not_believed(void **s)
{
    (void)s;
    assert_int_equal(run_script("#!/bin/sh\nprintf 'X\\377\\377\\377\\377abc'\n"), ERR_INVALID);               /* a length past all bounds */
    assert_int_equal(run_script("#!/bin/sh\nprintf 'X\\2\\0\\0\\0\\377\\376P\\1\\0\\0\\0000'\n"), ERR_INVALID); /* not UTF-8 */
    assert_int_equal(run_script("#!/bin/sh\nprintf 'H\\12\\0\\0\\0\\11\\0\\0\\0\\11\\0\\0\\0\\1A'\n"), ERR_INVALID); /* a mark past the text */
    assert_int_equal(run_script("#!/bin/sh\nprintf 'P\\1\\0\\0\\0007'\n"), ERR_INVALID);                        /* page 7 comes first */
    assert_int_equal(run_script("#!/bin/sh\nprintf '?\\0\\0\\0\\0'\n"), ERR_INVALID);                             /* an unknown frame */
    assert_int_equal(run_script("#!/bin/sh\nexit 3\n"), ERR_INTERNAL);
    assert_non_null(strstr(c.err_text, "status 3"));
    assert_int_equal(run_script("#!/bin/sh\nkill -SEGV $$\n"), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "signal 11"));
    assert_int_equal(run_script("#!/bin/sh\nkill -XCPU $$\n"), ERR_TOO_LARGE);
    assert_int_equal(pages, 0);
}

/* What the cage lets through, as bits; run in a process of its own. */
static int try_everything(void)
{
    struct call own;
    int open_doors = 0, fd;
    call_init(&own);
    sandbox_limits();
    if (sandbox_enter(&own)) return 255;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) open_doors |= 1;
    if (open("/tmp/chiron-sandbox-escape", O_WRONLY | O_CREAT, 0600) >= 0) open_doors |= 2;
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) open_doors |= 4;
    execl("/bin/true", "true", (char *)NULL);
    if ((fd = open("/etc/passwd", O_RDONLY)) >= 0) open_doors |= 16;
    if (kill(getppid(), 0) == 0) open_doors |= 32;
    if (unlink("/tmp/chiron-sandbox-nothing") == 0 || errno == ENOENT) open_doors |= 64;
    return open_doors;
}

static void the_child_has_no_network_no_writes_no_programs_and_no_children(void **s)
{
    (void)s;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) _exit(try_everything());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    /* Reading other files is shut by Landlock, which a kernel may lack. */
    assert_int_equal(WEXITSTATUS(status) & ~16, 0);
    if (WEXITSTATUS(status) & 16) print_message("note: this kernel has no Landlock; the child can read files\n");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__extract") == 0) return extract_child_main(argc - 1, argv + 1);
    unsetenv("CHIRON_EXE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pdf_is_read_page_by_page_with_its_headings, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pdf_of_500_pages_is_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scanned_pdf_a_cut_off_pdf_and_noise_are_refused_with_words, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pdf_behind_a_password_is_refused_and_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(every_other_kind_comes_through_the_child, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_without_text_is_invalid, setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_of_the_page_function_ends_the_child, setup, teardown),
        cmocka_unit_test_setup_teardown(the_eicar_pattern_inside_a_document_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_that_lies_or_dies_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_child_has_no_network_no_writes_no_programs_and_no_children, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Documents from the door to the index: durable, known again, replaced, removed, resumed. Without an encoder: words only. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdatomic.h>
#include <sys/stat.h>

#undef fail
#include "document_files.h"

#include "base/id.h"
#include "encoder/encoder.h"
#include "knowledge/extract.h"
#include "knowledge/ingest.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"

static char folder[64];
static struct call c;
static const struct job_kind *const kinds[] = { &ingest_kind, NULL };

#define OKAY(x)                                                                                                                                  \
    do {                                                                                                                                         \
        if ((x) != OK) {                                                                                                                         \
            print_error("%s: %s\n", #x, c.err_text);                                                                                            \
            _fail(__FILE__, __LINE__);                                                                                                           \
        }                                                                                                                                        \
    } while (0)

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static int setup(void **s)
{
    bool made;
    (void)s;
    static const struct setting *const tables[] = { store_settings, knowledge_settings, encoder_settings, NULL };
    snprintf(folder, sizeof(folder), "/tmp/chiron-ingest-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    call_init(&c);
    OKAY(conf_load(&c, tables, "/dev/null"));
    OKAY(store_open(&c, folder));
    OKAY(tenant_create(&c, "coach", "Coach", &made));
    OKAY(tenant_open(&c, "coach"));
    c.rights = ~0u;
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    tenant_release(&c);
    store_close();
    conf_free();
    call_dispose(&c);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static const char *add(const char *text, const struct ingest_opts *o)
{
    const char *id, *job;
    bool known;
    OKAY(document_add_text(&c, text, strlen(text), o, &id, &job, &known));
    assert_false(known);
    OKAY(jobs_run_here(&c, kinds, job));
    return id;
}

static int64_t count(const char *what)
{
    struct conn *r = NULL;
    int64_t n = -1;
    OKAY(db_read(&c, tenant_db(c.tenant), &r));
    if (!strcmp(what, "chunk")) OKAY(db_get_int(&c, r, 0, &n, "SELECT count(*) FROM chunk"));
    else if (!strcmp(what, "search_item")) OKAY(db_get_int(&c, r, 0, &n, "SELECT count(*) FROM search_item"));
    else if (!strcmp(what, "staged_chunk")) OKAY(db_get_int(&c, r, 0, &n, "SELECT count(*) FROM staged_chunk"));
    else if (!strcmp(what, "document")) OKAY(db_get_int(&c, r, 0, &n, "SELECT count(*) FROM document"));
    else if (!strcmp(what, "document_page")) OKAY(db_get_int(&c, r, 0, &n, "SELECT count(*) FROM document_page"));
    db_release(&r);
    return n;
}

static bool file_there(const char *sha256)
{
    return access(document_file(&c, sha256), F_OK) == 0;
}

static void a_text_becomes_chunks_that_are_spans_of_it_with_their_headings(void **s) /* ARC-004, ARC-005 */
{
    (void)s;
    struct document d;
    struct chunk *k;
    const char *text;
    int64_t start, total;
    int n;
    const char *id = add("# Handbook\n\n## Sleep\n\nSleep eight hours.\n\n## Food\n\nEat protein every day.\n",
                         &(struct ingest_opts){ .filename = "handbook.md", .metadata = "{\"topic\":\"basics\"}" });
    OKAY(document_get(&c, id, &d));
    assert_int_equal(d.state, DOCUMENT_READY);
    assert_string_equal(d.title, "Handbook");
    assert_string_equal(d.media_type, "text/markdown");
    assert_string_equal(d.language, "en");
    assert_string_equal(d.metadata, "{\"topic\":\"basics\"}");
    assert_int_equal(d.version, 1);
    OKAY(document_chunks(&c, id, &k, &n));
    assert_int_equal(n, 2);
    assert_int_equal(d.chunks, 2);
    OKAY(document_text(&c, id, 0, &text, &start, &total));
    for (int i = 0; i < n; i++) {
        assert_int_equal(strlen(k[i].text), k[i].end_byte - k[i].start_byte);
        assert_memory_equal(text + k[i].start_byte, k[i].text, strlen(k[i].text));
    }
    assert_string_equal(k[0].heading, "Sleep");
    assert_string_equal(k[1].heading, "Food");
    assert_int_equal(count("search_item"), 2);
    assert_int_equal(count("staged_chunk"), 0);
}

static void the_same_bytes_are_known_again_unless_something_else_is_asked(void **s)
{
    (void)s;
    const char *id, *job, *first = add("The very same words.", &(struct ingest_opts){ 0 });
    bool known;
    OKAY(document_add_text(&c, "The very same words.", 20, &(struct ingest_opts){ 0 }, &id, &job, &known));
    assert_true(known);
    assert_string_equal(id, first);
    assert_null(job);
    OKAY(document_add_text(&c, "The very same words.", 20, &(struct ingest_opts){ .content_type = "goal" }, &id, &job, &known));
    assert_false(known);
    OKAY(document_add_text(&c, "The very same words.", 20, &(struct ingest_opts){ .user_id = "u1" }, &id, &job, &known));
    assert_false(known);
    OKAY(document_add_text(&c, "The very same words.", 20, &(struct ingest_opts){ .user_id = "u1" }, &id, &job, &known));
    assert_true(known);                                   /* queued counts too */
    assert_non_null(job);
}

static void a_new_version_takes_the_place_of_the_old_only_when_it_is_whole(void **s)
{
    (void)s;
    struct document d;
    struct chunk *k;
    int n;
    const char *again, *job, *id = add("Old words about squats.", &(struct ingest_opts){ .title = "Plan" });
    bool known;
    OKAY(document_get(&c, id, &d));
    const char *old_sha = d.sha256;
    OKAY(document_add_text(&c, "New words about rows.", 21, &(struct ingest_opts){ .title = "Plan", .replace_id = id }, &again, &job, &known));
    assert_string_equal(again, id);
    OKAY(document_chunks(&c, id, &k, &n));
    assert_string_equal(k[0].text, "Old words about squats.");
    OKAY(jobs_run_here(&c, kinds, job));
    OKAY(document_chunks(&c, id, &k, &n));
    assert_int_equal(n, 1);
    assert_string_equal(k[0].text, "New words about rows.");
    OKAY(document_get(&c, id, &d));
    assert_int_equal(d.version, 2);
    assert_false(file_there(old_sha));
    assert_true(file_there(d.sha256));
    assert_int_equal(count("search_item"), 1);
    /* One that cannot be read leaves the old answering. */
    OKAY(document_add_text(&c, "{\"a\":", 5, &(struct ingest_opts){ .title = "Plan", .filename = "x.json", .replace_id = id }, &again, &job, &known));
    assert_int_equal(jobs_run_here(&c, kinds, job), ERR_INVALID);
    call_forgive(&c);
    OKAY(document_get(&c, id, &d));
    assert_int_equal(d.state, DOCUMENT_READY);
    assert_int_equal(d.version, 2);
    OKAY(document_chunks(&c, id, &k, &n));
    assert_string_equal(k[0].text, "New words about rows.");
    assert_int_equal(document_add_text(&c, "x y", 3, &(struct ingest_opts){ .replace_id = "doc_none" }, &again, &job, &known), ERR_NOT_FOUND);
}

static void removing_takes_everything_and_the_file(void **s)
{
    (void)s;
    struct document d;
    const char *id = add("Words to be removed.", &(struct ingest_opts){ 0 }), *other, *job;
    bool known;
    OKAY(document_get(&c, id, &d));
    OKAY(document_add_text(&c, "Words to be removed.", 20, &(struct ingest_opts){ .content_type = "goal" }, &other, &job, &known));
    OKAY(document_remove(&c, id));
    assert_true(file_there(d.sha256));                    /* the other still counts on it */
    assert_int_equal(count("chunk"), 0);
    assert_int_equal(count("search_item"), 0);
    assert_int_equal(count("document_page"), 0);
    OKAY(document_remove(&c, other));
    assert_false(file_there(d.sha256));
    assert_int_equal(count("document"), 0);
    assert_int_equal(jobs_run_here(&c, kinds, job), ERR_CANCELLED);
    call_forgive(&c);
    assert_int_equal(document_remove(&c, id), ERR_NOT_FOUND);
}

static void a_file_that_cannot_be_read_is_failed_with_words_and_leaves_no_file(void **s)
{
    (void)s;
    struct document d;
    const char *id, *job;
    bool known;
    OKAY(document_add_text(&c, "[{\"a\":1},", 9, &(struct ingest_opts){ .filename = "x.json" }, &id, &job, &known));
    OKAY(document_get(&c, id, &d));
    assert_true(file_there(d.sha256));
    assert_int_equal(jobs_run_here(&c, kinds, job), ERR_INVALID);
    call_forgive(&c);
    OKAY(document_get(&c, id, &d));
    assert_int_equal(d.state, DOCUMENT_FAILED);
    assert_non_null(strstr(d.error, "cut off"));
    assert_false(file_there(d.sha256));
    /* The same bytes may be tried again, and then there is one document, not two. */
    OKAY(document_add_text(&c, "[{\"a\":1},", 9, &(struct ingest_opts){ .filename = "x.json" }, &id, &job, &known));
    assert_false(known);
    assert_int_equal(count("document"), 1);
}

static void a_cancelled_ingest_leaves_nothing(void **s)
{
    (void)s;
    const char *id, *job;
    struct document d;
    bool known;
    OKAY(document_add_text(&c, "Words nobody waits for.", 23, &(struct ingest_opts){ 0 }, &id, &job, &known));
    OKAY(document_get(&c, id, &d));
    OKAY(jobs_cancel(&c, job));
    enum err e = jobs_run_here(&c, kinds, job);
    assert_int_equal(e, ERR_CANCELLED);
    call_forgive(&c);
    assert_int_equal(count("document"), 0);
    assert_false(file_there(d.sha256));
}

static void personal_data_of_a_user_is_masked_before_it_is_stored(void **s) /* RAG-027 */
{
    (void)s;
    struct document d;
    struct chunk *k;
    const char *text;
    int64_t start, total;
    int n;
    const char *id = add("# Notes of ana@example.com\n\nCall me at +34 612 345 678 after training.\n", &(struct ingest_opts){ .filename = "n.md", .user_id = "u1" });
    OKAY(document_chunks(&c, id, &k, &n));
    OKAY(document_text(&c, id, 0, &text, &start, &total));
    OKAY(document_get(&c, id, &d));
    assert_string_equal(text, "# Notes of [email]\n\nCall me at [phone] after training.\n");
    assert_string_equal(k[0].text, "# Notes of [email]\n\nCall me at [phone] after training.");
    assert_string_equal(d.title, "Notes of [email]");
    assert_non_null(strstr(d.metadata, "masked"));
    assert_false(file_there(d.sha256));                   /* the bytes hold what was masked */
    const char *shared = add("Write to office@example.com.", &(struct ingest_opts){ 0 });
    OKAY(document_chunks(&c, shared, &k, &n));
    assert_string_equal(k[0].text, "Write to office@example.com.");
}

static void a_user_sees_shared_documents_and_their_own_only(void **s)
{
    (void)s;
    struct document d, *list;
    const char *text;
    int64_t start, total;
    int n;
    const char *shared = add("Shared words.", &(struct ingest_opts){ 0 });
    const char *mine = add("My own words.", &(struct ingest_opts){ .user_id = "u1" });
    const char *other = add("Another's words.", &(struct ingest_opts){ .user_id = "u2" });
    c.rights = RIGHT_ASK;
    snprintf(c.user_id, sizeof(c.user_id), "u1");
    OKAY(document_get(&c, shared, &d));
    OKAY(document_get(&c, mine, &d));
    assert_int_equal(document_get(&c, other, &d), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(document_text(&c, other, 0, &text, &start, &total), ERR_NOT_FOUND);
    call_forgive(&c);
    OKAY(document_list(&c, 0, 10, &list, &n, &total));
    assert_int_equal(n, 2);
}

static void what_an_earlier_try_staged_is_not_made_again(void **s)
{
    (void)s;
    const char *id, *job;
    bool known;
    struct chunk *k;
    int n;
    const char *text = "# A\n\nFirst words.\n\n# B\n\nSecond words.\n";
    OKAY(document_add_text(&c, text, strlen(text), &(struct ingest_opts){ .filename = "a.md", .title = "T" }, &id, &job, &known));
    /* The first chunk is there from a try that was killed; its id proves that it was kept. */
    struct staged_chunk one = { .id = "chk_kept", .text = "# A\n\nFirst words.", .heading = "A", .language = "en", .idx = 0, .end_byte = 17 };
    OKAY(staging_store_add(&c, job, NULL, 0, &one, 1));
    OKAY(jobs_run_here(&c, kinds, job));
    OKAY(document_chunks(&c, id, &k, &n));
    assert_int_equal(n, 2);
    assert_string_equal(k[0].id, "chk_kept");
    assert_string_equal(k[1].text, "# B\n\nSecond words.");
    /* One that does not fit what is read now is thrown away. */
    const char *other = "# C\n\nThird words.\n";
    OKAY(document_add_text(&c, other, strlen(other), &(struct ingest_opts){ .filename = "c.md" }, &id, &job, &known));
    OKAY(staging_store_add(&c, job, NULL, 0, &one, 1));
    OKAY(jobs_run_here(&c, kinds, job));
    OKAY(document_chunks(&c, id, &k, &n));
    assert_int_equal(n, 1);
    assert_string_equal(k[0].text, "# C\n\nThird words.");
}

static const char *page_of(int page)
{
    static char b[256];
    snprintf(b, sizeof(b), "Chapter %d\nPage %d speaks of strength and of patience.\n", page, page);
    return b;
}

static void pages_of_a_pdf_are_kept_with_their_chunks(void **s)
{
    (void)s;
    struct buf b;
    struct document d;
    struct chunk *k;
    const char *id, *job, *text, *path = arena_printf(&c.mem, "%s/up.pdf", folder);
    int64_t start, total;
    bool known;
    int n;
    pdf_make(&b, 5, page_of);
    put_file(path, b.data, b.len);
    buf_dispose(&b);
    OKAY(document_add_file(&c, path, &(struct ingest_opts){ .filename = "up.pdf" }, &id, &job, &known));
    assert_int_not_equal(access(path, F_OK), 0);          /* moved in */
    OKAY(jobs_run_here(&c, kinds, job));
    OKAY(document_get(&c, id, &d));
    assert_int_equal(d.pages, 5);
    OKAY(document_chunks(&c, id, &k, &n));
    assert_int_equal(n, 5);
    for (int i = 0; i < n; i++) {
        assert_int_equal(k[i].page, i + 1);
        OKAY(document_text(&c, id, i + 1, &text, &start, &total));
        assert_memory_equal(text + (k[i].start_byte - start), k[i].text, strlen(k[i].text));
    }
    assert_int_equal(document_text(&c, id, 6, &text, &start, &total), ERR_NOT_FOUND);
}

static void bad_options_are_refused_by_name(void **s)
{
    (void)s;
    const struct {
        struct ingest_opts o;
        const char *field;
    } bad[] = {
        { { .metadata = "[1]" }, "metadata" }, { { .language = "en glish" }, "language" }, { { .unit = "bytes" }, "unit" },
        { { .chunk_size = 10 }, "chunk_size" }, { { .chunk_size = 100, .chunk_overlap = 90 }, "chunk_overlap" },
        { { .title = "a\nb" }, "title" }, { { .title = "\xff" }, "title" }, { { .content_type = "a b" }, "content_type" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *id, *job;
        bool known;
        assert_int_equal(document_add_text(&c, "words", 5, &bad[i].o, &id, &job, &known), ERR_INVALID);
        assert_string_equal(c.err_field, bad[i].field);
        call_forgive(&c);
    }
    assert_int_equal(count("document"), 0);
}

static void a_text_without_a_name_is_markdown_when_it_looks_so_and_never_data(void **s)
{
    (void)s;
    struct document d;
    struct chunk *k;
    int n;
    OKAY(document_get(&c, add("# Rest\n\nSleep.\n\n# Food\n\nEat.\n", &(struct ingest_opts){ 0 }), &d));
    assert_string_equal(d.media_type, "text/markdown");
    const char *id = add("{\"text\": \"only looks like a record\"", &(struct ingest_opts){ 0 });
    OKAY(document_chunks(&c, id, &k, &n));
    assert_string_equal(k[0].text, "{\"text\": \"only looks like a record\"");
}

static void the_text_to_embed_begins_with_its_heading_once(void **s)
{
    (void)s;
    assert_string_equal(ingest_embed_text(&c.mem, "## Sleep\n\nWell.", 15, "Book > Sleep"), "## Sleep\n\nWell.");
    assert_string_equal(ingest_embed_text(&c.mem, "and more", 8, "Book > Sleep"), "Sleep\nand more");
    assert_string_equal(ingest_embed_text(&c.mem, "plain", 5, ""), "plain");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__extract") == 0) return extract_child_main(argc - 1, argv + 1);
    unsetenv("CHIRON_EXE");
    const struct CMUnitTest tests[] = {
        TEST(a_text_becomes_chunks_that_are_spans_of_it_with_their_headings),
        TEST(the_same_bytes_are_known_again_unless_something_else_is_asked),
        TEST(a_new_version_takes_the_place_of_the_old_only_when_it_is_whole),
        TEST(removing_takes_everything_and_the_file),
        TEST(a_file_that_cannot_be_read_is_failed_with_words_and_leaves_no_file),
        TEST(a_cancelled_ingest_leaves_nothing),
        TEST(personal_data_of_a_user_is_masked_before_it_is_stored),
        TEST(a_user_sees_shared_documents_and_their_own_only),
        TEST(what_an_earlier_try_staged_is_not_made_again),
        TEST(pages_of_a_pdf_are_kept_with_their_chunks),
        TEST(bad_options_are_refused_by_name),
        TEST(a_text_without_a_name_is_markdown_when_it_looks_so_and_never_data),
        TEST(the_text_to_embed_begins_with_its_heading_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The SQL door: parameters, transactions, readers and the one writer, errors, and what a statement costs. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/db.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"

static char        dir[64];
static struct call c;
static struct db  *db;

static void change(const char *sql_literal)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_run(&c, w, sql_literal));
    assert_ok(&c, db_commit(&c, &w));
}

static int64_t count_notes(void)
{
    struct conn *r = NULL;
    int64_t n = -1;
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM note"));
    db_release(&r);
    return n;
}

static int set_up_in(char *(*make)(char path[64]))
{
    make(dir);
    call_init(&c);
    link_setup();
    assert_ok(&c, db_open(&c, arena_printf(&c.mem, "%s/t.db", dir), NULL, &db));
    change("CREATE TABLE note(id TEXT PRIMARY KEY, text TEXT, n INTEGER, x REAL, raw BLOB)");
    change("CREATE TABLE line(id INTEGER PRIMARY KEY, note_id TEXT NOT NULL REFERENCES note(id))");
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_in(folder_new);
}

static int set_up_on_disk(void **state)
{
    (void)state;
    return set_up_in(folder_new_on_disk);
}

static int tear_down(void **state)
{
    (void)state;
    db_close(db);
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

static enum err add_note(const char *id, const char *text)
{
    struct conn *w = NULL;
    enum err e = db_write(&c, db, &w);
    if (!e) e = db_run(&c, w, "INSERT INTO note(id, text) VALUES (?s, ?s)", id, text);
    if (!e) e = db_commit(&c, &w);
    db_release(&w);
    return e;
}

/* CRE-052 */
static void hostile_text_is_stored_as_text(void **state)
{
    (void)state;
    static const char *const texts[] = { "'); DROP TABLE note; --", "?s ?i", "\" OR 1=1 --", "%s%n", "\xf0\x9f\x92\xaa né", "" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char id[8];
        const char *back = NULL;
        struct conn *r = NULL;
        snprintf(id, sizeof id, "n%zu", i);
        assert_ok(&c, add_note(id, texts[i]));
        assert_ok(&c, db_read(&c, db, &r));
        assert_ok(&c, db_get_text(&c, r, &back, "SELECT text FROM note WHERE id = ?s", id));
        db_release(&r);
        assert_string_equal(back, texts[i]);
    }
    assert_int_equal(count_notes(), 6);
}

static void every_type_comes_back_as_it_went_in(void **state)
{
    (void)state;
    struct conn *w = NULL;
    struct rows *rs = NULL;
    static const unsigned char raw[] = { 0, 1, 2, 0, 255 };
    size_t n = 0;
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO note(id, text, n, x, raw) VALUES (?s, ?s, ?i, ?d, ?b)", "a", (const char *)NULL,
                         INT64_MIN, 0.1, (const void *)raw, sizeof raw));
    assert_int_equal(db_changes(w), 1);
    assert_ok(&c, db_select(&c, w, &rs, "SELECT text, n, x, raw, 'it''s ?s' FROM note -- not ?i\n WHERE id = ?s", "a"));
    assert_true(rows_next(rs));
    assert_null(rows_text(rs, 0));
    assert_true(rows_null(rs, 0));
    assert_true(rows_int(rs, 1) == INT64_MIN);
    assert_true(rows_real(rs, 2) == 0.1);
    assert_memory_equal(rows_blob(rs, 3, &n), raw, sizeof raw);
    assert_int_equal(n, sizeof raw);
    assert_string_equal(rows_text(rs, 4), "it's ?s");
    assert_false(rows_next(rs));
    assert_false(rows_next(rs)); /* the end stays the end */
    assert_ok(&c, rows_close(&c, &rs, OK));
    db_release(&w);
}

static void a_select_copies_what_it_is_given(void **state)
{
    (void)state;
    struct conn *r = NULL;
    struct rows *rs = NULL;
    char id[8] = "a";
    assert_ok(&c, add_note("a", "x"));
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_select(&c, r, &rs, "SELECT text FROM note WHERE id = ?s", id));
    strcpy(id, "zzz");
    assert_true(rows_next(rs));
    assert_ok(&c, rows_close(&c, &rs, OK));
    db_release(&r);
}

static void one_statement_can_be_open_twice(void **state)
{
    (void)state;
    struct conn *r = NULL;
    struct rows *rs[2] = { NULL, NULL };
    assert_ok(&c, add_note("a", "x"));
    assert_ok(&c, add_note("b", "y"));
    assert_ok(&c, db_read(&c, db, &r));
    static const char sql[] = "SELECT id FROM note ORDER BY id";
    assert_ok(&c, db_select(&c, r, &rs[0], sql));
    assert_true(rows_next(rs[0]));
    assert_ok(&c, db_select(&c, r, &rs[1], sql));
    assert_true(rows_next(rs[1]));
    assert_true(rows_next(rs[0]));
    assert_string_equal(rows_text(rs[0], 0), "b");
    assert_string_equal(rows_text(rs[1], 0), "a");
    assert_ok(&c, rows_close(&c, &rs[1], OK));
    assert_ok(&c, rows_close(&c, &rs[0], OK));
    db_release(&r);
}

static void what_is_not_committed_is_gone(void **state)
{
    (void)state;
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO note(id) VALUES ('a')"));
    db_release(&w);
    assert_int_equal(count_notes(), 0);
}

static void a_reader_sees_one_moment_and_does_not_wait(void **state)
{
    (void)state;
    struct conn *r = NULL, *w = NULL;
    int64_t n = -1;
    assert_ok(&c, add_note("a", "x"));
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM note"));
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO note(id) VALUES ('b')"));
    assert_ok(&c, db_commit(&c, &w));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM note"));
    assert_int_equal(n, 1);
    db_release(&r);
    assert_int_equal(count_notes(), 2);
}

static void a_reader_cannot_change_anything(void **state)
{
    (void)state;
    struct conn *r = NULL;
    assert_ok(&c, db_read(&c, db, &r));
    assert_int_equal(db_run(&c, r, "DELETE FROM note"), ERR_IO);
    call_forgive(&c);
    db_release(&r);
}

static void errors_have_their_code_and_no_values(void **state)
{
    (void)state;
    struct conn *w = NULL;
    assert_ok(&c, add_note("secret-id", "x"));
    assert_int_equal(add_note("secret-id", "y"), ERR_CONFLICT);
    assert_null(strstr(c.err_text, "secret"));
    call_forgive(&c);
    assert_ok(&c, db_write(&c, db, &w));
    assert_int_equal(db_run(&c, w, "INSERT INTO line(note_id) VALUES (?s)", "nobody"), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(db_run(&c, w, "SELECT * FROM nothing"), ERR_INTERNAL);
    call_forgive(&c);
    assert_int_equal(db_run(&c, w, "SELECT 1; SELECT 2"), ERR_INTERNAL);
    call_forgive(&c);
    assert_int_equal(db_run(&c, w, "SELECT ?"), ERR_INTERNAL);
    call_forgive(&c);
    assert_int_equal(db_run(&c, w, "SELECT :x"), ERR_INTERNAL);
    call_forgive(&c);
    db_release(&w);
}

static void a_long_statement_ends_with_its_caller(void **state)
{
    (void)state;
    struct conn *r = NULL, *w = NULL;
    int64_t n;
    static const char endless[] = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t";
    c.deadline_ms = clock_mono_ms() + 60;
    assert_ok(&c, db_read(&c, db, &r));
    assert_int_equal(db_get_int(&c, r, 0, &n, endless), ERR_TIMEOUT);
    db_release(&r);
    call_forgive(&c);
    c.deadline_ms = 0;
    atomic_bool gone = false;
    c.stop = &gone;
    assert_ok(&c, db_write(&c, db, &w));
    atomic_store(&gone, true);
    assert_int_equal(db_get_int(&c, w, 0, &n, endless), ERR_CANCELLED);
    c.stop = NULL;
    db_release(&w);
    call_forgive(&c);
    assert_int_equal(count_notes(), 0);
}

static void a_full_disk_is_said_and_what_was_there_stays(void **state)
{
    (void)state;
    struct conn *w = NULL;
    static char big[400000];
    int64_t pages = 0;
    assert_ok(&c, add_note("before", "kept"));
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_get_int(&c, w, 0, &pages, "PRAGMA max_page_count = 20"));
    assert_int_equal(pages, 20);
    assert_int_equal(db_run(&c, w, "INSERT INTO note(id, raw) VALUES ('big', ?b)", (const void *)big, sizeof big), ERR_IO);
    assert_non_null(strstr(c.err_text, "disk is full"));
    call_forgive(&c);
    db_release(&w);
    assert_int_equal(count_notes(), 1);
    assert_ok(&c, add_note("after", "small"));
}

static void after_an_error_that_ended_the_transaction_nothing_is_written(void **state)
{
    (void)state;
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO note(id) VALUES ('a')"));
    assert_int_equal(db_run(&c, w, "INSERT OR ROLLBACK INTO note(id) VALUES ('a')"), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(db_run(&c, w, "INSERT INTO note(id) VALUES ('b')"), ERR_INTERNAL);
    call_forgive(&c);
    assert_int_not_equal(db_commit(&c, &w), OK);
    call_forgive(&c);
    db_release(&w);
    assert_int_equal(count_notes(), 0);
}

enum { WRITERS = 8, EACH = 25 };

static void *write_some(void *arg)
{
    struct call w;
    call_init(&w);
    for (int i = 0; i < EACH; i++) {
        struct conn *k = NULL;
        enum err e = db_write(&w, db, &k);
        if (!e) e = db_run(&w, k, "INSERT INTO note(id, n) SELECT ?s || ?i, count(*) FROM note", (const char *)arg, (int64_t)i);
        if (!e) e = db_commit(&w, &k);
        db_release(&k);
        if (e) fprintf(stderr, "writer: %s\n", w.err_text);
        if (e) abort();
        e = db_read(&w, db, &k);
        int64_t n = 0;
        if (!e) e = db_get_int(&w, k, 0, &n, "SELECT count(*) FROM note");
        db_release(&k);
        if (e || n < i + 1) abort();
    }
    call_dispose(&w);
    return NULL;
}

static void writers_queue_and_none_is_lost(void **state)
{
    (void)state;
    pthread_t t[WRITERS];
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    int64_t n = 0;
    struct conn *r = NULL;
    for (int i = 0; i < WRITERS; i++) pthread_create(&t[i], NULL, write_some, (void *)(uintptr_t)names[i]);
    for (int i = 0; i < WRITERS; i++) pthread_join(t[i], NULL);
    assert_int_equal(count_notes(), WRITERS * EACH);
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(DISTINCT n) FROM note"));
    db_release(&r);
    assert_int_equal(n, WRITERS * EACH); /* each saw the one before it */
}

static void *wait_briefly(void *arg)
{
    struct call w;
    struct conn *k = NULL;
    call_init(&w);
    w.deadline_ms = clock_mono_ms() + 80;
    *(enum err *)arg = db_write(&w, db, &k);
    db_release(&k);
    call_dispose(&w);
    return NULL;
}

static void waiting_for_the_writer_has_an_end(void **state)
{
    (void)state;
    pthread_t t;
    struct conn *w = NULL, *second = NULL;
    enum err e = OK;
    assert_ok(&c, db_write(&c, db, &w));
    pthread_create(&t, NULL, wait_briefly, &e);
    pthread_join(t, NULL);
    assert_true(e == ERR_BUSY || e == ERR_TIMEOUT);
    assert_int_equal(db_write_within(&c, db, 0, &second), ERR_BUSY);
    call_forgive(&c);
    db_release(&w);
    assert_ok(&c, db_write_within(&c, db, 0, &second));
    db_release(&second);
}

/* Another process is another connection to the same file. */
static void a_writer_elsewhere_is_waited_for(void **state)
{
    (void)state;
    struct db *other = NULL;
    struct conn *w = NULL, *mine = NULL;
    assert_ok(&c, db_open(&c, db_path(db), NULL, &other));
    assert_ok(&c, db_write(&c, other, &w));
    int64_t began = clock_mono_ms();
    assert_int_equal(db_write_within(&c, db, 120, &mine), ERR_BUSY);
    assert_true(c.retry_after_s > 0);
    assert_true(clock_mono_ms() - began >= 100);
    call_forgive(&c);
    db_release(&w);
    assert_ok(&c, db_write(&c, db, &mine));
    db_release(&mine);
    db_close(other);
}

static void the_file_is_private_and_keeps_no_deleted_text(void **state)
{
    (void)state;
    struct stat st;
    struct conn *w = NULL;
    int64_t mode = 0;
    const char *journal = NULL;
    assert_int_equal(stat(db_path(db), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(&c, db_write(&c, db, &w));
    assert_ok(&c, db_get_int(&c, w, 0, &mode, "PRAGMA secure_delete"));
    assert_int_equal(mode, 1);
    assert_ok(&c, db_get_int(&c, w, 0, &mode, "PRAGMA synchronous"));
    assert_int_equal(mode, 2);
    assert_ok(&c, db_get_int(&c, w, 0, &mode, "PRAGMA foreign_keys"));
    assert_int_equal(mode, 1);
    assert_ok(&c, db_get_text(&c, w, &journal, "PRAGMA journal_mode"));
    assert_string_equal(journal, "wal");
    db_release(&w);
    assert_ok(&c, add_note("a", "marmalade-in-the-moonlight"));
    change("DELETE FROM note");
    db_close(db);
    db = NULL;
    FILE *f = fopen(arena_printf(&c.mem, "%s/t.db", dir), "rb");
    char *bytes = calloc(1, 1 << 20);
    size_t n = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    assert_null(memmem(bytes, n, "marmalade", 9));
    free(bytes);
}

static void a_damaged_file_is_said_to_be_damaged(void **state)
{
    (void)state;
    struct db *bad = NULL;
    const char *path = arena_printf(&c.mem, "%s/bad.db", dir);
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 4096; i++) fputc('x', f);
    fclose(f);
    assert_int_equal(db_open(&c, path, NULL, &bad), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "bad.db"));
    call_forgive(&c);
}

static void more_statements_than_are_kept_still_work(void **state)
{
    (void)state;
    enum { MANY = LIMIT_SQL_STATEMENTS + 50 };
    static char sql[MANY][64];
    struct conn *r = NULL;
    for (int i = 0; i < MANY; i++) snprintf(sql[i], sizeof sql[i], "SELECT %d + ?i", i);
    assert_ok(&c, db_read(&c, db, &r));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            int64_t v = 0;
            assert_ok(&c, db_get_int(&c, r, 0, &v, sql[i], (int64_t)1));
            assert_int_equal(v, i + 1);
        }
    }
    strcpy(sql[MANY - 1], "SELECT 7 * ?i"); /* the same address with another text */
    int64_t v = 0;
    assert_ok(&c, db_get_int(&c, r, 0, &v, sql[MANY - 1], (int64_t)6));
    assert_int_equal(v, 42);
    db_release(&r);
}

static void what_it_costs(void **state)
{
    (void)state;
    enum { INSERTS = 100, READS = 5000 };
    struct conn *r = NULL;
    int64_t n, began = clock_mono_us();
    for (int i = 0; i < INSERTS; i++) {
        char id[16];
        snprintf(id, sizeof id, "k%d", i);
        assert_ok(&c, add_note(id, "text"));
    }
    printf("durable insert: %.0f us\n", (double)(clock_mono_us() - began) / INSERTS);
    began = clock_mono_us();
    for (int i = 0; i < READS; i++) {
        assert_ok(&c, db_read(&c, db, &r));
        assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT length(text) FROM note WHERE id = ?s", "k7"));
        db_release(&r);
    }
    printf("read transaction with one query: %.2f us\n", (double)(clock_mono_us() - began) / READS);
    assert_ok(&c, db_read(&c, db, &r));
    began = clock_mono_us();
    for (int i = 0; i < READS; i++)
        assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT length(text) FROM note WHERE id = ?s", "k7"));
    printf("query: %.2f us\n", (double)(clock_mono_us() - began) / READS);
    db_release(&r);
    assert_int_equal(n, 4);
}

int main(void)
{
    log_open(LOG_ERROR, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hostile_text_is_stored_as_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_type_comes_back_as_it_went_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_select_copies_what_it_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_statement_can_be_open_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_committed_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_sees_one_moment_and_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_cannot_change_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_have_their_code_and_no_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_statement_ends_with_its_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_said_and_what_was_there_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_an_error_that_ended_the_transaction_nothing_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_queue_and_none_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waiting_for_the_writer_has_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_elsewhere_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_is_private_and_keeps_no_deleted_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_said_to_be_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_statements_than_are_kept_still_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_it_costs, set_up_on_disk, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

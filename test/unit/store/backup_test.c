/* Backup and restore (CRE-074): what was there is there again, and a damaged archive changes nothing. */
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
#include "base/id.h"
#include "base/log.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"
#include "store/tar.h"

static char        dir[64], back[64];
static struct call c;

static const char *at(const char *folder, const char *rest)
{
    return arena_printf(&c.mem, "%s/%s", folder, rest);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_meta(const char *creator, const char *name, const char *value)
{
    struct conn *w = NULL;
    assert_ok(&c, tenant_open(&c, creator));
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO meta(name, value) VALUES (?s, ?s)", name, value));
    assert_ok(&c, db_commit(&c, &w));
    tenant_release(&c);
}

static const char *get_meta(const char *creator, const char *name)
{
    struct conn *r = NULL;
    const char *v = NULL;
    assert_ok(&c, tenant_open(&c, creator));
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_text(&c, r, &v, "SELECT value FROM meta WHERE name = ?s", name));
    db_release(&r);
    tenant_release(&c);
    return v;
}

static int set_up(void **state)
{
    (void)state;
    folder_new(dir);
    folder_new(back);
    call_init(&c);
    assert_ok(&c, store_open(&c, at(dir, "data")));
    assert_ok(&c, tenant_create(&c, "Anna", "Anna", NULL));
    assert_ok(&c, tenant_create(&c, "ben", "Ben", NULL));
    put_meta("Anna", "note", "sleep eight hours; don't \"drop\" it");
    put_meta("ben", "note", "run");
    assert_int_equal(mkdir(at(dir, "data/creators/anna/files"), 0700), 0);
    put_file(at(dir, "data/creators/anna/files/4f5e"), "the plan");
    put_file(at(dir, "data/jwt.key"), "secret");
    put_file(at(dir, "data/creators/anna/.unfinished"), "no");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close();
    call_dispose(&c);
    folder_remove(dir);
    folder_remove(back);
    return 0;
}

static void what_was_backed_up_is_there_after_a_restore(void **state)
{
    (void)state;
    int n = 0;
    struct stat st;
    const char *tar = at(dir, "all.tar");
    assert_ok(&c, store_backup(&c, tar));
    assert_int_equal(stat(tar, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_not_equal(access(at(dir, "data/backup-staging"), F_OK), 0);
    put_meta("ben", "later", "not in the archive");
    store_close();
    assert_ok(&c, store_restore(&c, tar, at(back, "new/place")));
    assert_ok(&c, store_open(&c, at(back, "new/place")));
    assert_ok(&c, store_check(&c, &n));
    assert_int_equal(n, 3);
    assert_string_equal(get_meta("Anna", "note"), "sleep eight hours; don't \"drop\" it");
    assert_string_equal(get_meta("ben", "note"), "run");
    assert_null(get_meta("ben", "later"));
    char was[65], is[65];
    assert_true(id_sha256_file(at(dir, "data/creators/anna/files/4f5e"), was));
    assert_true(id_sha256_file(at(back, "new/place/creators/anna/files/4f5e"), is));
    assert_string_equal(was, is);
    assert_int_equal(access(at(back, "new/place/jwt.key"), F_OK), 0);
    assert_int_not_equal(access(at(back, "new/place/creators/anna/.unfinished"), F_OK), 0);
}

static void an_archive_in_the_data_folder_is_not_archived(void **state)
{
    (void)state;
    const char *tar = at(dir, "data/all.tar");
    assert_ok(&c, store_backup(&c, tar));
    assert_ok(&c, store_backup(&c, at(dir, "second.tar")));
    assert_ok(&c, store_restore(&c, at(dir, "second.tar"), back));
    assert_int_not_equal(access(at(back, "all.tar"), F_OK), 0);
    assert_int_equal(access(at(back, "jwt.key"), F_OK), 0);
}

static void an_empty_folder_is_filled_and_a_used_one_refused(void **state)
{
    (void)state;
    const char *tar = at(dir, "all.tar");
    assert_ok(&c, store_backup(&c, tar));
    assert_ok(&c, store_restore(&c, tar, back));
    assert_int_equal(store_restore(&c, tar, back), ERR_CONFLICT);
    assert_non_null(strstr(c.err_text, "not empty"));
    call_forgive(&c);
    store_close();
    assert_ok(&c, store_open(&c, back));
    assert_string_equal(get_meta("ben", "note"), "run");
}

static void a_half_restored_folder_is_not_opened(void **state)
{
    (void)state;
    store_close();
    assert_int_equal(mkdir(at(back, ".restore-new_1"), 0700), 0);
    assert_int_equal(store_open(&c, back), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "did not finish"));
    call_forgive(&c);
}

/* Any byte changed, or any tail missing: refused, and the folder is not made. */
static void a_damaged_archive_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    const char *tar = at(dir, "all.tar"), *bad = at(dir, "bad.tar"), *into = at(back, "x");
    assert_ok(&c, store_backup(&c, tar));
    FILE *f = fopen(tar, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(n);
    assert_int_equal(fread(bytes, 1, n, f), n);
    fclose(f);
    for (int i = 0; i < 40; i++) {
        size_t spot = (size_t)i * (n - 1024) / 40 + 3, cut = n;
        char was = bytes[spot];
        bool padding = false;
        if (i % 2)
            bytes[spot] = (char)(was ^ 0x20);
        else
            cut = spot;
        f = fopen(bad, "wb");
        assert_int_equal(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        enum err e = store_restore(&c, bad, into);
        /* The fill between a member's end and the next block carries nothing. */
        if (i % 2 && !was) padding = true;
        if (!e && padding) {
            folder_remove(into);
        } else {
            assert_int_not_equal(e, OK);
            assert_true(c.err_text[0] != 0);
            assert_int_not_equal(access(into, F_OK), 0);
        }
        call_forgive(&c);
        bytes[spot] = was;
    }
    free(bytes);
    put_file(bad, "just some text, not an archive at all");
    assert_int_equal(store_restore(&c, bad, into), ERR_CORRUPT);
    call_forgive(&c);
    assert_int_equal(store_restore(&c, at(dir, "none.tar"), into), ERR_NOT_FOUND);
    call_forgive(&c);
}

static void names_that_leave_the_folder_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "../x", "/etc/x", "a//b", "a/./b", "a/..", "", "." };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(tar_name_valid(bad[i]));
    assert_true(tar_name_valid("creators/demo/creator.db"));
    assert_true(tar_name_valid("a..b/.c"));
    const char *tar = at(dir, "evil.tar");
    FILE *f = fopen(tar, "wb");
    char manifest[300];
    int n = snprintf(manifest, sizeof manifest,
                     "{\"format\":\"chiron-backup\",\"version\":1,\"members\":[{\"path\":\"../evil\",\"size\":4,\"sha256\":\"\"}]}");
    assert_ok(&c, tar_put(&c, f, "manifest.json", manifest, (size_t)n, 0));
    assert_ok(&c, tar_put(&c, f, "../evil", "evil", 4, 0));
    assert_ok(&c, tar_end(&c, f));
    fclose(f);
    assert_int_equal(store_restore(&c, tar, at(back, "x")), ERR_CORRUPT);
    assert_int_not_equal(access(at(back, "evil"), F_OK), 0);
    call_forgive(&c);
}

static void long_names_and_other_tar_programs_work(void **state)
{
    (void)state;
    struct tar_member m;
    bool more = false;
    char text[4];
    const char *tar = at(dir, "long.tar");
    char name[700];
    size_t n = 0;
    while (n < 600) n += (size_t)snprintf(name + n, sizeof name - n, "%spart%03zu", n ? "/" : "", n);
    char mid[220];
    snprintf(mid, sizeof mid, "%.*s/%.*s", 120, "creators/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 64,
             "0123456789012345678901234567890123456789012345678901234567890123456789");
    FILE *f = fopen(tar, "w+b");
    assert_ok(&c, tar_put(&c, f, name, "one", 3, 0));
    assert_ok(&c, tar_put(&c, f, mid, "two", 3, 0));
    assert_ok(&c, tar_end(&c, f));
    rewind(f);
    assert_ok(&c, tar_next(&c, f, &m, &more));
    assert_true(more);
    assert_string_equal(m.name, name);
    assert_ok(&c, tar_take(&c, f, &m, text));
    assert_memory_equal(text, "one", 3);
    assert_ok(&c, tar_next(&c, f, &m, &more));
    assert_string_equal(m.name, mid);
    assert_ok(&c, tar_take(&c, f, &m, text));
    assert_ok(&c, tar_next(&c, f, &m, &more));
    assert_false(more);
    fclose(f);
}

static atomic_bool writing;

static void *write_on(void *arg)
{
    struct call w;
    call_init(&w);
    int n = 0;
    (void)arg;
    if (tenant_open(&w, "ben")) abort();
    for (; atomic_load(&writing) && n < 100000; n++) {
        struct conn *k = NULL;
        enum err e = db_write(&w, tenant_db(w.tenant), &k);
        /* Two rows that belong together. */
        if (!e) e = db_run(&w, k, "INSERT INTO meta(name, value) VALUES ('a' || ?i, 'x')", (int64_t)n);
        if (!e) e = db_run(&w, k, "INSERT INTO meta(name, value) VALUES ('b' || ?i, 'x')", (int64_t)n);
        if (!e) e = db_commit(&w, &k);
        db_release(&k);
        if (e) abort();
    }
    tenant_release(&w);
    call_dispose(&w);
    return NULL;
}

static void a_backup_while_writing_is_of_one_moment(void **state)
{
    (void)state;
    pthread_t t;
    struct conn *r = NULL;
    int64_t a = -1, b = -2;
    const char *tar = at(dir, "all.tar");
    atomic_store(&writing, true);
    pthread_create(&t, NULL, write_on, NULL);
    struct timespec pause = { .tv_nsec = 50000000 };
    nanosleep(&pause, NULL);
    assert_ok(&c, store_backup(&c, tar));
    atomic_store(&writing, false);
    pthread_join(t, NULL);
    assert_ok(&c, store_restore(&c, tar, back));
    store_close();
    assert_ok(&c, store_open(&c, back));
    assert_ok(&c, tenant_open(&c, "ben"));
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &a, "SELECT count(*) FROM meta WHERE name LIKE 'a%'"));
    assert_ok(&c, db_get_int(&c, r, 0, &b, "SELECT count(*) FROM meta WHERE name LIKE 'b%'"));
    db_release(&r);
    tenant_release(&c);
    assert_true(a > 0);
    assert_int_equal(a, b);
}

int main(void)
{
    log_open(LOG_ERROR, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_backed_up_is_there_after_a_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_archive_in_the_data_folder_is_not_archived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_folder_is_filled_and_a_used_one_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_half_restored_folder_is_not_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_archive_is_refused_and_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_leave_the_folder_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names_and_other_tar_programs_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_backup_while_writing_is_of_one_moment, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

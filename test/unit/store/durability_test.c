/* kill -9 at any moment loses nothing that was acknowledged, and the files stay sound. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/id.h"
#include "base/log.h"
#include "store/db.h"
#include "store/store.h"

enum { KILLS = 20 };

/* Commits rows and reports each one after its commit, until it is killed. */
static int child_main(const char *path, int64_t from)
{
    struct call c;
    call_init(&c);
    enum err e = store_open(&c, path);
    if (!e) e = tenant_open(&c, "demo");
    for (int64_t n = from; !e; n++) {
        struct conn *w = NULL;
        e = db_write(&c, tenant_db(c.tenant), &w);
        if (!e) e = db_run(&c, w, "INSERT INTO meta(name, value) VALUES ('row-' || ?i, ?s)", n, "some text to fill a page with, now and then");
        if (!e) e = db_run(&c, w, "INSERT INTO meta(name, value) VALUES ('pair-' || ?i, '')", n);
        if (!e) e = db_commit(&c, &w);
        db_release(&w);
        if (!e && write(STDOUT_FILENO, &n, sizeof n) != sizeof n) break;
    }
    fprintf(stderr, "child ended: %s\n", c.err_text);
    return 1;
}

/* The last row reported before the kill. */
static int64_t run_and_kill(const char *dir, int64_t from)
{
    int ends[2];
    uint32_t moment;
    char start[32];
    int64_t last = from - 1, n;
    assert_int_equal(pipe(ends), 0);
    snprintf(start, sizeof start, "%lld", (long long)from);
    pid_t pid = fork();
    if (!pid) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "durability_test", "child", dir, start, (char *)NULL);
        _exit(3);
    }
    close(ends[1]);
    /* After the first report, so that there is something to lose; then at a random moment within 40 ms. */
    if (read(ends[0], &n, sizeof n) == sizeof n) last = n;
    id_random(&moment, sizeof moment);
    nanosleep(&(struct timespec){ .tv_nsec = moment % 40000000 }, NULL);
    kill(pid, SIGKILL);
    while (read(ends[0], &n, sizeof n) == sizeof n) last = n;
    close(ends[0]);
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    char dir[64];
    struct call c;
    int64_t next = 0, total = 0;
    folder_new_on_disk(dir);
    call_init(&c);
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, tenant_create(&c, "demo", NULL, NULL));
    store_close();
    for (int i = 0; i < KILLS; i++) {
        int64_t last = run_and_kill(dir, next), rows = 0, pairs = 0, highest = 0;
        struct conn *r = NULL;
        int n = 0;
        assert_true(last >= next);
        assert_ok(&c, store_open(&c, dir));
        assert_ok(&c, store_check(&c, &n));
        assert_ok(&c, tenant_open(&c, "demo"));
        assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
        assert_ok(&c, db_get_int(&c, r, 0, &rows, "SELECT count(*) FROM meta WHERE name LIKE 'row-%'"));
        assert_ok(&c, db_get_int(&c, r, 0, &pairs, "SELECT count(*) FROM meta WHERE name LIKE 'pair-%'"));
        assert_ok(&c, db_get_int(&c, r, -1, &highest, "SELECT max(CAST(substr(name, 5) AS INTEGER)) FROM meta WHERE name LIKE 'row-%'"));
        db_release(&r);
        tenant_release(&c);
        store_close();
        /* One more may have been committed whose report was not sent; none may be missing or half there. */
        assert_true(highest == last || highest == last + 1);
        assert_int_equal(rows, highest + 1);
        assert_int_equal(pairs, rows);
        next = highest + 1;
        total = rows;
    }
    printf("%d kills, %lld rows, none lost\n", KILLS, (long long)total);
    call_dispose(&c);
    folder_remove(dir);
}

int main(int argc, char **argv)
{
    log_open(LOG_ERROR, 0);
    if (argc == 4 && !strcmp(argv[1], "child")) return child_main(argv[2], strtoll(argv[3], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The whole instance into one file, while it runs, and back. A backup never overwrites a file and a restore never touches a
 * folder that holds something: both refuse with words instead. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/audit.h"
#include "base/json.h"
#include "store/store.h"
#include "verbs.h"

static void print_done(const struct verb_env *v, const char *file, const char *data_dir, int64_t size_bytes)
{
    if (!v->json) {
        puts(file ? file : data_dir);
        return;
    }
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    if (file) json_put_text(&j, "file", file);
    if (file) json_put_int(&j, "size_bytes", size_bytes);
    json_put_text(&j, "data", data_dir);
    json_end(&j);
    puts(b.data);
    buf_dispose(&b);
}

int verb_backup(int argc, char **argv)
{
    struct verb_args a;
    int code = verb_read(argc, argv, "FILE", "chiron backup /backups/chiron-monday.tar\n", NULL, &a);
    if (code != VERB_GO) return code;
    if (a.count != 1) return verb_usage(&a, "one FILE is needed");
    struct verb_env v;
    struct stat     st = { 0 };
    enum err        e = verb_open(&v, &a, VERB_CONF, NULL);
    /* Looked at before store_open: backing up a mistyped --data must not make an empty instance there. */
    const char *dir = e ? NULL : verb_data_dir(&v.call);
    if (!e && access(arena_printf(&v.call.mem, "%s/accounts.db", dir), R_OK))
        e = fail(&v.call, ERR_NOT_FOUND, "there is no instance in %s", dir);
    if (!e && !access(a.words[0], F_OK)) e = fail(&v.call, ERR_CONFLICT, "%s exists already", a.words[0]);
    if (!e) e = store_open(&v.call, dir);
    if (!e) {
        e = store_backup(&v.call, a.words[0]);
        if (!e) e = audit_put_instance(&v.call, &(struct audit_entry){ "instance.backup", "", "done", NULL });
        store_close();
    }
    if (!e && stat(a.words[0], &st)) e = fail(&v.call, ERR_IO, "%s is not there after the backup", a.words[0]);
    if (!e) print_done(&v, a.words[0], dir, (int64_t)st.st_size);
    return verb_close(&v, e);
}

int verb_restore(int argc, char **argv)
{
    struct verb_args a;
    int code = verb_read(argc, argv, "FILE [--data DIR]", "chiron restore /backups/chiron-monday.tar --data /var/lib/chiron\n",
                         NULL, &a);
    if (code != VERB_GO) return code;
    if (a.count != 1) return verb_usage(&a, "one FILE is needed");
    struct verb_env v;
    enum err        e = verb_open(&v, &a, VERB_CONF, NULL);
    const char     *dir = e ? NULL : verb_data_dir(&v.call);
    if (!e) e = store_restore(&v.call, a.words[0], dir);
    /* What came back may hold people who were erased after it was made: the log says that it is an earlier day again. */
    if (!e) {
        e = store_open(&v.call, dir);
        if (!e) e = audit_put_instance(&v.call, &(struct audit_entry){ "instance.restore", "", "done", NULL });
        store_close();
    }
    if (!e) print_done(&v, NULL, dir, 0);
    return verb_close(&v, e);
}

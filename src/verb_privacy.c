/* What is kept about people, from the command line: the inventory, an export of any size, and erasure with its certificate. The file
 * system is the guard. Erasing asks for --yes, since there is no way back. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "accounts/audit.h"
#include "accounts/export.h"
#include "accounts/privacy.h"
#include "accounts/retention.h"
#include "base/clock.h"
#include "store/store.h"
#include "verbs.h"

#define CERTIFICATE_BYTES (1 << 20)

static void print_tables(bool json)
{
    struct buf      b;
    struct json_out j;
    buf_init(&b, 1024 * 1024);
    json_out_init(&j, &b);
    json_begin_array(&j, NULL);
    for (int i = 0; all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) {
            json_begin_object(&j, NULL);
            json_put_text(&j, "database", t->database);
            json_put_text(&j, "table", t->table);
            json_put_text(&j, "holds", t->holds);
            json_put_text(&j, t->holds ? "stays" : "why", t->why);
            json_put_bool(&j, "exported", t->export != NULL);
            json_put_bool(&j, "erased", t->erase != NULL);
            json_end(&j);
            if (json) continue;
            printf("| %s | %s | %s | %s |\n", t->database, t->table, t->holds ? t->holds : "nothing", t->why ? t->why : "");
        }
    }
    json_end(&j);
    if (json) puts(b.data);
    buf_dispose(&b);
}

static enum err copy_out(struct call *c, const char *from, const char *to)
{
    char     block[65536];
    size_t   n;
    enum err e = OK;
    int      fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "cannot write %s: %s", to, strerror(errno));
    FILE *in = fopen(from, "rbe"), *out = fdopen(fd, "wb");
    if (!in || !out) e = fail(c, ERR_IO, "cannot copy the export: %s", strerror(errno));
    while (!e && (n = fread(block, 1, sizeof block, in)) > 0)
        if (fwrite(block, 1, n, out) != n) e = fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno));
    if (!e && ferror(in)) e = fail(c, ERR_IO, "cannot read the export");
    if (in) fclose(in);
    if (out ? fclose(out) : close(fd)) e = e ? e : fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno));
    if (e) unlink(to);
    return e;
}

static enum err who_is(struct call *c, const char *creator, const char *user, const char *account, struct person_who *out)
{
    bool known = false;
    if (account) return account_find(c, account, out);
    if (!user) {
        *out = (struct person_who){ .creator_id = creator };
        return OK;
    }
    enum err e = person_known(c, user, &known);
    if (!e && !known) e = fail(c, ERR_NOT_FOUND, "nothing is kept about the user %s", user);
    return e ? e : person_find(c, user, out);
}

static enum err run_export(struct call *c, const struct person_who *p, const char *file)
{
    struct export_sum sum;
    const char       *path = NULL;
    size_t            n = strlen(file);
    bool              json = n > 5 && !strcmp(file + n - 5, ".json");
    enum err          e = access(file, F_OK) ? OK : fail(c, ERR_CONFLICT, "%s exists already", file);
    if (!e) e = export_make(c, p, json ? EXPORT_JSON : EXPORT_ZIP, 0, &path, &sum);
    if (!e) e = copy_out(c, path, file);
    export_drop(path);
    if (!e)
        e = p->account_id ? audit_put_instance(c, &(struct audit_entry){ "account.export", p->account_id, "done", NULL })
                          : audit_put(c, &(struct audit_entry){ p->user_id ? "person.export" : "creator.export",
                                                                p->user_id ? arena_printf(&c->mem, AUDIT_USER "%s", p->user_id) : p->creator_id, "done", NULL });
    if (!e) printf("%s\n", file);
    return e;
}

static enum err run_erase(struct call *c, const struct person_who *p)
{
    const char *certificate = NULL;
    enum err    e = p->account_id ? account_erase(c, p->account_id, &certificate)
                    : p->user_id  ? person_erase(c, p->user_id, &certificate)
                                  : creator_erase(c, p->creator_id, &certificate);
    if (!e) puts(certificate);
    return e;
}

static enum err run_check(struct call *c, const char *file)
{
    FILE *f = fopen(file, "rbe");
    char *text = calloc(1, CERTIFICATE_BYTES + 1);
    bool  right = false;
    if (!text) abort();
    size_t   n = f ? fread(text, 1, CERTIFICATE_BYTES, f) : 0;
    enum err e = f ? OK : fail(c, ERR_IO, "cannot read %s: %s", file, strerror(errno));
    if (f) fclose(f);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) text[--n] = '\0';
    if (!e) e = certificate_check(c, text, &right);
    if (!e && !right) e = fail(c, ERR_CORRUPT, "%s is no certificate of this instance, or was changed", file);
    if (!e) puts("the certificate is as this instance gave it");
    free(text);
    return e;
}

static enum err run_retention(struct call *c, bool dry)
{
    struct retained *list = NULL;
    int              n = 0;
    enum err         e = retention_run(c, clock_unix_ms(), dry, &list, &n);
    for (int i = 0; !e && i < n; i++) printf("%-12s %lld\n", list[i].table, (long long)list[i].rows);
    return e;
}

int verb_privacy(int argc, char **argv)
{
    const char            *creator = NULL, *user = NULL, *account = NULL;
    bool                   yes = false, dry = false;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose user, or the creator itself" },
        { "--user", NULL, "U", &user, NULL, "one person who is coached there" },
        { "--account", NULL, "A", &account, NULL, "one member's account (acc_…)" },
        { "--yes", NULL, NULL, NULL, &yes, "erase: really" },
        { "--dry-run", NULL, NULL, NULL, &dry, "retention: only count" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "tables | export FILE | erase --yes | retention | certificate FILE  [--creator C [--user U]] [--account A]",
                         "chiron privacy tables\n"
                         "chiron privacy export ann.zip --creator demo --user ann\n"
                         "chiron privacy erase --creator demo --user ann --yes >certificate.json\n"
                         "chiron privacy certificate certificate.json\n"
                         "chiron privacy retention --creator demo --dry-run\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    const char *what = a.count ? a.words[0] : "";
    bool        tables = !strcmp(what, "tables"), export = !strcmp(what, "export"), erase = !strcmp(what, "erase"), check = !strcmp(what, "certificate"),
         old = !strcmp(what, "retention");
    if (!tables && !export && !erase && !check && !old) return verb_usage(&a, "tables, export, erase, retention or certificate?");
    if (a.count != 1 + (export || check)) return verb_usage(&a, export || check ? "one FILE is needed" : "it takes no \"%.60s\"", a.count > 1 ? a.words[1] : "");
    if ((export || erase) && !creator == !account) return verb_usage(&a, "--creator or --account is needed");
    if (user && !creator) return verb_usage(&a, "--user is of a --creator");
    if (old && !creator) return verb_usage(&a, "--creator is needed");
    if (erase && !yes) return verb_usage(&a, "what is erased is gone for good: add --yes");
    if (tables) {
        print_tables(a.json);
        return EXIT_OK;
    }
    struct verb_env   v;
    struct person_who p = { 0 };
    struct call      *c = &v.call;
    enum err          e = verb_open(&v, &a, VERB_STORE, creator);
    if (!e) e = accounts_open(c);
    if (!e && check) e = run_check(c, a.words[1]);
    if (!e && old) e = run_retention(c, dry);
    if (!e && (export || erase)) e = who_is(c, creator, user, account, &p);
    if (!e && export) e = run_export(c, &p, a.words[1]);
    if (!e && erase) e = run_erase(c, &p);
    accounts_close();
    return verb_close(&v, e);
}

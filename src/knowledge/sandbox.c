/* Three fences, because each has a gap: rlimits bound time and memory, seccomp takes the system calls away that reach
 * outside (sockets, writes, programs, processes), Landlock, where the kernel has it, hides every file but the system's
 * own libraries, so that a parser gone wrong cannot read another creator's documents either. The filters are lists of
 * what is allowed; the rest answers "not there" rather than killing, since libraries probe. Landlock alone may be
 * missing; a kernel without seccomp gets no documents read. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWED 1
#endif
#endif

static void limit(int what, rlim_t to)
{
    struct rlimit r = { to, to };
    (void)setrlimit((__rlimit_resource_t)what, &r);
}

void sandbox_limits(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CPU, LIMIT_EXTRACT_SECONDS);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 32);
#ifndef SHADOWED /* address and thread sanitizer reserve terabytes of address space */
    limit(RLIMIT_AS, LIMIT_EXTRACT_MEMORY_BYTES);
#endif
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
}

static void allow_below(int rules, const char *path, __u64 access)
{
    struct landlock_path_beneath_attr at = { .allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC) };
    if (at.parent_fd < 0) return;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0);
    close(at.parent_fd);
}

/* Only the system's own files, for reading; programs to be run only when exec says so. */
static void hide_files(bool exec)
{
    static const char *const readable[] = { "/usr", "/lib", "/lib64", "/lib32", "/bin", "/nix/store", NULL };
    static const char *const files[] = { "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/fonts", "/dev/null",
                                         "/dev/urandom",     "/proc/self",      NULL };
    struct landlock_ruleset_attr all = { .handled_access_fs =
                                             LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                             LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_SOCK };
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (rules < 0) return;
    __u64 dir = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | (exec ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
    for (int i = 0; readable[i]; i++) allow_below(rules, readable[i], dir);
    for (int i = 0; files[i]; i++) allow_below(rules, files[i], LANDLOCK_ACCESS_FS_READ_FILE);
    syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

/* Reading, memory, waiting, ending. Everything a parser needs, and what C libraries do on their way. */
static const int ALLOWED[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fadvise64),
    SCMP_SYS(ioctl),
    SCMP_SYS(kill),
    SCMP_SYS(tgkill),
};
/* Refused in words a program understands, so that it reports instead of retrying. */
static const int REFUSED[] = { SCMP_SYS(socket),          SCMP_SYS(connect), SCMP_SYS(bind),     SCMP_SYS(sendto),
                               SCMP_SYS(sendmsg),         SCMP_SYS(clone),   SCMP_SYS(fork),     SCMP_SYS(vfork),
                               SCMP_SYS(ptrace),          SCMP_SYS(unlink),  SCMP_SYS(unlinkat), SCMP_SYS(rename),
                               SCMP_SYS(renameat),        SCMP_SYS(mkdir),   SCMP_SYS(mkdirat),  SCMP_SYS(chmod),
                               SCMP_SYS(process_vm_readv) };

static int filter(bool exec)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!f) return -1;
    int bad = 0;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(*REFUSED); i++)
        bad |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), REFUSED[i], 0);
    for (size_t i = 0; i < sizeof(ALLOWED) / sizeof(*ALLOWED); i++) {
        int call = ALLOWED[i];
        /* Terminals and devices have no business here, and signals reach only the process itself. */
        if (call == SCMP_SYS(ioctl))
            bad |= seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOTTY), call, 0);
        else if (call == SCMP_SYS(kill) || call == SCMP_SYS(tgkill)) {
            if (!exec)
                bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
        } else
            bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 0);
    }
    const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
    bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    /* A limit may be asked for, not set. */
    bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
    if (exec) bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(execve), 0);
    if (!bad) bad = seccomp_load(f);
    seccomp_release(f);
    return bad;
}

static const char *find_program(struct call *c, const char *name)
{
    static const char *const dirs[] = { "/usr/bin", "/usr/local/bin", "/bin", NULL };
    for (int i = 0; dirs[i]; i++) {
        const char *path = arena_printf(&c->mem, "%s/%s", dirs[i], name);
        if (access(path, X_OK) == 0) return path;
    }
    return NULL;
}

static void become(const char *path, const char *const *argv, int in, int out, int err)
{
    static char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent", NULL };
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
    lseek(0, 0, SEEK_SET);
    sandbox_limits();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(126);
    hide_files(true);
    if (filter(true) != 0) _exit(126);
    execve(path, (char *const *)argv, env);
    _exit(127);
}

enum err sandbox_tool(struct call *c, const char *const *argv, int in, struct tool *out)
{
    int o[2] = { -1, -1 }, r[2] = { -1, -1 };
    const char *path = find_program(c, argv[0]);
    if (!path) return fail(c, ERR_IO, "the program %s is not installed (package poppler-utils)", argv[0]);
    if (pipe2(o, O_CLOEXEC) != 0 || pipe2(r, O_CLOEXEC | O_NONBLOCK) != 0) {
        if (o[0] >= 0) close(o[0]), close(o[1]);
        return fail(c, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) become(path, argv, in, o[1], r[1]);
    close(o[1]);
    close(r[1]);
    FILE *f = pid > 0 ? fdopen(o[0], "r") : NULL;
    if (!f) {
        close(o[0]);
        close(r[0]);
        return fail(c, ERR_IO, "cannot start %s: %s", argv[0], strerror(errno));
    }
    *out = (struct tool){ .pid = pid, .out = f, .err = r[0] };
    return OK;
}

int sandbox_tool_end(struct tool *t, char *words, size_t max)
{
    int status = 0;
    fclose(t->out);
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR) continue;
    if (words && max) {
        ssize_t n = read(t->err, words, max - 1);
        words[n > 0 ? n : 0] = 0;
    }
    close(t->err);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

enum err sandbox_enter(struct call *c)
{
    limit(RLIMIT_NPROC, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(c, ERR_INTERNAL, "the kernel refuses no_new_privs; no document is read without it");
    hide_files(false);
    if (filter(false) != 0)
        return fail(c, ERR_INTERNAL, "the kernel refuses the system call filter; no document is read without it");
    return OK;
}

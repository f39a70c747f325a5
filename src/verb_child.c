/* Starting, waiting for and ending a server of this program. It is asked whether it is ready and not given a time to be so. */
/* SPDX-License-Identifier: MIT */
#include "verb_child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { START_MS = 60000, STOP_S = 30, LOOK_US = 500, LOG_TAIL = 300 };

double verb_child_cpu(pid_t pid)
{
    char          path[64];
    unsigned long user = 0, system_ = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_) != 2) user = system_ = 0;
    if (f) fclose(f);
    return (double)(user + system_) / (double)sysconf(_SC_CLK_TCK);
}

double verb_child_resident(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static int free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          n = sizeof a;
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && !getsockname(fd, (struct sockaddr *)&a, &n)) port = ntohs(a.sin_port);
    if (fd >= 0) close(fd);
    return port;
}

static bool is_ready(int port)
{
    static const char  ask[] = "GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char               answer[13] = "";
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to) && send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) == (ssize_t)sizeof ask - 1
           && recv(fd, answer, sizeof answer - 1, MSG_WAITALL) == (ssize_t)sizeof answer - 1;
    if (fd >= 0) close(fd);
    return ok && !memcmp(answer, "HTTP/1.1 200", 12);
}

void verb_child_stop(struct verb_child *s)
{
    if (s->pid <= 0) return;
    kill(s->pid, SIGTERM);
    for (int i = 0; i < STOP_S * 100 && s->pid; i++) {
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) s->pid = 0;
        else usleep(10000);
    }
    if (!s->pid) return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static void become_server(const struct verb_child *s, const char *self, const char *where)
{
    int out = open(s->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (out >= 0) {
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
    }
    setenv("LOG_LEVEL", "warn", 1);
    for (int i = 0; s->settings && s->settings[i]; i += 2) setenv(s->settings[i], s->settings[i + 1], 1);
    execl(self, "chiron", "serve", "--data", s->data, "--listen", where, s->demo ? "--demo" : (char *)NULL, (char *)NULL);
    _exit(127);
}

static const char *last_words(struct call *c, const char *path)
{
    char   text[LOG_TAIL + 1];
    size_t n = 0;
    FILE  *f = fopen(path, "re");
    if (f && !fseek(f, 0, SEEK_END)) {
        long size = ftell(f);
        fseek(f, size > LOG_TAIL ? size - LOG_TAIL : 0, SEEK_SET);
        n = fread(text, 1, LOG_TAIL, f);
    }
    if (f) fclose(f);
    while (n && text[n - 1] == '\n') n--;
    return arena_strndup(&c->mem, text, n);
}

enum err verb_child_start(struct call *c, struct verb_child *s)
{
    char    self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int64_t began = clock_mono_us();
    if (n <= 0) return fail(c, ERR_IO, "this program's own file is not known: %s", strerror(errno));
    self[n] = 0;
    s->port = free_port();
    const char *where = arena_printf(&c->mem, "127.0.0.1:%d", s->port);
    s->pid = fork();
    if (s->pid == 0) become_server(s, self, where);
    if (s->pid < 0) {
        s->pid = 0;
        return fail(c, ERR_BUSY, "cannot start a server: %s", strerror(errno));
    }
    while (!is_ready(s->port)) {
        enum err e = call_check(c);
        if (!e && waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return fail(c, ERR_IO, "the server ended while it started: %s", last_words(c, s->log));
        }
        if (!e && clock_mono_us() - began > START_MS * 1000LL) e = fail(c, ERR_TIMEOUT, "the server is not ready after %d s", START_MS / 1000);
        if (e) {
            verb_child_stop(s);
            return e;
        }
        usleep(LOOK_US);
    }
    s->start_ms = (double)(clock_mono_us() - began) / 1000;
    return OK;
}

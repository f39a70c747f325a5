/* base/clock.c — the two clocks. Waits and deadlines use the monotonic one, so that a corrected wall clock neither
 * stretches nor cuts them; only the wall clock is ever stored. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_unix_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

char *clock_iso(int64_t unix_ms, char out[25])
{
    /* 0001-01-01 to 9999-12-31: the years that have four digits. */
    const int64_t least = -62135596800000, most = 253402300799999;
    if (unix_ms < least) unix_ms = least;
    if (unix_ms > most) unix_ms = most;
    int     ms = (int)(((unix_ms % 1000) + 1000) % 1000);
    time_t  s = (time_t)((unix_ms - ms) / 1000);
    struct tm t;
    gmtime_r(&s, &t);
    char wide[64];
    snprintf(wide, sizeof wide, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
             t.tm_hour, t.tm_min, t.tm_sec, ms);
    memcpy(out, wide, 24);
    out[24] = '\0';
    return out;
}

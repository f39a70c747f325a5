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

static bool digits(const char **p, int n, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9') return false;
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return true;
}

static bool sign(const char **p, char want)
{
    if (**p != want) return false;
    ++*p;
    return true;
}

bool clock_read_iso(const char *text, int64_t *unix_ms_out)
{
    const char *p = text;
    int         year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    if (!digits(&p, 4, &year) || !sign(&p, '-') || !digits(&p, 2, &month) || !sign(&p, '-') || !digits(&p, 2, &day)) return false;
    if (*p) {
        if (!sign(&p, 'T') || !digits(&p, 2, &hour) || !sign(&p, ':') || !digits(&p, 2, &minute) || !sign(&p, ':') ||
            !digits(&p, 2, &second))
            return false;
        if (sign(&p, '.')) {
            int scale = 100;
            if (*p < '0' || *p > '9') return false;
            for (; *p >= '0' && *p <= '9'; p++, scale /= 10) ms += (*p - '0') * scale;
        }
        sign(&p, 'Z');
        if (*p) return false;
    }
    struct tm t = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second };
    int64_t   s = timegm(&t);
    /* 31 February is another day for timegm, and no day for us. */
    if (year < 1 || t.tm_mon != month - 1 || t.tm_mday != day || t.tm_hour != hour || t.tm_min != minute || t.tm_sec != second) return false;
    *unix_ms_out = s * 1000 + ms;
    return true;
}

/* base/clock.h — the two clocks. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_CLOCK_H
#define CHIRON_BASE_CLOCK_H
#include <stdbool.h>
#include <stdint.h>

int64_t clock_mono_ms(void);    /* for deadlines and waits; never goes back */
int64_t clock_mono_us(void);
int64_t clock_unix_ms(void);    /* wall time, UTC; what is stored */
/* "2026-01-31T08:00:00.123Z" into out[25]; returns out. */
char *clock_iso(int64_t unix_ms, char out[25]);
/* Back: "2026-01-31" (its first moment) or "2026-01-31T08:00:00", with a fraction and a final Z or without, in UTC. false: neither. */
bool clock_read_iso(const char *text, int64_t *unix_ms_out);
#endif

# SPDX-License-Identifier: MIT
"""Timing of calls as `chiron bench` does it: a warm-up, then one call after another for a while. Standard library only."""
import time


def percentile(ms, p):
    ms = sorted(ms)
    return ms[min(len(ms) - 1, int((len(ms) - 1) * p / 100 + 0.5))]


def row(ms, things, wall, cpu, **more):
    return dict(calls=len(ms), min_ms=min(ms), p50_ms=percentile(ms, 50), p95_ms=percentile(ms, 95), p99_ms=percentile(ms, 99),
                wall_s=wall, cpu_s=cpu, per_second=len(ms) * things / wall, per_second_median=things * 1000 / percentile(ms, 50),
                per_second_best=things * 1000 / min(ms), **more)


def timed(call, seconds, things, least=3, **more):
    call(0)
    warm = time.perf_counter()
    i = 1
    while time.perf_counter() - warm < seconds / 10:
        call(i)
        i += 1
    ms, begun, cpu = [], time.perf_counter(), time.process_time()
    while len(ms) < least or time.perf_counter() - begun < seconds:
        t = time.perf_counter()
        call(i)
        ms.append((time.perf_counter() - t) * 1000)
        i += 1
    return row(ms, things, time.perf_counter() - begun, time.process_time() - cpu, **more)

/* SPDX-License-Identifier: MIT */
/* Chooses kernels by what the CPU can do when the program runs, so that one binary serves every machine, and holds the
 * two that are too short to be worth a variant. It never guesses from a CPU's name. */
#include "encoder/kernels.h"

#include <math.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512_bf16(void)
{
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}

/* The kernel gives tile registers only to processes that ask; asking twice is harmless. */
static bool has_amx(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!has_avx512_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    bool tile = d & 1u << 24, bf16 = d & 1u << 22;
    return tile && bf16 && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

int kernels_list(enum form form, const struct kernels **out, int max)
{
    const struct kernels *all[4];
    int                   n = 0;
    if (form == FORM_F32) all[n++] = &kernels_f32_portable;
#if defined __x86_64__
    if (form == FORM_F32 && has_avx2()) all[n++] = &kernels_f32_avx2;
    if (form == FORM_F32 && has_avx512()) all[n++] = &kernels_f32_avx512;
    if (form == FORM_BF16 && has_avx512_bf16()) all[n++] = &kernels_bf16_avx512;
    if (form == FORM_BF16 && has_amx()) all[n++] = &kernels_bf16_amx;
#endif
    if (n > max) n = max;
    memcpy(out, all, (size_t)n * sizeof *out);
    return n;
}

const struct kernels *kernels_choose(enum form form)
{
    const struct kernels *list[4];
    int                   n = kernels_list(form, list, 4);
    return n ? list[n - 1] : NULL;
}

void kernels_unit(float *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)v[i] * v[i];
    if (sum <= 0) return;
    float scale = (float)(1 / sqrt(sum));
    for (int i = 0; i < n; i++) v[i] *= scale;
}

void kernels_mean(const float *x, int rows, int width, float *out)
{
    memset(out, 0, (size_t)width * sizeof *out);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < width; i++) out[i] += x[(size_t)r * (size_t)width + (size_t)i];
    for (int i = 0; i < width; i++) out[i] /= (float)rows;
}

/* SPDX-License-Identifier: MIT */
/* Chooses kernels by what the CPU can do when the program runs, so that one binary serves every machine, and holds the
 * two that are too short to be worth a variant. It never guesses from a CPU's name. */
#include "encoder/kernels_int8.h"

#include <math.h>
#include <string.h>

#if defined __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined __x86_64__
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

/* The 256-bit form of smaller CPUs; not the same bit as AVX-512's. */
static bool has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

/* The kernel gives tile registers only to processes that ask; asking twice is harmless. */
static bool has_amx(enum form form)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!has_avx512_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    bool tile = d & 1u << 24, bf16 = d & 1u << 22, int8 = d & 1u << 25;
    return tile && bf16 && (int8 || form != FORM_INT8) && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

bool kernels_kind_known(const char *kind)
{
    static const char *const kinds[] = { "amx", "avx512", "avx2", "portable" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kind, kinds[i])) return true;
    return false;
}

const char *kernels_kind_lacks(enum form form, const char *kind)
{
#if defined __x86_64__
    bool amx = !strcmp(kind, "amx"), avx512 = amx || !strcmp(kind, "avx512"), avx2 = avx512 || !strcmp(kind, "avx2");
    if (avx2 && !has_avx2()) return "AVX2 with FMA";
    if (avx512 && !has_avx512()) return "AVX-512 (F, BW, VL, DQ)";
    if (avx512 && form == FORM_INT8 && !has_vnni()) return "AVX-512 VNNI";
    if (avx512 && form == FORM_BF16 && !has_avx512_bf16()) return "AVX-512 BF16";
    if (amx && !has_amx(form)) return form == FORM_INT8 ? "AMX INT8" : "AMX BF16";
    return NULL;
#else
    (void)form;
    return strcmp(kind, "portable") ? "x86-64 instructions" : NULL;
#endif
}

/* "avx512-f32" is of the kind "avx512"; any is of the kind NULL. */
static bool is_kind(const char *name, const char *kind)
{
    size_t n = kind ? strlen(kind) : 0;
    return !strncmp(name, kind ? kind : "", n) && (!kind || !name[n] || name[n] == '-');
}

int kernels_list(enum form form, const struct kernels **out, int max)
{
    const struct kernels *all[4];
    int                   n = 0;
    if (form == FORM_F32) all[n++] = &kernels_f32_portable;
#if defined __x86_64__
    if (form == FORM_F32 && has_avx2()) all[n++] = &kernels_f32_avx2;
    if (form == FORM_F32 && has_avx512()) all[n++] = &kernels_f32_avx512;
    if (form == FORM_BF16 && has_avx512_bf16()) all[n++] = &kernels_bf16_avx512;
    if (form == FORM_BF16 && has_amx(form)) all[n++] = &kernels_bf16_amx;
#endif
    if (n > max) n = max;
    memcpy(out, all, (size_t)n * sizeof *out);
    return n;
}

const struct kernels *kernels_choose(enum form form, const char *kind)
{
    const struct kernels *list[4];
    for (int n = kernels_list(form, list, 4); n > 0; n--)
        if (is_kind(list[n - 1]->name, kind)) return list[n - 1];
    return NULL;
}

int kernels_int8_list(const struct kernels_int8 **out, int max)
{
    const struct kernels_int8 *all[8];
    int                        n = 0;
    all[n++] = &kernels_int8_portable;
#if defined __aarch64__
    all[n++] = &kernels_int8_neon;
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) all[n++] = &kernels_int8_neon_dot;
#elif defined __x86_64__
    all[n++] = &kernels_int8_sse2;
    if (has_avx2()) all[n++] = &kernels_int8_avx2;
    if (has_avx_vnni()) all[n++] = &kernels_int8_avx2_vnni;
    if (has_vnni()) all[n++] = &kernels_int8_vnni_f32;
    if (has_vnni() && has_avx512_bf16()) all[n++] = &kernels_int8_vnni;
    if (has_amx(FORM_INT8)) all[n++] = &kernels_int8_amx;
#endif
    if (n > max) n = max;
    memcpy(out, all, (size_t)n * sizeof *out);
    return n;
}

const struct kernels_int8 *kernels_int8_choose(const char *kind)
{
    const struct kernels_int8 *list[8];
    for (int n = kernels_int8_list(list, 8); n > 0; n--)
        if (is_kind(list[n - 1]->name, kind)) return list[n - 1];
    return NULL;
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

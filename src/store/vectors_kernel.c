/* store/vectors_kernel.c — the inner products of the scan, one per kind of processor. A row is nibbles, two to a byte: a
 * scan is bound by memory, so half the bytes is half the time. A nibble is unsigned and the query signed because that is
 * the order the multiply-add instructions take; at most 15·127·2 in 16 bits, none of them saturates. What the nibbles
 * stand for is the caller's. The AVX-512 scan fetches ahead, since over pages of 4 KiB the hardware stops at each edge, and
 * goes through four quarters of its rows at once, as memory gives more to four streams than to one. */
/* SPDX-License-Identifier: MIT */
#include "store/vectors.h"

#include <string.h>

static void dot_portable(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *row = rows + (size_t)i * stride;
        int32_t sum = 0;
        for (size_t j = 0; j < stride; j += 64) {
            const int8_t *lo = q + 2 * j, *hi = lo + 64;
            for (int k = 0; k < 64; k++) sum += (row[j + (size_t)k] & 15) * lo[k] + (row[j + (size_t)k] >> 4) * hi[k];
        }
        out[i] = sum;
    }
}

/* Which of 64 rows may score over the bar: their own part of it is known to within `slack`. */
static uint64_t over_portable(const int32_t *dots, const float *scale, const float *slack, const struct vectors_bar *bar)
{
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++) {
        float most = scale[i] * ((float)(dots[i] * 16) + bar->offset) + slack[i] * bar->unit;
        bits |= (uint64_t)(most > bar->score) << i;
    }
    return bits;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AHEAD 12288     /* bytes: 64 rows of 384 numbers, what one call is given */

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static __m512i both(__m512i sum, const uint8_t *p, __m512i b0,
                                                                                   __m512i b1)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i x = _mm512_load_si512(p);
    sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(x, low), b0);
    return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(x, 4), low), b1);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static void
dot_vnni(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out)
{
    const int apart = n / 4;
    const size_t step = (size_t)apart * stride;
    for (int i = 0; i < apart; i++) {
        const uint8_t *r0 = rows + (size_t)i * stride, *r1 = r0 + step, *r2 = r1 + step, *r3 = r2 + step;
        __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0;
        for (size_t j = 0; j < stride; j += 64) {
            __m512i b0 = _mm512_loadu_si512(q + 2 * j), b1 = _mm512_loadu_si512(q + 2 * j + 64);
            _mm_prefetch((const char *)(uintptr_t)((uintptr_t)(r0 + j) + AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)(uintptr_t)((uintptr_t)(r1 + j) + AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)(uintptr_t)((uintptr_t)(r2 + j) + AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)(uintptr_t)((uintptr_t)(r3 + j) + AHEAD), _MM_HINT_T0);
            a0 = both(a0, r0 + j, b0, b1);
            a1 = both(a1, r1 + j, b0, b1);
            a2 = both(a2, r2 + j, b0, b1);
            a3 = both(a3, r3 + j, b0, b1);
        }
        /* Four sums at once: interleave until each 128-bit lane holds one partial sum per row. */
        __m512i x = _mm512_add_epi32(_mm512_unpacklo_epi32(a0, a1), _mm512_unpackhi_epi32(a0, a1));
        __m512i y = _mm512_add_epi32(_mm512_unpacklo_epi32(a2, a3), _mm512_unpackhi_epi32(a2, a3));
        __m512i z = _mm512_add_epi32(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
        __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64(z, 1));
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
        out[i] = _mm_extract_epi32(s, 0);
        out[i + apart] = _mm_extract_epi32(s, 1);
        out[i + 2 * apart] = _mm_extract_epi32(s, 2);
        out[i + 3 * apart] = _mm_extract_epi32(s, 3);
    }
    for (int i = 4 * apart; i < n; i++) {
        const uint8_t *r = rows + (size_t)i * stride;
        __m512i a = _mm512_setzero_si512();
        for (size_t j = 0; j < stride; j += 64)
            a = both(a, r + j, _mm512_loadu_si512(q + 2 * j), _mm512_loadu_si512(q + 2 * j + 64));
        out[i] = _mm512_reduce_add_epi32(a);
    }
}

__attribute__((target("avx512f"))) static uint64_t over_avx512(const int32_t *dots, const float *scale, const float *slack,
                                                               const struct vectors_bar *bar)
{
    const __m512 offset = _mm512_set1_ps(bar->offset), unit = _mm512_set1_ps(bar->unit), least = _mm512_set1_ps(bar->score);
    uint64_t bits = 0;
    for (int i = 0; i < 64; i += 16) {
        __m512 sum = _mm512_cvtepi32_ps(_mm512_slli_epi32(_mm512_loadu_si512(dots + i), 4));
        __m512 most = _mm512_mul_ps(_mm512_loadu_ps(scale + i), _mm512_add_ps(sum, offset));
        most = _mm512_add_ps(most, _mm512_mul_ps(_mm512_loadu_ps(slack + i), unit));
        bits |= (uint64_t)_mm512_cmp_ps_mask(most, least, _CMP_GT_OQ) << i;
    }
    return bits;
}

__attribute__((target("avx2"))) static uint64_t over_avx2(const int32_t *dots, const float *scale, const float *slack,
                                                          const struct vectors_bar *bar)
{
    const __m256 offset = _mm256_set1_ps(bar->offset), unit = _mm256_set1_ps(bar->unit), least = _mm256_set1_ps(bar->score);
    uint64_t bits = 0;
    for (int i = 0; i < 64; i += 8) {
        __m256i d = _mm256_loadu_si256((const __m256i *)(const void *)(dots + i));
        __m256 most = _mm256_mul_ps(_mm256_loadu_ps(scale + i), _mm256_add_ps(_mm256_cvtepi32_ps(_mm256_slli_epi32(d, 4)), offset));
        most = _mm256_add_ps(most, _mm256_mul_ps(_mm256_loadu_ps(slack + i), unit));
        bits |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(most, least, _CMP_GT_OQ)) << i;
    }
    return bits;
}

__attribute__((target("avx2"))) static void dot_avx2(const uint8_t *rows, size_t stride, int n, const int8_t *q,
                                                     int32_t *out)
{
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    for (int i = 0; i < n; i++) {
        const uint8_t *r = rows + (size_t)i * stride;
        __m256i a = _mm256_setzero_si256();
        for (size_t j = 0; j < stride; j += 64) {
            for (size_t k = 0; k < 64; k += 32) {
                __m256i x = _mm256_load_si256((const __m256i *)(const void *)(r + j + k));
                __m256i q0 = _mm256_loadu_si256((const __m256i *)(const void *)(q + 2 * j + k));
                __m256i q1 = _mm256_loadu_si256((const __m256i *)(const void *)(q + 2 * j + 64 + k));
                __m256i s = _mm256_maddubs_epi16(_mm256_and_si256(x, low), q0);
                s = _mm256_add_epi16(s, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(x, 4), low), q1));
                a = _mm256_add_epi32(a, _mm256_madd_epi16(s, ones));
            }
        }
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
        s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
        out[i] = _mm_cvtsi128_si32(s);
    }
}
#endif

const struct vectors_kernel *vectors_kernel_named(const char *name)
{
    static const struct vectors_kernel portable = { "portable", dot_portable, over_portable };
#if defined(__x86_64__)
    static const struct vectors_kernel vnni = { "avx512-vnni", dot_vnni, over_avx512 }, avx2 = { "avx2", dot_avx2, over_avx2 };
    if (!strcmp(name, vnni.name))
        return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512bw")
                   ? &vnni
                   : NULL;
    if (!strcmp(name, avx2.name)) return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
#endif
    return !strcmp(name, portable.name) ? &portable : NULL;
}

const struct vectors_kernel *vectors_kernel(void)
{
    static const char *const names[] = { "avx512-vnni", "avx2", "portable" };
    for (int i = 0; i < 2; i++) {
        const struct vectors_kernel *k = vectors_kernel_named(names[i]);
        if (k) return k;
    }
    return vectors_kernel_named(names[2]);
}

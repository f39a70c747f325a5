/* store/vectors_kernel.c — the inner products of the scan, one per kind of processor. A row is unsigned and the query
 * signed because that is the order the multiply-add instruction takes; the caller removes the offset of 128 once per
 * query. AVX2 widens to 16 bits first: its own u8·s8 instruction saturates. Nothing here knows what a vector means. */
/* SPDX-License-Identifier: MIT */
#include "store/vectors.h"

#include <string.h>

static void dot_portable(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *row = rows + (size_t)i * stride;
        int32_t sum = 0;
        for (size_t j = 0; j < stride; j++) sum += (int32_t)row[j] * q[j];
        out[i] = sum;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static void
dot_vnni(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out)
{
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint8_t *r0 = rows + (size_t)i * stride, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
        __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0;
        for (size_t j = 0; j < stride; j += 64) {
            __m512i b = _mm512_loadu_si512(q + j);
            a0 = _mm512_dpbusd_epi32(a0, _mm512_load_si512(r0 + j), b);
            a1 = _mm512_dpbusd_epi32(a1, _mm512_load_si512(r1 + j), b);
            a2 = _mm512_dpbusd_epi32(a2, _mm512_load_si512(r2 + j), b);
            a3 = _mm512_dpbusd_epi32(a3, _mm512_load_si512(r3 + j), b);
        }
        /* Four sums at once: interleave until each 128-bit lane holds one partial sum per row. */
        __m512i x = _mm512_add_epi32(_mm512_unpacklo_epi32(a0, a1), _mm512_unpackhi_epi32(a0, a1));
        __m512i y = _mm512_add_epi32(_mm512_unpacklo_epi32(a2, a3), _mm512_unpackhi_epi32(a2, a3));
        __m512i z = _mm512_add_epi32(_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
        __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64(z, 1));
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
        _mm_storeu_si128((__m128i *)(void *)(out + i), s);
    }
    for (; i < n; i++) {
        const uint8_t *r = rows + (size_t)i * stride;
        __m512i a = _mm512_setzero_si512();
        for (size_t j = 0; j < stride; j += 64)
            a = _mm512_dpbusd_epi32(a, _mm512_load_si512(r + j), _mm512_loadu_si512(q + j));
        out[i] = _mm512_reduce_add_epi32(a);
    }
}

__attribute__((target("avx2"))) static void dot_avx2(const uint8_t *rows, size_t stride, int n, const int8_t *q,
                                                     int32_t *out)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *r = rows + (size_t)i * stride;
        __m256i a = _mm256_setzero_si256(), b = a;
        for (size_t j = 0; j < stride; j += 32) {
            __m256i r0 = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)(r + j)));
            __m256i r1 = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)(r + j + 16)));
            __m256i q0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(q + j)));
            __m256i q1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(q + j + 16)));
            a = _mm256_add_epi32(a, _mm256_madd_epi16(r0, q0));
            b = _mm256_add_epi32(b, _mm256_madd_epi16(r1, q1));
        }
        a = _mm256_add_epi32(a, b);
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
        s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
        out[i] = _mm_cvtsi128_si32(s);
    }
}
#endif

vectors_kernel_fn vectors_kernel_named(const char *name)
{
#if defined(__x86_64__)
    if (!strcmp(name, "avx512-vnni"))
        return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512bw")
                   ? dot_vnni
                   : NULL;
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") ? dot_avx2 : NULL;
#endif
    return !strcmp(name, "portable") ? dot_portable : NULL;
}

vectors_kernel_fn vectors_kernel(const char **name_out)
{
    static const char *const names[] = { "avx512-vnni", "avx2", "portable" };
    for (int i = 0; i < 3; i++) {
        vectors_kernel_fn f = vectors_kernel_named(names[i]);
        if (!f) continue;
        if (name_out) *name_out = names[i];
        return f;
    }
    return dot_portable;
}

/* SPDX-License-Identifier: MIT */
/* int8 for CPUs with AVX2. Its one instruction for u8 times s8 saturates at 16 bits, which full weights would reach, so
 * both sides are widened to 16 bits and multiplied exactly: two instructions for 16 products, where f32 needs two as
 * well. With AVX-VNNI one instruction does 32 of them. Sums are the same integers in both and as everywhere else. */
#if defined __x86_64__
#define LANES_BYTES 32
#include "encoder/kernels_int8_lanes.h"

#include <immintrin.h>

#define AVX2     __attribute__((target("avx2,fma")))
#define AVX_VNNI __attribute__((target("avx2,fma,avxvnni")))

/* What one broadcast reads. */
struct four16 { int16_t v[4]; } __attribute__((may_alias));
struct four8 { uint8_t v[4]; } __attribute__((may_alias));

AVX2 static inline __attribute__((always_inline)) void bytes_avx2(const lanes_i *q, uint8_t *out)
{
    const __m256i *half = (const __m256i *)(const void *)q;
    const __m256i  words = _mm256_permute4x64_epi64(_mm256_packs_epi32(half[0], half[1]), 0xd8);
    const __m128i  bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)out, bytes);
}

/* Eight sums of a row, columns first.., as floats. */
AVX2 static inline __attribute__((always_inline)) void store8(float *to, __m256i sums, const struct kernels_matrix *m, int first,
                                                             const struct kernels_row *row)
{
    const __m256 by = _mm256_mul_ps(_mm256_set1_ps(row->scale), _mm256_loadu_ps(m->scale + first));
    const __m256 from = _mm256_fmadd_ps(_mm256_set1_ps(row->zero), _mm256_loadu_ps(m->sum + first), _mm256_loadu_ps(m->bias + first));
    _mm256_storeu_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), by, from));
}

/* ROWS rows times eight columns: 12 sums, 2 weights, 1 activation and 1 product are the 16 registers. In a sum stand two
 * halves of each of four columns, brought together at the end. */
AVX2 static inline __attribute__((always_inline)) void tile_avx2(const struct kernels_matrix *m, const int16_t *wide,
                                                                const struct kernels_row *row, float *out, int first, const int rows)
{
    const int8_t *w = m->packed + (size_t)(first / 64) * 64 * (size_t)m->depth + first % 64 * 4;
    __m256i       acc[6][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int k = 0; k < m->depth; k += 4, w += 256) {
        const __m256i w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
        const __m256i w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w + 16)));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const struct four16 *four = (const struct four16 *)(const void *)(wide + (size_t)r * (size_t)m->depth + k);
            __m256i              a, b;
            /* As intrinsics all rows' loads come first and push sums out of the registers: half the speed. */
            __asm__("vpbroadcastq %4, %2\n\tvpmaddwd %2, %5, %3\n\tvpmaddwd %2, %6, %2\n\tvpaddd %3, %0, %0\n\tvpaddd %2, %1, %1"
                    : "+x"(acc[r][0]), "+x"(acc[r][1]), "=&x"(a), "=&x"(b) : "m"(*four), "x"(w0), "x"(w1));
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        store8(out + (size_t)r * (size_t)m->width + first,
               _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc[r][0], acc[r][1]), 0xd8), m, first, &row[r]);
}

AVX2 static void product_avx2(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out,
                              int rows, void *room)
{
    int16_t     *wide = room;
    const size_t count = (size_t)rows * (size_t)m->depth;
    for (size_t i = 0; i < count; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(wide + i),
                            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(act + i))));
    /* As even as six at a time can be: 9 rows are 5 and 4. */
    const int groups = (rows + 5) / 6, each = rows / groups, longer = rows % groups;
    for (int block = 0; block < m->width; block += 64) {
        const int end = m->width - block < 64 ? m->width : block + 64;
        for (int g = 0, r = 0; g < groups; g++) {
            const int                 n = each + (g < longer);
            const int16_t            *a = wide + (size_t)r * (size_t)m->depth;
            const struct kernels_row *of = row + r;
            float                    *to = out + (size_t)r * (size_t)m->width;
            for (int first = block; first < end; first += 8) switch (n) {
                case 1: tile_avx2(m, a, of, to, first, 1); break;
                case 2: tile_avx2(m, a, of, to, first, 2); break;
                case 3: tile_avx2(m, a, of, to, first, 3); break;
                case 4: tile_avx2(m, a, of, to, first, 4); break;
                case 5: tile_avx2(m, a, of, to, first, 5); break;
                default: tile_avx2(m, a, of, to, first, 6); break;
                }
            r += n;
        }
    }
}

/* ROWS rows times sixteen columns. */
AVX_VNNI static inline __attribute__((always_inline)) void tile_vnni(const struct kernels_matrix *m, const uint8_t *act,
                                                                    const struct kernels_row *row, float *out, int first, const int rows)
{
    const int8_t *w = m->packed + (size_t)(first / 64) * 64 * (size_t)m->depth + first % 64 * 4;
    __m256i       acc[6][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int k = 0; k < m->depth; k += 4, w += 256) {
        const __m256i w0 = _mm256_loadu_si256((const __m256i *)(const void *)w);
        const __m256i w1 = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32));
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const struct four8 *four = (const struct four8 *)(const void *)(act + (size_t)r * (size_t)m->depth + k);
            __m256i             a;
            __asm__("vpbroadcastd %3, %2\n\t%{vex%} vpdpbusd %4, %2, %0\n\t%{vex%} vpdpbusd %5, %2, %1"
                    : "+x"(acc[r][0]), "+x"(acc[r][1]), "=&x"(a) : "m"(*four), "x"(w0), "x"(w1));
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        for (int half = 0; half < 2; half++)
            store8(out + (size_t)r * (size_t)m->width + first + 8 * half, acc[r][half], m, first + 8 * half, &row[r]);
}

AVX_VNNI static void product_vnni(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out,
                                  int rows, void *room)
{
    (void)room;
    const int groups = (rows + 5) / 6, each = rows / groups, longer = rows % groups;
    for (int block = 0; block < m->width; block += 64) {
        const int end = m->width - block < 64 ? m->width : block + 64;
        for (int g = 0, r = 0; g < groups; g++) {
            const int                 n = each + (g < longer);
            const uint8_t            *a = act + (size_t)r * (size_t)m->depth;
            const struct kernels_row *of = row + r;
            float                    *to = out + (size_t)r * (size_t)m->width;
            for (int first = block; first < end; first += 16) switch (n) {
                case 1: tile_vnni(m, a, of, to, first, 1); break;
                case 2: tile_vnni(m, a, of, to, first, 2); break;
                case 3: tile_vnni(m, a, of, to, first, 3); break;
                case 4: tile_vnni(m, a, of, to, first, 4); break;
                case 5: tile_vnni(m, a, of, to, first, 5); break;
                default: tile_vnni(m, a, of, to, first, 6); break;
                }
            r += n;
        }
    }
}

KERNELS_INT8_LANES(avx2, "avx2", true, AVX2, product_avx2, bytes_avx2, kernels_f32_avx2);
KERNELS_INT8_LANES(avx2_vnni, "avx2-vnni", true, AVX_VNNI, product_vnni, bytes_avx2, kernels_f32_avx2);
#else
typedef int kernels_int8_avx2_is_empty;
#endif

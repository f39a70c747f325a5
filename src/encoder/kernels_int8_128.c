/* SPDX-License-Identifier: MIT */
/* int8 in vectors of 128 bits: what every x86-64 and every 64-bit ARM has, and ARM's dot product where it is there. On
 * x86 both sides are widened to 16 bits, as for AVX2. On ARM activations become signed by taking 128 off, which the
 * row's zero makes good, since a matrix knows its columns' sums; two products of two signed bytes then fit 16 bits. */
#if defined __x86_64__ || defined __aarch64__
#define LANES_BYTES 16
#include "encoder/kernels_int8_lanes.h"

enum { TILE_ROWS = 4 };
#define TILE static inline __attribute__((always_inline))

/* Four sums of a row, columns first.., as floats. */
TILE void store4(float *to, const int32_t *sums, const struct kernels_matrix *m, int first, float scale, float zero)
{
    for (int i = 0; i < 4; i++)
        to[i] = (float)sums[i] * (scale * m->scale[first + i]) + (zero * m->sum[first + i] + m->bias[first + i]);
}

TILE const int8_t *weights_of(const struct kernels_matrix *m, int first)
{
    return m->packed + (size_t)(first / 64) * 64 * (size_t)m->depth + first % 64 * 4;
}

/* Rows in groups as even as four at a time can be, columns in steps that a tile takes. */
#define PRODUCT(tile, step, act_type)                                                                            \
    const int groups = (rows + TILE_ROWS - 1) / TILE_ROWS, each = rows / groups, longer = rows % groups;          \
    for (int block = 0; block < m->width; block += 64) {                                                          \
        const int end = m->width - block < 64 ? m->width : block + 64;                                            \
        for (int g = 0, r = 0; g < groups; g++) {                                                                 \
            const int                 n = each + (g < longer);                                                    \
            const act_type           *a = wide + (size_t)r * (size_t)m->depth;                                    \
            const struct kernels_row *of = row + r;                                                               \
            float                    *to = out + (size_t)r * (size_t)m->width;                                    \
            for (int first = block; first < end; first += (step)) switch (n) {                                    \
                case 1: tile(m, a, of, to, first, 1); break;                                                      \
                case 2: tile(m, a, of, to, first, 2); break;                                                      \
                case 3: tile(m, a, of, to, first, 3); break;                                                      \
                default: tile(m, a, of, to, first, 4); break;                                                     \
                }                                                                                                 \
            r += n;                                                                                               \
        }                                                                                                         \
    }

#if defined __x86_64__
#include <emmintrin.h>

#define PLAIN

TILE void bytes_sse2(const lanes_i *q, uint8_t *out)
{
    const __m128i words = _mm_packs_epi32((__m128i)q[0], (__m128i)q[1]);
    _mm_storel_epi64((__m128i *)(void *)out, _mm_packus_epi16(words, words));
}

/* Two columns of four weights, widened. */
TILE __m128i wide_pair(const int8_t *w)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)w);
    return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}

TILE void tile_sse2(const struct kernels_matrix *m, const int16_t *wide, const struct kernels_row *row, float *out, int first,
                    const int rows)
{
    const int8_t *w = weights_of(m, first);
    __m128i       acc[TILE_ROWS][2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm_setzero_si128();
    for (int k = 0; k < m->depth; k += 4, w += 256) {
        const __m128i w0 = wide_pair(w), w1 = wide_pair(w + 8);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)(wide + (size_t)r * (size_t)m->depth + k));
            const __m128i a = _mm_unpacklo_epi64(four, four);
            acc[r][0] = _mm_add_epi32(acc[r][0], _mm_madd_epi16(w0, a));
            acc[r][1] = _mm_add_epi32(acc[r][1], _mm_madd_epi16(w1, a));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
        const __m128 a = (__m128)acc[r][0], b = (__m128)acc[r][1];
        int32_t      sums[4];
        _mm_storeu_si128((__m128i *)(void *)sums, _mm_add_epi32((__m128i)_mm_shuffle_ps(a, b, 0x88), (__m128i)_mm_shuffle_ps(a, b, 0xdd)));
        store4(out + (size_t)r * (size_t)m->width + first, sums, m, first, row[r].scale, row[r].zero);
    }
}

static void product_sse2(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out, int rows,
                         void *room)
{
    int16_t *wide = room;
    for (size_t i = 0; i < (size_t)rows * (size_t)m->depth; i++) wide[i] = act[i];
    PRODUCT(tile_sse2, 4, int16_t)
}

KERNELS_INT8_LANES(sse2, "portable-sse2", false, PLAIN, product_sse2, bytes_sse2, kernels_f32_portable);
#else
#include <arm_neon.h>

#define PLAIN
#define DOT __attribute__((target("arch=armv8.2-a+dotprod")))

TILE void bytes_neon(const lanes_i *q, uint8_t *out)
{
    vst1_u8(out, vqmovun_s16(vcombine_s16(vqmovn_s32((int32x4_t)q[0]), vqmovn_s32((int32x4_t)q[1]))));
}

/* x = scale · (q − 128) + (zero + 128 · scale) */
TILE void store_signed(float *to, int32x4_t sums, const struct kernels_matrix *m, int first, const struct kernels_row *row)
{
    int32_t s[4];
    vst1q_s32(s, sums);
    store4(to, s, m, first, row->scale, row->zero + 128 * row->scale);
}

TILE int32_t four_of(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

/* Eight columns. Two steps of four rows go into 16 bits before they are widened: 2 · 128 · 127 is below 2^15. */
TILE void tile_neon(const struct kernels_matrix *m, const int8_t *act, const struct kernels_row *row, float *out, int first,
                    const int rows)
{
    const int8_t *w = weights_of(m, first);
    int32x4_t     acc[TILE_ROWS][4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = vdupq_n_s32(0);
    for (int k = 0; k < m->depth; k += 8, w += 512) {
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), v0 = vld1q_s8(w + 256), v1 = vld1q_s8(w + 272);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const int8_t   *a = act + (size_t)r * (size_t)m->depth + k;
            const int8x16_t a0 = vreinterpretq_s8_s32(vdupq_n_s32(four_of(a))), a1 = vreinterpretq_s8_s32(vdupq_n_s32(four_of(a + 4)));
            acc[r][0] = vpadalq_s16(acc[r][0], vmlal_s8(vmull_s8(vget_low_s8(w0), vget_low_s8(a0)), vget_low_s8(v0), vget_low_s8(a1)));
            acc[r][1] = vpadalq_s16(acc[r][1], vmlal_high_s8(vmull_high_s8(w0, a0), v0, a1));
            acc[r][2] = vpadalq_s16(acc[r][2], vmlal_s8(vmull_s8(vget_low_s8(w1), vget_low_s8(a0)), vget_low_s8(v1), vget_low_s8(a1)));
            acc[r][3] = vpadalq_s16(acc[r][3], vmlal_high_s8(vmull_high_s8(w1, a0), v1, a1));
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < 2; i++)
            store_signed(out + (size_t)r * (size_t)m->width + first + 4 * i, vpaddq_s32(acc[r][2 * i], acc[r][2 * i + 1]), m,
                         first + 4 * i, &row[r]);
}

/* Sixteen columns. */
DOT TILE void tile_dot(const struct kernels_matrix *m, const int8_t *act, const struct kernels_row *row, float *out, int first,
                       const int rows)
{
    const int8_t *w = weights_of(m, first);
    int32x4_t     acc[TILE_ROWS][4];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = vdupq_n_s32(0);
    for (int k = 0; k < m->depth; k += 4, w += 256) {
        const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four_of(act + (size_t)r * (size_t)m->depth + k)));
            acc[r][0] = vdotq_s32(acc[r][0], w0, a);
            acc[r][1] = vdotq_s32(acc[r][1], w1, a);
            acc[r][2] = vdotq_s32(acc[r][2], w2, a);
            acc[r][3] = vdotq_s32(acc[r][3], w3, a);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < 4; i++)
            store_signed(out + (size_t)r * (size_t)m->width + first + 4 * i, acc[r][i], m, first + 4 * i, &row[r]);
}

static const int8_t *made_signed(const uint8_t *act, size_t n, int8_t *room)
{
    for (size_t i = 0; i < n; i++) room[i] = (int8_t)(act[i] ^ 0x80);
    return room;
}

static void product_neon(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out, int rows,
                         void *room)
{
    const int8_t *wide = made_signed(act, (size_t)rows * (size_t)m->depth, room);
    PRODUCT(tile_neon, 8, int8_t)
}

DOT static void product_dot(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out, int rows,
                            void *room)
{
    const int8_t *wide = made_signed(act, (size_t)rows * (size_t)m->depth, room);
    PRODUCT(tile_dot, 16, int8_t)
}

KERNELS_INT8_LANES(neon, "portable-neon", true, PLAIN, product_neon, bytes_neon, kernels_f32_portable);
KERNELS_INT8_LANES(neon_dot, "portable-neon-dot", true, DOT, product_dot, bytes_neon, kernels_f32_portable);
#endif
#else
typedef int kernels_int8_128_is_empty;
#endif

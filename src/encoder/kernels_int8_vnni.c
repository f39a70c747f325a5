/* SPDX-License-Identifier: MIT */
/* int8 on AVX-512 VNNI: 12 rows by 32 columns of sums in registers, so that a weight is read once for 12 rows and the
 * products are bound by the multipliers alone. The sums pass to what comes next through a buffer of 3 KB; a library's
 * product would write all of them to memory first. Two tables: what goes to
 * attention and back is in bf16 where the CPU has that, else in f32. */
#if defined __x86_64__
#include "encoder/kernels_int8_wide.h"

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define VNNI_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")))
enum { ROWS = 12, COLUMNS = 32, BLOCK = KERNELS_INT8_BLOCK, NEAR = 2048 };

/* Sums of `rows` rows and 32 columns; rows and asking are constants after inlining. w: the columns' first block, depth / 4
 * groups that are 256 bytes apart, of which the other 32 columns have the other half. asking: weights that come from far
 * are asked for ahead, the other half's too: one question reads each of them once. */
VNNI INLINE void dot(const uint8_t *act, size_t depth, const int8_t *w, int32_t *out, const int8_t *ahead, const int rows, const bool asking)
{
    __m512i acc[ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_si512();
    for (size_t k = 0; k < depth; k += 4, w += 4 * BLOCK) {
        const __m512i w0 = _mm512_load_si512(w), w1 = _mm512_load_si512(w + 64);
        if (asking) {
            _mm_prefetch(w + NEAR, _MM_HINT_T0);
            _mm_prefetch(w + NEAR + 64, _MM_HINT_T0);
            _mm_prefetch(ahead, _MM_HINT_T1);
            _mm_prefetch(ahead + 64, _MM_HINT_T1);
            ahead += 128;
        }
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, act + (size_t)r * depth + k, sizeof four);
            const __m512i a = _mm512_set1_epi32(four);
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], a, w0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], a, w1);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        _mm512_store_si512(out + r * SUMS_PITCH, acc[r][0]);
        _mm512_store_si512(out + r * SUMS_PITCH + LANES, acc[r][1]);
    }
}

/* ahead NULL: the weights are near, as they are to all rows but the first few. */
#define DOT(n)                                                                                                   \
    VNNI static void dot_##n(const uint8_t *act, size_t depth, const int8_t *w, int32_t *out, const int8_t *ahead) \
    {                                                                                                            \
        if (ahead) dot(act, depth, w, out, ahead, n, true);                                                      \
        else dot(act, depth, w, out, NULL, n, false);                                                            \
    }
DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10) DOT(11) DOT(12)
static void (*const dots[ROWS + 1])(const uint8_t *, size_t, const int8_t *, int32_t *, const int8_t *) = {
    NULL, dot_1, dot_2, dot_3, dot_4, dot_5, dot_6, dot_7, dot_8, dot_9, dot_10, dot_11, dot_12
};

/* Runs `turn` with every piece of the product in `s`; the pieces of 32 columns come one after another, so that their
 * weights stay in the cache for all rows. Rows are shared out evenly: 13 are 7 and 6, not 12 and 1. Whoever takes a block's
 * first half asks for the block that comes AHEAD of it, in the last panel for the next matrix's first. */
#define FOR_SUMS(turn)                                                                                           \
    do {                                                                                                         \
        int32_t     at[ROWS * SUMS_PITCH] __attribute__((aligned(64)));                                          \
        struct sums s = { .at = at, .columns = COLUMNS };                                                        \
        const int   groups = (rows + ROWS - 1) / ROWS;                                                           \
        for (s.column = 0; s.column < m->width; s.column += COLUMNS) {                                           \
            const int8_t *panel = m->packed + (size_t)(s.column / BLOCK) * (size_t)m->depth * BLOCK;             \
            const bool    first = s.column % BLOCK == 0, last = s.column / BLOCK == (m->width - 1) / BLOCK;      \
            const int8_t *next = last && m->after ? m->after : panel + (size_t)m->depth * BLOCK;                 \
            if (first && groups == 1) ask_columns(m, s.column, m->width - s.column < BLOCK ? COLUMNS : BLOCK);   \
            s.row = 0;                                                                                           \
            for (int g = 0; g < groups; g++, s.row += s.rows) {                                                  \
                s.rows = (rows - s.row) / (groups - g);                                                          \
                dots[s.rows](act + (size_t)s.row * (size_t)m->depth, (size_t)m->depth, panel + (first ? 0 : 4 * COLUMNS), at, \
                             g == 0 ? next + (first ? 0 : (size_t)m->depth * COLUMNS) : NULL);                   \
                turn;                                                                                            \
            }                                                                                                    \
        }                                                                                                        \
    } while (0)

VNNI static void project_to_f32(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, void *out,
                                int rows, void *scratch)
{
    (void)scratch;
    FOR_SUMS(project_f32(m, row, &s, out));
}

VNNI_BF16 static void project_to_bf16(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, void *out,
                                      int rows, void *scratch)
{
    (void)scratch;
    FOR_SUMS(project_bf16(m, row, &s, out));
}

VNNI static void expand(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, uint8_t *out,
                        struct kernels_row *out_row, int rows, void *scratch)
{
    float *value = scratch;
    FOR_SUMS(expand_sums(m, row, &s, value));
    expand_end(m, value, out, out_row, rows);
}

VNNI static void merge(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *x,
                       const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row, int rows,
                       void *scratch)
{
    (void)scratch;
    FOR_SUMS(merge_sums(m, row, &s, x));
    norm_rows(x, gain, shift, eps, out, out_row, rows, m->width);
}

WIDE void kernels_wide_layer_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                                  uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    for (int r = 0; r < rows; r++, add += width) {
        float *v = x + (size_t)r * (size_t)width;
        for (int i = 0; i < width; i += LANES)
            _mm512_storeu_ps(v + i, _mm512_add_ps(_mm512_loadu_ps(v + i),
                                                  _mm512_add_ps(_mm512_loadu_ps(add + i), _mm512_loadu_ps(bias + i))));
    }
    norm_rows(x, gain, shift, eps, out, out_row, rows, width);
}

WIDE INLINE __m512 load_as_f32(const void *in, bool bf16, size_t i)
{
    if (!bf16) return _mm512_loadu_ps((const float *)in + i);
    const __m256i half = _mm256_loadu_si256((const void *)((const uint16_t *)in + i));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

WIDE INLINE void narrow_rows(const void *in, const bool bf16, uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    for (size_t r = 0; r < (size_t)rows; r++, out += kernels_int8_pitch(width)) {
        const size_t first = r * (size_t)width;
        __m512       low = load_as_f32(in, bf16, first), high = low, by, from;
        for (int i = LANES; i < width; i += LANES) {
            const __m512 v = load_as_f32(in, bf16, first + (size_t)i);
            low = _mm512_min_ps(low, v);
            high = _mm512_max_ps(high, v);
        }
        out_row[r] = (struct kernels_row){ .lower = out_row[r].lower };
        span_of(&out_row[r], _mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high), &by, &from);
        for (int i = 0; i < width; i += LANES) store_u8(out + i, load_as_f32(in, bf16, first + (size_t)i), by, from);
    }
}

WIDE void kernels_wide_narrow_f32(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    narrow_rows(in, false, out, out_row, rows, width);
}

WIDE void kernels_wide_narrow_bf16(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    narrow_rows(in, true, out, out_row, rows, width);
}

const struct kernels_int8 kernels_int8_vnni_f32 = {
    "avx512-f32", FORM_F32, true, project_to_f32, expand, merge, kernels_wide_layer_norm, kernels_wide_narrow_f32, kernels_int16_attention_f32,
};
const struct kernels_int8 kernels_int8_vnni = {
    "avx512", FORM_BF16, true, project_to_bf16, expand, merge, kernels_wide_layer_norm, kernels_wide_narrow_bf16, kernels_int16_attention_bf16,
};
#else
typedef int kernels_int8_vnni_is_empty;
#endif

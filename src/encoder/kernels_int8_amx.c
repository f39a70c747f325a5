/* SPDX-License-Identifier: MIT */
/* int8 on AMX tiles. Packed weights are tiles as they lie: 16 groups of four rows, 16 columns wide, 256 bytes apart. 32 rows
 * by 32 columns go through the tile registers at a time, twice for a block of 64 columns, and the sums pass to what
 * comes next in 8 KB that never leave the L1 cache: at this speed writing them all out would take longer than making
 * them. The last tile of rows reads spare rows behind the activations; what comes of them is not used. */
#if defined __x86_64__
#include "encoder/kernels_int8_wide.h"

#define TILED __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-int8")))
enum { TILE = 16, GROUP = 2 * TILE, BLOCK = KERNELS_INT8_BLOCK, BLOCK_BYTES = BLOCK * BLOCK, W_STRIDE = 4 * BLOCK, AHEAD = 2 * BLOCK_BYTES,
       NEAR = 2 /* blocks */ };

struct tiles {
    uint8_t  palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t  rows[16];
};

/* A product takes as long as its left side has rows: a few are not made up to 16. Tiles 0 to 4 are sums and left sides. */
TILED INLINE void tiles_begin(int rows)
{
    struct tiles t = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        t.row_bytes[i] = 64;
        t.rows[i] = i <= 4 && rows < TILE ? (uint8_t)rows : TILE;
    }
    _tile_loadconfig(&t);
}

/* The lines of two tiles of `pitch` bytes from line to line, which of a deep matrix are in the L2 cache and no nearer. */
TILED INLINE void ask_two(const void *first, const void *second, size_t pitch)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < TILE; i++) {
        _mm_prefetch((const char *)first + i * pitch, _MM_HINT_T0);
        _mm_prefetch((const char *)second + i * pitch, _MM_HINT_T0);
    }
}

/* 32 rows by 64 columns. */
TILED INLINE void dot_32(const uint8_t *act, int depth, const int8_t *w, int32_t *out)
{
    const size_t pitch = (size_t)depth;
    for (int half = 0; half < 2; half++) {
        const int8_t  *right = w + half * 2 * TILE * 4;
        const uint8_t *left = act;
        int32_t       *to = out + half * 2 * TILE;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int k = 0; k < depth; k += BLOCK, left += BLOCK, right += BLOCK_BYTES) {
            _tile_loadd(4, left, pitch);
            _tile_loadd(6, right, W_STRIDE);
            ask_two(right + NEAR * BLOCK_BYTES, right + NEAR * BLOCK_BYTES + TILE * 4, W_STRIDE);
            _tile_dpbusd(0, 4, 6);
            _tile_loadd(7, right + TILE * 4, W_STRIDE);
            _tile_dpbusd(1, 4, 7);
            ask_two(left + NEAR * BLOCK, left + NEAR * BLOCK + TILE * pitch, pitch);
            _tile_loadd(5, left + TILE * pitch, pitch);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
        _tile_stored(0, to, SUMS_PITCH * 4);
        _tile_stored(1, to + TILE, SUMS_PITCH * 4);
        _tile_stored(2, to + TILE * SUMS_PITCH, SUMS_PITCH * 4);
        _tile_stored(3, to + TILE * SUMS_PITCH + TILE, SUMS_PITCH * 4);
    }
}

/* Four lines of weights to come are asked for beside each tile, so that the loads never queue up behind them. */
TILED INLINE void ask_quarter(const int8_t *ahead)
{
#pragma GCC unroll 16
    for (int i = 0; i < BLOCK_BYTES / 4; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T0);
}

/* 16 rows by 64 columns. So few rows are a question's: its time is that of bringing the weights in, once each. `more` is how
 * many blocks come after these in memory; behind them one goes on with `after`. */
TILED INLINE void dot_16(const uint8_t *act, int depth, const int8_t *w, int32_t *out, size_t more, const int8_t *after)
{
    const size_t  pitch = (size_t)depth;
    const int8_t *end = w + (pitch / BLOCK + more) * BLOCK_BYTES;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int k = 0; k < depth; k += BLOCK, act += BLOCK, w += BLOCK_BYTES) {
        const int8_t *ahead = w + AHEAD < end ? w + AHEAD : after + (w + AHEAD - end);
        _tile_loadd(4, act, pitch);
        _tile_loadd(6, w, W_STRIDE);
        ask_quarter(ahead);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, w + TILE * 4, W_STRIDE);
        ask_quarter(ahead + BLOCK_BYTES / 4);
        _tile_dpbusd(1, 4, 7);
        _tile_loadd(5, w + 2 * TILE * 4, W_STRIDE);
        ask_quarter(ahead + BLOCK_BYTES / 2);
        _tile_dpbusd(2, 4, 5);
        _tile_loadd(6, w + 3 * TILE * 4, W_STRIDE);
        ask_quarter(ahead + BLOCK_BYTES / 4 * 3);
        _tile_dpbusd(3, 4, 6);
    }
    _tile_stored(0, out, SUMS_PITCH * 4);
    _tile_stored(1, out + TILE, SUMS_PITCH * 4);
    _tile_stored(2, out + 2 * TILE, SUMS_PITCH * 4);
    _tile_stored(3, out + 3 * TILE, SUMS_PITCH * 4);
}

#define FOR_SUMS(turn)                                                                                           \
    do {                                                                                                         \
        int32_t     at[GROUP * SUMS_PITCH] __attribute__((aligned(64)));                                         \
        struct sums s = { .at = at };                                                                            \
        const int8_t *w = m->packed, *after = m->after ? m->after : m->packed;                                   \
        size_t      more = (size_t)(m->width + BLOCK - 1) / BLOCK * (size_t)(m->depth / BLOCK);                  \
        tiles_begin(rows);                                                                                       \
        for (s.column = 0; s.column < m->width; s.column += BLOCK, w += (size_t)m->depth * BLOCK) {              \
            s.columns = m->width - s.column < BLOCK ? m->width - s.column : BLOCK;                               \
            more -= (size_t)(m->depth / BLOCK);                                                                  \
            if (rows <= TILE) ask_columns(m, s.column, s.columns);                                               \
            for (s.row = 0; s.row < rows; s.row += GROUP) {                                                      \
                const uint8_t *left = act + (size_t)s.row * (size_t)m->depth;                                    \
                s.rows = rows - s.row < GROUP ? rows - s.row : GROUP;                                            \
                if (s.rows <= TILE) dot_16(left, m->depth, w, at, more, after);                                  \
                else dot_32(left, m->depth, w, at);                                                              \
                if (rows <= TILE)                                                                                \
                    s.ahead = (const char *)(more ? w + (size_t)m->depth * BLOCK : after) + AHEAD;               \
                turn;                                                                                            \
            }                                                                                                    \
        }                                                                                                        \
        _tile_release();                                                                                         \
    } while (0)

TILED static void project(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, void *out, int rows,
                          void *scratch)
{
    (void)scratch;
    FOR_SUMS(project_bf16(m, row, &s, out));
}

TILED static void expand(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, uint8_t *out,
                         struct kernels_row *out_row, int rows, void *scratch)
{
    float *value = scratch;
    FOR_SUMS(expand_sums(m, row, &s, value));
    expand_end(m, value, out, out_row, rows);
}

TILED static void merge(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *x,
                        const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row, int rows,
                        void *scratch)
{
    (void)scratch;
    FOR_SUMS(merge_sums(m, row, &s, x));
    norm_rows(x, gain, shift, eps, out, out_row, rows, m->width);
}

static void attention(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    kernels_bf16_amx.attention(qkv, ctx, len, wanted, heads, head_dim, scratch);
}

const struct kernels_int8 kernels_int8_amx = {
    "amx", FORM_BF16, true, project, expand, merge, kernels_wide_layer_norm, kernels_wide_narrow_bf16, attention,
};
#else
typedef int kernels_int8_amx_is_empty;
#endif

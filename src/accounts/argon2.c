/* RFC 9106 for one lane and a tag of 32 bytes. A block is mixed in registers: eight rows of sixteen words, then eight columns of
 * word pairs. Rows are done with one word of each of four quarter rounds to a vector half; columns with two words, one column
 * to each 128 bits, so that what has to move between the two halves of a round moves inside of its 128 bits. Which block comes
 * next is known ahead for the first half of the first pass only: nowhere does timing tell of the password there.
 * It refuses nothing: its caller gives sizes that are right. */
/* SPDX-License-Identifier: MIT */
#include "accounts/argon2.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define VERSION   0x13
#define TYPE_ID   2
#define SLICES    4
#define WORDS     (ARGON2_BLOCK_BYTES / 8)
#define HASH_BYTES 64

/* next = G(a, b), or xor of it into what is there. Pointers may be the same. */
typedef void (*mix_fn)(uint64_t *next, const uint64_t *a, const uint64_t *b, bool into);

#if defined __x86_64__
#include <immintrin.h>

#define ROTATE_512(x, n) _mm512_ror_epi64(x, n)
#define F_512(x, y) _mm512_add_epi64(_mm512_add_epi64(x, y), _mm512_slli_epi64(_mm512_mul_epu32(x, y), 1))
#define G_512(a, b, c, d)                                        \
    do {                                                         \
        a = F_512(a, b), d = ROTATE_512(_mm512_xor_si512(d, a), 32); \
        c = F_512(c, d), b = ROTATE_512(_mm512_xor_si512(b, c), 24); \
        a = F_512(a, b), d = ROTATE_512(_mm512_xor_si512(d, a), 16); \
        c = F_512(c, d), b = ROTATE_512(_mm512_xor_si512(b, c), 63); \
    } while (0)

/* Rows r and r+1, of two vectors each. */
__attribute__((target("avx512f"), always_inline)) static inline void rows_512(__m512i *z)
{
    __m512i a = _mm512_shuffle_i64x2(z[0], z[2], 0x44), b = _mm512_shuffle_i64x2(z[0], z[2], 0xee);
    __m512i c = _mm512_shuffle_i64x2(z[1], z[3], 0x44), d = _mm512_shuffle_i64x2(z[1], z[3], 0xee);
    G_512(a, b, c, d);
    b = _mm512_permutex_epi64(b, _MM_SHUFFLE(0, 3, 2, 1));
    c = _mm512_permutex_epi64(c, _MM_SHUFFLE(1, 0, 3, 2));
    d = _mm512_permutex_epi64(d, _MM_SHUFFLE(2, 1, 0, 3));
    G_512(a, b, c, d);
    b = _mm512_permutex_epi64(b, _MM_SHUFFLE(2, 1, 0, 3));
    c = _mm512_permutex_epi64(c, _MM_SHUFFLE(1, 0, 3, 2));
    d = _mm512_permutex_epi64(d, _MM_SHUFFLE(0, 3, 2, 1));
    z[0] = _mm512_shuffle_i64x2(a, b, 0x44), z[2] = _mm512_shuffle_i64x2(a, b, 0xee);
    z[1] = _mm512_shuffle_i64x2(c, d, 0x44), z[3] = _mm512_shuffle_i64x2(c, d, 0xee);
}

/* Of each 128 bits the high word of lo and the low word of hi: the next pair of four words that stand in two vectors. */
#define NEXT_512(lo, hi) _mm512_castpd_si512(_mm512_shuffle_pd(_mm512_castsi512_pd(lo), _mm512_castsi512_pd(hi), 0x55))

/* Four columns: z[0], z[2], … z[14]. */
__attribute__((target("avx512f"), always_inline)) static inline void columns_512(__m512i *z)
{
    G_512(z[0], z[4], z[8], z[12]);
    G_512(z[2], z[6], z[10], z[14]);
    __m512i b0 = NEXT_512(z[4], z[6]), b1 = NEXT_512(z[6], z[4]), d0 = NEXT_512(z[14], z[12]), d1 = NEXT_512(z[12], z[14]);
    __m512i c0 = z[10], c1 = z[8];
    G_512(z[0], b0, c0, d0);
    G_512(z[2], b1, c1, d1);
    z[4] = NEXT_512(b1, b0), z[6] = NEXT_512(b0, b1);
    z[8] = c1, z[10] = c0;
    z[12] = NEXT_512(d0, d1), z[14] = NEXT_512(d1, d0);
}

__attribute__((target("avx512f"))) static void mix_512(uint64_t *next, const uint64_t *a, const uint64_t *b, bool into)
{
    __m512i z[16], r[16];
    for (int i = 0; i < 16; i++) {
        z[i] = _mm512_xor_si512(_mm512_load_si512(a + i * 8), _mm512_load_si512(b + i * 8));
        r[i] = into ? _mm512_xor_si512(z[i], _mm512_load_si512(next + i * 8)) : z[i];
    }
    for (int i = 0; i < 16; i += 4) rows_512(z + i);
    columns_512(z);
    columns_512(z + 1);
    for (int i = 0; i < 16; i++) _mm512_store_si512(next + i * 8, _mm512_xor_si512(z[i], r[i]));
}

#define F_256(x, y) _mm256_add_epi64(_mm256_add_epi64(x, y), _mm256_slli_epi64(_mm256_mul_epu32(x, y), 1))
#define ROTATE_32(x) _mm256_shuffle_epi32(x, _MM_SHUFFLE(2, 3, 0, 1))
#define ROTATE_24(x) _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10))
#define ROTATE_16(x) _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9))
#define ROTATE_63(x) _mm256_xor_si256(_mm256_srli_epi64(x, 63), _mm256_add_epi64(x, x))
#define G_256(a, b, c, d)                                        \
    do {                                                         \
        a = F_256(a, b), d = ROTATE_32(_mm256_xor_si256(d, a));  \
        c = F_256(c, d), b = ROTATE_24(_mm256_xor_si256(b, c));  \
        a = F_256(a, b), d = ROTATE_16(_mm256_xor_si256(d, a));  \
        c = F_256(c, d), b = ROTATE_63(_mm256_xor_si256(b, c));  \
    } while (0)

/* One row, of four vectors. */
__attribute__((target("avx2"), always_inline)) static inline void row_256(__m256i *y)
{
    __m256i a = y[0], b = y[1], c = y[2], d = y[3];
    G_256(a, b, c, d);
    b = _mm256_permute4x64_epi64(b, _MM_SHUFFLE(0, 3, 2, 1));
    c = _mm256_permute4x64_epi64(c, _MM_SHUFFLE(1, 0, 3, 2));
    d = _mm256_permute4x64_epi64(d, _MM_SHUFFLE(2, 1, 0, 3));
    G_256(a, b, c, d);
    y[0] = a;
    y[1] = _mm256_permute4x64_epi64(b, _MM_SHUFFLE(2, 1, 0, 3));
    y[2] = _mm256_permute4x64_epi64(c, _MM_SHUFFLE(1, 0, 3, 2));
    y[3] = _mm256_permute4x64_epi64(d, _MM_SHUFFLE(0, 3, 2, 1));
}

#define NEXT_256(lo, hi) _mm256_castpd_si256(_mm256_shuffle_pd(_mm256_castsi256_pd(lo), _mm256_castsi256_pd(hi), 0x5))

/* Two columns: y[0], y[4], … y[28]. */
__attribute__((target("avx2"), always_inline)) static inline void columns_256(__m256i *y)
{
    G_256(y[0], y[8], y[16], y[24]);
    G_256(y[4], y[12], y[20], y[28]);
    __m256i b0 = NEXT_256(y[8], y[12]), b1 = NEXT_256(y[12], y[8]), d0 = NEXT_256(y[28], y[24]), d1 = NEXT_256(y[24], y[28]);
    __m256i c0 = y[20], c1 = y[16];
    G_256(y[0], b0, c0, d0);
    G_256(y[4], b1, c1, d1);
    y[8] = NEXT_256(b1, b0), y[12] = NEXT_256(b0, b1);
    y[16] = c1, y[20] = c0;
    y[24] = NEXT_256(d0, d1), y[28] = NEXT_256(d1, d0);
}

__attribute__((target("avx2"))) static void mix_256(uint64_t *next, const uint64_t *a, const uint64_t *b, bool into)
{
    __m256i y[32], r[32];
    for (int i = 0; i < 32; i++) {
        y[i] = _mm256_xor_si256(_mm256_load_si256((const __m256i *)a + i), _mm256_load_si256((const __m256i *)b + i));
        r[i] = into ? _mm256_xor_si256(y[i], _mm256_load_si256((const __m256i *)next + i)) : y[i];
    }
    for (int i = 0; i < 32; i += 4) row_256(y + i);
    for (int i = 0; i < 4; i++) columns_256(y + i);
    for (int i = 0; i < 32; i++) _mm256_store_si256((__m256i *)next + i, _mm256_xor_si256(y[i], r[i]));
}

enum argon2_kernel argon2_best(void)
{
    if (__builtin_cpu_supports("avx512f")) return ARGON2_AVX512;
    return __builtin_cpu_supports("avx2") ? ARGON2_AVX2 : ARGON2_NONE;
}

static mix_fn mix_of(enum argon2_kernel k)
{
    return k == ARGON2_AVX512 ? mix_512 : k == ARGON2_AVX2 ? mix_256 : NULL;
}
#else
enum argon2_kernel argon2_best(void)
{
    return ARGON2_NONE;
}

static mix_fn mix_of(enum argon2_kernel k)
{
    (void)k;
    return NULL;
}
#endif

static void put32(crypto_generichash_state *h, uint32_t v)
{
    unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24) };
    crypto_generichash_update(h, b, sizeof b);
}

/* H' of 3.3, for 32 and for 1,024 bytes. */
static void stretch(unsigned char *out, uint32_t n, const void *a, size_t a_len, const uint32_t *more, int more_n)
{
    unsigned char            v[HASH_BYTES];
    crypto_generichash_state h;
    uint32_t                 first = n <= HASH_BYTES ? n : HASH_BYTES;
    crypto_generichash_init(&h, NULL, 0, first);
    put32(&h, n);
    crypto_generichash_update(&h, a, a_len);
    for (int i = 0; i < more_n; i++) put32(&h, more[i]);
    crypto_generichash_final(&h, v, first);
    while (n > HASH_BYTES) {
        memcpy(out, v, HASH_BYTES / 2);
        out += HASH_BYTES / 2;
        n -= HASH_BYTES / 2;
        unsigned char w[HASH_BYTES];
        crypto_generichash(w, n <= HASH_BYTES ? n : HASH_BYTES, v, HASH_BYTES, NULL, 0);
        memcpy(v, w, sizeof w);
    }
    memcpy(out, v, n);
    sodium_memzero(v, sizeof v);
}

struct fill {
    mix_fn    mix;
    uint64_t *memory;
    uint32_t  blocks, segment, passes;
    _Alignas(64) uint64_t zero[WORDS], input[WORDS], addresses[WORDS];
};

static uint64_t *block(const struct fill *f, uint32_t i)
{
    return f->memory + (size_t)i * WORDS;
}

/* The next 128 places of those that do not depend on the password (3.4.1.2). */
static void next_addresses(struct fill *f)
{
    f->input[6]++;
    f->mix(f->addresses, f->zero, f->input, false);
    f->mix(f->addresses, f->zero, f->addresses, false);
}

static void fill_segment(struct fill *f, uint32_t pass, uint32_t slice)
{
    bool     known = pass == 0 && slice < SLICES / 2;
    uint32_t from = pass == 0 && slice == 0 ? 2 : 0;
    if (known) {
        memset(f->input, 0, sizeof f->input);
        f->input[0] = pass, f->input[2] = slice, f->input[3] = f->blocks, f->input[4] = f->passes, f->input[5] = TYPE_ID;
        if (from) next_addresses(f);
    }
    for (uint32_t i = from; i < f->segment; i++) {
        uint32_t at = slice * f->segment + i, before = at ? at - 1 : f->blocks - 1;
        if (known && i % WORDS == 0) next_addresses(f);
        uint64_t j = known ? f->addresses[i % WORDS] : block(f, before)[0];
        /* 3.4.2: of the blocks that are there, the newer the likelier. */
        uint32_t there = pass == 0 ? at - 1 : f->blocks - f->segment + i - 1;
        uint64_t x = (j & 0xffffffff) * (j & 0xffffffff) >> 32;
        uint32_t back = there - 1 - (uint32_t)(there * x >> 32);
        uint32_t start = pass == 0 || slice == SLICES - 1 ? 0 : (slice + 1) * f->segment;
        f->mix(block(f, at), block(f, before), block(f, (start + back) % f->blocks), pass > 0);
    }
}

void argon2_tag(enum argon2_kernel kernel, void *memory, uint32_t blocks, uint32_t passes, const void *password, size_t password_len,
                const unsigned char salt[ARGON2_SALT_BYTES], unsigned char tag[ARGON2_TAG_BYTES])
{
    struct fill f = { .mix = mix_of(kernel), .memory = memory, .blocks = blocks, .segment = blocks / SLICES, .passes = passes };
    assert(f.mix && blocks >= 8 && blocks % SLICES == 0 && passes > 0 && (uintptr_t)memory % 64 == 0);
    unsigned char            h0[HASH_BYTES];
    crypto_generichash_state h;
    const uint32_t           head[] = { 1, ARGON2_TAG_BYTES, blocks, passes, VERSION, TYPE_ID, (uint32_t)password_len };
    crypto_generichash_init(&h, NULL, 0, sizeof h0);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) put32(&h, head[i]);
    crypto_generichash_update(&h, password, password_len);
    put32(&h, ARGON2_SALT_BYTES);
    crypto_generichash_update(&h, salt, ARGON2_SALT_BYTES);
    put32(&h, 0);
    put32(&h, 0);
    crypto_generichash_final(&h, h0, sizeof h0);
    for (uint32_t i = 0; i < 2; i++) stretch((unsigned char *)block(&f, i), ARGON2_BLOCK_BYTES, h0, sizeof h0, (const uint32_t[]){ i, 0 }, 2);
    for (uint32_t pass = 0; pass < passes; pass++)
        for (uint32_t slice = 0; slice < SLICES; slice++) fill_segment(&f, pass, slice);
    stretch(tag, ARGON2_TAG_BYTES, block(&f, blocks - 1), ARGON2_BLOCK_BYTES, NULL, 0);
    sodium_memzero(h0, sizeof h0);
    sodium_memzero(&h, sizeof h);
}

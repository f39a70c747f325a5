/* SPDX-License-Identifier: MIT */
/* Model files as a stranger might make them. */
#include "unit/encoder/model.h"

#include <sys/stat.h>
#include <unistd.h>

#include "encoder/safetensors.h"
#include "encoder/weights.h"

static struct call c;
static char        place[] = "/tmp/chiron-safetensors-XXXXXX";

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    model_settings(&c, "1");
    return mkdtemp(place) ? 0 : 1;
}

static int teardown(void **s)
{
    (void)s;
    static const char *const names[] = { "model.safetensors", "config.json", "vocab.txt" };
    char                     path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", place, names[i]);
        unlink(path);
    }
    rmdir(place);
    call_dispose(&c);
    return 0;
}

/* A file of this header and n data bytes that count up; it stays until the next one. */
static enum err parse(const char *header, size_t n, struct safetensors *out)
{
    static _Alignas(64) char file[4096];
    size_t                   h = (strlen(header) + 7) / 8 * 8;
    assert_true(8 + h + n <= sizeof file);
    memset(file, ' ', 8 + h);
    for (int i = 0; i < 8; i++) file[i] = (char)(h >> 8 * i);
    memcpy(file + 8, header, strlen(header));
    for (size_t i = 0; i < n; i++) file[8 + h + i] = (char)i;
    call_forgive(&c);
    return safetensors_parse(&c, file, 8 + h + n, out);
}

static void refused(const char *header, size_t n, const char *word)
{
    struct safetensors st = { 0 };
    assert_int_equal(parse(header, n, &st), ERR_CORRUPT);
    if (!strstr(c.err_text, word)) print_error("\"%s\" lacks \"%s\"\n", c.err_text, word);
    assert_non_null(strstr(c.err_text, word));
}

static void a_good_file_gives_its_tensors_by_name(void **s)
{
    (void)s;
    struct safetensors st;
    assert_int_equal(parse("{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[4,20]},"
                           "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 20, &st), OK);
    assert_int_equal(st.count, 2);
    assert_string_equal(st.tensors[0].name, "a");
    const struct tensor *b = safetensors_find(&st, "b");
    assert_non_null(b);
    assert_int_equal(b->count, 4);
    assert_int_equal(b->shape[1], 2);
    assert_null(safetensors_find(&st, "c"));
    float f[2];
    assert_true(tensor_floats(&st.tensors[0], 0, 2, f));
    uint32_t bits;
    memcpy(&bits, f, sizeof bits);
    assert_int_equal(bits, 0x01000000);    /* bytes 0 and 1 in the upper half */
    safetensors_close(&st);
}

static void offsets_shapes_and_types_are_held_against_the_file(void **s)
{
    (void)s;
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "needs 12");
    refused("{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "type");
    refused("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "type");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "shape");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647,2147483647],\"data_offsets\":[0,8]}}", 8, "range");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "range");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", 8, "range");
    refused("{\"a\":7}", 0, "no object");
    refused("[1]", 0, "no object");
    refused("{\"a\":", 0, "JSON");
    refused("{\"a\":{},\"a\":{}}", 0, "JSON");
}

static void tensors_may_neither_overlap_nor_leave_holes(void **s)
{
    (void)s;
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "overlaps");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12, "unused");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "end");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}", 5, "aligned");
}

static void a_header_longer_than_its_file_is_refused(void **s)
{
    (void)s;
    struct safetensors  st;
    const unsigned char huge[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, '{', '}' }, little[16] = { 9, 0, 0, 0, 0, 0, 0, 0, '{', '}' };
    call_forgive(&c);
    assert_int_equal(safetensors_parse(&c, huge, sizeof huge, &st), ERR_CORRUPT);
    call_forgive(&c);
    assert_int_equal(safetensors_parse(&c, little, sizeof little, &st), ERR_CORRUPT);
    call_forgive(&c);
    assert_int_equal(safetensors_parse(&c, little, 5, &st), ERR_CORRUPT);
    call_forgive(&c);
    assert_int_equal(safetensors_parse(&c, "", 0, &st), ERR_CORRUPT);
}

static void halves_become_the_floats_they_stand_for(void **s)
{
    (void)s;
    const uint16_t      halves[6] = { 0x3c00, 0xc000, 0x0001, 0x8400, 0x7bff, 0x7c00 };
    const struct tensor t = { .type = TENSOR_F16, .rank = 1, .shape = { 6 }, .count = 6, .data = halves, .bytes = 12 };
    float               f[6];
    assert_true(tensor_floats(&t, 0, 5, f));
    const float expected[5] = { 1, -2, 0x1p-24f, -0x1p-14f, 65504 };
    assert_memory_equal(f, expected, sizeof expected);
    assert_false(tensor_floats(&t, 5, 1, f));
    assert_false(tensor_is_finite(&t));
}

/* ---- a whole model, wrong in one place ---- */

static void put_file(const char *name, const void *p, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_config(int hidden, int layers)
{
    char text[400];
    int  n = snprintf(text, sizeof text,
                     "{\"model_type\":\"bert\",\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":1,"
                     "\"intermediate_size\":32,\"max_position_embeddings\":4,\"vocab_size\":4,\"hidden_act\":\"gelu\"}", hidden, layers);
    put_file("config.json", text, (size_t)n);
    put_file("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nrun\n", strlen("[UNK]\n[CLS]\n[SEP]\nrun\n"));
}

/* The smallest BERT: one layer, one head of 32. what: NULL, or the tensor that gets odd as its first float. */
static void put_model(const char *what, float odd)
{
    static const struct {
        const char *name;
        int         rows, columns;
    } all[] = {
        { "embeddings.word_embeddings.weight", 4, 32 }, { "embeddings.position_embeddings.weight", 4, 32 },
        { "embeddings.token_type_embeddings.weight", 2, 32 }, { "embeddings.LayerNorm.weight", 32, 0 },
        { "embeddings.LayerNorm.bias", 32, 0 },
        { "encoder.layer.0.attention.self.query.weight", 32, 32 }, { "encoder.layer.0.attention.self.query.bias", 32, 0 },
        { "encoder.layer.0.attention.self.key.weight", 32, 32 }, { "encoder.layer.0.attention.self.key.bias", 32, 0 },
        { "encoder.layer.0.attention.self.value.weight", 32, 32 }, { "encoder.layer.0.attention.self.value.bias", 32, 0 },
        { "encoder.layer.0.attention.output.dense.weight", 32, 32 }, { "encoder.layer.0.attention.output.dense.bias", 32, 0 },
        { "encoder.layer.0.attention.output.LayerNorm.weight", 32, 0 }, { "encoder.layer.0.attention.output.LayerNorm.bias", 32, 0 },
        { "encoder.layer.0.intermediate.dense.weight", 32, 32 }, { "encoder.layer.0.intermediate.dense.bias", 32, 0 },
        { "encoder.layer.0.output.dense.weight", 32, 32 }, { "encoder.layer.0.output.dense.bias", 32, 0 },
        { "encoder.layer.0.output.LayerNorm.weight", 32, 0 }, { "encoder.layer.0.output.LayerNorm.bias", 32, 0 },
    };
    static float file[16384];
    char        *header = (char *)file + 8;
    size_t       at = 0, h = 4096, used = 0;
    memset(file, ' ', 8 + h);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t n = (size_t)all[i].rows * (size_t)(all[i].columns ? all[i].columns : 1);
        char   shape[32];
        snprintf(shape, sizeof shape, all[i].columns ? "%d,%d" : "%d", all[i].rows, all[i].columns);
        used += (size_t)snprintf(header + used, h - used, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                 i ? "," : "{", all[i].name, shape, at * 4, (at + n) * 4);
        float *to = file + 2 + h / 4 + at;
        for (size_t k = 0; k < n; k++) to[k] = (float)((k * 7 + i) % 13) / 13 - 0.4f;
        if (what && !strcmp(what, all[i].name)) to[0] = odd;
        at += n;
    }
    header[used++] = '}';
    header[used] = ' ';
    assert_true(used < h);
    uint64_t size = h;
    memcpy(file, &size, 8);
    put_file("model.safetensors", file, 8 + h + at * 4);
}

static void load_says(const char *word)
{
    struct encoder *e = NULL;
    call_forgive(&c);
    enum err r = encoder_load(&c, place, ENCODER_F32, &e);
    if (r != ERR_CORRUPT || !strstr(c.err_text, word)) print_error("%d \"%s\" lacks \"%s\"\n", (int)r, c.err_text, word);
    assert_int_equal(r, ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, word));
    assert_null(e);
}

static void a_small_model_loads_and_embeds(void **s)
{
    (void)s;
    struct encoder *e = NULL;
    put_config(32, 1);
    put_model(NULL, 0);
    call_forgive(&c);
    assert_int_equal(encoder_load(&c, place, ENCODER_F32, &e), OK);
    assert_int_equal(encoder_dim(e), 32);
    float       v[32], norm = 0;
    const char *text = "run run run run run run";
    int         tokens = 0;
    assert_int_equal(encoder_embed_counted(&c, e, &text, NULL, 1, v, &tokens), OK);
    assert_int_equal(tokens, 4);
    for (int i = 0; i < 32; i++) norm += v[i] * v[i];
    assert_true(norm > 0.9999f && norm < 1.0001f);
    encoder_free(e);
}

static void nan_and_infinity_anywhere_are_refused(void **s)
{
    (void)s;
    put_config(32, 1);
    put_model("encoder.layer.0.output.dense.weight", __builtin_nanf(""));
    load_says("NaN");
    put_model("embeddings.word_embeddings.weight", __builtin_inff());
    load_says("NaN or infinite");
    put_model("encoder.layer.0.attention.self.key.bias", -__builtin_inff());
    load_says("key.bias");
}

static void a_model_that_is_not_what_its_config_says_is_refused(void **s)
{
    (void)s;
    put_model(NULL, 0);
    put_config(64, 1);
    load_says("shape");
    put_config(32, 2);
    load_says("encoder.layer.1");
    put_config(33, 1);
    load_says("config.json");
    put_file("config.json", "{\"model_type\":\"t5\"", strlen("{\"model_type\":\"t5\""));
    load_says("not JSON");
    put_config(32, 1);
    put_file("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nrun\nmore\n", strlen("[UNK]\n[CLS]\n[SEP]\nrun\nmore\n"));
    load_says("vocabulary has 5");
    put_file("model.safetensors", "tiny", 4);
    load_says("too short");
}

/* The small model's file, to be damaged; n bytes of it. */
static unsigned char *whole(size_t *n)
{
    char path[256];
    put_config(32, 1);
    put_model(NULL, 0);
    snprintf(path, sizeof path, "%s/model.safetensors", place);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *p = calloc(1, 1 << 20);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void damaged_files_are_refused_with_words(void **s)
{
    (void)s;
    static const struct {
        const char *what, *words;
        int64_t     cut;         /* bytes off the end; negative: more of them */
        int64_t     at;          /* bytes overwritten there with `with`; -1: none */
        const char *with;
    } rows[] = {
        { "cut by a byte", "outside the file", 1, -1, NULL },
        { "cut in the header", "header", 60000, -1, NULL },
        { "a tail too much", "end", -8, -1, NULL },
        { "empty", "too short", 1 << 20, -1, NULL },
        { "a header of the whole file", "header", 0, 0, "\xff\xff\x00\x00\x00\x00\x00\x7f" },
        { "a header that is no JSON", "JSON", 0, 8, "[[[[" },
        { "another type of number", "F65", 0, -2, "F65" },
        { "a name that is not known", "word_embeddings", 0, -3, "embeddings.w0rd" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t         n;
        unsigned char *p = whole(&n), *at = NULL;
        size_t         to = rows[i].cut > (int64_t)n ? 0 : (size_t)((int64_t)n - rows[i].cut);
        if (rows[i].at >= 0) at = p + rows[i].at;
        if (rows[i].at == -2) at = (unsigned char *)strstr((char *)p + 8, "F32");
        if (rows[i].at == -3) at = (unsigned char *)strstr((char *)p + 8, "embeddings.word");
        if (at) memcpy(at, rows[i].with, rows[i].at == 0 ? 8 : strlen(rows[i].with));
        put_file("model.safetensors", p, to);
        struct encoder *e = NULL;
        call_forgive(&c);
        enum err r = encoder_load(&c, place, ENCODER_F32, &e);
        if (r != ERR_CORRUPT || !strstr(c.err_text, rows[i].words)) print_error("%s: %d \"%s\"\n", rows[i].what, (int)r, c.err_text);
        assert_int_equal(r, ERR_CORRUPT);
        assert_non_null(strstr(c.err_text, rows[i].words));
        assert_null(e);
        free(p);
    }
}

static void every_number_of_a_file_may_be_the_wrong_one(void **s)
{
    (void)s;
    size_t         n;
    unsigned char *p = whole(&n);
    /* All of them NaN, then a single one anywhere. */
    for (size_t at = 8 + 4096; at + 4 <= n; at += 4) memcpy(p + at, "\x00\x00\xc0\x7f", 4);
    put_file("model.safetensors", p, n);
    load_says("NaN");
    free(p);
    for (size_t at = 8 + 4096; at + 4 <= n; at += 4 * 997) {
        p = whole(&n);
        memcpy(p + at, "\x00\x00\x80\xff", 4);
        put_file("model.safetensors", p, n);
        load_says("infinite");
        free(p);
    }
}

static void a_missing_file_is_named(void **s)
{
    (void)s;
    struct encoder *e = NULL;
    char            path[256];
    put_config(32, 1);
    snprintf(path, sizeof path, "%s/model.safetensors", place);
    unlink(path);
    call_forgive(&c);
    assert_int_equal(encoder_load(&c, place, ENCODER_F32, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "model.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_its_tensors_by_name),
        cmocka_unit_test(offsets_shapes_and_types_are_held_against_the_file),
        cmocka_unit_test(tensors_may_neither_overlap_nor_leave_holes),
        cmocka_unit_test(a_header_longer_than_its_file_is_refused),
        cmocka_unit_test(halves_become_the_floats_they_stand_for),
        cmocka_unit_test(a_small_model_loads_and_embeds),
        cmocka_unit_test(nan_and_infinity_anywhere_are_refused),
        cmocka_unit_test(a_model_that_is_not_what_its_config_says_is_refused),
        cmocka_unit_test(damaged_files_are_refused_with_words),
        cmocka_unit_test(every_number_of_a_file_may_be_the_wrong_one),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

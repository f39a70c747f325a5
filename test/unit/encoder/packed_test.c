/* SPDX-License-Identifier: MIT */
/* The file of packed weights, as accidents, other models and other processes leave it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#undef fail
#include "encoder/packed.h"

enum { PARTS = 3, MODEL_BYTES = 5000 };
static const char shape[] = "int8 test 1 2 3";

static struct call c;
static char        top[] = "/tmp/chiron-packed-XXXXXX", folder[64], file[96], model[96], elsewhere[64];

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static unsigned char *read_file(const char *path, size_t *n_out)
{
    static unsigned char bytes[65536];
    FILE                *f = fopen(path, "rb");
    assert_non_null(f);
    *n_out = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return bytes;
}

static void write_model(int kind)
{
    unsigned char bytes[MODEL_BYTES];
    for (int i = 0; i < MODEL_BYTES; i++) bytes[i] = (unsigned char)(i * 7 + kind);
    write_file(model, bytes, sizeof bytes);
}

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    if (!mkdtemp(top)) return 1;
    snprintf(folder, sizeof folder, "%s/model", top);
    snprintf(elsewhere, sizeof elsewhere, "%s/cache", top);
    snprintf(file, sizeof file, "%s/int8.packed", folder);
    snprintf(model, sizeof model, "%s/model.safetensors", folder);
    setenv("XDG_CACHE_HOME", elsewhere, 1);
    return mkdir(folder, 0755);
}

/* Files kept in the cache folder, all of this one model; they are removed. */
static int take_cached(void)
{
    char cached[128], path[512];
    int  files = 0;
    snprintf(cached, sizeof cached, "%s/chiron/packed", elsewhere);
    DIR *d = opendir(cached);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            files++;
            assert_non_null(strstr(e->d_name, "-int8.packed"));
            snprintf(path, sizeof path, "%s/%s", cached, e->d_name);
            assert_int_equal(unlink(path), 0);
        }
    if (d) closedir(d);
    return files;
}

static int fresh(void **s)
{
    (void)s;
    char left[128];
    snprintf(left, sizeof left, "%s.new", file);
    rmdir(file);
    rmdir(left);
    unlink(left);
    unlink(file);
    take_cached();
    write_model(1);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    static const char *const folders[] = { "model", "cache/chiron/packed", "cache/chiron", "cache", "." };
    char                     path[160];
    fresh(NULL);
    unlink(model);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", top, folders[i]);
        rmdir(i < 4 ? path : top);
    }
    call_dispose(&c);
    return access(top, F_OK) ? 0 : 1;
}

static struct packed_part *parts_of(void)
{
    static struct packed_part parts[PARTS];
    parts[0] = (struct packed_part){ "0.qkv", 9000, NULL };
    parts[1] = (struct packed_part){ "0.bias", 100, NULL };
    parts[2] = (struct packed_part){ "1.qkv", 4096, NULL };
    return parts;
}

static unsigned char byte_of(int part, size_t at, int kind) { return (unsigned char)(part * 31 + (int)at * 3 + kind); }

static void check_parts(const struct packed_part *parts, int kind)
{
    for (int p = 0; p < PARTS; p++) {
        assert_int_equal((uintptr_t)parts[p].data % (parts[p].bytes >= 4096 ? 4096 : 64), 0);
        for (size_t i = 0; i < parts[p].bytes; i++)
            assert_int_equal(((const unsigned char *)parts[p].data)[i], byte_of(p, i, kind));
    }
}

/* What an encoder does at its start. Returns whether the file was used. */
static bool start(int kind, const char *form_shape)
{
    struct mapped       m;
    struct packed       p = { 0 };
    struct packed_part *parts = parts_of();
    assert_int_equal(mapped_open(&c, model, &m), OK);
    struct packed_of of = { folder, &m, "int8", form_shape };
    bool             used = packed_load(&c, &of, parts, PARTS, &p);
    assert_int_equal(c.err, OK);
    if (!used) {
        assert_int_equal(packed_room(&c, parts, PARTS, &p), OK);
        for (int k = 0; k < PARTS; k++)
            for (size_t i = 0; i < parts[k].bytes; i++) {
                assert_int_equal(((unsigned char *)parts[k].data)[i], 0);
                ((unsigned char *)parts[k].data)[i] = byte_of(k, i, kind);
            }
        packed_save(&c, &of, parts, PARTS);
    }
    check_parts(parts, kind);
    packed_dispose(&p);
    mapped_close(&m);
    return used;
}

static void the_second_start_takes_what_the_first_one_kept(void **s)
{
    (void)s;
    assert_false(start(1, shape));
    assert_int_equal(access(file, R_OK), 0);
    assert_true(start(1, shape));
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 022, 0);
}

static void the_checksum_is_xxh64(void **s)
{
    (void)s;
    assert_true(packed_sum("", 0) == UINT64_C(0xEF46DB3751D8E999));
    assert_true(packed_sum("a", 1) == UINT64_C(0xD24EC4F1A98C6E5B));
    assert_true(packed_sum("abc", 3) == UINT64_C(0x44BC2CF5AD770999));
    assert_true(packed_sum("Nobody inspects the spammish repetition", 39) == UINT64_C(0xFBCEA83C8A378BF1));
}

/* Every bit of the header and the table, every 37th of the rest: never used, never a wrong byte. */
static void a_flipped_bit_anywhere_is_seen(void **s)
{
    (void)s;
    size_t n;
    assert_false(start(1, shape));
    unsigned char *bytes = read_file(file, &n);
    unsigned char *copy = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
    assert_non_null(copy);
    for (size_t bit = 0; bit < n * 8; bit += bit < 4096 * 8 ? 1 : 37) {
        struct packed_part *parts = parts_of();
        memcpy(copy, bytes, n);
        copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_non_null(packed_parse(copy, n, shape, parts, PARTS));
        assert_null(parts[0].data);
    }
    free(copy);
}

static void damage_on_disk_is_made_good(void **s)
{
    (void)s;
    size_t n;
    assert_false(start(1, shape));
    unsigned char *bytes = read_file(file, &n);
    const size_t   cuts[] = { 0, 1, 100, 4095, 4096, n - 1 };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_file(file, bytes, cuts[i]);
        assert_false(start(1, shape));
        assert_true(start(1, shape));
        bytes = read_file(file, &n);
    }
    bytes[n] = 0;
    write_file(file, bytes, n + 1);
    assert_false(start(1, shape));
    bytes = read_file(file, &n);
    bytes[n - 5000] ^= 1;
    write_file(file, bytes, n);
    assert_false(start(1, shape));
    bytes = read_file(file, &n);
    bytes[12]++;    /* the version, rightly sealed */
    packed_seal(bytes, n);
    write_file(file, bytes, n);
    assert_false(start(1, shape));
    assert_true(start(1, shape));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0755), 0);
    assert_false(start(1, shape));
    assert_int_equal(rmdir(file), 0);
}

static void another_model_s_file_is_refused(void **s)
{
    (void)s;
    size_t n;
    write_model(2);
    assert_false(start(2, shape));
    unsigned char *bytes = read_file(file, &n);
    write_model(1);
    unlink(file);
    write_file(file, bytes, n);
    assert_false(start(1, shape));
    assert_true(start(1, shape));
}

static void another_shape_is_refused_though_the_parts_are_as_long(void **s)
{
    (void)s;
    assert_false(start(1, shape));
    assert_false(start(1, "int8 test 1 2 4"));
    assert_false(start(1, shape));
}

static void a_replaced_model_is_never_answered_with_the_old_parts(void **s)
{
    (void)s;
    assert_false(start(1, shape));
    write_model(2);    /* at once, as long as before, in place */
    assert_false(start(2, shape));
    assert_true(start(2, shape));
    char beside[128];
    snprintf(beside, sizeof beside, "%s.other", model);
    assert_int_equal(rename(model, beside), 0);
    write_model(3);
    assert_int_equal(rename(model, beside), 0);
    assert_int_equal(rename(beside, model), 0);
    assert_false(start(3, shape));
}

/* The stamp of a model that is two seconds old is believed; a touched model is hashed. Shown by a file whose hash is wrong. */
static void a_stamp_spares_the_hash_until_the_model_is_touched(void **s)
{
    (void)s;
    size_t                n;
    const struct timespec wait = { 2, 200000000 };
    assert_false(start(1, shape));
    unsigned char *bytes = read_file(file, &n);
    for (int i = 88; i < 120; i++) assert_int_equal(bytes[i], 0);    /* no stamp: the model is too new */
    nanosleep(&wait, NULL);
    assert_true(start(1, shape));    /* by the hash; stamped now */
    bytes = read_file(file, &n);
    bytes[56] ^= 1;    /* the model's hash */
    packed_seal(bytes, n);
    write_file(file, bytes, n);
    assert_true(start(1, shape));
    assert_int_equal(utimensat(AT_FDCWD, model, NULL, 0), 0);
    assert_false(start(1, shape));
    /* Touched, and the time of modification set back. */
    nanosleep(&wait, NULL);
    assert_true(start(1, shape));
    bytes = read_file(file, &n);
    bytes[56] ^= 1;
    packed_seal(bytes, n);
    write_file(file, bytes, n);
    struct stat st;
    assert_int_equal(stat(model, &st), 0);
    write_model(1);
    const struct timespec back[2] = { st.st_atim, st.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, model, back, 0), 0);
    assert_false(start(1, shape));
}

static void an_unwritable_folder_uses_the_cache_folder(void **s)
{
    (void)s;
    /* Root writes everywhere: a folder in the way of the new file stops it as well. */
    char in_the_way[128];
    snprintf(in_the_way, sizeof in_the_way, "%s.new", file);
    assert_int_equal(mkdir(in_the_way, 0755), 0);
    assert_false(start(1, shape));
    assert_int_equal(access(file, F_OK), -1);
    assert_true(start(1, shape));
    assert_int_equal(take_cached(), 1);
    /* Nowhere at all: it goes on without. */
    setenv("XDG_CACHE_HOME", "/proc/none", 1);
    assert_false(start(1, shape));
    assert_false(start(1, shape));
    setenv("XDG_CACHE_HOME", elsewhere, 1);
    assert_int_equal(rmdir(in_the_way), 0);
}

static void what_a_killed_writer_left_is_written_over(void **s)
{
    (void)s;
    char left[128];
    snprintf(left, sizeof left, "%s.new", file);
    write_file(left, "half of a fi", 12);
    assert_false(start(1, shape));
    assert_true(start(1, shape));
    assert_int_equal(access(left, F_OK), -1);
}

static void processes_that_write_at_once_leave_one_whole_file(void **s)
{
    (void)s;
    enum { PROCESSES = 4, ROUNDS = 60 };
    pid_t children[PROCESSES];
    for (int k = 0; k < PROCESSES; k++) {
        children[k] = fork();
        if (children[k]) continue;
        for (int i = 0; i < ROUNDS; i++) {
            if ((i + k) % 5 == 0) unlink(file);
            start(1, shape);    /* checks every byte; a failed check ends the child */
        }
        _exit(0);
    }
    for (int k = 0; k < PROCESSES; k++) {
        int status;
        assert_int_equal(waitpid(children[k], &status, 0), children[k]);
        assert_int_equal(status, 0);
    }
    start(1, shape);
    assert_true(start(1, shape));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_second_start_takes_what_the_first_one_kept, fresh),
        cmocka_unit_test_setup(the_checksum_is_xxh64, fresh),
        cmocka_unit_test_setup(a_flipped_bit_anywhere_is_seen, fresh),
        cmocka_unit_test_setup(damage_on_disk_is_made_good, fresh),
        cmocka_unit_test_setup(another_model_s_file_is_refused, fresh),
        cmocka_unit_test_setup(another_shape_is_refused_though_the_parts_are_as_long, fresh),
        cmocka_unit_test_setup(a_replaced_model_is_never_answered_with_the_old_parts, fresh),
        cmocka_unit_test_setup(a_stamp_spares_the_hash_until_the_model_is_touched, fresh),
        cmocka_unit_test_setup(an_unwritable_folder_uses_the_cache_folder, fresh),
        cmocka_unit_test_setup(what_a_killed_writer_left_is_written_over, fresh),
        cmocka_unit_test_setup(processes_that_write_at_once_leave_one_whole_file, fresh),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

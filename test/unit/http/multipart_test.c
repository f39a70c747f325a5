/* Uploads: every shape of a multipart body, in one piece and in single bytes, and through a running server. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

#include <sys/stat.h>

#include "base/id.h"
#include "http/multipart.h"

static char dir[] = "/tmp/chiron-multipart-XXXXXX";

static int files_left(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *f; (f = readdir(d));) n += f->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Reads body in pieces. NULL: an error, in c. */
static struct multipart *read_all(struct call *c, const char *type, const char *body, size_t n, size_t piece)
{
    struct multipart *m;
    if (multipart_open(c, type, dir, &m)) return NULL;
    enum err e = OK;
    for (size_t at = 0; at < n && !e; at += piece) e = multipart_feed(m, c, body + at, n - at < piece ? n - at : piece);
    if (!e) e = multipart_end(m, c);
    if (!e) return m;
    multipart_close(m);
    return NULL;
}

#define TYPE "multipart/form-data; boundary=AaB03x"
#define PART(headers, body) "--AaB03x\r\n" headers "\r\n\r\n" body "\r\n"
#define FIELD(name, value) PART("Content-Disposition: form-data; name=\"" name "\"", value)
#define FILE_PART(filename, body) PART("Content-Disposition: form-data; name=\"file\"; filename=\"" filename "\"\r\nContent-Type: text/plain", body)
#define END "--AaB03x--\r\n"

static char *slurp(const char *path, size_t *n)
{
    static char buf[4 * 1024 * 1024];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    return buf;
}

static void fields_and_files_come_out_the_same_in_any_pieces(void **state)
{
    (void)state;
    /* The file holds beginnings of the boundary, bare line ends, NULs and every other byte. */
    char file[700] = "\r\n--AaB03\r\n--\r\n\r\n--AaB03y\n--AaB03x\r--AaB03x\r\n-\r\n--AaB03";
    size_t file_len = strlen(file);
    for (int i = 0; i < 512; i++) file[file_len++] = (char)i;
    char body[3000];
    size_t n = (size_t)snprintf(body, sizeof body, "preamble\r\n%s--AaB03x  \r\nContent-Disposition: form-data; name=file; filename=\"a b.txt\"\r\n\r\n",
                                FIELD("title", "Hola, ñandú") FIELD("empty", ""));
    memcpy(body + n, file, file_len);
    n += file_len;
    n += (size_t)snprintf(body + n, sizeof body - n, "\r\n" END "epilogue --AaB03x\r\n");
    char want[65];
    id_sha256_hex(file, file_len, want);
    for (size_t piece = 1; piece <= n; piece += piece < 100 ? 1 : 97) {
        struct call c;
        call_init(&c);
        struct multipart *m = read_all(&c, TYPE, body, n, piece);
        if (!m) fail_msg("pieces of %zu: %s", piece, c.err_text);
        assert_string_equal(multipart_field(m, "title"), "Hola, ñandú");
        assert_string_equal(multipart_field(m, "empty"), "");
        assert_null(multipart_field(m, "file"));
        int count;
        struct upload *u = multipart_uploads(m, &count);
        assert_int_equal(count, 1);
        assert_string_equal(u[0].name, "file");
        assert_string_equal(u[0].filename, "a b.txt");
        assert_int_equal(u[0].size_bytes, file_len);
        assert_string_equal(u[0].sha256, want);
        size_t len;
        char *got = slurp(u[0].path, &len);
        assert_int_equal(len, file_len);
        assert_memory_equal(got, file, len);
        struct stat st;
        assert_int_equal(stat(u[0].path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        multipart_close(m);
        call_dispose(&c);
    }
    assert_int_equal(files_left(), 0);
}

static void a_file_that_was_renamed_away_stays(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    const char *body = FILE_PART("a.txt", "kept") FILE_PART("b.txt", "") END;
    struct multipart *m = read_all(&c, TYPE, body, strlen(body), 1000);
    int n;
    struct upload *u = multipart_uploads(m, &n);
    assert_int_equal(n, 2);
    char to[100];
    snprintf(to, sizeof to, "%s/kept", dir);
    assert_int_equal(rename(u[0].path, to), 0);
    multipart_close(m);
    assert_int_equal(files_left(), 1);
    unlink(to);
    call_dispose(&c);
}

static void file_names_lose_every_path(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *want;
    } cases[] = { { "../../etc/passwd", "passwd" },   { "C:\\Users\\me\\plan.pdf", "plan.pdf" }, { "/abs/olute", "olute" },
                  { "..", "" },                       { "a/..", "" },                            { "dir/", "" },
                  { "", "" },                         { "say \\\"hi\\\".txt", "say \"hi\".txt" }, { "plán ñ.txt", "plán ñ.txt" },
                  { "....//....//x", "x" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call c;
        call_init(&c);
        char body[400];
        snprintf(body, sizeof body, "--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\nx\r\n" END, cases[i].sent);
        struct multipart *m = read_all(&c, TYPE, body, strlen(body), 7);
        if (!m) fail_msg("%s: %s", cases[i].sent, c.err_text);
        int n;
        assert_string_equal(multipart_uploads(m, &n)[0].filename, cases[i].want);
        multipart_close(m);
        call_dispose(&c);
    }
}

static void malformed_bodies_are_refused_and_leave_no_file(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err    want;
    } cases[] = {
        { "", ERR_BAD_REQUEST },
        { "no boundary at all", ERR_BAD_REQUEST },
        { FILE_PART("a", "x"), ERR_BAD_REQUEST },
        { FILE_PART("a", "x") "--AaB03x", ERR_BAD_REQUEST },
        { FILE_PART("a", "x") "--AaB03x-", ERR_BAD_REQUEST },
        { FILE_PART("a", "x") "--AaB03xYZ\r\n", ERR_BAD_REQUEST },
        { PART("Content-Type: text/plain", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"\"", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: attachment; name=\"a\"", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"a", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"a\"; name=\"b\"", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"a\"; filename=b c", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"a\x01\"", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"\xff\"", "x") END, ERR_BAD_REQUEST },
        { PART("Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64", "eA==") END, ERR_BAD_REQUEST },
        { PART("broken header", "x") END, ERR_BAD_REQUEST },
        { "--AaB03x\r\n\r\nx\r\n" END, ERR_BAD_REQUEST },
        { FIELD("a", "\xff\xfe") END, ERR_BAD_REQUEST },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t piece = 1; piece < 4000; piece *= 9) {
            struct call c;
            call_init(&c);
            if (read_all(&c, TYPE, cases[i].body, strlen(cases[i].body), piece)) fail_msg("accepted: %s", cases[i].body);
            assert_int_equal(c.err, cases[i].want);
            call_dispose(&c);
        }
    assert_int_equal(files_left(), 0);
}

static void boundaries_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool        fine;
    } cases[] = { { "multipart/form-data; boundary=x", true },          { "multipart/form-data; charset=utf-8; Boundary=\"a b'c\"", true },
                  { "multipart/form-data", false },                     { "multipart/form-data; boundary=", false },
                  { "multipart/form-data; boundary=\"\"", false },      { "multipart/form-data; boundary=\"x", false },
                  { "multipart/form-data; boundary=a\"b", false },      { "multipart/form-data; boundary=a; boundary=b", false },
                  { "multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789", true },
                  { "multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call c;
        struct multipart *m = NULL;
        call_init(&c);
        enum err e = multipart_open(&c, cases[i].type, dir, &m);
        if ((e == OK) != cases[i].fine) fail_msg("%s: %s", cases[i].type, c.err_text);
        multipart_close(m);
        call_dispose(&c);
    }
}

static void parts_fields_and_headers_are_bounded(void **state)
{
    (void)state;
    struct call c;
    size_t max = 200000, n = 0;
    char *body = malloc(max);
    for (int i = 0; i < 65; i++) n += (size_t)snprintf(body + n, max - n, FIELD("f%d", "v"), i);
    n += (size_t)snprintf(body + n, max - n, END);
    call_init(&c);
    assert_null(read_all(&c, TYPE, body, n, 1000));
    assert_int_equal(c.err, ERR_TOO_LARGE);
    assert_non_null(strstr(c.err_text, "64"));
    call_dispose(&c);

    for (int extra = 0; extra < 2; extra++) {
        n = (size_t)snprintf(body, max, "--AaB03x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n");
        memset(body + n, 'v', MULTIPART_FIELD_BYTES + (size_t)extra);
        n += MULTIPART_FIELD_BYTES + (size_t)extra;
        n += (size_t)snprintf(body + n, max - n, "\r\n" END);
        call_init(&c);
        struct multipart *m = read_all(&c, TYPE, body, n, 5000);
        assert_int_equal(m != NULL, extra == 0);
        assert_int_equal(c.err, extra ? ERR_TOO_LARGE : OK);
        multipart_close(m);
        call_dispose(&c);
    }

    n = (size_t)snprintf(body, max, "--AaB03x\r\nX-Long: ");
    memset(body + n, 'h', 9000);
    n += 9000;
    call_init(&c);
    assert_null(read_all(&c, TYPE, body, n, 500));
    assert_int_equal(c.err, ERR_BAD_REQUEST);
    call_dispose(&c);
    free(body);
}

/* Through the server. */

static enum err take(struct req *r)
{
    struct json_out *j = reply_json(r, 202);
    json_begin_object(j, NULL);
    json_put_text(j, "title", req_form(r, "title"));
    json_put_text(j, "none", req_form(r, "none"));
    json_begin_array(j, "files");
    for (int i = 0; i < r->upload_count; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "filename", r->uploads[i].filename);
        json_put_int(j, "size", r->uploads[i].size_bytes);
        json_put_text(j, "sha256", r->uploads[i].sha256);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static const struct route rows[] = {
    { "POST", "/up", RIGHT_PUBLIC, 40 * 1024 * 1024, NULL, take, "Up", "test", ROUTE_MULTIPART, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };

static int begin(void **state)
{
    (void)state;
    server_start(tables, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    server_end();
    return 0;
}

#define UP "POST /up HTTP/1.1\r\nHost: x\r\nContent-Type: " TYPE "\r\n"

static void a_small_form_is_taken_in_one_packet_and_in_single_bytes(void **state)
{
    (void)state;
    const char *body = FIELD("title", "T") FILE_PART("a.txt", "hello") END;
    char request[1000];
    snprintf(request, sizeof request, UP "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    for (int single = 0; single < 2; single++) {
        int fd = dial();
        for (const char *p = request; single && *p; p++) put(fd, p, 1);
        if (!single) puts_to(fd, request);
        struct answer a = read_answer(fd, false);
        assert_int_equal(a.status, 202);
        assert_string_equal(a.body, "{\"title\":\"T\",\"none\":null,\"files\":[{\"filename\":\"a.txt\",\"size\":5,\"sha256\":"
                                    "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}]}");
        answer_free(&a);
        close(fd);
    }
    assert_int_equal(files_left(), 0);
}

static void a_large_file_is_streamed_with_a_length_and_in_chunks(void **state)
{
    (void)state;
    size_t size = 30 * 1024 * 1024;
    char *data = malloc(size);
    for (size_t i = 0; i < size; i++) data[i] = (char)(i * 2654435761u >> 11);
    char want[100], sum[65];
    snprintf(want, sizeof want, "\"size\":%zu,\"sha256\":\"%s\"", size, id_sha256_hex(data, size, sum));
    const char *before = "--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n", *after = "\r\n" END;
    char line[400];
    int fd = dial();
    snprintf(line, sizeof line, UP "Content-Length: %zu\r\n\r\n", strlen(before) + size + strlen(after));
    puts_to(fd, line);
    puts_to(fd, before);
    put(fd, data, size);
    puts_to(fd, after);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 202);
    assert_non_null(strstr(a.body, want));
    answer_free(&a);
    puts_to(fd, UP "Transfer-Encoding: chunked\r\n\r\n");
    snprintf(line, sizeof line, "%zx\r\n%s\r\n%zx\r\n", strlen(before), before, size);
    puts_to(fd, line);
    put(fd, data, size);
    snprintf(line, sizeof line, "\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(after), after);
    puts_to(fd, line);
    a = read_answer(fd, false);
    assert_int_equal(a.status, 202);
    assert_non_null(strstr(a.body, want));
    answer_free(&a);
    close(fd);
    free(data);
    assert_int_equal(files_left(), 0);
}

static void a_client_that_leaves_midway_leaves_no_file(void **state)
{
    (void)state;
    char block[200000];
    memset(block, 'z', sizeof block);
    int fd = dial();
    puts_to(fd, UP "Content-Length: 30000000\r\n\r\n--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big\"\r\n\r\n");
    for (int i = 0; i < 20; i++) put(fd, block, sizeof block);
    for (int i = 0; i < 400 && files_left() == 0; i++) usleep(5000);
    assert_int_equal(files_left(), 1);
    close(fd);
    for (int i = 0; i < 400 && files_left() > 0; i++) usleep(5000);
    assert_int_equal(files_left(), 0);
}

static void refusals_come_while_the_body_is_still_being_sent(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, UP "Content-Length: 5000000\r\n\r\n--AaB03x\r\nContent-Disposition: attachment\r\n\r\n");
    char block[200000];
    memset(block, 'z', sizeof block);
    for (int i = 0; i < 20; i++) put(fd, block, sizeof block);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 400);
    answer_free(&a);
    close(fd);
    expect_status(UP "Content-Length: 50000000\r\n\r\n", 413);
    expect_status("POST /up HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 415);
    expect_status("POST /up HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}", 400);
    expect_status("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400);
    assert_int_equal(files_left(), 0);
}

int main(void)
{
    if (!mkdtemp(dir)) return 1;
    conf_set("HTTP_TMP_DIR", dir);
    settings_load();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_files_come_out_the_same_in_any_pieces),
        cmocka_unit_test(a_file_that_was_renamed_away_stays),
        cmocka_unit_test(file_names_lose_every_path),
        cmocka_unit_test(malformed_bodies_are_refused_and_leave_no_file),
        cmocka_unit_test(boundaries_are_read_strictly),
        cmocka_unit_test(parts_fields_and_headers_are_bounded),
        cmocka_unit_test_setup_teardown(a_small_form_is_taken_in_one_packet_and_in_single_bytes, begin, end),
        cmocka_unit_test_setup_teardown(a_large_file_is_streamed_with_a_length_and_in_chunks, begin, end),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_midway_leaves_no_file, begin, end),
        cmocka_unit_test_setup_teardown(refusals_come_while_the_body_is_still_being_sent, begin, end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    conf_free();
    return failed;
}

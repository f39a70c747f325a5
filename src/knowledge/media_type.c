/* Names lie and are chosen by strangers, so a file is what its first (and, for zip, last) bytes say. What cannot be
 * read as one of the six accepted kinds is refused here, before anything of it is kept. This file looks at bytes
 * through a fixed window and parses nothing: parsing is the child's. The scan for the EICAR pattern stands for the
 * place where a virus scanner's verdict belongs; it is not one. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/media_type.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>

#define HEAD_BYTES (64 * 1024)
#define TAIL_BYTES (64 * 1024)

static const struct {
    const char *type, *word;
} KINDS[MEDIA_KINDS] = {
    [MEDIA_TEXT] = { "text/plain", "text" },
    [MEDIA_MARKDOWN] = { "text/markdown", "markdown" },
    [MEDIA_HTML] = { "text/html", "html" },
    [MEDIA_PDF] = { "application/pdf", "pdf" },
    [MEDIA_DOCX] = { "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx" },
    [MEDIA_JSON] = { "application/jsonl", "json" },
};

static const struct {
    unsigned short at, len;
    const char *magic, *looks;
} MAGIC[] = {
    { 0, 4,
      "\x7f"
      "ELF",
      "a Linux program" },
    { 0, 2, "MZ", "a Windows program" },
    { 0, 4, "\xfe\xed\xfa\xce", "a macOS program" },
    { 0, 4, "\xfe\xed\xfa\xcf", "a macOS program" },
    { 0, 4, "\xce\xfa\xed\xfe", "a macOS program" },
    { 0, 4, "\xcf\xfa\xed\xfe", "a macOS program" },
    { 0, 4, "\xca\xfe\xba\xbe", "a Java class or macOS program" },
    { 0, 4, "\0asm", "a WebAssembly program" },
    { 0, 4, "dex\n", "an Android program" },
    { 0, 2, "#!", "a script" },
    { 0, 8, "\x89PNG\r\n\x1a\n", "a PNG image" },
    { 0, 3, "\xff\xd8\xff", "a JPEG image" },
    { 0, 4, "GIF8", "a GIF image" },
    { 8, 4, "WEBP", "a WebP image" },
    { 0, 4, "II*\0", "a TIFF image" },
    { 0, 4, "MM\0*", "a TIFF image" },
    { 0, 4, "\0\0\1\0", "an icon" },
    { 0, 4, "8BPS", "a Photoshop image" },
    { 0, 4, "RIFF", "a sound or video file" },
    { 4, 4, "ftyp", "a video or HEIC file" },
    { 0, 4, "OggS", "a sound or video file" },
    { 0, 4, "fLaC", "a sound file" },
    { 0, 3, "ID3", "an MP3 sound file" },
    { 0, 4, "\x1a\x45\xdf\xa3", "a Matroska video" },
    { 0, 2, "\x1f\x8b", "a gzip archive" },
    { 0, 3, "BZh", "a bzip2 archive" },
    { 0, 6,
      "\xfd"
      "7zXZ\0",
      "an xz archive" },
    { 0, 4, "\x28\xb5\x2f\xfd", "a zstd archive" },
    { 0, 6, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive" },
    { 0, 4, "Rar!", "a RAR archive" },
    { 257, 5, "ustar", "a tar archive" },
    { 0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word, Excel or PowerPoint file (save it as DOCX or PDF)" },
    { 0, 5, "{\\rtf", "an RTF document (save it as DOCX or PDF)" },
    { 0, 4, "%!PS", "a PostScript file (save it as PDF)" },
    { 0, 16, "SQLite format 3\0", "a SQLite database" },
    { 0, 4, "wOFF", "a font" },
    { 0, 4, "wOF2", "a font" },
    { 0, 4, "OTTO", "a font" },
};

const char *media_type_name(enum media_kind k)
{
    return KINDS[k].type;
}

const char *media_type_word(enum media_kind k)
{
    return KINDS[k].word;
}

bool media_type_of_word(const char *word, enum media_kind *out)
{
    for (int i = 0; i < MEDIA_KINDS; i++) {
        if (strcmp(word, KINDS[i].word) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Written in two halves: whole, it would make scanners flag this program. */
static const char EICAR_A[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR";
static const char EICAR_B[] = "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

bool media_type_eicar(const char *p, size_t n)
{
    const size_t a = sizeof(EICAR_A) - 1, b = sizeof(EICAR_B) - 1;
    const char *end = p + n;
    while ((size_t)(end - p) >= a + b) {
        const char *hit = memmem(p, (size_t)(end - p), EICAR_A, a);
        if (!hit || (size_t)(end - hit) < a + b) return false;
        if (memcmp(hit + a, EICAR_B, b) == 0) return true;
        p = hit + 1;
    }
    return false;
}

static bool holds(const unsigned char *p, size_t n, const char *what)
{
    return n && memmem(p, n, what, strlen(what)) != NULL;
}

static const char *sniff_zip(const unsigned char *head, size_t hn, const unsigned char *tail, size_t tn,
                             enum media_kind *out)
{
    const struct {
        const char *name, *looks;
    } known[] = {
        { "word/document.xml", NULL },
        { "xl/workbook.xml", "an Excel workbook" },
        { "ppt/presentation.xml", "a PowerPoint presentation" },
        { "META-INF/container.xml", "an e-book (EPUB)" },
        { "mimetypeapplication/vnd.oasis", "an OpenDocument file (save it as DOCX or PDF)" },
        { "META-INF/MANIFEST.MF", "a Java archive" },
        { "AndroidManifest.xml", "an Android program" },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (holds(tail, tn, known[i].name) || holds(head, hn, known[i].name)) {
            if (known[i].looks) return known[i].looks;
            *out = MEDIA_DOCX;
            return NULL;
        }
    }
    return "a zip archive";
}

static bool has_nocase(const char *p, size_t n, const char *what)
{
    size_t w = strlen(what);
    for (size_t i = 0; i + w <= n; i++)
        if (strncasecmp(p + i, what, w) == 0) return true;
    return false;
}

/* Past spaces and <!-- comments -->. */
static size_t markup_start(const char *p, size_t n)
{
    size_t i = 0;
    for (;;) {
        while (i < n && strchr(" \t\r\n\f", p[i])) i++;
        if (i + 4 > n || memcmp(p + i, "<!--", 4) != 0) return i;
        const char *end = memmem(p + i, n - i, "-->", 3);
        if (!end) return i;
        i = (size_t)(end - p) + 3;
    }
}

static bool starts_nocase(const char *p, size_t n, const char *what)
{
    size_t w = strlen(what);
    return n >= w && strncasecmp(p, what, w) == 0;
}

/* A tag that ends or takes attributes, so that "<p" does not match "<pressure". */
static bool starts_tag(const char *p, size_t n, const char *tag)
{
    size_t w = strlen(tag);
    return starts_nocase(p, n, tag) && n > w && strchr(" \t\r\n/>", p[w]);
}

static bool looks_html(const char *p, size_t n)
{
    static const char *const first[] = { "<html",   "<head",  "<body",    "<title", "<meta",   "<link",
                                         "<script", "<style", "<div",     "<p",     "<h1",     "<h2",
                                         "<table",  "<ul",    "<article", "<main",  "<section" };
    size_t i = markup_start(p, n);
    if (starts_nocase(p + i, n - i, "<!doctype html")) return true;
    for (size_t k = 0; k < sizeof(first) / sizeof(*first); k++)
        if (starts_tag(p + i, n - i, first[k])) return true;
    return starts_nocase(p + i, n - i, "<?xml") && has_nocase(p + i, n - i < 4096 ? n - i : 4096, "<html");
}

/* A record per line, or a list of records: decided by how it begins; whether it holds is seen when it is read. */
static bool looks_json(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", p[i])) i++;
    if (i < n && p[i] == '[') {
        i++;
        while (i < n && strchr(" \t\r\n", p[i])) i++;
    }
    if (i >= n || p[i] != '{') return false;
    i++;
    while (i < n && strchr(" \t\r\n", p[i])) i++;
    return i < n && (p[i] == '"' || p[i] == '}');
}

static bool looks_markdown(const char *p, size_t n)
{
    int marks = 0;
    bool fence = false;
    if (n > 4 && memcmp(p, "---\n", 4) == 0 && memmem(p + 4, n - 4, "\n---", 4)) return true;
    for (size_t i = 0; i < n;) {
        const char *line = p + i, *nl = memchr(line, '\n', n - i);
        size_t len = nl ? (size_t)(nl - line) : n - i;
        size_t h = 0;
        while (h < len && line[h] == '#') h++;
        if (len >= 3 && memcmp(line, "```", 3) == 0) fence = !fence, marks += 2;
        if (!fence) {
            if (h >= 1 && h <= 6 && h < len && line[h] == ' ') marks += 3;
            if (len > 2 && strchr("-*+", line[0]) && line[1] == ' ') marks++;
            if (len > 4 && line[0] == '|' && memchr(line + 1, '|', len - 1)) marks++;
            if (memmem(line, len, "](", 2)) marks += 2;
            if (len > 4 && memmem(line, len, "**", 2)) marks++;
            if (len > 2 && line[0] == '>' && line[1] == ' ') marks++;
        }
        i += len + 1;
    }
    return marks >= 3;
}

static bool named(const char *filename, const char *end)
{
    size_t n = filename ? strlen(filename) : 0, e = strlen(end);
    return n > e && strcasecmp(filename + n - e, end) == 0;
}

/* Is this text, in UTF-8 or a one-byte code? Control characters that no text holds decide. */
static bool looks_text(const unsigned char *p, size_t n)
{
    size_t odd = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0) return false;
        if ((p[i] < 32 && !strchr("\t\n\r\f\x1b\b", p[i])) || p[i] == 127) odd++;
    }
    if (odd * 200 > n) return false;
    utf8proc_ssize_t i = 0, end = (utf8proc_ssize_t)n;
    size_t high = 0, broken = 0, c1 = 0;
    while (i < end) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate(p + i, end - i < 4 ? end - i : 4, &cp);
        if (len > 0) {
            i += len;
            continue;
        }
        if (end - i < 4) break;
        broken++;
        if (p[i] >= 0x80 && p[i] < 0xa0) c1++;
        i++;
    }
    for (size_t k = 0; k < n; k++) high += p[k] >= 0x80;
    /* A one-byte code spends few bytes on letters with accents; noise spends half of them above 127. */
    return broken == 0 || (high * 3 < n && c1 * 4 <= broken + 4);
}

const char *media_type_sniff(const unsigned char *head, size_t hn, const unsigned char *tail, size_t tn,
                             const char *filename, enum media_kind *out)
{
    if (hn >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0))
        return sniff_zip(head, hn, tail, tn, out);
    /* "MZ" or "ID3" may also begin a text: letters alone decide only where the rest is no text, or a name claims
     * otherwise. */
    bool text = looks_text(head, hn) && !named(filename, ".pdf") && !named(filename, ".docx");
    for (size_t i = 0; i < sizeof(MAGIC) / sizeof(*MAGIC); i++)
        if (hn >= (size_t)MAGIC[i].at + MAGIC[i].len && memcmp(head + MAGIC[i].at, MAGIC[i].magic, MAGIC[i].len) == 0 &&
            (!text || strchr("#{%", MAGIC[i].magic[0])))
            return MAGIC[i].looks;
    /* Readers accept junk before the header within the first 1024 bytes; so do we, unless it was a program's. */
    if (holds(head, hn < 1024 ? hn : 1024, "%PDF-")) {
        *out = MEDIA_PDF;
        return NULL;
    }
    const char *p = (const char *)head;
    if (hn >= 2 && ((head[0] == 0xff && head[1] == 0xfe) || (head[0] == 0xfe && head[1] == 0xff))) {
        *out = named(filename, ".md") || named(filename, ".markdown") ? MEDIA_MARKDOWN : MEDIA_TEXT;
        return NULL;
    }
    if (!looks_text(head, hn)) return "binary data";
    if (hn >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) p += 3, hn -= 3;
    size_t i = markup_start(p, hn);
    if (looks_html(p, hn))
        *out = MEDIA_HTML;
    else if (starts_nocase(p + i, hn - i, "<svg") || has_nocase(p + i, hn - i < 512 ? hn - i : 512, "<svg "))
        return "an SVG image";
    else if (starts_nocase(p + i, hn - i, "<?xml"))
        return "an XML file";
    else if (looks_json(p, hn))
        *out = MEDIA_JSON;
    else if (named(filename, ".md") || named(filename, ".markdown") || looks_markdown(p, hn))
        *out = MEDIA_MARKDOWN;
    else
        *out = MEDIA_TEXT;
    return NULL;
}

/* A mapping would turn a file that shrinks meanwhile into a signal, so it is read. */
static enum err scan(struct call *c, int fd, int64_t size)
{
    enum { STEP = 256 * 1024, CARRY = 128 };
    char *b = arena_alloc(&c->mem, STEP + CARRY);
    size_t kept = 0;
    for (int64_t at = 0; at < size;) {
        ssize_t got = pread(fd, b + kept, STEP, at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));
        if (got == 0) break;
        at += got;
        size_t n = kept + (size_t)got;
        if (media_type_eicar(b, n))
            return fail(c, ERR_UNSUPPORTED_TYPE,
                        "the file was refused by the security scan: it holds the EICAR test pattern");
        kept = n < CARRY ? n : CARRY;
        memmove(b, b + n - kept, kept);
        enum err e = call_check(c);
        if (e) return e;
    }
    return OK;
}

static enum err find(struct call *c, int fd, const char *filename, struct media *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));
    if (!S_ISREG(st.st_mode)) return fail(c, ERR_UNSUPPORTED_TYPE, "this is not a file; " MEDIA_ACCEPTED);
    if (st.st_size == 0) return fail(c, ERR_INVALID, "the file is empty");
    if (st.st_size > LIMIT_UPLOAD_BYTES)
        return fail(c, ERR_TOO_LARGE, "the file has %lld bytes; at most %lld are taken", (long long)st.st_size,
                    (long long)LIMIT_UPLOAD_BYTES);

    unsigned char *head = arena_alloc(&c->mem, HEAD_BYTES), *tail = arena_alloc(&c->mem, TAIL_BYTES);
    ssize_t hn = pread(fd, head, HEAD_BYTES, 0);
    off_t from = st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
    ssize_t tn = pread(fd, tail, TAIL_BYTES, from);
    if (hn <= 0 || tn < 0) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));

    enum media_kind kind = MEDIA_TEXT;
    const char *looks = media_type_sniff(head, (size_t)hn, tail, (size_t)tn, filename, &kind);
    if (looks) return fail(c, ERR_UNSUPPORTED_TYPE, "the file looks like %s; " MEDIA_ACCEPTED, looks);
    int64_t text_max = kind == MEDIA_HTML ? 2 * LIMIT_DOCUMENT_TEXT_BYTES : LIMIT_DOCUMENT_TEXT_BYTES;
    if (kind != MEDIA_PDF && kind != MEDIA_DOCX && st.st_size > text_max)
        return fail(c, ERR_TOO_LARGE, "the file holds %lld bytes of text; at most %lld are taken",
                    (long long)st.st_size, (long long)text_max);
    enum err e = scan(c, fd, st.st_size);
    if (e) return e;
    *out = (struct media){ .kind = kind, .type = KINDS[kind].type, .size_bytes = st.st_size };
    return OK;
}

enum err media_type_find(struct call *c, const char *path, const char *filename, struct media *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(c, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", filename ? filename : "the file",
                    strerror(errno));
    enum err e = find(c, fd, filename, out);
    close(fd);
    return e;
}

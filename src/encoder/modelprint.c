/* encoder/modelprint.c — the files are named here one by one, so that a cache, a licence or an editor's copy beside them
 * does not make another model of it. The stamp holds the time of the inode's last change, which no program sets back as
 * copying tools do with the time of modification. It refuses to judge whether the model is any good. */
/* SPDX-License-Identifier: MIT */
#include "encoder/modelprint.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/id.h"

enum { PATH_BYTES = 4096, SUM_BYTES = 8192 };

static const char *const files[] = {
    "model.safetensors", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "modules.json",
    "1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json", "chiron.json",
};
enum { FILES = sizeof files / sizeof *files };

static bool look(const char *folder, int i, char path[PATH_BYTES], struct stat *st)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", folder, files[i]);
    return n > 0 && n < PATH_BYTES && stat(path, st) == 0 && S_ISREG(st->st_mode);
}

bool modelprint_stamp(const char *folder, char out[MODELPRINT_STAMP_BYTES])
{
    char path[PATH_BYTES], hex[65];
    struct stat st;
    struct buf b;
    bool weights = false;
    buf_init(&b, SUM_BYTES);
    for (int i = 0; i < FILES; i++) {
        if (!look(folder, i, path, &st)) continue;
        weights |= i == 0;
        buf_printf(&b, "%d %lld %llu %lld.%09ld %lld.%09ld\n", i, (long long)st.st_size, (unsigned long long)st.st_ino,
                   (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    }
    if (weights) {
        memcpy(out, id_sha256_hex(b.data, b.len, hex), MODELPRINT_STAMP_BYTES - 1);
        out[MODELPRINT_STAMP_BYTES - 1] = 0;
    }
    buf_dispose(&b);
    return weights;
}

bool modelprint_of(const char *folder, char out[65])
{
    char path[PATH_BYTES], hex[65];
    struct stat st;
    struct buf b;
    bool ok = true, weights = false;
    buf_init(&b, SUM_BYTES);
    for (int i = 0; i < FILES && ok; i++) {
        if (!look(folder, i, path, &st)) continue;
        weights |= i == 0;
        ok = id_sha256_file(path, hex);
        if (ok) buf_printf(&b, "%s  %s\n", hex, files[i]);
    }
    ok = ok && weights;
    if (ok) id_sha256_hex(b.data, b.len, out);
    buf_dispose(&b);
    return ok;
}

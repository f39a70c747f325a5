/* A small BERT cross-encoder with random weights, written as a model folder; what a test wants to break can be broken. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_ENCODER_RANDOM_BERT_H
#define CHIRON_TEST_ENCODER_RANDOM_BERT_H
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

enum { BERT_HIDDEN = 64, BERT_INNER = 128, BERT_LAYERS = 3, BERT_HEADS = 2, BERT_POSITIONS = 512, BERT_WORDS = 200 };

struct random_bert {
    const char *folder;           /* made; must not exist */
    const char *config_more;      /* members added to config.json, each with a comma in front */
    const char *architecture;     /* NULL: BertForSequenceClassification */
    int         labels;           /* rows of the classifier; 0: 1 */
    const char *without;          /* a tensor that is left out */
    const char *narrow;           /* a tensor with one row too few */
    const char *nan;              /* a tensor with a NaN in it */
    int         types;            /* 0: 2 */
    bool        file_of_nothing;  /* model.safetensors is cut in two */
};

static uint64_t bert_seed;
static float    bert_noise(float scale)
{
    bert_seed = bert_seed * 6364136223846793005u + 1442695040888963407u;
    return ((float)(bert_seed >> 40) / 8388608.0f - 1.0f) * scale;
}

struct bert_file {
    const struct random_bert *o;
    struct buf                header, data;
};

static void bert_tensor(struct bert_file *f, const char *name, int rows, int columns, float scale, float around)
{
    const struct random_bert *o = f->o;
    if (o->without && !strcmp(o->without, name)) return;
    if (o->narrow && !strcmp(o->narrow, name)) rows--;
    const size_t begin = f->data.len;
    for (int i = 0; i < rows * (columns ? columns : 1); i++) {
        float v = around + bert_noise(scale);
        if (i == 3 && o->nan && !strcmp(o->nan, name)) v = 0.0f / 0.0f;
        buf_add(&f->data, (const char *)&v, sizeof v);
    }
    buf_printf(&f->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d", f->header.len > 1 ? "," : "", name, rows);
    if (columns) buf_printf(&f->header, ",%d", columns);
    buf_printf(&f->header, "],\"data_offsets\":[%zu,%zu]}", begin, f->data.len);
}

static void bert_dense(struct bert_file *f, const char *name, int rows, int columns, float scale)
{
    char both[160];
    snprintf(both, sizeof both, "%s.weight", name);
    bert_tensor(f, both, rows, columns, scale, 0);
    snprintf(both, sizeof both, "%s.bias", name);
    bert_tensor(f, both, rows, 0, 0.1f, 0);
}

static void bert_norm(struct bert_file *f, const char *name)
{
    char both[160];
    snprintf(both, sizeof both, "%s.weight", name);
    bert_tensor(f, both, BERT_HIDDEN, 0, 0.2f, 1);
    snprintf(both, sizeof both, "%s.bias", name);
    bert_tensor(f, both, BERT_HIDDEN, 0, 0.1f, 0);
}

static void bert_write(const char *folder, const char *name, const char *p, size_t n)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Words w0 … w199 are tokens of their own, and so are the letters. */
static int bert_vocabulary(const char *folder)
{
    struct buf b;
    int        n = 5;
    buf_init(&b, 64 * 1024);
    buf_adds(&b, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int i = 0; i < 26; i++, n += 2) buf_printf(&b, "%c\n##%c\n", 'a' + i, 'a' + i);
    for (int i = 0; i < BERT_WORDS; i++, n++) buf_printf(&b, "w%d\n", i);
    bert_write(folder, "vocab.txt", b.data, b.len);
    buf_dispose(&b);
    return n;
}

static void random_bert_write(const struct random_bert *o)
{
    struct bert_file f = { .o = o };
    struct buf       config;
    char             name[160];
    assert_int_equal(mkdir(o->folder, 0700), 0);
    int vocabulary = bert_vocabulary(o->folder), labels = o->labels ? o->labels : 1, types = o->types ? o->types : 2;
    buf_init(&config, 4096);
    buf_printf(&config, "{\"model_type\":\"bert\",\"architectures\":[\"%s\"],\"hidden_size\":%d,\"num_hidden_layers\":%d,"
               "\"num_attention_heads\":%d,\"intermediate_size\":%d,\"max_position_embeddings\":%d,\"vocab_size\":%d,"
               "\"type_vocab_size\":%d,\"layer_norm_eps\":1e-12,\"hidden_act\":\"gelu\"%s}",
               o->architecture ? o->architecture : "BertForSequenceClassification", BERT_HIDDEN, BERT_LAYERS, BERT_HEADS,
               BERT_INNER, BERT_POSITIONS, vocabulary, types, o->config_more ? o->config_more : "");
    bert_write(o->folder, "config.json", config.data, config.len);
    buf_dispose(&config);

    buf_init(&f.header, 64 * 1024);
    buf_init(&f.data, 16 * 1024 * 1024);
    buf_addc(&f.header, '{');
    bert_seed = 7;
    bert_tensor(&f, "bert.embeddings.word_embeddings.weight", vocabulary, BERT_HIDDEN, 1, 0);
    bert_tensor(&f, "bert.embeddings.position_embeddings.weight", BERT_POSITIONS, BERT_HIDDEN, 0.3f, 0);
    bert_tensor(&f, "bert.embeddings.token_type_embeddings.weight", types, BERT_HIDDEN, 0.5f, 0);
    bert_norm(&f, "bert.embeddings.LayerNorm");
    for (int l = 0; l < BERT_LAYERS; l++) {
        static const struct { const char *name; int rows, columns; } dense[] = {
            { "attention.self.query", BERT_HIDDEN, BERT_HIDDEN }, { "attention.self.key", BERT_HIDDEN, BERT_HIDDEN },
            { "attention.self.value", BERT_HIDDEN, BERT_HIDDEN }, { "attention.output.dense", BERT_HIDDEN, BERT_HIDDEN },
            { "intermediate.dense", BERT_INNER, BERT_HIDDEN },    { "output.dense", BERT_HIDDEN, BERT_INNER },
        };
        for (int i = 0; i < 6; i++) {
            snprintf(name, sizeof name, "bert.encoder.layer.%d.%s", l, dense[i].name);
            bert_dense(&f, name, dense[i].rows, dense[i].columns, 0.2f);
        }
        snprintf(name, sizeof name, "bert.encoder.layer.%d.attention.output.LayerNorm", l);
        bert_norm(&f, name);
        snprintf(name, sizeof name, "bert.encoder.layer.%d.output.LayerNorm", l);
        bert_norm(&f, name);
    }
    bert_dense(&f, "bert.pooler.dense", BERT_HIDDEN, BERT_HIDDEN, 0.2f);
    bert_dense(&f, "classifier", labels, BERT_HIDDEN, 0.5f);
    buf_addc(&f.header, '}');
    while (f.header.len % 8) buf_addc(&f.header, ' ');
    struct buf file;
    buf_init(&file, 16 * 1024 * 1024);
    uint64_t size = f.header.len;
    buf_add(&file, (const char *)&size, sizeof size);
    buf_add(&file, f.header.data, f.header.len);
    buf_add(&file, f.data.data, f.data.len);
    assert_false(file.failed);
    bert_write(o->folder, "model.safetensors", file.data, o->file_of_nothing ? file.len / 2 : file.len);
    buf_dispose(&file);
    buf_dispose(&f.header);
    buf_dispose(&f.data);
}

/* With what the program has put there. */
static void random_bert_remove(const char *folder)
{
    char           path[600];
    struct dirent *one;
    DIR           *d = opendir(folder);
    while (d && (one = readdir(d))) {
        snprintf(path, sizeof path, "%s/%.255s", folder, one->d_name);
        unlink(path);
    }
    if (d) closedir(d);
    rmdir(folder);
}
#endif

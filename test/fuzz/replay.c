/* The replay of a fuzz corpus: a main() for LLVMFuzzerTestOneInput that feeds the files and folders named, each file alone,
 * so that a crash once found is looked for in every `make test`, with gcc and without libFuzzer. */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX_BYTES (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed_file(const char *path, size_t size)
{
    if (size > INPUT_MAX_BYTES) return 0;
    FILE    *f = fopen(path, "rb");
    /* Exactly as long as the input: a read past its end is then a read past the allocation. */
    uint8_t *data = malloc(size ? size : 1);
    if (!f || !data || fread(data, 1, size, f) != size) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    fclose(f);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int feed(const char *path)
{
    struct stat st;
    if (stat(path, &st)) return 0;
    if (!S_ISDIR(st.st_mode)) return feed_file(path, (size_t)st.st_size);
    int            fed = 0;
    DIR           *d = opendir(path);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char below[4096];
        if (entry->d_name[0] == '.') continue;
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below) fed += feed(below);
    }
    if (d) closedir(d);
    return fed;
}

int main(int argc, char **argv)
{
    int fed = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) fed += feed(argv[i]);
    printf("replayed %d inputs\n", fed);
    return 0;
}

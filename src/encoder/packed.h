/* encoder/packed.h — weights as the products want them, kept in a file from one start to the next: quantising and
 * packing 87 MB takes a fifth of a second, mapping the result a hundredth of it.
 *     struct packed_part parts[] = {{ "0.qkv", 442368, NULL }, … };
 *     struct packed_of   of = { .folder = folder, .model = &file.file, .form = "int8", .shape = "int8 k64n64 384 6 …" };
 *     if (!packed_load(c, &of, parts, n, &p)) { packed_room(c, parts, n, &p); …fill…; packed_save(c, &of, parts, n); }
 *     packed_dispose(&p);
 *
 * Where: FORM.packed in the model's folder; when that cannot be written, $XDG_CACHE_HOME/chiron/packed/, named by the
 * folder's path. There is one file a form and place, so that old ones do not pile up; what it is for stands inside.
 *
 * Which: the file holds the SHA-256 of model.safetensors, and a stamp of it (inode, size, times of change, to the
 * nanosecond). The same stamp: taken at once. Another stamp (copied, moved, touched, replaced): the model is hashed,
 * which takes some 60 ms, and the file is taken and stamped anew only if the hash is the same. A stamp is kept only if
 * the model had been left alone for two seconds, longer than file systems' clocks are coarse: a model written twice
 * between two ticks is hashed at the next start. The time of the last change of the inode cannot be set back by
 * programs as the time of modification can. The shape is compared as text and holds all else the parts depend on.
 *
 * Damaged, cut, too long, of another version or byte order or model: not used, and made anew. It is a cache for
 * accidents' sake: whoever can write to the model's folder can change the model as well.                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_PACKED_H
#define CHIRON_ENCODER_PACKED_H
#include "encoder/mapped.h"

enum { PACKED_PARTS_MAX = 4096, PACKED_NAME_BYTES = 32, PACKED_SHAPE_BYTES = 256, PACKED_PAGE = 4096 };

struct packed_part {
    const char *name;                     /* at most PACKED_NAME_BYTES - 1, different from the others' */
    size_t      bytes;
    void       *data;                     /* set by load and room: at a page when a page or more, else at 64 bytes */
};
struct packed_of {
    const char          *folder;          /* the model's */
    const struct mapped *model;           /* its model.safetensors, whole */
    const char          *form;            /* a word for the file's name */
    const char          *shape;           /* all that the parts depend on besides the model; under PACKED_SHAPE_BYTES */
};
struct packed {
    struct mapped file;                   /* loaded: read-only, shared with other processes */
    char         *room;                   /* made: on huge pages where there are some */
    size_t        room_bytes;
};

/* true: every part's data points into the map, and the model's bytes are those the parts were made of, whole and
 * finite as they were then. false: nothing usable; the log says why when there was something. Never an error. */
MUST_CHECK bool packed_load(struct call *c, const struct packed_of *of, struct packed_part *parts, int n, struct packed *out);
/* Zeroed memory for all parts. ERR_IO: there is none. */
MUST_CHECK enum err packed_room(struct call *c, struct packed_part *parts, int n, struct packed *out);
/* Writes the parts beside and renames: readers see the old file or the new one, whole; of two writers at once one
 * leaves it to the other. Not if the model changed since it was mapped. A failure is a line in the log and no more. */
void packed_save(struct call *c, const struct packed_of *of, const struct packed_part *parts, int n);
void packed_dispose(struct packed *p);    /* a zeroed one is allowed */

/* What load does with a file's bytes, without the model: shape, table and both checksums. NULL, or what is wrong with it
 * in a few words; then no part was touched. data at a page. */
const char *packed_parse(const void *data, size_t size, const char *shape, struct packed_part *parts, int n);
/* Puts the checksums of a file's bytes in their places; too few bytes stay as they are. */
void packed_seal(void *data, size_t size);
/* The checksum: XXH64 with seed 0. */
uint64_t packed_sum(const void *data, size_t n);
#endif

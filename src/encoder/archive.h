/* encoder/archive.h — a model's folder out of a zip archive or wheel. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_ARCHIVE_H
#define CHIRON_ENCODER_ARCHIVE_H
#include "base/call.h"

/* Makes the folder `to` with the files that stand beside model.safetensors in the archive: plain names and
 * 1_Pooling/config.json; the rest stays in it. Writes SHA256SUMS. ERR_UNSUPPORTED_TYPE: no archive, no weights in it;
 * ERR_CORRUPT, ERR_TOO_LARGE, ERR_IO. What was written before an error stays there. */
MUST_CHECK enum err archive_unpack(struct call *c, const char *archive, const char *to);
#endif

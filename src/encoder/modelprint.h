/* encoder/modelprint.h — is it the same model? A model folder's content as one hash, and a stamp of sizes and times by
 * which the hash need not be made again. What only changes how fast it runs (packed weights) is not looked at.
 *     char stamp[MODELPRINT_STAMP_BYTES], print[65];
 *     if (modelprint_stamp(folder, stamp) && modelprint_of(folder, print)) …                                 */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_MODELPRINT_H
#define CHIRON_ENCODER_MODELPRINT_H
#include <stdbool.h>

enum { MODELPRINT_STAMP_BYTES = 33 };

/* Hex of sizes, inodes and times of all files that decide a vector; false: the folder has no weights. Microseconds. */
bool modelprint_stamp(const char *folder, char out[MODELPRINT_STAMP_BYTES]);
/* SHA-256 over names and contents of the same files, hex; false: unreadable. About 60 ms for 90 MB. */
bool modelprint_of(const char *folder, char out[65]);
#endif

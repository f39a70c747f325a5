/* encoder/share.h — one pack for callers that come at the same time. A short pack costs little more than one text,
 * because reading the weights is what it waits for; so callers beyond the first few wait for a running pack to end and
 * then go together. A caller that finds a free place never waits.
 *     struct share *s = share_new(2);
 *     bool ok = share_run(s, ids, lens, n, rows, pack, arg);
 *     share_free(s);                                                                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_SHARE_H
#define CHIRON_ENCODER_SHARE_H
#include <stdbool.h>
#include <stdint.h>

enum { SHARE_TOKENS = 128,         /* a call with more goes alone */
       SHARE_PACK_TOKENS = 256,    /* of all callers in one pack: bounds what the last one waits for */
       SHARE_PACK_TEXTS = 64 };

/* Runs one pack: as encode_pack, on a seat that arg knows how to find. */
typedef bool (*share_pack_fn)(void *arg, const int32_t *ids, const int *lens, int n, float *const *rows);

struct share;
struct share *share_new(int places);   /* packs that may run at once, from 1 */
void          share_free(struct share *s);   /* no caller may be inside; NULL allowed */

/* The texts' vectors into rows, alone or in a pack with others'. At most SHARE_TOKENS ids and SHARE_PACK_TEXTS texts.
 * Waits at most for the pack that runs and those queued before, each bounded by SHARE_PACK_TOKENS. The thread has called
 * matmul_thread_begin. false: the pack failed, for all in it. *together_out: callers in the pack, this one counted in. */
bool share_run(struct share *s, const int32_t *ids, const int *lens, int n, float *const *rows, share_pack_fn pack,
               void *arg, int *together_out);
#endif

/* knowledge/tokens.h — how many tokens a passage is to the default encoder, remembered: the same passages are shown again
 * and again, and cutting five of them into pieces costs as much as finding them. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_TOKENS_H
#define CHIRON_KNOWLEDGE_TOKENS_H
#include "base/call.h"

void tokens_open(int passages);
void tokens_close(void);
void tokens_forget(void);
/* id: of the passage; another text under the same id is counted anew. Without an encoder: bytes / 4, rounded up. */
int tokens_of(struct call *c, const char *id, const char *text);
#endif

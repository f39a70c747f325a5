/* base/right.h — the words of rights: what stands in roles, in keys' scopes and in replies for one bit of enum right. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_RIGHT_H
#define CHIRON_BASE_RIGHT_H
struct json_out;
/* The word of one bit, static; NULL for no right. And back: 0 for no such word. */
const char *right_word(unsigned bit);
unsigned    right_of(const char *word);
/* A sentence part about one bit, for people; static, NULL for no right. */
const char *right_about(unsigned bit);
/* An array of the words of all bits but public, under name. */
void        rights_put(struct json_out *j, const char *name, unsigned rights);
#endif

/* store/kv_memory.h — the end of the in-process key-value store; what it does is in store/store.h. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_KV_MEMORY_H
#define CHIRON_STORE_KV_MEMORY_H
void kv_close(void);   /* forgets everything; it can be used again afterwards */
void kv_counts_sweep(void);   /* kv_count.c: as kv_sweep and kv_close for the counters, called by them */
void kv_counts_close(void);
#endif

/* accounts/export_parts.h — what an export on its way is made of; for export.c and export_store.c alone. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_EXPORT_PARTS_H
#define CHIRON_ACCOUNTS_EXPORT_PARTS_H
#include <stdio.h>

#include "accounts/export.h"

struct export_to {
    FILE           *to;
    bool            array;       /* elements of an array; else lines */
    int64_t         rows;
    int64_t        *bytes, most; /* of the whole export */
    struct buf      line;
    struct json_out j;
};
/* A read transaction on c->tenant's database or on accounts.db. */
MUST_CHECK enum err export_begin(struct call *c, bool creator, struct conn **out);
void export_end(struct conn **r);
/* The creators an account works for. */
MUST_CHECK enum err export_creators(struct call *c, const char *account_id, const char ***ids_out, int *n_out);
#endif

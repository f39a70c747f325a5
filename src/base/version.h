/* base/version.h — the product's version, for replies, archives and `chiron version`. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_VERSION_H
#define CHIRON_BASE_VERSION_H
#define CHIRON_VERSION "0.1.0"
#endif

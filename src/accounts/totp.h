/* accounts/totp.h — the second factor: codes of six digits from a secret in somebody's telephone (RFC 6238: HMAC-SHA-1, 30 s), and ten
 * recovery codes for when it is lost. A code counts once, also when it comes twice at the same moment. Any thread.
 *     e = totp_begin(c, &account, &secret, &uri);   e = totp_confirm(c, &account, "492039", codes);                   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_TOTP_H
#define CHIRON_ACCOUNTS_TOTP_H
#include "accounts/account.h"

#define TOTP_SECRET_BYTES   20    /* RFC 4226 4, R6 */
#define TOTP_STEP_SECONDS   30
#define TOTP_DIGITS         6
#define TOTP_SKEW_STEPS     1     /* RFC 6238 5.2 */
#define TOTP_RECOVERY_CODES 10

struct account_proof;

/* The code of a step, 0..999999 (RFC 4226 5.3). */
int  totp_code(const unsigned char *secret, size_t n, int64_t step);
/* Does text, six digits with or without a space, belong to now or a neighbouring step? In the same time whatever it is. */
bool totp_match(const unsigned char *secret, size_t n, const char *text, int64_t now_s, int64_t *step_out);
/* RFC 4648 6, no padding, in c->mem. */
const char *totp_base32(struct call *c, const unsigned char *p, size_t n);

/* A fresh secret, kept sealed; nothing is asked for before it is confirmed. uri: otpauth://totp/…. ERR_CONFLICT: on already. */
MUST_CHECK enum err totp_begin(struct call *c, const struct account *a, const char **secret_out, const char **uri_out);
/* From now on sign-ins need it. ERR_UNAUTHENTICATED: wrong code. ERR_CONFLICT: on already, or not begun. */
MUST_CHECK enum err totp_confirm(struct call *c, const struct account *a, const char *code, const char *recovery_out[TOTP_RECOVERY_CODES]);
/* A code, or a recovery code, either NULL; spends it. *right_out false: wrong, or used before. */
MUST_CHECK enum err totp_check(struct call *c, const struct account *a, const struct account_proof *p, const char *code, const char *recovery,
                               bool *right_out);
/* Off, and the recovery codes gone. ERR_UNAUTHENTICATED, as at sign-in, unless password and code are right (p->second is taken as set). ERR_CONFLICT: not on. */
MUST_CHECK enum err totp_off(struct call *c, const struct account *a, const struct proof *p);
#endif

/* knowledge/language.c — English or Spanish, decided by the small words, which a question of four words has too, and by
 * letters that only one of them uses. Unsure is an answer: the caller then searches both forms.
 * It refuses to name other languages: they are unsure as well. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/buf.h"
#include "knowledge/fold.h"
#include "knowledge/knowledge.h"
#include "knowledge/wordlist.h"

#define SAMPLE_BYTES 6000   /* a language does not change its mind after a page */

static bool ends(const char *s, size_t n, const char *tail)
{
    size_t k = strlen(tail);
    return n > k + 1 && !memcmp(s + n - k, tail, k);
}

static int endings(const char *s, size_t n, const char *const *tails)
{
    for (; *tails; tails++)
        if (ends(s, n, *tails)) return 1;
    return 0;
}

const char *text_language(const char *text, size_t n)
{
    static const char *const english[] = { "ing", "ght", "tion", "ness", "ould", "th", "ck", "ee", "wn", NULL };
    static const char *const spanish[] = { "cion", "ciones", "miento", "dad", "mente", "ando", "iendo", "aje", NULL };
    if (n > SAMPLE_BYTES) n = SAMPLE_BYTES;
    int en = 0, es = 0, words = 0;       /* a stop word of one language alone counts 4, an ending 1 */
    for (size_t i = 0; i + 1 < n; i++) {
        unsigned char a = (unsigned char)text[i], b = (unsigned char)text[i + 1];
        if (a == 0xC2 && (b == 0xBF || b == 0xA1)) es += 8;                       /* ¿ ¡ */
        if (a == 0xC3 && (b == 0xB1 || b == 0x91)) es += 4;                       /* ñ */
        if (a == 0xC3 && (b == 0xA1 || b == 0xA9 || b == 0xAD || b == 0xB3 || b == 0xBA)) es += 1;   /* á é í ó ú */
    }
    struct buf f;
    buf_init(&f, n * 4 + 64);
    fold_text(text, n, &f);
    for (size_t i = 0; i < f.len;) {
        size_t start = i, k = 1;
        while (i < f.len && (fold_kind(f.data + i, f.len - i, &k) == FOLD_LETTER || f.data[i] == '\'')) i += k;
        size_t len = i - start;
        const char *w = f.data + start;
        if (len == 0) {
            i += k;
            continue;
        }
        words++;
        if (len > 2 && w[len - 2] == '\'') {
            en += 2;
            len -= 2;
        }
        bool in_en = wordlist_has(WORDLIST_EN, w, len), in_es = wordlist_has(WORDLIST_ES, w, len);
        if (in_en && !in_es) en += 4;
        if (in_es && !in_en) es += 4;
        if (!in_en && !in_es) {
            en += endings(w, len, english);
            es += endings(w, len, spanish);
        }
    }
    buf_dispose(&f);
    int most = en > es ? en : es;
    if (most < 2 || (words > 20 && most * 4 < words)) return "";
    if (en * 2 > es * 3) return "en";
    if (es * 2 > en * 3) return "es";
    return "";
}

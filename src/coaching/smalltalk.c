/* coaching/smalltalk.c — a greeting deserves a greeting and not "that is not in my material". Only a message made of
 * nothing but such phrases counts; one word more, and it is a question like any other. It refuses to guess: phrases
 * are compared whole, without regard to case, accents and punctuation. */
/* SPDX-License-Identifier: MIT */
#include "coaching/smalltalk.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MESSAGE_MAX 120

struct phrase { const char *words, *kind, *language; };

/* A longer phrase stands before one it begins with. */
static const struct phrase phrases[] = {
    { "hello", "hello", "en" }, { "hi there", "hello", "en" }, { "hi", "hello", "en" }, { "hey there", "hello", "en" }, { "hey", "hello", "en" },
    { "good morning", "hello", "en" }, { "good afternoon", "hello", "en" }, { "good evening", "hello", "en" },
    { "how are you doing", "hello", "en" }, { "how are you today", "hello", "en" }, { "how are you", "hello", "en" },
    { "hola", "hello", "es" }, { "buenos dias", "hello", "es" }, { "buenas tardes", "hello", "es" }, { "buenas noches", "hello", "es" },
    { "buenas", "hello", "es" }, { "que tal", "hello", "es" }, { "como estas", "hello", "es" },
    { "thanks a lot", "thanks", "en" }, { "thank you very much", "thanks", "en" }, { "thank you so much", "thanks", "en" },
    { "thank you", "thanks", "en" }, { "many thanks", "thanks", "en" }, { "thanks", "thanks", "en" }, { "thx", "thanks", "en" },
    { "that helps", "thanks", "en" }, { "muchas gracias", "thanks", "es" }, { "mil gracias", "thanks", "es" }, { "gracias", "thanks", "es" },
    { "who are you", "who", "en" }, { "what are you", "who", "en" }, { "whats your name", "who", "en" }, { "what is your name", "who", "en" },
    { "are you a bot", "who", "en" }, { "are you a robot", "who", "en" }, { "are you human", "who", "en" }, { "are you real", "who", "en" },
    { "quien eres", "who", "es" }, { "que eres", "who", "es" }, { "como te llamas", "who", "es" }, { "eres un robot", "who", "es" },
    { "what can you do for me", "can", "en" }, { "what can you do", "can", "en" }, { "what can you help me with", "can", "en" },
    { "what can i ask you", "can", "en" }, { "what can i ask", "can", "en" }, { "how can you help me", "can", "en" },
    { "how can you help", "can", "en" }, { "how do you work", "can", "en" }, { "que puedes hacer por mi", "can", "es" },
    { "que puedes hacer", "can", "es" }, { "que puedo preguntarte", "can", "es" }, { "en que me puedes ayudar", "can", "es" },
    { "en que puedes ayudarme", "can", "es" }, { "como funcionas", "can", "es" },
    { "goodbye", "bye", "en" }, { "bye bye", "bye", "en" }, { "bye", "bye", "en" }, { "see you later", "bye", "en" }, { "see you", "bye", "en" },
    { "good night", "bye", "en" }, { "adios", "bye", "es" }, { "hasta luego", "bye", "es" }, { "hasta pronto", "bye", "es" },
};

/* Small letters without accents, words with one blank between; false when it is too long or holds other than words. */
static bool plain_words(const char *s, size_t n, char out[MESSAGE_MAX])
{
    static const struct { unsigned char second; char letter; } accents[] = {
        { 0xA1, 'a' }, { 0xA9, 'e' }, { 0xAD, 'i' }, { 0xB3, 'o' }, { 0xBA, 'u' }, { 0xB1, 'n' }, { 0xBC, 'u' },
        { 0x81, 'a' }, { 0x89, 'e' }, { 0x8D, 'i' }, { 0x93, 'o' }, { 0x9A, 'u' }, { 0x91, 'n' } };
    size_t len = 0;
    bool gap = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        char letter = 0;
        if (ch < 0x80 && isalpha(ch)) {
            letter = (char)tolower(ch);
        } else if (ch == 0xC3 && i + 1 < n) {
            for (size_t k = 0; k < sizeof accents / sizeof *accents && !letter; k++)
                if ((unsigned char)s[i + 1] == accents[k].second) letter = accents[k].letter;
            if (!letter) return false;
            i++;
        } else if (ch == '\'') {
            continue;
        } else if (ch == 0xE2 && i + 2 < n && (unsigned char)s[i + 1] == 0x80 && (unsigned char)s[i + 2] == 0x99) {
            i += 2;
            continue;
        } else if (ch == 0xC2 && i + 1 < n) {       /* ¿ ¡ */
            i++;
            gap = true;
            continue;
        } else if (isspace(ch) || (ch && strchr(".,;:!?-()", ch))) {
            gap = true;
            continue;
        } else {
            return false;
        }
        if (len + 3 > MESSAGE_MAX) return false;
        if (gap && len) out[len++] = ' ';
        gap = false;
        out[len++] = letter;
    }
    out[len] = '\0';
    return len > 0;
}

/* Length of the phrase at the beginning of s, whole words only; 0 when it is another. */
static size_t begins(const char *s, const char *phrase)
{
    size_t n = strlen(phrase);
    return n && strncmp(s, phrase, n) == 0 && (s[n] == ' ' || s[n] == '\0') ? n : 0;
}

/* A word of the coach's name, or one that goes with any greeting. */
static size_t address(const char *s, const char *name)
{
    size_t n = begins(s, "coach");
    if (!n) n = begins(s, "and");
    if (!n) n = begins(s, "y");
    for (const char *w = name; !n && *w;) {
        size_t len = strcspn(w, " ");
        if (len && strncmp(s, w, len) == 0 && (s[len] == ' ' || s[len] == '\0')) n = len;
        w += len + strspn(w + len, " ");
    }
    return n;
}

const char *smalltalk_kind(const char *message, size_t n, const char *name, const char **language_out)
{
    char text[MESSAGE_MAX], called[MESSAGE_MAX];
    const char *kind = NULL, *language = "en";
    if (!plain_words(message, n, text)) return NULL;
    if (!plain_words(name, strlen(name), called)) called[0] = '\0';
    for (const char *p = text; *p;) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases && !taken; i++) {
            taken = begins(p, phrases[i].words);
            if (!taken) continue;
            /* "Hello, who are you?" asks who. */
            if (!kind || strcmp(kind, "hello") == 0) kind = phrases[i].kind;
            language = phrases[i].language;
        }
        if (!taken) taken = address(p, called);
        if (!taken) return NULL;
        p += taken;
        while (*p == ' ') p++;
    }
    if (kind) *language_out = language;
    return kind;
}

/* The cheapest way to guess a password, over every way to cut it: words that people use, their own name, rows of keys, runs of
 * letters and digits, repetition, dates, and what is left one letter after the other. cost[i][j] is the cheapest for the
 * letters from i to j; longer pieces are made of shorter ones, so one pass over the lengths does it. No rule asks for a
 * digit or a capital letter: those rules make "Password1!".
 * The words are few: the lists of what leaked are long, but most of what is on them is one of these with something added. */
/* SPDX-License-Identifier: MIT */
#include "accounts/strength.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define LETTERS     64
#define WORD_MAX    48
#define OWN_MAX     16
#define LETTER_BITS 3.32     /* ten choices a letter: people's letters are not random */
#define CUT_BITS    1.5      /* where one piece ends and the next begins has to be guessed too */

/* Often first. Folded: what looks like a letter is one. */
static const char *const used[] = {
    "password", "qwerty", "iloveyou", "admin", "welcome", "abc", "letmein", "monkey", "dragon", "login", "princess", "master",
    "sunshine", "football", "pass", "love", "baseball", "shadow", "superman", "michael", "trustno1", "hello", "charlie", "secret",
    "azerty", "qwertz", "passwort", "motdepasse", "contrasena", "senha", "parola", "wachtwoord", "haslo", "parool", "losenord", "salasana",
    "test", "guest", "root", "user", "changeme", "default", "starwars", "freedom", "whatever", "jordan", "harley", "ranger", "buster",
    "soccer", "hockey", "killer", "george", "andrew", "robert", "daniel", "thomas", "matthew", "jennifer", "jessica", "ashley", "amanda",
    "joshua", "hunter", "tigger", "pepper", "ginger", "summer", "winter", "spring", "autumn", "cheese", "cookie", "banana", "orange",
    "purple", "flower", "butterfly", "angel", "lovely", "chocolate", "computer", "internet", "samsung", "google", "facebook", "apple",
    "iphone", "android", "windows", "linux", "oracle", "server", "system", "access", "account", "private", "security", "secure", "safe",
    "family", "friends", "forever", "babygirl", "baby", "sweet", "honey", "lucky", "happy", "smile", "star", "moon", "blue", "green", "red",
    "black", "white", "silver", "golden", "diamond", "yellow", "pink", "magic", "music", "guitar", "piano", "dance", "movie", "game", "gamer",
    "player", "power", "legend", "hero", "warrior", "knight", "king", "queen", "prince", "boss", "god", "jesus", "christ", "heaven", "bless",
    "faith", "hope", "peace", "grace", "pokemon", "pikachu", "naruto", "batman", "spiderman", "ironman", "hulk", "matrix", "merlin", "phoenix",
    "ninja", "samurai", "wizard", "mustang", "ferrari", "porsche", "mercedes", "corvette", "yamaha", "honda", "toyota", "camaro", "chevy",
    "liverpool", "chelsea", "arsenal", "barcelona", "realmadrid", "juventus", "manchester", "united", "london", "paris", "berlin", "madrid",
    "america", "england", "canada", "mexico", "brasil", "china", "india", "newyork", "texas", "chicago", "boston", "dallas", "tiger", "lion",
    "eagle", "bear", "wolf", "horse", "snoopy", "kitty", "cat", "dog", "puppy", "doggy", "fish", "dolphin", "panther", "cowboys", "yankees",
    "lakers", "steelers", "packers", "raiders", "eagles", "maggie", "bailey", "buddy", "max", "molly", "sophie", "lucy", "daisy", "rocky",
    "oscar", "jack", "jake", "sam", "alex", "chris", "david", "james", "john", "mark", "martin", "paul", "peter", "steven", "william", "anthony",
    "brandon", "justin", "kevin", "nicholas", "patrick", "richard", "ryan", "tyler", "victor", "carlos", "jose", "juan", "maria", "ana", "laura",
    "sarah", "nicole", "michelle", "melissa", "rachel", "rebecca", "samantha", "stephanie", "elizabeth", "emily", "hannah", "olivia", "emma",
    "alexander", "benjamin", "christian", "jasmine", "natalie", "vanessa", "victoria", "andrea", "claudia", "sandra", "monica", "patricia",
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december", "monday",
    "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "today", "tomorrow", "coffee", "pizza", "beer", "whisky", "vodka",
    "sex", "sexy", "fuck", "fuckyou", "fuckoff", "asshole", "bitch", "pussy", "porn", "hot", "cool", "awesome", "amazing", "nothing", "something",
    "anything", "money", "rich", "dollar", "bitcoin", "business", "office", "company", "manager", "support", "service", "office", "hallo", "hola",
    "bonjour", "ciao", "salut", "bonita", "amor", "teamo", "tequiero", "mivida", "corazon", "amigo", "familia", "estrella", "princesa", "mariposa",
    "jetaime", "soleil", "doudou", "chouchou", "loulou", "marseille", "schatz", "liebe", "sommer", "sonne", "fussball", "schalke", "bayern", "dortmund",
    "juve", "amore", "andrea", "francesca", "benfica", "futebol", "flamengo", "yugioh", "zxcvbn", "asdf", "qazwsx", "qweasd", "letme", "openup",
    "sesame", "opensesame", "knock", "please", "thankyou", "sorry", "goodbye", "goodluck", "qwe", "asd", "zxc", "aaa", "mom", "dad", "mother", "father",
    "sister", "brother", "daughter", "son", "wife", "husband", "home", "house", "work", "school", "college", "student", "teacher", "doctor", "nurse",
    "coach", "coaching", "chiron", "fitness", "gym", "trainer", "workout", "muscle", "strong", "health", "yoga", "runner", "running", "boxing",
    "112233", "102030", "147258", "147852", "159753", "159357", "1029384756", "314159", "911", "007", "420", "666", "1337", "2580", "5201314",
};
enum { USED = sizeof used / sizeof *used };

static const char *sorted[USED];    /* by text; rank is the place in used */
static short       rank_of[USED];

static int by_text(const void *a, const void *b)
{
    return strcmp(used[*(const short *)a], used[*(const short *)b]);
}

static void sort_used(void)
{
    for (short i = 0; i < USED; i++) rank_of[i] = i;
    qsort(rank_of, USED, sizeof *rank_of, by_text);
    for (int i = 0; i < USED; i++) sorted[i] = used[rank_of[i]];
}

struct work {
    int32_t raw[LETTERS], low[LETTERS];     /* as typed, and without case */
    char    folded[LETTERS];                /* look-alikes as letters; '\0': beyond ASCII */
    int     n;
    char    own[OWN_MAX][WORD_MAX + 1];
    int     owns;
    float   cost[LETTERS][LETTERS + 1];     /* [from][to) */
    unsigned char kind[LETTERS][LETTERS + 1], cut[LETTERS][LETTERS + 1];   /* cut 0: one piece */
};

static char look_alike(int32_t ch)
{
    static const char from[] = "@4031!|5$7+89", to[] = "aaoeiiisstt" "bg";
    if (ch <= 0 || ch >= 0x80) return '\0';
    const char *at = strchr(from, (int)ch);
    return at ? to[at - from] : (char)ch;
}

static int used_rank(const char *text)
{
    int lo = 0, hi = USED;
    while (lo < hi) {
        int mid = (lo + hi) / 2, way = strcmp(sorted[mid], text);
        if (way == 0) return rank_of[mid];
        if (way < 0) lo = mid + 1;
        else hi = mid;
    }
    return -1;
}

static bool is_own(const struct work *w, const char *text)
{
    for (int i = 0; i < w->owns; i++)
        if (!strcmp(w->own[i], text)) return true;
    return false;
}

/* What was changed of the word to be guessed as well: capitals, look-alikes. */
static float dressed(const struct work *w, int i, int j, bool alike)
{
    int  upper = 0;
    for (int k = i; k < j; k++) upper += w->raw[k] != w->low[k];
    float bits = alike ? 1.0f : 0.0f;
    if (upper == 0) return bits;
    return bits + (upper == j - i || (upper == 1 && w->raw[i] != w->low[i]) ? 1.0f : (float)log2(1 + (j - i) * upper));
}

static void offer(struct work *w, int i, int j, float bits, enum strength_kind kind)
{
    if (bits >= w->cost[i][j]) return;
    w->cost[i][j] = bits;
    w->kind[i][j] = (unsigned char)kind;
    w->cut[i][j] = 0;
}

static void try_words(struct work *w, int i, int j)
{
    char text[3][WORD_MAX + 1];   /* as typed, with look-alikes as letters, backwards */
    int  n = j - i;
    if (n < 3 || n > WORD_MAX) return;
    for (int k = 0; k < n; k++) {
        if (!w->folded[i + k]) return;
        text[0][k] = (char)w->low[i + k];
        text[1][k] = w->folded[i + k];
        text[2][n - 1 - k] = (char)w->low[i + k];
    }
    for (int form = 0; form < 3; form++) {
        text[form][n] = '\0';
        float bits = dressed(w, i, j, form == 1 && strcmp(text[0], text[1]) != 0) + (form == 2 ? 1.0f : 0.0f);
        int   rank = used_rank(text[form]);
        if (rank >= 0) offer(w, i, j, bits + (float)log2(rank + 1), STRENGTH_WORDS);
        if (is_own(w, text[form])) offer(w, i, j, bits + 1, STRENGTH_OWN);
    }
}

/* Where a key lies: row * 100 + column * 10, rows moved to the right as they are; -100 for none. */
static int place(int32_t ch)
{
    static const char *const rows[] = { "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./" };
    static const char *const upper = "!@#$%^&*()_+";
    if (ch <= 0 || ch >= 0x80) return -1000;
    const char *at = strchr(upper, (int)ch);
    if (at) return (int)(at - upper) * 10;
    for (int r = 0; r < 4; r++)
        if ((at = strchr(rows[r], (int)ch))) return r * 1000 + (int)(at - rows[r]) * 10 + r * 4;
    return -1000;
}

static bool neighbours(int a, int b)
{
    if (a < 0 || b < 0) return false;
    int dy = abs(a / 1000 - b / 1000), dx = abs(a % 1000 - b % 1000);
    return dy <= 1 && dx <= 10 && (dy || dx);
}

static void try_rows(struct work *w, int i, int j)
{
    int n = j - i, turns = 0, turn = 0;
    if (n < 3) return;
    int32_t step = w->low[i + 1] - w->low[i];
    bool    run = step == 1 || step == -1, walk = true;
    for (int k = i + 1; k < j && (run || walk); k++) {
        /* Zero comes after nine as well as before one. */
        int32_t s = w->low[k] - w->low[k - 1];
        if (s != step && !(step == 1 && w->low[k] == '0' && w->low[k - 1] == '9')) run = false;
        int a = place(w->low[k - 1]), b = place(w->low[k]);
        if (!neighbours(a, b)) walk = false;
        turns += k > i + 1 && b - a != turn;
        turn = b - a;
    }
    bool  obvious = strchr("1qaz0987", w->low[i] < 0x80 ? (int)w->low[i] : 'x') != NULL;
    float base = (obvious ? 2.0f : 5.0f) + (float)log2(n);
    if (run) offer(w, i, j, base + (step < 0), STRENGTH_KEYS);
    if (walk) offer(w, i, j, base + 1.6f * (float)turns, STRENGTH_KEYS);
}

static void try_repeats(struct work *w, int i, int j)
{
    int n = j - i;
    for (int unit = 1; unit <= n / 2; unit++) {
        if (n % unit || (unit == 1 && n < 3)) continue;
        bool same = true;
        for (int k = i + unit; k < j && same; k++) same = w->low[k] == w->low[k - unit];
        if (same) offer(w, i, j, w->cost[i][i + unit] + (float)log2(n / unit) + 0.5f, STRENGTH_REPEAT);
    }
}

static int two(const struct work *w, int at)
{
    return (int)(w->low[at] - '0') * 10 + (int)(w->low[at + 1] - '0');
}

static bool day_month(int a, int b)
{
    return (a >= 1 && a <= 31 && b >= 1 && b <= 12) || (a >= 1 && a <= 12 && b >= 1 && b <= 31);
}

static bool century(int ch)
{
    return ch == 19 || ch == 20;
}

static void try_dates(struct work *w, int i, int j)
{
    const struct work *d = w;
    int n = j - i;
    if (n != 4 && n != 6 && n != 8) return;
    for (int k = i; k < j; k++)
        if (w->low[k] < '0' || w->low[k] > '9') return;
    if (n == 4 && century(two(d, i))) offer(w, i, j, two(d, i) == 20 && two(d, i + 2) >= 10 && two(d, i + 2) < 40 ? 5 : 7, STRENGTH_DATE);
    if (n == 4 && day_month(two(d, i), two(d, i + 2))) offer(w, i, j, 9, STRENGTH_DATE);
    if (n == 6 && (day_month(two(d, i), two(d, i + 2)) || day_month(two(d, i + 2), two(d, i + 4)))) offer(w, i, j, 15, STRENGTH_DATE);
    if (n == 8 && ((century(two(d, i)) && day_month(two(d, i + 4), two(d, i + 6))) ||
                   (century(two(d, i + 4)) && day_month(two(d, i), two(d, i + 2)))))
        offer(w, i, j, 16, STRENGTH_DATE);
}

static void add_own(struct work *w, const char *p, size_t n)
{
    if (n < 3 || n > WORD_MAX || w->owns == OWN_MAX) return;
    char *to = w->own[w->owns++];
    for (size_t k = 0; k < n; k++) to[k] = (char)(p[k] >= 'A' && p[k] <= 'Z' ? p[k] + 32 : p[k]);
    to[n] = '\0';
}

/* The words of an address or a name, and each with the next: "ann", "example", "annexample". */
static void read_own(struct work *w, const char *const *own)
{
    for (; own && *own; own++) {
        const char *p = *own;
        add_own(w, p, strlen(p));
        char        joined[WORD_MAX + 1];
        size_t      all = 0;
        while (*p) {
            size_t n = strcspn(p, " @.-_+'");
            add_own(w, p, n);
            if (n && all + n <= WORD_MAX) {
                memcpy(joined + all, p, n);
                all += n;
            }
            p += n + (p[n] != '\0');
        }
        add_own(w, joined, all);
    }
}

static int read_letters(struct work *w, const char *password)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)password;
    int total = 0;
    for (utf8proc_int32_t ch; *p; total++) {
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &ch);
        if (n <= 0) {
            n = 1;
            ch = *p;
        }
        p += n;
        if (w->n == LETTERS) continue;
        w->raw[w->n] = ch;
        w->low[w->n] = utf8proc_tolower(ch);
        w->folded[w->n] = look_alike(w->low[w->n]);
        w->n++;
    }
    return total;
}

/* Letters of each kind along the cuts that were cheapest. */
static void count_kinds(const struct work *w, int i, int j, int letters[STRENGTH_DATE + 1])
{
    if (w->cut[i][j]) {
        count_kinds(w, i, w->cut[i][j], letters);
        count_kinds(w, w->cut[i][j], j, letters);
    } else {
        letters[w->kind[i][j]] += j - i;
    }
}

double strength_bits(const char *password, const char *const *own, enum strength_kind *kind_out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sort_used);
    struct work *w = calloc(1, sizeof *w);
    if (!w) abort();
    int total = read_letters(w, password);
    read_own(w, own);
    for (int n = 1; n <= w->n; n++) {
        for (int i = 0; i + n <= w->n; i++) {
            int j = i + n;
            w->cost[i][j] = (float)(LETTER_BITS * n);
            try_words(w, i, j);
            try_rows(w, i, j);
            try_repeats(w, i, j);
            try_dates(w, i, j);
            for (int k = i + 1; k < j; k++) {
                bool  plain = w->kind[i][k] == STRENGTH_RANDOM && w->kind[k][j] == STRENGTH_RANDOM && !w->cut[i][k] && !w->cut[k][j];
                float bits = w->cost[i][k] + w->cost[k][j] + (float)CUT_BITS;
                if (plain || bits >= w->cost[i][j]) continue;
                w->cost[i][j] = bits;
                w->cut[i][j] = (unsigned char)k;
            }
        }
    }
    double             bits = w->n ? w->cost[0][w->n] + LETTER_BITS * (total - w->n) : 0;
    enum strength_kind most = STRENGTH_RANDOM;
    int                letters[STRENGTH_DATE + 1] = { 0 };
    if (w->n) count_kinds(w, 0, w->n, letters);
    letters[STRENGTH_RANDOM] = 0;
    for (int k = 1; k <= STRENGTH_DATE; k++)
        if (letters[k] > letters[most]) most = (enum strength_kind)k;
    sodium_memzero(w, sizeof *w);
    free(w);
    *kind_out = most;
    return bits;
}

enum err strength_check(struct call *c, const char *field, const char *password, const char *const *own)
{
    static const char *const why[] = {
        [STRENGTH_RANDOM] = "it is too short",
        [STRENGTH_WORDS] = "it is made of words that are in many people's passwords",
        [STRENGTH_OWN] = "it is made of your own name or address",
        [STRENGTH_KEYS] = "it is a row of keys, letters or digits",
        [STRENGTH_REPEAT] = "it is one thing repeated",
        [STRENGTH_DATE] = "it is a date",
    };
    size_t bytes = strlen(password);
    if (bytes > LIMIT_PASSWORD_BYTES)
        return fail_field(c, field, "the password has %zu bytes; the limit is %d", bytes, LIMIT_PASSWORD_BYTES);
    int letters = 0;
    for (const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)password; *p; letters++) {
        utf8proc_int32_t ch = 0;
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &ch);
        if (n <= 0) return fail_field(c, field, "the password is not UTF-8");
        if (utf8proc_category(ch) == UTF8PROC_CATEGORY_CC) return fail_field(c, field, "the password holds a control character");
        p += n;
    }
    if (letters < STRENGTH_LETTERS_MIN)
        return fail_field(c, field, "the password has %d characters; at least %d are needed", letters, STRENGTH_LETTERS_MIN);
    enum strength_kind kind = STRENGTH_RANDOM;
    /* As it is hashed, so wide letters are letters; and without accents, since a guesser tries words with and without. */
    utf8proc_uint8_t *normal = NULL;
    if (utf8proc_map((const utf8proc_uint8_t *)password, 0, &normal,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_STRIPMARK) < 0)
        return fail_field(c, field, "the password is not UTF-8");
    double bits = strength_bits((const char *)normal, own, &kind);
    sodium_memzero(normal, strlen((const char *)normal));
    free(normal);
    if (bits >= STRENGTH_BITS_MIN) return OK;
    return fail_field(c, field, "the password is easily guessed: %s", why[kind]);
}

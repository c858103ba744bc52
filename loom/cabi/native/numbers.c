/* Looking at numbers, quickly. A flat JSON array: most of a call would be reading it.

   A decimal is m * 10^e with whole m. For m <= 2^53 and |e| <= 22 both factors are exact
   doubles, so one product or quotient is correctly rounded (Clinger 1990); other numbers
   go to strtod in the C locale. The result is that of Python's json to the last bit. */

#ifdef __linux__
#define _GNU_SOURCE
#endif
#include "internal.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#ifdef _WIN32
typedef _locale_t locale;
#define new_locale() _create_locale(LC_ALL, "C")
#define free_locale _free_locale
#define to_double(text, end, where) _strtod_l((text), (end), (where))
#else
typedef locale_t locale;
#define new_locale() newlocale(LC_ALL_MASK, "C", (locale_t)0)
#define free_locale freelocale
#define to_double(text, end, where) strtod_l((text), (end), (where))
#endif

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t exact = (uint64_t)1 << 53;

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_space(const char *c) {
    while (*c == ' ' || *c == '\n' || *c == '\r' || *c == '\t')
        c++;
    return c;
}

/* One number as JSON writes it; its end, or NULL when this is none. */
static const char *number(const char *c, double *out, locale *where) {
    const char *start = c;
    bool negative = *c == '-', whole = true, hard = false;
    uint64_t m = 0;
    int e = 0, digits = 0;
    c += negative;
    if (!digit(*c) || (*c == '0' && digit(c[1])))
        return NULL;
    for (; digit(*c); c++) {
        m = m * 10 + (uint64_t)(*c - '0');
        digits += m != 0;
    }
    if (*c == '.') {
        whole = false;
        if (!digit(*++c))
            return NULL;
        for (; digit(*c); c++, e--) {
            m = m * 10 + (uint64_t)(*c - '0');
            digits += m != 0;
        }
    }
    if (*c == 'e' || *c == 'E') {
        whole = false;
        hard = true;
        c++;
        c += *c == '+' || *c == '-';
        if (!digit(*c))
            return NULL;
        while (digit(*c))
            c++;
    }
    /* 19 digits fit in m; with more it has wrapped and says nothing. */
    if (hard || digits > 19 || m > exact || e < -22) {
        if (!*where && !(*where = new_locale()))
            return NULL;
        *out = to_double(start, NULL, *where);
        return c;
    }
    double value = (double)m / powers[-e];
    /* Python reads -0 as the whole number 0, which has no sign. */
    *out = negative && !(whole && m == 0) ? -value : value;
    return c;
}

/* Read `[[1, 2.5, ...]]`, one flat array in a list of arguments, which ends with a zero
   byte: the count, or -1 when the text is anything else or has more than `capacity`. */
long loom_numbers(const char *text, double *out, size_t capacity) {
    locale where = (locale)0;
    size_t count = 0;
    const char *c = skip_space(text);
    bool good = *c == '[';
    if (good)
        c = skip_space(c + 1);
    good = good && *c == '[';
    while (good) {
        double value;
        c = number(skip_space(c + 1), &value, &where);
        good = c && count < capacity;
        if (!good)
            break;
        out[count++] = value;
        c = skip_space(c);
        if (*c != ',')
            break;
    }
    good = good && *c == ']';
    if (good)
        c = skip_space(c + 1);
    good = good && *c == ']' && !*skip_space(c + 1);
    if (where)
        free_locale(where);
    return good ? (long)count : -1;
}

/* Whether no value is a NaN or an infinity: then the exponent's bits are all ones. */
bool loom_finite(const float *values, size_t n) {
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !found;
}

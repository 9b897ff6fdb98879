/* SPDX-License-Identifier: Apache-2.0 */
/* show.c - owns how numbers look. Pure, but for show_safe(). */
#include "load/show.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Decimals that leave three digits, with rounding counted: 9.996 is "10.0". */
static int decimals(double value)
{
    if (value >= 99.95)
        return 0;
    return value >= 9.995 ? 1 : 2;
}

struct step {
    const char *unit;
    double size;
    double below; /* as shown: from there on the next unit */
};

static struct shown in_steps(double value, const struct step *steps, size_t count)
{
    struct shown s;
    size_t i = 0;
    while (i + 1 < count && value / steps[i].size >= steps[i].below)
        i++;
    double scaled = value / steps[i].size;
    snprintf(s.text, sizeof(s.text), "%.*f %s", i == 0 ? 0 : decimals(scaled), scaled,
             steps[i].unit);
    return s;
}

struct shown show_ns(uint64_t ns)
{
    static const struct step steps[] = {
        {"ns", 1, 999.5},   {"us", 1e3, 999.5}, {"ms", 1e6, 999.5},
        {"s", 1e9, 3599.5}, {"h", 3600e9, 0},
    };
    if (ns == 0)
        return (struct shown){"0"};
    return in_steps((double)ns, steps, ARRAY_COUNT(steps));
}

struct shown show_bytes(double bytes)
{
    static const struct step steps[] = {
        {"B", 1, 1023.5},        {"KiB", 0x1p10, 1023.5}, {"MiB", 0x1p20, 1023.5},
        {"GiB", 0x1p30, 1023.5}, {"TiB", 0x1p40, 1023.5}, {"PiB", 0x1p50, 0},
    };
    return in_steps(bytes, steps, ARRAY_COUNT(steps));
}

struct shown show_count(uint64_t count)
{
    struct shown s;
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            s.text[at++] = ' ';
        s.text[at++] = digits[i];
    }
    s.text[at] = '\0';
    return s;
}

struct shown show_rate(double rate)
{
    struct shown s;
    if (!(rate > 0))
        return (struct shown){"0"};
    if (isinf(rate))
        return (struct shown){"-"};
    if (rate >= 99.5 && rate < 1e18)
        return show_count((uint64_t)llround(rate));
    if (rate < 0.995 || rate >= 1e18)
        snprintf(s.text, sizeof(s.text), "%.3g", rate);
    else
        snprintf(s.text, sizeof(s.text), "%.*f", decimals(rate), rate);
    return s;
}

struct shown show_percent(uint64_t part, uint64_t whole)
{
    struct shown s;
    if (whole == 0)
        return (struct shown){"-"};
    if (part == 0)
        return (struct shown){"0 %"};
    if (part == whole)
        return (struct shown){"100 %"};
    double share = 100 * (double)part / (double)whole;
    /* "100" is for all of it. */
    if (part < whole)
        share = fmin(share, 99.99);
    if (share < 0.01)
        snprintf(s.text, sizeof(s.text), "%.2g %%", share);
    else
        snprintf(s.text, sizeof(s.text), "%.2f %%", share);
    return s;
}

struct shown show_seconds(double seconds)
{
    struct shown s;
    snprintf(s.text, sizeof(s.text), fabs(seconds) < 1e9 ? "%.3f s" : "%.6g s", seconds);
    return s;
}

struct shown show_enhanced(const uint16_t enhanced[3])
{
    struct shown s = {""};
    if (enhanced[0] != 0)
        snprintf(s.text, sizeof(s.text), "%u.%u.%u", enhanced[0], enhanced[1], enhanced[2]);
    return s;
}

/* RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
unsigned show_utf8_len(const uint8_t *at, size_t len)
{
    if (len == 0)
        return 0;
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;
    unsigned need = lead >= 0xC2 && lead <= 0xDF   ? 2
                    : lead >= 0xE0 && lead <= 0xEF ? 3
                    : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                   : 0;
    if (need == 0 || len < need)
        return 0;
    for (unsigned i = 1; i < need; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if ((lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) ||
        (lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F))
        return 0;
    return need;
}

/* Controls, and the signs that turn the direction of writing and so the look of what follows. */
static bool is_harmful(const uint8_t *at, unsigned len)
{
    if (len == 1)
        return at[0] < 0x20 || at[0] == 0x7F;
    if (len == 2)
        return at[0] == 0xC2 && at[1] < 0xA0; /* U+0080..U+009F */
    if (len != 3 || at[0] != 0xE2)
        return false;
    if (at[1] == 0x80) /* U+200E, U+200F, U+2028..U+202E */
        return at[2] == 0x8E || at[2] == 0x8F || (at[2] >= 0xA8 && at[2] <= 0xAE);
    return at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9; /* U+2066..U+2069 */
}

unsigned show_safe_len(const uint8_t *at, size_t len)
{
    unsigned step = show_utf8_len(at, len);
    return step > 0 && is_harmful(at, step) ? 0 : step;
}

void show_safe(FILE *out, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    for (size_t len = strlen(text); len > 0;) {
        unsigned step = show_safe_len(at, len);
        if (step > 0) {
            fwrite(at, 1, step, out);
        } else {
            fprintf(out, "\\x%02X", at[0]);
            step = 1;
        }
        at += step;
        len -= step;
    }
}

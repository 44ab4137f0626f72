/* Parameters of a form against a slow reading of the same bytes, written another way: both take the
 * same texts and find the same names and values, or both refuse. */
#include "base/assert.h"
#include "oauth/form.h"
#include "runtime/run.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ROOM = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the oracle: byte by byte, from the start for every question ---- */

struct slow {
    unsigned char at[ROOM];
    size_t n;
    bool good;
};

static int digit(uint8_t c)
{
    const char *digits = "0123456789abcdefABCDEF";
    const char *at = c == 0 ? NULL : strchr(digits, c);
    if (at == NULL)
        return -1;
    int place = (int)(at - digits);
    return place < 16 ? place : place - 6;
}

/* The bounds of pair `k` among those that are not empty; false when there are fewer. */
static bool pair_at(const uint8_t *data, size_t size, size_t k, size_t *from, size_t *to)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && data[i] != '&')
            continue;
        if (i > start && k-- == 0) {
            *from = start;
            *to = i;
            return true;
        }
        start = i + 1;
    }
    return false;
}

/* Whether the bytes are code points as RFC 3629 writes them, each in its shortest form. */
static bool utf8(const unsigned char *at, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c = at[i];
        size_t more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : 9;
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}, mask[] = {0x7f, 0x1f, 0xf, 7};
        if (more == 9 || i + more >= n)
            return false;
        c &= mask[more];
        for (size_t j = 1; j <= more; j++) {
            if (at[i + j] >> 6 != 2)
                return false;
            c = c << 6 | (at[i + j] & 0x3f);
        }
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

static void decode(const uint8_t *data, size_t from, size_t to, struct slow *out)
{
    out->n = 0;
    out->good = true;
    while (from < to) {
        int c = data[from] == '+' ? ' ' : data[from];
        if (data[from] == '%') {
            int high = from + 1 < to ? digit(data[from + 1]) : -1;
            int low = from + 2 < to ? digit(data[from + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : high << 4 | low;
            from += 2;
        }
        out->good = out->good && c != 0;
        out->at[out->n++] = (unsigned char)c;
        from++;
    }
    out->good = out->good && utf8(out->at, out->n);
}

static void split(const uint8_t *data, size_t from, size_t to, struct slow *name,
                  struct slow *value)
{
    size_t equals = from;
    while (equals < to && data[equals] != '=')
        equals++;
    decode(data, from, equals, name);
    decode(data, equals < to ? equals + 1 : to, to, value);
}

static bool same(const struct slow *a, const struct slow *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* Whether the form should be taken; if so, what was read must be it. */
static bool should_take(const uint8_t *data, size_t size, const struct tb_form *form)
{
    static struct slow name, value, other, ignored;
    size_t from, to, n;
    for (n = 0; pair_at(data, size, n, &from, &to); n++) {
        split(data, from, to, &name, &value);
        if (!name.good || !value.good || name.n > TB_FORM_NAME_MAX || value.n > TB_FORM_VALUE_MAX ||
            n == TB_FORM_PAIRS_MAX)
            return false;
        for (size_t k = 0; k < n; k++) {
            TB_ASSERT(pair_at(data, size, k, &from, &to));
            split(data, from, to, &other, &ignored);
            if (same(&name, &other))
                return false;
        }
        if (form == NULL)
            continue;
        TB_ASSERT(n < form->n && form->pairs[n].name.n == name.n &&
                  form->pairs[n].value.n == value.n);
        TB_ASSERT(memcmp(form->pairs[n].name.at, name.at, name.n) == 0);
        TB_ASSERT(memcmp(form->pairs[n].value.at, value.at, value.n) == 0);
        TB_ASSERT(form->pairs[n].name.at[name.n] == '\0');
        TB_ASSERT(form->pairs[n].value.at[value.n] == '\0');
    }
    TB_ASSERT(form == NULL || form->n == n);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_run run;
    struct tb_form form;
    if (size > ROOM)
        return 0;
    tb_run_init(&run, NULL, tb_arena_new(TB_ARENA_CAP));
    tb_err err = tb_form_parse(&run.req, (struct tb_str){(const char *)data, size}, &form);
    TB_ASSERT(should_take(data, size, err == NULL ? &form : NULL) == (err == NULL));
    tb_arena_free(run.arena);
    return 0;
}

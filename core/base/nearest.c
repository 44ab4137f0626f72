/* Optimal string alignment in three rows of a table that is at most 41 x 41. */
#include "base/nearest.h"
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(struct tb_str a, struct tb_str b)
{
    size_t rows[3][TB_NEAREST_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        last[j] = j;
    memcpy(before, last, sizeof(rows[0]));
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            char x = lower(a.at[i - 1]), y = lower(b.at[j - 1]);
            row[j] = least(last[j - 1] + (x != y), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b.at[j - 2]) && lower(a.at[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.n];
}

void tb_nearest_try(struct tb_nearest *nearest, struct tb_str name)
{
    struct tb_str word = nearest->word;
    size_t far = word.n < 6 ? 2 : word.n / 3 + 1,
           apart = word.n > name.n ? word.n - name.n : name.n - word.n;
    if (word.n > TB_NEAREST_BYTES || name.n > TB_NEAREST_BYTES || apart >= far || word.n < 2)
        return;
    size_t d = distance(word, name);
    if (d >= far || (nearest->name.at != NULL && d >= nearest->distance))
        return;
    nearest->name = name;
    nearest->distance = d;
}

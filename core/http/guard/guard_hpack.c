/* The HPACK pre-scan. It follows the decoder's grammar byte by byte and simulates the dynamic table
 * only by sizes: an entry added in this block is a pair of lengths, an older one is read from the
 * decoder's table. Where the decoder is laxer than RFC 7541 (an empty name, a table size update
 * behind a field) the scan is not, because there the two could disagree about what follows. */
#include "http/guard/guard_hpack.h"
#include "base/hash.h"
#include <string.h>

struct field_size {
    uint32_t name, value;
};

/* Lengths of RFC 7541, appendix A. */
static const struct {
    uint8_t name, value;
} static_table[] = {
    {10, 0}, {7, 3},  {7, 4},  {5, 1},  {5, 11}, {7, 4},  {7, 5},   {7, 3},  {7, 3},
    {7, 3},  {7, 3},  {7, 3},  {7, 3},  {7, 3},  {14, 0}, {15, 13}, {15, 0}, {13, 0},
    {6, 0},  {27, 0}, {3, 0},  {5, 0},  {13, 0}, {13, 0}, {19, 0},  {16, 0}, {16, 0},
    {14, 0}, {16, 0}, {13, 0}, {12, 0}, {6, 0},  {4, 0},  {4, 0},   {6, 0},  {7, 0},
    {4, 0},  {4, 0},  {8, 0},  {17, 0}, {13, 0}, {8, 0},  {19, 0},  {13, 0}, {4, 0},
    {8, 0},  {12, 0}, {18, 0}, {19, 0}, {5, 0},  {7, 0},  {7, 0},   {11, 0}, {6, 0},
    {10, 0}, {25, 0}, {17, 0}, {10, 0}, {4, 0},  {3, 0},  {16, 0},
};
enum {
    STATIC_N = TB_COUNT(static_table),
    ENTRY_OVERHEAD = 32,
    STATIC_AUTHORITY = 1,
    STATIC_METHOD = 3,
    STATIC_PATH = 4,
    STATIC_AUTHORIZATION = 23,
    STATIC_LENGTH = 28,
    STATIC_HOST = 38,
    STATIC_TRANSFER_ENCODING = 57,
    STATIC_LARGEST_BYTES = 60, /* accept-encoding: gzip, deflate */
    INTEGER_OCTETS = 4,        /* behind the prefix, as in the decoder: below 2^28 */
};
_Static_assert(STATIC_N == 61, "RFC 7541 appendix A has 61 entries");

/* The Huffman code is canonical, so its shape alone tells where a symbol ends: codes of `bits` bits
 * are those whose first 32 bits, read as a number, are below `below` (RFC 7541, appendix B). */
static const struct {
    uint64_t below;
    uint8_t bits;
} huffman_lengths[] = {
    {0x50000000, 5},   {0xb8000000, 6},  {0xf8000000, 7},  {0xfe000000, 8},  {0xff400000, 10},
    {0xffa00000, 11},  {0xffc00000, 12}, {0xfff00000, 13}, {0xfff80000, 14}, {0xfffe0000, 15},
    {0xfffe6000, 19},  {0xfffee000, 20}, {0xffff4800, 21}, {0xffffb000, 22}, {0xffffea00, 23},
    {0xfffff600, 24},  {0xfffff800, 25}, {0xfffffbc0, 26}, {0xfffffe20, 27}, {0xfffffff0, 28},
    {0x100000000, 30},
};

enum { LONGEST_CODE_BITS = 30 };

struct walk {
    const uint8_t *from, *at, *end;
    bool exact;
    unsigned fresh, lengths;
    size_t token_at;
    const h2o_hpack_header_table_t *table;
    size_t old_n; /* entries of the table that are still there */
    size_t size, capacity;
    size_t new_from, new_n;
    struct field_size new_entries[TB_GUARD_HPACK_FIELDS];
};

/* RFC 7541 5.1. Negative when it does not end or is too long. */
static int32_t read_integer(struct walk *w, unsigned prefix_bits)
{
    int32_t mask = (1 << prefix_bits) - 1;
    if (w->at == w->end)
        return -1;
    int32_t value = *w->at++ & mask;
    if (value != mask)
        return value;
    for (unsigned i = 0; i < INTEGER_OCTETS; i++) {
        if (w->at == w->end)
            return -1;
        uint8_t octet = *w->at++;
        value += (octet & 127) << (7 * i);
        if ((octet & 128) == 0)
            return value;
    }
    return -1;
}

static unsigned symbol_bits(uint32_t window)
{
    size_t i = 0;
    while (window >= huffman_lengths[i].below)
        i++;
    return huffman_lengths[i].bits;
}

/* Bits of the code that begins with `octet`, which is less than 0xfe: then it has no more than
 * eight, and no branch has to be guessed. Most characters of a token are such. */
static unsigned short_symbol_bits(uint8_t octet)
{
    return 5u + (octet >= 0x50) + (octet >= 0xb8) + (octet >= 0xf8);
}

/* Symbols in a Huffman string; negative for a code that ends in the middle, padding of 8 bits or
 * more, or the end-of-string symbol. */
static int32_t count_symbols(const uint8_t *src, size_t len)
{
    uint64_t window = 0; /* the next bits, left-aligned, ones behind the end */
    unsigned held = 0;
    size_t read = 0;
    int32_t symbols = 0;
    for (;;) {
        while (held <= 56 && read < len) {
            window |= (uint64_t)src[read++] << (56 - held);
            held += 8;
        }
        for (; held >= 8 && window >> 56 < 0xfe; symbols++) {
            unsigned bits = short_symbol_bits((uint8_t)(window >> 56));
            window <<= bits;
            held -= bits;
        }
        if (held < LONGEST_CODE_BITS && read < len)
            continue;
        uint64_t padded = held < 64 ? window | (UINT64_MAX >> held) : window;
        unsigned bits = symbol_bits((uint32_t)(padded >> 32));
        if (bits > held)
            return held < 8 && padded == UINT64_MAX ? symbols : -1;
        if ((uint32_t)(padded >> 34) == 0x3fffffff)
            return -1;
        window <<= bits;
        held -= bits;
        symbols++;
    }
}

/* Length of a string literal when decoded, or the most it can be. Negative when broken. */
static int32_t read_string(struct walk *w, bool exact)
{
    if (w->at == w->end)
        return -1;
    bool huffman = (*w->at & 0x80) != 0;
    int32_t len = read_integer(w, 7);
    if (len < 0 || len > w->end - w->at)
        return -1;
    const uint8_t *src = w->at;
    w->at += len;
    if (!huffman)
        return len;
    return exact ? count_symbols(src, (size_t)len) : len * 8 / 5;
}

/* `index` counts from the newest entry and is less than their number. */
static const h2o_hpack_header_table_entry_t *table_entry(const h2o_hpack_header_table_t *t,
                                                         size_t index)
{
    size_t at = t->entry_start_index + index;
    return &t->entries[at < t->entry_capacity ? at : at - t->entry_capacity];
}

static void evict_oldest(struct walk *w)
{
    if (w->old_n != 0) {
        const h2o_hpack_header_table_entry_t *e = table_entry(w->table, --w->old_n);
        w->size -= e->name->len + e->value->len + ENTRY_OVERHEAD;
    } else {
        struct field_size f = w->new_entries[w->new_from++];
        w->size -= f.name + f.value + ENTRY_OVERHEAD;
    }
}

static void add_entry(struct walk *w, struct field_size f)
{
    size_t bytes = (size_t)f.name + f.value + ENTRY_OVERHEAD;
    while (w->size != 0 && w->size + bytes > w->capacity)
        evict_oldest(w);
    if (bytes > w->capacity)
        return;
    w->size += bytes;
    w->new_entries[w->new_n++] = f;
}

static bool find_entry(const struct walk *w, size_t index, struct field_size *out)
{
    if (index <= STATIC_N) {
        *out = (struct field_size){static_table[index - 1].name, static_table[index - 1].value};
        return true;
    }
    index -= STATIC_N + 1;
    size_t fresh = w->new_n - w->new_from;
    if (index < fresh) {
        *out = w->new_entries[w->new_n - 1 - index];
        return true;
    }
    index -= fresh;
    if (index >= w->old_n)
        return false;
    const h2o_hpack_header_table_entry_t *e = table_entry(w->table, index);
    *out = (struct field_size){(uint32_t)e->name->len, (uint32_t)e->value->len};
    return true;
}

/* What a literal makes fresh, by the index of its name. One that came in full, or stands in the
 * dynamic table, may be any. */
static unsigned fresh_by_name(int32_t index)
{
    if (index == STATIC_PATH)
        return 0;
    if (index == STATIC_HOST || index == STATIC_TRANSFER_ENCODING)
        return GUARD_FRESH_FIELDS | GUARD_FRESH_NAME;
    if (index == 0)
        return GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS | GUARD_FRESH_NAME;
    if (index > STATIC_METHOD && index <= STATIC_N)
        return GUARD_FRESH_FIELDS;
    return index > 0 && index <= STATIC_METHOD ? GUARD_FRESH_NAMES
                                               : GUARD_FRESH_NAMES | GUARD_FRESH_FIELDS;
}

/* Names that were found to be ordinary, by a hash of their octets; two on one place displace each
 * other, which costs another look. */
enum { KNOWN_NAMES = 64, KNOWN_NAME_BYTES = 31 };

static struct known_name {
    uint8_t n; /* 0: none */
    uint8_t coded[KNOWN_NAME_BYTES];
} known_names[KNOWN_NAMES];

static struct known_name *known_name(const uint8_t *coded, size_t n)
{
    return &known_names[tb_hash_fold(tb_hash(coded, n)) % KNOWN_NAMES];
}

static bool knows_name(const uint8_t *coded, size_t n)
{
    if (n > KNOWN_NAME_BYTES)
        return false;
    const struct known_name *known = known_name(coded, n);
    return known->n == n && memcmp(known->coded, coded, n) == 0;
}

void tb_guard_hpack_learn_name(const uint8_t *coded, size_t n)
{
    if (n == 0 || n > KNOWN_NAME_BYTES)
        return;
    struct known_name *known = known_name(coded, n);
    known->n = (uint8_t)n;
    memcpy(known->coded, coded, n);
}

/* One field that carries its value, its name by index or in full. */
static bool read_literal(struct walk *w, unsigned prefix_bits, struct field_size *out)
{
    /* What enters the table must be exact, or later references would resolve differently. */
    bool indexing = prefix_bits == 6, exact = w->exact || indexing;
    int32_t index = read_integer(w, prefix_bits);
    if (index < 0)
        return false;
    unsigned fresh = fresh_by_name(index);
    if (index == STATIC_LENGTH && (indexing || ++w->lengths > 1))
        fresh |= GUARD_FRESH_NAME;
    if (index > 0) {
        if (!find_entry(w, (size_t)index, out))
            return false;
    } else {
        const uint8_t *coded = w->at;
        int32_t name = read_string(w, exact);
        if (name <= 0)
            return false;
        if (knows_name(coded, (size_t)(w->at - coded)))
            fresh &= ~(unsigned)GUARD_FRESH_NAME;
        out->name = (uint32_t)name;
    }
    w->fresh |= fresh;
    if (index == STATIC_AUTHORIZATION)
        w->token_at = (size_t)(w->at - w->from);
    int32_t value = read_string(w, exact);
    if (value < 0)
        return false;
    out->value = (uint32_t)value;
    if (indexing)
        add_entry(w, *out);
    return true;
}

/* Size of the field that a reference stands for; 0 when there is none. */
static uint32_t reference_size(struct walk *w, int32_t index)
{
    struct field_size f;
    if (index <= STATIC_AUTHORITY) {
        w->fresh |= GUARD_FRESH_NAMES;
        return index == STATIC_AUTHORITY ? static_table[0].name + ENTRY_OVERHEAD : 0;
    }
    return find_entry(w, (size_t)index, &f) ? f.name + f.value + ENTRY_OVERHEAD : 0;
}

/* Size of the field at w->at; 0 when it is broken. */
static uint32_t read_field(struct walk *w)
{
    struct field_size f;
    uint8_t first = *w->at;
    if (first & 0x80)
        return reference_size(w, read_integer(w, 7));
    if ((first & 0xe0) == 0x20 || !read_literal(w, first & 0x40 ? 6 : 4, &f))
        return 0;
    return f.name + f.value + ENTRY_OVERHEAD;
}

static bool resize_table(struct walk *w)
{
    int32_t capacity = read_integer(w, 5);
    if (capacity < 0 || (size_t)capacity > w->table->hpack_max_capacity)
        return false;
    w->capacity = (size_t)capacity;
    while (w->size > w->capacity)
        evict_oldest(w);
    return true;
}

/* The table size updates before the first field, which must follow. */
static bool read_updates(struct walk *w)
{
    while (w->at != w->end && (*w->at & 0xe0) == 0x20)
        if (!resize_table(w) || w->at == w->end)
            return false;
    return true;
}

static enum guard_hpack_verdict measure(struct walk *w, struct guard_hpack_limits limits,
                                        struct guard_hpack_size *out_size)
{
    if (!read_updates(w))
        return GUARD_HPACK_BROKEN;
    for (uint32_t size; w->at != w->end; out_size->bytes += size) {
        if (out_size->bytes > limits.bytes)
            return GUARD_HPACK_TOO_LARGE;
        if (out_size->fields++ == limits.fields)
            return GUARD_HPACK_TOO_MANY;
        if ((size = read_field(w)) == 0)
            return GUARD_HPACK_BROKEN;
    }
    out_size->fresh = w->fresh;
    out_size->token_at = w->token_at;
    return out_size->bytes > limits.bytes ? GUARD_HPACK_TOO_LARGE : GUARD_HPACK_FITS;
}

/* The struct is not initialised as a whole: new_entries is large and written before it is read. */
static void begin_walk(struct walk *w, const h2o_hpack_header_table_t *table, const uint8_t *src,
                       size_t len, bool exact)
{
    w->from = w->at = src;
    w->end = src + len;
    w->exact = exact;
    w->fresh = w->lengths = 0;
    w->token_at = 0;
    w->table = table;
    w->old_n = table->num_entries;
    w->size = table->hpack_size;
    w->capacity = table->hpack_capacity;
    w->new_from = w->new_n = 0;
}

enum guard_hpack_verdict tb_guard_hpack_measure(const h2o_hpack_header_table_t *table,
                                                const uint8_t *src, size_t len,
                                                struct guard_hpack_limits limits, bool exact,
                                                struct guard_hpack_size *out_size)
{
    struct walk w;
    enum guard_hpack_verdict verdict;
    for (;; exact = true) {
        *out_size = (struct guard_hpack_size){0};
        begin_walk(&w, table, src, len, exact);
        verdict = measure(&w, limits, out_size);
        if (exact || verdict != GUARD_HPACK_TOO_LARGE)
            return verdict;
    }
}

size_t tb_guard_hpack_piece(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                            struct guard_hpack_limits limits, struct guard_hpack_size *out_size)
{
    struct walk w;
    begin_walk(&w, table, src, len, true);
    *out_size = (struct guard_hpack_size){0};
    if (!read_updates(&w))
        return 0;
    while (w.at != w.end && out_size->fields < limits.fields) {
        const uint8_t *field = w.at;
        uint32_t size = read_field(&w);
        if (size == 0)
            return 0;
        if (out_size->fields != 0 && out_size->bytes + size > limits.bytes)
            return (size_t)(field - src);
        out_size->fields++;
        out_size->bytes += size;
    }
    return (size_t)(w.at - src);
}

static enum guard_hpack_name name_of_index(const struct walk *w, size_t index)
{
    if (index <= STATIC_N)
        return index == STATIC_HOST     ? GUARD_NAME_HOST
               : index == STATIC_LENGTH ? GUARD_NAME_LENGTH
                                        : GUARD_NAME_OTHER;
    const h2o_iovec_t *name = table_entry(w->table, index - STATIC_N - 1)->name;
    if (h2o_memis(name->base, name->len, H2O_STRLIT("host")))
        return GUARD_NAME_HOST;
    return h2o_memis(name->base, name->len, H2O_STRLIT("content-length")) ? GUARD_NAME_LENGTH
                                                                          : GUARD_NAME_OTHER;
}

/* A name in full, as it is or in the one Huffman coding that it has. */
static enum guard_hpack_name name_of_literal(const uint8_t *at, size_t n)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum guard_hpack_name name;
    } known[] = {
        {H2O_STRLIT("\x04host"), GUARD_NAME_HOST},
        {H2O_STRLIT("\x83\x9c\xe8\x4f"), GUARD_NAME_HOST},
        {H2O_STRLIT("\x0e"
                    "content-length"),
         GUARD_NAME_LENGTH},
        {H2O_STRLIT("\x8a\x21\xea\x49\x6a\x4a\xd4\x16\xa9\x93\x3f"), GUARD_NAME_LENGTH},
    };
    for (size_t i = 0; i < TB_COUNT(known); i++)
        if (h2o_memis(at, n, known[i].bytes, known[i].n))
            return known[i].name;
    return GUARD_NAME_OTHER;
}

bool tb_guard_hpack_field(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                          struct guard_hpack_field *out)
{
    struct walk whole, part;
    *out = (struct guard_hpack_field){0};
    begin_walk(&whole, table, src, len, true);
    if (!read_updates(&whole) || whole.at == whole.end)
        return false;
    part.from = part.at = whole.at;
    part.end = whole.end;
    part.table = table;
    size_t kept = whole.old_n;
    if (read_field(&whole) == 0)
        return false;
    out->n = (size_t)(whole.at - src);
    uint8_t first = *part.at;
    int32_t index = read_integer(&part, first & 0x80 ? 7 : first & 0x40 ? 6 : 4);
    out->indexing = (first & 0xc0) == 0x40;
    if (index > STATIC_N && (size_t)index - STATIC_N > kept)
        return false;
    if (index > 0) {
        out->name = name_of_index(&part, (size_t)index);
    } else {
        const uint8_t *name = part.at;
        (void)read_string(&part, false);
        out->name = name_of_literal(name, (size_t)(part.at - name));
        if (out->name == GUARD_NAME_OTHER) {
            out->name_at = (size_t)(name - src);
            out->name_n = (size_t)(part.at - name);
        }
    }
    if ((first & 0x80) == 0)
        out->value_at = (size_t)(part.at - src);
    else if (index > STATIC_N)
        out->value = table_entry(table, (size_t)index - STATIC_N - 1)->value;
    return true;
}

/* Length of the string at *at, which is moved behind it; SIZE_MAX when that is not simple. */
static size_t skip_string(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    if (p == end)
        return SIZE_MAX;
    size_t len = *p++ & 0x7f;
    if (len == 0x7f) {
        if (end - p < 2 || ((p[0] & 0x80) != 0 && (p[1] & 0x80) != 0))
            return SIZE_MAX;
        len += *p & 0x7f;
        if (*p++ & 0x80)
            len += (size_t)*p++ << 7;
    }
    if (len > (size_t)(end - p))
        return SIZE_MAX;
    *at = p + len;
    return len;
}

bool tb_guard_hpack_fits(const h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                         struct guard_hpack_limits limits, struct guard_hpack_brief *out_brief)
{
    const uint8_t *at = src, *end = src + len;
    size_t fields = 0, literal_bytes = 0, token_at = 0;
    unsigned fresh = 0, lengths = 0;
    for (; at != end; fields++) {
        uint8_t first = *at++;
        if (first > (0x80 | STATIC_AUTHORITY) && first != 0xff)
            continue;
        unsigned name = first & 0x0f;
        if (first >= 0x20 || name == 0 || at == end)
            return false;
        if (name == 0x0f) {
            if (*at & 0x80)
                return false;
            name += *at++;
        }
        if (name == STATIC_AUTHORIZATION)
            token_at = (size_t)(at - src);
        size_t value = skip_string(&at, end);
        if (value == SIZE_MAX)
            return false;
        literal_bytes += value;
        lengths += name == STATIC_LENGTH;
        fresh |= fresh_by_name((int32_t)name);
    }
    if (lengths > 1)
        fresh |= GUARD_FRESH_NAME;
    *out_brief = (struct guard_hpack_brief){fresh, token_at};
    size_t largest = table->hpack_size > STATIC_LARGEST_BYTES ? table->hpack_size
                                                              : STATIC_LARGEST_BYTES;
    return fields <= limits.fields && fields * largest + 2 * literal_bytes <= limits.bytes;
}

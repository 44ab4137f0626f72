/* Both sides become 16 bytes (IPv4 as mapped IPv6) and are compared up to the prefix. */
#include "http/network.h"
#include <arpa/inet.h>
#include <string.h>

enum { ADDRESS_BYTES = 16, V4_AT = 12, TEXT_MAX = 64 };

/* The address as 16 bytes, and how many bits of them were not in the text. False when it is none.
 */
static bool parse(const char *text, unsigned char out[ADDRESS_BYTES], unsigned *out_skipped)
{
    static const unsigned char mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};
    memcpy(out, mapped, sizeof(mapped));
    *out_skipped = V4_AT * 8;
    if (inet_pton(AF_INET, text, out + V4_AT) == 1)
        return true;
    *out_skipped = 0;
    return inet_pton(AF_INET6, text, out) == 1;
}

/* The number behind the slash, at most `most`; -1 when it is none. */
static int prefix_of(const char *text, unsigned most)
{
    unsigned value = 0;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > most)
            return -1;
        value = value * 10 + (unsigned)(*text - '0');
    }
    return value <= most ? (int)value : -1;
}

bool tb_network_has(const char *network, const char *numeric)
{
    unsigned char base[ADDRESS_BYTES], address[ADDRESS_BYTES];
    char text[TEXT_MAX];
    unsigned skipped, ignored;
    size_t n = strcspn(network, "/");
    if (n >= sizeof(text))
        return false;
    memcpy(text, network, n);
    text[n] = '\0';
    if (!parse(text, base, &skipped) || !parse(numeric, address, &ignored))
        return false;
    unsigned bits = ADDRESS_BYTES * 8;
    if (network[n] == '/') {
        int prefix = prefix_of(network + n + 1, bits - skipped);
        if (prefix < 0)
            return false;
        bits = skipped + (unsigned)prefix;
    }
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(base, address, whole) != 0)
        return false;
    unsigned mask = 0xffu & (0xff00u >> rest);
    return rest == 0 || ((base[whole] ^ address[whole]) & mask) == 0;
}

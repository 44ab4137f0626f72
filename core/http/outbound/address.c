#include "http/outbound/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tongbao/types.h>

/* Blocks of IPv4 that are not the public internet. */
static const struct {
    uint32_t address;
    uint8_t bits;
} closed4[] = {
    {0x00000000, 8},  /* 0.0.0.0 "this network" */
    {0x0a000000, 8},  /* 10.0.0.0 private */
    {0x64400000, 10}, /* 100.64.0.0 shared (carrier NAT), cloud metadata among it */
    {0x7f000000, 8},  /* 127.0.0.0 loopback */
    {0xa83f8110, 32}, /* 168.63.129.16 platform channel of a cloud */
    {0xa9fe0000, 16}, /* 169.254.0.0 link-local, cloud metadata among it */
    {0xac100000, 12}, /* 172.16.0.0 private */
    {0xc0000000, 24}, /* 192.0.0.0 protocol assignments */
    {0xc0000200, 24}, /* 192.0.2.0 documentation */
    {0xc0586300, 24}, /* 192.88.99.0 6to4 relays */
    {0xc0a80000, 16}, /* 192.168.0.0 private */
    {0xc6120000, 15}, /* 198.18.0.0 benchmarks */
    {0xc6336400, 24}, /* 198.51.100.0 documentation */
    {0xcb007100, 24}, /* 203.0.113.0 documentation */
    {0xe0000000, 3},  /* 224.0.0.0 multicast, reserved, broadcast */
};

/* Blocks within 2000::/3, the only part of IPv6 that is routed, that are not the public internet.
 */
static const struct {
    uint8_t address[6];
    uint8_t bits;
} closed6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* 2001::/23 protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* 2001:db8::/32 documentation */
    {{0x3f, 0xff, 0x00}, 20},       /* 3fff::/20 documentation */
    {{0x3f, 0xfe}, 16},             /* 3ffe::/16 the former 6bone */
};

static bool public4(uint32_t address)
{
    for (size_t i = 0; i < TB_COUNT(closed4); i++)
        if (((address ^ closed4[i].address) >> (32 - closed4[i].bits)) == 0)
            return false;
    return true;
}

static uint32_t embedded4(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool within6(const uint8_t *address, const uint8_t *block, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address, block, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ block[whole]) >> (8 - rest)) == 0;
}

static bool public6(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const uint8_t isatap[4] = {0x00, 0x00, 0x5e, 0xfe};

    if (memcmp(address, mapped, 12) == 0 || memcmp(address, nat64, 12) == 0)
        return public4(embedded4(address + 12));
    if ((address[0] & 0xe0) != 0x20)
        return false;
    for (size_t i = 0; i < TB_COUNT(closed6); i++)
        if (within6(address, closed6[i].address, closed6[i].bits))
            return false;
    if (address[0] == 0x20 && address[1] == 0x02 && !public4(embedded4(address + 2))) /* 6to4 */
        return false;
    /* ISATAP's interface id; the bit says whether the IPv4 address is globally unique */
    uint8_t id[4] = {address[8] & 0xfd, address[9], address[10], address[11]};
    return memcmp(id, isatap, 4) != 0 || public4(embedded4(address + 12));
}

bool tb_sockaddr_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return public4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return public6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return false;
}

bool tb_address_public(const char *numeric)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, numeric, &four) == 1)
        return public4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, numeric, &six) == 1)
        return public6(six.s6_addr);
    return false;
}

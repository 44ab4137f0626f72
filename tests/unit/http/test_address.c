/* Which addresses a partner may make us call, in every form they can be written. */
#include "../unit.h"

#include "http/outbound/address.h"
#include <tongbao/types.h>

static const char *const open[] = {
    "1.1.1.1",        "8.8.8.8",         "9.255.255.255",      "11.0.0.0",
    "100.63.255.255", "100.128.0.0",     "126.255.255.255",    "128.0.0.1",
    "168.63.129.15",  "168.63.129.17",   "169.253.255.255",    "169.255.0.0",
    "172.15.255.255", "172.32.0.0",      "191.255.255.255",    "192.0.1.0",
    "192.0.3.0",      "192.88.98.255",   "192.167.255.255",    "192.169.0.0",
    "198.17.255.255", "198.20.0.0",      "198.51.99.255",      "203.0.112.255",
    "203.0.114.0",    "223.255.255.255", "2606:4700::1111",    "2a00:1450:4001::200e",
    "2001:200::1",    "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8",   "2002:808:808::1",
    "3ffd::1",        "3fff:1000::1",    "2600::5efe:808:808", "2001:db7::1",
};

static const char *const closed[] = {
    /* this network, private, shared, loopback, link-local */
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "168.63.129.16",
    /* assignments, documentation, relays, benchmarks */
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    /* multicast, reserved, broadcast */
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    /* IPv6: unspecified, loopback, compatible, local, multicast, discard, unassigned */
    "::",
    "::1",
    "::8.8.8.8",
    "::127.0.0.1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "4000::1",
    "5f00::1",
    "1fff::1",
    /* documentation, assignments, Teredo */
    "2001:db8::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:1ff::1",
    "3fff::1",
    "3fff:fff::1",
    "3ffe::1",
    /* a closed IPv4 address inside */
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b::1:8.8.8.8",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "2002:c0a8:1::1",
    "2600::5efe:10.0.0.1",
    "2600::200:5efe:a9fe:a9fe",
    /* not canonical, not an address */
    "",
    "127.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "010.8.8.8",
    "8.8.8",
    "8.8.8.8.",
    " 8.8.8.8",
    "8.8.8.8 ",
    "8.8.8.8:80",
    "08.8.8.8",
    "[2606:4700::1]",
    "2606:4700::1%eth0",
    "fe80::1%1",
    "::ffff:0x7f.1",
    "localhost",
    "1e1.1.1.1",
};

static void tells_open_from_closed_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < TB_COUNT(open); i++)
        if (!tb_address_public(open[i]))
            fail_msg("%s is refused", open[i]);
    for (size_t i = 0; i < TB_COUNT(closed); i++)
        if (tb_address_public(closed[i]))
            fail_msg("%s is allowed", closed[i]);
}

static void refuses_other_families(void **state)
{
    (void)state;
    const struct sockaddr unix_address = {.sa_family = AF_UNIX};
    assert_false(tb_sockaddr_public(&unix_address));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tells_open_from_closed_addresses),
    cmocka_unit_test(refuses_other_families),
};
TEST_GROUP(tests, NULL, NULL);

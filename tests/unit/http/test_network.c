/* Allow lists: which address lies in which network. */
#include "../unit.h"

#include "http/network.h"
#include <tongbao/types.h>

static void finds_addresses_in_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool in;
    } cases[] = {
        {"127.0.0.1/32", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.0/8", "127.255.0.9", true},
        {"10.0.0.0/9", "10.127.1.1", true},
        {"10.0.0.0/9", "10.128.1.1", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::1/128", "::1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"127.0.0.1/32", "::ffff:127.0.0.1", true},
        {"10.0.0.0/33", "10.0.0.1", false},
        {"10.0.0.0/", "10.0.0.1", false},
        {"10.0.0.0/-1", "10.0.0.1", false},
        {"10.0.0.0/8x", "10.0.0.1", false},
        {"10.0.0.0/99999999999999", "10.0.0.1", false},
        {"nowhere/8", "10.0.0.1", false},
        {"10.0.0.0/8", "", false},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++)
        if (tb_network_has(cases[i].network, cases[i].address) != cases[i].in)
            fail_msg("%s in %s", cases[i].address, cases[i].network);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(finds_addresses_in_networks)};
TEST_GROUP(tests, NULL, NULL);

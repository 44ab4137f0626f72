/* The products whose details and scopes the tests speak of: accounts, and e-payment as it is
 * shipped. */
#ifndef TB_TESTS_PRODUCTS_H
#define TB_TESTS_PRODUCTS_H

#include "ledger/accounts.h"
#include "product/registry.h"
#include <stdio.h>
#include <stdlib.h>

/** To be freed with tb_registry_free. */
static inline struct tb_registry *products_open(void)
{
    struct tb_registry *registry = tb_registry_new(TB_SOURCE_DIR "/schemas");
    const char *why = NULL;
    if (tb_registry_add(registry, &tb_accounts_product, &why) &&
        tb_registry_open(registry, TB_BINARY_DIR "/plugins/e_payment.so", &why))
        return registry;
    fprintf(stderr, "%s\n", why);
    abort();
}

#endif

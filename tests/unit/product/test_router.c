/* The router: which operation a method and a path lead to. */
#include "../unit.h"

#include "base/id.h"
#include "product/router.h"

static tb_err nothing(struct tb_req *req)
{
    (void)req;
    return NULL;
}

#define ROUTE(m, p)                                                                                \
    {                                                                                              \
        .method = (m), .path = (p), .handler = nothing                                             \
    }

static const struct tb_route routes[] = {
    ROUTE("GET", "/e-payment/v1/payments"),
    ROUTE("POST", "/e-payment/v1/payments"),
    ROUTE("GET", "/e-payment/v1/payments/{payment_id:pay}"),
    ROUTE("GET", "/e-payment/v1/payments/stats"),
    ROUTE("POST", "/e-payment/v1/payments/{payment_id:pay}/refunds"),
    ROUTE("GET", "/notes/v1/{any}/x"),
    ROUTE("GET", "/healthz"),
};

static struct tb_router *filled(struct tb_operation operations[TB_COUNT(routes)])
{
    struct tb_router *router = tb_router_new();
    for (size_t i = 0; i < TB_COUNT(routes); i++) {
        operations[i] = (struct tb_operation){.route = &routes[i], .index = (uint32_t)i};
        assert_null(tb_router_add(router, &operations[i]));
    }
    return router;
}

/* A failure takes its shape from them, also where the method is not known. */
static void tells_the_flags_of_an_operation_and_of_a_path(void **state)
{
    (void)state;
    static const struct tb_route flagged[] = {
        {.method = "GET", .path = "/a", .handler = nothing, .flags = TB_R_HTML},
        {.method = "POST", .path = "/a", .handler = nothing, .flags = TB_R_RAW},
        {.method = "GET", .path = "/b", .handler = nothing},
    };
    static const struct {
        const char *method, *path;
        uint32_t flags;
    } cases[] = {
        {"GET", "/a", TB_R_HTML},
        {"POST", "/a", TB_R_RAW},
        {"PUT", "/a", TB_R_HTML | TB_R_RAW},
        {"PUT", "/b", 0},
    };
    struct tb_operation operations[TB_COUNT(flagged)];
    struct tb_router *router = tb_router_new();
    for (size_t i = 0; i < TB_COUNT(flagged); i++) {
        operations[i] = (struct tb_operation){.route = &flagged[i]};
        assert_null(tb_router_add(router, &operations[i]));
    }
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_match match;
        assert_true(tb_router_find(router, tb_str(cases[i].method), tb_str(cases[i].path), &match));
        assert_int_equal(match.flags, cases[i].flags);
    }
    tb_router_free(router);
}

static void finds_operations_and_tells_404_from_405(void **state)
{
    (void)state;
    struct tb_operation operations[TB_COUNT(routes)];
    struct tb_router *router = filled(operations);
    char id[TB_ID_ROOM], path[128], other[TB_ID_ROOM];
    tb_id_make(id, "pay", 7, 1768464000000);
    tb_id_make(other, "acc", 7, 1768464000000);
    static const struct {
        const char *method, *path;
        int operation; /* -1: 404, -2: 405 */
    } cases[] = {
        {"GET", "/e-payment/v1/payments", 0},
        {"POST", "/e-payment/v1/payments", 1},
        {"DELETE", "/e-payment/v1/payments", -2},
        {"get", "/e-payment/v1/payments", -2},
        {"GET", "/e-payment/v1/payments/stats", 3},
        {"GET", "/e-payment/v1/payments/%s", 2},
        {"POST", "/e-payment/v1/payments/%s", -2},
        {"POST", "/e-payment/v1/payments/%s/refunds", 4},
        {"GET", "/e-payment/v1/payments/%s/", -1},
        {"GET", "/e-payment/v1/payments/", -1},
        {"GET", "/e-payment/v1/payments/pay_1/nothing", -1},
        {"GET", "/e-payment/v1", -1},
        {"GET", "/", -1},
        {"GET", "", -1},
        {"GET", "//healthz", -1},
        {"GET", "/healthz", 6},
        {"HEAD", "/healthz", 6},
        {"GET", "/healthz/", -1},
        {"GET", "/notes/v1/anything at all/x", 5},
        {"GET", "/notes/v1//x", -1},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        struct tb_match match;
        snprintf(path, sizeof(path), cases[i].path, id);
        bool known = tb_router_find(router, tb_str(cases[i].method), tb_str(path), &match);
        assert_int_equal(known, cases[i].operation != -1);
        if (cases[i].operation >= 0)
            assert_ptr_equal(match.operation, &operations[cases[i].operation]);
        else if (cases[i].operation == -2)
            assert_null(match.operation);
    }
    tb_router_free(router);
}

/* What is no id of its type leads to the operation all the same, which says so. */
static void names_a_parameter_that_is_no_id_of_its_type(void **state)
{
    (void)state;
    struct tb_operation operations[TB_COUNT(routes)];
    struct tb_router *router = filled(operations);
    struct tb_match match;
    char id[TB_ID_ROOM], path[128];
    tb_id_make(id, "pay", 7, 1768464000000);
    snprintf(path, sizeof(path), "/e-payment/v1/payments/%s", id);
    assert_true(tb_router_find(router, TB_STR("GET"), tb_str(path), &match));
    assert_null(match.wrong);
    assert_true(tb_router_find(router, TB_STR("POST"),
                               TB_STR("/e-payment/v1/payments/acc_1/refunds"), &match));
    assert_ptr_equal(match.operation, &operations[4]);
    assert_string_equal(match.wrong, "payment_id");
    assert_string_equal(match.wrong_prefix, "pay");
    assert_int_equal(match.params_n, 1);
    assert_true(tb_str_eq(match.params[0].value, TB_STR("acc_1")));
    assert_true(tb_router_find(router, TB_STR("GET"), TB_STR("/notes/v1/1/x"), &match));
    assert_null(match.wrong);
    tb_router_free(router);
}

static void gives_the_parameters_and_the_methods_allowed(void **state)
{
    (void)state;
    struct tb_operation operations[TB_COUNT(routes)];
    struct tb_router *router = filled(operations);
    char id[TB_ID_ROOM], path[128];
    struct tb_match match;
    tb_id_make(id, "pay", 7, 1768464000000);
    snprintf(path, sizeof(path), "/e-payment/v1/payments/%s/refunds", id);
    assert_true(tb_router_find(router, TB_STR("POST"), tb_str(path), &match));
    assert_int_equal(match.params_n, 1);
    assert_string_equal(match.params[0].name, "payment_id");
    assert_true(tb_str_eq(match.params[0].value, tb_str(id)));
    assert_string_equal(match.operation->key, "POST /e-payment/v1/payments/{payment_id}/refunds");
    assert_true(match.operation->writes);
    assert_true(tb_router_find(router, TB_STR("PUT"), TB_STR("/e-payment/v1/payments"), &match));
    assert_string_equal(match.allow, "GET, HEAD, POST");
    tb_router_free(router);
}

static void refuses_routes_that_cannot_be_served(void **state)
{
    (void)state;
    static const struct tb_route bad[] = {
        ROUTE("FETCH", "/x/v1/y"),
        ROUTE("GET", "x/v1/y"),
        ROUTE("GET", "/x//y"),
        ROUTE("GET", "/x/"),
        ROUTE("GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}"),
        ROUTE("GET", "/healthz"),
    };
    struct tb_operation operations[TB_COUNT(routes)];
    struct tb_router *router = filled(operations);
    for (size_t i = 0; i < TB_COUNT(bad); i++) {
        struct tb_operation operation = {.route = &bad[i]};
        assert_non_null(tb_router_add(router, &operation));
    }
    tb_router_free(router);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(finds_operations_and_tells_404_from_405),
    cmocka_unit_test(tells_the_flags_of_an_operation_and_of_a_path),
    cmocka_unit_test(names_a_parameter_that_is_no_id_of_its_type),
    cmocka_unit_test(gives_the_parameters_and_the_methods_allowed),
    cmocka_unit_test(refuses_routes_that_cannot_be_served),
};
TEST_GROUP(tests, NULL, NULL);

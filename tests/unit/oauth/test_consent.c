/* The stage that holds a customer's token against its consent: what passes unasked, what is asked
 * of the books, and what their answer becomes. */
#include "../unit.h"

#include "consent/consent.h"
#include <string.h>
#include <tongbao/fake.h>

static struct tb_fake fake;
static struct tb_str answer;

#define DETAILS "[{\"type\":\"account_information\",\"accounts\":[\"acc_1\"]}]"

static const struct tb_consent_use READING = {
    .operation = {"GET /x/v1/x", 11},
    .types = "account_information",
    .account = {"acc_1", 5},
    .request = {"req", 3},
};

static struct tb_grant grant_of(const char *family, const char *consent)
{
    return (struct tb_grant){
        .app = TB_STR("app_fake"), .family = tb_str(family), .consent = tb_str(consent), .book = 7};
}

static struct tb_req *ask(const char *code)
{
    struct tb_req *req = tb_fake_begin(&fake);
    answer = tb_str(code);
    fake.rows = (struct tb_rows){.n = 1, .columns = 1, .cells = &answer};
    return req;
}

static void lets_the_apps_own_token_pass_unasked(void **state)
{
    (void)state;
    struct tb_grant own = grant_of(NULL, NULL);
    struct tb_consent_use closed = {.operation = TB_STR("GET /x"), .types = NULL};
    assert_null(tb_consent_stage(ask("consent_revoked"), &own, &READING));
    assert_null(tb_consent_stage(&fake.req, &own, &closed));
    assert_null(fake.sql);
    tb_fake_end(&fake);
}

static void refuses_a_customers_token_where_no_consent_opens(void **state)
{
    (void)state;
    struct tb_grant without = grant_of("grn_1", NULL), with = grant_of("grn_1", "cns_1");
    struct tb_consent_use closed = {.operation = TB_STR("GET /x"), .types = NULL};
    struct tb_consent_use closed_write = {.types = NULL, .writes = true};
    assert_true(tb_is(tb_consent_stage(ask(NULL), &without, &READING), TB_E_CONSENT_MISMATCH));
    assert_true(tb_is(tb_consent_stage(&fake.req, &with, &closed), TB_E_CONSENT_MISMATCH));
    assert_true(tb_is(tb_consent_stage(&fake.req, &with, &closed_write), TB_E_CONSENT_MISMATCH));
    assert_null(fake.sql);
    tb_fake_end(&fake);
}

static void leaves_what_writes_to_the_transaction_of_its_effect(void **state)
{
    (void)state;
    struct tb_grant grant = grant_of("grn_1", "cns_1");
    struct tb_consent_use pay = {.types = "payment|mandate", .writes = true};
    assert_null(tb_consent_stage(ask("consent_consumed"), &grant, &pay));
    assert_null(fake.sql);
    tb_fake_end(&fake);
}

/* Also under a consent that waits for others or is used up; not under one that has ended. */
static void tells_who_the_customer_is_until_the_consent_ends(void **state)
{
    (void)state;
    struct tb_grant without = grant_of("grn_1", NULL), with = grant_of("grn_1", "cns_1");
    struct tb_consent_use who = {.operation = TB_STR("GET /x"), .types = NULL, .any = true};
    static const struct {
        const char *code;
        tb_err err;
    } cases[] = {
        {NULL, NULL},
        {"consent_pending", NULL},
        {"consent_consumed", NULL},
        {"consent_revoked", TB_E_CONSENT_REVOKED},
        {"consent_expired", TB_E_CONSENT_EXPIRED},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        tb_err err = tb_consent_stage(ask(cases[i].code), &with, &who);
        assert_true(cases[i].err == NULL ? err == NULL : tb_is(err, cases[i].err));
        tb_fake_end(&fake);
    }
    assert_null(tb_consent_stage(ask("consent_revoked"), &without, &who));
    tb_fake_end(&fake);
}

static void asks_with_all_that_a_receipt_says(void **state)
{
    (void)state;
    struct tb_grant grant = grant_of("grn_1", "cns_1");
    grant.details = TB_STR(DETAILS);
    assert_null(tb_consent_stage(ask(NULL), &grant, &READING));
    const char *texts[] = {
        NULL,    "cns_1", DETAILS, "app_fake", NULL, "GET /x/v1/x", "account_information",
        "acc_1", "req"};
    assert_int_equal(fake.params_n, 10);
    assert_int_equal(fake.params[0].integer, 7);
    for (size_t i = 0; i < TB_COUNT(texts); i++)
        if (texts[i] != NULL)
            assert_true(tb_str_eq(fake.params[i].text, tb_str(texts[i])));
    assert_memory_equal(fake.params[4].text.at, "rct_", 4);
    assert_int_equal(fake.params[9].kind, TB_PARAM_TIME);
    assert_true(fake.params[9].integer == fake.now_ms);
    tb_fake_end(&fake);
}

static void turns_each_refusal_into_its_error(void **state)
{
    (void)state;
    const tb_err errors[] = {TB_E_CONSENT_REVOKED,  TB_E_CONSENT_EXPIRED, TB_E_CONSENT_PENDING,
                             TB_E_CONSENT_MISMATCH, TB_E_CONSENT_LIMIT,   TB_E_NOT_FOUND};
    struct tb_grant grant = grant_of("grn_1", "cns_1");
    for (size_t i = 0; i < TB_COUNT(errors); i++) {
        assert_true(tb_is(tb_consent_stage(ask(errors[i]->code), &grant, &READING), errors[i]));
        assert_true(strlen(fake.detail) > 0);
        tb_fake_end(&fake);
    }
    assert_true(tb_is(tb_consent_stage(ask("odd"), &grant, &READING), TB_E_INTERNAL));
    tb_fake_end(&fake);
}

static void fails_closed_when_the_books_do_not_answer(void **state)
{
    (void)state;
    struct tb_grant grant = grant_of("grn_1", "cns_1");
    struct tb_req *req = ask(NULL);
    fake.store_error = TB_E_STORE;
    assert_true(tb_is(tb_consent_stage(req, &grant, &READING), TB_E_STORE));
    tb_fake_end(&fake);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lets_the_apps_own_token_pass_unasked),
    cmocka_unit_test(refuses_a_customers_token_where_no_consent_opens),
    cmocka_unit_test(tells_who_the_customer_is_until_the_consent_ends),
    cmocka_unit_test(leaves_what_writes_to_the_transaction_of_its_effect),
    cmocka_unit_test(asks_with_all_that_a_receipt_says),
    cmocka_unit_test(turns_each_refusal_into_its_error),
    cmocka_unit_test(fails_closed_when_the_books_do_not_answer),
};
TEST_GROUP(tests, NULL, NULL);

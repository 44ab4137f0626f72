/* The schemas of the tree: each compiles, accepts its own examples, and says no where it should. */
#include "../unit.h"

#include "helper.h"
#include <fts.h>
#include <stdint.h>
#include <stdio.h>

static const char directory[] = TB_SOURCE_DIR "/schemas";

static struct tb_schema *load(const char *path)
{
    char why[512];
    struct tb_schema *schema = tb_schema_load(directory, path, why, sizeof(why));
    if (schema == NULL)
        fail_msg("%s", why);
    return schema;
}

static void accepts_examples(const char *path)
{
    char full[512], found[1024];
    snprintf(full, sizeof(full), "%s/%s", directory, path);
    json_t *source = json_load_file(full, 0, NULL), *example;
    struct tb_schema *schema = load(path);
    size_t i;
    json_array_foreach(json_object_get(source, "examples"), i, example)
    {
        if (verdict(schema, example, found, sizeof(found)) != 0)
            fail_msg("%s, example %zu: %s", path, i, found);
    }
    tb_schema_free(schema);
    json_decref(source);
}

static void compiles_every_file_and_accepts_its_examples(void **state)
{
    (void)state;
    char top[] = TB_SOURCE_DIR "/schemas";
    char *roots[] = {top, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
    assert_non_null(walk);
    int files = 0;
    for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        size_t n = strlen(entry->fts_name);
        if (entry->fts_info != FTS_F || n < 5 || strcmp(entry->fts_name + n - 5, ".json") != 0)
            continue;
        accepts_examples(entry->fts_path + sizeof(directory));
        files++;
    }
    fts_close(walk);
    assert_true(files >= 15);
}

#define DEBTOR   "'debtor_account':'acc_01k9x3m6h0g00801v9r5t2n8qd'"
#define CREDITOR "'creditor_account':'acc_01k9x3m6h0g00801c4w7e3k6zj'"
#define AMOUNT   "'amount':{'amount':12345,'currency':'CNY'}"
#define PAYMENT  "'reference':'INV-1'," DEBTOR "," CREDITOR "," AMOUNT

static void judges_payments(void **state)
{
    (void)state;
    static const struct {
        const char *value, *errors;
    } cases[] = {
        {"{" PAYMENT "}", ""},
        {"{" PAYMENT ",'purpose':'货款','metadata':{'order':'A-1'}}", ""},
        {"{}", "/reference required,/debtor_account required,/creditor_account required,"
               "/amount required"},
        {"{'reference':''," DEBTOR "," CREDITOR "," AMOUNT "}", "/reference pattern"},
        {"{'reference':'a b'," DEBTOR "," CREDITOR "," AMOUNT "}", "/reference pattern"},
        {"{'reference':'a234567890123456789012345678901234567890123456789012345678901234x'," DEBTOR
         "," CREDITOR "," AMOUNT "}",
         "/reference max_length"},
        {"{'reference':1," DEBTOR ",'creditor_account':'pay_01k9x3m6h0g00801c4w7e3k6zj'," AMOUNT
         "}",
         "/reference type,/creditor_account format"},
        {"{'reference':'x'," DEBTOR "," CREDITOR ",'amount':{'amount':0,'currency':'cny'}}",
         "/amount/amount minimum,/amount/currency pattern"},
        {"{'reference':'x'," DEBTOR "," CREDITOR ",'amount':{'amount':9007199254740992}}",
         "/amount/amount maximum,/amount/currency required"},
        {"{'reference':'x'," DEBTOR "," CREDITOR ",'amount':{'amount':1.5,'currency':'CNY'}}",
         "/amount/amount type"},
        {"{'reference':'x'," DEBTOR "," CREDITOR ",'amount':12345}", "/amount type"},
        {"{" PAYMENT ",'purpose':'','note':'x'}",
         "/purpose min_length,/note additional_properties"},
        {"{" PAYMENT ",'purpose':'a\\u0007b'}", "/purpose format"},
        {"{" PAYMENT ",'purpose':'a\\u202eb'}", "/purpose format"},
        {"{" PAYMENT ",'purpose':'a\\u2028b'}", "/purpose format"},
        {"{" PAYMENT ",'metadata':{'':'x','k':1}}", "/metadata/ property_names,/metadata/k type"},
        {"{" PAYMENT ",'amount2':null}", "/amount2 additional_properties"},
        {"[]", " type"},
    };
    struct tb_schema *schema = load("e_payment/payment_create.json");
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char found[1024];
        json_t *value = json_of(cases[i].value);
        verdict(schema, value, found, sizeof(found));
        if (strcmp(found, cases[i].errors) != 0)
            fail_msg("%s: expected \"%s\", found \"%s\"", cases[i].value, cases[i].errors, found);
        json_decref(value);
    }
    tb_schema_free(schema);
}

static void limits_metadata(void **state)
{
    (void)state;
    struct tb_schema *schema = load("common/metadata.json");
    char found[1024], name[64], text[512];
    json_t *value = json_object();
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "%040d", i);
        json_object_set_new(value, name, json_string(""));
    }
    memset(text, 'a', 500);
    text[500] = '\0';
    json_object_set_new(value, name, json_string(text));
    assert_int_equal(verdict(schema, value, found, sizeof(found)), 0);

    text[500] = 'a', text[501] = '\0';
    json_object_set_new(value, name, json_string(text));
    snprintf(name, sizeof(name), "%041d", 1);
    json_object_set_new(value, name, json_string(""));
    verdict(schema, value, found, sizeof(found));
    char expected[256];
    snprintf(expected, sizeof(expected), " max_properties,/%040d max_length,/%s property_names", 49,
             name);
    assert_string_equal(found, expected);
    json_decref(value);
    tb_schema_free(schema);
}

static void judges_answers(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *value, *errors;
    } cases[] = {
        {"accounts/account.json",
         "{'id':'acc_01k9x3m6h0g00801v9r5t2n8qd','object':'account','currency':'CNY','state':'open','balances':"
         "{'ledger':{'amount':-1,'currency':'CNY'},'available':{'amount':0,'currency':'CNY'},"
         "'held':{'amount':0,'currency':'CNY'}},'added_later':1}",
         ""},
        {"accounts/accounts.json", "{'object':'list','data':[],'has_more':false}", ""},
        {"accounts/accounts.json", "{'object':'list','data':[{}],'has_more':0}",
         "/data/0/id required,/data/0/object required,/data/0/currency required,"
         "/data/0/state required,/has_more type"},
        {"e_payment/payments.json",
         "{'object':'list','data':[{'state':'failed'}],'has_more':true,'next_cursor':null}",
         "/data/0/id required,/data/0/object required,/data/0/reference required,"
         "/data/0/debtor_account required,/data/0/creditor_account required,"
         "/data/0/amount required,/data/0/refunded required,/data/0/created_at required,"
         "/data/0/updated_at required,/data/0/failure required"},
        {"e_payment/refund.json",
         "{'id':'rfd_01k9x3m6h0g00801v9r5t2n8qd','object':'refund','state':'succeeded','payment':"
         "'pay_01k9x3m6h0g00801v9r5t2n8qd','amount':{'amount':5,'currency':'KWD'},'created_at':"
         "'2026-02-28T09:30:00.000Z','updated_at':'2026-02-28T09:30:00.000Z','failure':{'code':'insufficient_funds','detail':'d'}}",
         "/failure not_allowed"},
        {"common/problem.json",
         "{'type':'https://example.com/problems/invalid_body','title':'t','status':422,"
         "'code':'invalid_body','errors':[{'pointer':'/a','code':'type','detail':'d'}]}",
         ""},
        {"common/problem.json", "{'type':'x y','title':'t','status':200,'code':'Invalid'}",
         "/type format,/status minimum,/code pattern"},
        {"example/pong.json", "{'pong':false}", "/pong const"},
    };
    for (size_t i = 0; i < TB_COUNT(cases); i++) {
        char found[1024];
        struct tb_schema *schema = load(cases[i].schema);
        json_t *value = json_of(cases[i].value);
        verdict(schema, value, found, sizeof(found));
        assert_string_equal(found, cases[i].errors);
        json_decref(value);
        tb_schema_free(schema);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(compiles_every_file_and_accepts_its_examples),
    cmocka_unit_test(judges_payments),
    cmocka_unit_test(limits_metadata),
    cmocka_unit_test(judges_answers),
};
TEST_GROUP(tests, NULL, NULL);

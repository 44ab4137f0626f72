/* Authorization details against their schemas, and then against what no schema can say: that a
 * currency exists, that times are in their order, that the limits of a mandate are about one
 * currency and each about a period of its own. */
#include "oauth/request/details.h"
#include "base/assert.h"
#include "base/json.h"
#include "base/money.h"
#include "base/text.h"
#include "base/time.h"
#include "oauth/errors.h"
#include "oauth/scope.h"
#include "runtime/run.h"
#include "schema/schema.h"
#include <stdio.h>
#include <tongbao/plugin.h>

struct type {
    const char *name;
    const char *schema; /**< file below the directory of schemas */
    const char *scope;  /**< what it implies */
    tb_err (*judge)(struct tb_req *req, const json_t *detail); /**< what the schema cannot say */
};

static tb_err fault(struct tb_req *req, const char *place, const char *what)
{
    return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "/0%s %s", place, what);
}

/* ---- what the schemas cannot say ---- */

/* An amount of `place` in an active currency. */
static tb_err judge_money(struct tb_req *req, const json_t *money, const char *place,
                          struct tb_money *out)
{
    tb_err err = tb_money_parse(money, out);
    if (tb_is(err, TB_E_UNKNOWN_CURRENCY))
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "/0%s/currency is not an active ISO 4217 code", place);
    return err == NULL ? NULL : fault(req, place, "is not an amount of money");
}

static tb_err judge_period(struct tb_req *req, const json_t *detail)
{
    struct tb_str from = tb_json_str(detail, "valid_from"), to = tb_json_str(detail, "valid_to");
    int64_t from_ms = TB_TIME_MIN, to_ms = TB_TIME_MAX;
    if (from.at != NULL && !tb_time_parse(from, &from_ms))
        return fault(req, "/valid_from", "is not a time");
    if (to.at != NULL && !tb_time_parse(to, &to_ms))
        return fault(req, "/valid_to", "is not a time");
    return from_ms < to_ms ? NULL : fault(req, "/valid_to", "must be later than valid_from");
}

static tb_err judge_payment(struct tb_req *req, const json_t *detail)
{
    struct tb_money amount;
    struct tb_str debtor = tb_json_str(detail, "debtor_account");
    TB_TRY(judge_money(req, json_object_get(detail, "amount"), "/amount", &amount));
    if (debtor.at != NULL && tb_str_eq(debtor, tb_json_str(detail, "creditor_account")))
        return fault(req, "/creditor_account", "must be another account than the debtor's");
    return NULL;
}

static bool same_period(const json_t *a, const json_t *b)
{
    return tb_str_eq(tb_json_str(a, "period_type"), tb_json_str(b, "period_type")) &&
           tb_str_eq(tb_json_str(a, "period_alignment"), tb_json_str(b, "period_alignment"));
}

static tb_err judge_limits(struct tb_req *req, const json_t *limits, const char *currency)
{
    char place[48];
    struct tb_money amount;
    for (size_t i = 0; i < json_array_size(limits); i++) {
        const json_t *limit = json_array_get(limits, i);
        snprintf(place, sizeof(place), "/periodic_limits/%zu/amount", i);
        TB_TRY(judge_money(req, json_object_get(limit, "amount"), place, &amount));
        if (strcmp(amount.currency, currency) != 0)
            return fault(req, place, "must have the currency of maximum_individual_amount");
        snprintf(place, sizeof(place), "/periodic_limits/%zu", i);
        for (size_t j = 0; j < i; j++)
            if (same_period(limit, json_array_get(limits, j)))
                return fault(req, place, "limits the same kind of period again");
    }
    return NULL;
}

static tb_err judge_mandate(struct tb_req *req, const json_t *detail)
{
    struct tb_money each;
    const json_t *hours = tb_json_object(detail, "allowed_hours");
    TB_TRY(judge_money(req, json_object_get(detail, "maximum_individual_amount"),
                       "/maximum_individual_amount", &each));
    TB_TRY(judge_limits(req, json_object_get(detail, "periodic_limits"), each.currency));
    /* "HH:MM", at most "24:00": times of a day are in their order as texts. */
    if (hours != NULL && strcmp(json_string_value(json_object_get(hours, "from")),
                                json_string_value(json_object_get(hours, "to"))) >= 0)
        return fault(req, "/allowed_hours/to", "must be later than from");
    return judge_period(req, detail);
}

/* ---- types ---- */

static const struct type TYPES[] = {
    {"payment", "authorization_details/payment.json", "e-payment:read e-payment:write",
     judge_payment},
    {"mandate", "authorization_details/mandate.json", "e-payment:read e-payment:write",
     judge_mandate},
    {"account_information", "authorization_details/account_information.json", "accounts:read",
     judge_period},
};

static struct tb_schema *schemas[TB_COUNT(TYPES)];

bool tb_details_open(const char *directory, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < TB_COUNT(TYPES); i++) {
        tb_schema_free(schemas[i]);
        schemas[i] = tb_schema_load(directory, TYPES[i].schema, why, why_bytes);
        if (schemas[i] == NULL)
            return false;
    }
    return true;
}

static const struct type *type_of(const json_t *detail)
{
    struct tb_str name = tb_json_str(detail, "type");
    for (size_t i = 0; i < TB_COUNT(TYPES); i++)
        if (name.at != NULL && tb_str_eq(name, tb_str(TYPES[i].name)))
            return &TYPES[i];
    return NULL;
}

struct tb_str tb_details_type(const json_t *details)
{
    return tb_json_str(json_array_get(details, 0), "type");
}

struct tb_str tb_details_scope(const json_t *details)
{
    const struct type *type = type_of(json_array_get(details, 0));
    return type == NULL ? TB_STR_NONE : tb_str(type->scope);
}

struct tb_str tb_details_implying(struct tb_arena *arena, struct tb_str scope)
{
    struct tb_text text;
    tb_text_init(&text, arena);
    for (size_t i = 0; i < TB_COUNT(TYPES); i++)
        if (tb_scope_has(tb_str(TYPES[i].scope), scope))
            tb_text_add_format(&text, "%s%s", text.n > 0 ? " or " : "", TYPES[i].name);
    return text.n == 0 ? TB_STR_NONE : tb_text_end(&text);
}

tb_err tb_details_check(struct tb_req *req, json_t *details)
{
    struct tb_schema_error first;
    size_t total;
    if (!json_is_array(details))
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "authorization_details must be an array");
    if (json_array_size(details) != 1)
        return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS,
                       "authorization_details must hold exactly one detail: ask for one thing at a "
                       "time");
    json_t *detail = json_array_get(details, 0);
    const struct type *type = type_of(detail);
    if (type == NULL)
        return fault(req, "/type", "must be one of payment, mandate, account_information");
    struct tb_schema *schema = schemas[type - TYPES];
    TB_ASSERT(schema != NULL);
    if (tb_schema_check(schema, detail, tb_run_of(req)->arena, &first, 1, &total) != NULL)
        return fault(req, first.pointer, first.detail);
    return type->judge(req, detail);
}

tb_err tb_details_timely(struct tb_req *req, const json_t *details, int64_t now_ms)
{
    struct tb_str to = tb_json_str(json_array_get(details, 0), "valid_to");
    int64_t to_ms;
    if (to.at == NULL || (tb_time_parse(to, &to_ms) && to_ms > now_ms))
        return NULL;
    return fault(req, "/valid_to", "is in the past");
}

/* Authorization details against their schemas, and then against what no schema can say of the
 * platform's terms: that a currency exists, that times are in their order, that limits are about
 * one currency and each about a period of its own. Last the type's own product has its say. */
#include "oauth/request/details.h"
#include "base/json.h"
#include "base/money.h"
#include "base/text.h"
#include "base/time.h"
#include "oauth/errors.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "product/registry.h"
#include "runtime/run.h"
#include "schema/schema.h"
#include <stdio.h>
#include <tongbao/plugin.h>

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

static tb_err judge_accounts(struct tb_req *req, const json_t *detail)
{
    struct tb_str debtor = tb_json_str(detail, "debtor_account");
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

static tb_err judge_hours(struct tb_req *req, const json_t *detail)
{
    const json_t *hours = json_object_get(detail, "allowed_hours");
    const char *from = json_string_value(json_object_get(hours, "from"));
    const char *to = json_string_value(json_object_get(hours, "to"));
    if (hours == NULL)
        return NULL;
    /* "HH:MM", at most "24:00": times of a day are in their order as texts. */
    if (from == NULL || to == NULL || strcmp(from, to) >= 0)
        return fault(req, "/allowed_hours/to", "must be later than from");
    return NULL;
}

/* The sum that a detail is about, and the limits in its currency. */
static tb_err judge_sums(struct tb_req *req, const json_t *detail)
{
    static const char *const sums[] = {"amount", "maximum_individual_amount"};
    struct tb_money money = {0, ""};
    char place[48];
    for (size_t i = 0; i < TB_COUNT(sums); i++) {
        const json_t *sum = json_object_get(detail, sums[i]);
        snprintf(place, sizeof(place), "/%s", sums[i]);
        if (sum != NULL)
            TB_TRY(judge_money(req, sum, place, &money));
    }
    return judge_limits(req, json_object_get(detail, "periodic_limits"), money.currency);
}

static tb_err judge_terms(struct tb_req *req, const json_t *detail)
{
    TB_TRY(judge_sums(req, detail));
    TB_TRY(judge_accounts(req, detail));
    TB_TRY(judge_hours(req, detail));
    return judge_period(req, detail);
}

/* ---- types ---- */

static const struct tb_detail *type_of(const json_t *detail)
{
    return tb_registry_detail(tb_oauth()->registry, tb_json_str(detail, "type"));
}

/* The types whose details imply `scope`, all for an absent one, with `joint` between. */
static struct tb_str join_types(struct tb_arena *arena, const char *joint, struct tb_str scope)
{
    size_t n;
    const struct tb_detail *details = tb_registry_details(tb_oauth()->registry, &n);
    struct tb_text text;
    tb_text_init(&text, arena);
    for (size_t i = 0; i < n; i++)
        if (scope.at == NULL || tb_scope_has(tb_str(details[i].type->scope), scope))
            tb_text_add_format(&text, "%s%s", text.n > 0 ? joint : "", details[i].type->name);
    return text.n == 0 ? TB_STR_NONE : tb_text_end(&text);
}

struct tb_str tb_details_types(struct tb_arena *arena, const char *joint)
{
    return join_types(arena, joint, TB_STR_NONE);
}

struct tb_str tb_details_implying(struct tb_arena *arena, struct tb_str scope)
{
    return join_types(arena, " or ", scope);
}

enum tb_detail_kind tb_details_kind(const json_t *detail)
{
    if (json_object_get(detail, "amount") != NULL)
        return TB_DETAIL_ONCE;
    if (json_object_get(detail, "maximum_individual_amount") != NULL)
        return TB_DETAIL_LIMITS;
    return json_object_get(detail, "permissions") != NULL ? TB_DETAIL_READS : TB_DETAIL_PLAIN;
}

bool tb_details_from_scope(struct tb_str scope, json_t **out_details)
{
    size_t n;
    const struct tb_detail *details = tb_registry_details(tb_oauth()->registry, &n);
    *out_details = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tb_detail_type *type = details[i].type;
        if (type->from_scope == NULL || !tb_scope_within(tb_str(type->scope), scope))
            continue;
        *out_details = json_pack("[o]", json_loads(type->from_scope, 0, NULL));
        return *out_details != NULL;
    }
    return true;
}

bool tb_details_is_from_scope(struct tb_str type)
{
    const struct tb_detail *detail = tb_registry_detail(tb_oauth()->registry, type);
    return detail != NULL && detail->type->from_scope != NULL;
}

struct tb_str tb_details_type(const json_t *details)
{
    return tb_json_str(json_array_get(details, 0), "type");
}

struct tb_str tb_details_scope(const json_t *details)
{
    const struct tb_detail *detail = type_of(json_array_get(details, 0));
    return detail == NULL ? TB_STR_NONE : tb_str(detail->type->scope);
}

static tb_err refuse_type(struct tb_req *req)
{
    struct tb_str types = tb_details_types(tb_run_of(req)->arena, ", ");
    return tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "/0/type must be one of %.*s",
                   (int)types.n, types.at == NULL ? "" : types.at);
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
    json_t *json = json_array_get(details, 0);
    const struct tb_detail *detail = type_of(json);
    if (detail == NULL)
        return refuse_type(req);
    if (tb_schema_check(detail->schema, json, tb_run_of(req)->arena, &first, 1, &total) != NULL)
        return fault(req, first.pointer, first.detail);
    TB_TRY(judge_terms(req, json));
    const char *bad = detail->type->check == NULL ? NULL : detail->type->check(json);
    return bad == NULL ? NULL : tb_fail(req, TB_E_INVALID_AUTHORIZATION_DETAILS, "/0%s", bad);
}

tb_err tb_details_timely(struct tb_req *req, const json_t *details, int64_t now_ms)
{
    struct tb_str to = tb_json_str(json_array_get(details, 0), "valid_to");
    int64_t to_ms;
    if (to.at == NULL || (tb_time_parse(to, &to_ms) && to_ms > now_ms))
        return NULL;
    return fault(req, "/valid_to", "is in the past");
}

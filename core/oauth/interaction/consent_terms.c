#include "oauth/interaction/consent_terms.h"
#include "base/json.h"
#include "base/time.h"
#include "oauth/request/details.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "product/registry.h"

/* ---- values ---- */

/* Digits in groups of three before the point: people compare sums at a glance. */
static void add_grouped(struct tb_text *text, struct tb_str major)
{
    const char *point = memchr(major.at, '.', major.n);
    size_t whole = point == NULL ? major.n : (size_t)(point - major.at);
    for (size_t i = 0; i < major.n; i++) {
        bool digits_before = i > 0 && major.at[i - 1] != '-';
        if (i < whole && digits_before && (whole - i) % 3 == 0)
            tb_text_add_char(text, ',');
        tb_text_add_char(text, major.at[i]);
    }
}

struct tb_str tb_fact_sum(struct tb_html *html, struct tb_money money)
{
    char room[64];
    struct tb_text major, text;
    tb_text_init_fixed(&major, room, sizeof(room));
    tb_money_write_major(&major, money);
    tb_text_init(&text, html->text.arena);
    tb_text_add(&text, tb_str(money.currency));
    tb_text_add_char(&text, ' ');
    add_grouped(&text, tb_text_end(&major));
    return tb_text_end(&text);
}

struct tb_str tb_fact_money(struct tb_html *html, const json_t *money)
{
    struct tb_money value;
    if (money == NULL || tb_money_parse(money, &value) != NULL)
        return TB_STR_NONE;
    return tb_fact_sum(html, value);
}

struct tb_str tb_fact_time(struct tb_html *html, struct tb_str text, int64_t zone_s)
{
    int64_t at_ms;
    char shown[TB_TIME_CHARS + 1];
    if (text.at == NULL || !tb_time_parse(text, &at_ms))
        return TB_STR_NONE;
    tb_time_format(at_ms + zone_s * 1000, shown);
    int64_t minutes = (zone_s < 0 ? -zone_s : zone_s) / 60;
    return tb_arena_format(html->text.arena, "%.10s %.5s (UTC%c%02d:%02d)", shown, shown + 11,
                           zone_s < 0 ? '-' : '+', (int)(minutes / 60), (int)(minutes % 60));
}

/* A text that a product declares, in the page's language. */
static struct tb_str words_in(const struct tb_html *html, const struct tb_words *words)
{
    return tb_str(html->lang == TB_LANG_ZH ? words->zh : words->en);
}

struct tb_str tb_consent_title(const struct tb_html *html, struct tb_str type)
{
    const struct tb_detail *detail = tb_registry_detail(tb_oauth()->registry, type);
    if (detail != NULL)
        return words_in(html, &detail->type->title);
    /* of a product that is not loaded any more: its name */
    bool identity = type.at == NULL || tb_str_eq(type, TB_STR("identity"));
    return identity ? tb_msg(html, TB_MSG_KIND_IDENTITY) : type;
}

struct tb_str tb_consent_question(const struct tb_html *html, struct tb_str type)
{
    const struct tb_detail *detail = tb_registry_detail(tb_oauth()->registry, type);
    return detail == NULL ? tb_msg(html, TB_MSG_DECIDE_IDENTITY)
                          : words_in(html, &detail->type->question);
}

/* ---- the list ---- */

void tb_consent_terms_begin(struct tb_html *html)
{
    tb_html_raw(html, "<dl class=\"facts\">\n");
}

void tb_consent_terms_end(struct tb_html *html)
{
    tb_html_raw(html, "</dl>\n");
}

void tb_fact(struct tb_html *html, enum tb_msg term, struct tb_str value)
{
    if (value.at != NULL)
        tb_html(html, "<dt>$</dt><dd>$</dd>\n", tb_msg(html, term), value);
}

static void add_amount(struct tb_html *html, enum tb_msg term, const json_t *money)
{
    struct tb_str value = tb_fact_money(html, money);
    if (value.at != NULL)
        tb_html(html, "<dt>$</dt><dd class=\"amount\">$</dd>\n", tb_msg(html, term), value);
}

static void add_payee(struct tb_html *html, const struct tb_consent_terms *facts,
                      struct tb_str account)
{
    for (size_t i = 0; i < facts->payees_n; i++)
        if (tb_str_eq(facts->payees[i].account, account) && facts->payees[i].name.at != NULL)
            tb_html(html, "$<br>", facts->payees[i].name);
    tb_html(html, "<code>$</code>", account);
}

/* The one to pay, or those who may be paid; nothing where no money is asked for. */
static void add_payees(struct tb_html *html, const struct tb_consent_terms *facts)
{
    const json_t *list = tb_json_array(facts->detail, "creditor_accounts");
    struct tb_str one = tb_json_str(facts->detail, "creditor_account");
    if (one.at != NULL) {
        tb_html(html, "<dt>$</dt><dd>", tb_msg(html, TB_MSG_PAYEE));
        add_payee(html, facts, one);
        tb_html_raw(html, "</dd>\n");
    }
    if (list == NULL && (one.at != NULL || tb_details_kind(facts->detail) != TB_DETAIL_LIMITS))
        return;
    tb_html(html, "<dt>$</dt><dd>", tb_msg(html, TB_MSG_PAYEES));
    if (list == NULL)
        tb_html(html, "$", tb_msg(html, TB_MSG_ANY_PAYEE));
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i > 0)
            tb_html_raw(html, "<br>");
        add_payee(html, facts, tb_str(json_string_value(json_array_get(list, i))));
    }
    tb_html_raw(html, "</dd>\n");
}

/* "CNY 2000.00 a month, by the calendar" */
static void add_limits(struct tb_html *html, const json_t *detail)
{
    static const struct {
        const char *type;
        enum tb_msg word;
    } periods[] = {
        {"Day", TB_MSG_PER_DAY},
        {"Week", TB_MSG_PER_WEEK},
        {"Fortnight", TB_MSG_PER_FORTNIGHT},
        {"Month", TB_MSG_PER_MONTH},
        {"Half-year", TB_MSG_PER_HALF_YEAR},
        {"Year", TB_MSG_PER_YEAR},
    };
    const json_t *limits = tb_json_array(detail, "periodic_limits");
    for (size_t i = 0; i < json_array_size(limits); i++) {
        const json_t *limit = json_array_get(limits, i);
        struct tb_str type = tb_json_str(limit, "period_type"), period = type;
        bool calendar = tb_str_eq(tb_json_str(limit, "period_alignment"), TB_STR("Calendar"));
        for (size_t p = 0; p < TB_COUNT(periods); p++)
            if (tb_str_eq(type, tb_str(periods[p].type)))
                period = tb_msg(html, periods[p].word);
        tb_html(html, "<dt>$</dt><dd>$ $ <span class=\"note\">($)</span></dd>\n",
                tb_msg(html, TB_MSG_PERIOD_LIMIT),
                tb_fact_money(html, json_object_get(limit, "amount")), period,
                tb_msg(html, calendar ? TB_MSG_BY_CALENDAR : TB_MSG_BY_CONSENT));
    }
}

static void add_hours(struct tb_html *html, const json_t *detail)
{
    const json_t *hours = tb_json_object(detail, "allowed_hours");
    if (hours != NULL)
        tb_html(html, "<dt>$</dt><dd>$ – $</dd>\n", tb_msg(html, TB_MSG_ALLOWED_HOURS),
                tb_json_str(hours, "from"), tb_json_str(hours, "to"));
}

static void add_validity(struct tb_html *html, const struct tb_consent_terms *facts, bool once)
{
    struct tb_str to = tb_fact_time(html, tb_json_str(facts->detail, "valid_to"), facts->zone_s);
    tb_fact(html, TB_MSG_VALID_FROM,
            tb_fact_time(html, tb_json_str(facts->detail, "valid_from"), facts->zone_s));
    if (to.at == NULL)
        to = tb_msg(html, once ? TB_MSG_VALID_ONCE : TB_MSG_VALID_UNTIL_REVOKED);
    tb_fact(html, TB_MSG_VALID_TO, to);
}

/* Members that are the product's own. */
static void add_own_terms(struct tb_html *html, const struct tb_consent_terms *facts,
                          const struct tb_detail *detail)
{
    const struct tb_detail_term *term = detail == NULL ? NULL : detail->type->terms;
    for (; term != NULL && term->member != NULL; term++) {
        const json_t *json = json_object_get(facts->detail, term->member);
        struct tb_str text = tb_json_str(facts->detail, term->member);
        if (term->kind == TB_TERM_MONEY)
            text = tb_fact_money(html, json);
        else if (term->kind == TB_TERM_TIME)
            text = tb_fact_time(html, text, facts->zone_s);
        if (text.at != NULL)
            tb_html(html, "<dt>$</dt><dd>$</dd>\n", words_in(html, &term->label), text);
    }
}

/* What a scope allows; its name, where nobody has words for it. */
static struct tb_str scope_words(const struct tb_html *html, struct tb_str scope)
{
    const struct tb_words *words = tb_registry_scope_words(tb_oauth()->registry, scope);
    if (words != NULL)
        return words_in(html, words);
    return tb_str_eq(scope, TB_STR("openid")) ? tb_msg(html, TB_MSG_MAY_OPENID) : scope;
}

/* What the app may do: permissions of the detail, and scopes that say more than it. */
static void add_permissions(struct tb_html *html, const struct tb_consent_terms *facts,
                            const struct tb_detail *detail)
{
    static const struct {
        const char *name;
        enum tb_msg word;
    } known[] = {
        {"balances", TB_MSG_MAY_BALANCES},
        {"entries", TB_MSG_MAY_ENTRIES},
        {"details", TB_MSG_MAY_DETAILS},
    };
    const json_t *permissions = tb_json_array(facts->detail, "permissions");
    struct tb_str implied = detail == NULL ? TB_STR_NONE : tb_str(detail->type->scope);
    struct tb_str rest = facts->scope, name;
    tb_html(html, "<dt>$</dt><dd><ul>\n", tb_msg(html, TB_MSG_WHAT_IT_MAY));
    for (size_t i = 0; i < json_array_size(permissions); i++)
        for (size_t k = 0; k < TB_COUNT(known); k++)
            if (tb_str_eq(tb_str(json_string_value(json_array_get(permissions, i))),
                          tb_str(known[k].name)))
                tb_html(html, "<li>$</li>\n", tb_msg(html, known[k].word));
    while (tb_scope_next(&rest, &name))
        if (permissions == NULL || !tb_scope_has(implied, name))
            tb_html(html, "<li>$</li>\n", scope_words(html, name));
    tb_html_raw(html, "</ul></dd>\n");
}

void tb_consent_terms_write(struct tb_html *html, const struct tb_consent_terms *facts)
{
    const json_t *json = facts->detail;
    const struct tb_detail *detail = tb_registry_detail(tb_oauth()->registry,
                                                        tb_json_str(json, "type"));
    int64_t reads;
    add_amount(html, TB_MSG_AMOUNT, json_object_get(json, "amount"));
    add_amount(html, TB_MSG_EACH_PAYMENT, json_object_get(json, "maximum_individual_amount"));
    add_limits(html, json);
    add_payees(html, facts);
    tb_fact(html, TB_MSG_REFERENCE, tb_json_str(json, "reference"));
    add_hours(html, json);
    add_own_terms(html, facts, detail);
    add_permissions(html, facts, detail);
    if (tb_json_int(json, "frequency_per_day", &reads))
        tb_fact(html, TB_MSG_PER_DAY_READS,
                tb_arena_format(html->text.arena, "%lld", (long long)reads));
    tb_fact(html, TB_MSG_PURPOSE, tb_json_str(json, "purpose"));
    if (json != NULL)
        add_validity(html, facts, tb_details_kind(json) == TB_DETAIL_ONCE);
}

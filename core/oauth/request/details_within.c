/* How one request narrows another: each member that restricts a detail has a rule by which the
 * smaller of two values is known. A member without a rule, such as the purpose a customer was
 * shown, cannot be changed at all. */
#include "base/json.h"
#include "base/money.h"
#include "base/time.h"
#include "oauth/request/details.h"
#include <tongbao/plugin.h>

/** When a value that is asked for is within the one that was granted. */
enum rule {
    SAME,       /**< equal */
    SUBSET,     /**< all its items are among the granted ones */
    AT_MOST,    /**< an integer that is not larger */
    MONEY,      /**< an amount of the same currency that is not larger */
    NO_EARLIER, /**< an instant */
    NO_LATER,
    HOURS,  /**< hours of the day that are all among the granted ones */
    LIMITS, /**< limits by period: those granted stay, smaller or as they are */
};

/* Members that may be narrowed or, where nothing was granted, added. */
static const struct member {
    const char *name;
    enum rule rule;
} MEMBERS[] = {
    {"debtor_account", SAME},
    {"creditor_account", SAME},
    {"amount", SAME},
    {"reference", SAME},
    {"creditor_accounts", SUBSET},
    {"maximum_individual_amount", MONEY},
    {"periodic_limits", LIMITS},
    {"valid_from", NO_EARLIER},
    {"valid_to", NO_LATER},
    {"allowed_hours", HOURS},
    {"permissions", SUBSET},
    {"accounts", SUBSET},
    {"frequency_per_day", AT_MOST},
};

static bool has_item(const json_t *array, const json_t *item)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (json_equal(json_array_get(array, i), item))
            return true;
    return false;
}

static bool subset(const json_t *granted, const json_t *asked)
{
    for (size_t i = 0; i < json_array_size(asked); i++)
        if (!has_item(granted, json_array_get(asked, i)))
            return false;
    return true;
}

static bool money_at_most(const json_t *granted, const json_t *asked)
{
    struct tb_money most, wanted;
    return tb_money_parse(granted, &most) == NULL && tb_money_parse(asked, &wanted) == NULL &&
           strcmp(most.currency, wanted.currency) == 0 && wanted.minor <= most.minor;
}

static bool in_order(const json_t *first, const json_t *second)
{
    int64_t a, b;
    return tb_time_parse(tb_str(json_string_value(first)), &a) &&
           tb_time_parse(tb_str(json_string_value(second)), &b) && a <= b;
}

/* "HH:MM" compares as text. */
static bool hours_within(const json_t *granted, const json_t *asked)
{
    const char *from = json_string_value(json_object_get(granted, "from"));
    const char *to = json_string_value(json_object_get(granted, "to"));
    return strcmp(json_string_value(json_object_get(asked, "from")), from) >= 0 &&
           strcmp(json_string_value(json_object_get(asked, "to")), to) <= 0;
}

static json_t *limit_of(const json_t *limits, const json_t *like)
{
    for (size_t i = 0; i < json_array_size(limits); i++) {
        json_t *limit = json_array_get(limits, i);
        if (json_equal(json_object_get(limit, "period_type"),
                       json_object_get(like, "period_type")) &&
            json_equal(json_object_get(limit, "period_alignment"),
                       json_object_get(like, "period_alignment")))
            return limit;
    }
    return NULL;
}

/* The granted limits with the asked ones in their place; NULL when one of those is larger. */
static json_t *narrow_limits(const json_t *granted, const json_t *asked)
{
    json_t *out = json_deep_copy(granted);
    for (size_t i = 0; i < json_array_size(asked); i++) {
        json_t *wanted = json_array_get(asked, i);
        json_t *limit = limit_of(out, wanted);
        if (limit == NULL) {
            json_array_append(out, wanted);
        } else if (money_at_most(json_object_get(limit, "amount"),
                                 json_object_get(wanted, "amount"))) {
            json_object_set(limit, "amount", json_object_get(wanted, "amount"));
        } else {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool within(enum rule rule, const json_t *granted, const json_t *asked)
{
    switch (rule) {
    case SUBSET:
        return subset(granted, asked);
    case AT_MOST:
        return json_integer_value(asked) <= json_integer_value(granted);
    case MONEY:
        return money_at_most(granted, asked);
    case NO_EARLIER:
        return in_order(granted, asked);
    case NO_LATER:
        return in_order(asked, granted);
    case HOURS:
        return hours_within(granted, asked);
    case SAME:
    case LIMITS: /* not one value but a merge of two: narrow_limits */
        break;
    }
    return json_equal(granted, asked);
}

static const struct member *member_of(const char *name)
{
    for (size_t i = 0; i < TB_COUNT(MEMBERS); i++)
        if (strcmp(MEMBERS[i].name, name) == 0)
            return &MEMBERS[i];
    return NULL;
}

/* Put what is asked for of one member into `detail`, the granted one. */
static bool narrow(json_t *detail, const char *name, json_t *asked)
{
    const json_t *granted = json_object_get(detail, name);
    const struct member *member = member_of(name);
    if (member == NULL)
        return granted != NULL && json_equal(granted, asked);
    if (member->rule == LIMITS && granted != NULL) {
        json_t *limits = narrow_limits(granted, asked);
        return limits != NULL && json_object_set_new(detail, name, limits) == 0;
    }
    if (granted != NULL && !within(member->rule, granted, asked))
        return false;
    return json_object_set(detail, name, asked) == 0;
}

json_t *tb_details_within(const json_t *granted, const json_t *asked)
{
    const char *name;
    json_t *value, *wanted = json_array_get(asked, 0);
    if (granted == NULL || wanted == NULL)
        return NULL;
    json_t *out = json_deep_copy(granted);
    json_t *detail = json_array_get(out, 0);
    json_object_foreach(wanted, name, value) if (!narrow(detail, name, value))
    {
        json_decref(out);
        return NULL;
    }
    return out;
}

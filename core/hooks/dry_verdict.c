/* See dry_verdict.h. */
#include "hooks/dry_verdict.h"

static const char *const NAMES[] = {
#define TB_DRY_KIND(NAME, name) name,
    TB_DRY_KINDS(TB_DRY_KIND)
#undef TB_DRY_KIND
};

#define BIT(kind) (UINT32_C(1) << (kind))

static const enum tb_dry_kind BESIDE[] = {TB_DRY_ROUTE, TB_DRY_SET, TB_DRY_LIMIT, TB_DRY_APPROVALS};

const char *tb_dry_kind_name(enum tb_dry_kind kind)
{
    return NAMES[kind];
}

void tb_dry_judge(struct tb_dry_verdict *verdict, const json_t *decision)
{
    verdict->decision = decision;
    verdict->outcome = json_object_get(decision, NAMES[TB_DRY_DENY]) != NULL ? TB_DRY_DENY
                                                                             : TB_DRY_ALLOW;
    verdict->kinds = BIT(verdict->outcome);
    for (size_t i = 0; i < TB_COUNT(BESIDE); i++)
        if (verdict->outcome == TB_DRY_ALLOW && json_object_get(decision, NAMES[BESIDE[i]]) != NULL)
            verdict->kinds |= BIT(BESIDE[i]);
}

static bool same(const json_t *a, const json_t *b)
{
    return a == b || (a != NULL && b != NULL && json_equal(a, b));
}

static bool same_member(const struct tb_dry_verdict *a, const struct tb_dry_verdict *b,
                        const char *name)
{
    return same(json_object_get(a->decision, name), json_object_get(b->decision, name));
}

uint32_t tb_dry_changes(const struct tb_dry_verdict *before, const struct tb_dry_verdict *after)
{
    uint32_t changes = 0;
    if (before->outcome != after->outcome)
        return BIT(after->outcome);
    if (after->outcome == TB_DRY_ERROR)
        return 0;
    for (size_t i = 0; i < TB_COUNT(BESIDE); i++)
        if (after->outcome == TB_DRY_ALLOW && !same_member(before, after, NAMES[BESIDE[i]]))
            changes |= BIT(BESIDE[i]);
    if (changes == 0 &&
        (!same_member(before, after, "note") || !same_member(before, after, NAMES[TB_DRY_DENY])))
        changes = BIT(TB_DRY_WORDS);
    return changes;
}

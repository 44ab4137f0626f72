/* Verdict of a version on a recorded request, in the kinds that a dry run counts, and what differs
 * between two versions. */
#ifndef TB_HOOKS_DRY_VERDICT_H
#define TB_HOOKS_DRY_VERDICT_H

#include "hooks/hooks.h"

/** TB_DRY_KIND(NAME, name). A request is allowed, denied or in error; of an allowed one any of the
 *  others may hold as well. WORDS is a change only: note, code or detail differ, nothing else. */
#define TB_DRY_KINDS(KIND)                                                                         \
    KIND(ALLOW, "allow")                                                                           \
    KIND(DENY, "deny")                                                                             \
    KIND(ERROR, "error")                                                                           \
    KIND(ROUTE, "route")                                                                           \
    KIND(SET, "set")                                                                               \
    KIND(LIMIT, "limit")                                                                           \
    KIND(APPROVALS, "approvals")                                                                   \
    KIND(WORDS, "words")

enum tb_dry_kind {
#define TB_DRY_KIND(NAME, name) TB_DRY_##NAME,
    TB_DRY_KINDS(TB_DRY_KIND)
#undef TB_DRY_KIND
        TB_DRY_KINDS_N
};

const char *tb_dry_kind_name(enum tb_dry_kind kind);

struct tb_dry_verdict {
    enum tb_dry_kind outcome;      /**< ALLOW, DENY or ERROR */
    uint32_t kinds;                /**< bits: the outcome, and what an allowed request comes with */
    const json_t *decision;        /**< NULL: none; borrowed */
    char why[TB_SCRIPT_WHY_BYTES]; /**< of an error */
};

/** Fill in outcome and kinds from a decision that is good, or NULL. */
void tb_dry_judge(struct tb_dry_verdict *verdict, const json_t *decision);

/** What changes from `before` to `after`: bits; 0: nothing. A change of the outcome is named by the
 *  new one and hides the rest. Two errors are alike. */
uint32_t tb_dry_changes(const struct tb_dry_verdict *before, const struct tb_dry_verdict *after);

#endif

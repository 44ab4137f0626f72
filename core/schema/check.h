/* The state of one check, shared by the machine (check.c) and the rules about single values
 * (rule.c). */
#ifndef TB_SCHEMA_CHECK_H
#define TB_SCHEMA_CHECK_H

#include "schema/fault.h"

/** TB_PUSHED: not decided yet, a frame will. */
enum tb_check_verdict { TB_FITS, TB_FAULTY, TB_PUSHED };

/** What a frame is going through. */
enum tb_check_stage { TB_STAGE_MEMBERS, TB_STAGE_ITEMS, TB_STAGE_CHOICES };

/** A value with members or items, or a node with choices, under judgement. */
struct tb_check_frame {
    const struct tb_schema_node *node;
    json_t *value;
    enum tb_check_stage stage;
    bool quiet, faulty;
    uint32_t at;   /**< members, items: place of the one in hand */
    void *next;    /**< members: iterator of the one in hand */
    uint64_t seen; /**< members: bits of the required ones met */
    uint32_t turn; /**< members: schemas tried on the one in hand; items: the next one */
    uint32_t hits; /**< members: schemas found for the one in hand; choices: branches that fit */
    uint32_t choice, branch;
};

/** One check. The frames in use are the way from the root to the value in hand. */
struct tb_check {
    struct tb_arena *arena;
    struct tb_faults faults;
    size_t steps; /**< left */
    bool stopped; /**< by a limit */
    size_t depth;
    struct tb_check_frame frames[TB_SCHEMA_DEPTH];
};

/** Record a fault of the value in hand, unless the frame is quiet; returns TB_FAULTY. */
enum tb_check_verdict tb_check_fault(struct tb_check *m, bool quiet, enum tb_fault_kind kind,
                                     int64_t number, const char *text);

/** Give up: the value is refused, whatever the schema makes of it. Returns TB_FAULTY. */
enum tb_check_verdict tb_check_stop(struct tb_check *m);

/** Spend steps; false, and the check stops, when there are not that many left. */
bool tb_check_spend(struct tb_check *m, size_t steps);

/* Rules about one value; faults are recorded unless `quiet`. The first four look at it alone, the
 * last two at how many members or items it has and whether these are unique. */
enum tb_check_verdict tb_rule_search(struct tb_check *m, const struct tb_regex *regex,
                                     struct tb_str text);
enum tb_check_verdict tb_rule_string(struct tb_check *m, const struct tb_string_rules *rules,
                                     struct tb_str text, bool quiet);
enum tb_check_verdict tb_rule_number(struct tb_check *m, const struct tb_number_rules *rules,
                                     json_t *value, bool quiet);
bool tb_rule_among(const struct tb_value_rules *rules, json_t *value);
enum tb_check_verdict tb_rule_array(struct tb_check *m, const struct tb_array_rules *rules,
                                    json_t *value, bool quiet);
enum tb_check_verdict tb_rule_object(struct tb_check *m, const struct tb_object_rules *rules,
                                     json_t *value, bool quiet);

#endif

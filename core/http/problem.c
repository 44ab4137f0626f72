#include "http/problem.h"

enum { JOINED_BYTES = 512 }; /**< longest type URI */

/* `,"name":"value"`, or nothing when the value is absent. */
static void member(struct tb_text *out, struct tb_str lead, struct tb_str value)
{
    if (value.at == NULL)
        return;
    tb_text_add(out, lead);
    tb_text_add_json(out, value);
}

static void add_place(struct tb_text *out, const struct tb_place *place)
{
    /* the first member has no comma before it, and any of them may be the first */
    const struct {
        struct tb_str lead;
        const char *value;
    } members[] = {
        {TB_STR(",\"pointer\":"), place->pointer}, {TB_STR(",\"parameter\":"), place->parameter},
        {TB_STR(",\"header\":"), place->header},   {TB_STR(",\"code\":"), place->code},
        {TB_STR(",\"detail\":"), place->detail},
    };
    bool first = true;
    tb_text_add_char(out, '{');
    for (size_t i = 0; i < TB_COUNT(members); i++) {
        if (members[i].value == NULL)
            continue;
        struct tb_str lead = members[i].lead;
        if (first)
            lead = (struct tb_str){lead.at + 1, lead.n - 1};
        member(out, lead, tb_str(members[i].value));
        first = false;
    }
    tb_text_add_char(out, '}');
}

static void add_places(struct tb_text *out, const struct tb_problem *problem)
{
    tb_text_add(out, TB_STR(",\"errors\":["));
    for (size_t i = 0; i < problem->places_n; i++) {
        if (i > 0)
            tb_text_add_char(out, ',');
        add_place(out, &problem->places[i]);
    }
    tb_text_add_char(out, ']');
    if (problem->places_total > problem->places_n) {
        tb_text_add(out, TB_STR(",\"errors_total\":"));
        tb_text_add_int(out, (int64_t)problem->places_total);
    }
}

/* A member whose value is two texts, one behind the other. */
static void member_joined(struct tb_text *out, struct tb_str lead, struct tb_str a, struct tb_str b)
{
    char room[JOINED_BYTES];
    struct tb_text joined;
    tb_text_init_fixed(&joined, room, sizeof(room));
    tb_text_add(&joined, a);
    tb_text_add(&joined, b);
    if (joined.failed)
        out->failed = true;
    member(out, lead, tb_text_end(&joined));
}

/* The members of a JSON object, as they are written there. */
static void add_members(struct tb_text *out, struct tb_str object)
{
    if (object.n <= 2) /* absent, or "{}" */
        return;
    tb_text_add_char(out, ',');
    tb_text_add(out, (struct tb_str){object.at + 1, object.n - 2});
}

void tb_problem_write(struct tb_text *out, const struct tb_problem_of *of)
{
    static const struct tb_problem nothing;
    const struct tb_problem *problem = of->problem == NULL ? &nothing : of->problem;
    struct tb_str code = tb_str(of->err->code);

    if (of->type.at != NULL)
        member(out, TB_STR("{\"type\":"), of->type);
    else if (of->base.at != NULL)
        member_joined(out, TB_STR("{\"type\":"), of->base, code);
    else
        tb_text_add(out, TB_STR("{\"type\":\"about:blank\""));
    const struct tb_error_words *words = of->words;
    member(out, TB_STR(",\"title\":"), tb_str(words == NULL ? of->err->title : words->title));
    tb_text_add(out, TB_STR(",\"status\":"));
    tb_text_add_int(out, of->err->status);
    member(out, TB_STR(",\"detail\":"), problem->detail);
    member(out, TB_STR(",\"remedy\":"), tb_str(words == NULL ? of->err->remedy : words->remedy));
    if (of->request_id.at != NULL)
        member_joined(out, TB_STR(",\"instance\":"), TB_STR("urn:uuid:"), of->request_id);
    member(out, TB_STR(",\"code\":"), code);
    member(out, TB_STR(",\"request_id\":"), of->request_id);
    if (problem->places_n > 0)
        add_places(out, problem);
    if (of->base.at != NULL)
        member_joined(out, TB_STR(",\"doc_url\":"), of->base, code);
    member(out, TB_STR(",\"decline_code\":"), tb_str(problem->decline_code));
    tb_text_add(out, of->err->retryable ? TB_STR(",\"retryable\":true")
                                        : TB_STR(",\"retryable\":false"));
    if (problem->retry_after_s > 0) {
        tb_text_add(out, TB_STR(",\"retry_after\":"));
        tb_text_add_int(out, problem->retry_after_s);
    }
    if (of->owner && problem->cause.at != NULL) {
        member(out, TB_STR(",\"cause\":{\"sqlstate\":"), problem->sqlstate);
        member(out, TB_STR(",\"message\":"), problem->cause);
        tb_text_add_char(out, '}');
    }
    add_members(out, problem->extra);
    member(out, TB_STR(",\"trace\":"), of->trace);
    tb_text_add_char(out, '}');
}

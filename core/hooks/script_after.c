/* Stage "script:after": the partner's own shape of a successful answer. What was done is done: a
 * script that fails here, or shapes what no script may, leaves the answer as it is (or, where the
 * partner prefers that, keeps it back). The status, ids, amounts and states never change.
 *
 * All of it works in an arena of its own: a script that needs more memory than there is fails, not
 * the request. */
#include "base/json.h"
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "hooks/script_shape.h"
#include "hooks/scripts.h"

static bool is_json(const struct tb_exchange *x)
{
    if (x->status < 200 || x->status > 299 || x->reply.n == 0)
        return false;
    for (size_t i = x->own_headers_n; i < x->reply_headers_n; i++)
        if (tb_str_eq(x->reply_headers[i].name, TB_STR("content-type")))
            return tb_str_eq(x->reply_headers[i].value, TB_STR("application/json"));
    return false;
}

/* The answer's text anew. */
static bool write_answer(struct tb_exchange *x, const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);
    size_t n = text == NULL ? 0 : strlen(text);
    char *kept = text == NULL ? NULL : tb_arena_text(x->run.arena, text, n);
    free(text);
    if (kept != NULL)
        x->reply = (struct tb_str){kept, n};
    return kept != NULL;
}

/* RFC 8288; what finds no room is left out. */
static void add_links(struct tb_exchange *x, json_t *links)
{
    const char *name;
    json_t *path;
    json_object_foreach(links, name, path)
    {
        struct tb_str link = tb_arena_format(x->run.arena, "<%s>; rel=\"%s\"",
                                             json_string_value(path), name);
        if (link.at != NULL)
            (void)tb_exchange_header(x, TB_STR("link"), link);
    }
}

/* Do as the script decided, wholly or not at all: then *result says why. */
static void apply(struct tb_exchange *x, const json_t *answer, struct tb_script_result *result)
{
    json_t *shaped, *links = tb_json_object(result->decision, "links");
    struct tb_str note = tb_json_str(result->decision, "note");
    if (!tb_script_shape(answer, result->decision, x->match.operation->reply_schema, x->run.arena,
                         &shaped, result->why, sizeof(result->why))) {
        result->end = TB_SCRIPT_ANSWER;
        return;
    }
    if (shaped != NULL && !write_answer(x, shaped)) {
        result->end = TB_SCRIPT_MEMORY;
        return;
    }
    if (links != NULL)
        add_links(x, links);
    bool changed = shaped != NULL || links != NULL;
    tb_script_trace(x, TB_HOOK_ON_RESPONSE, changed ? "change" : "allow", note.at);
    if (changed)
        tb_count(tb_gateway_parts(x->gateway)->metrics, TB_M_SCRIPT_CHANGED, 1);
}

/* Ask the script, and do as it says. */
static tb_err TB_SUSPENDS run_hook(struct tb_exchange *x, struct tb_script_turn *turn)
{
    static const struct tb_json_limits limits = {
        .bytes = TB_ARENA_CAP, .depth = 32, .members = UINT32_MAX, .reals = true};
    struct tb_json_error where;
    json_t *answer, *response = NULL;
    tb_err err = tb_json_parse(x->run.arena, x->reply, &limits, &answer, &where);
    if (err == NULL)
        response = json_pack("{s:i, s:O}", "status", x->status, "body", answer);
    if (!tb_json_defer(x->run.arena, response)) {
        tb_scripts_release(tb_gateway_parts(x->gateway)->scripts, turn->script);
        return err != NULL ? err : TB_E_INTERNAL;
    }
    tb_script_trace(x, TB_HOOK_ON_RESPONSE, "allow", NULL);
    TB_TRY(tb_script_ask(x, turn, response));
    if (turn->result.end == TB_SCRIPT_DONE && turn->result.decision != NULL)
        apply(x, answer, &turn->result);
    return NULL;
}

/* Whether the answer may leave: shaped, or as it is. */
static bool TB_SUSPENDS consider(struct tb_exchange *x)
{
    struct tb_script_turn turn;
    const struct tb_str reply = x->reply;
    tb_err err = tb_script_begin(x, TB_HOOK_ON_RESPONSE, &turn);
    if (err == NULL && turn.script != NULL) {
        err = run_hook(x, &turn);
        bool starved = tb_arena_overflowed(x->run.arena);
        if (starved)
            x->reply = reply;
        if (starved || err != NULL)
            turn.result.end = starved ? TB_SCRIPT_MEMORY : TB_SCRIPT_ENDED;
        if (err != NULL)
            tb_script_words(turn.result.why, sizeof(turn.result.why), err->title);
        tb_script_end(x, &turn);
    }
    bool failed = err != NULL || turn.off != NULL || turn.result.end != TB_SCRIPT_DONE;
    return !failed || x->script->failure[TB_HOOK_ON_RESPONSE] == TB_FAILURE_OPEN;
}

tb_err TB_SUSPENDS tb_stage_script_after(struct tb_exchange *x)
{
    if (x->script == NULL || x->script_version == 0 || !x->script_shapes || !is_json(x))
        return NULL;
    struct tb_arena *own = x->run.arena, *scratch = tb_scripts_scratch(x);
    if (scratch == NULL)
        return NULL; /* past its memory anyway */
    x->run.arena = scratch;
    bool may_leave = consider(x);
    x->run.arena = own;
    x->run.problem = (struct tb_problem){0}; /* whatever failed, it was not the request */
    if (may_leave)
        return NULL;
    return tb_fail(&x->run.req, TB_E_WITHHELD, "on_response of version %d did not decide",
                   x->script_version);
}

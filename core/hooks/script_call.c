/* Calling a hook of the partner's script, and what is told of it: the same for both stages. */
#include "base/metrics.h"
#include "gateway/gateway.h"
#include "hooks/scripts.h"
#include <stdio.h>

_Static_assert((int)TB_TRACE_SCRIPTS == (int)TB_HOOKS_N, "a trace has room for every hook");

void tb_script_words(char *out, size_t room, const char *words)
{
    size_t n = strnlen(words, room - 1), at = 0, character;
    while (at < n && (character = tb_utf8_span(words + at, n - at)) > 0)
        at += character;
    memcpy(out, words, at);
    out[at] = '\0';
}

void tb_script_trace(struct tb_exchange *x, enum tb_script_hook hook, const char *verdict,
                     const char *note)
{
    struct tb_trace_script *script = &x->trace.scripts[hook];
    tb_script_words(script->verdict, sizeof(script->verdict), verdict);
    if (note != NULL)
        tb_script_words(script->note, sizeof(script->note), note);
}

void tb_script_end(struct tb_exchange *x, const struct tb_script_turn *turn)
{
    struct tb_trace_script *script = &x->trace.scripts[turn->hook];
    const struct tb_script_result *result = &turn->result;
    tb_script_note(x, x->script, x->script_version, turn->hook, result);
    script->cpu_us = (uint32_t)(result->cpu_ns / 1000);
    script->lookups = result->lookups;
    if (result->end == TB_SCRIPT_DONE)
        return;
    tb_script_trace(x, turn->hook, tb_script_end_word(result->end), NULL);
    tb_script_words(script->why, sizeof(script->why), result->why);
}

tb_err TB_SUSPENDS tb_script_begin(struct tb_exchange *x, enum tb_script_hook hook,
                                   struct tb_script_turn *out_turn)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    struct tb_script_turn *turn = out_turn;
    struct tb_trace_script *trace = &x->trace.scripts[hook];
    turn->hook = hook;
    turn->script = NULL;
    turn->result = (struct tb_script_result){.end = TB_SCRIPT_DONE};
    trace->version = x->script_version;
    trace->cpu_us = trace->lookups = 0;
    trace->note[0] = trace->why[0] = '\0';
    turn->off = NULL;
    int64_t now_ms = tb_loop_now_ms(x->run.loop);
    bool failing = tb_script_off(x->script, x->script_version, hook, now_ms);
    if (failing || tb_script_too_long(x->script, now_ms)) {
        turn->off = failing ? "it is turned off, because it failed too often"
                            : "its calls have lately taken all the time there is for them";
        tb_count(parts->metrics, TB_M_SCRIPT_PASSED_BY, 1);
        tb_script_trace(x, hook, failing ? "off" : "too long", NULL);
        if (!failing)
            tb_script_note_too_long(x, x->script, x->script_version, hook, turn->off);
        return NULL;
    }
    TB_TRY(tb_scripts_hold(&x->run.req, parts->scripts, x->script, x->script_version, &turn->script,
                           turn->result.why, sizeof(turn->result.why)));
    if (turn->script == NULL) {
        turn->result.end = TB_SCRIPT_ERROR;
        tb_script_end(x, turn);
        return NULL;
    }
    x->script_shapes = tb_script_has(turn->script, tb_script_hook_row(TB_HOOK_ON_RESPONSE)->name);
    if (!tb_script_has(turn->script, tb_script_hook_row(hook)->name)) {
        tb_scripts_release(parts->scripts, turn->script);
        turn->script = NULL;
    }
    return NULL;
}

tb_err TB_SUSPENDS tb_script_ask(struct tb_exchange *x, struct tb_script_turn *turn,
                                 const json_t *second)
{
    struct tb_scripts *scripts = tb_gateway_parts(x->gateway)->scripts;
    struct tb_script_result *result = &turn->result;
    struct tb_str id = {x->request_id, sizeof(x->request_id) - 1};
    struct tb_script_call call = {
        .hook = tb_script_hook_row(turn->hook)->name,
        .second = second,
        .now_ms = tb_now(&x->run.req),
        .seed = tb_script_seed(id),
        .lookup = tb_scripts_lookup,
    };
    tb_err err = TB_E_INTERNAL;
    call.members = tb_script_members(x, &call.members_n);
    if (call.members != NULL)
        err = tb_script_run(&x->run.req, turn->script, &call, result);
    tb_scripts_release(scripts, turn->script);
    if (err == NULL && result->end == TB_SCRIPT_DONE && result->decision != NULL &&
        !tb_script_decision_good(turn->hook, result->decision, x->run.arena, result->why,
                                 sizeof(result->why)))
        result->end = TB_SCRIPT_ANSWER;
    return err;
}

/* Whether somebody was told already what came of this key. */
static tb_err TB_SUSPENDS ask_whether_answered(struct tb_exchange *x, bool *out_answered)
{
    static const char sql[] = "select from script.answered($1, $2, $3, $4) a where a";
    const struct tb_operation *operation = x->match.operation;
    struct tb_rows *rows;
    TB_TRY(tb_query(&x->run.req, &rows, sql, TB_INT(x->grant->book), TB_TEXT(x->grant->partner),
                    TB_TEXT(((struct tb_str){operation->key, operation->key_n})), TB_TEXT(x->key)));
    *out_answered = rows->n > 0;
    return NULL;
}

tb_err TB_SUSPENDS tb_script_refuse(struct tb_exchange *x, tb_err err)
{
    struct tb_problem problem = x->run.problem;
    if ((x->match.operation->route->flags & TB_R_KEY) == 0 || x->in.idempotency_key.at == NULL)
        return err;
    x->run.problem = (struct tb_problem){0};
    tb_err bad = tb_exchange_key(x);
    if (bad == NULL)
        bad = ask_whether_answered(x, &x->replays);
    if (bad != NULL)
        return bad;
    if (!x->replays) {
        x->run.problem = problem;
        return err;
    }
    return NULL;
}

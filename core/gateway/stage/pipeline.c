/* The way of a request: the list of stages, and the loop that walks it. Reading STAGES top to
 * bottom is reading what happens to every request; each stage is one function in a file of its
 * name. */
#include "gateway/stage/pipeline.h"
#include "gateway/gateway.h"

static const struct {
    const char *name;
    tb_stage run;
} STAGES[] = {
    {"admit", tb_stage_admit},                 /* its head is sane, and it ends no worker */
    {"route", tb_stage_route},                 /* which operation */
    {"authenticate", tb_stage_authenticate},   /* whose token */
    {"constrain", tb_stage_constrain},         /* shown by whom it is bound to */
    {"entitle", tb_stage_entitle},             /* may they, and in which world */
    {"limit", tb_stage_limit},                 /* not more often than agreed */
    {"query", tb_stage_query},                 /* query parameters of the right type */
    {"body", tb_stage_body},                   /* JSON of an acceptable size */
    {"script:before", tb_stage_script_before}, /* the partner's own rules for it */
    {"schema", tb_stage_schema},               /* of the declared shape */
    {"consent", tb_stage_consent},             /* within what the customer consented to */
    {"idempotency", tb_stage_idempotency},     /* key and fingerprint of a write */
    {"handler", tb_stage_handler},             /* the product's own code */
    {"script:after", tb_stage_script_after},   /* the partner's own shape of the answer */
    {"reply", tb_stage_reply_schema},          /* its answer has the declared shape */
};

_Static_assert(TB_COUNT(STAGES) <= TB_TRACE_STAGES, "a trace has room for every stage");

const char *const *tb_pipeline_names(void)
{
    static const char *names[TB_COUNT(STAGES) + 1];
    for (size_t i = 0; i < TB_COUNT(STAGES); i++)
        names[i] = STAGES[i].name;
    return names;
}

static void note_refusal(struct tb_exchange *x, size_t stage, tb_err err)
{
    struct tb_str why = x->run.problem.detail;
    if (why.at == NULL)
        why = tb_str(err->title);
    size_t n = why.n < TB_TRACE_WHY_BYTES ? why.n : TB_TRACE_WHY_BYTES - 1;
    while (n < why.n && n > 0 && ((unsigned char)why.at[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    memcpy(x->trace.why, why.at, n);
    x->trace.why[n] = '\0';
    x->trace.refused_by = (uint8_t)stage;
}

tb_err TB_SUSPENDS tb_pipeline_run(struct tb_exchange *x)
{
    uint64_t before = tb_ticks();
    for (size_t i = 0; i < TB_COUNT(STAGES); i++) {
        tb_err err = STAGES[i].run(x);
        uint64_t after = tb_ticks();
        x->trace.ticks[i] = after - before;
        x->trace.verdict[i] = err == NULL ? TB_VERDICT_PASS : TB_VERDICT_REFUSE;
        x->trace.stages_n = (uint8_t)(i + 1);
        before = after;
        if (err != NULL) {
            note_refusal(x, i, err);
            return err;
        }
    }
    return NULL;
}

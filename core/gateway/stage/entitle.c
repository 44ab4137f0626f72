/* Stage "entitle": whether the token's app may use this operation now, and in which world. Nothing
 * is allowed that was not agreed: scope of the token, state of app and partner, the bank's stop
 * switches, and an entitlement of the app for the product in this environment. */
#include "directory/entitlements.h"
#include "gateway/cors.h"
#include "gateway/gateway.h"
#include "ledger/world.h"
#include "oauth/scope.h"
#include <stdio.h>

tb_err TB_SUSPENDS tb_stage_entitle(struct tb_exchange *x)
{
    const struct tb_gateway_parts *parts = tb_gateway_parts(x->gateway);
    const struct tb_operation *operation = x->match.operation;
    const char *scope = operation->route->scope;
    struct tb_world world;
    struct tb_app app;
    x->limits = NULL;
    if (scope == NULL)
        return NULL;
    tb_cors_judge(x);
    if (!tb_grant_allows(x->grant, tb_str(scope)))
        return tb_fail(&x->run.req, TB_E_SCOPE_MISSING, "%s needs the scope %s", operation->key,
                       scope);
    TB_TRY(tb_world_find(&x->run.req, parts->worlds, x->grant->book, &world));
    x->world_offset_ms = world.clock_offset_ms;
    /* Last, because what it gives holds until the next wait, and stage "limit" wants it. */
    TB_TRY(tb_app_find(&x->run.req, parts->apps, x->grant->app, operation, &app));
    x->limits = app.limits;
    if (app.scope != NULL && !tb_scope_has(tb_str(app.scope), tb_str(scope)))
        return tb_fail(&x->run.req, TB_E_SCOPE_MISSING,
                       "%s needs the scope %s, which the app has not registered any more",
                       operation->key, scope);
    if (x->grant->cert.at == NULL && x->grant->dpop.at == NULL && !app.plain_tokens) {
        x->run.caller.cause = "bound to nobody, which the app's own setting does not allow";
        if (parts->config->sandbox)
            return tb_fail_at(&x->run.req, TB_E_TOKEN_INVALID, "authorization:",
                              "the access token is %s: register with plain_bearer_tokens: true, or "
                              "bind tokens to a key or certificate",
                              x->run.caller.cause);
        return tb_fail_at(&x->run.req, TB_E_TOKEN_INVALID, "authorization:", "%s",
                          TB_E_TOKEN_INVALID->title);
    }
    if (!app.active)
        return tb_fail(&x->run.req, TB_E_STOPPED, "the app or its partner is suspended");
    if (app.stopped != NULL) {
        snprintf(x->trace.cause, sizeof(x->trace.cause), "%s", app.stopped);
        return tb_fail(&x->run.req, TB_E_STOPPED, "the bank has stopped %s", operation->key);
    }
    if (!app.entitled && (operation->route->flags & TB_R_EVERY_APP) == 0)
        return tb_fail(&x->run.req, TB_E_NOT_ENTITLED,
                       "no entitlement of the app covers %s in the %s environment", operation->key,
                       x->grant->env == TB_ENV_LIVE ? "live" : "sandbox");
    return NULL;
}

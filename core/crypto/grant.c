/* One allocation holds the grant, its list of scopes and all texts, so that a cache of many
 * thousand grants stays compact and one free ends each. */
#include "crypto/grant.h"
#include "base/assert.h"
#include "base/mem.h"
#include <string.h>

/* Move `*text` behind `*to`. */
static void copy_text(struct tb_str *text, char **to)
{
    if (text->at == NULL)
        return;
    memcpy(*to, text->at, text->n);
    text->at = *to;
    *to += text->n;
}

struct tb_grant *tb_grant_new(const struct tb_grant *from)
{
    TB_ASSERT(from->scopes_n <= TB_GRANT_SCOPES_MAX);
    size_t head = sizeof(*from) + from->scopes_n * sizeof(from->scopes[0]);
    size_t bytes = head + from->partner.n + from->app.n + from->subject.n + from->jti.n +
                   from->family.n + from->consent.n + from->details.n + from->cert.n + from->dpop.n;
    for (size_t i = 0; i < from->scopes_n; i++)
        bytes += from->scopes[i].n;

    struct tb_grant *grant = tb_mem(bytes);
    struct tb_str *scopes = (struct tb_str *)(grant + 1);
    char *to = (char *)grant + head;
    *grant = *from;
    copy_text(&grant->partner, &to);
    copy_text(&grant->app, &to);
    copy_text(&grant->subject, &to);
    copy_text(&grant->jti, &to);
    copy_text(&grant->family, &to);
    copy_text(&grant->consent, &to);
    copy_text(&grant->details, &to);
    copy_text(&grant->cert, &to);
    copy_text(&grant->dpop, &to);
    for (size_t i = 0; i < from->scopes_n; i++) {
        scopes[i] = from->scopes[i];
        copy_text(&scopes[i], &to);
    }
    grant->scopes = scopes;
    grant->bytes = bytes;
    grant->refs = 1;
    return grant;
}

struct tb_grant *tb_grant_keep(struct tb_grant *grant)
{
    TB_ASSERT(grant->refs > 0 && grant->refs < UINT32_MAX);
    grant->refs++;
    return grant;
}

void tb_grant_drop(struct tb_grant *grant)
{
    if (grant == NULL)
        return;
    TB_ASSERT(grant->refs > 0);
    if (--grant->refs == 0)
        tb_mem_free(grant);
}

void tb_grant_drop_any(void *grant)
{
    tb_grant_drop(grant);
}

bool tb_grant_allows(const struct tb_grant *grant, struct tb_str scope)
{
    for (size_t i = 0; i < grant->scopes_n; i++)
        if (tb_str_eq(grant->scopes[i], scope))
            return true;
    return false;
}

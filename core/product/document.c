/* One section for each table a product has; a table it does not have leaves no trace. */
#include "product/document.h"

static void add(struct tb_text *out, const char *text)
{
    tb_text_add(out, tb_str(text));
}

static const char *or_dash(const char *text)
{
    return text == NULL ? "–" : text;
}

/* "payment|mandate" as "payment, mandate": a bar would end the cell. */
static void add_words(struct tb_text *out, const char *words)
{
    for (const char *c = or_dash(words); *c != '\0'; c++)
        add(out, *c == '|' ? ", " : (char[]){*c, '\0'});
}

static void add_routes(struct tb_text *out, const struct tb_plugin *plugin)
{
    add(out, "## Operations\n\n| operation | scope | consent | level | key | body | answer | |\n"
             "|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < plugin->routes_n; i++) {
        const struct tb_route *r = &plugin->routes[i];
        tb_text_add_format(out, "| `%s %s` | `%s` | ", r->method, r->path, or_dash(r->scope));
        add_words(out, r->consent);
        tb_text_add_format(out, " | A%d | %s | %s | %s | %s |\n", (int)r->level,
                           (r->flags & TB_R_KEY) != 0 ? "required" : "–", or_dash(r->body_schema),
                           or_dash(r->reply_schema), r->summary == NULL ? "" : r->summary);
    }
    add(out, "\n");
}

static void add_parameters(struct tb_text *out, const struct tb_plugin *plugin)
{
    for (size_t i = 0; i < plugin->routes_n; i++) {
        const struct tb_route *r = &plugin->routes[i];
        bool page = (r->flags & TB_R_PAGE) != 0;
        if (r->query == NULL && !page)
            continue;
        tb_text_add_format(out, "Query parameters of `%s %s`:\n\n", r->method, r->path);
        for (const struct tb_query_param *q = r->query; q != NULL && q->name != NULL; q++)
            tb_text_add_format(out, "- `%s`: %s\n", q->name, or_dash(q->doc));
        if (page)
            add(out, "- `limit` (1 to 100), `starting_after`, `ending_before`: the page.\n");
        add(out, "\n");
    }
}

static void add_life(struct tb_text *out, const struct tb_lifecycle *life)
{
    tb_text_add_format(out, "### %s\n\n```mermaid\nstateDiagram-v2\n    [*] --> %s\n",
                       life->resource, life->states[0]);
    for (const struct tb_edge *e = life->edges; e->from != NULL; e++)
        tb_text_add_format(out, "    %s --> %s: %s\n", e->from, e->to, or_dash(e->by));
    for (const char *const *t = life->terminal; *t != NULL; t++)
        tb_text_add_format(out, "    %s --> [*]\n", *t);
    add(out, "```\n\n");
}

static void add_consents(struct tb_text *out, const struct tb_plugin *plugin)
{
    add(out,
        "## Consents\n\nTypes of `authorization_details` (RFC 9396) that open its operations to a customer's "
        "token:\n\n| type | | implies | schema | the customer reads |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < plugin->detail_types_n; i++) {
        const struct tb_detail_type *t = &plugin->detail_types[i];
        tb_text_add_format(out, "| `%s` | %s | `%s` | %s | %s |\n", t->name, t->title.en, t->scope,
                           t->schema, t->question.en);
    }
    add(out, "\n");
}

static void add_errors(struct tb_text *out, const struct tb_plugin *plugin)
{
    add(out, "## Errors\n\nBesides those of the platform:\n\n| code | status | | what to do |\n"
             "|---|---|---|---|\n");
    for (size_t i = 0; i < plugin->errors_n; i++) {
        const struct tb_error *e = plugin->errors[i];
        tb_text_add_format(out, "| `%s` | %u | %s | %s |\n", e->code, e->status, e->title,
                           e->remedy);
    }
    add(out, "\n");
}

static void add_declines(struct tb_text *out, const struct tb_plugin *plugin)
{
    add(out,
        "## Declines\n\nWhat the bank declines is no error of the request: the resource is made, in state "
        "`failed`, and `failure.code` says why.\n\n| code | |\n|---|---|\n");
    for (size_t i = 0; i < plugin->declines_n; i++)
        tb_text_add_format(out, "| `%s` | %s |\n", plugin->declines[i].code,
                           or_dash(plugin->declines[i].doc));
    add(out, "\n");
}

static void add_rest(struct tb_text *out, const struct tb_plugin *plugin)
{
    if (plugin->events_n > 0)
        add(out, "## Events\n\n");
    for (size_t i = 0; i < plugin->events_n; i++)
        tb_text_add_format(out, "- `%s`: %s\n", plugin->events[i].type,
                           or_dash(plugin->events[i].doc));
    if (plugin->config_n > 0)
        add(out, "\n## Configuration\n\n| key | default | |\n|---|---|---|\n");
    for (size_t i = 0; i < plugin->config_n; i++)
        tb_text_add_format(out, "| `plugins.%s.%s` | `%s` | %s |\n", plugin->name,
                           plugin->config[i].key, plugin->config[i].default_text,
                           plugin->config[i].doc);
}

void tb_plugin_document(struct tb_text *out, const struct tb_plugin *plugin)
{
    tb_text_add_format(out, "# %s (`%s` %s)\n\n", plugin->title, plugin->name, plugin->version);
    if (plugin->routes_n > 0)
        add_routes(out, plugin);
    add_parameters(out, plugin);
    if (plugin->states_n > 0)
        add(out, "## Lives\n\n");
    for (size_t i = 0; i < plugin->states_n; i++)
        add_life(out, &plugin->states[i]);
    if (plugin->detail_types_n > 0)
        add_consents(out, plugin);
    if (plugin->errors_n > 0)
        add_errors(out, plugin);
    if (plugin->declines_n > 0)
        add_declines(out, plugin);
    add_rest(out, plugin);
}

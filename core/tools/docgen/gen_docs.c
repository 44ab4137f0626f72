/* tongbao-docs: writes the generated pages to stdout. `errors` is docs/errors.md, `config` is
 * docs/configuration.md, `metrics` is docs/metrics.md, `script` is lua/api.md; a test fails when
 * the pages in the tree are not what this prints. */
#include "base/metrics.h"
#include "config/config_impl.h"
#include "oauth/errors.h"
#include "tools/docgen/gen_script_page.h"
#include <string.h>
#include <tongbao/error.h>
#include <unistd.h>

/* ---- errors ---- */

static const struct tb_error *const core_errors[] = {
#define TB_ERROR(name, ...) TB_E_##name,
#include <tongbao/errors.def>
#undef TB_ERROR
};

static const struct tb_error *const oauth_errors[] = {
#define TB_OAUTH_ERROR(name, ...) TB_E_##name,
#include "oauth/oauth_errors.def"
#undef TB_OAUTH_ERROR
};

static const char errors_head[] =
    "# Errors\n\n"
    "<!-- Generated from core/include/tongbao/errors.def and core/oauth/oauth_errors.def by "
    "tongbao-docs. -->\n\n"
    "Every refusal is an `application/problem+json` document (RFC 9457). Program against `code`: codes\n"
    "are never renamed and never reused. `retryable` says that the same request may succeed later,\n"
    "unchanged and, for a money write, with the same `Idempotency-Key`. A declined payment is not an\n"
    "error but a payment in state `failed`. Errors of a product are described with the product.\n\n";

static const char oauth_head[] =
    "\n## The authorization server\n\n"
    "The endpoints below `/oauth/` that clients call fail as OAuth says (RFC 6749 §5.2):\n"
    "`{\"error\": code, \"error_description\": words}`, by these codes of the OAuth registries. Where\n"
    "one of the errors above stops such a request, `error` is `temporarily_unavailable` (429, 503,\n"
    "504), `server_error` (other 5xx) or `invalid_request`.\n\n";

static void write_table(struct tb_text *out, const struct tb_error *const *errors, size_t n)
{
    tb_text_add(out, TB_STR("| code | status | retryable | meaning | what to do |\n"
                            "|---|---|---|---|---|\n"));
    for (size_t i = 0; i < n; i++)
        tb_text_add_format(out, "| `%s` | %d | %s | %s | %s |\n", errors[i]->code,
                           (int)errors[i]->status, errors[i]->retryable ? "yes" : "no",
                           errors[i]->title, errors[i]->remedy);
}

static void write_errors(struct tb_text *out)
{
    tb_text_add(out, tb_str(errors_head));
    write_table(out, core_errors, TB_COUNT(core_errors));
    tb_text_add(out, tb_str(oauth_head));
    write_table(out, oauth_errors, TB_COUNT(oauth_errors));
}

/* ---- configuration ---- */

static const char config_head[] =
    "# Configuration\n\n"
    "<!-- Generated from core/config/config.def by tongbao-docs. -->\n\n"
    "One YAML file; `tongbao config --explain` shows the values in force and where each comes from. A\n"
    "key is looked for in the environment (`TB_LISTEN_PORT` for `listen.port`), then in the file, then\n"
    "here. Keys may be nested or joined with dots. Unknown keys, keys given twice, anchors, aliases and\n"
    "tags are errors. Keys of a product stand below `plugins.<name>.` and are described with the\n"
    "product.\n\n"
    "\"Change\" says what a new value needs: a reload (`SIGHUP`) or a restart.\n\n"
    "| key | meaning | takes | default | change |\n|---|---|---|---|---|\n";

static void write_config(struct tb_text *out)
{
    size_t rows_n;
    const struct tb_config_row *rows = tb_config_rows(&rows_n);
    tb_text_add(out, tb_str(config_head));
    for (size_t i = 0; i < rows_n; i++) {
        const char *value = rows[i].default_text;
        bool reload = (rows[i].flags & TB_CONFIG_RELOAD) != 0;
        tb_text_add_format(out, "| `%s` | %s | ", rows[i].key, rows[i].doc);
        tb_config_expects(&rows[i], out);
        if (value[0] == '\0')
            tb_text_add(out, TB_STR(" | empty | "));
        else
            tb_text_add_format(out, " | `%s` | ", value);
        tb_text_add(out, reload ? TB_STR("reload |\n") : TB_STR("restart |\n"));
    }
}

/* ---- the command ---- */

static bool write_all(int fd, struct tb_str text)
{
    while (text.n > 0) {
        ssize_t written = write(fd, text.at, text.n);
        if (written <= 0)
            return false;
        text = (struct tb_str){text.at + written, text.n - (size_t)written};
    }
    return true;
}

int main(int argc, char **argv)
{
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text page;
    char why[512] = "usage: tongbao-docs errors|config|metrics|script";
    bool good = true;
    tb_text_init(&page, arena);
    if (argc == 2 && strcmp(argv[1], "errors") == 0)
        write_errors(&page);
    else if (argc == 2 && strcmp(argv[1], "config") == 0)
        write_config(&page);
    else if (argc == 2 && strcmp(argv[1], "metrics") == 0)
        tb_metrics_document(&page);
    else if (argc == 2 && strcmp(argv[1], "script") == 0)
        good = tb_script_page(&page, TB_SOURCE_DIR, why, sizeof(why));
    struct tb_str text = tb_text_end(&page);
    good = good && text.n > 0;
    if (good)
        good = write_all(STDOUT_FILENO, text);
    else
        (void)!(write_all(STDERR_FILENO, tb_str(why)) && write_all(STDERR_FILENO, TB_STR("\n")));
    tb_arena_free(arena);
    return good ? 0 : 2;
}

/* tongbao audit: prove from the rows alone that the books are right. */
#include "cli/job.h"
#include "cli/print.h"
#include "runtime/run.h"
#include <jansson.h>
#include <stdio.h>

enum { SQL_BYTES = 256, VIOLATIONS_SHOWN = 1000 };

static const char SQL_BOOKS[] = "select book from bank.book order by book";
static const char SQL_LEDGER[] =
    "select 'ledger', a.invariant, a.object, a.detail from bank.audit($1) a limit 1001";
static const char SQL_PRODUCTS[] =
    "select replace(n.nspname, '_', '-') from pg_proc p join pg_namespace n on n.oid = "
    "p.pronamespace where p.proname = 'audit' and n.nspname not in ('bank', 'pg_catalog') and "
    "p.proargtypes[0] = 'int4'::regtype and p.pronargs = 1 order by 1";

static const char SQL_ACTS[] =
    "select 'acts', a.invariant, a.object, a.detail from oauth.audit() a limit 1001";
static const char SQL_NEWEST_ACT[] =
    "select n, encode(hash, 'hex') from tb.audit_entry order by n desc limit 1";

struct result {
    json_t *violations;
    size_t books_n;
    int64_t acts_n;
    char newest[65]; /* hash of the newest act; "" when there are none */
};

static json_t *text_or_null(struct tb_str text)
{
    return text.at == NULL ? json_null() : json_stringn(text.at, text.n);
}

static void add_violations(struct result *result, int64_t book, const struct tb_rows *rows)
{
    for (size_t i = 0; i < rows->n && i < VIOLATIONS_SHOWN; i++)
        json_array_append_new(result->violations,
                              json_pack("{s:I, s:o, s:o, s:o, s:o}", "book", (json_int_t)book, "of",
                                        text_or_null(tb_cell(rows, i, 0)), "invariant",
                                        text_or_null(tb_cell(rows, i, 1)), "object",
                                        text_or_null(tb_cell(rows, i, 2)), "detail",
                                        text_or_null(tb_cell(rows, i, 3))));
}

/* The store knows a statement by its address, so each product's stays where it is. */
static char statements[TB_PRODUCTS_MAX][SQL_BYTES];

/* Call the audit function of the p-th product. Its schema's name comes from the catalogue. */
static tb_err TB_SUSPENDS audit_product(struct tb_req *req, struct result *result, int64_t book,
                                        struct tb_str product, size_t p)
{
    char schema[64] = "";
    struct tb_rows *rows;
    for (size_t i = 0; i < product.n && i < sizeof(schema) - 1; i++)
        schema[i] = product.at[i] == '-' ? '_' : product.at[i];
    snprintf(statements[p], SQL_BYTES,
             "select '%.*s', a.invariant, a.object, a.detail from \"%s\".audit($1) a limit 1001",
             (int)product.n, product.at, schema);
    TB_TRY(tb_query(req, &rows, statements[p], TB_INT(book)));
    add_violations(result, book, rows);
    return NULL;
}

/* The record of acts belongs to no book. */
static tb_err TB_SUSPENDS audit_acts(struct tb_req *req, struct result *result)
{
    struct tb_rows *rows;
    TB_TRY(tb_query_params(req, &rows, SQL_ACTS, NULL, 0));
    add_violations(result, 0, rows);
    TB_TRY(tb_query_params(req, &rows, SQL_NEWEST_ACT, NULL, 0));
    if (rows->n == 0)
        return NULL;
    struct tb_str hash = tb_cell(rows, 0, 1);
    result->acts_n = tb_cell_int(rows, 0, 0);
    snprintf(result->newest, sizeof(result->newest), "%.*s", (int)hash.n, hash.at);
    return NULL;
}

static tb_err TB_SUSPENDS examine(struct tb_req *req, struct tb_command_job *job)
{
    struct result *result = job->mine;
    struct tb_rows *books, *products, *rows;
    TB_TRY(tb_query_params(req, &books, SQL_BOOKS, NULL, 0));
    TB_TRY(tb_query_params(req, &products, SQL_PRODUCTS, NULL, 0));
    if (products->n > TB_PRODUCTS_MAX)
        return tb_fail(req, TB_E_INTERNAL, "there are %zu products, and %d can be audited",
                       products->n, TB_PRODUCTS_MAX);
    TB_TRY(audit_acts(req, result));
    result->books_n = books->n;
    for (size_t b = 0; b < books->n; b++) {
        int64_t book = tb_cell_int(books, b, 0);
        TB_TRY(tb_query(req, &rows, SQL_LEDGER, TB_INT(book)));
        add_violations(result, book, rows);
        for (size_t p = 0; p < products->n; p++)
            TB_TRY(audit_product(req, result, book, tb_cell(products, p, 0), p));
    }
    return NULL;
}

static void print_violations(const struct result *result)
{
    tb_print("%-6s %-12s %-28s %-32s %s\n", "book", "of", "invariant", "object", "what is wrong");
    for (size_t i = 0; i < json_array_size(result->violations); i++) {
        json_t *v = json_array_get(result->violations, i);
        const char *object = json_string_value(json_object_get(v, "object"));
        const char *detail = json_string_value(json_object_get(v, "detail"));
        tb_print("%-6lld %-12s %-28s %-32s %s\n",
                 (long long)json_integer_value(json_object_get(v, "book")),
                 json_string_value(json_object_get(v, "of")),
                 json_string_value(json_object_get(v, "invariant")), object == NULL ? "" : object,
                 detail == NULL ? "" : detail);
    }
}

static void print_table(const struct result *result)
{
    size_t n = json_array_size(result->violations);
    if (n > 0)
        print_violations(result);
    if (result->acts_n > 0)
        tb_print("acts: %lld, the newest has the hash %s\n", (long long)result->acts_n,
                 result->newest);
    if (n == 0)
        tb_print("audit: %zu books, nothing wrong\n", result->books_n);
    else
        tb_print("audit: %zu books, %zu violations\n", result->books_n, n);
}

static int audit(struct tb_cli *cli)
{
    struct result result = {.violations = json_array()};
    int exit_code = tb_command_job_run(cli, examine, &result);
    if (exit_code == TB_EXIT_OK && cli->json) {
        tb_print_json(result.violations, JSON_INDENT(2));
    } else if (exit_code == TB_EXIT_OK) {
        print_table(&result);
    }
    if (exit_code == TB_EXIT_OK && json_array_size(result.violations) > 0)
        exit_code = TB_EXIT_FOUND;
    json_decref(result.violations);
    return exit_code;
}

const struct tb_command tb_command_audit = {
    .name = "audit",
    .summary = "check every invariant of the books; exit 1 and a table when one is broken",
    .about =
        "Reads only. Checks from the rows alone: transfers sum to zero, balances are the sums of\n"
        "their entries, versions have no gaps, holds are released once, seals are intact, and\n"
        "what each product promises of its own rows; and that the record of acts is a whole chain.\n"
        "Its newest hash is printed: kept elsewhere, it shows whether the chain was ever rewritten.",
    .example = "tongbao audit --json",
    .run = audit,
};

#include "../unit.h"

#include "calls_fixture.h"

#include "store/migrate.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

struct stage stage;

/* Body: {"v": value, "do": what}. `do` is nothing, "raise", "state XXXXX" (raise with that
 * SQLSTATE), "decline", "strange", "sleep" (ms in v), "sleep and raise" or "conflict" (the first v
 * tries of the whole test). */
static const char SCHEMA[] =
    "create schema t; create table t.thing (book int, v int, batch bigint);"
    "create sequence t.tries;"
    "create function t.put(book int, calls tb.call[]) returns setof tb.answer language plpgsql as $$"
    " declare c tb.call; what text; v int; n int;"
    " begin"
    "  foreach c in array calls loop"
    "   what := coalesce(c.body->>'do', ''); v := coalesce((c.body->>'v')::int, 0);"
    "   if what = 'raise' then raise 'poison' using errcode = 'P0042'; end if;"
    "   if what like 'state %' then raise 'told to' using errcode = substr(what, 7); end if;"
    "   if what like 'sleep%' then perform pg_sleep(v / 1000.0); end if;"
    "   if what = 'sleep and raise' then raise 'poison' using errcode = 'P0042'; end if;"
    "   if what = 'conflict' then n := nextval('t.tries');"
    "    if n <= v then raise 'conflict' using errcode = '40001'; end if; end if;"
    "   if what = 'decline' then"
    "    return next row(c.n, 409, 'duplicate_reference', 'taken', '/v', '/t/v1/things/1', null,"
    "                    '{\"first\":1}', false)::tb.answer; continue; end if;"
    "   if what = 'strange' then"
    "    return next row(c.n, 418, 'teapot', null, null, null, null, null, false)::tb.answer;"
    "    continue; end if;"
    "   insert into t.thing values (put.book, v, txid_current());"
    "   return next row(c.n, 201, null, null, null, '/t/v1/things/' || v, '{\"v\":' || v || '}',"
    "                   null, false)::tb.answer;"
    "  end loop;"
    " end $$;"
    "create function t.lazy(book int, calls tb.call[]) returns setof tb.answer language sql as"
    " $$ select (x).* from t.put(book, calls) x limit 1 $$;"
    "create function t.deadlock(book int, calls tb.call[]) returns setof tb.answer language plpgsql"
    " as $$ declare first int := case when (calls[1].body->>'v')::int % 2 = 0 then 1 else 2 end;"
    " begin"
    "  perform pg_advisory_xact_lock(first); perform pg_sleep(0.15);"
    "  perform pg_advisory_xact_lock(3 - first);"
    "  return query select * from t.put(book, calls);"
    " end $$;";

static tb_err apply_migrations(struct tb_req *req, void *store)
{
    const struct tb_migration_set set = {"store", tb_store_migrations};
    return tb_migrate(req, store, &set, 1, NULL, NULL);
}

int calls_set_up(void **state)
{
    (void)state;
    pg_make(&stage.pg, false);
    stage_open(&stage, (struct tb_store_options){0});
    assert_null(tb_run_to_end(stage.loop, apply_migrations, stage.store, 0));
    stage_close(&stage);
    pg_do(&stage.pg, SCHEMA);
    return 0;
}

int calls_tear_down(void **state)
{
    (void)state;
    pg_remove(&stage.pg);
    return 0;
}

int calls_clean(void **state)
{
    (void)state;
    pg_do(&stage.pg, "truncate t.thing, tb.idempotency_key; alter sequence t.tries restart");
    return 0;
}

struct actor actors[MANY];

struct actor *cast(size_t i, const char *key, const char *what, long v)
{
    struct actor *actor = &actors[i];
    memset(actor, 0, sizeof(*actor));
    snprintf(actor->key, sizeof(actor->key), "%s", key);
    snprintf(actor->body, sizeof(actor->body), "{\"v\":%ld,\"do\":\"%s\"}", v, what);
    return actor;
}

long long things(void)
{
    return pg_number(&stage.pg, "select count(*) from t.thing");
}

void until_sent(size_t n)
{
    for (int turns = 0; tb_store_stats(stage.store).calls_in_flight < n; turns++) {
        assert_true(turns < 1000);
        tb_loop_turn(stage.loop, 5);
    }
}

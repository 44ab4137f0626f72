"""Rules that every table and function keeps."""
import psycopg2

BOOKED = "('tb', 'bank', 'event', 'script', 'e_payment')"
SCHEMAS = "('tb', 'bank', 'oauth', 'consent', 'directory', 'event', 'script', 'e_payment')"    # those of oauth belong to apps and users, in whatever book
SHARED = ("tb.job", "tb.audit_entry", "bank.currency", "bank.world", "bank.partner", "bank.app", "bank.app_limit", "bank.entitlement", "bank.stop", "bank.quota", "e_payment.state", "script.counter", "bank.source_kind")


def test_plpgsql_check_finds_nothing(books):
    books.query("create extension plpgsql_check")
    found = books.query(f"""
        select p.oid::regprocedure::text as function, c as finding
          from pg_proc p, lateral plpgsql_check_function(p.oid, extra_warnings => false) c
         where p.pronamespace::regnamespace::text in {SCHEMAS}
           and p.prolang = (select oid from pg_language where lanname = 'plpgsql')""")
    assert found == []


def test_every_key_and_unique_constraint_starts_with_the_book(books):
    keys = books.query(f"""
        select i.indrelid::regclass::text as "table", a.attname as first
          from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indisunique and i.indrelid::regclass::text not like 'pg\\_%%'
           and (select relnamespace::regnamespace::text from pg_class where oid = i.indrelid) in {BOOKED}""".replace("%%", "%"))
    assert len(keys) > 10
    assert [k for k in keys if k["first"] != "book" and k["table"] not in SHARED] == []


def test_no_function_asks_the_server_for_the_time_or_runs_dynamic_sql(books):
    found = books.query(f"""
        select p.oid::regprocedure::text as function from pg_proc p
         where p.pronamespace::regnamespace::text in {SCHEMAS}
           and coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~* '\\m(now\\(\\)|current_timestamp|clock_timestamp|statement_timestamp|execute)\\M'""")
    assert found == []


def test_every_function_pins_its_search_path_or_is_bound_when_it_is_made(books):
    found = books.query(f"""
        select p.oid::regprocedure::text as function from pg_proc p
         where p.pronamespace::regnamespace::text in {SCHEMAS}
           and p.prosqlbody is null and not 'search_path=pg_catalog' = any (coalesce(p.proconfig, '{{}}'))""")
    assert found == []


def test_there_are_no_triggers_no_sequences_and_no_column_in_another_collation(books):
    assert books.query(f"select tgname from pg_trigger where not tgisinternal") == []
    assert books.query(f"select relname from pg_class where relkind = 'S' and relnamespace::regnamespace::text in {SCHEMAS}") == []
    ids = books.query(f"""
        select c.oid::regclass::text as "table", a.attname as "column"
          from pg_class c join pg_index i on i.indrelid = c.oid join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace::regnamespace::text in {SCHEMAS} and a.attnum = any (i.indkey)
           and a.atttypid = 'text'::regtype and a.attcollation <> 'pg_catalog."C"'::regcollation""")
    assert ids == []


def test_the_hot_probes_use_their_unique_index_on_a_fresh_database(books):
    """On tables that were never vacuumed; a wrong index here makes every payment read its partner's whole past."""
    plans = {
        "payment_reference":
            "select id from e_payment.payment where book = $1 and partner = $2 and reference = $3",
        "idempotency_key_pkey": "select status from tb.idempotency_key where book = $1 and (partner, route, key) = ($2, $3, 'k')",
        "transfer_pkey": "select true from bank.transfer where book = $1 and id = $2 and $3 <> ''",
    }
    books.query("set plan_cache_mode = force_generic_plan")
    books.query("set enable_seqscan = off")
    for n, (index, sql) in enumerate(plans.items()):
        books.query(f"prepare p{n}(int, text, text) as {sql}")
        plan = "\n".join(r["QUERY PLAN"] for r in books.query(f"explain execute p{n}(1, 'x', 'y')"))
        assert f"using {index} " in plan, plan

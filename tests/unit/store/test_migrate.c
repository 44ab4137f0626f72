/* Migrations: in order, once, each whole or not at all, and no surprises in either direction. */
#include "../unit.h"

#include "store/migrate.h"
#include "store_fixture.h"
#include <stdio.h>
#include <string.h>
#include <tongbao/plugin.h>

static struct stage stage;
static char steps[512];

static int make_cluster(void **state)
{
    (void)state;
    pg_make(&stage.pg, false);
    return 0;
}

static int remove_cluster(void **state)
{
    (void)state;
    pg_remove(&stage.pg);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    pg_do(&stage.pg, "drop schema if exists tb cascade; drop schema if exists a cascade;"
                     " drop schema if exists b cascade");
    steps[0] = '\0';
    stage_open(&stage, (struct tb_store_options){.connections = 3});
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    stage_close(&stage);
    return 0;
}

#define A1                                                                                         \
    {                                                                                              \
        1, "begin", "create schema a; create table a.t (x int); insert into a.t values (1);"       \
    }
#define A2                                                                                         \
    {                                                                                              \
        2, "more", "-- more\nupdate a.t set x = 2;\ninsert into a.t values (3);"                   \
    }
#define A3                                                                                         \
    {                                                                                              \
        3, "third", "insert into a.t values (4)"                                                   \
    }
#define END                                                                                        \
    {                                                                                              \
        0, NULL, NULL                                                                              \
    }

static const struct tb_migration two[] = {A1, A2, END};
static const struct tb_migration three[] = {A1, A2, A3, END};
static const struct tb_migration changed[] = {A1, {2, "more", "update a.t set x = 9"}, END};
static const struct tb_migration gap[] = {A1, A3, END};
static const struct tb_migration broken[] = {
    A1, {2, "more", "insert into a.t values (7);\nselect 1;\nselect nonsense from a.t;"}, END};
static const struct tb_migration breaking[] = {
    A1, A2, {3, "drop", "-- drops\n-- breaks: 3\ndrop table a.t"}, END};
static const struct tb_migration other[] = {{1, "begin", "create schema b"}, END};

static void note(const struct tb_migration_step *step, void *arg)
{
    (void)arg;
    size_t n = strlen(steps);
    snprintf(steps + n, sizeof(steps) - n, "%s%u%s ", step->set, step->number,
             step->applied ? "+" : "=");
}

static const struct tb_migration_set *sets;
static size_t sets_n;

static tb_err act_migrate(struct actor *actor)
{
    return tb_migrate(&actor->run.req, stage.store, sets, sets_n, note, NULL);
}

static tb_err act_check(struct actor *actor)
{
    return tb_migrate_check(&actor->run.req, stage.store, sets, sets_n);
}

static char words[512];

static tb_err keep_words(struct actor *actor, tb_err err)
{
    struct tb_str detail = actor->run.problem.detail;
    snprintf(words, sizeof(words), "%.*s", (int)detail.n, detail.at == NULL ? "" : detail.at);
    return err;
}

static tb_err act_migrate_words(struct actor *actor)
{
    return keep_words(actor, act_migrate(actor));
}

static tb_err act_check_words(struct actor *actor)
{
    return keep_words(actor, act_check(actor));
}

static tb_err migrate(const struct tb_migration_set *which, size_t n)
{
    struct actor actor = {0};
    sets = which;
    sets_n = n;
    return stage_do(&stage, &actor, act_migrate_words, 0);
}

static tb_err check(const struct tb_migration *migrations)
{
    struct actor actor = {0};
    const struct tb_migration_set set = {"a", migrations};
    sets = &set;
    sets_n = 1;
    return stage_do(&stage, &actor, act_check_words, 0);
}

static tb_err migrate_one(const struct tb_migration *migrations)
{
    const struct tb_migration_set set = {"a", migrations};
    return migrate(&set, 1);
}

static void applies_what_is_missing_in_order_and_once(void **state)
{
    (void)state;
    const struct tb_migration_set both[] = {{"a", two}, {"b", other}};
    assert_null(migrate(both, 2));
    assert_string_equal(steps, "a1+ a2+ b1+ ");
    assert_int_equal(pg_number(&stage.pg, "select sum(x) from a.t"), 5);
    steps[0] = '\0';
    const struct tb_migration_set more[] = {{"a", three}, {"b", other}};
    assert_null(migrate(more, 2));
    assert_string_equal(steps, "a1= a2= a3+ b1= ");
    assert_int_equal(pg_number(&stage.pg, "select sum(x) from a.t"), 9);
    assert_int_equal(pg_number(&stage.pg, "select count(*) from tb.migration where length(sum) = 64"
                                          " and name <> ''"),
                     4);
}

static void takes_the_store_s_own_from_nothing(void **state)
{
    (void)state;
    const struct tb_migration_set set = {"store", tb_store_migrations};
    assert_null(migrate(&set, 1));
    assert_null(migrate(&set, 1));
    assert_int_equal(pg_number(&stage.pg, "select count(*) from tb.idempotency_key"), 0);
}

static void refuses_a_file_that_was_changed(void **state)
{
    (void)state;
    const struct tb_migration_set sets_with_news[] = {{"b", other}, {"a", changed}};
    assert_null(migrate_one(two));
    assert_true(tb_is(migrate(sets_with_news, 2), TB_E_CONFLICT));
    assert_non_null(strstr(words, "a/0002_more"));
    assert_int_equal(pg_number(&stage.pg, "select count(*) from tb.migration"),
                     2); /* b waits too */
    assert_true(tb_is(check(changed), TB_E_CONFLICT));
}

static void refuses_a_gap(void **state)
{
    (void)state;
    assert_true(tb_is(migrate_one(gap), TB_E_CONFLICT));
    assert_non_null(strstr(words, "migration 2 of a"));
    assert_null(migrate_one(three));
    pg_do(&stage.pg, "delete from tb.migration where number = 2");
    assert_true(tb_is(migrate_one(three), TB_E_CONFLICT));
    assert_non_null(strstr(words, "never applied"));
}

static void undoes_a_file_that_fails_and_says_where(void **state)
{
    (void)state;
    assert_true(tb_is(migrate_one(broken), TB_E_INTERNAL));
    assert_non_null(strstr(words, "a/0002_more.sql, line 3"));
    assert_non_null(strstr(words, "nonsense"));
    assert_string_equal(steps, "a1+ ");
    assert_int_equal(pg_number(&stage.pg, "select sum(x) from a.t"), 1);
    assert_null(migrate_one(two)); /* repaired, it goes on */
}

static void lets_older_programs_run_unless_a_file_breaks_them(void **state)
{
    (void)state;
    assert_true(tb_is(check(two), TB_E_CONFLICT));
    assert_non_null(strstr(words, "tongbao migrate"));
    assert_null(migrate_one(two));
    assert_null(check(two));
    assert_true(tb_is(check(three), TB_E_CONFLICT));
    assert_null(migrate_one(three));
    assert_null(check(three));
    assert_null(check(two));
    assert_null(migrate_one(two));

    pg_do(&stage.pg, "delete from tb.migration where number = 3");
    assert_null(migrate_one(breaking));
    assert_null(check(breaking));
    assert_true(tb_is(check(two), TB_E_CONFLICT));
    assert_non_null(strstr(words, "newer program"));
    assert_true(tb_is(migrate_one(two), TB_E_CONFLICT));
}

/* A file of nothing but a comment is applied as any; the comment may end without a line's end. */
static void applies_a_file_that_only_says_something(void **state)
{
    (void)state;
    static const struct tb_migration only_words[] = {A1, {2, "words", "-- nothing to do"}, END};
    assert_null(migrate_one(only_words));
    assert_null(check(only_words));
    assert_string_equal(steps, "a1+ a2+ ");
    assert_int_equal(pg_number(&stage.pg, "select breaks from tb.migration where number = 2"), 0);
}

static tb_err act_migrate_unheard(struct actor *actor)
{
    return keep_words(actor, tb_migrate(&actor->run.req, stage.store, sets, sets_n, NULL, NULL));
}

static void blames_no_line_for_a_lost_session(void **state)
{
    (void)state;
    static const struct tb_migration lost[] = {
        A1, {2, "lost", "copy a.t to stdout; insert into a.t values (5)"}, END};
    const struct tb_migration_set set = {"a", lost};
    struct actor actor = {0};
    sets = &set;
    sets_n = 1;
    assert_true(tb_is(stage_do(&stage, &actor, act_migrate_unheard, 0), TB_E_STORE));
    assert_string_equal(words, "");
    assert_int_equal(pg_number(&stage.pg, "select count(*) from tb.migration"), 1);
}

static void lets_others_wait_who_migrate_at_the_same_time(void **state)
{
    (void)state;
    static struct actor actors[3];
    const struct tb_migration_set set = {"a", three};
    memset(actors, 0, sizeof(actors));
    sets = &set;
    sets_n = 1;
    for (size_t i = 0; i < 3; i++)
        stage_start(&stage, &actors[i], act_migrate, 0);
    stage_wait(&stage, actors, 3);
    for (size_t i = 0; i < 3; i++)
        assert_null(actors[i].err);
    assert_int_equal(pg_number(&stage.pg, "select sum(x) from a.t"), 9);
    size_t applied = 0;
    for (const char *at = steps; (at = strchr(at, '+')) != NULL; at++)
        applied++;
    assert_int_equal(applied, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, clean, close_stage)
static const struct CMUnitTest tests[] = {
    CASE(applies_what_is_missing_in_order_and_once),
    CASE(takes_the_store_s_own_from_nothing),
    CASE(refuses_a_file_that_was_changed),
    CASE(refuses_a_gap),
    CASE(undoes_a_file_that_fails_and_says_where),
    CASE(lets_older_programs_run_unless_a_file_breaks_them),
    CASE(applies_a_file_that_only_says_something),
    CASE(blames_no_line_for_a_lost_session),
    CASE(lets_others_wait_who_migrate_at_the_same_time),
};
TEST_GROUP(tests, make_cluster, remove_cluster);

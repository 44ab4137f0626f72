#include "../unit.h"

#include "token_fixture.h"

#include <stdio.h>
#include <string.h>

struct fixture fixture;
struct tb_arena *arena;

int counter_open(void **state)
{
    (void)state;
    fixture_open(&fixture, true);
    arena = tb_arena_new(TB_ARENA_CAP * 16);
    pg_do(&fixture.pg,
          "insert into bank.world (id, name, kind, created_at) values "
          "('wld_1', 'one', 'sandbox', now()), ('wld_2', 'two', 'live', now());"
          "insert into bank.book (book, world) values (7, 'wld_1'), (9, 'wld_1'), (8, 'wld_2');"
          "insert into bank.partner (id, name, created_at) values ('ptr_1', 'One', now())");
    return 0;
}

int counter_close(void **state)
{
    (void)state;
    tb_arena_free(arena);
    fixture_close(&fixture);
    return 0;
}

int counter_empty(void **state)
{
    (void)state;
    pg_do(&fixture.pg, "truncate oauth.used_jti, oauth.jwks, bank.app cascade; "
                       "update bank.partner set state = 'active'");
    return 0;
}

void add_client_in(const char *world, const char *metadata)
{
    struct tb_str sql = tb_arena_format(
        arena,
        "insert into bank.app (id, partner, world, name, created_at) values ('" CLIENT
        "', 'ptr_1', '%s', 'app', now());"
        "insert into oauth.client (app, metadata, created_at, updated_at) values ('" CLIENT
        "', '%s', now(), now())",
        world, metadata);
    pg_do(&fixture.pg, sql.at);
}

void add_client(const char *metadata)
{
    add_client_in("wld_1", metadata);
}

static tb_err TB_SUSPENDS act(struct visit *visit)
{
    struct tb_form form;
    struct tb_oauth_client *client;
    TB_TRY(tb_form_read(&visit->run.req, &form));
    tb_err err = tb_client_authenticate(&visit->run.req, &form, &client);
    assert_true((err == NULL) == (client != NULL));
    if (err == NULL)
        snprintf(((struct asking *)visit)->client, 64, "%s", client->id.at);
    return err;
}

struct asking asking_of(struct tb_str body)
{
    struct asking asking = {
        .visit.in = {.method = TB_STR("POST"),
                     .path = TB_STR("/oauth/token"),
                     .raw_path = TB_STR("/oauth/token"),
                     .content_type = TB_STR("application/x-www-form-urlencoded"),
                     .body = body}};
    return asking;
}

/* "ok" or the code of the error; and a refusal says nothing of its cause. */
const char *ask(struct asking *asking)
{
    const char *outcome = fixture_do(&fixture, &asking->visit, act);
    if (strcmp(outcome, "invalid_client") == 0)
        assert_string_equal(asking->visit.detail, "the client could not be authenticated");
    if (strcmp(outcome, "ok") == 0)
        assert_string_equal(asking->client, CLIENT);
    return outcome;
}

const char *ask_with(struct tb_str body)
{
    struct asking asking = asking_of(body);
    return ask(&asking);
}

void ask_start(struct asking *asking)
{
    fixture_start(&fixture, &asking->visit, act);
}

#include "../unit.h"

#include "oauth/token/dpop.h"
#include "par_fixture.h"

#include "base/text.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "oauth/request/details.h"
#include "oauth/request/par.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789a"

void scene_open(struct scene *scene)
{
    fixture_open(&scene->fixture, true);
    scene->arena = tb_arena_new(TB_ARENA_CAP * 16);
    scene->key = tb_key_make(TB_ALG_ES256);
    scene->rsa = tb_key_make(TB_ALG_PS256);
    scene->stranger = tb_key_make(TB_ALG_ES256);
    scene->fixture.parts.scopes = TB_STR("openid accounts:read e-payment:read e-payment:write");
    tb_oauth_open(&scene->fixture.parts);
    tb_dpop_open(&scene->fixture.parts.master);
    pg_do(&scene->fixture.pg,
          "insert into bank.world (id, name, kind, created_at) values "
          "('wld_1', 'one', 'sandbox', now()), ('wld_2', 'two', 'sandbox', now());"
          "insert into bank.book (book, world) values (7, 'wld_1'), (8, 'wld_2');"
          "insert into bank.partner (id, name, created_at) values ('ptr_1', 'One', now());"
          "insert into bank.app (id, partner, world, name, created_at) values "
          "('" CLIENT "', 'ptr_1', 'wld_1', 'app', now()),"
          "('" OTHER "', 'ptr_1', 'wld_1', 'other', now());"
          "insert into bank.party (book, id, kind, name, created_at) values "
          "(7, 'pty_1', 'company', 'Company', now()), (8, 'pty_1', 'company', 'Far', now());"
          "insert into oauth.user_account (id, book, login, name, company, role, password, secret,"
          " created_at) values "
          "('" CUSTOMER "', 7, 'wei@w7', 'Wei', 'pty_1', 'initiator', 'x', 'x', now()),"
          "('usr_2', 7, 'locked@w7', 'Lu', 'pty_1', 'initiator', 'x', 'x', now()),"
          "('usr_3', 8, 'far@w8', 'Fan', 'pty_1', 'initiator', 'x', 'x', now());"
          "update oauth.user_account set state = 'locked' where id = 'usr_2'");
}

void scene_close(struct scene *scene)
{
    tb_key_free(scene->key);
    tb_key_free(scene->rsa);
    tb_key_free(scene->stranger);
    tb_arena_free(scene->arena);
    fixture_close(&scene->fixture);
}

void scene_client(struct scene *scene, const char *more)
{
    struct tb_text text;
    char digest[TB_SHA256_BASE64URL];
    unsigned char hash[TB_SHA256_BYTES];
    tb_sha256(&TB_STR(SECRET), 1, hash);
    tb_base64url_write(digest, TB_BYTES(hash, sizeof(hash)));
    tb_text_init(&text, scene->arena);
    tb_text_add_format(
        &text,
        "delete from oauth.client; delete from oauth.pushed_request; delete from oauth.backchannel;"
        "insert into oauth.client (app, metadata, created_at, updated_at) values ('" CLIENT
        "', '{\"token_endpoint_auth_method\":\"client_secret_basic\",\"jwks\":{\"keys\":[%s,%s]}%s}',"
        " now(), now());"
        "insert into oauth.client_secret (app, digest, created_at) values ('" CLIENT
        "', '%.*s', now())",
        tb_key_write_jwk(scene->key, TB_JWK_PUBLIC, scene->arena).at,
        tb_key_write_jwk(scene->rsa, TB_JWK_PUBLIC, scene->arena).at, more, (int)sizeof(digest),
        digest);
    pg_do(&scene->fixture.pg, tb_text_end(&text).at);
}

/* ---- texts ---- */

static const char *other_value(const struct param *other, const char *name, const char *value)
{
    for (; other != NULL && other->name != NULL; other++)
        if (strcmp(other->name, name) == 0)
            return other->value;
    return value;
}

static bool is_usual(const struct param *usual, const char *name)
{
    for (; usual->name != NULL; usual++)
        if (strcmp(usual->name, name) == 0)
            return true;
    return false;
}

static void add_escaped(struct tb_text *text, const char *value)
{
    for (; *value != '\0'; value++)
        tb_text_add_format(text, "%%%02x", (unsigned)(unsigned char)*value);
}

static void add_form(struct tb_text *text, const char *name, const char *value)
{
    if (value == NULL)
        return;
    tb_text_add_format(text, "%s%s=", text->n > 0 ? "&" : "", name);
    add_escaped(text, value);
}

const char *form_text(struct scene *scene, const struct param *usual, const struct param *other)
{
    struct tb_text text;
    tb_text_init(&text, scene->arena);
    for (const struct param *p = usual; p->name != NULL; p++)
        add_form(&text, p->name, other_value(other, p->name, p->value));
    for (const struct param *p = other; p != NULL && p->name != NULL; p++)
        if (!is_usual(usual, p->name))
            add_form(&text, p->name, p->value);
    return tb_text_end(&text).at;
}

static void set_member(json_t *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    bool structured = value[0] == '{' || value[0] == '[';
    json_object_set_new(json, name, structured ? json_loads(value, 0, NULL) : json_string(value));
}

json_t *members_of(const struct param *usual, const struct param *other)
{
    json_t *json = json_object();
    for (const struct param *p = usual; p->name != NULL; p++)
        set_member(json, p->name, other_value(other, p->name, p->value));
    for (const struct param *p = other; p != NULL && p->name != NULL; p++)
        if (!is_usual(usual, p->name))
            set_member(json, p->name, p->value);
    return json;
}

struct tb_str object_of(struct scene *scene, struct tb_key *key, const char *type, json_t *members,
                        const char *claims)
{
    static int serial;
    json_int_t now_s = tb_wall_ms() / 1000;
    const char *jti = tb_arena_format(scene->arena, "jti-%d", ++serial).at;
    json_t *whole = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "iss", CLIENT, "aud",
                              FIXTURE_ISSUER, "client_id", CLIENT, "iat", now_s, "nbf", now_s,
                              "exp", now_s + 300, "jti", jti);
    json_t *instead = json_loads(claims, 0, NULL), *value;
    const char *name;
    assert_non_null(instead);
    json_object_update(whole, members);
    json_object_foreach(instead, name, value)
    {
        if (json_is_null(value))
            json_object_del(whole, name);
        else
            json_object_set(whole, name, value);
    }
    char *text = json_dumps(whole, 0);
    struct tb_str token = tb_jose_sign(key, type, tb_str(text), scene->arena);
    free(text);
    json_decref(instead);
    json_decref(members);
    json_decref(whole);
    return token;
}

/* ---- posting ---- */

static struct answered latest;
static struct tb_host host; /* a fixture's, with a place for answers */

static tb_err reply(struct tb_req *req, int status, struct tb_str body)
{
    (void)req;
    latest.status = status;
    assert_true(body.n < sizeof(latest.body));
    memcpy(latest.body, body.at, body.n);
    latest.body[body.n] = '\0';
    return NULL;
}

static tb_err act(struct visit *visit)
{
    host = *visit->run.req.host;
    host.reply = reply;
    visit->run.req.host = &host;
    const struct tb_plugin *product = &tb_oauth_par_product;
    for (size_t i = 0; i < product->routes_n; i++)
        if (tb_str_eq(visit->in.path, tb_str(product->routes[i].path)))
            return product->routes[i].handler(&visit->run.req);
    fail_msg("there is no such route");
    return NULL;
}

struct tb_str scene_basic(struct scene *scene)
{
    static const char plain[] = CLIENT ":" SECRET;
    struct tb_text text;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    tb_text_init(&text, scene->arena);
    tb_text_add(&text, TB_STR("Basic "));
    for (size_t i = 0; i < sizeof(plain) - 1; i += 3) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < sizeof(plain) - 1 ? (unsigned char)plain[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            tb_text_add_char(&text,
                             i + j <= sizeof(plain) - 1 ? digits[bits >> (18 - 6 * j) & 63] : '=');
    }
    return tb_text_end(&text);
}

const struct answered *post(struct scene *scene, const char *path, const char *form,
                            const char *proof)
{
    json_decref(latest.json);
    latest = (struct answered){
        .visit.in = {.method = TB_STR("POST"),
                     .path = tb_str(path),
                     .raw_path = tb_str(path),
                     .authorization = scene_basic(scene),
                     .content_type = TB_STR("application/x-www-form-urlencoded"),
                     .body = tb_str(form)}};
    visit_header(&latest.visit, "authorization", latest.visit.in.authorization);
    if (proof != NULL)
        visit_header(&latest.visit, "dpop", tb_str(proof));
    latest.code = fixture_do(&scene->fixture, &latest.visit, act);
    latest.json = json_loads(latest.body, 0, NULL);
    return &latest;
}

void expect(const struct answered *answered, const char *code, const char *words,
            const char *context)
{
    if (strcmp(answered->code, code) != 0 || strstr(answered->visit.detail, words) == NULL)
        fail_msg("%s\n  said: %s: %s\n  not:  %s: %s", context, answered->code,
                 answered->visit.detail, code, words);
}

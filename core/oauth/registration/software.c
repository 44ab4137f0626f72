/* Registrations by statement are rare, so nothing is kept between two of them. */
#include "oauth/registration/software.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/jose.h"
#include "oauth/errors.h"
#include "oauth/server.h"
#include "runtime/run.h"
#include <fcntl.h>
#include <tongbao/plugin.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024, KEYS_MAX = 16 };

struct keys {
    struct tb_key *list[KEYS_MAX];
    size_t n;
};

static void free_keys(void *arg)
{
    struct keys *keys = arg;
    for (size_t i = 0; i < keys->n; i++)
        tb_key_free(keys->list[i]);
}

static struct tb_key *find_key(void *arg, struct tb_str kid, enum tb_alg alg)
{
    struct keys *keys = arg;
    for (size_t i = 0; i < keys->n; i++)
        if (tb_key_alg(keys->list[i]) == alg &&
            (kid.at == NULL || tb_str_eq(tb_key_kid(keys->list[i]), kid)))
            return keys->list[i];
    return NULL;
}

static struct tb_str read_file(struct tb_req *req, const char *path)
{
    char *at = tb_alloc(req, FILE_BYTES_MAX);
    int fd = at == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, at, FILE_BYTES_MAX);
    if (fd >= 0)
        close(fd);
    return n < 0 ? TB_STR_NONE : (struct tb_str){at, (size_t)n};
}

/* The directory's keys; none when the file cannot be used, which the operator is told. */
static void read_keys(struct tb_req *req, const char *path, struct keys *keys)
{
    struct tb_str text = read_file(req, path);
    const struct tb_json_limits limits = {FILE_BYTES_MAX, 8, 2000, false};
    json_t *jwks = NULL;
    tb_err err = TB_E_BAD_JSON;
    if (text.at != NULL)
        err = tb_json_parse(tb_run_of(req)->arena, text, &limits, &jwks, NULL);
    const json_t *list = err == NULL ? tb_json_array(jwks, "keys") : NULL;
    if (json_array_size(list) > KEYS_MAX) {
        tb_log(req, TB_LOG_ERROR,
               "registration.statement_jwks has more than %d keys, so none counts", KEYS_MAX);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct tb_key *key = tb_key_read_jwk(json_array_get(list, i), TB_JWK_PUBLIC);
        if (key != NULL)
            keys->list[keys->n++] = key;
    }
    if (keys->n == 0)
        tb_log(req, TB_LOG_ERROR, "registration.statement_jwks has no key that can be used");
}

static bool approved(struct tb_str issuer)
{
    const struct tb_config_list *issuers = &tb_oauth()->config->registration_statement_issuers;
    for (size_t i = 0; i < issuers->n; i++)
        if (tb_str_eq(tb_str(issuers->items[i]), issuer))
            return true;
    return false;
}

tb_err tb_software_verify(struct tb_req *req, struct tb_str statement, struct tb_software *out)
{
    static const char *const types[] = {"JWT", "jwt", "", NULL};
    const char *path = tb_oauth()->config->registration_statement_jwks;
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_jose token;
    struct keys *keys = tb_alloc(req, sizeof(*keys));
    if (keys == NULL || !tb_arena_defer(arena, free_keys, keys))
        return TB_E_INTERNAL;
    if (path[0] == '\0')
        return tb_fail(req, TB_E_UNAPPROVED_SOFTWARE_STATEMENT, "there is no directory here");
    read_keys(req, path, keys);
    const struct tb_jose_policy policy = {
        .types = types,
        .algs = TB_ALGS,
        .bytes_max = TB_JOSE_BYTES_MAX,
        .find = find_key,
        .find_arg = keys,
        .required = TB_CLAIM_IAT,
        .ahead_s = TB_JOSE_AHEAD_S,
    };
    if (tb_jose_verify(&policy, statement, tb_oauth_now_s(req), arena, &token) != NULL)
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT, "the software statement: %s",
                       tb_jose_reason_words(token.reason));
    struct tb_str software = tb_json_str(token.claims, "software_id");
    *out = (struct tb_software){.claims = token.claims,
                                .issuer = tb_json_str(token.claims, "iss"),
                                .organisation = tb_json_str(token.claims, "org_id"),
                                .name = tb_json_str(token.claims, "org_name")};
    if (out->issuer.at == NULL || !approved(out->issuer))
        return tb_fail(req, TB_E_UNAPPROVED_SOFTWARE_STATEMENT,
                       "the issuer of the software statement is not approved here");
    if (out->organisation.n == 0)
        out->organisation = software;
    if (software.n == 0)
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT,
                       "the software statement names no software_id");
    if (out->name.n == 0)
        out->name = tb_json_str(token.claims, "client_name");
    if (out->name.n == 0)
        out->name = out->organisation;
    char room[TB_TEXT_WHY_BYTES];
    const char *why = tb_text_name_wrong(out->name, TB_NAME_CHARS_MAX, room);
    if (why == NULL)
        why = tb_text_name_wrong(out->organisation, TB_NAME_CHARS_MAX, room);
    if (why != NULL)
        return tb_fail(req, TB_E_INVALID_SOFTWARE_STATEMENT,
                       "the organisation in the software statement %s", why);
    return NULL;
}

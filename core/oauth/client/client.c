/* Reading clients. What is judged at every request is taken out of the metadata here; the rest of
 * it stays JSON. */
#include "oauth/client/client.h"
#include "base/json.h"
#include "base/random.h"
#include "crypto/digest.h"
#include "oauth/errors.h"
#include "oauth/scope.h"
#include "oauth/server.h"
#include "runtime/run.h"

/* Where there is no such client, another one's row is read and not used: then the database works as
 * long, too. */
static const char SQL_CLIENT[] =
    "select c.app = $1, a.partner, a.name, a.world, (select min(b.book) from bank.book b where b.world = w.id), "
    "a.state = 'active' and p.state = 'active', w.kind = 'sandbox', a.plain_tokens, "
    "c.resource_server, c.auth, c.metadata, c.metadata -> 'jwks', "
    "j.body, extract(epoch from j.fetched_at)::bigint, "
    "(select string_agg(s.digest, ' ') from oauth.client_secret s "
    "where s.app = c.app and (s.expires_at is null or s.expires_at > $2)), w.clock_offset_ms "
    "from oauth.client c join bank.app a on a.id = c.app join bank.partner p on p.id = a.partner "
    "join bank.world w on w.id = a.world "
    "left join oauth.jwks j on j.uri = c.metadata ->> 'jwks_uri' "
    "where c.app = coalesce((select k.app from oauth.client k where k.app = $1), "
    "(select k.app from oauth.client k order by k.app limit 1))";

enum column {
    FOUND,
    PARTNER,
    NAME,
    WORLD,
    BOOK,
    ACTIVE,
    SANDBOX,
    PLAIN_TOKENS,
    RESOURCE_SERVER,
    AUTH,
    METADATA,
    JWKS,
    FETCHED,
    FETCHED_S,
    SECRETS,
    WORLD_OFFSET,
    COLUMNS,
};

/* The client nobody is: its keys were made once and their private parts thrown away, and nothing
 * has the digest of its secret. */
#define NOBODY_JWKS                                                                                  \
    "{\"keys\": ["                                                                                   \
    "{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"ZmuXS8YnvzjcPomjAovNE6UVG0Ab0quQvbGSYq88mCY\", " \
    "\"y\": \"u0jRKQQALuKPaKnE50k7edT3Y9yenDxG449oNEtrO9M\"}, "                                      \
    "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", "                                                      \
    "\"x\": \"kM9kqYLUiOvlGH2koV8KqukYPgq2uwEsL1KynHkaT5M\"}, "                                      \
    "{\"kty\": \"RSA\", \"e\": \"AQAB\", \"n\": \"tUHNwfTr7k7RT11uSIhAlKacl6XRBuW3Fuo9kOI0jTVOec04"  \
    "IKPiKW4YHgtFeYHYhyUJxfcXjWQZT3ezWMZv4WFJ9he5QtcQJ28RyceHLjoMk8hsvY0-Mv9e_yvYRPv80T0PJKb69MF"    \
    "re0b8AP0W0JMnm3Ppm1mF2mnvlmjk-1xEhsoebFJiQtdXc-mlg3PLfZQd-edczkhZYEOkmabFi2MJdm0f2UyNDNL87u"    \
    "gGmb6fN2z7rYiKbnmxgEzV2m1uowIq6CZxFL0ZBmb_wZFq1oXPPVoOYDwEVbRSLpffNfhrdY6D16a0HkekxzB2q4B40"    \
    "5zfPPtt3iZRDdjfUd2P5Q\"}]}"

static const struct tb_str NOBODY[COLUMNS] = {
    [PARTNER] = {"ptr_0", 5},
    [NAME] = {"nobody", 6},
    [WORLD] = {"wld_0", 5},
    [BOOK] = {"1", 1},
    [ACTIVE] = {"f", 1},
    [SANDBOX] = {"t", 1},
    [PLAIN_TOKENS] = {"f", 1},
    [RESOURCE_SERVER] = {"f", 1},
    [AUTH] = {"private_key_jwt", 15},
    [METADATA] = {"{\"jwks\": " NOBODY_JWKS "}", sizeof("{\"jwks\": " NOBODY_JWKS "}") - 1},
    [JWKS] = {NOBODY_JWKS, sizeof(NOBODY_JWKS) - 1},
    [SECRETS] = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", TB_CLIENT_SECRET_CHARS},
    [WORLD_OFFSET] = {"0", 1},
};

struct tb_str tb_client_nobodys_jwks(void)
{
    return NOBODY[JWKS];
}

static const char *const AUTH_NAMES[] = {
    [TB_AUTH_PRIVATE_KEY_JWT] = "private_key_jwt",
    [TB_AUTH_TLS] = "tls_client_auth",
    [TB_AUTH_SELF_SIGNED_TLS] = "self_signed_tls_client_auth",
    [TB_AUTH_SECRET_BASIC] = "client_secret_basic",
};

struct tb_str tb_client_auth_name(enum tb_client_auth auth)
{
    return tb_str(AUTH_NAMES[auth]);
}

static enum tb_client_auth read_auth(struct tb_str name)
{
    enum tb_client_auth auth = TB_AUTH_PRIVATE_KEY_JWT;
    while (auth < TB_AUTH_SECRET_BASIC && !tb_str_eq(name, tb_client_auth_name(auth)))
        auth++;
    return auth;
}

static bool flag(const struct tb_str cell)
{
    return tb_str_eq(cell, TB_STR("t"));
}

static bool claims(const json_t *metadata, const char *name)
{
    bool value = false;
    return tb_json_bool(metadata, name, &value) && value;
}

static enum tb_alg alg_of(const json_t *metadata, const char *name)
{
    return (enum tb_alg)tb_alg_read(tb_json_str(metadata, name));
}

/* A document of ours, so only its size is bounded tightly. */
static json_t *parse_metadata(struct tb_req *req, struct tb_str text)
{
    static const struct tb_json_limits limits = {
        .bytes = 256 * 1024, .depth = 32, .members = 8192, .reals = true};
    json_t *json;
    tb_err err = tb_json_parse(tb_run_of(req)->arena, text, &limits, &json, NULL);
    return err == NULL ? json : NULL;
}

static struct tb_oauth_client *make(struct tb_req *req, struct tb_str id, const struct tb_str *row)
{
    struct tb_oauth_client *client = tb_alloc(req, sizeof(*client));
    json_t *metadata = parse_metadata(req, row[METADATA]);
    int64_t book, offset_ms, fetched_s = 0;
    if (client == NULL || metadata == NULL || !tb_text_to_int(row[BOOK], &book) ||
        !tb_text_to_int(row[WORLD_OFFSET], &offset_ms) ||
        (row[FETCHED_S].at != NULL && !tb_text_to_int(row[FETCHED_S], &fetched_s)))
        return NULL;
    *client = (struct tb_oauth_client){
        .id = id,
        .partner = row[PARTNER],
        .name = row[NAME],
        .world = row[WORLD],
        .book = (int32_t)book,
        .active = flag(row[ACTIVE]),
        .sandbox = flag(row[SANDBOX]),
        .world_offset_ms = offset_ms,
        .auth = read_auth(row[AUTH]),
        .metadata = metadata,
        .dpop_bound = claims(metadata, "dpop_bound_access_tokens"),
        .certificate_bound = claims(metadata, "tls_client_certificate_bound_access_tokens"),
        .plain_tokens = flag(row[PLAIN_TOKENS]) && flag(row[SANDBOX]),
        .resource_server = flag(row[RESOURCE_SERVER]),
        .signed_requests = claims(metadata, "require_signed_request_object"),
        .scope = tb_json_str(metadata, "scope"),
        .request_alg = alg_of(metadata, "request_object_signing_alg"),
        .response_alg = alg_of(metadata, "authorization_signed_response_alg"),
        .assertion_alg = alg_of(metadata, "token_endpoint_auth_signing_alg"),
        .jwks = row[JWKS],
        .jwks_uri = tb_json_str(metadata, "jwks_uri"),
        .fetched = row[FETCHED],
        .fetched_s = fetched_s,
        .secrets = row[SECRETS],
    };
    return client;
}

tb_err TB_SUSPENDS tb_oauth_client_find_any(struct tb_req *req, struct tb_str id,
                                            struct tb_oauth_client **out)
{
    struct tb_rows *rows;
    TB_TRY(tb_query(req, &rows, SQL_CLIENT, TB_TEXT(id), TB_TIME(tb_oauth_now_s(req) * 1000)));
    bool found = rows->n > 0 && flag(tb_cell(rows, 0, FOUND));
    *out = make(req, id, found ? rows->cells : NOBODY);
    if (*out == NULL)
        return tb_fail(req, TB_E_INTERNAL, "the client's registration cannot be read");
    if (found && !tb_run_of(req)->caller.proven)
        tb_run_of(req)->caller = (struct tb_caller){.partner = (*out)->partner, .app = (*out)->id};
    return NULL;
}

tb_err TB_SUSPENDS tb_oauth_client_find(struct tb_req *req, struct tb_str id,
                                        struct tb_oauth_client **out)
{
    TB_TRY(tb_oauth_client_find_any(req, id, out));
    if (!(*out)->active)
        return tb_fail(req, TB_E_INVALID_CLIENT, "there is no such client");
    return NULL;
}

bool tb_oauth_client_may(const struct tb_oauth_client *client, const char *grant_type)
{
    if (tb_json_array(client->metadata, "grant_types") == NULL)
        return strcmp(grant_type, "authorization_code") == 0;
    return tb_oauth_client_has(client, "grant_types", tb_str(grant_type));
}

bool tb_oauth_client_has(const struct tb_oauth_client *client, const char *member,
                         struct tb_str value)
{
    const json_t *list = tb_json_array(client->metadata, member);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (json_is_string(one) &&
            tb_str_eq((struct tb_str){json_string_value(one), json_string_length(one)}, value))
            return true;
    }
    return false;
}

void tb_client_secret_make(char out_secret[TB_CLIENT_SECRET_CHARS + 1],
                           char out_digest[TB_CLIENT_SECRET_CHARS + 1])
{
    unsigned char bytes[TB_SHA256_BYTES];
    tb_random_bytes(bytes, sizeof(bytes));
    out_secret[tb_base64url_write(out_secret, TB_BYTES(bytes, sizeof(bytes)))] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
    struct tb_str secret = {out_secret, TB_CLIENT_SECRET_CHARS};
    tb_sha256(&secret, 1, bytes);
    out_digest[tb_base64url_write(out_digest, TB_BYTES(bytes, sizeof(bytes)))] = '\0';
}

#include "oauth/user/throttle.h"
#include "base/text.h"
#include "http/server.h"
#include "oauth/handle.h"
#include "oauth/server.h"
#include "oauth/user/device.h"
#include "runtime/run.h"
#include <arpa/inet.h>
#include <tongbao/plugin.h>

static const char SQL_ATTEMPT[] = "select oauth.count_attempt($1::oauth.throttle[], $2)";
static const char SQL_SUCCESS[] =
    "select oauth.attempt_succeeded($1::oauth.throttle[], $2::text[], $3)";
static const char SQL_THROTTLED[] = "select oauth.throttled($1, $2)";

/* The words that subjects begin with, and how long what they count is remembered and closed. The
 * pause of those that are about one guesser doubles; that of sums over many does not, for it meets
 * others, too. */
enum kind { PAIR, DEVICE, CODE, LOGIN, ADDRESS, HINTS };

static const struct {
    const char *word;
    int span_s, pause_s, longest_s;
} KINDS[] = {
    [PAIR] = {"pair", 3600, 60, 900},       [DEVICE] = {"device", 3600, 60, 900},
    [CODE] = {"code", 3600, 60, 900},       [LOGIN] = {"login", 3600, 900, 900},
    [ADDRESS] = {"address", 600, 300, 300}, [HINTS] = {"hints", 600, 300, 300},
};

static int64_t most_of(enum kind kind)
{
    const struct tb_config *config = tb_oauth()->config;
    switch (kind) {
    case LOGIN:
        return config->login_failures_everywhere;
    case ADDRESS:
        return config->login_failures_address;
    case HINTS:
        return config->backchannel_unknown_hints;
    default:
        return config->login_failures;
    }
}

/* Digests: the table tells nobody which logins and addresses were tried. */
struct names {
    struct tb_arena *arena;
    struct tb_str login, address; /* digests */
    struct tb_str device;         /* the same of the browser's mark; absent: it has none */
};

/* Whoever has an IPv6 address has all of its /64. */
static struct tb_str address_of(struct tb_req *req)
{
    const char *peer = tb_run_of(req)->in->peer;
    unsigned char bytes[16];
    struct tb_str address = tb_str(peer);
    if (inet_pton(AF_INET6, peer, bytes) == 1)
        address = (struct tb_str){(const char *)bytes, 8};
    return tb_handle_digest(tb_run_of(req)->arena, address);
}

static struct tb_str lower(struct tb_req *req, struct tb_str login)
{
    char *text = tb_alloc(req, login.n + 1);
    if (text == NULL)
        return TB_STR_NONE;
    for (size_t i = 0; i < login.n; i++) {
        char c = login.at[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return (struct tb_str){text, login.n};
}

static tb_err read_names(struct tb_req *req, struct tb_str login, struct names *out)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct tb_str spelled = lower(req, login);
    *out = (struct names){.arena = arena};
    if (spelled.at == NULL)
        return TB_E_INTERNAL;
    struct tb_str device = tb_device(req, spelled);
    out->login = tb_handle_digest(arena, spelled);
    out->address = address_of(req);
    if (device.at != NULL)
        out->device = tb_handle_digest(arena, device);
    return out->login.at == NULL || out->address.at == NULL ? TB_E_INTERNAL : NULL;
}

/* ---- the counters of an attempt, as an array of a statement ---- */

static void add_subject(struct tb_text *text, const struct names *names, enum kind kind)
{
    struct tb_str second = kind == PAIR     ? names->address
                           : kind == DEVICE ? names->device
                                            : TB_STR("");
    struct tb_str first = kind == ADDRESS ? names->address : names->login;
    tb_text_add_format(text, "%s %.*s%s%.*s", KINDS[kind].word, (int)first.n, first.at,
                       second.n > 0 ? " " : "", (int)second.n, second.at);
}

static void add_throttle(struct tb_text *text, const struct names *names, enum kind kind)
{
    tb_text_add(text, text->n == 0 ? TB_STR("{\"(\\\"") : TB_STR(",\"(\\\""));
    add_subject(text, names, kind);
    tb_text_add_format(text, "\\\",%lld,%d,%d,%d)\"", (long long)most_of(kind), KINDS[kind].span_s,
                       KINDS[kind].pause_s, KINDS[kind].longest_s);
}

static struct tb_str throttles(const struct names *names, enum tb_throttle step)
{
    struct tb_text text;
    tb_text_init(&text, names->arena);
    if (names->device.at != NULL) {
        add_throttle(&text, names, DEVICE);
    } else {
        add_throttle(&text, names, ADDRESS);
        add_throttle(&text, names, step == TB_THROTTLE_CODE ? CODE : PAIR);
        if (step == TB_THROTTLE_PASSWORD)
            add_throttle(&text, names, LOGIN);
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

/* What a login that is through leaves behind no failures of. */
static struct tb_str forgotten(const struct names *names, enum tb_throttle step)
{
    struct tb_text text;
    tb_text_init(&text, names->arena);
    tb_text_add_char(&text, '{');
    if (step == TB_THROTTLE_CODE) {
        tb_text_add_char(&text, '"');
        add_subject(&text, names, names->device.at != NULL ? DEVICE : PAIR);
        tb_text_add_char(&text, '"');
        if (names->device.at == NULL) {
            tb_text_add(&text, TB_STR(",\""));
            add_subject(&text, names, CODE);
            tb_text_add_char(&text, '"');
        }
    }
    tb_text_add_char(&text, '}');
    return tb_text_end(&text);
}

/* ---- logins ---- */

tb_err TB_SUSPENDS tb_throttle_attempt(struct tb_req *req, enum tb_throttle step,
                                       struct tb_str login, int64_t *out_wait_s)
{
    struct names names;
    struct tb_rows *rows;
    TB_TRY(read_names(req, login, &names));
    TB_TRY(tb_query(req, &rows, SQL_ATTEMPT, TB_TEXT(throttles(&names, step)),
                    TB_TIME(tb_oauth_now_s(req) * 1000)));
    *out_wait_s = tb_cell_int(rows, 0, 0);
    return NULL;
}

tb_err TB_SUSPENDS tb_throttle_success(struct tb_req *req, enum tb_throttle step,
                                       struct tb_str login)
{
    struct names names;
    struct tb_rows *rows;
    TB_TRY(read_names(req, login, &names));
    TB_TRY(tb_query(req, &rows, SQL_SUCCESS, TB_TEXT(throttles(&names, step)),
                    TB_TEXT(forgotten(&names, step)), TB_TIME(tb_oauth_now_s(req) * 1000)));
    return step == TB_THROTTLE_CODE ? tb_device_mark(req, lower(req, login)) : NULL;
}

/* ---- hints ---- */

tb_err TB_SUSPENDS tb_throttle_hint(struct tb_req *req, const struct tb_oauth_client *client,
                                    bool exists)
{
    struct tb_arena *arena = tb_run_of(req)->arena;
    struct names names = {.arena = arena, .login = tb_handle_digest(arena, client->id)};
    struct tb_text subject, throttle;
    struct tb_rows *rows;
    tb_text_init(&subject, arena);
    add_subject(&subject, &names, HINTS);
    tb_text_init(&throttle, arena);
    add_throttle(&throttle, &names, HINTS);
    tb_text_add_char(&throttle, '}');
    TB_TRY(tb_query(req, &rows, exists ? SQL_THROTTLED : SQL_ATTEMPT,
                    TB_TEXT(exists ? tb_text_end(&subject) : tb_text_end(&throttle)),
                    TB_TIME(tb_oauth_now_s(req) * 1000)));
    int64_t wait_s = tb_cell_int(rows, 0, 0);
    if (wait_s == 0)
        return NULL;
    tb_run_of(req)->problem.retry_after_s = wait_s;
    return tb_fail(req, TB_E_RATE_LIMITED,
                   "too many hints of this client named nobody; wait %lld s", (long long)wait_s);
}

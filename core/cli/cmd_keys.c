/* tongbao keys list and rotate: the bank's own signing keys. They follow each other by themselves;
 * rotating by hand is for the day when one may have been seen. */
#include "base/time.h"
#include "cli/job.h"
#include "cli/print.h"
#include "oauth/token/keys.h"
#include "runtime/run.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum {
    AFTER_S = 600, /* twice what verifiers may keep the JWK Set */
    AFTER_MOST_S = 86400,
};

static const enum tb_key_purpose PURPOSES[] = {TB_KEYS_OF_TOKENS, TB_KEYS_OF_RESPONSES};

struct keys_job {
    const char *only; /* a purpose's name; NULL: both */
    bool rotate;
    int64_t after_s;
    json_t *list;
};

static const char *state_name(enum tb_key_state state)
{
    static const char *const names[] = {
        [TB_KEY_NEXT] = "next",
        [TB_KEY_ACTIVE] = "active",
        [TB_KEY_RETIRED] = "retired",
        [TB_KEY_ENDED] = "ended",
    };
    return names[state];
}

static void add_time(json_t *object, const char *name, int64_t at_s)
{
    char text[TB_TIME_CHARS + 1];
    tb_time_format(at_s * 1000, text);
    json_object_set_new(object, name, json_string(text));
}

static void describe(json_t *list, enum tb_key_purpose purpose, const struct tb_keystore *keys,
                     int64_t now_s)
{
    struct tb_key_status status[TB_KEYSTORE_KEYS_MAX];
    size_t n = tb_keystore_status(keys, now_s, status);
    for (size_t i = 0; i < n; i++) {
        json_t *key = json_pack("{s:s%, s:s, s:s, s:s}", "kid", status[i].kid.at, status[i].kid.n,
                                "purpose", tb_key_purpose_name(purpose), "alg",
                                tb_alg_name(status[i].alg).at, "state",
                                state_name(status[i].state));
        add_time(key, "signs_from", status[i].signs_from_s);
        add_time(key, "signs_until", status[i].signs_until_s);
        add_time(key, "valid_until", status[i].valid_until_s);
        json_array_append_new(list, key);
    }
}

static tb_err TB_SUSPENDS work_on(struct tb_req *req, const struct keys_job *job,
                                  enum tb_key_purpose purpose, const struct tb_secret *secret)
{
    char who[TB_OPERATOR_BYTES];
    int64_t now_s = tb_wall_ms() / 1000;
    struct tb_keystore *keys = tb_keystore_new(secret);
    tb_command_operator(who);
    tb_err err = tb_oauth_keys_refresh(req, keys, purpose, &tb_oauth_schedule, now_s);
    if (err == NULL && job->rotate)
        err = tb_oauth_keys_rotate(req, keys, purpose, &tb_oauth_schedule, who,
                                   now_s + job->after_s, now_s);
    if (err == NULL)
        describe(job->list, purpose, keys, now_s);
    tb_keystore_free(keys);
    return err;
}

static tb_err TB_SUSPENDS work(struct tb_req *req, struct tb_command_job *job)
{
    const struct keys_job *mine = job->mine;
    struct tb_secret secret = {NULL, 0};
    char why[TB_WHY_BYTES];
    tb_err err = NULL;
    if (!tb_parts_secret(job->config, &secret, why, sizeof(why)))
        return tb_fail(req, TB_E_CONFLICT, "%s", why);
    for (size_t i = 0; i < TB_COUNT(PURPOSES) && err == NULL; i++)
        if (mine->only == NULL || strcmp(mine->only, tb_key_purpose_name(PURPOSES[i])) == 0)
            err = work_on(req, mine, PURPOSES[i], &secret);
    tb_secret_wipe(&secret);
    return err;
}

static void print_list(json_t *list)
{
    size_t i;
    json_t *key;
    json_array_foreach(list, i, key)
    {
        const char *purpose, *kid, *alg, *state, *from, *until, *valid;
        json_unpack(key, "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "purpose", &purpose, "kid", &kid,
                    "alg", &alg, "state", &state, "signs_from", &from, "signs_until", &until,
                    "valid_until", &valid);
        tb_print("%-8s  %s  %s  %-7s  signs %s .. %s, counts until %s\n", purpose, kid, alg, state,
                 from, until, valid);
    }
}

static int run(struct tb_cli *cli, struct keys_job *job)
{
    job->only = tb_cli_option(cli, "purpose");
    if (job->only != NULL && strcmp(job->only, "token") != 0 && strcmp(job->only, "response") != 0)
        return tb_cli_fail(cli, TB_EXIT_USAGE, "--purpose is token or response");
    job->list = json_array();
    int exit_code = tb_command_job_run(cli, work, job);
    if (exit_code == TB_EXIT_OK && cli->json) {
        tb_print_json(job->list, JSON_INDENT(2));
    } else if (exit_code == TB_EXIT_OK) {
        print_list(job->list);
    }
    json_decref(job->list);
    return exit_code;
}

static int list_keys(struct tb_cli *cli)
{
    struct keys_job job = {.rotate = false};
    return run(cli, &job);
}

static int rotate_keys(struct tb_cli *cli)
{
    struct keys_job job = {.rotate = true};
    if (!tb_cli_int(cli, "after", 0, AFTER_MOST_S, AFTER_S, &job.after_s))
        return TB_EXIT_USAGE;
    return run(cli, &job);
}

static const struct tb_option list_options[] = {
    {"purpose", "NAME", "token (access tokens) or response (ID tokens and other answers)"},
    {.name = NULL},
};

const struct tb_command tb_command_keys_list = {
    .name = "keys list",
    .summary = "show the keys that sign tokens and responses, and when each does",
    .options = list_options,
    .example = "tongbao keys list --json",
    .run = list_keys,
};

static const struct tb_option rotate_options[] = {
    {"purpose", "NAME", "token or response (default both)"},
    {"after", "SECONDS", "when the next key begins to sign (0 to 86400, default 600)"},
    {.name = NULL},
};

const struct tb_command tb_command_keys_rotate = {
    .name = "keys rotate",
    .summary = "let the next signing key take over now, ahead of its time",
    .options = rotate_options,
    .about =
        "Keys follow each other by themselves every 90 days. Until the next one begins to sign\n"
        "both are published, so that whoever keeps the key set for some minutes has it in time;\n"
        "what the old key signed counts until it expires. Less than 600 seconds ahead, some\n"
        "verifiers will not know the new key at first.",
    .example = "tongbao keys rotate --purpose token",
    .run = rotate_keys,
};

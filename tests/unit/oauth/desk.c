#include "desk.h"
#include "oauth/token/dpop.h"

#include "oauth/token/keys.h"
#include "store/migrate.h"
#include "store/query.h"
#include "unit.h"
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_US = 120 * 1000 * 1000, PROOFS = 4096 };

extern const struct tb_migration tb_consent_migrations[];
extern const struct tb_migration tb_ledger_migrations[];
extern const struct tb_migration tb_outbox_migrations[];

static struct tb_host host; /* a job's, with the books in reach */

static tb_err TB_SUSPENDS query(struct tb_req *req, struct tb_rows **out_rows, const char *sql,
                                const struct tb_param *params, size_t params_n)
{
    return tb_store_query(req, tb_oauth()->store, out_rows, sql, params, params_n);
}

static tb_err TB_SUSPENDS await(struct tb_req *req, void *arg)
{
    return tb_store_await(req, arg, 120000);
}

static void open_books(struct desk *desk)
{
    const struct tb_migration *const rooms[] = {tb_store_migrations, tb_ledger_migrations,
                                                tb_outbox_migrations, tb_oauth_migrations,
                                                tb_consent_migrations};
    pg_make(&desk->pg, false);
    for (size_t i = 0; i < TB_COUNT(rooms); i++)
        for (const struct tb_migration *m = rooms[i]; m->number != 0; m++)
            pg_do(&desk->pg, m->sql);
    desk->parts.store = tb_store_open(desk->loop, &(struct tb_store_options){.dsn = desk->pg.dsn});
    assert_null(tb_run_to_end(desk->loop, await, desk->parts.store, 0));
}

void desk_open(struct desk *desk, bool books)
{
    static const char yaml[] = "issuer: " DESK_ISSUER "\nmtls_origin: " DESK_MTLS_ORIGIN
                               "\nsandbox: true\n";
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    *desk = (struct desk){.books = books, .loop = tb_loop_new()};
    desk->config = tb_config_parse("desk", TB_STR(yaml), &errors);
    if (desk->config == NULL)
        fail_msg("%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    desk->settings = *desk->config;

    size_t bytes = (tb_jti_set_bytes(PROOFS) + 63) / 64 * 64;
    void *proofs = aligned_alloc(64, bytes);
    memset(proofs, 0, bytes);
    desk->parts.loop = desk->loop;
    desk->parts.config = &desk->settings;
    desk->parts.outbound = tb_client_new(desk->loop);
    desk->parts.proofs = tb_jti_set_init(proofs, bytes);
    tb_secret_set(&desk->parts.master, "0123456789abcdef0123456789abcdef", 32);
    if (books)
        open_books(desk);
    host = tb_run_host;
    host.query = query;
    tb_oauth_open(&desk->parts);
    tb_dpop_open(&desk->parts.master);
}

void desk_close(struct desk *desk)
{
    for (int i = 0; i < 2000 && tb_fiber_stats(desk->loop).live > 0; i++)
        tb_loop_turn(desk->loop, 10);
    tb_client_free(desk->parts.outbound);
    if (desk->books)
        tb_store_close(desk->parts.store);
    tb_loop_free(desk->loop);
    if (desk->books)
        pg_remove(&desk->pg);
    free(desk->parts.proofs);
    tb_secret_wipe(&desk->parts.master);
    tb_config_free(desk->config);
}

void visit_header(struct visit *visit, const char *name, struct tb_str value)
{
    assert_true(visit->in.headers_n < DESK_HEADERS_MAX);
    visit->headers[visit->in.headers_n++] = (struct tb_header){tb_str(name), value};
}

static void visit_main(void *arg)
{
    struct visit *visit = arg;
    int64_t began_us = tb_loop_us();
    tb_run_begin(&visit->run);
    visit->err = visit->act(visit);
    tb_run_end(&visit->run);
    visit->took_us = tb_loop_us() - began_us;
    struct tb_str detail = visit->run.problem.detail;
    snprintf(visit->detail, sizeof(visit->detail), "%.*s", (int)detail.n,
             detail.at == NULL ? "" : detail.at);
    tb_arena_free(visit->run.arena);
    visit->run.arena = NULL;
    visit->ended = true;
}

void desk_start(struct desk *desk, struct visit *visit, tb_err (*act)(struct visit *visit))
{
    struct tb_arena *arena = visit->run.arena;
    tb_run_init(&visit->run, desk->loop, arena != NULL ? arena : tb_arena_new(TB_ARENA_CAP));
    visit->run.req.host = &host;
    visit->run.label = "visit";
    visit->run.in = &visit->in;
    visit->in.arena = visit->run.arena;
    visit->in.headers = visit->headers;
    visit->act = act;
    visit->ended = false;
    assert_null(tb_fiber_start(desk->loop, visit_main, visit));
}

void desk_wait(struct desk *desk, const struct visit *visits, size_t n)
{
    int64_t until_us = tb_loop_us() + PATIENCE_US;
    for (size_t i = 0; i < n; i++)
        while (!visits[i].ended) {
            tb_loop_turn(desk->loop, 100);
            if (tb_loop_us() > until_us)
                fail_msg("visit %zu of %zu does not end", i, n);
        }
}

const char *desk_do(struct desk *desk, struct visit *visit, tb_err (*act)(struct visit *visit))
{
    tb_loop_turn(desk->loop, 0); /* the loop's clock is read once in a turn */
    desk_start(desk, visit, act);
    desk_wait(desk, visit, 1);
    return visit->err == NULL ? "ok" : visit->err->code;
}

struct tb_str desk_certificate(struct tb_arena *arena, const char *subject, const char *names,
                               int days)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    unsigned char *der = NULL;
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -9 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400L);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    if (names != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    int n = i2d_X509(certificate, &der);
    assert_true(n > 0);
    struct tb_str out = {tb_arena_text(arena, (const char *)der, (size_t)n), (size_t)n};
    OPENSSL_free(der);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return out;
}

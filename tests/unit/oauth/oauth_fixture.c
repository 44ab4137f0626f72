#include "../unit.h"

#include "oauth/token/dpop.h"
#include "oauth_fixture.h"
#include "products.h"

#include "oauth/token/keys.h"
#include "store/migrate.h"
#include "store/query.h"
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

static void open_books(struct fixture *fixture)
{
    const struct tb_migration *const rooms[] = {tb_store_migrations, tb_ledger_migrations,
                                                tb_outbox_migrations, tb_oauth_migrations,
                                                tb_consent_migrations};
    pg_make(&fixture->pg, false);
    for (size_t i = 0; i < TB_COUNT(rooms); i++)
        for (const struct tb_migration *m = rooms[i]; m->number != 0; m++)
            pg_do(&fixture->pg, m->sql);
    fixture->parts.store = tb_store_open(fixture->loop,
                                         &(struct tb_store_options){.dsn = fixture->pg.dsn});
    assert_null(tb_run_to_end(fixture->loop, await, fixture->parts.store, 0));
}

void fixture_open(struct fixture *fixture, bool books)
{
    static const char yaml[] = "issuer: " FIXTURE_ISSUER "\nmtls_origin: " FIXTURE_MTLS_ORIGIN
                               "\nsandbox: true\n";
    struct tb_arena *arena = tb_arena_new(TB_ARENA_CAP);
    struct tb_text errors;
    tb_text_init(&errors, arena);
    *fixture = (struct fixture){.books = books, .loop = tb_loop_new()};
    fixture->config = tb_config_parse("desk", TB_STR(yaml), &errors);
    if (fixture->config == NULL)
        fail_msg("%s", tb_text_end(&errors).at);
    tb_arena_free(arena);
    fixture->settings = *fixture->config;

    size_t bytes = (tb_jti_set_bytes(PROOFS) + 63) / 64 * 64;
    void *proofs = aligned_alloc(64, bytes);
    memset(proofs, 0, bytes);
    fixture->parts.loop = fixture->loop;
    fixture->parts.config = &fixture->settings;
    fixture->parts.outbound = tb_http_client_new(fixture->loop);
    fixture->parts.proofs = tb_jti_set_init(proofs, bytes);
    fixture->parts.registry = fixture->registry = products_open();
    tb_secret_set(&fixture->parts.master, "0123456789abcdef0123456789abcdef", 32);
    if (books)
        open_books(fixture);
    host = tb_run_host;
    host.query = query;
    tb_oauth_open(&fixture->parts);
    tb_dpop_open(&fixture->parts.master);
}

void fixture_close(struct fixture *fixture)
{
    for (int i = 0; i < 2000 && tb_fiber_stats(fixture->loop).live > 0; i++)
        tb_loop_turn(fixture->loop, 10);
    tb_http_client_free(fixture->parts.outbound);
    if (fixture->books)
        tb_store_close(fixture->parts.store);
    tb_loop_free(fixture->loop);
    if (fixture->books)
        pg_remove(&fixture->pg);
    free(fixture->parts.proofs);
    tb_registry_free(fixture->registry);
    tb_secret_wipe(&fixture->parts.master);
    tb_config_free(fixture->config);
}

void visit_header(struct visit *visit, const char *name, struct tb_str value)
{
    assert_true(visit->in.headers_n < FIXTURE_HEADERS_MAX);
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

void fixture_start(struct fixture *fixture, struct visit *visit, tb_err (*act)(struct visit *visit))
{
    struct tb_arena *arena = visit->run.arena;
    tb_run_init(&visit->run, fixture->loop, arena != NULL ? arena : tb_arena_new(TB_ARENA_CAP));
    visit->run.req.host = &host;
    visit->run.label = "visit";
    visit->run.in = &visit->in;
    visit->in.arena = visit->run.arena;
    visit->in.headers = visit->headers;
    visit->act = act;
    visit->ended = false;
    assert_null(tb_fiber_start(fixture->loop, visit_main, visit));
}

void fixture_wait(struct fixture *fixture, const struct visit *visits, size_t n)
{
    int64_t until_us = tb_loop_us() + PATIENCE_US;
    for (size_t i = 0; i < n; i++)
        while (!visits[i].ended) {
            tb_loop_turn(fixture->loop, 100);
            if (tb_loop_us() > until_us)
                fail_msg("visit %zu of %zu does not end", i, n);
        }
}

const char *fixture_do(struct fixture *fixture, struct visit *visit,
                       tb_err (*act)(struct visit *visit))
{
    tb_loop_turn(fixture->loop, 0); /* the loop's clock is read once in a turn */
    fixture_start(fixture, visit, act);
    fixture_wait(fixture, visit, 1);
    return visit->err == NULL ? "ok" : visit->err->code;
}

struct tb_str fixture_certificate(struct tb_arena *arena, const char *subject, const char *names,
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

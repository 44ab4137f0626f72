/* What tests of apps stand on: operations of two products, and a database that gives the rows of an
 * app as SQL_APP and SQL_MORE would, of lines that the test adds. */
#ifndef TB_TESTS_APP_ROWS_H
#define TB_TESTS_APP_ROWS_H

#include "exchange_fixture.h"

#include "directory/entitlements.h"

/** By index: three of "shop", one of "bank". */
enum { SHOP_THINGS, SHOP_BUY, SHOP_LAST, BANK_LIST, OPERATIONS };

/** What a row says something of. */
enum line_kind { STOP = 1, LIMIT, ENTITLEMENT };

struct line {
    enum line_kind kind;
    const char *product, *operation;
    const char *text; /**< of a stop: why; of a limit: its name */
    int64_t quota, window_ms, period;
};

enum { LINES = 12000, FIRST_PAGE = 500 };

struct app_rows {
    bool there, active, plain;
    const char *scope; /**< NULL: SQL's null */
    struct line lines[LINES];
    size_t n;
    tb_err err, err_of_more;               /**< what the statements fail with */
    void (*meanwhile)(struct tb_req *req); /**< while the first statement is on its way */
    size_t asked, more;                    /**< statements */
};

extern struct fixture f;
extern struct app_rows db;
extern struct tb_apps *apps;
extern struct tb_app found; /**< by the last question */
extern struct tb_operation served[TB_OPERATIONS_MAX];
extern struct tb_operation *by_index[TB_OPERATIONS_MAX];
extern struct tb_limit_set standard;

/** Before and after all tests. */
int app_rows_open(void **state);
int app_rows_close(void **state);

/** Before and after each: an empty memory, and a database that knows the app and nothing of it. */
int app_rows_begin(void **state);
int app_rows_end(void **state);

#define APP_TEST(name) cmocka_unit_test_setup_teardown(name, app_rows_begin, app_rows_end)

/** Serve this operation at an index. */
void serve(uint32_t i, const char *product, const char *key);
/** Serve the four operations, as at the beginning. */
void serve_all(void);

void add_line(struct line line);
void entitle(const char *product, const char *operation);
void stop(const char *product, const char *operation, const char *why);
void limit(const char *product, const char *operation, const char *name, int64_t quota);

/** Ask for an app; find: for "app_a". @return the code of the error, or "ok" */
tb_err find_as(const char *app, uint32_t operation);
const char *find(uint32_t operation);

/** Forget all apps. */
void read_anew(void);

/** Wait until what was read is more than a second old. */
void let_it_get_old(void);

/** Whether the log has got this event since it was last looked at. */
bool was_logged(const char *event);

#endif

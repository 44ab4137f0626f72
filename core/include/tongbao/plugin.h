/* Interface of a product: one constant `struct tb_plugin` named `tongbao_plugin`, the only symbol a
 * plugin exports. Everything the host must know stands in its tables, so that it can be checked
 * before the first request and drawn in the documents.
 *
 * History of the ABI (added = minor, anything else = major):
 *   1.0  first version.
 *   1.1  tb_host: reply_as, subject, consent, routed. tb_route: consent. Flags TB_R_RAW, TB_R_OAUTH
 * and TB_R_HTML, for products that are built in.
 *   1.2  tb_host: details. tb_plugin: words, declines. TB_Q_DATE; places of tb_fail_at that are
 * parameters and header fields.
 *   1.3  tb_plugin: scopes, detail_types. Flags TB_R_UNSCRIPTED, TB_R_EVERY_APP and
 * TB_R_ANY_CONSENT and TB_Q_CONSENT_TYPE, for products that are built in. */
#ifndef TONGBAO_PLUGIN_H
#define TONGBAO_PLUGIN_H

#include <tongbao/req.h>

#define TB_ABI_MAJOR 1
#define TB_ABI_MINOR 3

/** How much an interface can harm: A1 public product information, A2 funds and account information
 *  (JR/T 0185-2020). */
enum tb_level { TB_A1 = 1, TB_A2 = 2 };

/** What a parameter is. A time reaches the handler as "2026-02-28T09:30:00.000Z", whatever its
 * offset was; a date exists in the calendar. */
enum tb_query_kind {
    TB_Q_TEXT,
    TB_Q_INT,
    TB_Q_TIME,
    TB_Q_ENUM,
    TB_Q_ID,
    TB_Q_DATE,        /* since 1.2 */
    TB_Q_CONSENT_TYPE /* a detail type of a product, or "identity"; built-in products only */
};

/** A query parameter a route takes. Any other is refused. */
struct tb_query_param {
    const char *name;
    enum tb_query_kind kind;
    int64_t min, max;   /**< TB_Q_INT: value; TB_Q_TEXT: length in bytes */
    const char *values; /**< TB_Q_ENUM: "open|closed"; TB_Q_ID: the prefix */
    const char *doc;
};

/** Flags of a route. */
enum {
    TB_R_KEY = 1u << 0,    /**< needs an Idempotency-Key */
    TB_R_FINISH = 1u << 1, /**< runs to its end when the client goes away: every money write */
    TB_R_PAGE = 1u << 2,   /**< a list: also takes limit, starting_after, ending_before */

    /* built-in products only */
    TB_R_RAW = 1u << 3,   /**< query and body, of any media type, come to the handler unjudged */
    TB_R_OAUTH = 1u << 4, /**< fails as RFC 6749 §5.2 says, not with a problem document */
    TB_R_HTML = 1u << 5,  /**< fails with a page */
    TB_R_ANY_ORIGIN = 1u << 6,  /**< scripts of every web origin may read the answer */
    TB_R_APP_ORIGINS = 1u << 7, /**< those of the client's own origins may; so it is, too, where the
                                     route has a scope */
    TB_R_UNSCRIPTED = 1u << 8,  /**< no partner script sees it: a broken one must not lock its owner
                                     out */
    TB_R_EVERY_APP = 1u << 9,   /**< needs no entitlement: it comes with being an app */
    TB_R_ANY_CONSENT = 1u << 10, /**< opened by any consent, and needs none of its uses */
};

/** One operation. Paths begin with "/{product}/v{n}/"; a parameter is {name} or {name:prefix} for
 * an id of ours. */
struct tb_route {
    const char *method;
    const char *path;
    const char *scope; /**< "{product}:read" or "{product}:write" */
    enum tb_level level;
    const char
        *body_schema; /**< file below schemas/{product}/, without .json; NULL: takes no body */
    const char *reply_schema;           /**< the same for the answer of success */
    const struct tb_query_param *query; /**< ends with a NULL name; may be NULL */
    uint32_t flags;
    uint32_t cost;       /**< units of the rate limit, 0 means 1 */
    uint32_t timeout_ms; /**< 0: the gateway's default */
    uint32_t body_bytes; /**< most a body may have, 0: the gateway's default */
    tb_err (*handler)(struct tb_req *req);
    const char *summary;  /**< one line for the OpenAPI document */
    const char *standard; /**< what it implements: "ISO 20022 pain.001", may be NULL */

    /* since 1.1 */
    const char *consent; /**< detail types ("payment|mandate") whose consents open this route to a
                              token that stands for a customer; NULL: such a token is refused */
};

/** One move of a resource's life. */
struct tb_edge {
    const char *from, *to;
    const char *by; /**< who may cause it: "partner", "bank", "time" */
};

/** The life of a resource. `states` ends with NULL; the first is where it begins. */
struct tb_lifecycle {
    const char *resource;
    const char *const *states;
    const char *const *terminal; /**< ends with NULL */
    const struct tb_edge *edges; /**< ends with a NULL from */
};

/** A configuration key below `plugins.{name}.` */
struct tb_config_key {
    const char *key;
    const char *default_text;
    const char *doc;
};

/** One forward step of the plugin's own SQL schema. The build makes `tb_migrations` from the files
 *  sql/NNNN_name.sql beside the plugin's source. */
struct tb_migration {
    uint32_t number; /**< 1, 2, 3 without gaps */
    const char *name;
    const char *sql;
};
extern const struct tb_migration tb_migrations[];

struct tb_event_type {
    const char *type; /**< "payment.succeeded" */
    const char *doc;
};

/** A code of `failure` of a resource that the bank declined. */
struct tb_decline {
    const char *code; /**< "insufficient_funds" */
    const char *doc;
};

/** A text for people in each language of the bank's own pages. */
struct tb_words {
    const char *zh, *en;
};

/** What a scope of the product allows, for the customer who is asked: "Make the payments that you
 *  approve". One that a customer may not be asked for needs no row. Since 1.3. */
struct tb_scope {
    const char *name; /**< "e-payment:write" */
    struct tb_words words;
};

/** How a member of a detail is shown. */
enum tb_term_kind {
    TB_TERM_TEXT,
    TB_TERM_MONEY, /**< {"amount": 12345, "currency": "CNY"} */
    TB_TERM_TIME,  /**< an RFC 3339 date-time */
};

/** A member of a detail that is the product's own, beside the platform's terms. Since 1.3. */
struct tb_detail_term {
    const char *member;
    enum tb_term_kind kind;
    struct tb_words label;
};

/** A type of authorization details (RFC 9396): what a customer can be asked to allow. The platform
 * knows these members in all types: it checks, shows, narrows and enforces them.
 *
 *     amount                     one payment of exactly that; the consent is used up by it
 *     maximum_individual_amount  payments of at most that, within
 *     periodic_limits            limits by period, each counted exactly
 *     permissions                reading of accounts, of which several may be chosen
 *     debtor_account, accounts   those asked for; left out, the customer chooses
 *     creditor_account, creditor_accounts, reference, allowed_hours, frequency_per_day,
 *     valid_from, valid_to, purpose
 *
 * The first of amount, maximum_individual_amount and permissions that stands in a detail says of
 * what kind it is; with none of them no account is chosen. Any other member is the product's: in
 * `terms` to be shown, in `check` to be judged, and by its operations enforced; a token cannot be
 * narrowed in it. Since 1.3. */
struct tb_detail_type {
    const char *name; /**< "payment", unique over all products */
    const char
        *schema; /**< file below schemas/{product}/, without .json; lets no unknown member in */
    const char *scope; /**< of the product's, blank-separated: a detail of the type implies them */
    struct tb_words title;              /**< of such a consent in a list: "One payment" */
    struct tb_words question;           /**< what the customer is about to allow, a sentence */
    const struct tb_detail_term *terms; /**< ends with a NULL member; may be NULL */
    /** What neither schema nor platform can say about a detail: NULL when it is good, else a
     *  constant that begins with its place, "/folder must not be empty". May be NULL itself. */
    const char *(*check)(const json_t *detail);
    const char *from_scope; /**< the detail, as JSON, that a customer is asked for when a client
                                 sends a scope of the type without details; NULL: none */
};

enum { TB_JOB_EVERY_MS_MIN = 1000 };

/** Work due by time, run by the clerk with a request of its own: in one process of all machines at
 * a time, with 60 s for it. It may ask the books (tb_query, each statement a transaction of its
 * own), tb_now, tb_fail and tb_log; a client it has none. A run that fails is logged and counted
 *  (tongbao_jobs_failed_total), and keeps no other job from running. */
struct tb_job {
    const char *name;  /**< lower case, unique in the product */
    uint32_t every_ms; /**< from the beginning of a run to that of the next, at least 1000 */
    tb_err (*run)(struct tb_req *req);
};

/** What init and health may use: no request exists yet. */
struct tb_setup {
    size_t size;
    struct tb_str (*config)(const struct tb_setup *setup, const char *key);
};

struct tb_plugin {
    uint32_t abi_major, abi_minor;
    size_t size;           /**< sizeof(struct tb_plugin) when the plugin was built */
    size_t route_size;     /**< sizeof(struct tb_route), so that fields can be appended */
    const char *signature; /**< TB_BUILD_SIGNATURE */
    const char *name;      /**< product, as in its paths: "e-payment" */
    const char *version;   /**< semantic version of the product */
    const char *title;

    const struct tb_route *routes;
    size_t routes_n;
    const struct tb_lifecycle *states;
    size_t states_n;
    const struct tb_config_key *config;
    size_t config_n;
    const struct tb_migration *migrations; /**< ends with number 0; may be NULL */
    const struct tb_error *const *errors;
    size_t errors_n;
    const struct tb_event_type *events;
    size_t events_n;
    const struct tb_call *const *calls;
    size_t calls_n;
    const struct tb_job *jobs;
    size_t jobs_n;

    /** In every process that loads the plugin (workers, the clerk, commands), once. May be NULL; an
     *  error refuses the plugin. */
    tb_err (*init)(const struct tb_setup *setup);
    /** Asked by a worker at most once a second, for /readyz. May be NULL; an error makes it 503. */
    tb_err (*health)(const struct tb_setup *setup);
    /** At the orderly end of a process in which `init` ran. May be NULL. */
    void (*fini)(void);

    /* since 1.2 */
    const struct tb_error_words *words; /**< of its errors, in other languages */
    size_t words_n;
    const struct tb_decline *declines; /**< why its resources can fail */
    size_t declines_n;

    /* since 1.3 */
    const struct tb_scope *scopes; /**< in words */
    size_t scopes_n;
    const struct tb_detail_type *detail_types;
    size_t detail_types_n;
};

/** What must agree between a plugin's build and the host's. */
#define TB_BUILD_SIGNATURE "tongbao/1;jansson/2;" TB_SIGNATURE_POINTERS
#if UINTPTR_MAX == 0xffffffffffffffffu
#define TB_SIGNATURE_POINTERS "lp64"
#else
#define TB_SIGNATURE_POINTERS "ilp32"
#endif

/** Most products, and most operations and detail types of all of them together; a start with more
 * is refused. */
enum { TB_PRODUCTS_MAX = 64, TB_OPERATIONS_MAX = 1024, TB_DETAIL_TYPES_MAX = 64 };

/** First members of every plugin: what the loader checks before it believes anything else. */
#define TB_PLUGIN_HEAD                                                                             \
    .abi_major = TB_ABI_MAJOR, .abi_minor = TB_ABI_MINOR, .size = sizeof(struct tb_plugin),        \
    .route_size = sizeof(struct tb_route), .signature = TB_BUILD_SIGNATURE

#define TB_TABLE(member, array) .member = (array), .member##_n = TB_COUNT(array)

/** Export the plugin: `TB_PLUGIN = { TB_PLUGIN_HEAD, .name = "e-payment", … };` */
#define TB_PLUGIN                                                                                  \
    extern const struct tb_plugin tongbao_plugin;                                                  \
    __attribute__((visibility("default"))) const struct tb_plugin tongbao_plugin

#endif

/* What makes a sandbox world usable over OAuth: its app becomes a client and its first company gets
 * users who can log in. The demo world and the worlds of strangers are made with the same code. */
#ifndef TB_OAUTH_DEMO_H
#define TB_OAUTH_DEMO_H

#include "bank/seed.h"

enum {
    TB_DEMO_USERS = 2,
    TB_DEMO_SECRET_BYTES = 48, /**< a client secret or a password: 43 characters at most, and NUL */
    TB_DEMO_LOGIN_BYTES = 32,
    TB_DEMO_TOTP_BYTES = 48,
};

/** A user of the sandbox, with all it takes to log in. NUL-terminated. */
struct tb_demo_user {
    char login[TB_DEMO_LOGIN_BYTES], password[TB_DEMO_SECRET_BYTES], totp[TB_DEMO_TOTP_BYTES];
    const char *role; /**< "initiator" or "approver" */
};

struct tb_demo {
    struct tb_seed seed;
    char secret[TB_DEMO_SECRET_BYTES]; /**< of the client, for client_secret_basic */
    struct tb_demo_user users[TB_DEMO_USERS];
};

/** Make the demo world with its client and its users, or find the one that is there; its secrets
 *  are derived from the installation's master secret, so they are the same every time.
 *  @return NULL; errors of tb_seed_demo
 *  Waits: yes. Needs tb_oauth_open. */
tb_err TB_NODISCARD TB_SUSPENDS tb_demo_make(struct tb_req *req, struct tb_store *store,
                                             struct tb_demo *out_demo);

/** Give the first company of a fresh world its users, with random passwords.
 *  @return NULL; errors of tb_user_make and tb_tx_query */
tb_err TB_NODISCARD TB_SUSPENDS tb_demo_users(struct tb_req *req, struct tb_tx *tx,
                                              const struct tb_seed *seed,
                                              struct tb_demo_user out_users[TB_DEMO_USERS]);

#endif

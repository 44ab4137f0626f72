/* OAuth client and users of a sandbox world: its app becomes a client and its first company gets
 * users who can log in. The demo world and the worlds of strangers are made with the same code.
 *
 *     TB_TRY(tb_demo_invent(req, &users));                    // passwords, off the loop
 *     TB_TRY(tb_tx_run(req, store, work, …));                 // and in it:
 *     TB_TRY(tb_demo_users(req, tx, &seed, &users));
 */
#ifndef TB_OAUTH_REGISTRATION_DEMO_H
#define TB_OAUTH_REGISTRATION_DEMO_H

#include "ledger/seed.h"
#include "oauth/client/client.h"
#include "oauth/user/user.h"

enum {
    TB_DEMO_USERS = 2,
    TB_DEMO_LOGIN_BYTES = 48,
};

/** A user of a sandbox, with all it takes to log in. NUL-terminated. */
struct tb_demo_user {
    const char *role, *name; /**< "initiator" or "approver"; of the person */
    char login[TB_DEMO_LOGIN_BYTES];
    char totp[TB_USER_SECRET_ROOM]; /**< base32 */
};

/** The users of a world. They share one password, because each hash costs 50 ms on purpose. */
struct tb_demo_users {
    char password[TB_CLIENT_SECRET_CHARS + 1];
    struct tb_str hash;
    const unsigned char *totp_key; /**< their second factors are derived from it; NULL: random */
    struct tb_demo_user users[TB_DEMO_USERS];
};

/** Invent a password and hash it. Not inside a transaction.
 *  @return NULL; errors of tb_user_password
 *  Waits: yes, some 50 ms. */
tb_err TB_NODISCARD TB_SUSPENDS tb_demo_invent(struct tb_req *req, struct tb_demo_users *out_users);

/** Give the first company of a fresh world its users.
 *  @return NULL; errors of tb_user_make */
tb_err TB_NODISCARD TB_SUSPENDS tb_demo_users(struct tb_req *req, struct tb_tx *tx,
                                              const struct tb_seed *seed,
                                              struct tb_demo_users *users);

/** The demo world and how to get in. */
struct tb_demo {
    struct tb_seed seed;
    char secret[TB_CLIENT_SECRET_CHARS + 1]; /**< of the client, for client_secret_basic */
    struct tb_demo_users users;
};

/** Make the demo world with its client and its users, or find the one that is there. Its secrets
 * are derived from the installation's master secret, so they are the same every time.
 *  @return NULL; errors of tb_seed_demo, tb_demo_users and tb_tx_run
 *  Waits: yes. Needs tb_oauth_open. */
tb_err TB_NODISCARD TB_SUSPENDS tb_demo_make(struct tb_req *req, struct tb_store *store,
                                             struct tb_demo *out_demo);

#endif

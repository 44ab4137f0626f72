/* A client with keys and a secret, a customer, and the two endpoints that take requests for
 * authorization: for the tests of both. */
#ifndef TB_TESTS_PUSHING_H
#define TB_TESTS_PUSHING_H

#include "crypto/jose.h"
#include "oauth_fixture.h"

#define CLIENT   "app_01k9x3m6h0g00801v9r5t2n8qd"
#define OTHER    "app_01k9x3m6h0g00801c4w7e3k6zj"
#define CUSTOMER "usr_01k9x3m6h0g00801v9r5t2n8qd"

/** The whole scene: world wld_1 with book 7, the client, and the customer wei@w7. */
struct scene {
    struct fixture fixture;
    struct tb_arena *arena; /**< of the test program */
    struct tb_key *key;     /**< the client's, ES256 */
    struct tb_key *rsa;     /**< the client's, PS256 */
    struct tb_key *stranger;
};

void scene_open(struct scene *scene);
void scene_close(struct scene *scene);

/** Give the client these members of metadata besides what it needs: ",\"scope\":\"…\"". */
void scene_client(struct scene *scene, const char *more);

/** The Authorization header by which the client shows its secret. */
struct tb_str scene_basic(struct scene *scene);

/** A parameter of a request. */
struct param {
    const char *name, *value;
};

/** The parameters of `usual` (ends with a NULL name), those of `other` instead or besides; a value
 * of NULL leaves one out. As a form, or as members of a new JSON object, in which a value that
 * begins so is an object or array. */
const char *form_text(struct scene *scene, const struct param *usual, const struct param *other);
json_t *members_of(const struct param *usual, const struct param *other);

/** A request object of the client: `members`, which this takes over, and the claims of the JWT, but
 * for what the JSON object `claims` says instead; null in it leaves one out. */
struct tb_str object_of(struct scene *scene, struct tb_key *key, const char *type, json_t *members,
                        const char *claims);

struct answered {
    const char *code; /**< "ok" or of the error */
    int status;
    struct visit visit;
    char body[8192];
    json_t *json; /**< of the body; NULL: none */
};

/** Post `form` as the client, with its secret, to "/oauth/par" or "/oauth/backchannel".
 *  @param proof  a DPoP header; NULL: none */
const struct answered *post(struct scene *scene, const char *path, const char *form,
                            const char *proof);

/** Fail unless the answer has `code` and its description contains `words`. */
void expect(const struct answered *answered, const char *code, const char *words,
            const char *context);

#endif

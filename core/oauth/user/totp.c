/* TOTP as a second factor. A code counts for its own step and the two beside it, since clocks of
 * telephones differ; a step is used up with its first right code, in the database, so that neither
 * the same code nor an older one opens anything a second time (RFC 6238 §5.2). */
#include "base/random.h"
#include "crypto/digest.h"
#include "crypto/otp.h"
#include "oauth/server.h"
#include "oauth/user/second_factor.h"

enum { STEPS_BESIDE = 1 };

static const char SQL_USE_STEP[] =
    "update oauth.user_account set factor_step = $2 where id = $1 and factor_step < $2 returning id";

static void enroll(struct tb_secret *out_secret)
{
    unsigned char bytes[TB_OTP_SECRET_BYTES];
    tb_random_bytes(bytes, sizeof(bytes));
    tb_secret_set(out_secret, bytes, sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));
}

/* The step whose code `answer` is, 0 when it is none's. All are compared, whichever is right. */
static int64_t step_of(const struct tb_secret *secret, struct tb_str answer, int64_t now_s)
{
    int64_t found = 0;
    for (int64_t beside = -STEPS_BESIDE; beside <= STEPS_BESIDE; beside++) {
        char code[TB_OTP_DIGITS];
        int64_t step = now_s / TB_OTP_STEP_S + beside;
        tb_hotp(TB_BYTES(secret->at, secret->n), (uint64_t)step, TB_OTP_DIGITS, code);
        if (tb_same_secret(answer, TB_BYTES(code, sizeof(code))))
            found = step;
    }
    return found;
}

/* As people copy it from a telephone: "123 456". */
static struct tb_str without_blanks(struct tb_str answer, char *room, size_t room_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < answer.n && n < room_bytes; i++)
        if (answer.at[i] != ' ')
            room[n++] = answer.at[i];
    return (struct tb_str){room, n};
}

static tb_err TB_SUSPENDS verify(struct tb_req *req, const struct tb_factor_case *of,
                                 struct tb_str answer, bool *out_right)
{
    char room[TB_OTP_DIGITS + 1];
    struct tb_rows *rows;
    struct tb_str code = without_blanks(answer, room, sizeof(room));
    int64_t step = step_of(of->secret, code, tb_oauth_now_s(req));
    *out_right = false;
    if (step == 0)
        return NULL;
    TB_TRY(tb_query(req, &rows, SQL_USE_STEP, TB_TEXT(of->user), TB_INT(step)));
    *out_right = rows->n > 0;
    return NULL;
}

const struct tb_second_factor tb_totp = {.name = "totp", .enroll = enroll, .verify = verify};

const struct tb_second_factor *tb_second_factor(struct tb_str name)
{
    static const struct tb_second_factor *const factors[] = {&tb_totp};
    for (size_t i = 0; i < TB_COUNT(factors); i++)
        if (tb_str_eq(name, tb_str(factors[i]->name)))
            return factors[i];
    return NULL;
}

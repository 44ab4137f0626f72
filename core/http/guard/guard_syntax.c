/* One table says what each character may be part of; the three questions walk it. */
#include "http/guard/guard_syntax.h"

enum { TOKEN = 1, TARGET = 2, HOST = 4 };

/* Rows of sixteen, from 0x20 on; controls and bytes above 0x7e are nothing. */
// clang-format off
static const uint8_t classes[256] = {
#define T (TOKEN | TARGET)
#define A (TOKEN | TARGET | HOST)
#define R TARGET
#define H (TARGET | HOST)
#define X TOKEN
    [0x20] =
    /*   ! " # $ % & ' ( ) * + , - . / */
    0, T, R, X, T, A, T, T, R, R, T, T, R, A, A, R,
    /* 0 1 2 3 4 5 6 7 8 9 : ; < = > ? */
    A, A, A, A, A, A, A, A, A, A, H, R, R, R, R, R,
    /* @ A B C D E F G H I J K L M N O */
    R, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* P Q R S T U V W X Y Z [ \ ] ^ _ */
    A, A, A, A, A, A, A, A, A, A, A, H, 0, H, T, A,
    /* ` a b c d e f g h i j k l m n o */
    T, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* p q r s t u v w x y z { | } ~   */
    A, A, A, A, A, A, A, A, A, A, A, R, T, R, A, 0,
#undef T
#undef A
#undef R
#undef H
#undef X
};
// clang-format on

static bool all_of(h2o_iovec_t text, uint8_t class)
{
    uint8_t common = class;
    for (size_t i = 0; i < text.len; i++)
        common &= classes[(uint8_t)text.base[i]];
    return common != 0;
}

bool tb_guard_method_ok(h2o_iovec_t method)
{
    return method.len >= 1 && method.len <= 32 && all_of(method, TOKEN);
}

bool tb_guard_target_ok(h2o_iovec_t target, h2o_iovec_t method)
{
    if (target.len == 0)
        return false;
    if (target.base[0] != '/')
        return h2o_memis(target.base, target.len, H2O_STRLIT("*")) &&
               h2o_memis(method.base, method.len, H2O_STRLIT("OPTIONS"));
    return all_of(target, TARGET);
}

bool tb_guard_authority_ok(h2o_iovec_t authority)
{
    return authority.len >= 1 && authority.len <= 255 && all_of(authority, HOST);
}

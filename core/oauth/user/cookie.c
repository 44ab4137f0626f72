#include "oauth/user/cookie.h"
#include "http/server.h"
#include "runtime/run.h"

struct tb_str tb_cookie_in(struct tb_str field, struct tb_str name)
{
    for (size_t at = 0; at < field.n;) {
        while (at < field.n && (field.at[at] == ' ' || field.at[at] == ';'))
            at++;
        size_t from = at;
        while (at < field.n && field.at[at] != ';')
            at++;
        struct tb_str pair = {field.at + from, at - from};
        if (pair.n > name.n && memcmp(pair.at, name.at, name.n) == 0)
            return (struct tb_str){pair.at + name.n, pair.n - name.n};
    }
    return TB_STR_NONE;
}

struct tb_str tb_cookie(struct tb_req *req, struct tb_str name)
{
    const struct tb_incoming *in = tb_run_of(req)->in;
    struct tb_str value = TB_STR_NONE;
    for (size_t i = 0; i < in->headers_n && value.at == NULL; i++)
        if (tb_str_eq(in->headers[i].name, TB_STR("cookie")))
            value = tb_cookie_in(in->headers[i].value, name);
    return value;
}

/* The few value types that cross between the host and a plugin. */
#ifndef TONGBAO_TYPES_H
#define TONGBAO_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Elements of an array, which must not be a pointer. */
#define TB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** The struct whose member stands at `at`. */
#define TB_CONTAINER(type, member, at) ((type *)(void *)((char *)(at)-offsetof(type, member)))

/** Bytes with a length, borrowed. Not terminated unless said; `at` NULL means absent. */
struct tb_str {
    const char *at;
    size_t n;
};

#define TB_STR(literal) ((struct tb_str){(literal), sizeof(literal) - 1})
#define TB_STR_NONE     ((struct tb_str){NULL, 0})

/** The text `text` (NUL-terminated; NULL gives absent) as a tb_str. */
static inline struct tb_str tb_str(const char *text)
{
    return (struct tb_str){text, text == NULL ? 0 : strlen(text)};
}

static inline int tb_str_eq(struct tb_str a, struct tb_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

/** An amount of money: minor units of an ISO 4217 currency. */
struct tb_money {
    int64_t minor;
    char currency[4]; /**< three letters and NUL */
};

/** A typed parameter of a SQL statement. Made by the TB_P_* macros below. */
enum tb_param_kind { TB_PARAM_NULL, TB_PARAM_TEXT, TB_PARAM_INT, TB_PARAM_BOOL, TB_PARAM_TIME };

struct tb_param {
    enum tb_param_kind kind;
    struct tb_str text; /**< TB_PARAM_TEXT */
    int64_t integer; /**< TB_PARAM_INT: value; TB_PARAM_BOOL: 0/1; TB_PARAM_TIME: ms since 1970 */
};

#define TB_NULL     ((struct tb_param){.kind = TB_PARAM_NULL})
#define TB_TEXT(s)  ((struct tb_param){.kind = TB_PARAM_TEXT, .text = (s)})
#define TB_INT(i)   ((struct tb_param){.kind = TB_PARAM_INT, .integer = (i)})
#define TB_MINOR(i) TB_INT(i)
#define TB_BOOL(b)  ((struct tb_param){.kind = TB_PARAM_BOOL, .integer = (b) ? 1 : 0})
#define TB_TIME(ms) ((struct tb_param){.kind = TB_PARAM_TIME, .integer = (ms)})

#endif

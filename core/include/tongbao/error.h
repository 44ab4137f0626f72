/* Errors. An error is a pointer to a constant object that says how it looks on the wire; NULL is
 * success. The table is errors.def: one row makes the constant, the line in docs/errors.md and the
 * problem document (RFC 9457) a partner reads. A plugin adds its own with TB_ERROR_DEFINE. */
#ifndef TONGBAO_ERROR_H
#define TONGBAO_ERROR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** One kind of failure. Constant for ever: partners program against `code`. */
struct tb_error {
    const char *code;   /**< stable, snake_case, unique over core and plugins */
    uint16_t status;    /**< HTTP status, 400..599 */
    bool retryable;     /**< the same request may succeed later, unchanged */
    const char *title;  /**< one line for a person; the `title` of the problem */
    const char *remedy; /**< what to do about it; shown in docs/errors.md */
};

typedef const struct tb_error *tb_err;

/** Title and remedy of an error in another language than English. A product lists those of its own
 *  errors in its table `words` (since 1.2). */
struct tb_error_words {
    const char *code;
    const char *lang; /**< "zh": a primary subtag of RFC 5646 */
    const char *title;
    const char *remedy;
};

#define TB_NODISCARD               __attribute__((warn_unused_result))
#define TB_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define TB_UNUSED                  __attribute__((unused))

/** Marks a function that may give up the processor until something happens. Only functions so
 * marked may call it; the lint checks that. Nothing but arena memory may be held over such a call.
 */
#define TB_SUSPENDS

/** Return the error of `expr` to the caller, if it has one. */
#define TB_TRY(expr)                                                                               \
    do {                                                                                           \
        tb_err tb_try_err_ = (expr);                                                               \
        if (tb_try_err_ != NULL)                                                                   \
            return tb_try_err_;                                                                    \
    } while (0)

#define TB_ERROR_DEFINE(name, status_, code_, retryable_, title_, remedy_)                         \
    static const struct tb_error TB_E_##name[1] TB_UNUSED = {{.code = (code_),                     \
                                                              .status = (status_),                 \
                                                              .retryable = (retryable_),           \
                                                              .title = (title_),                   \
                                                              .remedy = (remedy_)}};

#define TB_ERROR TB_ERROR_DEFINE
#include <tongbao/errors.def>
#undef TB_ERROR

/** Whether `err` is of the kind `kind`. Each file has its own copy of the constants (a plugin is
 *  linked against nothing of the host), so kinds are compared by code, not by address. */
static inline bool tb_is(tb_err err, tb_err kind)
{
    return err == kind || (err != NULL && kind != NULL && strcmp(err->code, kind->code) == 0);
}

#endif

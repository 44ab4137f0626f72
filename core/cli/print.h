/* Output of commands. Names and sentences in it are of others: what of them does not show itself
 * (base/text.h) is escaped, so that no terminal obeys it and no reader is misled. */
#ifndef TB_CLI_PRINT_H
#define TB_CLI_PRINT_H

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <tongbao/error.h>

/** Print a formatted text; of what does not show itself only newlines stay as they are. */
void tb_print(const char *format, ...) TB_PRINTF(1, 2);
void tb_print_to(FILE *to, const char *format, ...) TB_PRINTF(2, 3);
void tb_print_args(FILE *to, const char *format, va_list args);

/** Print a document and a newline on standard output; `flags` are jansson's. */
void tb_print_json(const json_t *json, size_t flags);

/** The same without the newline, of any value. */
void tb_print_value(const json_t *json, size_t flags);

#endif

/* Between the two files of JSON reading: how a place found by the parser is described. */
#ifndef TB_BASE_JSON_CHECK_H
#define TB_BASE_JSON_CHECK_H

#include "base/json.h"

/** Fill *out (may be NULL) for byte `offset` of `text`: line, column and the pointer of the
 * innermost value there. */
void tb_json_describe(struct tb_str text, const char *reason, size_t offset,
                      struct tb_json_error *out);

#endif

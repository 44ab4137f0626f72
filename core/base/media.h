/* Media types as Content-Type has them (RFC 9110 §8.3). */
#ifndef TB_BASE_MEDIA_H
#define TB_BASE_MEDIA_H

#include <stdbool.h>
#include <tongbao/types.h>

/** Whether text of this Content-Type is UTF-8: no charset is named, or UTF-8, or US-ASCII, which is
 *  a part of it.
 *  @param type         the field's value; may be absent
 *  @param out_charset  when it is not: the name, without quotes, in `type`'s bytes */
bool tb_media_charset(struct tb_str type, struct tb_str *out_charset);

#endif

/* The languages in which people read what the bank writes: its pages, and titles and remedies of
 * problems. */
#ifndef TB_BASE_LANG_H
#define TB_BASE_LANG_H

#include <stdbool.h>
#include <tongbao/types.h>

enum tb_lang { TB_LANG_ZH, TB_LANG_EN, TB_LANGS };

/** The BCP 47 tag of the language: "zh-CN", "en". */
struct tb_str tb_lang_tag(enum tb_lang lang);

/** The first language of the list that we have: `tags` are separated by blanks (ui_locales) or
 *  commas (Accept-Language, whose weights count).
 *  @return false when we have none of them */
bool tb_lang_choose(struct tb_str tags, enum tb_lang *out_lang);

#endif

/* The page lua/api.md: what a script finds, made of the comments beside it. In C they begin with
 * three stars: lines of signatures, then prose; a line "# name" begins a section. In Lua they begin
 * with three dashes, in the words of lua-language-server. */
#ifndef TB_TOOLS_DOCGEN_GEN_SCRIPT_PAGE_H
#define TB_TOOLS_DOCGEN_GEN_SCRIPT_PAGE_H

#include "base/text.h"

/** Add the page, from the sources below `root`.
 *  @return false, with `why`, when a file cannot be read or a function has no comment */
bool TB_NODISCARD tb_script_page(struct tb_text *out, const char *root, char *why,
                                 size_t why_bytes);

#endif

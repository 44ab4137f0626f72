/* The product by which a partner keeps its script: versions, reviews, activations and the tables
 * that the script looks things up in. What may be done stands in core/hooks/sql; here is the one
 * thing the books cannot know, whether a text is a script. */
#ifndef TB_HOOKS_SCRIPT_LIFE_H
#define TB_HOOKS_SCRIPT_LIFE_H

#include <tongbao/plugin.h>

extern const struct tb_plugin tb_scripts_product;

/** Whether a text can be pushed: it loads, and has a hook that there is.
 *  @param why  on refusal where and why, for the script's author
 *  Waits: no; a state is made for it and thrown away. */
bool TB_NODISCARD tb_script_acceptable(struct tb_str source, char *why, size_t why_bytes);

#endif

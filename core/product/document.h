/* `tongbao plugin doc`: what a product's tables say, as Markdown for people. */
#ifndef TB_PRODUCT_DOCUMENT_H
#define TB_PRODUCT_DOCUMENT_H

#include "base/text.h"
#include <tongbao/plugin.h>

/** Add the page of a product: operations, parameters, lives of its resources (Mermaid), errors,
 *  events, configuration. */
void tb_plugin_document(struct tb_text *out, const struct tb_plugin *plugin);

#endif

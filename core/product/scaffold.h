/* `tongbao plugin new NAME`: a product to start from. What it writes is plugins/example with
 * another name, so the starting point is code that is built and tested every day. */
#ifndef TB_PRODUCT_SCAFFOLD_H
#define TB_PRODUCT_SCAFFOLD_H

#include <stdbool.h>
#include <stddef.h>

/** Write plugins/{name}/ and schemas/{name}/ below the source tree `root`. `wrote(path)` is told
 * each file. Refuses a bad name, and anything that is there already.
 *  @return false with a sentence in `why`; nothing was then written, or the sentence says what was
 */
bool tb_plugin_scaffold(const char *root, const char *name, void (*wrote)(const char *path),
                        char *why, size_t why_bytes);

#endif

/* The SDK: the one header a product includes. docs/plugin-guide.md shows its use from nothing to a
 * served route. */
#ifndef TONGBAO_H
#define TONGBAO_H

#include <tongbao/error.h>
#include <tongbao/plugin.h>
#include <tongbao/req.h>
#include <tongbao/types.h>

#endif

/* Differences of two JSON values, for people to read. */
#ifndef TB_CLI_JSON_DIFF_H
#define TB_CLI_JSON_DIFF_H

#include <jansson.h>
#include <stddef.h>

/** The places where `decided` is not as `expected`, by JSON pointer, outer ones first. An empty
 *  object, an empty array and nothing at all are the same: in Lua they look alike.
 *  @param expected, decided  borrowed; NULL: nothing
 *  @param most  places told
 *  @return an array of {at, expected, decided} without the members that are not there, for the
 *          caller; NULL when there is no difference */
json_t *tb_json_differences(const json_t *expected, const json_t *decided, size_t most);

#endif

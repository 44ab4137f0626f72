/* Members that a schema marks `x-sensitive`: true, as a list of pointers for redact.h. */
#ifndef TB_HOOKS_SENSITIVE_H
#define TB_HOOKS_SENSITIVE_H

#include <jansson.h>

/** Read a schema and what it refers to, and list the places of values that it marks.
 *  @param path  as for tb_schema_load, which has accepted it
 *  @return a JSON array of pointers with "*" for elements and members of any name, empty when it
 *          marks nothing, with a reference for the caller; NULL when it cannot be read or marks
 * more than TB_REDACT_POINTERS places Waits: reads files. */
json_t *tb_sensitive_members(const char *directory, const char *path);

#endif

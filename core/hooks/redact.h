/* Redaction of a request before it is kept: members that the partner named, and the tails of
 * long texts. The shape stays, so that a script that is tried on it later finds what it expects: a
 * text becomes "[redacted]", a number 0, a truth false.
 *
 *     struct tb_redaction *redaction = tb_redaction_new(list, why, sizeof why);
 *     tb_redact(redaction, request);
 */
#ifndef TB_HOOKS_REDACT_H
#define TB_HOOKS_REDACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <tongbao/error.h>

enum {
    TB_REDACT_POINTERS = 64,       /**< most of one partner */
    TB_REDACT_POINTER_BYTES = 256, /**< longest of them */
    TB_REDACT_PARTS = 16,          /**< most names in one */
    TB_REDACT_TEXT_BYTES = 512,    /**< longer texts are cut */
};

struct tb_redaction;

/** Read a list of JSON pointers (RFC 6901) into the body. The name "*" stands for every member of
 * an object and every element of an array.
 *  @param list  a JSON array of texts; borrowed
 *  @param why   on refusal a sentence
 *  @return to be freed with tb_redaction_free; NULL when the list is not acceptable */
struct tb_redaction *tb_redaction_new(const json_t *list, char *why, size_t why_bytes);
void tb_redaction_free(struct tb_redaction *redaction);

/** Redact `request`, an object that its caller alone has: the members named below its "body", and
 *  every text in it that is too long, which is cut between characters.
 *  @return false when the value is deeper than TB_JSON_DEPTH_MAX: it must not be kept
 *  Waits: no. */
bool TB_NODISCARD tb_redact(const struct tb_redaction *redaction, json_t *request);

#endif

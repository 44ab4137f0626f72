/* The statements this process has ever sent. A text is found by its address, because it should be a
 * constant; its bytes are compared all the same, because running a statement that was meant to be
 * another is the one mistake that must not happen here. */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 120 /* bytes of a text in the log */ };

struct tb_statement *tb_statement_of(struct tb_statements *known, const char *sql)
{
    uintptr_t address = (uintptr_t)sql;
    struct tb_statement **bucket =
        &known->buckets[(address >> 4 ^ address >> 12) % TB_STATEMENT_BUCKETS];
    for (struct tb_statement *s = *bucket; s != NULL; s = s->next)
        if (s->address == sql && strcmp(s->sql, sql) == 0)
            return s;
    if (known->n == TB_STATEMENTS_MAX) {
        if (!known->full)
            tb_log_with(TB_LOG_WARN, "statements_not_prepared", TB_F_INT("most", TB_STATEMENTS_MAX),
                        TB_F_TEXT("first", ((struct tb_str){sql, strnlen(sql, SHOWN)})));
        known->full = true;
        return NULL;
    }
    struct tb_statement *s = tb_mem(sizeof(*s));
    s->address = sql;
    s->sql = tb_mem_text(sql, strlen(sql));
    s->number = known->n++;
    s->next = *bucket;
    *bucket = s;
    /* The number keeps names apart; the hash lets the server's log tell texts apart over releases.
     */
    snprintf(s->name, sizeof(s->name), "tb_%" PRIu32 "_%08" PRIx32, s->number,
             tb_hash_fold(tb_hash(sql, strlen(sql))));
    return s;
}

void tb_statements_free(struct tb_statements *known)
{
    for (size_t i = 0; i < TB_STATEMENT_BUCKETS; i++)
        for (struct tb_statement *s = known->buckets[i], *next; s != NULL; s = next) {
            next = s->next;
            tb_mem_free(s->sql);
            tb_mem_free(s);
        }
}

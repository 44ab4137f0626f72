/* Crash records: when a process of the service dies of a signal, the record says which request it
 * was serving, where it fell and of what. The handler runs on a stack of its own and only writes
 * into shared memory; the master turns the record into a line of the log and a file.
 *
 *     tb_crash_install(&process->slot->crash, describe);
 *
 * Source: varnish's panic record; nginx's debug points. */
#ifndef TB_PROCESS_CRASH_H
#define TB_PROCESS_CRASH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TB_CRASH_HASH = 16 };

/** The request a process was serving. Texts end with NUL and are empty when not known. */
struct tb_serving {
    char request_id[37];
    char route[96]; /**< "POST /e-payment/v1/payments", or the name of a job */
    char partner[32];
    unsigned char hash[TB_CRASH_HASH]; /**< tb_request_hash; all zero when there is none */
};

enum tb_crash_stage {
    TB_CRASH_NONE,
    TB_CRASH_SIGNAL, /**< what fell and where is written; naming the request failed */
    TB_CRASH_WHOLE,
};

/** In shared memory, one for each process. */
struct tb_crash {
    _Atomic int32_t stage; /**< enum tb_crash_stage */
    int32_t signal;
    int32_t code;        /**< si_code */
    uint64_t address;    /**< that was touched; 0 for a signal that was sent */
    uint64_t pc;         /**< program counter */
    uint64_t offset;     /**< of the program counter in `object`'s file */
    char object[96];     /**< file the program counter lies in: the plugin to look at */
    bool stack_overflow; /**< the address lies in the guard page under a stack */
    bool off_loop;       /**< on a helper thread; the request is then not known */
    struct tb_serving serving;
};

/** Say what the process is doing, in `out`, which is all zeros. Runs in the signal handler, on the
 *  thread that fell: may only read memory and copy. */
typedef void (*tb_crash_describe)(struct tb_serving *out);

/** Handle SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP and SIGABRT in this process, on the calling
 * thread's own alternate stack. The handlers that were there before run afterwards. */
void tb_crash_install(struct tb_crash *record, tb_crash_describe describe);

#endif

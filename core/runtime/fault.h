/* Faults on purpose, for tests: places in the code that carry a name, where a test build can be
 * told to die, stall or fail. In other builds TB_FAULT is false and nothing of this exists.
 *
 *     (void)TB_FAULT("before_ledger_tx");             // a place to be killed or delayed at
 *     if (TB_FAULT("before_ledger_tx"))               // a place that can fail as well
 *         return tb_fail(req, TB_E_STORE, "fault");
 *
 * The environment says which: TB_FAULT="name:action[:hit]", several separated by commas. Actions
 * are kill (SIGKILL), abort, delay=ms (blocks the process) and error. `hit` is the visit at which
 * it happens, 1 if absent; `*` means every one. With TB_FAULT_DIR set, a kill or abort leaves a
 * file of its name there and does not happen again while that exists: the process that takes over
 * survives. */
#ifndef TB_RUNTIME_FAULT_H
#define TB_RUNTIME_FAULT_H

#include <stdbool.h>

#ifdef TB_FAULTS
#define TB_FAULT(name)       tb_fault(name)
#define TB_FAULT_ARMED(name) tb_fault_armed(name)

/** A visit of the place `name`: do what was asked for. True: fail here. */
bool tb_fault(const char *name);

/** Whether anything was asked for at `name`. */
bool tb_fault_armed(const char *name);

/** Replace what the environment asked for; NULL or "": nothing. A malformed text asserts. */
void tb_fault_set(const char *spec);
#else
#define TB_FAULT(name)       false
#define TB_FAULT_ARMED(name) false
#endif

#endif

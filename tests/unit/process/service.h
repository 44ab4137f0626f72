/* A small service for the tests of the master: real processes, a real listening socket, and a
 * memory file through which a test tells them how to behave and sees what they did. Clients send
 * one letter and get one line back:
 *
 *     w  "<pid> <generation> <counter in shared memory>\n"
 *     s  the same, half a second later, or more on a busy machine
 *     a  nothing: abort();  n: writes to address 0x10;  o: overflows its fiber's stack
 *     h  nothing: the loop hangs
 */
#ifndef TB_TESTS_MAIN_SERVICE_H
#define TB_TESTS_MAIN_SERVICE_H

#include "../yardstick.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct play {
    char listen[64];
    _Atomic int workers;
    _Atomic int refuse_from; /**< workers of this generation and later refuse; 0: none */
    _Atomic int die_from;   /**< workers of this generation and later abort before they are ready */
    _Atomic int slow_ms;    /**< a worker takes so long to become ready */
    _Atomic int go_ms;      /**< and so long to begin to accept */
    _Atomic int think_ms;   /**< until the answer to `s` */
    _Atomic int check_exit; /**< exit code of `serve --check` */
    _Atomic int starts;     /**< workers started so far */
    _Atomic int limit_layout;
};

/** A service in a directory of its own; the directory is removed by service_end. */
struct service {
    char dir[64];
    pid_t pid;
    struct play *play;
};

/** Prepare without starting. */
void service_prepare(struct service *s, int workers);
void service_start(struct service *s);
/** Wait until it serves; fails the test after 5 s. */
void service_wait_serving(struct service *s);
/** Prepare, start, wait. */
void service_up(struct service *s, int workers);
/** Kill whatever is left and remove the directory. */
void service_end(struct service *s);

/** Wait for the master's exit, as long as service_wait. @return its wait status */
int service_join(struct service *s, int64_t ms);

/** Ask one question over a new connection. False when there is no whole answer. */
bool service_ask(const struct service *s, char letter, int *out_pid, int *out_generation,
                 int *out_counter);
/** Send a letter and wait until the connection ends. */
void service_hit(const struct service *s, char letter);
/** Connect and send a letter; the answer is read by service_read. */
int service_send(const struct service *s, char letter);
bool service_read(int fd, int *out_pid, int *out_generation, int *out_counter);

/** Whether the file in the directory holds the text. */
bool service_file_has(const struct service *s, const char *name, const char *text);
/** The same of the newest crash record. */
bool service_crash_has(const struct service *s, const char *text);
int service_crashes(const struct service *s);

/** Number of children of the master in status.json that are in this state. */
int service_count(const struct service *s, const char *state);
int service_generation(const struct service *s);
/** Whether a generation after `before` serves, alone and in full. */
bool service_renewed(const struct service *s, int before);
/** Poll `condition` until it is true; fails the test after five times `ms`, which it takes at most
 * where nothing else runs, and later on a busy machine. */
#define service_wait(condition, ms)                                                                \
    do {                                                                                           \
        int64_t until_ = service_now_ms() + stretched_ms(5 * (ms));                                \
        while (!(condition)) {                                                                     \
            if (service_now_ms() > until_)                                                         \
                service_fail("not within 5 * " #ms " ms: " #condition, __FILE__, __LINE__);        \
            service_pause();                                                                       \
        }                                                                                          \
    } while (0)
int64_t service_now_ms(void);
void service_pause(void);
void service_fail(const char *what, const char *file, int line);

/** Whether a process exists (and is no zombie). */
bool process_lives(pid_t pid);

#endif

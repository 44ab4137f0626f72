/* The crash handler. Everything here but tb_crash_install runs inside a signal handler: it may
 * open, read and close files, and read and write memory, and nothing else. What it writes lies in
 * shared memory, so it survives the process whatever happens next; the first thing written is what
 * cannot fail. */
#include "process/crash.h"

#include "base/assert.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <tongbao/types.h>
#include <ucontext.h>
#include <unistd.h>

enum { HANDLER_STACK = 64 * 1024 };

static const int handled[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
enum { HANDLED = TB_COUNT(handled) };

static struct tb_crash *record;
static tb_crash_describe describe;
static struct sigaction before[HANDLED];
static pid_t loop_thread;

static pid_t this_thread(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* ---- /proc/self/maps, read without the heap ---- */

struct mapping {
    uint64_t from, to, offset;
    bool forbidden; /**< neither readable nor writable nor executable: a guard page */
    char path[sizeof(((struct tb_crash *)0)->object)]; /**< the last part of it */
};

/** Take a hexadecimal number off the front of *at and one character behind it. */
static uint64_t take_hex(const char **at)
{
    uint64_t value = 0;
    for (;; (*at)++) {
        char c = **at;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    if (**at != '\0')
        (*at)++;
    return value;
}

/** "7f00-7f10 r-xp 00001000 fe:00 1234   /usr/lib/x.so" */
static void parse_mapping(const char *line, struct mapping *out)
{
    out->from = take_hex(&line);
    out->to = take_hex(&line);
    out->forbidden = line[0] == '-' && line[1] == '-' && line[2] == '-';
    while (*line != '\0' && *line != ' ')
        line++;
    if (*line == ' ')
        line++;
    out->offset = take_hex(&line);
    const char *slash = NULL;
    for (const char *p = line; *p != '\0'; p++) {
        if (*p == '/')
            slash = p;
    }
    size_t n = 0;
    if (slash != NULL) {
        for (slash++; slash[n] != '\0' && n < sizeof(out->path) - 1; n++)
            out->path[n] = slash[n];
    }
    out->path[n] = '\0';
}

/** Find the mapping an address lies in. */
static bool find_mapping(uint64_t address, struct mapping *out)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char line[512];
    size_t line_n = 0;
    char chunk[1024];
    ssize_t n;
    bool found = false;
    while (!found && (n = read(fd, chunk, sizeof(chunk))) > 0) {
        for (ssize_t i = 0; i < n && !found; i++) {
            if (chunk[i] != '\n') {
                if (line_n < sizeof(line) - 1)
                    line[line_n++] = chunk[i];
                continue;
            }
            line[line_n] = '\0';
            line_n = 0;
            parse_mapping(line, out);
            found = address >= out->from && address < out->to;
        }
    }
    close(fd);
    return found;
}

/* ---- the handler ---- */

static void registers(const void *context, uint64_t *out_pc, uint64_t *out_sp)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    *out_pc = (uint64_t)c->uc_mcontext.gregs[REG_RIP];
    *out_sp = (uint64_t)c->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    *out_pc = c->uc_mcontext.pc;
    *out_sp = c->uc_mcontext.sp;
#else
    (void)c;
    *out_pc = *out_sp = 0;
#endif
}

/** The stack ran over when the address lies in memory nobody may touch, close to the stack pointer:
 * a guard page. A wild pointer into the same page is told apart by the distance. */
static bool is_stack_overflow(uint64_t address, uint64_t sp)
{
    uint64_t distance = address > sp ? address - sp : sp - address;
    struct mapping m;
    return distance < 64 * 1024 && find_mapping(address, &m) && m.forbidden;
}

static void write_record(int signal, const siginfo_t *info, const void *context)
{
    uint64_t sp;
    record->signal = signal;
    record->code = info->si_code;
    bool sent = info->si_code <= 0;
    record->address = sent ? 0 : (uint64_t)(uintptr_t)info->si_addr;
    registers(context, &record->pc, &sp);
    record->off_loop = this_thread() != loop_thread;

    struct mapping m;
    if (find_mapping(record->pc, &m)) {
        memcpy(record->object, m.path, sizeof(m.path));
        record->offset = record->pc - m.from + m.offset;
    }
    record->stack_overflow = !sent && is_stack_overflow(record->address, sp);
    if (describe != NULL && !record->off_loop)
        describe(&record->serving);
    atomic_store(&record->stage, TB_CRASH_WHOLE);
}

/** Write the record once, then let the signal do what it did before: a fault happens again on
 * return, a signal that was sent is sent again. */
static void on_crash(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    int32_t none = TB_CRASH_NONE;
    if (record != NULL && atomic_compare_exchange_strong(&record->stage, &none, TB_CRASH_SIGNAL))
        write_record(signal, info, context);
    for (int i = 0; i < HANDLED; i++) {
        if (handled[i] == signal)
            sigaction(signal, &before[i], NULL);
    }
    if (info->si_code <= 0)
        syscall(SYS_tgkill, getpid(), this_thread(), signal);
    errno = saved_errno;
}

void tb_crash_install(struct tb_crash *in_record, tb_crash_describe in_describe)
{
    static void *stack; /* the process's one handler stack, kept reachable */
    memset(in_record, 0, sizeof(*in_record));
    record = in_record;
    describe = in_describe;
    loop_thread = this_thread();
    if (stack == NULL)
        stack = tb_mem(HANDLER_STACK);
    stack_t alternate = {.ss_sp = stack, .ss_size = HANDLER_STACK};
    TB_ASSERT(sigaltstack(&alternate, NULL) == 0);
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    for (int i = 0; i < HANDLED; i++)
        sigdelset(&action.sa_mask, handled[i]); /* a fault inside the handler must still end us */
    for (int i = 0; i < HANDLED; i++)
        TB_ASSERT(sigaction(handled[i], &action, &before[i]) == 0);
}

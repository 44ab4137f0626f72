/* The service and the hand that plays with it; see service.h. */
#include "../unit.h"

#include "service.h"

#include "base/time.h"
#include "process/master_impl.h"
#include "runtime/fiber.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tongbao/types.h>

/* ---- inside a worker ---- */

struct client {
    struct tb_watch watch;
    struct tb_timer later;
    int fd;
};

static struct tb_process *self;
static struct play *play;
static struct tb_loop *loop;
static struct tb_watch accepting;
static int clients;
static bool draining;

static volatile char doing; /* the letter that is being obeyed */

static void describe(struct tb_serving *out)
{
    const struct tb_str whole = {"hit", 3};
    if (doing == 0)
        return;
    snprintf(out->request_id, sizeof(out->request_id), "req-%c", doing);
    snprintf(out->route, sizeof(out->route), "POST /test/v1/%c", doing);
    snprintf(out->partner, sizeof(out->partner), "ptr_test");
    tb_request_hash(self->quarantine, &whole, 1, out->hash);
}

static void end_if_idle(void)
{
    if (draining && clients == 0)
        tb_process_drained(self);
}

static void close_client(struct client *c)
{
    tb_watch_close(&c->watch);
    close(c->fd);
    free(c);
    clients--;
    end_if_idle();
}

static void answer(struct client *c)
{
    _Atomic int *counter = tb_process_region(self, "counter", NULL);
    char line[64];
    int n = snprintf(line, sizeof(line), "%d %u %d\n", (int)getpid(), self->generation,
                     atomic_fetch_add(counter, 1) + 1);
    (void)!send(c->fd, line, (size_t)n, MSG_NOSIGNAL);
    close_client(c);
}

static void answer_later(struct tb_timer *timer)
{
    answer(TB_CONTAINER(struct client, later, timer));
}

__attribute__((noinline)) static int overflow(int depth)
{
    volatile char room[4096];
    room[depth % 4096] = (char)depth;
    return depth < 1000000 ? overflow(depth + 1) + room[7] : 0;
}

static void overflow_fiber(void *arg)
{
    *(int *)arg = overflow(0);
}

static void obey(struct client *c, char letter)
{
    static int sink;
    static const volatile uintptr_t nowhere =
        0x10; /* volatile: the compiler must not see through it */
    doing = letter;
    switch (letter) {
    case 'w':
        answer(c);
        break;
    case 's':
        c->later.fired = answer_later;
        tb_watch_want(&c->watch, false, false);
        tb_timer_start(loop, &c->later, play->think_ms);
        break;
    case 'a':
        abort();
    case 'n':
        *(volatile int *)(uintptr_t)nowhere = 1;
        break;
    case 'o':
        if (tb_fiber_start(loop, overflow_fiber, &sink) != NULL)
            abort();
        break;
    case 'h':
        for (;;)
            pause();
    default:
        close_client(c);
    }
    doing = 0;
}

static void on_client(struct tb_watch *watch, bool readable, bool writable)
{
    (void)readable;
    (void)writable;
    struct client *c = TB_CONTAINER(struct client, watch, watch);
    char letter;
    ssize_t n = recv(c->fd, &letter, 1, MSG_DONTWAIT);
    if (n == 1)
        obey(c, letter);
    else if (n == 0 || errno != EAGAIN)
        close_client(c);
}

static void on_accept(struct tb_watch *watch, bool readable, bool writable)
{
    (void)watch;
    (void)readable;
    (void)writable;
    int fd = accept4(self->listeners[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        abort();
    c->fd = fd;
    c->watch.ready = on_client;
    clients++;
    tb_watch_open(loop, &c->watch, fd);
    tb_watch_want(&c->watch, true, false);
}

static void on_go(void *owner)
{
    (void)owner;
    usleep((useconds_t)play->go_ms * 1000);
    accepting.ready = on_accept;
    tb_watch_open(loop, &accepting, self->listeners[0].fd);
    tb_watch_want(&accepting, true, false);
}

static void on_drain(void *owner, int64_t grace_ms)
{
    (void)owner;
    (void)grace_ms;
    if (accepting.loop != NULL)
        tb_watch_close(&accepting);
    draining = true;
    end_if_idle();
}

static struct play *open_play(const char *dir)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/play", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct play)) < 0)
        abort();
    void *at = mmap(NULL, sizeof(struct play), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        abort();
    return at;
}

static int worker(struct tb_process *started)
{
    static const struct tb_process_calls calls = {.go = on_go, .drain = on_drain};
    self = started;
    play = open_play(self->config_path);
    atomic_fetch_add(&play->starts, 1);
    tb_crash_install(&self->slot->crash, describe);
    int generation = (int)self->generation;
    if (play->refuse_from != 0 && generation >= play->refuse_from)
        return tb_process_refuse(self, "plugin test: wrong ABI %d", generation);
    if (play->die_from != 0 && generation >= play->die_from)
        abort();
    usleep((useconds_t)play->slow_ms * 1000);
    loop = tb_loop_new();
    tb_process_attach(self, loop, &calls, NULL);
    tb_process_ready(self);
    tb_loop_run(loop);
    return 0;
}

/* ---- the service's master ---- */

static bool plan(const char *config_path, struct tb_plan *out, char *why, size_t why_bytes)
{
    struct play *p = open_play(config_path);
    if (p->workers < 0) {
        snprintf(why, why_bytes, "the configuration is bad");
        return false;
    }
    out->count[TB_PROCESS_WORKER] = (unsigned)p->workers;
    out->listen[0] = p->listen;
    out->listen_n = 1;
    out->regions[0] = (struct tb_region_want){
        .name = "counter", .bytes = 4096, .layout = (uint32_t)p->limit_layout};
    out->regions_n = 1;
    out->start_ms = 3000;
    out->grace_ms = 2000;
    out->hung_ms = 2000;
    out->log_level = TB_LOG_INFO;
    out->run_dir = config_path;
    return true;
}

static void forget(struct tb_plan *p)
{
    (void)p;
}

static int serve(int argc, char **argv)
{
    const char *dir = argv[argc - 1];
    if (strcmp(argv[2], "--check") == 0)
        return open_play(dir)->check_exit;
    const struct tb_master_setup setup = {.config_path = dir,
                                          .argv = argv,
                                          .plan = plan,
                                          .forget = forget,
                                          .main = {[TB_PROCESS_WORKER] = worker}};
    return tb_master_run(&setup);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "serve") == 0)
        return serve(argc, argv);
    return test_groups_run(argc, argv);
}

/* ---- the hand ---- */

int64_t service_now_ms(void)
{
    return tb_monotonic_ms();
}

void service_pause(void)
{
    usleep(10000);
}

void service_fail(const char *what, const char *file, int line)
{
    print_error("%s\n", what);
    _fail(file, line);
}

void service_prepare(struct service *s, int workers)
{
    snprintf(s->dir, sizeof(s->dir), "/tmp/tb-service-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->play = open_play(s->dir);
    s->play->workers = workers;
    int64_t think_ms = stretched_ms(500);
    s->play->think_ms = think_ms < 1500 ? (int)think_ms : 1500; /* what the grace leaves room for */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    close(fd);
    snprintf(s->play->listen, sizeof(s->play->listen), "127.0.0.1:%d", ntohs(at.sin_port));
}

void service_start(struct service *s)
{
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid > 0)
        return;
    char log[128];
    snprintf(log, sizeof(log), "%s/log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl("/proc/self/exe", "service", "serve", "--config", s->dir, (char *)NULL);
    _exit(126);
}

/** The status file, if it is of the master that runs: a killed one leaves its own behind. */
static json_t *status_of(const struct service *s)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/status.json", s->dir);
    json_t *status = json_load_file(path, 0, NULL);
    if (json_integer_value(json_object_get(status, "pid")) == s->pid)
        return status;
    json_decref(status);
    return NULL;
}

static bool state_is(const struct service *s, const char *state)
{
    json_t *status = status_of(s);
    const char *is = json_string_value(json_object_get(status, "state"));
    bool same = is != NULL && strcmp(is, state) == 0;
    json_decref(status);
    return same;
}

void service_wait_serving(struct service *s)
{
    service_wait(state_is(s, "serving") && service_count(s, "serving") == s->play->workers, 5000);
}

void service_up(struct service *s, int workers)
{
    service_prepare(s, workers);
    service_start(s);
    service_wait_serving(s);
}

int service_join(struct service *s, int64_t ms)
{
    int status = 0;
    service_wait(waitpid(s->pid, &status, WNOHANG) == s->pid, ms);
    s->pid = 0;
    return status;
}

static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        if (unlink(path) < 0)
            remove_dir(path);
    }
    closedir(d);
    rmdir(dir);
}

void service_end(struct service *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGQUIT);
        service_join(s, 5000);
    }
    munmap(s->play, sizeof(*s->play));
    remove_dir(s->dir);
}

int service_send(const struct service *s, char letter)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)strtol(strrchr(s->play->listen, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        send(fd, &letter, 1, MSG_NOSIGNAL) == 1)
        return fd;
    close(fd);
    return -1;
}

bool service_read(int fd, int *out_pid, int *out_generation, int *out_counter)
{
    char line[64] = "";
    ssize_t n = fd < 0 ? -1 : recv(fd, line, sizeof(line) - 1, 0);
    if (fd >= 0)
        close(fd);
    char *at = line;
    *out_pid = (int)strtol(at, &at, 10);
    *out_generation = (int)strtol(at, &at, 10);
    *out_counter = (int)strtol(at, &at, 10);
    return n > 0 && *at == '\n';
}

bool service_ask(const struct service *s, char letter, int *out_pid, int *out_generation,
                 int *out_counter)
{
    return service_read(service_send(s, letter), out_pid, out_generation, out_counter);
}

void service_hit(const struct service *s, char letter)
{
    char line[8];
    int fd = service_send(s, letter);
    assert_true(fd >= 0);
    while (recv(fd, line, sizeof(line), 0) > 0) {
    }
    close(fd);
}

bool service_file_has(const struct service *s, const char *name, const char *text)
{
    static char content[256 * 1024];
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, content, sizeof(content) - 1);
    close(fd);
    content[n > 0 ? n : 0] = '\0';
    return strstr(content, text) != NULL;
}

static int newest_crash(const struct service *s, char *out_name, size_t room)
{
    char dir[128];
    struct dirent **entries;
    snprintf(dir, sizeof(dir), "%s/crashes", s->dir);
    int n = scandir(dir, &entries, NULL, alphasort), found = 0;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(entries[i]->d_name);
        if (length > 5 && strcmp(entries[i]->d_name + length - 5, ".json") == 0) {
            snprintf(out_name, room, "crashes/%s", entries[i]->d_name);
            found++;
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return found;
}

bool service_crash_has(const struct service *s, const char *text)
{
    char name[300];
    return newest_crash(s, name, sizeof(name)) > 0 && service_file_has(s, name, text);
}

int service_crashes(const struct service *s)
{
    char name[300];
    return newest_crash(s, name, sizeof(name));
}

int service_count(const struct service *s, const char *state)
{
    json_t *status = status_of(s), *process;
    size_t i;
    int n = 0;
    json_array_foreach(json_object_get(status, "processes"), i, process)
    {
        const char *is = json_string_value(json_object_get(process, "state"));
        n += is != NULL && strcmp(is, state) == 0;
    }
    json_decref(status);
    return n;
}

int service_generation(const struct service *s)
{
    json_t *status = status_of(s);
    int generation = (int)json_integer_value(json_object_get(status, "generation"));
    json_decref(status);
    return generation;
}

bool service_renewed(const struct service *s, int before)
{
    return service_generation(s) > before && state_is(s, "serving") &&
           service_count(s, "serving") == s->play->workers && service_count(s, "draining") == 0;
}

bool process_lives(pid_t pid)
{
    char path[32], stat[256];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[n > 0 ? n : 0] = '\0';
    const char *paren = strrchr(stat, ')');
    return paren != NULL && paren[2] != 'Z';
}

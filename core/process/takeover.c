/* A new binary under the same process id. The master first lets the binary at its path try the
 * configuration in a process of its own; if that is content, the master becomes it by exec.
 * Listening sockets, shared memory and the processes stay as they are, and what the new image needs
 * to know of them travels in a memory file. It then starts a new generation as for SIGHUP, and the
 * processes of the old binary serve until that is ready.
 *
 * The process id staying the same, supervisors need not be told, and the processes remain children
 * of the master: no moment exists in which their parent is gone. */
#include "process/master_impl.h"

#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FORMAT = 1, /**< of the memory file */
    PROBE_MS = 10000,
};
static const char variable[] = "TB_TAKEOVER";

static void refuse_takeover(struct tb_master *m, const char *why)
{
    m->last_reload = (struct tb_reload){
        .at_ms = tb_wall_ms(), .generation = m->numbered, .ok = false};
    snprintf(m->last_reload.why, sizeof(m->last_reload.why), "%s", why);
    tb_log_with(TB_LOG_ERROR, "binary_refused", TB_F_CSTR("binary", m->binary),
                TB_F_CSTR("why", why));
    m->status_stale = true;
}

void tb_takeover_probe(struct tb_master *m)
{
    m->numbered++;
    pid_t pid = fork();
    if (pid < 0) {
        refuse_takeover(m, strerrordesc_np(errno));
        return;
    }
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl(m->binary, m->binary, "serve", "--check", "--config", m->setup->config_path,
              (char *)NULL);
        _exit(127);
    }
    m->probe = pid;
    m->probe_kill_ms = m->now_ms + PROBE_MS;
    m->status_stale = true;
}

/* ---- what is handed over ---- */

static json_t *listeners_json(const struct tb_master *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->listeners_n; i++)
        json_array_append_new(list, json_pack("{s:i, s:s}", "fd", m->listeners[i].fd, "address",
                                              m->listeners[i].address));
    return list;
}

static json_t *regions_json(const struct tb_master *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->regions_n; i++)
        json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:i}", "fd", m->regions[i].fd,
                                              "name", m->regions[i].name, "bytes",
                                              (json_int_t)m->regions[i].bytes, "layout",
                                              (int)m->regions[i].layout));
    return list;
}

static json_t *children_json(struct tb_master *m)
{
    json_t *list = json_array();
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "place",
                                        (int)(c - m->children), "pid", (int)c->pid, "control",
                                        c->control, "kind", (int)c->kind, "index", (int)c->index,
                                        "generation", (int)c->generation, "state", (int)c->state,
                                        "kill_ms", (json_int_t)c->kill_ms));
    return list;
}

/** Let the descriptors of the state survive exec, or not. */
static void keep_open(struct tb_master *m, bool keep)
{
    int flag = keep ? 0 : FD_CLOEXEC;
    for (size_t i = 0; i < m->listeners_n; i++)
        fcntl(m->listeners[i].fd, F_SETFD, flag);
    for (size_t i = 0; i < m->regions_n; i++)
        fcntl(m->regions[i].fd, F_SETFD, flag);
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        fcntl(c->control, F_SETFD, flag);
}

/** Write the state into a memory file. -1 with errno. */
static int write_state(struct tb_master *m)
{
    int fd = memfd_create("takeover", 0);
    if (fd < 0)
        return -1;
    json_t *state = json_pack("{s:i, s:i, s:i, s:o, s:o, s:o}", "format", FORMAT, "generation",
                              (int)m->generation, "numbered", (int)m->numbered, "listeners",
                              listeners_json(m), "regions", regions_json(m), "children",
                              children_json(m));
    int failed = state == NULL ? -1 : json_dumpfd(state, fd, JSON_COMPACT);
    json_decref(state);
    if (failed == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

void tb_takeover_probed(struct tb_master *m, int status)
{
    m->probe = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        refuse_takeover(
            m, WIFEXITED(status) && WEXITSTATUS(status) == 127
                   ? "it cannot be run"
                   : "it does not accept the configuration; its message is in the log above");
        return;
    }
    int fd = write_state(m);
    if (fd < 0) {
        refuse_takeover(m, "no memory to hand over the state");
        return;
    }
    char number[16];
    snprintf(number, sizeof(number), "%d", fd);
    setenv(variable, number, 1);
    keep_open(m, true);
    tb_log_with(TB_LOG_INFO, "binary_changes", TB_F_CSTR("binary", m->binary));
    tb_log_flush();
    execv(m->binary, m->setup->argv);
    int error = errno;
    keep_open(m, false);
    unsetenv(variable);
    close(fd);
    refuse_takeover(m, strerrordesc_np(error));
}

/* ---- what is taken over ---- */

static bool inherit_listeners(struct tb_master *m, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        int fd;
        const char *address;
        if (m->listeners_n == TB_LISTENERS_MAX ||
            json_unpack(item, "{s:i, s:s}", "fd", &fd, "address", &address) < 0)
            return false;
        struct tb_listener *l = &m->listeners[m->listeners_n++];
        l->fd = fd;
        snprintf(l->address, sizeof(l->address), "%s", address);
    }
    return true;
}

static bool inherit_regions(struct tb_master *m, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        int fd, layout;
        const char *name;
        json_int_t bytes;
        if (json_unpack(item, "{s:i, s:s, s:I, s:i}", "fd", &fd, "name", &name, "bytes", &bytes,
                        "layout", &layout) < 0 ||
            !tb_region_adopt(m, name, fd, (size_t)bytes, (uint32_t)layout))
            return false;
    }
    return true;
}

static bool inherit_children(struct tb_master *m, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        int place, pid, control, kind, index, generation, state;
        json_int_t kill_ms;
        if (json_unpack(item, "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "place", &place, "pid",
                        &pid, "control", &control, "kind", &kind, "index", &index, "generation",
                        &generation, "state", &state, "kill_ms", &kill_ms) < 0 ||
            place < 0 || place >= TB_CHILDREN_MAX || kind < 0 || kind >= TB_PROCESS_KINDS ||
            index < 0 || index >= TB_POSTS_MAX || state < 0 || state > TB_CHILD_DRAINING)
            return false;
        m->children[place] = (struct tb_child){.pid = pid,
                                               .control = control,
                                               .kind = (enum tb_process_kind)kind,
                                               .index = (unsigned)index,
                                               .generation = (uint32_t)generation,
                                               .state = (enum tb_child_state)state,
                                               .started_ms = m->now_ms,
                                               .ready_ms = m->now_ms,
                                               .beat_ms = m->now_ms,
                                               .kill_ms = kill_ms};
    }
    return true;
}

bool tb_takeover_inherit(struct tb_master *m)
{
    const char *number = getenv(variable);
    if (number == NULL)
        return false;
    int fd = (int)strtol(number, NULL, 10);
    unsetenv(variable);
    json_t *state = json_loadfd(fd, 0, NULL);
    close(fd);
    int format, generation, numbered;
    json_t *listeners, *regions, *children;
    bool whole = json_unpack(state, "{s:i, s:i, s:i, s:o, s:o, s:o}", "format", &format,
                             "generation", &generation, "numbered", &numbered, "listeners",
                             &listeners, "regions", &regions, "children", &children) == 0 &&
                 format == FORMAT && inherit_listeners(m, listeners) &&
                 inherit_regions(m, regions) && inherit_children(m, children);
    json_decref(state);
    if (!whole) {
        tb_log_event(TB_LOG_ERROR, "takeover_failed");
        return false;
    }
    m->generation = (uint32_t)generation;
    m->numbered = (uint32_t)numbered;
    keep_open(m, false);
    return true;
}

/* What the master writes down: its log, the pid file, the status file that `tongbao status` reads,
 * and the records of crashes. Files are written whole under another name and moved into place. */
#include "process/master_impl.h"

#include "base/time.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CRASH_FILES_MAX = 100 };

void tb_child_log(enum tb_log_level level, const char *event, const struct tb_child *c,
                  const char *why)
{
    const struct tb_field fields[] = {TB_F_CSTR("kind", tb_process_kind_name(c->kind)),
                                      TB_F_INT("index", c->index), TB_F_INT("pid", c->pid),
                                      TB_F_INT("generation", c->generation), TB_F_CSTR("why", why)};
    tb_log_fields(level, event, fields, why == NULL ? 4 : 5);
}

/** Write the document as `dir/name`, replacing what is there in one step. Takes the reference. */
static void write_document(const char *dir, const char *name, json_t *document)
{
    char path[600], fresh[620];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (document == NULL || json_dump_file(document, fresh, JSON_INDENT(1)) != 0 ||
        rename(fresh, path) != 0)
        tb_log_with(TB_LOG_WARN, "record_not_written", TB_F_CSTR("path", path),
                    TB_F_CSTR("why", strerrordesc_np(errno)));
    json_decref(document);
}

/* ---- pid file ---- */

bool tb_record_pid(struct tb_master *m, char *why, size_t why_bytes)
{
    char path[500], text[16];
    if (mkdir(m->run_dir, 0755) < 0 && errno != EEXIST) {
        snprintf(why, why_bytes, "cannot make the run directory %s: %s", m->run_dir,
                 strerrordesc_np(errno));
        return false;
    }
    snprintf(path, sizeof(path), "%s/tongbao.pid", m->run_dir);
    m->pid_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (m->pid_file < 0) {
        snprintf(why, why_bytes, "cannot write %s: %s", path, strerrordesc_np(errno));
        return false;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(m->pid_file, F_SETLK, &lock) < 0) {
        snprintf(why, why_bytes, "%s is locked: another tongbao runs with this run directory",
                 path);
        close(m->pid_file);
        return false;
    }
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(m->pid_file, 0) < 0 || pwrite(m->pid_file, text, (size_t)n, 0) != n) {
        snprintf(why, why_bytes, "cannot write %s: %s", path, strerrordesc_np(errno));
        return false;
    }
    return true;
}

void tb_record_gone(struct tb_master *m)
{
    char path[500];
    snprintf(path, sizeof(path), "%s/status.json", m->run_dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/tongbao.pid", m->run_dir);
    unlink(path);
    close(m->pid_file);
}

/* ---- status file ---- */

static json_t *processes_json(struct tb_master *m)
{
    json_t *list = json_array();
    for (struct tb_child *c = tb_child_next(m, NULL); c != NULL; c = tb_child_next(m, c))
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:s}", "kind",
                                              tb_process_kind_name(c->kind), "index", (int)c->index,
                                              "pid", (int)c->pid, "generation", (int)c->generation,
                                              "state", tb_child_state_name(c->state)));
    return list;
}

/** Where clients find us: the addresses as bound, so that port 0 shows what it became. */
static json_t *listeners_json(const struct tb_master *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->listeners_n; i++) {
        struct sockaddr_storage at;
        socklen_t n = sizeof(at);
        char host[64], port[8], text[80];
        if (getsockname(m->listeners[i].fd, (struct sockaddr *)&at, &n) != 0 ||
            getnameinfo((struct sockaddr *)&at, n, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0)
            continue;
        snprintf(text, sizeof(text), at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *reload_json(const struct tb_reload *r)
{
    if (r->at_ms == 0)
        return json_null();
    char at[TB_TIME_CHARS + 1];
    tb_time_format(r->at_ms, at);
    return json_pack("{s:s, s:i, s:b, s:s}", "at", at, "generation", (int)r->generation, "ok",
                     (int)r->ok, "why", r->why);
}

void tb_record_status(struct tb_master *m)
{
    m->status_stale = false;
    const char *state = m->stopping                                        ? "ending"
                        : m->generation == 0                               ? "starting"
                        : m->incoming != 0 || m->handover || m->probe != 0 ? "reloading"
                                                                           : "serving";
    write_document(m->run_dir, "status.json",
                   json_pack("{s:i, s:s, s:i, s:o, s:o, s:o}", "pid", (int)getpid(), "state", state,
                             "generation", (int)m->generation, "processes", processes_json(m),
                             "listeners", listeners_json(m), "last_reload",
                             reload_json(&m->last_reload)));
}

/* ---- crash records ---- */

static void hex(const unsigned char *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/** Keep the number of records bounded: the names begin with the time, so the first is the oldest.
 */
static void prune_crashes(const char *dir)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, NULL, alphasort);
    if (n < 0)
        return;
    int surplus = n - 2 - CRASH_FILES_MAX; /* "." and ".." are in the count */
    for (int i = 0; i < n; i++) {
        char path[900];
        snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && surplus-- > 0)
            unlink(path);
        free(entries[i]);
    }
    free(entries);
}

static void write_crash_file(const struct tb_master *m, pid_t pid, json_t *document)
{
    char dir[480], name[64], at[TB_TIME_CHARS + 1];
    snprintf(dir, sizeof(dir), "%s/crashes", m->run_dir);
    mkdir(dir, 0755);
    tb_time_format(tb_wall_ms(), at);
    snprintf(name, sizeof(name), "%s-%d.json", at, (int)pid);
    write_document(dir, name, document);
    prune_crashes(dir);
}

static json_t *request_json(const struct tb_serving *s)
{
    char hash[2 * TB_CRASH_HASH + 1];
    if (s->request_id[0] == '\0' && s->route[0] == '\0')
        return json_null();
    hex(s->hash, sizeof(s->hash), hash);
    return json_pack("{s:s, s:s, s:s, s:s}", "request_id", s->request_id, "route", s->route,
                     "partner", s->partner, "hash", hash);
}

/** What a dead process left may be anything: make a text of it. */
static void clean(char *text, size_t room)
{
    text[room - 1] = '\0';
    for (char *p = text; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

static const char *signal_name(int signal)
{
    const char *name = sigabbrev_np(signal);
    return name == NULL ? "?" : name;
}

void tb_record_crash(struct tb_master *m, const struct tb_child *c, int status)
{
    struct tb_crash crash = m->slots[c - m->children].crash;
    clean(crash.object, sizeof(crash.object));
    clean(crash.serving.request_id, sizeof(crash.serving.request_id));
    clean(crash.serving.route, sizeof(crash.serving.route));
    clean(crash.serving.partner, sizeof(crash.serving.partner));
    bool recorded = crash.stage != TB_CRASH_NONE;
    bool whole = crash.stage == TB_CRASH_WHOLE;
    uint32_t crashes = whole ? tb_quarantine_note(m->quarantine, crash.serving.hash) : 0;
    bool quarantined = crashes >= TB_QUARANTINE_CRASHES;
    int signal = recorded ? crash.signal : WTERMSIG(status);
    if (!recorded && (signal == SIGKILL || signal == SIGTERM))
        return; /* somebody ended it; there is nothing to learn */

    char at[TB_TIME_CHARS + 1], address[24], pc[128] = "";
    tb_time_format(tb_wall_ms(), at);
    snprintf(address, sizeof(address), "0x%llx", (unsigned long long)crash.address);
    if (recorded)
        snprintf(pc, sizeof(pc), "%s+0x%llx", crash.object, (unsigned long long)crash.offset);
    const struct tb_serving *s = &crash.serving;
    tb_log_with(TB_LOG_ERROR, "crash", TB_F_CSTR("kind", tb_process_kind_name(c->kind)),
                TB_F_INT("index", c->index), TB_F_INT("pid", c->pid),
                TB_F_CSTR("signal", signal_name(signal)), TB_F_CSTR("address", address),
                TB_F_CSTR("where", pc), TB_F_BOOL("stack_overflow", crash.stack_overflow),
                TB_F_CSTR("request_id", s->request_id), TB_F_CSTR("route", s->route),
                TB_F_CSTR("partner", s->partner), TB_F_BOOL("quarantined", quarantined));
    write_crash_file(m, c->pid,
                     json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:s, s:b, s:b, s:o, s:i, s:b}",
                               "at", at, "kind", tb_process_kind_name(c->kind), "index",
                               (int)c->index, "pid", (int)c->pid, "generation", (int)c->generation,
                               "signal", signal_name(signal), "address", address, "where", pc,
                               "stack_overflow", (int)crash.stack_overflow, "helper_thread",
                               (int)crash.off_loop, "request", request_json(s), "crashes",
                               (int)crashes, "quarantined", (int)quarantined));
}

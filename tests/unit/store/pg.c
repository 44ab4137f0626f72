#include "../unit.h"

#include "pg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIN "/usr/lib/postgresql/15/bin/"

static void become_postgres(void)
{
    if (geteuid() != 0)
        return;
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL || initgroups("postgres", user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        _exit(126);
}

static pid_t spawn(const struct pg *pg, char *const argv[])
{
    char log[96];
    snprintf(log, sizeof(log), "%s/log", pg->dir);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    become_postgres();
    if (chdir(pg->dir) != 0)
        _exit(125);
    int fd = open(log, O_CREAT | O_APPEND | O_WRONLY, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(argv[0], argv);
    _exit(127);
}

static void run(const struct pg *pg, char *const argv[])
{
    int status = 0;
    pid_t child = spawn(pg, argv);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool answers(const struct pg *pg)
{
    PGconn *conn = PQconnectdb(pg->dsn);
    bool up = PQstatus(conn) == CONNECTION_OK;
    PQfinish(conn);
    return up;
}

static void launch(struct pg *pg)
{
    char data[80], sockets[96];
    snprintf(data, sizeof(data), "%s/data", pg->dir);
    snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", pg->dir);
    char *argv[] = {BIN "postgres", "-D", data, "-c", sockets, "-c", "listen_addresses=", NULL};
    pg->pid = spawn(pg, argv);
}

void pg_start(struct pg *pg)
{
    launch(pg);
    for (int i = 0; i < 2400; i++) {
        if (answers(pg))
            return;
        /* After a kill, orphans of the old postmaster may hold its memory for a moment. */
        int status = 0;
        if (waitpid(pg->pid, &status, WNOHANG) == pg->pid)
            launch(pg);
        usleep(25 * 1000);
    }
    fail_msg("PostgreSQL in %s does not start", pg->dir);
}

void pg_make(struct pg *pg, bool durable)
{
    char data[80], conf[96];
    memset(pg, 0, sizeof(*pg));
    snprintf(pg->dir, sizeof(pg->dir), "/tmp/tb-pg-XXXXXX");
    assert_non_null(mkdtemp(pg->dir));
    const struct passwd *user = getpwnam("postgres");
    if (geteuid() == 0 && user != NULL)
        assert_int_equal(chown(pg->dir, user->pw_uid, user->pw_gid), 0);
    snprintf(data, sizeof(data), "%s/data", pg->dir);
    snprintf(pg->dsn, sizeof(pg->dsn), "host=%s user=tongbao dbname=postgres connect_timeout=2",
             pg->dir);
    char *argv[] = {BIN "initdb", "-D", data, "-U",   "tongbao",           "-A",
                    "trust",      "-N", "-E", "UTF8", "--no-instructions", "--locale=C",
                    "-k",         NULL};
    run(pg, argv);
    snprintf(conf, sizeof(conf), "%s/postgresql.conf", data);
    FILE *file = fopen(conf, "a");
    assert_non_null(file);
    fprintf(file, "max_connections=60\nshared_buffers=64MB\ndeadlock_timeout=100ms\n");
    if (!durable)
        fprintf(file, "fsync=off\n");
    fclose(file);
    pg_start(pg);
}

/* The children of `pid`, which the kernel gives to init when it dies. */
static size_t children_of(pid_t pid, pid_t *out, size_t most)
{
    DIR *proc = opendir("/proc");
    size_t n = 0;
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && n < most;) {
        char path[300], line[512] = "";
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        char *end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
        fclose(file);
        int parent = 0;
        if (end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1 && parent == pid)
            out[n++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    closedir(proc);
    return n;
}

void pg_kill(struct pg *pg)
{
    pid_t children[128];
    kill(pg->pid, SIGSTOP);
    size_t n = children_of(pg->pid, children, 128);
    kill(pg->pid, SIGKILL);
    for (size_t i = 0; i < n; i++)
        kill(children[i], SIGKILL);
    waitpid(pg->pid, NULL, 0);
    pg->pid = 0;
}

void pg_remove(struct pg *pg)
{
    if (pg->pid != 0)
        pg_kill(pg);
    char *argv[] = {"/bin/rm", "-rf", pg->dir, NULL};
    pid_t child = fork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static PGresult *ask(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    return result;
}

void pg_do(const struct pg *pg, const char *sql)
{
    PGconn *conn = PQconnectdb(pg->dsn);
    PQclear(ask(conn, "set client_min_messages = warning"));
    PQclear(ask(conn, sql));
    PQfinish(conn);
}

long long pg_number(const struct pg *pg, const char *sql)
{
    PGconn *conn = PQconnectdb(pg->dsn);
    PGresult *result = ask(conn, sql);
    assert_int_equal(PQntuples(result), 1);
    long long number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(conn);
    return number;
}

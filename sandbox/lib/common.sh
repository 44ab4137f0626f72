# What up, down and the tests share: where things are, how to tell what is running, and how to install what
# is missing. To be sourced by bash; expects `set -euo pipefail`.
# shellcheck shell=bash

tb_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tb_run=${TB_SANDBOX_RUN:-$tb_root/sandbox/run}
tb_build_dir=${TB_SANDBOX_BUILD:-$tb_root/build}
tb_pg_bin=/usr/lib/postgresql/15/bin
tb_fsync=${TB_SANDBOX_FSYNC:-on} # "off" where nobody minds what a machine loses that falls: in tests that kill no database

tb_say() {
    if [[ -t 2 ]]; then printf '\033[2m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}
tb_fail() {
    printf 'sandbox: %s\n' "$*" >&2
    exit 1
}

# Install the packages of a list (one a line, # comments) that are not there yet.
tb_install() {
    local wanted=() missing=() package there
    mapfile -t wanted < <(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$1")
    there=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
    for package in "${wanted[@]}"; do
        [[ $'\n'$there$'\n' == *$'\n'"$package installed"$'\n'* ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    tb_say "installing ${missing[*]}"
    local as_root=()
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || tb_fail "not root and no sudo: install ${missing[*]} first"
        as_root=(sudo)
    fi
    # Debian's PostgreSQL starts a cluster of its own when it is installed; ours is private. The file is there
    # only while we install, and clusters that exist are not touched by it.
    local guard=/etc/postgresql-common/createcluster.d/tongbao-install.conf
    "${as_root[@]}" mkdir -p "${guard%/*}"
    echo 'create_main_cluster = false' | "${as_root[@]}" tee "$guard" >/dev/null
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
    if ! "${as_root[@]}" "${install[@]}" "${missing[@]}" >/dev/null 2>&1; then
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" "${install[@]}" "${missing[@]}" >/dev/null || {
            "${as_root[@]}" rm -f "$guard"
            tb_fail "apt-get could not install ${missing[*]}"
        }
    fi
    "${as_root[@]}" rm -f "$guard"
}

# Build the binary and the products (release preset, unless the directory is there already).
tb_build() {
    if [[ ! -f $tb_build_dir/build.ninja ]]; then
        (cd "$tb_root" && cmake --preset release -B "$tb_build_dir") >"$tb_run/build.log" 2>&1 || {
            tail -n 30 "$tb_run/build.log" >&2
            tb_fail "cmake failed"
        }
    fi
    cmake --build "$tb_build_dir" --target service >"$tb_run/build.log" 2>&1 || {
        tail -n 40 "$tb_run/build.log" >&2
        tb_fail "the build failed; the whole output is in $tb_run/build.log"
    }
}

# Whether no such process lives. One that nobody has reaped yet is gone.
tb_gone() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 0
    [[ -z $state || $state == Z* ]]
}

# The process id in a file, if that process lives.
tb_alive() {
    local pid
    [[ -s $1 ]] && read -r pid _ <"$1" && [[ $pid =~ ^[0-9]+$ ]] && ! tb_gone "$pid" || return 1
    echo "$pid"
}

# Wait up to $1 tenths of a second for a command to succeed.
tb_wait() {
    local tenths=$1
    shift
    until "$@" >/dev/null 2>&1; do
        ((tenths-- > 0)) || return 1
        sleep 0.1
    done
}

# ---- PostgreSQL ----

# Where the cluster lies. PostgreSQL refuses to run as root; Debian's user `postgres` then keeps it, and if that
# user cannot reach this directory (a clone below /root), the cluster lies in /var/tmp behind a symbolic link.
tb_pg_place() {
    tb_as_pg=()
    tb_pg_data=$tb_run/pg
    if [[ $(id -u) == 0 ]]; then
        tb_as_pg=(setpriv --reuid=postgres --regid=postgres --init-groups)
        if [[ -L $tb_pg_data ]]; then
            tb_pg_data=$(readlink "$tb_pg_data")
        elif [[ ! -e $tb_pg_data ]] && ! "${tb_as_pg[@]}" test -x "$tb_run"; then
            tb_pg_data=/var/tmp/tongbao-$(printf '%s' "$tb_run" | cksum | cut -d' ' -f1)
            ln -s "$tb_pg_data" "$tb_run/pg"
        fi
    fi
    # A socket's path may have 107 bytes, and must be as reachable as the data.
    tb_pg_socket=$tb_pg_data/socket
    if ((${#tb_pg_socket} > 85)); then
        tb_pg_socket=/tmp/tongbao-pg-$(printf '%s' "$tb_run" | cksum | cut -d' ' -f1)
    fi
    # shellcheck disable=SC2034 # for those who source this
    tb_dsn="host=$tb_pg_socket user=tongbao dbname=tongbao"
}

tb_pg_ready() {
    "$tb_pg_bin/pg_isready" -q -h "$tb_pg_socket" -U tongbao -d postgres
}

# Make the cluster if there is none, and write its settings.
tb_pg_make() {
    if [[ ! -s $tb_pg_data/cluster/PG_VERSION ]]; then
        tb_say "making the database cluster in $tb_pg_data"
        rm -rf "$tb_pg_data/cluster"
        mkdir -p "$tb_pg_data"
        [[ $(id -u) != 0 ]] || chown postgres:postgres "$tb_pg_data"
        chmod 700 "$tb_pg_data"
        local sync=()
        [[ $tb_fsync == on ]] || sync=(--no-sync)
        (cd / && "${tb_as_pg[@]}" "$tb_pg_bin/initdb" -D "$tb_pg_data/cluster" --data-checksums "${sync[@]}" \
            --encoding=UTF8 --locale=C --username=tongbao --auth=trust --no-instructions) \
            >"$tb_run/initdb.log" 2>&1 || {
            tail -n 20 "$tb_run/initdb.log" >&2
            tb_fail "initdb failed"
        }
    fi
    # Only the owner and root reach the socket's directory; that is the authentication.
    mkdir -p "$tb_pg_socket"
    [[ $(id -u) != 0 ]] || chown postgres:postgres "$tb_pg_socket"
    chmod 700 "$tb_pg_socket"
    tb_pg_settings >"$tb_pg_data/cluster/postgresql.auto.conf"
    [[ $(id -u) != 0 ]] || chown postgres:postgres "$tb_pg_data/cluster/postgresql.auto.conf"
}

# Fast where that costs no durability: nothing here trades a commit for speed. syncfs, because after a crash the
# server otherwise opens and syncs every file of the cluster before it recovers: 4 s instead of a half.
tb_pg_settings() {
    cat <<END
listen_addresses = ''
unix_socket_directories = '$tb_pg_socket'
max_connections = 200
fsync = $tb_fsync
synchronous_commit = on
full_page_writes = on
recovery_init_sync_method = syncfs
shared_buffers = '256MB'
wal_buffers = '16MB'
wal_compression = lz4
min_wal_size = '256MB'
max_wal_size = '2GB'
checkpoint_timeout = '15min'
random_page_cost = 1.1
jit = off
autovacuum_naptime = '5s' # tables that were empty a moment ago are planned anew soon
max_locks_per_transaction = 256 # a batch of 64 payments holds 128 advisory locks
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
log_min_duration_statement = '1s'
log_checkpoints = off
END
}

# Start the cluster with the loop that keeps it running, unless it runs.
tb_pg_up() {
    if tb_alive "$tb_run/keep-postgres.pid" >/dev/null && tb_pg_ready; then
        return
    fi
    tb_pg_down
    tb_say "starting PostgreSQL"
    setsid "$tb_root/sandbox/lib/keep-postgres" "$tb_run/keep-postgres.pid" "${tb_as_pg[@]}" \
        "$tb_pg_bin/postgres" -D "$tb_pg_data/cluster" </dev/null >>"$tb_run/postgres.log" 2>&1 9>&- &
    disown
    tb_wait 300 tb_pg_ready || {
        tail -n 20 "$tb_run/postgres.log" >&2
        tb_fail "PostgreSQL did not start"
    }
}

tb_pg_down() {
    local keeper postmaster
    if keeper=$(tb_alive "$tb_run/keep-postgres.pid"); then
        kill -TERM "$keeper" 2>/dev/null || true
        tb_wait 300 tb_gone "$keeper" || kill -KILL "$keeper" 2>/dev/null || true
    fi
    # Without its keeper (which somebody killed) the server may still run.
    if postmaster=$(tb_alive "$tb_pg_data/cluster/postmaster.pid"); then
        kill -INT "$postmaster" 2>/dev/null || true
        tb_wait 300 tb_gone "$postmaster" || kill -QUIT "$postmaster" 2>/dev/null || true
    fi
    rm -f "$tb_run/keep-postgres.pid"
}


# ---- the gateway ----

tb_gateway_pid() { tb_alive "$tb_run/gateway/tongbao.pid"; }

# End the gateway: gracefully, then not.
tb_gateway_down() {
    local pid
    pid=$(tb_gateway_pid) || return 0
    kill -TERM "$pid" 2>/dev/null || true
    tb_wait 200 tb_gone "$pid" || kill -QUIT "$pid" 2>/dev/null || true
    tb_wait 20 tb_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

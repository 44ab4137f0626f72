"""What a client can do below HTTP, and the guard's check of itself."""

import os
import shutil
import subprocess

import pytest

from harness.sandbox import free_port

from .bare import executable


def _s_client(port, version, commands):
    """Type single-letter commands into openssl s_client: K asks for a key update, R renegotiates."""
    subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-alpn", "h2"],
                          input=commands, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("version, letter", [("-tls1_3", "K"), ("-tls1_3", "k"), ("-tls1_2", "R")])
def test_key_updates_and_renegotiation_cost_little(guarded, version, letter):
    before = guarded.cpu_s()
    _s_client(guarded.tls_port, version, f"{letter}\n" * 2000)
    assert guarded.alive()
    assert guarded.cpu_s() - before < 1.0


def test_a_guard_the_library_cannot_find_refuses_to_serve():
    out = subprocess.run([executable("bare_h2o_hidden"), "--plain", "1"], capture_output=True, text=True)
    assert out.returncode == 1
    assert "libh2o-evloop calls its own h2o_" in out.stderr


def _library():
    """The libh2o-evloop that the guarded server loads."""
    said = subprocess.run(["ldd", executable("bare_h2o_guard")], capture_output=True, text=True, check=True).stdout
    return [line.split()[2] for line in said.splitlines() if "libh2o-evloop" in line][0]


def _starts(**environment):
    """Whether the guarded server starts, and what it says."""
    server = subprocess.Popen([executable("bare_h2o_guard"), "--plain", str(free_port())], env={**os.environ, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready = server.stdout.readline() == "ready\n"
    server.kill()
    return ready, server.communicate()[1]


def test_a_rebuilt_library_is_accepted(tmp_path):
    """A security rebuild has another build id, and all else as it was."""
    copy = tmp_path / os.path.basename(_library())
    shutil.copy(_library(), copy)
    notes = subprocess.run(["readelf", "-n", copy], capture_output=True, text=True, check=True).stdout
    build = bytes.fromhex(notes.split("Build ID: ")[1].split()[0])
    data = copy.read_bytes()
    assert data.count(build) == 1
    copy.write_bytes(data.replace(build, bytes(len(build))))
    assert _starts(LD_LIBRARY_PATH=str(tmp_path)) == (True, "")


SHIMS = {
    "a larger context": ("h2o_context_init", "(h2o_context_t *ctx, h2o_loop_t *loop, h2o_globalconf_t *config)", "(ctx, loop, config)",
                         "((char *)ctx)[sizeof *ctx + 8] = 0;"),
    "a larger configuration": ("h2o_config_init", "(h2o_globalconf_t *config)", "(config)", "((char *)config)[sizeof *config] = 1;"),
    "another field of the connection": ("h2o_http2_scheduler_init", "(h2o_http2_scheduler_node_t *root)", "(root)",
                                        "((char *)root)[-36] += 1; /* num_streams.priority.open */"),
}


@pytest.mark.parametrize("name, parameters, arguments, spoil", SHIMS.values(), ids=SHIMS)
def test_a_library_of_another_layout_is_refused(tmp_path, name, parameters, arguments, spoil):
    """A library between the two makes the difference."""
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(f"""#define _GNU_SOURCE
#include <dlfcn.h>
#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_scheduler.h>
void {name}{parameters}
{{
    void (*original){parameters} = (void (*){parameters})dlsym(RTLD_NEXT, "{name}");
    original{arguments};
    {spoil}
}}
""")
    subprocess.run(["cc", "-shared", "-fPIC", "-DH2O_USE_LIBUV=0", "-w", "-o", shim, source], check=True)
    ready, said = _starts(LD_PRELOAD=str(shim))
    assert not ready and "libh2o-evloop is not laid out as h2o 2.2.x" in said

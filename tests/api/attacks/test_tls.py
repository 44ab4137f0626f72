"""What a client can do below HTTP, and the guard's check of itself."""

import subprocess

import pytest

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

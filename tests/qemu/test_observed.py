"""A real guest, observed and commanded from outside: probes, metrics, status, control socket and console."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.boot_sector import READY, Sector
from tests.observability.clients import fetch
from tests.qemu.guests import CHECKOUT, Launcher, environment_of_a_checkout, small_manifest

Launch = Callable[..., Launcher]


def _verb(root: Path, verb: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launcher", verb, "--root", str(root), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment_of_a_checkout(),
        cwd=CHECKOUT,
    )


def _wait_for_phase(root: Path, phase: str) -> None:
    for _ in range(300):
        status = json.loads(_verb(root, "status", "--format", "json").stdout)
        if status["phase"] == phase:
            return
        time.sleep(0.1)
    raise AssertionError(f"the guest is {status['phase']}, not {phase}")


def test_a_guest_is_observed_paused_resumed_and_shut_down(
    launch: Launch, root: Path, two_cpus: tuple[int, int]
) -> None:
    launcher = launch(small_manifest(), "--listen", "127.0.0.1:0")
    where = "127.0.0.1", int(launcher.wait_for(r"listening: .*:\d+$").rpartition(":")[2])
    launcher.wait_for(READY)

    assert [fetch(where, path).status for path in ("/livez", "/readyz")] == [200, 200]
    metrics = fetch(where, "/metrics").content.decode()
    (ran,) = [line for line in metrics.splitlines() if 'run_seconds_total{number="1",role="vcpu"}' in line]
    assert float(ran.split()[-1]) > 0, "the firmware has had both vCPUs run"
    status = json.loads(fetch(where, "/status").content)
    placed = {thread["role"]: (thread["actual"], thread["last_cpu"]) for thread in status["threads"]}
    first, second = two_cpus
    assert (placed["vcpu 0"], placed["vcpu 1"]) == ((str(first), first), (str(second), second))

    verified = _verb(root, "verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "plan, configuration and kernel compared" in verified.stdout

    assert _verb(root, "pause").returncode == 0
    _wait_for_phase(root, "paused")
    assert (fetch(where, "/livez").status, fetch(where, "/readyz").status) == (200, 503)
    assert _verb(root, "resume").returncode == 0
    _wait_for_phase(root, "running")

    assert _verb(root, "shutdown").returncode == 0
    assert launcher.wait() == 0, launcher.output
    assert not (root / "run/control.sock").exists()


def test_a_drift_that_is_only_reported_shows_everywhere(launch: Launch, root: Path, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest(), "--listen", "127.0.0.1:0", "--drift", "report")
    where = "127.0.0.1", int(launcher.wait_for(r"listening: .*:\d+$").rpartition(":")[2])
    launcher.wait_for(READY)
    status = json.loads(_verb(root, "status", "--format", "json").stdout)
    (tid,) = [thread["tid"] for thread in status["threads"] if thread["role"] == "vcpu 1"]
    os.sched_setaffinity(tid, {two_cpus[0]})
    launcher.wait_for("drifted: vcpu 1")
    for _ in range(100):
        ready = fetch(where, "/readyz")
        if ready.status == 503:
            break
        time.sleep(0.1)
    assert f"vcpu 1 (thread {tid}".encode() in ready.content
    assert b"virt_launcher_pinning_verified 0.0\n" in fetch(where, "/metrics").content
    assert "1 DRIFTED" in _verb(root, "status").stdout
    assert _verb(root, "verify").returncode == 10
    assert _verb(root, "shutdown").returncode == 0
    assert launcher.wait() == 0, launcher.output


def test_what_is_typed_into_the_console_reaches_the_guest(launch: Launch, root: Path) -> None:
    launcher = launch(small_manifest(sector=Sector(echoes=True)))
    launcher.wait_for(READY)
    command = [sys.executable, "-m", "launcher", "console", "--root", str(root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment_of_a_checkout(), cwd=CHECKOUT
    ) as console:
        assert console.stdin is not None
        assert console.stdout is not None
        typed = b"hello from outside\n"
        for _nudge in range(90):
            console.stdin.write(typed)
            console.stdin.flush()
            time.sleep(1)
            # The guest echoes what it reads, as a terminal does. QEMU's emulated port stands still at times in the
            # middle of what a guest writes, as long as nobody is typing.
            typed = b"\n"
            if "hello from outside" in launcher.output:
                break
        launcher.wait_for("hello from outside")
        assert _verb(root, "shutdown").returncode == 0
        assert launcher.wait() == 0, launcher.output
        assert b"hello from outside" in console.stdout.read()
        console.stdin.close()
        assert console.wait(60) == 0

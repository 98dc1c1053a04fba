"""Agents in the guest that come and go for ever, or answer half of what they are asked."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import wait_until
from tests.faults.shells import type_in, wait_for_shell
from tests.qemu.guests import Launcher, manifest

_PORT = "p=/dev/$(ls -d /sys/class/virtio-ports/*/name | xargs grep -l qemu.guest_agent | cut -d/ -f5)\n"
# Says that it is there whenever it is asked for that, and answers nothing else. libvirt comes to the port once the
# guest has opened it; until then Linux answers a read with the end of the file: that is waited out, as qemu-ga does.
_HALF_AGENT = (
    "exec 3<>$p; echo half $((6 + 6)); (while :; do read -r l <&3 || { sleep 0.1; continue; }; "
    'case "$l" in *sync*) echo "{\\"return\\": $(echo "$l" | tr -cd 0-9)}" >&3;; '
    "*) echo asked $((1 + 8));; esac; done) &\n"
)
# libvirt's and the launcher's own threads, and one call or two.
_MOST_MORE_THREADS = 4


def with_credentials(tmp_path: Path) -> dict[str, Any]:
    vmi = manifest(cores=1, kernel_arguments="guest.shell=yes")
    secret = tmp_path / "volumes/secret/keys-access-cred"
    secret.mkdir(parents=True)
    (secret / "root").write_text("correct horse")
    password = {
        "source": {"secret": {"secretName": "keys"}},
        "propagationMethod": {"qemuGuestAgent": {}},
    }
    vmi["spec"]["accessCredentials"] = [{"userPassword": password}]
    return vmi


def threads_of(launcher: Launcher) -> int:
    return len(list(Path(f"/proc/{launcher.process.pid}/task").iterdir()))


def test_an_agent_that_comes_and_goes_for_ever_makes_no_heap_of_threads(launch: Launch, tmp_path: Path) -> None:
    launcher = launch(with_credentials(tmp_path), "--volumes", str(tmp_path / "volumes"))
    wait_for_shell(launcher)
    before = threads_of(launcher)
    type_in(launcher, f"{_PORT}while :; do (sleep 0.3) <>$p; done &\n".encode())
    launcher.wait_for("agent: connected")
    most = 0
    for _look in range(60):
        most = max(most, threads_of(launcher))
        time.sleep(0.25)
    assert most <= before + _MOST_MORE_THREADS, launcher.output
    assert len(lines_of(launcher, "credentials: ")) <= 4, launcher.output
    assert destroy(launcher) in (0, 9)


def test_the_power_button_is_pressed_where_an_agent_only_says_that_it_is_there(launch: Launch, tmp_path: Path) -> None:
    launcher = launch(manifest(cores=1, kernel_arguments="guest.shell=yes"), "--grace-period", "30")
    wait_for_shell(launcher)
    type_in(launcher, f"{_PORT}{_HALF_AGENT}".encode())
    launcher.wait_for(r"console \| .*half 12$")
    wait_until(lambda: bool(lines_of(launcher, "agent: connected")), "libvirt knows of the agent")
    # It tells of an agent a little before it asks one; until then the button is pressed at once.
    time.sleep(1)
    launcher.signal(signal.SIGTERM)
    launcher.wait_for(r"console \| .*asked 9$")
    assert launcher.wait() == 0, launcher.output


def test_a_button_is_pressed_where_an_agent_holds_up_what_was_asked_of_it(launch: Launch, tmp_path: Path) -> None:
    launcher = launch(with_credentials(tmp_path), "--volumes", str(tmp_path / "volumes"), "--grace-period", "40")
    wait_for_shell(launcher)
    type_in(launcher, f"{_PORT}{_HALF_AGENT}".encode())
    # The password is asked to be set, and never is.
    launcher.wait_for(r"console \| .*asked 9$")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output

"""What runs beside a node: a network that it shares with the node alone, and an end that is the node's, too."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from hack.nodes.beside import Beside, own_network
from hack.nodes.boot import boot
from hack.nodes.errors import NodeError
from hack.nodes.machine import Outlets
from tests.nodes.qemus import QEMU

# Listens at the port that a kubelet has, on every address, until it is killed.
_LISTEN = (
    "python3",
    "-c",
    "import socket, time; kept = socket.create_server(('', 10250)); print(flush=True); time.sleep(60)",
)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_network_has_its_loopback_and_the_address_and_nothing_else() -> None:
    with own_network("10.99.0.1") as within:
        links, route = _said(*within, "ip", "-oneline", "link"), _said(*within, "ip", "route", "get", "10.99.0.1")
        beyond = subprocess.run((*within, "ip", "route", "get", "10.99.0.2"), capture_output=True, check=False)
    assert [line.split()[1] for line in links.splitlines()] == ["lo:"]
    assert route.startswith("local 10.99.0.1 dev lo src 127.0.0.1 ")
    assert beyond.returncode != 0


def test_two_networks_know_nothing_of_each_other() -> None:
    with own_network("10.99.0.1") as one, own_network("10.99.0.1") as other:
        for within in (one, other):
            with subprocess.Popen((*within, *_LISTEN), stdout=subprocess.PIPE) as listener:
                try:
                    assert next(iter(listener.stdout or ()), b"") == b"\n", "somebody else has the port"
                finally:
                    listener.kill()


def test_a_network_goes_with_who_made_it() -> None:
    with own_network("10.99.0.1") as within:
        pid = int(within[1].partition("=")[2])
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert not Path(f"/proc/{pid}").exists()


def test_a_machine_that_makes_no_network_is_told_with_its_words() -> None:
    with pytest.raises(NodeError, match=r'^no network namespace can be made here: .*"?none'), own_network("none"):
        pytest.fail("there is no such address")


@pytest.mark.parametrize("fault_after", [0, 3])
def test_a_node_ends_at_once_with_what_ran_beside_it(tmp_path: Path, qemu: QEMU, fault_after: int) -> None:
    qemu('echo $$ >/dev/fd/$1; trap "" TERM; exec sleep 600')
    asked: list[float] = []

    def fault() -> str:
        asked.append(time.monotonic())
        return "etcd died with status 1: no space" if len(asked) > fault_after else ""

    shown: list[bytes] = []
    with pytest.raises(NodeError, match=r"^etcd died with status 1: no space$"):
        boot(_arguments, tmp_path, 60, shown.append, beside=Beside(fault=fault))
    assert not [text for text in shown if Path(f"/proc/{int(text)}").exists()]


def test_qemu_is_started_by_the_words_that_lead_to_what_is_beside_it(tmp_path: Path, qemu: QEMU) -> None:
    qemu('echo "$WHERE" >/dev/fd/$1; echo "exit 0" >"$2"')
    shown: list[bytes] = []
    boot(_arguments, tmp_path, 60, shown.append, beside=Beside(within=("env", "WHERE=inside")))
    assert b"".join(shown) == b"inside\n"


def _arguments(outlets: Outlets) -> tuple[str, ...]:
    return str(outlets.output_fd), str(outlets.status)

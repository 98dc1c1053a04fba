"""Cards on the Pod's own network: what carries them, what is said of it, and the ports that lead to them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.network import passt
from launcher.network.expected import expected
from launcher.network.forwards import Forward, forwards_by, forwards_of
from launcher.network.pod import on_pod
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology
from launcher.vmi.guest_machine import Interface, InterfaceBackend, Peripherals, Port, Protocol

SSH, DNS = Port(port=22), Port(port=53, protocol=Protocol.UDP)
FAULT = "Couldn't create user namespace: Operation not permitted"
CLOSED = (
    "interface a: nothing from outside reaches the guest: QEMU's user networking forwards only the ports that it "
    "lists, and it lists none"
)


def guest_of(*cards: Interface) -> Guest:
    return Guest(
        name="guest",
        cpu=GuestCPU(topology=Topology()),
        memory=GuestMemory(guest_bytes=1 << 30),
        peripherals=Peripherals(interfaces=cards),
    )


def card(backend: InterfaceBackend, *ports: Port, queues: int = 1) -> Interface:
    return Interface(name="a", backend=backend, ports=ports, queues=queues)


POD, PASST, SLIRP = InterfaceBackend.POD, InterfaceBackend.PASST, InterfaceBackend.SLIRP

# (sentence, the card, why there is no passt, what carries it, what is said)
CARRIERS: list[tuple[str, Interface, str | None, InterfaceBackend, list[str]]] = [
    ("passt_where_it_runs", card(POD, SSH), None, PASST, []),
    ("passt_for_every_port", card(POD), None, PASST, []),
    ("qemu_itself_where_passt_does_not_run", card(POD, SSH), FAULT, SLIRP, []),
    ("qemu_itself_for_no_port", card(POD), FAULT, SLIRP, [f"{CLOSED} (no passt: {FAULT})"]),
    ("qemu_itself_where_it_is_asked_for", card(SLIRP), None, SLIRP, [CLOSED]),
    ("passt_where_it_is_asked_for", card(PASST), FAULT, PASST, []),
    ("by_one_queue_alone", card(POD, SSH, queues=4), None, PASST, []),
]


@pytest.mark.parametrize(
    ("wished", "fault", "backend", "said"), [row[1:] for row in CARRIERS], ids=[row[0] for row in CARRIERS]
)
def test_a_card_on_the_pods_network_is_carried_by(
    wished: Interface, fault: str | None, backend: InterfaceBackend, said: list[str]
) -> None:
    guest, notices = on_pod(guest_of(wished), lambda: fault)
    (found,) = guest.peripherals.interfaces
    assert (found.backend, found.queues, list(notices)) == (backend, 1, said)


def test_passt_is_not_tried_where_nobody_leaves_the_choice() -> None:
    def tried() -> str | None:
        raise AssertionError("passt was tried")

    guest = guest_of(Interface(name="a", backend=InterfaceBackend.TAP, device="tap0", queues=4))
    assert on_pod(guest, tried) == (guest, ())
    on_pod(guest_of(card(SLIRP, SSH)), tried)


def test_what_nobody_has_looked_at_is_expected_behind_qemus_own_networking() -> None:
    (found,) = expected(guest_of(card(POD, SSH, queues=4))).peripherals.interfaces
    assert (found.backend, found.queues) == (SLIRP, 1)


def test_each_port_of_a_card_behind_qemus_networking_leads_to_the_guest() -> None:
    guest = guest_of(card(SLIRP, SSH, DNS), Interface(name="b", backend=PASST, ports=(Port(port=80),)))
    found = (
        Forward(alias="ua-a", protocol=Protocol.TCP, port=22),
        Forward(alias="ua-a", protocol=Protocol.UDP, port=53),
    )
    assert forwards_of(guest) == found
    assert forwards_by(guest, ["ua-a"]) == found
    assert forwards_by(guest, []) == ()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a program called passt, the only one on the path."""

    def write(text: str) -> Path:
        path = tmp_path / "passt"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return path

    return write


def test_passt_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert passt.passt_fault() == "it is not installed"


def test_passt_that_goes_to_the_background_runs(program: Callable[[str], Path]) -> None:
    program("exit 0")
    assert passt.passt_fault() is None


def test_passt_that_ends_says_why(program: Callable[[str], Path]) -> None:
    program(f'echo "No interfaces" >&2; echo "{FAULT}" >&2; exit 1')
    assert passt.passt_fault() == FAULT


def test_passt_that_says_nothing_has_a_status(program: Callable[[str], Path]) -> None:
    program("exit 3")
    assert passt.passt_fault() == "exit status 3"


def test_passt_that_never_comes_up_is_given_up(program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    program("exec /bin/sleep 60")
    monkeypatch.setattr(passt, "TRY_TIMEOUT_S", 0.2)
    assert passt.passt_fault() == "it was not ready within 0 s"


def test_passt_that_cannot_be_started_is_told(program: Callable[[str], Path]) -> None:
    path = program("")
    path.write_text("#!/nowhere/sh\n")
    assert passt.passt_fault() == f"{path}: No such file or directory"


@pytest.mark.parametrize(
    ("most", "ephemeral", "fault"),
    [
        pytest.param(74_734, "32768\t60999\n", None, id="just enough"),
        pytest.param(-1, "32768\t60999\n", None, id="no limit"),
        pytest.param(
            65_536,
            "32768\t60999\n",
            "all ports take 74734 open files, and a process here may have 65536; list the interface's ports",
            id="too few",
        ),
        pytest.param(3_196, "1000\t65000\n", None, id="most ports are left out"),
        pytest.param(
            1_197,
            "1000\t64999\n",
            "all ports take 3198 open files, and a process here may have 1197; list the interface's ports",
            id="a limit for a few",
        ),
    ],
)
def test_all_ports_of_a_pod_take_a_file_each(most: int, ephemeral: str, fault: str | None) -> None:
    assert passt.files_fault(most, ephemeral) == fault


def test_passt_for_all_ports_is_not_tried_where_it_may_not_open_them(program: Callable[[str], Path]) -> None:
    program("exit 0")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000));"
        "from launcher.network.passt import passt_fault; print(passt_fault(), passt_fault(all_ports=True))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout
    assert said.startswith("None all ports take ")

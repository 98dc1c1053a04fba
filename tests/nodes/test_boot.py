"""A node's end, however it comes: told by itself, a panic, QEMU's death, too late; with a program in QEMU's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.nodes.boot import Ended, boot, console_end, judge
from hack.nodes.errors import EmulatorAtFault, NodeError
from hack.nodes.initramfs import loading_order
from hack.nodes.machine import Outlets
from tests.nodes.qemus import QEMU


def _seen(work: Path, **files: str) -> Path:
    for name, text in files.items():
        (work / name).write_text(text)
    return work


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        pytest.param("up\nexit 0\n", Ended(status=0, has_results=True), id="a command that succeeded"),
        pytest.param("up\nexit 3\n", Ended(status=3, has_results=True), id="a command that failed"),
        pytest.param("up\nunwritten\nexit 0\n", Ended(status=0, has_results=False), id="results that did not fit"),
    ],
)
def test_a_node_that_tells_its_end_is_believed(tmp_path: Path, status: str, ended: Ended) -> None:
    assert judge(_seen(tmp_path, status=status), 0, None) == ended


@pytest.mark.parametrize(
    ("files", "qemu_status", "exceeded_s", "message"),
    [
        pytest.param(
            {"console": "[ 1.0] Kernel panic - not syncing: no init\n[ 1.1] Rebooting\n"},
            *(0, None, r"^the node went down before it was up: \[ 1\.0\] Kernel panic - not syncing: no init$"),
            id="a panic is named",
        ),
        pytest.param(
            {"status": "up\n"},
            *(0, None, "^the node went down after it was up: without a word$"),
            id="a node that was switched off from inside",
        ),
        pytest.param(
            {"qemu": "qemu: no such CPU\n"},
            *(1, None, "^QEMU ended with status 1 before it was up: qemu: no such CPU$"),
            id="QEMU's own complaint is passed on",
        ),
        pytest.param(
            {"status": "up\n"},
            *(-9, 5.0, "^the node was killed after it was up: 5 s had passed$"),
            id="the limit is told first",
        ),
    ],
)
def test_a_node_that_does_not_is_an_error(
    tmp_path: Path, files: dict[str, str], qemu_status: int, exceeded_s: float | None, message: str
) -> None:
    with pytest.raises(NodeError, match=message):
        judge(_seen(tmp_path, **files), qemu_status, exceeded_s)


@pytest.mark.parametrize(("qemu_status", "is_crash"), [(-11, True), (-6, True), (-9, False), (1, False)])
def test_a_crash_of_qemu_itself_is_told_from_its_end(tmp_path: Path, qemu_status: int, *, is_crash: bool) -> None:
    with pytest.raises(NodeError, match=rf"^QEMU ended with status {qemu_status} after it was up: ") as raised:
        judge(_seen(tmp_path, status="up\n"), qemu_status, None)
    assert isinstance(raised.value, EmulatorAtFault) == is_crash


def test_the_consoles_end_is_short(tmp_path: Path) -> None:
    work = _seen(tmp_path, console="".join(f"line {number}\n" for number in range(1000)))
    assert console_end(work)[-1] == "line 999"
    assert len(console_end(work)) == 20


def _arguments(outlets: Outlets) -> tuple[str, ...]:
    return str(outlets.output_fd), str(outlets.status)


def test_output_is_shown_as_it_comes(tmp_path: Path, qemu: QEMU) -> None:
    qemu('echo "one" >/dev/fd/$1; echo "exit 4" >"$2"; echo "two" >/dev/fd/$1')
    shown: list[bytes] = []
    assert boot(_arguments, tmp_path, 60, shown.append) == Ended(status=4, has_results=True)
    assert b"".join(shown) == b"one\ntwo\n"


def test_a_node_that_exceeds_its_limit_is_killed(tmp_path: Path, qemu: QEMU) -> None:
    qemu('echo $$ >/dev/fd/$1; trap "" TERM; exec sleep 600')
    shown: list[bytes] = []
    with pytest.raises(NodeError, match="was killed before it was up: 1 s had passed"):
        boot(_arguments, tmp_path, 1, shown.append)
    assert not Path(f"/proc/{int(b''.join(shown))}").exists()


def test_the_limit_holds_for_a_node_that_never_stops_talking(tmp_path: Path, qemu: QEMU) -> None:
    qemu("exec yes >/dev/fd/$1")
    with pytest.raises(NodeError, match="was killed before it was up"):
        boot(_arguments, tmp_path, 1, lambda _text: None)


def test_a_node_dies_with_who_waits_for_it(tmp_path: Path, qemu: QEMU) -> None:
    qemu("echo $$ >/dev/fd/$1; exec sleep 600")
    pids: list[int] = []

    def interrupt(text: bytes) -> None:
        pids.append(int(text))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boot(_arguments, tmp_path, 60, interrupt)
    assert not Path(f"/proc/{pids[0]}").exists()


def test_a_module_is_loaded_after_all_that_it_needs() -> None:
    dependencies = (
        "a/virtio-pci.ko: a/legacy.ko b/virtio.ko b/ring.ko\na/legacy.ko: b/virtio.ko b/ring.ko\n"
        "b/virtio.ko: b/ring.ko\nb/ring.ko:\nc/other.ko: b/ring.ko\n"
    )
    assert loading_order(dependencies, "", ("ring", "virtio_pci")) == (
        "b/ring.ko",
        "b/virtio.ko",
        "a/legacy.ko",
        "a/virtio-pci.ko",
    )


def test_a_module_that_is_built_into_the_kernel_needs_no_loading() -> None:
    assert loading_order("a/virtio_blk.ko:\n", "a/virtio-pci.ko\n", ("virtio_pci", "virtio_blk")) == (
        "a/virtio_blk.ko",
    )


def test_a_module_that_the_kernel_lacks_is_named() -> None:
    with pytest.raises(NodeError, match=r"^the kernel has no module virtio_blk$"):
        loading_order("a/ext4.ko:\n", "a/virtio_pci.ko\n", ("virtio_blk",))


def test_a_node_that_does_not_come_up_stood_still(tmp_path: Path, qemu: QEMU) -> None:
    qemu("exec sleep 60")
    with pytest.raises(EmulatorAtFault, match=r"^the node was not up after 0\.5 s$"):
        boot(_arguments, tmp_path, 60, lambda _text: None, up_s=0.5)


def test_a_node_that_is_up_may_take_its_time(tmp_path: Path, qemu: QEMU) -> None:
    qemu(f"echo up >{tmp_path}/status; sleep 1; echo exit 0 >>{tmp_path}/status")
    assert boot(_arguments, tmp_path, 60, lambda _text: None, up_s=0.5) == Ended(status=0, has_results=True)


def test_a_node_that_gives_no_sign_of_life_any_more_stands_still(tmp_path: Path, qemu: QEMU) -> None:
    qemu(f"echo up >{tmp_path}/status; sleep 0.3; echo alive >>{tmp_path}/status; exec sleep 60")
    with pytest.raises(EmulatorAtFault, match=r"^the node gave no sign of life for 1 s$"):
        boot(_arguments, tmp_path, 60, lambda _text: None, silent_s=1)


def test_a_node_that_gives_signs_of_life_may_take_longer_than_they_are_apart(tmp_path: Path, qemu: QEMU) -> None:
    beats = f"for _ in 1 2 3 4 5 6; do sleep 0.5; echo alive >>{tmp_path}/status; done"
    qemu(f"echo up >{tmp_path}/status; {beats}; echo exit 0 >>{tmp_path}/status")
    assert boot(_arguments, tmp_path, 60, lambda _text: None, silent_s=2) == Ended(status=0, has_results=True)

"""The host's figures for a guest: their document, the disk, and the port at which a real socket is answered."""

from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from launcher.errors import HypervisorError
from launcher.host.synthetic import parse_synthetic
from launcher.host.tree import FolderTree
from launcher.observe import figures_feed
from launcher.observe.figures import DISK_BYTES, GuestFigures, document_of, figures_of, write_disk
from launcher.observe.figures_feed import fed
from tests.faults.places import wait_until

STAT = "cpu  100 20 30 4000 5 6 7 0 0 0\ncpu0 1 2 3 4\n"
MEMINFO = "MemTotal: 1000 kB\nMemFree: 300 kB\nBuffers: 50 kB\nCached: 150 kB\nSwapTotal: 400 kB\nSwapFree: 100 kB\n"
GUEST = GuestFigures(
    counters={"vcpu.0.time": 1_500_000_000, "vcpu.1.time": 500_000_000, "vcpu.0.state": 1},
    vcpus=2,
    memory_bytes=1 << 30,
)


@pytest.fixture
def tree(tmp_path: Path) -> FolderTree:
    (tmp_path / "proc").mkdir()
    for name, text in (("stat", STAT), ("meminfo", MEMINFO), ("vmstat", "pswpin 3\npswpout 4\n")):
        (tmp_path / "proc" / name).write_text(text)
    return FolderTree(tmp_path)


def read(document: bytes) -> dict[tuple[str | None, str | None], tuple[str | None, str | None, str | None]]:
    return {
        (metric.get("context"), metric.findtext("name")): (
            metric.get("type"), metric.findtext("value"), metric.get("unit")
        )
        for metric in ElementTree.fromstring(document)  # noqa: S314 - our own
    }  # fmt: skip


def test_the_document_has_kubevirts_figures(tree: FolderTree) -> None:
    found = read(document_of(figures_of(tree, parse_synthetic("pack:2 core:2 pu:1"), GUEST, node="a&b")))
    ticks, page_kib = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE") // 1024
    time = found.pop(("host", "Time"))
    assert time[0] == "int64"
    assert found == {
        ("host", "HostName"): ("string", "a&b", None),
        ("host", "HostSystemInfo"): ("string", "linux", None),
        ("host", "VirtualizationVendor"): ("string", "kubevirt.io", None),
        ("vm", "TotalCPUTime"): ("real64", "2.000000", "s"),
        ("vm", "ResourceProcessorLimit"): ("int64", "2", None),
        ("vm", "PhysicalMemoryAllocatedToVirtualSystem"): ("int64", "1048576", "KiB"),
        ("vm", "ResourceMemoryLimit"): ("int64", "1048576", "KiB"),
        ("host", "NumberOfPhysicalCPUs"): ("int64", "2", None),
        ("host", "TotalCPUTime"): ("real64", f"{150 / ticks:.6f}", "s"),
        ("host", "FreePhysicalMemory"): ("int64", "300", "KiB"),
        ("host", "FreeVirtualMemory"): ("int64", "400", "KiB"),
        ("host", "MemoryAllocatedToVirtualServers"): ("int64", "500", "KiB"),
        ("host", "UsedVirtualMemory"): ("int64", "900", "KiB"),
        ("host", "PagedInMemory"): ("int64", str(3 * page_kib), "KiB"),
        ("host", "PagedOutMemory"): ("int64", str(4 * page_kib), "KiB"),
    }


def test_what_the_kernel_does_not_tell_is_left_out(tmp_path: Path) -> None:
    found = read(document_of(figures_of(FolderTree(tmp_path), parse_synthetic("core:1 pu:1"), GUEST, node="n")))
    assert ("host", "FreePhysicalMemory") not in found
    assert ("vm", "TotalCPUTime") in found


def test_the_disk_says_its_length_and_its_sum_and_that_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(DISK_BYTES))
    with path.open("r+b") as file:
        write_disk(file.fileno(), b"<metrics/>\n")
    content = path.read_bytes()
    assert struct.unpack(">4siii", content[:16]) == (b"mvbd", 0, sum(b"<metrics/>\n"), 11)
    assert content[16:27] == b"<metrics/>\n"
    assert len(content) == DISK_BYTES


def test_a_disk_is_written_again_and_again_and_no_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_feed, "REFRESH_S", 0.01)
    disk, other, link = (tmp_path / name for name in ("disk", "other", "link"))
    disk.write_bytes(bytes(DISK_BYTES))
    other.write_bytes(bytes(DISK_BYTES))
    link.symlink_to(other)
    written: list[int] = []

    def document() -> bytes:
        written.append(len(written))
        return f"<a{len(written)}/>".encode()

    with fed(document, disks=(str(disk), str(link)), port=None):
        wait_until(lambda: len(written) > 3 and b"<a" in disk.read_bytes(), "it is written a few times")
    assert not any(other.read_bytes())


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The socket of QEMU's port."""
    monkeypatch.setattr(figures_feed, "_CONNECT_INTERVAL_S", 0.01)
    monkeypatch.setattr(figures_feed, "ANSWER_INTERVAL_S", 0.01)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "port"))
    listener.listen()
    listener.settimeout(30)
    return listener


def asked(connection: socket.socket, request: bytes) -> bytes:
    connection.settimeout(30)
    connection.sendall(request)
    answer = b""
    while not answer.endswith(b"\n\n"):
        answer += connection.recv(4096)
    return answer


def test_the_port_answers_what_may_be_asked_and_refuses_the_rest(port: socket.socket) -> None:
    with fed(lambda: b"<metrics/>\n", disks=(), port=port.getsockname()):
        guest, _ = port.accept()
        with guest:
            assert asked(guest, b"GET /metrics/XML\r\n\r\n") == b"<metrics/>\n\n"
            assert asked(guest, b"GET /metrics/XML?x HTTP/1.1\n\n") == b"<metrics/>\n\n"
            assert asked(guest, b"PUT /metrics/XML\n\n") == b"INVALID REQUEST\n\n"
            assert asked(guest, b"x" * 5000) == b"INVALID REQUEST\n\n"


def test_a_guest_that_cannot_be_asked_is_told_so_and_a_new_qemu_is_found(port: socket.socket) -> None:
    def nothing() -> bytes:
        raise HypervisorError("gone")

    with fed(nothing, disks=(), port=port.getsockname()):
        port.accept()[0].close()
        guest, _ = port.accept()
        with guest:
            assert b"host metrics not available" in asked(guest, b"GET /metrics/XML\n\n")


def test_nothing_goes_on_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_feed, "REFRESH_S", 0.01)
    with fed(lambda: b"", disks=(str(tmp_path / "none"),), port=None):
        pass
    wait_until(lambda: "figures" not in {thread.name for thread in threading.enumerate()}, "the thread ends")

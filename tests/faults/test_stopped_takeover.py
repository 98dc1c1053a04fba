"""A QEMU that is stopped and keeps the answer back, as of libvirt 11.3: what libvirt wrote of it is believed."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from pathlib import Path
from typing import Any, cast

import pytest

from launcher.cli.domain_jobs import read_domain
from launcher.cli.takeover import read_record
from launcher.cli.workshop import Workshop
from launcher.domain.read import read_has_run
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import DeadlineExceeded
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Machine
from tests.e2e.boot_sector import READY
from tests.faults.conftest import Launch
from tests.faults.ends import destroy
from tests.faults.places import qemu_below, wait_until
from tests.processes import is_running
from tests.qemu.guests import small_manifest


class StoppedMachine:
    """The machine of a QEMU that does not answer."""

    name = "tests_demo"

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid

    def xml(self) -> str:
        raise DeadlineExceeded("XML of tests_demo: no answer within 10 s")


class HereWorkshop:
    """Does the workshop's one job in this process."""

    def do(self, job: str, xml: str) -> Any:
        assert job == "read_domain"
        return read_domain(xml)


def read(uuid: str, pid: int, root: Path, uri: str | None = None) -> Any:
    process = QEMUProcess(pid=pid, pidfd=os.pidfd_open(pid))
    try:
        machine = cast("Machine", StoppedMachine(uuid))
        return read_record(machine, process, cast("Workshop", HereWorkshop()), Namespace(connect=uri, root=str(root)))
    finally:
        os.close(process.pidfd)


def written_below(root: Path) -> str:
    return (root / "run/qemu/tests_demo.xml").read_text()


def uuid_below(root: Path) -> str:
    return written_below(root).partition("<uuid>")[2].partition("</uuid>")[0]


def test_the_record_of_a_stopped_qemu_is_read_of_libvirts_file(launch: Launch, root: Path) -> None:
    killed = launch(small_manifest())
    killed.wait_for(READY)
    # The small guest is up before its launcher has marked that.
    wait_until(lambda: read_has_run(written_below(root)), "it is marked as one that has run")
    killed.kill_once_running()
    pid = qemu_below(root)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    record = read(uuid_below(root), pid, root)
    assert record.pinning is not None
    assert (record.vcpus, len(record.pinning.vcpus), record.virt_type, record.has_run) == (2, 2, "qemu", True)
    assert is_running(pid)
    os.kill(pid, signal.SIGCONT)
    adopter = launch(small_manifest())
    adopter.wait_for("adopted: ")
    adopter.wait_for("verified: ")
    assert destroy(adopter) in (0, 9)


@pytest.mark.parametrize("what", ["another life's", "gone", "torn", "behind a daemon"])
def test_a_stopped_qemu_without_a_record_is_ended_and_told(launch: Launch, root: Path, what: str) -> None:
    killed = launch(small_manifest())
    killed.kill_once_running()
    pid, file = qemu_below(root), root / "run/qemu/tests_demo.xml"
    assert pid is not None
    uuid = "00000000-0000-0000-0000-000000000001" if what == "another life's" else uuid_below(root)
    if what == "gone":
        file.rename(root / "away.xml")
    if what == "torn":
        file.write_text(file.read_text()[:200])
    with pytest.raises(HypervisorError) as caught:
        read(uuid, pid, root, uri="qemu:///system" if what == "behind a daemon" else None)
    assert str(caught.value) == (
        f"XML of tests_demo: no answer within 10 s; its QEMU (pid {pid}) was ended, for it could not be watched"
    )
    wait_until(lambda: not is_running(pid), "it is ended")
    (root / "away.xml").unlink(missing_ok=True)
    successor = launch(small_manifest())
    successor.wait_for("phase: running")
    assert destroy(successor) in (0, 9)

"""The verb `verify`: plan, configuration and kernel, each of them made to differ, over real threads."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from launcher.cli import main
from launcher.cpuset import CPUSet
from launcher.domain.names import PLAN_NAMESPACE
from launcher.domain.read import ConfiguredPins
from launcher.observe.compare import Comparison, Verdict, compare
from launcher.observe.control import serve_control
from launcher.planner.document import to_json
from launcher.planner.model import IOThreadPin, Pinning, VCPUPin
from launcher.supervise.roles import ObservedThread, Role, ThreadKind
from launcher.supervise.snapshot import Snapshot
from tests.observability.processes import UUID, qemu_like
from tests.observability.snapshots import THREADS, pinning_of, snapshot

FIRST, SECOND = (str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2])
BOTH = f"{FIRST},{SECOND}"
# A guest with one vCPU on the first CPU and everything else on the second.
AS_PLANNED = (f"qemu-system-x86={SECOND}", f"call_rcu={SECOND}", f"IO iothread1={SECOND}", f"CPU 0/KVM={FIRST}")
WITHOUT_IOTHREAD = tuple(word for word in AS_PLANNED if "iothread" not in word)


def _plan(vcpu: str = FIRST) -> Pinning:
    return Pinning(
        cpuset=CPUSet.parse(BOTH),
        source="a test",
        vcpus=(VCPUPin(vcpu=0, cpu=int(vcpu), core=0, socket=0, node=0),),
        emulator=CPUSet.parse(SECOND),
        iothreads=(IOThreadPin(iothread=1, cpus=CPUSet.parse(SECOND)),),
    )


def _record(root: Path, *, plan: Pinning | None, vcpu: str = FIRST) -> None:
    """Write the record of the running domain that the embedded driver would keep."""
    metadata = "" if plan is None else f"<l:plan xmlns:l='{PLAN_NAMESPACE}'>{to_json(plan)}</l:plan>"
    folder = root / "run/qemu"
    folder.mkdir(parents=True)
    (folder / "prod_db.xml").write_text(
        f"<domstatus><domain type='kvm'><name>prod_db</name><uuid>{UUID}</uuid><metadata>{metadata}</metadata>"
        f"<vcpu>1</vcpu><iothreads>1</iothreads><cputune><vcpupin vcpu='0' cpuset='{vcpu}'/>"
        f"<emulatorpin cpuset='{SECOND}'/><iothreadpin iothread='1' cpuset='{SECOND}'/></cputune></domain></domstatus>"
    )


def _moved(name: str, cpus: str) -> tuple[str, ...]:
    return tuple(f"{name}={cpus}" if word.startswith(name) else word for word in AS_PLANNED)


ROWS = {
    "all three agree": (AS_PLANNED, _plan(), FIRST, 0, "4 threads: 4 verified"),
    "a vCPU was moved": (_moved("CPU 0/KVM", SECOND), _plan(), FIRST, 10, "4 threads: 3 verified, 1 DRIFTED"),
    "an IOThread was widened": (_moved("IO iothread1", BOTH), _plan(), FIRST, 10, "4 threads: 3 verified, 1 DRIFTED"),
    "a worker was widened": (_moved("call_rcu", BOTH), _plan(), FIRST, 10, "4 threads: 3 verified, 1 DRIFTED"),
    "the IOThread is gone": (WITHOUT_IOTHREAD, _plan(), FIRST, 10, "4 threads: 3 verified, 1 MISSING"),
    "somebody changed the configuration alone": (
        AS_PLANNED, _plan(), SECOND, 10, "4 threads: 3 verified, 1 CONFIGURED OTHERWISE",
    ),
    "another tool's domain as configured": (AS_PLANNED, None, FIRST, 0, "4 threads: 4 verified"),
    "another tool's domain not as configured": (AS_PLANNED, None, SECOND, 10, "4 threads: 3 verified, 1 DRIFTED"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_running_domain_is_compared(
    row: tuple[tuple[str, ...], Pinning | None, str, int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads, plan, vcpu, status, total = row
    _record(tmp_path, plan=plan, vcpu=vcpu)
    with qemu_like(*threads, root=tmp_path):
        assert main(["verify", "prod_db", "--root", str(tmp_path)]) == status
    told = capsys.readouterr().out
    assert told.endswith(f"\n{total}\n")
    assert ("no launcher recorded a plan" in told) is (plan is None)


def test_without_the_configuration_plan_and_kernel_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with qemu_like(*_moved("CPU 0/KVM", SECOND)) as pid:
        seen: Snapshot = snapshot(pid=pid, pinning=_plan(), vcpus=1, threads=THREADS[:4])
        with serve_control(tmp_path / "c", lambda: seen, lambda _command: ""):
            assert main(["verify", "--control", str(tmp_path / "c")]) == 10
    told = capsys.readouterr().out
    assert "its configuration is out of reach; plan and kernel compared" in told
    assert told.endswith("4 threads: 3 verified, 1 DRIFTED\n")


def test_a_qemu_that_has_ended_is_not_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record(tmp_path, plan=_plan())
    assert main(["verify", "--root", str(tmp_path)]) == 7
    assert f"no process on this machine has -uuid {UUID}" in capsys.readouterr().err


def test_the_qemu_of_one_uuid_over_another_root_is_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _record(tmp_path, plan=_plan())
    with qemu_like(*AS_PLANNED, root=tmp_path / "other"):
        assert main(["verify", "--root", str(tmp_path)]) == 7
    assert f"no process on this machine has -uuid {UUID}" in capsys.readouterr().err


def test_a_record_that_can_be_found_and_not_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that is removed between the two, at the guest's end."""
    record = tmp_path / "run/qemu/prod_db.xml"
    record.parent.mkdir(parents=True)
    record.symlink_to("/proc/self/mem")
    assert main(["verify", "--root", str(tmp_path)]) == 7
    assert capsys.readouterr().err == f"virt-launcher: domain prod_db: {record}: Input/output error\n"


def test_a_domain_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "prod_db", "--root", str(tmp_path)]) == 7
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("virt-launcher: domain prod_db: ")
    assert "no launcher listens there" in line


def test_another_domain_than_the_launcher_s_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve_control(tmp_path / "c", snapshot, lambda _command: ""):
        assert main(["verify", "prod_web", "--control", str(tmp_path / "c")]) == 7
    assert "runs prod_db" in capsys.readouterr().err


def test_a_launcher_without_a_guest_has_nothing_to_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve_control(tmp_path / "c", lambda: None, lambda _command: ""):
        assert main(["verify", "--control", str(tmp_path / "c")]) == 7
    assert "no guest yet" in capsys.readouterr().err


def test_a_connection_needs_a_domain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--connect", "test:///default"]) == 2
    assert "name the DOMAIN" in capsys.readouterr().err


def test_a_broken_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run/qemu").mkdir(parents=True)
    (tmp_path / "run/qemu/x.xml").write_text("<domstatus>")
    assert main(["verify", "--root", str(tmp_path)]) == 7
    assert len(capsys.readouterr().err.splitlines()) == 1


def _thread(name: str, cpus: str) -> ObservedThread:
    return replace(next(thread for thread in THREADS if thread.name == name), cpus=CPUSet.parse(cpus))


COMPARED = {
    "plan, configuration and kernel agree": ("5", "5", "5", Verdict.VERIFIED),
    "the kernel alone differs": ("5", "5", "6", Verdict.DRIFTED),
    "the configuration alone differs": ("5", "6", "5", Verdict.CONFIGURED_OTHERWISE),
    "the kernel follows a wrong configuration": ("5", "6", "6", Verdict.DRIFTED),
    "libvirt took a pin to an absent CPU": (None, "5-6", "5", Verdict.DRIFTED),
    "no plan": (None, "5", "5", Verdict.VERIFIED),
    "no configuration": ("5", None, "5", Verdict.VERIFIED),
    "neither": (None, None, "0-7", Verdict.OPEN),
    "no such thread": ("5", "5", None, Verdict.MISSING),
}


@pytest.mark.parametrize(("planned", "configured", "actual", "verdict"), COMPARED.values(), ids=COMPARED)
def test_the_verdict_is(planned: str | None, configured: str | None, actual: str | None, verdict: Verdict) -> None:
    sets = [None if text is None else CPUSet.parse(text) for text in (planned, configured, actual)]
    role = Role(kind=ThreadKind.VCPU, number=0)
    one = Comparison(tid=1, name="x", role=role, planned=sets[0], configured=sets[1], actual=sets[2])
    assert one.verdict is verdict


def test_workers_belong_with_the_emulator() -> None:
    pins = ConfiguredPins(vcpus=(), emulator=CPUSet.parse("3"), iothreads=())
    (rcu,) = compare(None, pins, (THREADS[1],), vcpus=0)[:1]
    assert (rcu.configured, rcu.verdict) == (CPUSet.parse("3"), Verdict.VERIFIED)


def test_a_vcpu_that_is_configured_and_not_there_is_missing() -> None:
    pins = ConfiguredPins(vcpus=((0, None), (1, None)), emulator=None, iothreads=())
    compared = compare(None, pins, (_thread("qemu-system-x86", "3"), _thread("CPU 0/KVM", "1")), vcpus=2)
    assert [(str(one.role), one.verdict) for one in compared] == [
        ("emulator", Verdict.OPEN),
        ("vcpu 0", Verdict.OPEN),
        ("vcpu 1", Verdict.MISSING),
    ]


def test_every_thread_of_a_plan_is_compared() -> None:
    compared = compare(pinning_of(), None, THREADS, vcpus=2)
    assert [one.tid for one in compared] == [thread.tid for thread in THREADS]
    assert {one.verdict for one in compared} == {Verdict.VERIFIED}


def test_a_socket_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but records is looked at below the root: a stray file of another kind is passed over."""
    (tmp_path / "run/qemu").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stray:
        stray.bind(str(tmp_path / "run/qemu/monitor.sock"))
        assert main(["verify", "--root", str(tmp_path)]) == 7
    assert "no launcher listens there" in capsys.readouterr().err

"""The workshop: jobs done in a process of their own, their errors raised here, and no process left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from launcher.cli import workshop as workshop_module
from launcher.cli.orders import DomainRecord
from launcher.cli.workshop import Workshop, WorkshopError
from launcher.cpuset import CPUSet
from launcher.errors import Fault, GuestDestroyed, InvalidVMI
from tests.faults.places import wait_until
from tests.processes import children_of, is_running

EXAMPLE = str(Path(__file__).parent.parent.parent / "templates/examples/smallest.yaml")


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(workshop.pid, os.WNOHANG)


def test_a_job_is_done_in_another_process_and_its_result_comes_back(workshop: Workshop) -> None:
    assert workshop.do("load_guest", EXAMPLE).name == "smallest"


def test_a_packed_guest_is_unpacked_where_the_job_is_done(workshop: Workshop) -> None:
    ward = workshop.do("load_guest", EXAMPLE)
    graded = workshop.do("grade_cpus", ward.guest, CPUSet.of((0,)), "/nowhere")
    assert (graded.is_dedicated, graded.unread.startswith("/nowhere: ")) == (False, True)


def test_jobs_are_done_in_order_while_this_process_goes_on(workshop: Workshop) -> None:
    workshop.begin("load_guest", EXAMPLE)
    workshop.begin("read_domain", "<domain type='kvm'/>")
    record = DomainRecord(pinning=None, virt_type="kvm", vcpus=1, has_run=False, agent_connected=False)
    assert (workshop.finish().name, workshop.finish()) == ("smallest", record)


def test_an_error_of_a_job_is_raised_here_with_all_that_it_carries(workshop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "vmi.yaml"
    path.write_text("kind: Pod\n")
    with pytest.raises(InvalidVMI) as raised:
        workshop.do("load_guest", str(path))
    assert raised.value.source == str(path)
    assert [type(fault) for fault in raised.value.faults] == [Fault]


def test_a_value_that_a_job_refuses_is_a_value_error_here_too(workshop: Workshop) -> None:
    with pytest.raises(ValueError, match="missing"):
        workshop.do(
            "read_domain",
            "<domain><metadata><a:plan xmlns:a='urn:virt-launcher:plan:1'>{}</a:plan></metadata></domain>",
        )


def test_a_bug_of_a_job_is_a_bug_here_with_its_traceback(workshop: Workshop) -> None:
    with pytest.raises(WorkshopError, match=r"make_domain: .*\n(.*\n)*Traceback"):
        workshop.do("make_domain", 7)


def test_what_cannot_be_imported_is_told_with_the_job_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(workshop_module._JOBS, "make_domain", "launcher.nowhere")
    with closing(Workshop()) as workshop:
        assert workshop.do("load_guest", EXAMPLE).name == "smallest"
        with pytest.raises(WorkshopError, match=r"make_domain: No module named 'launcher\.nowhere'"):
            workshop.do("make_domain", 7)


def test_the_end_of_the_process_is_noticed(workshop: Workshop) -> None:
    os.kill(workshop.pid, signal.SIGKILL)
    with pytest.raises(WorkshopError, match="is gone"):
        workshop.do("load_guest", EXAMPLE)


def test_a_signal_meant_for_the_launcher_does_not_end_the_workshop(workshop: Workshop) -> None:
    workshop.do("load_guest", EXAMPLE)
    os.kill(workshop.pid, signal.SIGTERM)
    assert workshop.do("load_guest", EXAMPLE).name == "smallest"


def test_a_job_that_takes_for_ever_is_left_when_somebody_wants_the_end(workshop: Workshop, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "vmi.yaml")
    workshop.begin("load_guest", str(tmp_path / "vmi.yaml"))
    asked = iter((False, False, True))
    with pytest.raises(GuestDestroyed, match="stopped before the guest was started"):
        workshop.finish(is_stopping=lambda: next(asked))


def test_a_job_that_is_done_is_not_left(workshop: Workshop) -> None:
    workshop.begin("load_guest", EXAMPLE)
    assert workshop.finish(is_stopping=lambda: False).name == "smallest"


def test_a_program_that_a_job_has_started_ends_with_the_workshop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(workshop_module._JOBS, "check_call", "subprocess")
    with closing(Workshop()) as workshop:
        workshop.begin("check_call", ["sleep", "3600"])
        wait_until(lambda: bool(children_of(workshop.pid)), "the program is there")
        (program,) = children_of(workshop.pid)
    wait_until(lambda: not is_running(program), "the program has ended")


def test_a_command_line_is_parsed_without_a_word(workshop: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    assert workshop.do("parse_run", ["run", EXAMPLE])["vmi"] == EXAMPLE
    # Whoever asked has to say what is wrong, or to help.
    assert workshop.do("parse_run", ["run", "--help"]) is None
    assert workshop.do("parse_run", ["run", "--nothing"]) is None
    assert capfd.readouterr() == ("", "")

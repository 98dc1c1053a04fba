"""What holds for every test: nothing is skipped in silence, and the same examples are tried in every run."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

from tests.scopes import scope_of

# A run must say the same of the same code, on a busy machine too: the examples are the same each time and have no
# deadline. To look for new ones: pytest --hypothesis-profile=default --hypothesis-seed=random.
settings.register_profile("stable", derandomize=True, deadline=None)
settings.load_profile("stable")


def pytest_configure() -> None:
    """Have what the tests start hear SIGINT: a shell's job in the background ignores it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which anything was skipped: a machine that cannot run a test has not passed it."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or exitstatus != pytest.ExitCode.OK:
        return
    if reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(
            f"{len(reporter.stats['skipped'])} skipped: a skipped test fails the run (tests/conftest.py)"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was found where a guest stood still and its test was tried again (tests/qemu/stillness.py)."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"stood still, and tried again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Have each worker take what belongs together whole (`scope_of`)."""
    return _Scheduling(config, log)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """xdist's own scheduling by scopes; what it makes of marks for groups pytest 9.2 has made without effect."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

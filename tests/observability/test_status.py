"""The status document: whole, as the golden file has it."""

from __future__ import annotations

import json
from pathlib import Path

from launcher import __version__
from launcher.observe.schedstat import ThreadTimes
from launcher.observe.status import starting_document, status_document
from launcher.supervise.conditions import with_conditions
from tests.goldens import assert_golden
from tests.observability.snapshots import TEN_O_CLOCK, drifted, snapshot

GOLDEN = Path(__file__).parent / "golden"
TIMES = {
    4711: ThreadTimes(last_cpu=3, ran_s=1.5, waited_s=0.25),
    4718: ThreadTimes(last_cpu=1, ran_s=3600.0, waited_s=0.0),
    4719: ThreadTimes(last_cpu=7, ran_s=None, waited_s=None),
}


def _json(document: dict[str, object]) -> str:
    """Write a status, of whatever version the launcher is."""
    assert document["version"] == __version__
    return json.dumps(document | {"version": "VERSION"}, indent=1) + "\n"


def test_status_of_a_running_guest_is_the_golden_one() -> None:
    seen = with_conditions(snapshot(), previous=None, now=TEN_O_CLOCK + 1)
    assert_golden(
        GOLDEN / "status-running.json", _json(status_document(seen, now=TEN_O_CLOCK + 60, thread_times=TIMES))
    )


def test_status_of_a_drifted_guest_is_the_golden_one() -> None:
    document = status_document(drifted(), now=TEN_O_CLOCK + 60, thread_times={})
    assert_golden(GOLDEN / "status-drifted.json", _json(document))


def test_status_before_the_guest_is_the_golden_one() -> None:
    assert_golden(GOLDEN / "status-starting.json", _json(starting_document(now=TEN_O_CLOCK)))

"""The simulated kubelet against kubelets: a committed sample of what `make oracle` asks by the thousand."""

from __future__ import annotations

import msgspec
import pytest

from tests.kubelet.cases import SAMPLE, Record, simulated

RECORDS = [msgspec.json.decode(line, type=Record) for line in SAMPLE.read_bytes().splitlines()]


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_the_simulation_answers_as_the_kubelet_did(number: int) -> None:
    record = RECORDS[number]
    assert simulated(record.case, record.version) == record.answer


def test_the_sample_has_every_kind_of_answer_of_every_version() -> None:
    assert len(RECORDS) == 500
    assert {record.version for record in RECORDS} == {"1.36", "1.37"}
    refusals = {record.answer.refusal.reason for record in RECORDS if record.answer.refusal is not None}
    assert refusals >= {"UnexpectedAdmissionError", "SMTAlignmentError", "TopologyAffinityError"}
    assert any(record.answer.unstarted for record in RECORDS)
    assert sum(1 for record in RECORDS if record.answer.cpus) > 180
    assert {record.answer.qos for record in RECORDS} == {"Guaranteed", "Burstable", "BestEffort"}
    assert sum(1 for record in RECORDS if record.case.shape.offline) > 50

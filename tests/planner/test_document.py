"""The pinning as JSON, there and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.document import from_json, to_json
from launcher.planner.model import Cell, IOThreadPin, Pinning, Proof, Reason, Score, VCPUPin

_CPUSETS = st.frozensets(st.integers(0, 300), max_size=5).map(CPUSet.of)
_NUMBERS = st.integers(-1, 1 << 40)
_PINNINGS = st.builds(
    Pinning,
    cpuset=_CPUSETS,
    source=st.text(),
    vcpus=st.lists(
        st.builds(VCPUPin, vcpu=_NUMBERS, cpu=_NUMBERS, core=_NUMBERS, socket=_NUMBERS, node=_NUMBERS), max_size=3
    ).map(tuple),
    emulator=_CPUSETS,
    iothreads=st.lists(
        st.builds(IOThreadPin, iothread=st.integers(1, 99), cpus=_CPUSETS),
        max_size=3,
        unique_by=lambda pin: pin.iothread,
    ).map(tuple),
    cells=st.lists(
        st.builds(
            Cell,
            cell=_NUMBERS,
            node=_NUMBERS,
            vcpus=_CPUSETS,
            memory_bytes=_NUMBERS,
            distances=st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=3).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    housekeeping=_CPUSETS,
    spare=_CPUSETS,
    score=st.none() | st.builds(Score, cores_split=_NUMBERS, cache_crossings=_NUMBERS),
    proof=st.none()
    | st.just(Proof(optimal=True))
    | st.builds(Proof, optimal=st.just(False), term=st.text(), at_most_off_by=_NUMBERS),
    degraded=st.booleans(),
    warnings=st.lists(st.text(), max_size=2).map(tuple),
    reasons=st.lists(st.builds(Reason, thread=st.text(), text=st.text()), max_size=2).map(tuple),
)
_EXAMPLE = Pinning(
    cpuset=CPUSet.parse("0-1,7"),
    source="/cg",
    vcpus=(VCPUPin(vcpu=0, cpu=1, core=0, socket=0, node=0),),
    emulator=CPUSet.parse("7"),
    iothreads=(IOThreadPin(iothread=1, cpus=CPUSet.parse("7")),),
    cells=(Cell(cell=0, node=0, vcpus=CPUSet.parse("0"), memory_bytes=1 << 30, distances=((0, 10),)),),
    spare=CPUSet.parse("0"),
    reasons=(Reason(thread="vcpu 0", text="why"),),
)


@settings(derandomize=True, deadline=None, database=None)
@given(_PINNINGS)
def test_nothing_is_lost_on_the_way_there_and_back(pinning: Pinning) -> None:
    assert from_json(to_json(pinning)) == pinning


def test_document_has_the_stable_form() -> None:
    assert json.loads(to_json(_EXAMPLE)) == {
        "vcpus": [{"vcpu": 0, "cpu": 1, "core": 0, "socket": 0, "node": 0}],
        "emulator": "7",
        "iothreads": {"1": "7"},
        "cells": [{"cell": 0, "node": 0, "vcpus": "0", "memory_bytes": 1 << 30, "distances": [[0, 10]]}],
        "spare": "0",
        "warnings": [],
        "reasons": [{"thread": "vcpu 0", "text": "why"}],
        "cpuset": "0-1,7",
        "source": "/cg",
        "housekeeping": "",
        "score": None,
        "proof": None,
        "degraded": False,
        "vhost": "",
        "shared_vcpus": {},
    }


@pytest.mark.parametrize(
    ("proof", "document"),
    [
        pytest.param(Proof(optimal=True), {"optimal": True}, id="proved"),
        pytest.param(
            Proof(optimal=False, term="cache crossings", at_most_off_by=2),
            {"optimal": False, "term": "cache crossings", "at_most_off_by": 2},
            id="not proved",
        ),
    ],
)
def test_the_proof_has_the_stable_form(proof: Proof, document: object) -> None:
    assert json.loads(to_json(replace(_EXAMPLE, proof=proof)))["proof"] == document


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("emulator", "3-1", "emulator: ", id="a cpulist that runs backwards"),
        pytest.param("emulator", 7, "emulator: '7' is not a text", id="a number for a cpulist"),
        pytest.param("vcpus", {}, "vcpus: '{}' is not a list", id="an object for a list"),
        pytest.param("vcpus", [{"vcpu": 0}], "vcpus: cpu: missing", id="a pin without its CPU"),
        pytest.param("vcpus", [{"vcpu": "0"}], "vcpus: vcpu: '0' is not a whole number", id="a text for a number"),
        pytest.param("iothreads", {"one": "7"}, "iothreads: 'one' is not an IOThread id", id="an IOThread's name"),
        pytest.param("iothreads", [], "iothreads: '\\[\\]' is not an object", id="a list of IOThreads"),
        pytest.param("shared_vcpus", {"x": "7"}, "shared_vcpus: 'x' is not a vCPU id", id="a vCPU's name"),
        pytest.param("shared_vcpus", ["7"], "shared_vcpus: .* is not an object", id="a list of vCPUs that share"),
        pytest.param("shared_vcpus", {"2": "x"}, "2: ", id="no CPUs to share"),
        pytest.param("degraded", 0, "degraded: '0' is not true or false", id="a number for a flag"),
        pytest.param("score", {}, "cores_across_nodes: missing", id="an empty score"),
        pytest.param("proof", {"optimal": 1}, "optimal: '1' is not true or false", id="a number for a proof"),
        pytest.param("proof", {"optimal": False}, "term: missing", id="no proof, and no term"),
        pytest.param(
            "cells",
            [{"cell": 0, "node": 0, "vcpus": "", "memory_bytes": 1, "distances": [[1]]}],
            "cells: distances: entry",
            id="a distance without its cell",
        ),
    ],
)
def test_a_malformed_member_is_an_error_that_names_it(key: str, value: object, message: str) -> None:
    document = json.loads(to_json(_EXAMPLE))
    document[key] = value
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(document))


# A record of before there were mixed guests has no vCPUs that share (test_mixed.py).
@pytest.mark.parametrize("key", sorted(set(json.loads(to_json(_EXAMPLE))) - {"shared_vcpus", "vhost"}))
def test_a_missing_member_is_an_error_that_names_it(key: str) -> None:
    document = json.loads(to_json(_EXAMPLE))
    del document[key]
    with pytest.raises(ValueError, match=f"{key}: missing"):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="half an object"),
        pytest.param("[]", id="a list"),
        pytest.param("[" * 100_000, id="a hundred thousand brackets"),
    ],
)
def test_text_that_is_no_document_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_json(text)

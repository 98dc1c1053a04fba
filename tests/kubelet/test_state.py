"""The kubelet's state file: every version read, and everything that is not one refused with a reason."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.kubelet.state import CPUManagerState, parse_state
from tests.node_label.states import NONE, OLDEST, V1, V2, V3, V4, V5

POOL = CPUSet.parse("0-1,6-7")

VERSIONS = [
    ("version_1_maps_containers", V1, "static", POOL, ("2-3", "4-5")),
    ("version_2_maps_pods_and_containers", V2, "static", POOL, ("2", "2-3", "4-5")),
    ("version_3_has_pods_besides_which_are_nobodys_alone", V3, "static", POOL, ("2", "2-3", "4-5")),
    ("version_4_is_text_in_text", V4, "static", POOL, ("2", "2-3", "4-5")),
    ("no_policy_has_no_entries", NONE, "none", CPUSet(), ()),
    ("the_oldest_has_no_checksum", OLDEST, "none", CPUSet.parse("0-7"), ()),
    ("entries_may_be_null", {**NONE, "entries": None}, "none", CPUSet(), ()),
]

WRONG = [
    ("nothing", "", "the file is empty"),
    ("blank", " \n", "the file is empty"),
    ("a_part", json.dumps(V2)[:60], "the file is not JSON, or a part of it only: "),
    ("something_else", "[1, 2]", "the file: found [1, 2], wanted a mapping"),
    ("another_managers_state", '{"machineState": {}}', "policyName is missing"),
    ("a_policy_that_is_no_text", '{"policyName": 3, "defaultCpuSet": ""}', "policyName: found 3, wanted text"),
    ("no_shared_pool", '{"policyName": "static"}', "defaultCpuSet is missing"),
    ("a_pool_that_is_no_cpulist", '{"policyName": "static", "defaultCpuSet": "all"}', "defaultCpuSet: 'all'"),
    ("entries_that_are_none", json.dumps({**V2, "entries": [1]}), "entries: found [1], wanted a mapping"),
    ("a_number_for_cpus", json.dumps({**V1, "entries": {"x": 3}}), "entries of 'x': found 3, wanted a cpulist"),
    ("a_range_backwards", json.dumps({**V1, "entries": {"x": "3-2"}}), "entries of 'x': '3-2'"),
    ("data_that_is_no_text", '{"data": {}}', "data: found {}, wanted text"),
    ("data_that_is_a_part", json.dumps({**V4, "data": str(V4["data"])[:40]}), "its data is not JSON, or a part"),
    ("pods_that_are_none", json.dumps({**V3, "podEntries": [1]}), "podEntries: found [1], wanted a mapping"),
    ("a_pod_without_a_cpulist", json.dumps({**V3, "podEntries": {"x": 3}}), "podEntries of 'x': found 3, wanted a"),
    ("a_number_without_end", '{"checksum": ' + "9" * 5_000 + "}", "the file holds a number of too many digits"),
    ("depth_without_end", "[" * 100_000, "the file is nested too deeply"),
]


@pytest.mark.parametrize(
    ("document", "policy", "pool", "assignments"), [row[1:] for row in VERSIONS], ids=[row[0] for row in VERSIONS]
)
def test_a_version(document: object, policy: str, pool: CPUSet, assignments: tuple[str, ...]) -> None:
    state = parse_state(json.dumps(document))
    wanted = tuple(map(CPUSet.parse, assignments))
    pods = (CPUSet.parse("2-3"),) if "podEntries" in json.dumps(document) else ()
    assert state == CPUManagerState(policy=policy, shared_pool=pool, assignments=wanted, pods=pods)
    assert state.doubt is None
    assert parse_state(json.dumps(document)).assignments == wanted


def test_a_newer_form_is_read_as_far_as_it_is_known_and_named() -> None:
    state = parse_state(json.dumps(V5))
    assert (state.policy, state.in_use) == ("static", CPUSet.parse("2-5"))
    assert state.doubt == (
        "a newer form of the file than is known here, with 'epoch', 'data.leases': read were its policy, the shared "
        "pool and who has which CPUs"
    )


def test_pods_have_cpus_in_use_as_containers_have() -> None:
    state = parse_state(json.dumps({**V3, "podEntries": {"8a1c": {"cpuSet": "2-3"}, "0000": {"cpuSet": "8-9"}}}))
    assert state.in_use == CPUSet.parse("2-5,8-9")


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_no_state_file_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}[^\n]*$"):
        parse_state(text)


@given(st.sampled_from([V1, V2, V3, V4]), st.data())
@settings(max_examples=200, deadline=None)
def test_no_part_of_a_file_passes_for_the_whole(document: object, data: st.DataObject) -> None:
    text = json.dumps(document)
    end = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    with pytest.raises(ValueError, match=r"is empty|is not JSON"):
        parse_state(text[:end])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["policyName", "defaultCpuSet", "entries", "data", "podEntries", "x"]), inner
            )
        ),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused_in_one_line(document: object) -> None:
    assert "\n" not in _fault(json.dumps(document))


def _fault(text: str) -> str:
    try:
        parse_state(text)
    except ValueError as error:
        return str(error)
    return ""

"""What a state file means for the label, and which kubelet cannot start with it."""

from __future__ import annotations

import json

import pytest

from launcher.kubelet.node_label import (
    KubeletConfiguration,
    Verdict,
    contradiction,
    parse_configuration,
    remedy,
    verdict_of,
)
from tests.node_label.states import NONE, V1, V2, V3, V4

VERDICTS = [
    ("static_in_version_1", json.dumps(V1), "cpumanager=true", "runs the CPU manager's policy static"),
    ("static_in_version_2", json.dumps(V2), "cpumanager=true", "runs the CPU manager's policy static"),
    ("static_in_version_3", json.dumps(V3), "cpumanager=true", "runs the CPU manager's policy static"),
    ("static_in_version_4", json.dumps(V4), "cpumanager=true", "runs the CPU manager's policy static"),
    ("none", json.dumps(NONE), "cpumanager=false", "runs the CPU manager's policy none"),
    ("a_policy_of_tomorrow", json.dumps({**V2, "policyName": "Static"}), "cpumanager=false", "'Static', which nobody"),
    ("a_part_of_a_static_file", json.dumps(V2)[:-1], "cpumanager=false", "not JSON, or a part of it only"),
    ("an_empty_file", "", "cpumanager=false", "the file is empty"),
    ("an_alien_file", '{"policyName": "static"}', "cpumanager=false", "defaultCpuSet is missing"),
]

RESERVED = "reservedSystemCPUs: 0-1"
CONFIGURATIONS = [
    ("a_policy_and_cpus", f"cpuManagerPolicy: static\n{RESERVED}", "static", True),
    ("cpu_for_kubernetes", "cpuManagerPolicy: static\nkubeReserved: {cpu: 500m, memory: 1Gi}", "static", True),
    ("cpu_for_the_system", "cpuManagerPolicy: static\nsystemReserved: {cpu: 1}", "static", True),
    ("no_cpu_reserved", "cpuManagerPolicy: static\nkubeReserved: {memory: 1Gi}", "static", False),
    ("zero_reserves_nothing", 'cpuManagerPolicy: static\nkubeReserved: {cpu: "0"}', "static", False),
    ("what_is_no_quantity_reserves_nothing", "kubeReserved: {cpu: lots}", None, False),
    ("no_policy_named", RESERVED, None, True),
]

STATIC = Verdict(is_static=True, reason="", policy="static")
OTHER = Verdict(is_static=False, reason="", policy="none")
UNKNOWN = Verdict(is_static=False, reason="gone")
CONTRADICTIONS = [
    ("agreeing", STATIC, KubeletConfiguration(policy="static", reserves_cpus=True), None),
    ("configured_static_over_none", OTHER, KubeletConfiguration(policy="static", reserves_cpus=True), "state file"),
    ("configured_none_over_static", STATIC, KubeletConfiguration(policy="none"), "until the state file is removed"),
    ("static_without_a_reservation", STATIC, KubeletConfiguration(policy="static"), "reserves no CPU"),
    ("static_without_a_reservation_or_state", UNKNOWN, KubeletConfiguration(policy="static"), "reserves no CPU"),
    ("no_state_file_contradicts_nothing", UNKNOWN, KubeletConfiguration(policy="static", reserves_cpus=True), None),
    ("a_policy_on_the_command_line_is_not_seen", STATIC, KubeletConfiguration(), None),
]


@pytest.mark.parametrize(("text", "label", "reason"), [row[1:] for row in VERDICTS], ids=[row[0] for row in VERDICTS])
def test_the_label_of(text: str, label: str, reason: str) -> None:
    verdict = verdict_of(text)
    assert str(verdict) == label
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("text", "policy", "reserves"), [row[1:] for row in CONFIGURATIONS], ids=[row[0] for row in CONFIGURATIONS]
)
def test_the_configuration_with(text: str, policy: str | None, reserves: bool) -> None:
    found = parse_configuration(f"kind: KubeletConfiguration\n{text}")
    assert found == KubeletConfiguration(policy=policy, reserves_cpus=reserves)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "kind: Pod"], ids=["empty", "broken", "a list", "another kind"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not YAML|holds no KubeletConfiguration"):
        parse_configuration(text)


@pytest.mark.parametrize(
    ("verdict", "configuration", "message"),
    [row[1:] for row in CONTRADICTIONS],
    ids=[row[0] for row in CONTRADICTIONS],
)
def test_a_kubelet_that_cannot_start(
    verdict: Verdict, configuration: KubeletConfiguration, message: str | None
) -> None:
    found = contradiction(verdict, configuration)
    assert (found is None) is (message is None)
    assert (message or "") in (found or "")


def test_the_remedy_is_five_steps_in_their_order() -> None:
    steps = remedy(node="n1", state_file="/s", configuration_file="/c").splitlines()
    words = ["kubectl drain n1", "stop kubelet", "rm /s", "cpuManagerPolicy: static", "start kubelet"]
    pairs = tuple(zip(words, steps, strict=True))
    assert all(word in step and step.startswith(f"{n}. ") for n, (word, step) in enumerate(pairs, 1))


def test_a_file_that_is_not_there_is_not_removed() -> None:
    steps = remedy(node="n1", state_file="/s", configuration_file="/c", has_file=False).splitlines()
    assert [step.split(maxsplit=2)[:2] for step in steps] == [
        ["1.", "drain"],
        ["2.", "stop"],
        ["3.", "in"],
        ["4.", "start"],
    ]


def test_the_remedys_commands_are_words_of_a_shell() -> None:
    drain, _stop, remove, _set, start = remedy(node="a;b", state_file="/c d", configuration_file="/e").splitlines()
    assert "kubectl drain 'a;b' --ignore" in drain
    assert remove.endswith("rm '/c d'")
    assert start.endswith("kubectl uncordon 'a;b'")

"""The argument of `--kubelet`: what it accepts, and what the kubelet itself would not start with."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.kubelet.options import Feature, KubeletOptions, Policy, TopologyPolicy, TopologyScope, parse_options
from launcher.kubelet.version import KubeletVersion

PARSED = [
    ("nothing_is_the_static_policy", "", KubeletOptions()),
    ("one_option", "full-pcpus-only", KubeletOptions(features=frozenset({Feature.FULL_PCPUS_ONLY}))),
    ("as_the_kubelet_writes_it", "full-pcpus-only=true", KubeletOptions(features=frozenset({Feature.FULL_PCPUS_ONLY}))),
    ("switched_off", "full-pcpus-only=false", KubeletOptions()),
    ("reserved_is_a_cpulist", "reserved=2", KubeletOptions(reserved=CPUSet.of([2]))),
    ("reserved_by_count", "reserved-count=2", KubeletOptions(reserved_count=2)),
    (
        "a_list_with_commas_ends_at_the_next_name",
        "reserved=0-1,8,full-pcpus-only,in-use=3,5-6, 7 ,align-by-socket",
        KubeletOptions(
            features=frozenset({Feature.FULL_PCPUS_ONLY, Feature.ALIGN_BY_SOCKET}),
            reserved=CPUSet.parse("0-1,8"),
            in_use=CPUSet.parse("3,5-7"),
        ),
    ),
    ("a_numa_hint", "numa-hint=0,2", KubeletOptions(numa_hint=(0, 2))),
    ("the_policy_none", "policy=none", KubeletOptions(policy=Policy.NONE)),
    ("a_version_of_kubernetes", "version=1.36", KubeletOptions(version=KubeletVersion.V1_36)),
    (
        "what_the_topology_manager_can_be_told",
        "topology-manager=restricted,topology-manager-scope=pod,prefer-closest-numa-nodes,max-allowable-numa-nodes=16",
        KubeletOptions(
            topology_manager=TopologyPolicy.RESTRICTED,
            topology_scope=TopologyScope.POD,
            prefers_closest=True,
            max_numa_nodes=16,
        ),
    ),
    ("the_gate_of_pods_that_request_as_a_whole", "pod-level-resource-managers", KubeletOptions(pod_level=True)),
    ("a_topology_manager", "topology-manager=restricted", KubeletOptions(topology_manager=TopologyPolicy.RESTRICTED)),
    (
        "two_options_that_go_together",
        " full-pcpus-only , distribute-cpus-across-numa ",
        KubeletOptions(features=frozenset({Feature.FULL_PCPUS_ONLY, Feature.DISTRIBUTE_ACROSS_NUMA})),
    ),
    (
        "whole_cores_and_whole_caches_go_together",
        "full-pcpus-only,prefer-align-cpus-by-uncorecache",
        KubeletOptions(features=frozenset({Feature.FULL_PCPUS_ONLY, Feature.PREFER_CACHE})),
    ),
]

REFUSED = [
    ("an_unknown_name", "full-cores", "found 'full-cores', wanted one of full-pcpus-only, distribute-cpus-across-numa"),
    ("an_empty_item", "full-pcpus-only,", "found '', wanted one of full-pcpus-only"),
    ("a_number_alone", "2", "found '2', wanted one of"),
    ("a_value_that_is_no_truth", "full-pcpus-only=maybe", "full-pcpus-only: found 'maybe', wanted true or false"),
    ("a_name_given_twice", "reserved=0,reserved=1", "reserved is given twice"),
    ("a_backward_cpulist", "reserved=3-1", "reserved: '3-1' in cpulist '3-1' is a range that runs backwards"),
    ("a_huge_cpulist", "in-use=0-9999999", "in-use: '0-9999999' in cpulist '0-9999999' is beyond CPU 8191"),
    ("an_empty_cpulist", "reserved=", "reserved: found nothing, wanted a list such as 0-1,8"),
    ("a_count_that_is_none", "reserved-count=two", "reserved-count: found 'two', wanted a number from 1 to 8192"),
    ("a_count_of_zero", "reserved-count=0", "reserved-count: found '0', wanted a number from 1 to 8192"),
    ("an_unknown_policy", "policy=dynamic", "policy: found 'dynamic', wanted one of static, none"),
    ("an_unknown_version", "version=1.20", "version: found '1.20', wanted one of 1.36, 1.37"),
    (
        "an_unknown_scope",
        "topology-manager-scope=node",
        "topology-manager-scope: found 'node', wanted one of container",
    ),
    ("fewer_nodes_than_the_kubelet_takes", "max-allowable-numa-nodes=4", "found '4', wanted a number from 8 to 8192"),
    ("an_unknown_topology_manager", "topology-manager=strict", "found 'strict', wanted one of none, best-effort,"),
    (
        "reserved_in_two_ways",
        "reserved=0,reserved-count=1",
        "reserved (a cpulist) and reserved-count (a number) cannot",
    ),
    ("a_hint_and_who_finds_it", "numa-hint=0,topology-manager=restricted", "numa-hint and topology-manager cannot be"),
    (
        "whole_cores_and_spread_cores",
        "full-pcpus-only,distribute-cpus-across-cores",
        "full-pcpus-only and distribute-cpus-across-cores cannot be used at the same time",
    ),
    (
        "spread_nodes_and_spread_cores",
        "distribute-cpus-across-cores,distribute-cpus-across-numa",
        "distribute-cpus-across-numa and distribute-cpus-across-cores cannot be used at the same time",
    ),
    (
        "whole_caches_and_spread_cores",
        "prefer-align-cpus-by-uncorecache,distribute-cpus-across-cores",
        "prefer-align-cpus-by-uncorecache and distribute-cpus-across-cores cannot be used at the same time",
    ),
    (
        "whole_caches_and_spread_nodes",
        "prefer-align-cpus-by-uncorecache,distribute-cpus-across-numa",
        "prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa cannot be used at the same time",
    ),
    (
        "sockets_and_single_nodes",
        "align-by-socket,topology-manager=single-numa-node",
        "align-by-socket cannot be used with topology-manager=single-numa-node",
    ),
]


@pytest.mark.parametrize(("text", "options"), [row[1:] for row in PARSED], ids=[row[0] for row in PARSED])
def test_options_are_read(text: str, options: KubeletOptions) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_options_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_options(text)
    assert f"--kubelet: {message}" in str(refusal.value) or message in str(refusal.value)
    assert str(refusal.value).startswith("--kubelet: ")


def test_options_in_words_name_everything_that_was_said() -> None:
    text = "topology-manager=restricted,reserved=0,8,in-use=2-3,full-pcpus-only,distribute-cpus-across-numa"
    words = "distribute-cpus-across-numa, full-pcpus-only, reserved 0,8, in use 2-3, topology manager restricted"
    assert str(parse_options(text)) == words
    text = "topology-manager=best-effort,topology-manager-scope=pod,prefer-closest-numa-nodes,version=1.36"
    words = "topology manager best-effort, by pod, closest NUMA nodes, Kubernetes 1.36"
    assert str(parse_options(text)) == words
    assert str(parse_options("policy=none")) == "policy none"
    assert str(parse_options("reserved-count=2,numa-hint=0-1")) == "reserved count 2, NUMA hint 0,1"
    assert str(parse_options("")) == "static policy"


@settings(deadline=None)
@given(st.text(alphabet="abcdefnoprstuv-=,0123456789 ", max_size=40) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_options(text)
    except UsageError as refusal:
        assert len(str(refusal)) < 500  # noqa: PT017

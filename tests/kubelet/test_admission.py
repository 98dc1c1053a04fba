"""What the simulated kubelet hands to a container, or why it refuses the pod."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit, ExitStatus, LauncherError, UsageError
from launcher.host.model import Host
from launcher.kubelet.admission import admit, container_cpuset
from launcher.kubelet.errors import NotEnoughCPUs, SMTAlignmentError, TopologyAffinityError
from launcher.kubelet.options import Feature, KubeletOptions, Policy, TopologyPolicy, parse_options
from launcher.kubelet.requests import ContainerRequests, PodRequests
from tests.kubelet.machines import (
    N2S4C10T2,
    S1C4T2,
    S1U2C4T2,
    S2C3T2_INTERLEAVED,
    S2C4T1,
    S2N4C10T2,
    S2N8C16T2,
    S2U4C4T1,
    container,
    machine,
    pod,
)

NINE_NODES = machine([str(cpu) for cpu in range(9)], cores=9)

# Columns: what the row says, machine, --kubelet, requested CPUs, the container's cpuset.
ADMITTED = [
    ("a_free_core_beside_a_reserved_one", S1C4T2, "reserved=0,in-use=2-3,6-7", 2, "1,5"),
    ("three_cores_of_the_socket_that_is_fuller", S2C3T2_INTERLEAVED, "reserved=0,in-use=1,5", 6, "2-4,8-10"),
    ("a_whole_socket_that_is_free", S2C3T2_INTERLEAVED, "reserved=0,in-use=2", 6, "1,3,5,7,9,11"),
    ("a_whole_socket_and_a_core", S2C3T2_INTERLEAVED, "reserved=0,in-use=2", 8, "1,3-5,7,9-11"),
    ("four_cpus_of_two_broken_sockets", S2C4T1, "reserved=0,in-use=2,4-5", 4, "1,3,6-7"),
    ("a_free_socket_without_smt", S2C4T1, "reserved=0,in-use=2", 4, "4-7"),
    ("the_sibling_of_a_reserved_cpu", S1C4T2, "reserved=0", 1, "4"),
    ("the_sibling_of_the_cpu_that_the_kubelet_reserved_itself", S1C4T2, "reserved-count=1", 1, "4"),
    ("what_is_reserved_by_count_is_packed", S1C4T2, "reserved-count=2", 6, "1-3,5-7"),
    ("all_cores_but_the_reserved_one", S2C3T2_INTERLEAVED, "full-pcpus-only,reserved=0,6", 10, "1-5,7-11"),
    ("all_cores_but_the_one_reserved_by_count", S2C3T2_INTERLEAVED, "full-pcpus-only,reserved-count=2", 10, "1-5,7-11"),
    ("the_hinted_nodes_strictly", S2N4C10T2, "reserved-count=1,in-use=1,3-10,12-20,23-79,numa-hint=0,2", 2, "2,21"),
    ("more_than_the_hinted_node_has_spills_over", S2C4T1, "numa-hint=1", 5, "0,4-7"),
    ("a_hint_for_the_second_node", S2C3T2_INTERLEAVED, "numa-hint=1", 2, "1,7"),
    ("a_hint_for_a_node_widened_to_its_socket", S2N4C10T2, "align-by-socket,numa-hint=1,in-use=10-19", 12, "0-5,40-45"),
    ("a_hint_for_a_node_not_widened", S2N4C10T2, "numa-hint=1,in-use=10-19", 12, "0,40,50-59"),
    ("cores_spread", S1C4T2, "distribute-cpus-across-cores", 3, "0-2"),
    ("nodes_shared", S2C3T2_INTERLEAVED, "distribute-cpus-across-numa", 8, "0-3,6-9"),
    ("nodes_shared_in_whole_cores", S2N4C10T2, "distribute-cpus-across-numa,full-pcpus-only", 26,
     "0-6,10-15,40-46,50-55"),
    ("one_cache", S1U2C4T2, "prefer-align-cpus-by-uncorecache,reserved=0-1,8-9", 6, "4-6,12-14"),
    ("best_effort_takes_the_node_that_has_enough", S2C4T1, "topology-manager=best-effort,in-use=0-1", 3, "4-6"),
    ("best_effort_takes_two_nodes_where_one_has_not_enough", S2C4T1, "topology-manager=best-effort,in-use=0-1,4-5", 3,
     "2-3,6"),
    ("restricted_takes_two_nodes_where_no_one_could", S2C4T1, "topology-manager=restricted,in-use=0", 5, "1,4-7"),
    ("single_numa_node_takes_the_lowest_node_that_has_enough", S2C4T1, "topology-manager=single-numa-node", 3, "0-2"),
    ("by_socket_two_nodes_are_as_good_as_one", S2N4C10T2,
     "align-by-socket,topology-manager=restricted,in-use=0,10,20-39,60-79", 20, "1-9,11,41-49,51"),
]  # fmt: skip

# Columns: what the row says, machine, --kubelet, requested CPUs, error, its message.
REFUSED = [
    ("more_than_is_left", S2C3T2_INTERLEAVED, "reserved=0,in-use=1-3", 10, NotEnoughCPUs,
     "not enough cpus available to satisfy request: requested=10, available=8"),
    ("as_many_as_the_machine_has_though_one_is_reserved", S1C4T2, "reserved=0", 8, NotEnoughCPUs,
     "not enough cpus available to satisfy request: requested=8, available=7"),
    ("half_a_core", S1C4T2, "full-pcpus-only,reserved=0", 1, SMTAlignmentError,
     "requested 1 CPUs, which is no multiple of the 2 CPUs of a core (full-pcpus-only); request 2, or"),
    ("an_uneven_count", S2N4C10T2, "full-pcpus-only,distribute-cpus-across-numa", 15, SMTAlignmentError,
     "requested 15 CPUs, which is no multiple of the 2 CPUs of a core (full-pcpus-only); request 16, or"),
    ("whole_cores_where_reserved_cpus_break_two", S2C3T2_INTERLEAVED, "full-pcpus-only,reserved=1,6", 10,
     SMTAlignmentError, "requested 10 CPUs as whole cores, but only 8 are left on cores without a reserved CPU"),
    ("more_nodes_than_restricted_allows", S2C4T1, "topology-manager=restricted,in-use=0-1,4-5", 3,
     TopologyAffinityError,
     "requested 3 CPUs cannot be allocated with NUMA affinity under topology-manager=restricted (4 CPUs are free"),
    ("two_nodes_where_one_is_wanted", S2C4T1, "topology-manager=single-numa-node", 5, TopologyAffinityError,
     "requested 5 CPUs cannot be allocated with NUMA affinity under topology-manager=single-numa-node"),
    ("more_than_there_is_under_restricted", S2C4T1, "topology-manager=restricted", 9, TopologyAffinityError,
     "requested 9 CPUs cannot be allocated with NUMA affinity"),
    ("more_than_there_is_under_best_effort", S2C4T1, "topology-manager=best-effort", 9, NotEnoughCPUs,
     "requested=9, available=8"),
    ("reserved_cpus_that_are_not_there", S1C4T2, "reserved=6-9", 1, UsageError,
     "--kubelet: reserved: found 8-9, wanted CPUs of the host (0-7)"),
    ("cpus_in_use_that_are_not_there", S1C4T2, "in-use=8", 1, UsageError,
     "--kubelet: in-use: found 8, wanted CPUs of the host (0-7)"),
    ("more_reserved_than_there_are", S1C4T2, "reserved-count=9", 1, UsageError,
     "--kubelet: reserved-count: found 9, wanted at most 8"),
    ("reserved_cpus_in_use", S1C4T2, "reserved=0-1,in-use=1-2", 1, UsageError,
     "--kubelet: in-use: found 1, which is reserved (0-1)"),
    ("a_hint_for_a_node_that_is_not_there", S2C4T1, "numa-hint=0,2", 1, UsageError,
     "--kubelet: numa-hint: found 2, wanted NUMA nodes of the host (0-1)"),
    ("align_by_socket_with_more_sockets_than_nodes", N2S4C10T2, "align-by-socket", 1, UsageError,
     "align-by-socket needs a host with at most as many sockets as NUMA nodes: found 4 sockets and 2 nodes"),
    ("align_by_socket_with_two_sockets_in_one_node", S2U4C4T1, "align-by-socket", 1, UsageError,
     "found 2 sockets and 1 nodes"),
    ("a_topology_manager_on_nine_nodes", NINE_NODES, "topology-manager=restricted", 1, UsageError,
     "topology-manager=restricted: found 9 NUMA nodes, wanted at most 8"),
]  # fmt: skip

BEST_EFFORT = PodRequests(containers=(ContainerRequests(name="compute"),))
# Columns: what the row says, pod, --kubelet on s1c4t2, the container's cpuset, the reason.
SHARED = [
    ("a_burstable_pod", pod("1000m", limit="2000m"), "reserved=0", "0-7", "QoS class is Burstable, not Guaranteed"),
    ("a_best_effort_pod", BEST_EFFORT, "in-use=0", "1-7", "QoS class is BestEffort, not Guaranteed"),
    ("a_fraction", pod("977m"), "in-use=2,6", "0-1,3-5,7", "its CPU request 977m is not a whole number"),
    ("the_policy_none", pod(2), "policy=none,in-use=2,6,reserved=0", "0-7", "the CPU manager's policy is none"),
    ("strictly_reserved_cpus", pod("1500m"), "strict-cpu-reservation,reserved=0-1", "2-7", "is not a whole number"),
]


@pytest.mark.parametrize(
    ("host", "options", "count", "cpus"), [row[1:] for row in ADMITTED], ids=[row[0] for row in ADMITTED]
)
def test_a_guaranteed_container_gets(host: Host, options: str, count: int, cpus: str) -> None:
    allowed = container_cpuset(pod(count), host, parse_options(options))
    assert (str(allowed.cpus), allowed.warnings) == (cpus, ())


@pytest.mark.parametrize(
    ("host", "options", "count", "error", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_the_kubelet_refuses(host: Host, options: str, count: int, error: type[LauncherError], message: str) -> None:
    with pytest.raises(error) as refusal:
        container_cpuset(pod(count), host, parse_options(options))
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("request_", "options", "cpus", "reason"),
    [row[1:] for row in SHARED],
    ids=[row[0] for row in SHARED],
)
def test_the_shared_pool_and_why(request_: PodRequests, options: str, cpus: str, reason: str) -> None:
    allowed = container_cpuset(request_, S1C4T2, parse_options(options))
    assert str(allowed.cpus) == cpus
    assert [reason in warning for warning in allowed.warnings] == [True]


def test_the_source_names_the_options() -> None:
    allowed = container_cpuset(pod(2), S1C4T2, parse_options("reserved=0-1,full-pcpus-only"))
    assert allowed.source == "simulated kubelet (full-pcpus-only, reserved 0-1)"


def test_a_refused_alignment_carries_the_numbers_and_the_exit_status_of_what_does_not_fit() -> None:
    with pytest.raises(SMTAlignmentError) as refusal:
        container_cpuset(pod(5), S1C4T2, parse_options("full-pcpus-only"))
    error = refusal.value
    assert (error.requested, error.cpus_per_core, error.available) == (5, 2, None)
    assert isinstance(error, DoesNotFit)
    assert error.exit_status is ExitStatus.DOES_NOT_FIT
    assert "EmulatorThreadCompleteToEvenParity" in str(error)


def test_the_parity_annotation_is_no_cure_where_it_does_not_fill_the_core() -> None:
    with pytest.raises(SMTAlignmentError, match=r"no multiple of the 8 CPUs of a core \(full-pcpus-only\); request 8$"):
        container_cpuset(
            pod(5),
            machine(["0-31"], cores=[f"{first}-{first + 7}" for first in range(0, 32, 8)]),
            parse_options("full-pcpus-only"),
        )


def test_a_sidecar_keeps_its_cpus_while_the_container_runs() -> None:
    request = PodRequests(init_containers=(container(4, name="sidecar", restartable=True),), containers=(container(2),))
    admission = admit(request, S1C4T2, KubeletOptions())
    assert [(given.container, str(given.cpus)) for given in admission.assignments] == [
        ("sidecar", "0-1,4-5"),
        ("compute", "2,6"),
    ]
    assert str(admission.shared_pool) == "3,7"


def test_an_init_container_leaves_its_cpus_to_those_after_it() -> None:
    request = PodRequests(
        init_containers=(container(4, name="first"), container(6, name="second")), containers=(container(2),)
    )
    admission = admit(request, S1C4T2, KubeletOptions())
    assert [(given.container, str(given.cpus)) for given in admission.assignments] == [
        ("first", "0-1,4-5"),
        ("second", "0-2,4-6"),
        ("compute", "0,4"),
    ]
    # What init containers used and nobody took over stays out of the shared pool until they are removed.
    assert str(admission.shared_pool) == "3,7"


def test_two_app_containers_share_nothing() -> None:
    request = PodRequests(containers=(container(2), container(4, name="other")))
    admission = admit(request, S1C4T2, KubeletOptions())
    assert [str(given.cpus) for given in admission.assignments] == ["0,4", "1-2,5-6"]


def test_the_cpuset_of_a_named_container_can_be_asked_for() -> None:
    request = PodRequests(containers=(container(2), container("500m", name="sidecar")))
    assert str(container_cpuset(request, S1C4T2, KubeletOptions()).cpus) == "0,4"
    shared = container_cpuset(request, S1C4T2, KubeletOptions(), container="sidecar")
    assert (str(shared.cpus), len(shared.warnings)) == ("1-3,5-7", 1)
    with pytest.raises(UsageError, match="the pod has no container 'nobody'"):
        container_cpuset(request, S1C4T2, KubeletOptions(), container="nobody")


def test_a_share_over_four_of_eight_nodes_is_told_to_be_doubtful() -> None:
    allowed = container_cpuset(pod(128), S2N8C16T2, parse_options("distribute-cpus-across-numa"))
    # Nodes 0 to 3 would be as even, and near each other: the bug kubernetes/kubernetes#141237 takes node 7 for node 3.
    assert str(allowed.cpus) == "0-47,112-175,240-255"
    assert [warning[:46] for warning in allowed.warnings] == ["distribute-cpus-across-numa over 4 of 8 NUMA n"]


def test_whole_cores_are_not_promised_where_a_core_has_lost_a_thread() -> None:
    """The kubelet's CPUsPerCore is 7 // 4 = 1 then, of which every request is a multiple."""
    host = machine(["0-6"], cores=["0-1", "2-3", "4-5", "6"])
    allowed = container_cpuset(pod(1), host, parse_options("full-pcpus-only,reserved=0-1"))
    warning = (
        "full-pcpus-only promises no whole cores on this host: not all cores have 2 CPUs online, and the kubelet "
        "takes each to have 1, the average (7 CPUs on 4 cores)"
    )
    assert (str(allowed.cpus), allowed.warnings) == ("6", (warning,))


EXCLUSIVE = st.sets(st.sampled_from(sorted(Feature)), max_size=3).map(frozenset)


@st.composite
def options_for_s2n4c10t2(draw: st.DrawFn) -> KubeletOptions:
    """Build options that suit the machine; sets of features that conflict fall away."""
    reserved = draw(st.frozensets(st.integers(0, 79), max_size=4))
    in_use = draw(st.frozensets(st.integers(0, 79), max_size=40)) - reserved
    features = draw(EXCLUSIVE)
    policy = draw(st.sampled_from([TopologyPolicy.NONE, TopologyPolicy.BEST_EFFORT, TopologyPolicy.RESTRICTED]))
    options = KubeletOptions(reserved=CPUSet.of(reserved), in_use=CPUSet.of(in_use), topology_manager=policy)
    try:
        return replace(options, features=features)
    except UsageError:
        return options


@settings(deadline=None)
@given(options_for_s2n4c10t2(), st.integers(1, 80))
def test_what_is_given_is_exactly_what_was_asked_and_nobody_elses(options: KubeletOptions, count: int) -> None:
    try:
        admission = admit(pod(count), S2N4C10T2, options)
    except DoesNotFit:
        return
    (given_,) = admission.assignments
    assert len(given_.cpus) == count
    assert not given_.cpus & (options.reserved | options.in_use | admission.shared_pool)


@settings(deadline=None)
@given(options_for_s2n4c10t2(), st.integers(1, 80))
def test_a_request_that_fits_is_refused_only_for_alignment(options: KubeletOptions, count: int) -> None:
    free = 80 - len(options.reserved | options.in_use)
    try:
        admit(pod(count), S2N4C10T2, options)
    except (SMTAlignmentError, TopologyAffinityError):
        assert Feature.FULL_PCPUS_ONLY in options.features or options.topology_manager is TopologyPolicy.RESTRICTED
    except NotEnoughCPUs as error:
        assert (error.requested, error.available) == (count, free)  # noqa: PT017
        assert count > free
    else:
        assert count <= free


@settings(deadline=None)
@given(options_for_s2n4c10t2(), st.integers(1, 40))
def test_full_pcpus_only_gives_whole_cores_where_only_whole_cores_are_taken(
    options: KubeletOptions, cores: int
) -> None:
    whole = CPUSet.of(cpu for cpu in (options.reserved | options.in_use) if cpu < 40)
    siblings = CPUSet.of(cpu + 40 for cpu in whole)
    options = KubeletOptions(features=frozenset({Feature.FULL_PCPUS_ONLY}), in_use=whole | siblings)
    try:
        allowed = container_cpuset(pod(cores * 2), S2N4C10T2, options)
    except DoesNotFit:
        assert cores > 40 - len(whole)
        return
    assert all((cpu in allowed.cpus) == (cpu + 40 in allowed.cpus) for cpu in range(40))


def test_the_policy_none_gives_no_cpus_away() -> None:
    assert admit(pod(2), S1C4T2, KubeletOptions(policy=Policy.NONE)).assignments == ()

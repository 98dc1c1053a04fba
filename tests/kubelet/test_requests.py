"""The QoS class of a pod, the CPUs that a container gets for itself, and what the launcher pod requests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.kubelet.requests import (
    Amount,
    ContainerRequests,
    PodRequests,
    QoSClass,
    exclusive_cpus,
    level_of,
    pod_of,
    qos_class,
    requests_of,
)
from launcher.kubelet.version import KubeletVersion
from launcher.quantity import Quantity, parse_quantity
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology

BOTH = {"cpu": "2", "memory": "1Gi"}

# Columns: what the row says, resources of the containers, resources of the init containers, QoS class.
CLASSES = [
    ("limits_alone_are_the_requests_too", [{"limits": BOTH}], [], QoSClass.GUARANTEED),
    ("equal_requests_and_limits", [{"limits": BOTH, "requests": BOTH}], [], QoSClass.GUARANTEED),
    (
        "the_same_amount_in_other_words",
        [{"limits": BOTH, "requests": {"cpu": "2000m", "memory": "1024Mi"}}],
        [],
        QoSClass.GUARANTEED,
    ),
    ("numbers_of_yaml", [{"limits": {"cpu": 2, "memory": 1 << 30}, "requests": {"cpu": 2.0}}], [], QoSClass.GUARANTEED),
    ("a_fraction_of_a_cpu", [{"limits": {"cpu": "200m", "memory": "64M"}}], [], QoSClass.GUARANTEED),
    (
        "other_resources_do_not_count",
        [{"limits": BOTH | {"hugepages-2Mi": "1Gi"}, "requests": BOTH | {"ephemeral-storage": "1Gi"}}],
        [],
        QoSClass.GUARANTEED,
    ),
    ("init_containers_count", [{"limits": BOTH}], [{"requests": {"cpu": "1"}}], QoSClass.BURSTABLE),
    ("an_init_container_without_limits_spoils_it", [{"limits": BOTH}], [{}], QoSClass.BURSTABLE),
    ("an_init_container_with_limits", [{"limits": BOTH}], [{"limits": BOTH}], QoSClass.GUARANTEED),
    ("one_container_of_two_without_limits", [{"limits": BOTH}, {}], [], QoSClass.BURSTABLE),
    ("no_memory_limit", [{"limits": {"cpu": "2"}}], [], QoSClass.BURSTABLE),
    ("no_cpu_limit", [{"limits": {"memory": "1Gi"}}], [], QoSClass.BURSTABLE),
    ("requests_below_limits", [{"limits": BOTH, "requests": {"cpu": "1"}}], [], QoSClass.BURSTABLE),
    ("requests_alone", [{"requests": BOTH}], [], QoSClass.BURSTABLE),
    ("a_request_of_zero_is_none", [{"limits": BOTH, "requests": {"cpu": "0"}}], [], QoSClass.BURSTABLE),
    ("a_limit_of_zero_is_none", [{"limits": {"cpu": "0", "memory": "1Gi"}}], [], QoSClass.BURSTABLE),
    ("nothing_set", [{}], [], QoSClass.BEST_EFFORT),
    ("zeros_are_nothing", [{"limits": {"cpu": "0"}, "requests": {"memory": 0}}], [], QoSClass.BEST_EFFORT),
    ("only_other_resources", [{"limits": {"hugepages-2Mi": "1Gi"}}], [], QoSClass.BEST_EFFORT),
]

EXCLUSIVE = [
    ("a_whole_number", "3", QoSClass.GUARANTEED, 3),
    ("a_whole_number_in_thousandths", "3000m", QoSClass.GUARANTEED, 3),
    ("a_fraction", "2500m", QoSClass.GUARANTEED, 0),
    ("less_than_one", "977m", QoSClass.GUARANTEED, 0),
    ("a_burstable_pod", "3", QoSClass.BURSTABLE, 0),
    ("nothing", "0", QoSClass.GUARANTEED, 0),
]


@pytest.mark.parametrize(
    ("containers", "init_containers", "qos"), [row[1:] for row in CLASSES], ids=[row[0] for row in CLASSES]
)
def test_the_qos_class(
    containers: list[dict[str, dict[str, str | int | float]]],
    init_containers: list[dict[str, dict[str, str | int | float]]],
    qos: QoSClass,
) -> None:
    pod = PodRequests(
        containers=tuple(map(requests_of, containers)), init_containers=tuple(map(requests_of, init_containers))
    )
    assert qos_class(pod) is qos


def test_sums_count_before_1_37_and_since_then_single_containers() -> None:
    # Container by container the requests differ from the limits; in sum they do not.
    memory = Amount(request=parse_quantity("1Gi"), limit=parse_quantity("1Gi"))
    more = ContainerRequests(name="a", cpu=Amount(request=parse_quantity(3), limit=parse_quantity(2)), memory=memory)
    less = ContainerRequests(name="b", cpu=Amount(request=parse_quantity(1), limit=parse_quantity(2)), memory=memory)
    assert qos_class(PodRequests(containers=(more, less)), KubeletVersion.V1_36) is QoSClass.GUARANTEED
    assert qos_class(PodRequests(containers=(more, less)), KubeletVersion.V1_37) is QoSClass.BURSTABLE
    assert qos_class(PodRequests(containers=(less,)), KubeletVersion.V1_36) is QoSClass.BURSTABLE


def test_what_a_pod_requests_as_a_whole_counts_alone() -> None:
    burstable = requests_of({"requests": {"cpu": 1}})
    level = level_of({"limits": {"cpu": 4, "memory": "1Gi"}})
    assert qos_class(PodRequests(containers=(burstable,), level=level)) is QoSClass.GUARANTEED


@pytest.mark.parametrize(("cpu", "qos", "cpus"), [row[1:] for row in EXCLUSIVE], ids=[row[0] for row in EXCLUSIVE])
def test_the_cpus_of_a_container_of_its_own(cpu: str, qos: QoSClass, cpus: int) -> None:
    assert exclusive_cpus(requests_of({"limits": {"cpu": cpu}}), qos) == cpus


def test_a_wrong_quantity_is_refused_with_its_path() -> None:
    with pytest.raises(ValueError, match=r"limits\.cpu: 'four' is not a quantity such as"):
        requests_of({"limits": {"cpu": "four"}})
    with pytest.raises(ValueError, match=r"requests\.memory: '-1Gi' is negative"):
        requests_of({"requests": {"memory": "-1Gi"}})


def test_the_launcher_pod_of_a_dedicated_guest_is_guaranteed_with_all_its_cpus() -> None:
    guest = Guest(
        name="demo",
        cpu=GuestCPU(
            topology=Topology(sockets=2, cores=2),
            dedicated=True,
            isolate_emulator_thread=True,
            emulator_even_parity=True,
        ),
        memory=GuestMemory(guest_bytes=1 << 30),
    )
    pod = pod_of(guest)
    assert qos_class(pod) is QoSClass.GUARANTEED
    assert [(container.name, str(container.cpu.request)) for container in pod.containers] == [("compute", "6")]
    assert exclusive_cpus(pod.containers[0], qos_class(pod)) == 6


def test_the_launcher_pod_of_a_shared_guest_is_burstable() -> None:
    guest = Guest(name="demo", cpu=GuestCPU(topology=Topology(cores=4)), memory=GuestMemory(guest_bytes=1 << 30))
    pod = pod_of(guest)
    assert qos_class(pod) is QoSClass.BURSTABLE
    assert str(pod.containers[0].cpu.request) == "400m"


AMOUNTS = st.integers(0, 3).map(Quantity.of_units)
CONTAINERS = st.builds(
    ContainerRequests,
    name=st.just("c"),
    cpu=st.builds(Amount, request=AMOUNTS, limit=AMOUNTS),
    memory=st.builds(Amount, request=AMOUNTS, limit=AMOUNTS),
)


@settings(deadline=None)
@given(st.lists(CONTAINERS, max_size=3), st.lists(CONTAINERS, max_size=2))
def test_it_does_not_matter_which_container_is_an_init_container(
    containers: list[ContainerRequests], init: list[ContainerRequests]
) -> None:
    apart = PodRequests(containers=tuple(containers), init_containers=tuple(init))
    together = PodRequests(containers=tuple(init + containers))
    assert qos_class(apart) is qos_class(together)


@settings(deadline=None)
@given(st.lists(CONTAINERS, min_size=1, max_size=3))
def test_a_pod_is_best_effort_exactly_when_nothing_is_set(containers: list[ContainerRequests]) -> None:
    amounts = [amount for each in containers for amount in (each.cpu, each.memory)]
    nothing = all(amount == Amount() for amount in amounts)
    assert (qos_class(PodRequests(containers=tuple(containers))) is QoSClass.BEST_EFFORT) == nothing

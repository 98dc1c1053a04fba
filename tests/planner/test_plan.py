"""The plan as a whole: roles, refusals, warnings and reasons."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit, HostError
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.host.synthetic import parse_synthetic
from launcher.planner.model import Pinning, Proof
from launcher.planner.plan import plan
from launcher.vmi.guest import Guest, IOThreadsPolicy
from tests.planner.guests import a_guest, a_host, allow, virtio

_AUTO, _POOL = IOThreadsPolicy.AUTO, IOThreadsPolicy.SUPPLEMENTAL_POOL
_DISKS = (virtio("a"), virtio("b", dedicated=True))


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Who runs where, as cpulists; vCPUs in the order of their ids."""

    vcpus: str
    emulator: str
    iothreads: tuple[str, ...] = ()
    spare: str = ""


def _roles(pinning: Pinning) -> Roles:
    return Roles(
        vcpus=",".join(str(pin.cpu) for pin in pinning.vcpus),
        emulator=str(pinning.emulator),
        iothreads=tuple(str(pin.cpus) for pin in pinning.iothreads),
        spare=str(pinning.spare),
    )


@pytest.mark.parametrize(
    ("guest", "cpulist", "roles"),
    [
        pytest.param(
            a_guest(1, 2, 2, isolate=True, policy=_AUTO, cpu_count=4, disks=_DISKS),
            "0-4",
            Roles(vcpus="0,1,2,3", emulator="4", iothreads=("4", "4")),
            id="an isolated emulator takes every IOThread with it",
        ),
        pytest.param(
            a_guest(1, 2, 2, isolate=True, parity=True),
            "0-5",
            Roles(vcpus="0,1,2,3", emulator="4-5"),
            id="two emulator CPUs by parity are one core",
        ),
        pytest.param(
            a_guest(1, 2, 2, policy=_AUTO, cpu_count=4, disks=_DISKS),
            "0-3",
            Roles(vcpus="0,1,2,3", emulator="0-3", iothreads=("0-3", "0-3")),
            id="nothing left over: the whole cpuset",
        ),
        pytest.param(
            a_guest(1, 1, 2, policy=_AUTO, cpu_count=2, disks=_DISKS),
            "0-3",
            Roles(vcpus="0,1", emulator="2-3", iothreads=("2-3", "2-3")),
            id="left over: emulator and IOThreads go there",
        ),
        pytest.param(
            a_guest(1, 3),
            "0-4",
            Roles(vcpus="0,2,4", emulator="1,3"),
            id="left over only beside vCPUs: still better than nothing",
        ),
        pytest.param(
            a_guest(1, 5),
            "0-7",
            Roles(vcpus="0,1,2,4,6", emulator="3,5,7"),
            id="threads=1 spreads over cores before it doubles up",
        ),
        pytest.param(
            a_guest(3, 1),
            "0-2,4,6-7",
            Roles(vcpus="0,2,4", emulator="6-7", spare="1"),
            id="left over on a core without a vCPU comes first",
        ),
        pytest.param(
            a_guest(1, 1, 2, policy=_POOL, pool=2, disks=_DISKS),
            "0-3",
            Roles(vcpus="0,1", emulator="0-3", iothreads=("2", "3")),
            id="each pool IOThread has a CPU of its own",
        ),
        pytest.param(
            a_guest(1, 1, 2, isolate=True, parity=True, policy=_POOL, pool=2, disks=_DISKS),
            "0-5",
            Roles(vcpus="0,1", emulator="4-5", iothreads=("2", "3")),
            id="pool and isolated emulator are apart",
        ),
        pytest.param(
            a_guest(1, 4, isolate=True, dedicated=False, policy=_AUTO, disks=_DISKS),
            "0-1",
            Roles(vcpus="", emulator="0-1", iothreads=("0-1", "0-1")),
            id="without dedicated CPUs everything floats",
        ),
    ],
)
def test_every_thread_has_the_cpus_of_its_role(guest: Guest, cpulist: str, roles: Roles) -> None:
    assert _roles(plan(guest, a_host(cores=4), allow(cpulist))) == roles


@pytest.mark.parametrize(
    ("guest", "cpulist", "launcher"),
    [
        pytest.param(a_guest(1, 1, 2, isolate=True), "0-2", "2", id="on the isolated emulator's"),
        pytest.param(a_guest(1, 1, 2), "0-3", "2-3", id="on the CPUs that are left over"),
        pytest.param(a_guest(1, 1, 2, policy=_POOL, pool=2, disks=_DISKS), "0-3", "2-3", id="on the IOThread pool's"),
        pytest.param(a_guest(1, 1, 2), "0-1", "0-1", id="everywhere, where every CPU is a vCPU's"),
        pytest.param(a_guest(dedicated=False), "0-1", "0-1", id="everywhere, where nothing is dedicated"),
    ],
)
def test_the_launcher_keeps_off_the_vcpus_cpus(guest: Guest, cpulist: str, launcher: str) -> None:
    assert str(plan(guest, a_host(cores=4), allow(cpulist)).launcher) == launcher


def test_shortage_of_one_cpu_is_an_error_that_says_everything() -> None:
    guest = a_guest(1, 2, 2, isolate=True, policy=_POOL, pool=1)
    with pytest.raises(DoesNotFit) as refused:
        plan(guest, a_host(), allow("0-4", "/cg/cpuset"))
    assert str(refused.value) == (
        "the guest needs 6 CPUs (4 vCPUs + 1 for the emulator + 1 for IOThreads), found 5 (0-4, read from /cg/cpuset): "
        "request limits.cpu: 6"
    )


def test_refusal_of_an_odd_total_names_the_parity_annotation() -> None:
    with pytest.raises(DoesNotFit, match=r"EmulatorThreadCompleteToEvenParity and request limits\.cpu: 6$"):
        plan(a_guest(1, 2, 2, isolate=True), a_host(), allow("0-3"))


def test_refusal_mentions_cpus_that_are_not_online() -> None:
    with pytest.raises(DoesNotFit, match="CPUs 8-9 of that cpuset are not online here"):
        plan(a_guest(1, 8), a_host(), allow("0-6,8-9"))


def test_absent_cpus_are_a_warning_where_the_others_suffice() -> None:
    pinning = plan(a_guest(1, 2, 2), a_host(), allow("0-3,8-9", "option"))
    assert pinning.cpuset == CPUSet.parse("0-3")
    assert pinning.warnings == ("option: CPUs 8-9 are not online on this host and are left out",)


@pytest.mark.parametrize(
    ("cpulist", "message"),
    [
        pytest.param("", "option: the cpuset is empty", id="an empty cpuset"),
        pytest.param("90", "none of the CPUs 90 is online, online are 0-7", id="only absent CPUs"),
    ],
)
def test_a_cpuset_without_a_usable_cpu_is_an_error_of_the_host(cpulist: str, message: str) -> None:
    with pytest.raises(HostError, match=message):
        plan(a_guest(), a_host(), allow(cpulist, "option"))


def test_the_order_of_the_hosts_cpus_does_not_matter() -> None:
    host = a_host(2, 4, interleaved=True)
    shuffled = Host(cpus=tuple(reversed(host.cpus)), nodes=host.nodes)
    guest = a_guest(2, 2, 2, isolate=True)
    assert plan(guest, host, allow("0-10")) == plan(guest, shuffled, allow("0-10"))


def test_housekeeping_joins_the_node_with_most_vcpus() -> None:
    pinning = plan(a_guest(3, 1, 2, isolate=True, parity=True), a_host(2, 3, 2), allow("0-11"))
    assert [pin.node for pin in pinning.vcpus] == [0] * 6
    host = a_host(2, 4, 2)
    pinning = plan(a_guest(3, 1, 2, isolate=True, parity=True), host, allow("0-15"))
    assert {pin.node for pin in pinning.vcpus} == {host.cpus[cpu].node for cpu in pinning.emulator} == {0}


def test_a_hybrid_host_keeps_guest_cores_whole() -> None:
    big = tuple(CPU(cpu=cpu, core=cpu // 2, die=0, socket=0, node=0, cache=0) for cpu in range(4))
    small = tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=0, cache=0) for cpu in range(4, 8))
    host = Host(cpus=big + small, nodes=())
    pinning = plan(a_guest(1, 2, 2, isolate=True), host, allow("0-7"))
    assert [pin.cpu for pin in pinning.vcpus] == [0, 1, 2, 3]


def test_threads_that_the_guest_cannot_see_are_a_warning_with_the_cure() -> None:
    (warning,) = plan(a_guest(1, 4), a_host(), allow("0-3")).warnings
    assert warning == (
        "4 of 4 vCPUs share a host core with another while the guest sees threads: 1: "
        "set spec.domain.cpu.cores: 2 and threads: 2, so that the guest knows"
    )


ACROSS = (
    "the vCPUs lie on NUMA nodes 0 (4) and 1 (4), and the guest does not know: about 50% of the memory that they touch "
    "will be on another node: give the container CPUs of one node, or set "
    "spec.domain.cpu.numa.guestMappingPassthrough: {}"
)


def test_a_guest_socket_across_nodes_is_a_warning_with_the_cure() -> None:
    pinning = plan(a_guest(1, 4, 2), a_host(2, 2), allow("0-7"))
    assert pinning.warnings == (
        "guest socket 0 lies on NUMA nodes 0 and 1: set spec.domain.cpu.sockets: 2 and cores: 2, one socket for each",
        ACROSS,
    )


def test_a_plan_that_hides_nothing_warns_of_nothing() -> None:
    assert plan(a_guest(2, 2, 1), a_host(2, 4, 1), allow("0-3")).warnings == ()


def test_warnings_of_the_cpusets_reader_are_handed_on() -> None:
    allowed = AllowedCPUs(cpus=CPUSet.parse("0-1"), source="x", warnings=("narrower than its parent",))
    assert plan(a_guest(1, 1, 2), a_host(), allowed).warnings == ("narrower than its parent",)


def test_every_thread_and_the_whole_have_a_reason() -> None:
    pinning = plan(a_guest(1, 2, 2, isolate=True, policy=_AUTO, disks=_DISKS), a_host(), allow("0-2,4-5"))
    score, proof, memory, advice, *threads = pinning.reasons
    assert memory.text == (
        "memory: bound to no node; the kernel takes it from node 0, where all vCPUs are, while it has some"
    )
    assert (score.thread, score.text) == (
        "placement",
        (
            "no guest cores split over host cores; no vCPUs beside housekeeping; 1 NUMA node used, no crossings by "
            "guest sockets; no last-level caches crossed by guest sockets"
        ),
    )
    assert (proof.thread, proof.text) == ("placement", "proved by counting alone: with these CPUs no term can be less")
    assert (advice.thread, advice.text.split(" (")[0]) == ("placement", "a kubelet with full-pcpus-only refuses 5 CPUs")
    assert [(reason.thread, reason.text) for reason in threads] == [
        ("vcpu 0", "CPU 0: guest core 0 lies whole on core 0 of node 0"),
        ("vcpu 1", "CPU 1: guest core 0 lies whole on core 0 of node 0"),
        ("vcpu 2", "CPU 4: guest core 1 lies whole on core 2 of node 0"),
        ("vcpu 3", "CPU 5: guest core 1 lies whole on core 2 of node 0"),
        ("emulator", "CPU 2 to the emulator alone (isolateEmulatorThread): its core has no other CPU in the cpuset"),
        ("iothread 1", "CPU 2, the emulator's: an isolated emulator takes the IOThreads with it"),
        ("iothread 2", "CPU 2, the emulator's: an isolated emulator takes the IOThreads with it"),
    ]


def test_reasons_name_split_cores_and_what_they_share() -> None:
    pinning = plan(a_guest(1, 2, 2, isolate=True), a_host(), allow("0-2,4,6"))
    reasons = {reason.thread: reason.text for reason in pinning.reasons}
    assert reasons["vcpu 3"] == (
        "CPU 4: guest core 1 is split over cores 1-2 of node 0, because no host core has 2 CPUs left for it"
    )


@pytest.mark.parametrize(
    ("shape", "cpulist", "vcpus", "emulator"),
    [
        pytest.param("node:1 l3:2 core:4 pu:2", "0-15", "0,2,4,6", "14-15", id="in the cache with cores enough"),
        pytest.param("node:2 core:6 pu:2", "0-23", "0,2,4,6", "10-11", id="on one node, housekeeping on the same"),
        pytest.param("node:1 l3:2 core:4 pu:2", "0-5", "0,1,2,3", "4-5", id="but shared where there are no others"),
    ],
)
def test_vcpus_of_a_guest_without_threads_are_on_separate_cores_where_that_costs_nothing(
    shape: str, cpulist: str, vcpus: str, emulator: str
) -> None:
    pinning = plan(a_guest(1, 4, 1, isolate=True, parity=True), parse_synthetic(shape), allow(cpulist))
    assert (_roles(pinning).vcpus, _roles(pinning).emulator) == (vcpus, emulator)


@pytest.mark.parametrize(
    ("guest", "cpulist"),
    [
        pytest.param(a_guest(1, 4, 2), "0-7", id="one node"),
        pytest.param(a_guest(2, 3, 2, isolate=True), "0-13", id="two nodes and an emulator"),
        pytest.param(a_guest(3, 1), "0-15", id="spare CPUs"),
    ],
)
def test_a_plan_says_that_it_is_proved(guest: Guest, cpulist: str) -> None:
    assert plan(guest, a_host(2, 4, 2), allow(cpulist)).proof == Proof(optimal=True)


def test_a_plan_without_dedicated_cpus_has_no_proof() -> None:
    assert plan(a_guest(1, 4, dedicated=False), a_host(), allow("0-7")).proof is None

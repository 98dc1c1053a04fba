"""The reader of sysfs: machines of every shape, and machines whose files contradict one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.errors import ExitStatus, HostError
from launcher.host.capture import capture, parse_capture
from launcher.host.model import Host
from launcher.host.sysfs import read_host
from launcher.host.tree import Tree
from tests.host.shapes import Machine, Memory, adjacent, dealt, grid, second_round, tree_of, written

CPU = "sys/devices/system/cpu"
NODE = "sys/devices/system/node"

# Two sockets, each a node with two cores of two threads: CPUs 0-3 and 4-7.
BASE = Machine(
    threads=grid(sockets=2, nodes=1, caches=1, cores=2, threads=2, number=adjacent(2)),
    nodes={0: Memory(kilobytes=1024, distances="10 20"), 1: Memory(kilobytes=1024, distances="20 10")},
)
TOPOLOGY = ("core_cpus_list", "core_id", "die_id", "package_cpus_list", "physical_package_id")

Files = Mapping[str, str | None]


def with_files(files: Files) -> Machine:
    return replace(BASE, extra=files)


def without_topology(*cpus: int) -> Files:
    return {f"{CPU}/cpu{cpu}/topology/{name}": None for cpu in cpus for name in TOPOLOGY}


def groups(host: Host, name: str) -> list[str]:
    """Return the cpulists of the cores, dies, sockets, nodes or caches, in the order of their numbers."""
    members: dict[int, list[int]] = {}
    for cpu in host.cpus:
        members.setdefault(getattr(cpu, name), []).append(cpu.cpu)
    return [str(CPUSet.of(members[number])) for number in sorted(members)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {f"{CPU}/online": None}, f"/{CPU}/online: absent; wanted the list of the online CPUs", id="no list of CPUs"
        ),
        pytest.param(
            {f"{CPU}/online": ""}, f"/{CPU}/online: empty; wanted the list of the online CPUs", id="no CPU online"
        ),
        pytest.param(
            {f"{CPU}/online": "3-1"},
            f"/{CPU}/online: '3-1' in cpulist '3-1' is a range that runs backwards",
            id="a range runs backwards",
        ),
        pytest.param(
            {f"{CPU}/online": "0-9999999"},
            f"/{CPU}/online: '0-9999999' in cpulist '0-9999999' is beyond CPU 8191",
            id="a range beyond every machine",
        ),
        pytest.param(
            {f"{CPU}/online": "0-9", f"{CPU}/present": "0-9"},
            f"/{CPU}/cpu8/topology: absent or empty, though written: /{CPU}/online holds CPU 8 (0-9)",
            id="online CPUs without a folder",
        ),
        pytest.param(
            without_topology(5),
            f"/{CPU}/cpu5/topology: absent or empty, though written: /{CPU}/online holds CPU 5 (0-7)",
            id="an online CPU without topology",
        ),
        pytest.param(
            {f"{CPU}/offline": "5-6"},
            f"/{CPU}/offline: holds 5-6, and so does written: /{CPU}/online",
            id="a CPU both online and offline",
        ),
        pytest.param(
            {f"{CPU}/cpu1/topology/core_cpus_list": "1"},
            f"/{CPU}/cpu0/topology: the siblings are 0-1, which CPU 1 contradicts with 1",
            id="siblings that one side denies",
        ),
        pytest.param(
            {f"{CPU}/cpu1/topology/core_cpus_list": "1-2"},
            f"/{CPU}/cpu0/topology: the siblings are 0-1, which CPU 1 contradicts with 1-2",
            id="a CPU of two cores",
        ),
        pytest.param(
            {f"{CPU}/cpu2/topology/core_cpus_list": "3"},
            f"/{CPU}/cpu2/topology: the siblings are 3, which leaves out CPU 2 itself",
            id="siblings without the CPU itself",
        ),
        pytest.param(
            {f"{CPU}/cpu2/topology/core_cpus_list": "2-x"},
            f"/{CPU}/cpu2/topology/core_cpus_list: '2-x' in cpulist '2-x' is not a CPU, "
            "a range a-b or a range a-b:used/group",
            id="siblings that are no list",
        ),
        pytest.param(
            {f"{CPU}/cpu2/topology/physical_package_id": "one"},
            f"/{CPU}/cpu2/topology/physical_package_id: 'one' is not an integer",
            id="a socket that is no number",
        ),
        pytest.param(
            {f"{CPU}/cpu0/cache/index3/level": "9" * 30},
            f"/{CPU}/cpu0/cache/index3/level: '{'9' * 30}' is not an integer",
            id="a number of thirty digits",
        ),
        pytest.param(
            {f"{NODE}/node1/cpulist": "3-7"}, f"/{NODE}/node1/cpulist: CPU 3 is in node 0 too", id="a CPU in two nodes"
        ),
        pytest.param(
            {f"{NODE}/node1/cpulist": None},
            f"/{NODE}/node1/cpulist: absent, though written: /{NODE}/online holds node 1",
            id="a node without a list of CPUs",
        ),
        pytest.param(
            {f"{NODE}/node0/distance": "10 far"},
            f"/{NODE}/node0/distance: 'far' is not an integer",
            id="a distance that is no number",
        ),
        pytest.param(
            {f"{NODE}/node0/hugepages/hugepages-2048kB/free_hugepages": "many"},
            f"/{NODE}/node0/hugepages/hugepages-2048kB/free_hugepages: 'many' is not an integer",
            id="huge pages that are no number",
        ),
    ],
)
def test_files_that_cannot_be_believed_are_refused(files: Files, message: str) -> None:
    with pytest.raises(HostError) as refused:
        read_host(tree_of(with_files(files)), "none")
    assert str(refused.value) == f"written: {message}"
    assert refused.value.exit_status == ExitStatus.HOST


@pytest.mark.parametrize(
    ("files", "name", "expected", "warnings"),
    [
        pytest.param(
            {f"{CPU}/cpu3/topology/core_id": "7"},
            "core",
            ["0-1", "2-3", "4-5", "6-7"],
            [
                (
                    f"written: /{CPU}/cpu2/topology: the CPUs 2-3 are siblings, but differ in core_id; "
                    "the list of siblings is believed"
                )
            ],
            id="the list of siblings is believed, not core_id",
        ),
        pytest.param(
            {f"{CPU}/cpu0/topology/package_cpus_list": "0-1"},
            "socket",
            ["0-3", "4-7"],
            [
                (
                    f"written: /{CPU}/cpu0/topology: the package holds 0-1, but physical_package_id 0 is on 0-3; "
                    "the ids are believed"
                )
            ],
            id="the id of the socket is believed, not its list",
        ),
        pytest.param(
            {f"{CPU}/cpu{cpu}/topology/physical_package_id": "-1" for cpu in range(8)},
            "socket",
            ["0-7"],
            [],
            id="CPUs of no known socket are on one",
        ),
        pytest.param(
            {f"{CPU}/cpu{cpu}/topology/physical_package_id": None for cpu in range(4, 8)},
            "socket",
            ["0-3", "4-7"],
            [],
            id="CPUs of no known socket are on one after the known",
        ),
        pytest.param(
            {f"{CPU}/cpu{cpu}/topology/core_cpus_list": None for cpu in range(8)},
            "core",
            ["0-1", "2-3", "4-5", "6-7"],
            [],
            id="without lists of siblings the ids make the cores",
        ),
        pytest.param(
            {f"{CPU}/cpu{cpu}/topology/die_id": str(cpu // 2) for cpu in range(8)},
            "die",
            ["0-1", "2-3", "4-5", "6-7"],
            [],
            id="dies are numbered over the machine",
        ),
        pytest.param(
            {f"{CPU}/cpu4/cache/index3/shared_cpu_list": "3-7"},
            "cache",
            ["0-3", "4-7"],
            [f"written: /{CPU}/cpu4/cache: 3-7 share the last-level cache, which contradicts another CPU or this one"],
            id="of two caches that claim a CPU the first keeps it",
        ),
        pytest.param(
            {f"{CPU}/cpu4/cache/index3/shared_cpu_list": "5-7"},
            "cache",
            ["0-3", "4-7"],
            [f"written: /{CPU}/cpu4/cache: 5-7 share the last-level cache, which contradicts another CPU or this one"],
            id="a cache holds the CPU that it belongs to",
        ),
        pytest.param(
            {f"{CPU}/cpu0/cache/index3/type": "Instruction"},
            "cache",
            ["0-3", "4-7"],
            [],
            id="a cache of instructions does not count",
        ),
        pytest.param(
            {f"{NODE}/node1/cpulist": ""},
            "node",
            ["4-7", "0-3"],
            ["CPUs 4-7 are in no NUMA node"],
            id="CPUs may be in no node",
        ),
        pytest.param(
            {f"{NODE}/node1/cpulist": "4-63"}, "node", ["0-3", "4-7"], [], id="CPUs of a node that are not online"
        ),
        pytest.param({f"{NODE}/online": None}, "node", ["0-3", "4-7"], [], id="nodes are found by their folders"),
        pytest.param(
            without_topology(*range(8)),
            "core",
            [str(cpu) for cpu in range(8)],
            [f"written: /{CPU}: no CPU has topology files; each is taken for a core of its own"],
            id="without any topology each CPU is a core",
        ),
    ],
)
def test_files_that_only_weaken_the_placement_are_read_safely(
    files: Files, name: str, expected: list[str], warnings: list[str]
) -> None:
    host = read_host(tree_of(with_files(files)), "none")
    assert groups(host, name) == expected
    assert list(host.warnings) == warnings


@pytest.mark.parametrize(
    ("files", "memory_bytes", "distances", "warning"),
    [
        pytest.param(
            {f"{NODE}/node1/distance": "20 10 20"},
            1 << 20,
            (),
            f"written: /{NODE}/node1/distance: 3 distances for 2 nodes; they are left out",
            id="more distances than nodes",
        ),
        pytest.param(
            {f"{NODE}/node1/meminfo": None},
            0,
            ((0, 20), (1, 10)),
            f"written: /{NODE}/node1/meminfo: says no MemTotal; node 1 is taken to have no memory",
            id="a node without meminfo",
        ),
    ],
)
def test_a_node_that_says_too_little_or_too_much_is_read_without_it(
    files: Files, memory_bytes: int, distances: tuple[tuple[int, int], ...], warning: str
) -> None:
    host = read_host(tree_of(with_files(files)), "none")
    node = host.nodes[1]
    assert (node.memory_bytes, node.distances, host.warnings) == (memory_bytes, distances, (warning,))


@pytest.mark.parametrize(
    ("size_kilobytes", "pages", "page_bytes"),
    [
        pytest.param(40000, 10000, 4096, id="4 kB"),
        pytest.param(40000, 9000, 4096, id="4 kB, the process has grown meanwhile"),
        pytest.param(160000, 10000, 16384, id="16 kB"),
        pytest.param(640000, 10000, 65536, id="64 kB"),
        pytest.param(640000, 11000, 65536, id="64 kB, the process has shrunk meanwhile"),
        pytest.param(640000, 0, 4096, id="no pages: the smallest"),
    ],
)
def test_the_page_size_is_the_size_of_the_process_over_its_pages(
    size_kilobytes: int, pages: int, page_bytes: int
) -> None:
    files = {"proc/self/status": f"Name:\\tx\\nVmSize:\\t{size_kilobytes} kB", "proc/self/statm": f"{pages} 1 1"}
    assert read_host(tree_of(with_files(files)), "none").page_bytes == page_bytes


@pytest.mark.parametrize(
    ("files", "arch"),
    [
        pytest.param({"proc/sys/kernel/arch": "aarch64"}, "aarch64", id="the kernel says it"),
        pytest.param({"proc/sys/kernel/arch": None}, "s390x", id="an old kernel has no file for it"),
    ],
)
def test_the_architecture_is_the_hosts_own(files: Files, arch: str) -> None:
    assert read_host(tree_of(with_files(files)), "s390x").arch == arch


@dataclass
class Unplugging:
    """A machine that loses a CPU after its list of online CPUs was read for the first time."""

    before: Tree
    after: Tree
    readings: int = 0

    def read(self, path: str) -> str | None:
        if path == f"{CPU}/online":
            self.readings += 1
        return (self.before if self.readings <= 1 and path.startswith(f"{CPU}/online") else self.after).read(path)

    def list(self, path: str) -> tuple[str, ...]:
        return self.after.list(path)

    def where(self, path: str) -> str:
        return self.after.where(path)


def test_a_cpu_that_goes_while_the_machine_is_read_is_offline() -> None:
    online = {f"{CPU}/online": "0-6", f"{CPU}/offline": "7", f"{CPU}/cpu6/topology/core_cpus_list": "6"}
    after = tree_of(with_files({**without_topology(7), **online}))
    host = read_host(Unplugging(before=tree_of(BASE), after=after), "none")
    assert (str(host.online), str(host.offline)) == ("0-6", "7")


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """A regular machine, numbered one way or another, of which some CPUs are offline."""
    sockets, nodes, caches, cores, threads = (draw(st.integers(1, 3)) for _ in range(5))
    total = sockets * nodes * caches * cores
    number = draw(st.sampled_from([adjacent(threads), second_round(total), dealt(total, sockets)]))
    whole = grid(sockets=sockets, nodes=nodes, caches=caches, cores=cores, threads=threads, number=number)
    online = draw(st.sets(st.sampled_from(whole), min_size=1))
    distances = " ".join("10" for _ in range(sockets * nodes))
    memory = {
        node: Memory(kilobytes=draw(st.integers(0, 1 << 40)), distances=distances) for node in range(sockets * nodes)
    }
    return Machine(threads=tuple(sorted(online, key=lambda thread: thread.cpu)), nodes=memory)


def partition(pairs: list[tuple[object, int]]) -> list[list[int]]:
    """Return the CPUs of each key, by their lowest."""
    members: dict[object, list[int]] = {}
    for key, cpu in sorted(pairs, key=lambda pair: pair[1]):
        members.setdefault(key, []).append(cpu)
    return list(members.values())


@given(machines())
def test_every_machine_is_read_as_it_was_written(machine: Machine) -> None:
    host = read_host(tree_of(machine), "none")
    place = {thread.cpu: thread for thread in machine.threads}
    assert [(cpu.cpu, cpu.socket, cpu.node) for cpu in host.cpus] == [
        (thread.cpu, thread.socket, thread.node) for thread in machine.threads
    ]
    for name, key in (("core", "core"), ("cache", "cache"), ("die", "socket")):
        found = [(getattr(cpu, name), cpu.cpu) for cpu in host.cpus]
        wanted = [(getattr(place[cpu.cpu], key), cpu.cpu) for cpu in host.cpus]
        assert partition(found) == partition(wanted)
        # Numbered without gaps in the order of the lowest CPU.
        assert list(dict.fromkeys(number for number, _ in found)) == list(range(len(partition(found))))
    assert host.warnings == ()


@given(machines())
def test_a_replayed_capture_is_the_same_host(machine: Machine) -> None:
    text = written(machine)
    replayed = parse_capture(text, "written")
    assert read_host(replayed, "none") == read_host(tree_of(machine), "none")
    assert capture(replayed, CPUSet.of(thread.cpu for thread in machine.threads), "none") == text

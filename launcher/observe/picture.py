"""What there is to draw: the host as nested boxes with the planned threads in them, whoever draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, NO_NODE, Host, Node
from launcher.observe.text import bytes_in_words
from launcher.planner.model import Pinning

# More occupants of one CPU than this are summed up ("v0 v2 v4 +253"); only a degraded placement has them.
_WORDS_MOST = 4


class State(StrEnum):
    """Whom a CPU belongs to; the value is the word for the legend."""

    OURS = "vCPU"
    HOUSEKEEPING = "housekeeping"
    SPARE = "spare"
    OTHERS = "others'"
    OFFLINE = "offline"


class CPUBox(Struct, frozen=True, kw_only=True):
    """One CPU and who is planned on it; `vcpus` (alone), `shared` vCPUs and `iothreads` are sets of their ids."""

    cpu: int
    state: State
    vcpus: CPUSet = CPUSet()
    emulator: bool = False
    iothreads: CPUSet = CPUSet()
    shared: CPUSet = CPUSet()
    vhost: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The occupants, short: "v0", "~2-3" of those that share, "emu", "io1-3"; summed up where they are many."""
        words = [f"v{vcpu}" for vcpu in self.vcpus]
        if len(words) > _WORDS_MOST:
            words[_WORDS_MOST - 1 :] = [f"+{len(words) - _WORDS_MOST + 1}"]
        words += [f"~{part}" for part in str(self.shared).split(",") if part]
        words += ["emu"] * self.emulator + ["vh"] * self.vhost
        words += [f"io{part}" for part in str(self.iothreads).split(",") if part]
        return tuple(words)

    @property
    def is_shared(self) -> bool:
        """Tell whether more than one vCPU is planned here."""
        return len(self.vcpus) > 1

    @property
    def is_floating(self) -> bool:
        """Tell whether only threads that may use the whole cpuset come here."""
        return self.state is State.OURS and not self.vcpus

    @property
    def sentence(self) -> str:
        """The occupants in words, or whose the CPU is."""
        parts = [
            _listed("vCPU", self.vcpus),
            _listed("shared vCPU", self.shared),
            "emulator" * self.emulator,
            "vhost" * self.vhost,
            _listed("IOThread", self.iothreads),
        ]
        if occupants := ", ".join(part for part in parts if part):
            return f"{occupants} (offline)" if self.state is State.OFFLINE else occupants
        return "floating threads" if self.is_floating else self.state.value


class CoreBox(Struct, frozen=True, kw_only=True):
    """One core and its CPUs, ascending."""

    core: int
    cpus: tuple[CPUBox, ...]


class CacheBox(Struct, frozen=True, kw_only=True):
    """The cores that share a last-level cache, ascending by core."""

    cache: int
    cores: tuple[CoreBox, ...]

    @property
    def cpus(self) -> tuple[CPUBox, ...]:
        """Every CPU behind this cache, core by core."""
        return tuple(cpu for core in self.cores for cpu in core.cpus)


class NodeBox(Struct, frozen=True, kw_only=True):
    """One NUMA node (NO_NODE for CPUs in none), its sockets and its caches; no caches where it is memory only."""

    node: int
    sockets: tuple[int, ...]
    memory_bytes: int
    caches: tuple[CacheBox, ...]

    @property
    def cpus(self) -> tuple[CPUBox, ...]:
        """Every CPU of the node, core by core."""
        return tuple(cpu for cache in self.caches for cpu in cache.cpus)

    @property
    def title_words(self) -> tuple[str, ...]:
        """The parts of the box's title: node, sockets, memory."""
        words = ["no node" if self.node == NO_NODE else f"node {self.node}", _listed("socket", self.sockets)]
        words.append(bytes_in_words(self.memory_bytes) if self.memory_bytes else "")
        words.append("" if self.caches else "memory only")
        return tuple(word for word in words if word)


class Picture(Struct, frozen=True, kw_only=True):
    """The host with the placement in it.

    `offline` holds the CPUs without a place: offline ones, and planned ones that the host does not have.
    `floating` names the threads that may use the whole cpuset and are therefore drawn in no box.
    """

    nodes: tuple[NodeBox, ...]
    offline: tuple[CPUBox, ...]
    floating: tuple[str, ...]
    cpuset: CPUSet
    source: str

    @property
    def cpus(self) -> tuple[CPUBox, ...]:
        """Every CPU, the offline ones last."""
        return (*(cpu for node in self.nodes for cpu in node.cpus), *self.offline)

    @property
    def missing(self) -> tuple[CPUBox, ...]:
        """The CPUs without a place that the container was given or a thread is planned on."""
        return tuple(cpu for cpu in self.offline if cpu.words or cpu.cpu in self.cpuset)


def picture_of(pinning: Pinning, host: Host) -> Picture:
    """Lay the placement over the host; nodes, caches, cores and CPUs ascend by id."""
    place = _placer(pinning, host)
    unplaced = (host.offline | pinning.cpuset | CPUSet.of(pin.cpu for pin in pinning.vcpus)) - host.online
    return Picture(
        nodes=tuple(_nodes(host, place)),
        offline=tuple(place(cpu) for cpu in unplaced),
        floating=tuple(_floating(pinning)),
        cpuset=pinning.cpuset,
        source=pinning.source,
    )


def in_state(cpus: Iterable[CPUBox], state: State) -> CPUSet:
    """Return the CPUs that are in this state, as a set."""
    return CPUSet.of(cpu.cpu for cpu in cpus if cpu.state is state)


def occupant_columns(cpus: Iterable[CPUBox], *, ranges: bool) -> int:
    """Return how many characters the longest word among all occupants has, at least 2; IOThread ranges on request."""
    words = (word for cpu in cpus for word in cpu.words if ranges or not word.startswith("io"))
    return max(map(len, words), default=2)


def occupant_lines(cpu: CPUBox, width: int, *, blank: str) -> tuple[str, ...]:
    """Return the occupants in lines of this width; the mark `blank` where there are none.

    A word that is longer has a line of its own, never the first, which shares its line with the CPU's number.
    """
    lines: list[str] = []
    for word in cpu.words or (blank,):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines if len(lines[0]) <= width else ("", *lines))


def _placer(pinning: Pinning, host: Host) -> Callable[[int], CPUBox]:
    vcpus: dict[int, list[int]] = {}
    for pin in pinning.vcpus:
        vcpus.setdefault(pin.cpu, []).append(pin.vcpu)
    emulator = CPUSet() if _is_everywhere(pinning.emulator, pinning) else pinning.emulator
    iothreads = [thread for thread in pinning.iothreads if not _is_everywhere(thread.cpus, pinning)]
    online = host.online

    def place(number: int) -> CPUBox:
        box = CPUBox(
            cpu=number,
            state=State.OTHERS,
            vcpus=CPUSet.of(vcpus.get(number, ())),
            emulator=number in emulator,
            iothreads=CPUSet.of(thread.iothread for thread in iothreads if number in thread.cpus),
            vhost=number in pinning.vhost,
            shared=CPUSet.of(pin.vcpu for pin in pinning.shared if number in pin.cpus),
        )
        return _with_state(box, State.OFFLINE if number not in online else _state(box, pinning))

    return place


def _with_state(box: CPUBox, state: State) -> CPUBox:
    return replace(box, state=state)


def _state(box: CPUBox, pinning: Pinning) -> State:
    if box.vcpus:
        return State.OURS
    if box.emulator or box.iothreads or box.shared or box.cpu in pinning.housekeeping:
        return State.HOUSEKEEPING
    if box.cpu not in pinning.cpuset:
        return State.OTHERS
    is_unused = box.cpu in pinning.spare or not any(_floating(pinning))
    return State.SPARE if (pinning.vcpus or pinning.shared) and is_unused else State.OURS


def _is_everywhere(cpus: CPUSet, pinning: Pinning) -> bool:
    return cpus == pinning.cpuset


def _floating(pinning: Pinning) -> Iterator[str]:
    if not pinning.vcpus and not pinning.shared:
        yield "all vCPUs"
    if _is_everywhere(pinning.emulator, pinning):
        yield "emulator"
    free = CPUSet.of(thread.iothread for thread in pinning.iothreads if _is_everywhere(thread.cpus, pinning))
    if free:
        yield _listed("IOThread", free)


def _nodes(host: Host, place: Callable[[int], CPUBox]) -> Iterator[NodeBox]:
    cpus = {node: tuple(members) for node, members in _grouped(host.cpus, lambda cpu: cpu.node)}
    nodes = {node.node: node for node in host.nodes}
    for number in sorted(cpus.keys() | nodes.keys()):
        yield _node(nodes.get(number) or Node(node=number, memory_bytes=0), cpus.get(number, ()), place)


def _node(node: Node, cpus: Sequence[CPU], place: Callable[[int], CPUBox]) -> NodeBox:
    caches = tuple(
        CacheBox(cache=cache, cores=tuple(_cores(members, place)))
        for cache, members in _grouped(cpus, lambda cpu: cpu.cache)
    )
    sockets = tuple(sorted({cpu.socket for cpu in cpus}))
    return NodeBox(node=node.node, sockets=sockets, memory_bytes=node.memory_bytes, caches=caches)


def _cores(cpus: Sequence[CPU], place: Callable[[int], CPUBox]) -> Iterator[CoreBox]:
    for core, members in _grouped(cpus, lambda cpu: cpu.core):
        yield CoreBox(core=core, cpus=tuple(place(cpu.cpu) for cpu in members))


def _grouped(cpus: Iterable[CPU], key: Callable[[CPU], int]) -> Iterator[tuple[int, tuple[CPU, ...]]]:
    for value, members in groupby(sorted(cpus, key=lambda cpu: (key(cpu), cpu.cpu)), key):
        yield value, tuple(members)


def _listed(noun: str, ids: Iterable[int]) -> str:
    chosen = CPUSet.of(ids)
    if not chosen:
        return ""
    return f"{noun if len(chosen) == 1 else noun + 's'} {chosen}"

"""What the planner decides, as values: the pins of every thread, the guest's cells, and the reasons."""

from __future__ import annotations

from msgspec import Struct

from launcher.cpuset import CPUSet


class VCPUPin(Struct, frozen=True, kw_only=True):
    """The one host CPU of a vCPU, and where that CPU lies (core, socket and NUMA node of the host)."""

    vcpu: int
    cpu: int
    core: int
    socket: int
    node: int


class SharedPin(Struct, frozen=True, kw_only=True):
    """The host CPUs of a vCPU of a mixed guest that has none of its own, which it shares with others."""

    vcpu: int
    cpus: CPUSet


class IOThreadPin(Struct, frozen=True, kw_only=True):
    """The host CPUs of one IOThread (libvirt's ids, from 1)."""

    iothread: int
    cpus: CPUSet


class Cell(Struct, frozen=True, kw_only=True):
    """One guest NUMA cell: the host node that backs it, its vCPUs (a set of vCPU ids) and its memory."""

    cell: int
    node: int
    vcpus: CPUSet
    memory_bytes: int
    # (cell, distance) for every cell, itself included, as the host's nodes have it; empty where the host says none.
    distances: tuple[tuple[int, int], ...] = ()


class Score(Struct, frozen=True, kw_only=True, order=True):
    """The objective's terms 1 to 6, compared in this order; smaller is better (DESIGN, "The placement")."""

    cores_across_nodes: int = 0
    cores_split: int = 0
    vcpus_beside_housekeeping: int = 0
    node_crossings: int = 0
    nodes_used: int = 0
    cache_crossings: int = 0


class Proof(Struct, frozen=True, kw_only=True):
    """Whether it is proved that no placement scores better; if not, the first term where one may, and by how much.

    After a replan: no placement that moves as few vCPUs.
    """

    optimal: bool
    term: str | None = None
    at_most_off_by: int | None = None


class Reason(Struct, frozen=True, kw_only=True):
    """Why one thread is where it is; `thread` is "vcpu 3", "emulator", "iothread 1" or "placement" for the whole."""

    thread: str
    text: str


class Pinning(Struct, frozen=True, kw_only=True):
    """The placement: pins ascending by id, over `cpuset` as read from `source`.

    `vcpus` is empty where the guest has no dedicated CPUs; its vCPUs may then use the whole cpuset. `shared` are those
    of a mixed guest that have no CPU of their own.
    `housekeeping` holds the CPUs reserved for the emulator, IOThread pool, `shared` and `vhost`; nothing uses the
    `spare` ones.
    `score` and `proof` are those of a guest with dedicated CPUs; a degraded plan has no proof.
    `degraded` means that vCPUs share CPUs which were to be theirs alone, because the cpuset no longer suffices; only a
    replan makes it so.
    """

    cpuset: CPUSet
    source: str
    vcpus: tuple[VCPUPin, ...]
    emulator: CPUSet
    iothreads: tuple[IOThreadPin, ...] = ()
    cells: tuple[Cell, ...] = ()
    housekeeping: CPUSet = CPUSet()
    spare: CPUSet = CPUSet()
    score: Score | None = None
    proof: Proof | None = None
    degraded: bool = False
    warnings: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    shared: tuple[SharedPin, ...] = ()
    # CPUs for vhost's threads alone; none where they run with the emulator.
    vhost: CPUSet = CPUSet()

    @property
    def launcher(self) -> CPUSet:
        """The CPUs for the launcher's own threads: the emulator's, or the IOThread pool's if that spares the vCPUs."""
        pinned = CPUSet.of(pin.cpu for pin in self.vcpus)
        apart = (self.housekeeping - pinned - self.vhost) or self.housekeeping - pinned
        return apart if apart and self.emulator & pinned else self.emulator

    def vcpu_cpus(self, vcpu: int) -> CPUSet:
        """Return the CPUs that this vCPU's thread may run on; the whole cpuset where nothing is pinned one to one."""
        for pin in self.vcpus:
            if pin.vcpu == vcpu:
                return CPUSet.of((pin.cpu,))
        return next((pin.cpus for pin in self.shared if pin.vcpu == vcpu), self.cpuset)

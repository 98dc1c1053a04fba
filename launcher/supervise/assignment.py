"""The assignment: what one supervisor is responsible for, and the edges of the machine that it works through."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Machine
from launcher.planner.model import Pinning
from launcher.supervise.device_watch import HeldDevice
from launcher.supervise.exclusivity import Grade
from launcher.supervise.greeter import Visit
from launcher.supervise.snapshot import StartUpPhase


class DriftPolicy(StrEnum):
    """What to do about a thread that no longer runs where it was planned."""

    REPAIR = "repair"
    REPORT = "report"
    FAIL = "fail"
    OFF = "off"


class AllowedSource(Protocol):
    """Where the CPUs that may be used are read again and again."""

    def read(self) -> AllowedCPUs:
        """Return the CPUs that may be used now; raises HostError where they cannot be read."""

    def has_changed(self) -> bool:
        """Tell by a glance whether `read` may return others than it did last."""

    def close(self) -> None:
        """Let go of what is kept open for glances."""


class Assignment(Struct, frozen=True, kw_only=True):
    """What one supervisor is responsible for, and the edges that it works through.

    `allowed` looks at the cpuset as it is now. `replan` finds a plan for a changed cpuset, `record` turns it into
    the metadata that the domain keeps, `grade` tells how sure it is that these CPUs are ours alone, and `read_time` how
    many CPUs' time there is, None where that is not known. `reconnect` opens the lost connection again and finds the
    machine behind it; None where that is not possible yet. `on_agent` is called outside of the loop whenever the
    guest's agent has come, and again, as another visit, while it says that not all is done. `devices` are the host's
    that QEMU has.
    """

    namespace: str
    name: str
    virt_type: str
    machine: Machine
    process: QEMUProcess
    pinning: Pinning
    vcpus: int
    allowed: AllowedSource
    replan: Callable[[Pinning, AllowedCPUs], Pinning]
    record: Callable[[Pinning], str]
    grade: Callable[[CPUSet], Grade]
    reconnect: Callable[[], Machine | None]
    drift_policy: DriftPolicy = DriftPolicy.REPAIR
    start_up: tuple[StartUpPhase, ...] = ()
    memory_bytes: int = 0
    agent_connected: bool = False
    read_time: Callable[[], int | None] = lambda: None
    on_agent: Callable[[Machine, Visit], bool] | None = None
    devices: tuple[HeldDevice, ...] = ()
    starts_paused: bool = False

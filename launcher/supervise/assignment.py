"""The assignment: what one supervisor is responsible for, and the edges of the machine that it works through."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Machine
from launcher.planner.model import Pinning
from launcher.supervise.exclusivity import Grade
from launcher.supervise.snapshot import StartUpPhase


class DriftPolicy(StrEnum):
    """What to do about a thread that no longer runs where it was planned."""

    REPAIR = "repair"
    REPORT = "report"
    FAIL = "fail"
    OFF = "off"


class Assignment(Struct, frozen=True, kw_only=True):
    """What one supervisor is responsible for, and the edges that it works through.

    `read_allowed` looks at the cpuset as it is now. `replan` finds a plan for a changed cpuset, `record` turns it into
    the metadata that the domain keeps, and `grade` tells how sure it is that these CPUs are ours alone. `reconnect`
    opens the lost connection again and finds the machine behind it; None where that is not possible yet.
    """

    namespace: str
    name: str
    virt_type: str
    machine: Machine
    process: QEMUProcess
    pinning: Pinning
    vcpus: int
    read_allowed: Callable[[], AllowedCPUs]
    replan: Callable[[Pinning, AllowedCPUs], Pinning]
    record: Callable[[Pinning], str]
    grade: Callable[[CPUSet], Grade]
    reconnect: Callable[[], Machine | None]
    drift_policy: DriftPolicy = DriftPolicy.REPAIR
    start_up: tuple[StartUpPhase, ...] = ()
    memory_bytes: int = 0
    agent_connected: bool = False

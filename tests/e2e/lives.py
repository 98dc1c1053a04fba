"""One guest's life in a container that outlives its launchers, and what the kernel shows of it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from launcher.cpuset import CPUSet
from tests.e2e.containers import PATIENCE_S, USER, Container, Group, wait_until
from tests.e2e.kernel import Thread, arguments_of, cpus_in, threads_of
from tests.observability.clients import fetch
from tests.qemu.guests import Launcher

T = TypeVar("T")

PORT = 8080
# The guest is off at once when it is asked; on a busy machine that takes a while.
GRACE_S = 180
# Where a Pod's container has its manifest and the launcher's root (launcher.pod).
_MANIFEST = Path("/etc/virt-launcher/vmi.yaml")
_ROOT = Path("/run/virt-launcher")
# Process 1 of the container: reaps orphans, and stays when a launcher is killed.
INIT = ("catatonit", "-P")
_JOIN = 'echo 0 >"$0/cgroup.procs" && exec "$@"'
_VCPU = re.compile(r"CPU (\d+)/(TCG|KVM)")
_CLONE_NEWNET = 0x40000000


class Times(Struct, frozen=True, kw_only=True):
    """How long a thread has run and has waited for a CPU, in seconds (/proc/<pid>/task/<tid>/schedstat)."""

    ran_s: float
    waited_s: float

    def since(self, before: Times) -> Times:
        """Return what came to it since then."""
        return Times(ran_s=self.ran_s - before.ran_s, waited_s=self.waited_s - before.waited_s)

    @property
    def waiting(self) -> float:
        """The part of the time that it wanted to run in which it had to wait, 0 to 1."""
        return self.waited_s / (self.ran_s + self.waited_s)


class Life:
    """A guest under a launcher that may be killed and started again; of its threads it tells the kernel's word."""

    def __init__(self, container: Container, *, has_kvm: bool) -> None:
        """Take a container whose process 1 is `INIT`; its loopback is brought up, as by a runtime."""
        self.container = container
        self.has_kvm = has_kvm
        self.group: Group = container.group
        self.given = CPUSet.of(self.group.cpus)
        wait_until(lambda: bool(self._processes(_is_init)), "the container has its process 1")
        subprocess.run([*self._enter("--net"), "ip", "link", "set", "lo", "up"], check=True)
        self.launcher: Launcher

    @property
    def init_pid(self) -> int:
        """Process 1 of the container, by its pid on the node."""
        (pid,) = self._processes(_is_init)
        return pid

    @property
    def launcher_pid(self) -> int:
        """The launcher, by its pid on the node."""
        (pid,) = self._processes(_is_launcher)
        return pid

    @property
    def qemu_pid(self) -> int:
        """The guest's QEMU, by its pid on the node."""
        (pid,) = self._processes(_is_guest)
        return pid

    def _processes(self, is_wanted: Callable[[list[str]], bool]) -> tuple[int, ...]:
        return tuple(pid for pid in self.group.pids if is_wanted(arguments_of(pid)))

    def start(self, *arguments: str) -> Launcher:
        """Start a launcher in the container, over the container's root."""
        listen = ("--listen", f":{PORT}", "--virt-type", "kvm" if self.has_kvm else "qemu")
        settings = (*listen, "--grace-period", str(GRACE_S))
        self.launcher = Launcher(_MANIFEST, _ROOT, (*settings, *arguments), {}, self._inside())
        return self.launcher

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `kubectl exec` does, to its end."""
        return subprocess.run([*self._inside(), *words], capture_output=True, text=True, check=False)

    def _inside(self) -> tuple[str, ...]:
        rights = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs")
        return (
            *("sh", "-c", _JOIN, str(self.group.folder)),
            *self._enter("--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup"),
            *(*rights, "--inh-caps=-all", "--bounding-set=-all", "--"),
        )

    def _enter(self, *namespaces: str) -> tuple[str, ...]:
        return ("nsenter", "--target", str(self.init_pid), *namespaces, "--")

    def kill_launcher(self) -> None:
        """Kill the launcher as the kernel's memory killer does, and wait until it is gone."""
        os.kill(self.launcher_pid, signal.SIGKILL)
        self.launcher.wait(PATIENCE_S)

    @contextmanager
    def launcher_at_a_stand(self) -> Iterator[None]:
        """Stop the launcher for a while, and nsenter with it, which follows what it has started."""
        os.kill(self.launcher_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in (self.launcher_pid, self.launcher.process.pid):
                os.kill(pid, signal.SIGCONT)

    def get(self, path: str) -> str:
        """Return a page of the launcher's, asked for in the container's network."""
        return _in_network(self.init_pid, lambda: fetch(("127.0.0.1", PORT), path)).content.decode()

    def status(self) -> dict[str, Any]:
        """Return the launcher's own word, /status."""
        status: dict[str, Any] = json.loads(self.get("/status"))
        return status

    def condition(self, type_: str) -> tuple[str, str]:
        """Return the status and the reason of one condition."""
        (found,) = (condition for condition in self.status()["conditions"] if condition["type"] == type_)
        return found["status"], found["reason"]

    def metric(self, name: str, **labels: str) -> float:
        """Return one value of /metrics."""
        (value,) = self._values(name, labels)
        return value

    def _values(self, name: str, labels: dict[str, str]) -> tuple[float, ...]:
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = (sample for family in families for sample in family.samples)
        return tuple(
            float(sample.value)
            for sample in samples
            if sample.name == f"virt_launcher_{name}" and sample.labels == labels
        )

    def vcpus(self) -> dict[int, Thread]:
        """Return the threads of the vCPUs by their numbers."""
        return vcpus_of(self.qemu_pid)

    def others(self) -> tuple[Thread, ...]:
        """Return QEMU's other threads: its main one, IOThreads and workers."""
        return tuple(thread for thread in threads_of(self.qemu_pid) if not _VCPU.fullmatch(thread.name))

    def thread(self, name: str) -> Thread:
        """Return one thread of QEMU by its name; `emulator` is the first one, `vCPU 1` that vCPU's."""
        if name == "emulator":
            return next(thread for thread in threads_of(self.qemu_pid) if thread.tid == thread.pid)
        if name.startswith("vCPU "):
            return self.vcpus()[int(name.removeprefix("vCPU "))]
        (found,) = (thread for thread in threads_of(self.qemu_pid) if thread.name == name)
        return found

    def cpus_of_vcpus(self) -> dict[int, frozenset[int]]:
        """Return the affinity of each vCPU."""
        return {number: thread.allowed for number, thread in self.vcpus().items()}

    def faults(self, vcpus_on_a_cpu: int = 1) -> list[str]:
        """Say what is not as any plan over the container's cpuset would have it; nothing where all is well."""
        vcpus = self.cpus_of_vcpus()
        taken = [cpu for cpus in vcpus.values() for cpu in cpus]
        own = (*self.others(), *threads_of(self.launcher_pid))
        return [
            *(f"vCPU {vcpu} has the CPUs {sorted(cpus)}" for vcpu, cpus in vcpus.items() if len(cpus) != 1),
            *(f"{cpu} carries {taken.count(cpu)} vCPUs" for cpu in set(taken) if taken.count(cpu) > vcpus_on_a_cpu),
            *(f"CPU {cpu} is not the container's" for cpu in set(taken) - self.group.cpus),
            *(_misplaced(own, frozenset(taken), self.group.cpus)),
        ]

    def settle(self) -> None:
        """Wait until every thread is where a plan says, and the launcher knows the cpuset as it is now."""
        wait_until(
            lambda: not self.faults() and self._known_cpus() == self.group.cpus, "every thread is where a plan says"
        )

    def _known_cpus(self) -> frozenset[int]:
        return cpus_in(self.status().get("cpuset", {}).get("cpus", ""))

    def wait_for_a_look(self) -> None:
        """Wait until the launcher has looked at all of cpuset and threads after this moment, and found all well."""
        # The first one to end may have begun before.
        self._wait_for_a_verdict()
        self._wait_for_a_verdict()

    def _wait_for_a_verdict(self) -> None:
        before_s = self._verified_s()
        wait_until(lambda: self._verified_s() > before_s, "the launcher has looked again and found all well")

    def _verified_s(self) -> float:
        """Return when the launcher found all well last; 0 while it does not."""
        return max(self._values("pinning_verified_time_seconds", {}), default=0.0)

    def restore(self) -> None:
        """Give the container its first cpuset back."""
        self.group.write(self.given)
        self.settle()


def vcpus_of(qemu_pid: int) -> dict[int, Thread]:
    """Return the threads of a guest's vCPUs by their numbers."""
    named = ((_VCPU.fullmatch(thread.name), thread) for thread in threads_of(qemu_pid))
    found = {int(match[1]): thread for match, thread in named if match}
    return dict(sorted(found.items()))


def press(container: Container, key: str) -> None:
    """Press a key on the serial console of the container's guest."""
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(container.root / "run/serial0.sock"))
        console.sendall(key.encode())


def console_of(container: Container) -> str:
    """Return what the container's guest has said on its serial console."""
    (log,) = (container.root / "log").glob("*-serial0.log")
    return log.read_text(errors="replace")


def times_of(thread: Thread) -> Times:
    """Return the thread's times until now."""
    ran, waited, _slices = Path(f"/proc/{thread.pid}/task/{thread.tid}/schedstat").read_text().split()
    return Times(ran_s=int(ran) / 1e9, waited_s=int(waited) / 1e9)


def _misplaced(threads: Iterable[Thread], taken: frozenset[int], cpuset: frozenset[int]) -> list[str]:
    """Say which threads may run on a vCPU's CPU, where there are others, or outside of the container's CPUs."""
    allowed = (cpuset - taken) or cpuset
    return [
        f"{thread.name} ({thread.tid}) may run on {sorted(thread.allowed)}, not on {sorted(allowed)} alone"
        for thread in threads
        if not thread.allowed <= allowed
    ]


def _is_init(arguments: list[str]) -> bool:
    return arguments[:1] == [INIT[0]]


def _is_launcher(arguments: list[str]) -> bool:
    return arguments[1:4] == ["-m", "launcher", "run"]


def _is_guest(arguments: list[str]) -> bool:
    """Tell QEMU with a guest from one that libvirt only asks for its capabilities."""
    return arguments[:1] == ["/usr/bin/qemu-system-x86_64"] and any(word.startswith("guest=") for word in arguments)


def _in_network(pid: int, call: Callable[[], T]) -> T:
    """Make a call in the network namespace of a process: a namespace is a thread's own (setns(2))."""
    found: list[T] = []

    def enter() -> None:
        with Path(f"/proc/{pid}/ns/net").open("rb") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns to the network of process {pid}")
        found.append(call())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found, f"no answer in the network of process {pid}"
    return found[0]

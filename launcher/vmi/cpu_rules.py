"""The admission rules of the guest's CPUs: their number, their placement, and what depends on that.

Source: KubeVirt's admission webhook, pkg/virt-api/webhooks/validating-webhook/admitters/vmi-create-admitter.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.quantity import Quantity
from launcher.vmi.fieldpath import child, show
from launcher.vmi.guest import IOThreadsPolicy, Topology
from launcher.vmi.mixed import MAX_VCPUS, is_mixed
from launcher.vmi.realtime import parse_mask
from launcher.vmi.rules import Rule, Subject
from launcher.vmi.schema import DomainSpec
from launcher.vmi.size import LIMITS, REQUESTS, given, has_topology, topology_of

# POWER's SMT-8, the most threads a core of any host has: more cannot be placed on one.
MAX_THREADS = 8
# QEMU starts a thread and libvirt an object for each; no machine has this many CPUs to spare for them.
MAX_POOL_IOTHREADS = 1024

CPU = "spec.domain.cpu"
DEDICATED = f"{CPU}.dedicatedCpuPlacement"
_PASSTHROUGH = f"{CPU}.numa.guestMappingPassthrough"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


def _size(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    topology = topology_of(domain)
    if topology is not None and topology.vcpus > MAX_VCPUS:
        where = (
            CPU if has_topology(domain.cpu) else f"{LIMITS if given(domain.resources.limits, 'cpu') else REQUESTS}.cpu"
        )
        yield Fault(where, f"{_described(topology)} are more than {MAX_VCPUS}, the most that KVM can have")


def _described(topology: Topology) -> str:
    if topology.cores == topology.threads == 1:
        return f"{topology.vcpus} vCPUs"
    return f"{topology.vcpus} vCPUs (sockets {topology.sockets} x cores {topology.cores} x threads {topology.threads})"


def _max_sockets(subject: Subject) -> Iterator[Fault]:
    cpu = subject.vmi.spec.domain.cpu
    if cpu.max_sockets and cpu.sockets > cpu.max_sockets:
        yield Fault(f"{CPU}.sockets", f"{cpu.sockets} is more than {CPU}.maxSockets, {cpu.max_sockets}")


def _threads(subject: Subject) -> Iterator[Fault]:
    threads = subject.vmi.spec.domain.cpu.threads
    if subject.arch == "aarch64" and threads > 1:
        yield Fault(f"{CPU}.threads", f"{threads} is more than 1; a core of an arm64 guest has one thread")
    elif threads > MAX_THREADS:
        yield Fault(f"{CPU}.threads", f"{threads} is more than {MAX_THREADS}, the most that a core of any host has")


def _model(subject: Subject) -> Iterator[Fault]:
    model = subject.vmi.spec.domain.cpu.model
    if model is not None and not _MODEL.fullmatch(model):
        yield Fault(f"{CPU}.model", f"{show(model)} is not host-passthrough, host-model or the name of a CPU model")


def _amounts(subject: Subject) -> Iterator[Fault]:
    """Requests and limits: none is negative, and no request is above its limit."""
    domain = subject.vmi.spec.domain
    requests, limits = domain.resources.requests, domain.resources.limits
    for where, amounts in ((REQUESTS, requests), (LIMITS, limits)):
        for resource, amount in amounts.items():
            if amount < Quantity():
                yield Fault(child(where, resource), f"{amount} is negative")
    for resource, request in requests.items():
        limit = given(limits, resource)
        if limit is not None and request > limit and not domain.cpu.dedicated_cpu_placement:
            yield Fault(child(REQUESTS, resource), f"{request} is more than {child(LIMITS, resource)}, {limit}")


def _dedicated_amounts(subject: Subject) -> Iterator[Fault]:
    """Dedicated CPUs come only to a Guaranteed Pod with whole CPUs: requests and limits are equal."""
    domain = subject.vmi.spec.domain
    if not domain.cpu.dedicated_cpu_placement:
        return
    for where, amounts in ((REQUESTS, domain.resources.requests), (LIMITS, domain.resources.limits)):
        cpus = given(amounts, "cpu")
        if cpus is not None and not cpus.is_whole:
            yield Fault(f"{where}.cpu", f"{cpus} is not a whole number; dedicated CPUs are whole")
    for resource in ("cpu", "memory"):
        request, limit = given(domain.resources.requests, resource), given(domain.resources.limits, resource)
        if request is not None and limit is not None and request != limit:
            yield Fault(
                f"{REQUESTS}.{resource}",
                f"{request} differs from {LIMITS}.{resource}, {limit}; with dedicated CPUs they must be equal",
            )


def _dedicated_size(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    topology = topology_of(domain)
    if not domain.cpu.dedicated_cpu_placement or topology is None or not has_topology(domain.cpu):
        return
    if is_mixed(subject.vmi):
        return
    for where, amounts in ((REQUESTS, domain.resources.requests), (LIMITS, domain.resources.limits)):
        cpus = given(amounts, "cpu")
        if cpus is not None and cpus.is_whole and cpus != Quantity.of_units(topology.vcpus):
            yield Fault(f"{where}.cpu", f"{cpus} differs from the size of {CPU}, {_described(topology)}")


def _needs_dedicated(subject: Subject) -> Iterator[Fault]:
    cpu = subject.vmi.spec.domain.cpu
    if cpu.dedicated_cpu_placement:
        return
    needing = {
        f"{CPU}.isolateEmulatorThread": cpu.isolate_emulator_thread,
        _PASSTHROUGH: _passes_numa_through(subject.vmi.spec.domain),
        f"{CPU}.realtime": cpu.realtime is not None,
    }
    for path, is_set in needing.items():
        if is_set:
            yield Fault(path, f"needs {DEDICATED}: true")


def _passes_numa_through(domain: DomainSpec) -> bool:
    return domain.cpu.numa is not None and domain.cpu.numa.guest_mapping_passthrough is not None


def _realtime(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    if domain.cpu.realtime is None:
        return
    if not _passes_numa_through(domain):
        yield Fault(f"{CPU}.realtime", f"needs {_PASSTHROUGH}")
    topology = topology_of(domain)
    if topology is None or topology.vcpus > MAX_VCPUS:
        return
    try:
        parse_mask(domain.cpu.realtime.mask, topology.vcpus)
    except ValueError as error:
        yield Fault(f"{CPU}.realtime.mask", str(error))


def _iothreads(subject: Subject) -> Iterator[Fault]:
    domain = subject.vmi.spec.domain
    count = domain.io_threads.supplemental_pool_thread_count
    if domain.io_threads_policy is IOThreadsPolicy.SUPPLEMENTAL_POOL:
        if not count:
            yield Fault(
                _POOL_SIZE, f"{'missing' if count is None else count}; ioThreadsPolicy supplementalPool needs 1 or more"
            )
        elif count > MAX_POOL_IOTHREADS:
            yield Fault(_POOL_SIZE, f"{count} is more than {MAX_POOL_IOTHREADS}")


_POOL_SIZE = "spec.domain.ioThreads.supplementalPoolThreadCount"
_TOPOLOGY = (f"{CPU}.sockets", f"{CPU}.cores", f"{CPU}.threads")
_SIZE = (*_TOPOLOGY, f"{LIMITS}.cpu", f"{REQUESTS}.cpu")

CPU_RULES = (
    Rule(reads=_SIZE, check=_size),
    Rule(reads=(f"{CPU}.sockets", f"{CPU}.maxSockets"), check=_max_sockets),
    Rule(reads=(f"{CPU}.threads", "spec.architecture"), check=_threads),
    Rule(reads=(f"{CPU}.model",), check=_model),
    Rule(reads=(DEDICATED,), check=_amounts),
    Rule(reads=(DEDICATED,), check=_dedicated_amounts),
    Rule(reads=(*_SIZE, DEDICATED), check=_dedicated_size),
    Rule(reads=(DEDICATED, f"{CPU}.isolateEmulatorThread", f"{CPU}.numa", f"{CPU}.realtime"), check=_needs_dedicated),
    Rule(reads=(f"{CPU}.realtime", f"{CPU}.numa", *_SIZE), check=_realtime),
    Rule(reads=("spec.domain.ioThreadsPolicy", _POOL_SIZE), check=_iothreads),
)

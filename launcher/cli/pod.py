"""The verb `pod`: the manifest of the launcher's Pod, with the guest's manifest in a ConfigMap beside it."""

from __future__ import annotations

import os
from argparse import Namespace

from msgspec.structs import replace

from launcher.cli.choice import choice_of
from launcher.cli.here import native_arch
from launcher.cli.kubelet import kubelet_options
from launcher.cli.machine import check_cpuset_options, host_of, is_host_described, is_kubelet_simulated
from launcher.cli.notes import note
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus
from launcher.kubelet.admission import container_cpuset
from launcher.planner.plan import plan
from launcher.pod.manifest import PodManifest, pod_manifest, pod_requests
from launcher.pod.metadata import CONTAINER
from launcher.pod.options import PodOptions, Runtime
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted


def run(options: Namespace) -> ExitStatus:
    """Print ConfigMap and Pod as one YAML stream for `kubectl apply -f -`."""
    document = read_document(options.vmi, choice_of(options))
    manifest = admitted(document, arch=native_arch())
    pod = pod_manifest(replace(document, root=manifest.root), manifest, _choices(options))
    _check_fit(options, manifest.guest, pod)
    note(manifest.guest)
    for warning in pod.warnings:
        complain(f"virt-launcher: warning: {warning}")
    show(pod.to_yaml(explain=options.explain), end="")
    return ExitStatus.POWERED_OFF


def _choices(options: Namespace) -> PodOptions:
    return PodOptions(
        image=options.image,
        kvm_resource=None if options.virt_type == "qemu" else options.kvm_resource,
        vcpus_per_cpu=options.cpu_allocation_ratio,
        cache_folder=options.cache_folder,
        block_volumes=frozenset(options.block_volume),
        image_volumes=options.image_volumes,
        layer_size=options.layer_size,
        seccomp_profile=options.seccomp_profile,
        shared_cpus=options.shared_cpus,
        runtime=None if options.runtime is None else Runtime(options.runtime),
        runtime_class=options.runtime_class,
        folder=os.getcwd(),  # noqa: PTH109 - a text, as the manifest's paths are
    )


def _check_fit(options: Namespace, guest: Guest, pod: PodManifest) -> None:
    """Where a node is described, raise as `plan` does if its kubelet refuses this Pod or the guest does not fit."""
    if not is_host_described(options):
        return
    check_cpuset_options(options)
    host, allowed = host_of(options)
    if is_kubelet_simulated(options):
        allowed = container_cpuset(pod_requests(pod.pod), host, kubelet_options(options), container=CONTAINER)
    for warning in allowed.warnings:
        complain(f"virt-launcher: warning: {warning}")
    if options.shared_cpus:
        # Which CPUs the node shares is not described: the emulator, and vCPUs that share, are not on those of its own.
        guest = replace(guest, cpu=replace(guest.cpu, isolate_emulator_thread=False, shared_cpus=0, vhost_cpus=0))
    plan(guest, host, allowed)

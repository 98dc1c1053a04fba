"""The verb `pod`: the manifest of the launcher's Pod, with the guest's manifest in a ConfigMap beside it."""

from __future__ import annotations

import os
from argparse import Namespace

from launcher.cli.machine import host_of, is_host_described, native_arch
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus, UsageError
from launcher.kubelet.admission import container_cpuset
from launcher.kubelet.options import parse_options
from launcher.planner.plan import plan
from launcher.pod.manifest import CONTAINER, PodManifest, pod_manifest, pod_requests
from launcher.pod.options import PodOptions
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted


def run(options: Namespace) -> ExitStatus:
    """Print ConfigMap and Pod as one YAML stream for `kubectl apply -f -`."""
    document = read_document(options.vmi)
    manifest = admitted(document, arch=native_arch())
    pod = pod_manifest(document, manifest, _choices(options))
    _check_fit(options, manifest.guest, pod)
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
        folder=os.getcwd(),  # noqa: PTH109 - a text, as the manifest's paths are
    )


def _check_fit(options: Namespace, guest: Guest, pod: PodManifest) -> None:
    """Where a node is described, raise as `plan` does if its kubelet refuses this Pod or the guest does not fit."""
    if not is_host_described(options):
        return
    if options.cpuset is not None and options.kubelet is not None:
        raise UsageError("--cpuset and --kubelet exclude each other: both say which CPUs the container has")
    host, allowed = host_of(options)
    if options.kubelet is not None:
        allowed = container_cpuset(pod_requests(pod.pod), host, parse_options(options.kubelet), container=CONTAINER)
    plan(guest, host, allowed)

"""What a guest has that a Pod without rights, or one that ends, does not bring along."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.pod.options import PodOptions, Runtime
from launcher.pod.overhead import mebibytes_of
from launcher.pod.security import USER
from launcher.vmi.apic import wide_ids_in_words
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import Attachment, Interface, InterfaceBackend
from launcher.vmi.guest_storage import ContainerPath
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.starvation import starvation

# Where the kubelet looks for profiles that a Pod names (localhostProfile), and where ours is suggested to be.
KUBELET_PROFILES = "/var/lib/kubelet/seccomp"
_SHIPPED = "virt-launcher/memory-policy.json"


def warnings(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions) -> tuple[str, ...]:
    """Return a sentence for everything that needs more than the manifest of the Pod can say."""
    return (
        *_of_volumes(vmi),
        *_of_shared_folders(guest),
        *_of_runtime(guest, options),
        *_of_numa(guest, options),
        *_of_state(guest),
        *_of_network(guest),
        *_of_realtime(guest),
        *_of_devices(guest),
        *_of_functions(guest),
        *_of_emulation(guest, options),
    )


def _of_state(guest: Guest) -> Iterator[str]:
    kept = [
        name
        for name, is_kept in (
            ("the TPM's state", guest.peripherals.tpm is not None and guest.peripherals.tpm.persistent),
            ("UEFI's variables", guest.board.keeps_variables),
        )
        if is_kept
    ]
    if kept:
        yield f"{' and '.join(kept)} are to be kept, but end with the Pod: its root folder is an emptyDir"


def _of_network(guest: Guest) -> Iterator[str]:
    for card in guest.peripherals.interfaces:
        if card.attachment is not None:
            yield _of_attachment(card, card.attachment)
        if card.backend is InterfaceBackend.PASST:
            yield (
                f"interface {card.name}: passt makes a user namespace, which RuntimeDefault's seccomp profile denies "
                "on many container runtimes; slirp needs none"
            )


def _of_attachment(card: Interface, attachment: Attachment) -> str:
    network = f"interface {card.name}: the NetworkAttachmentDefinition {attachment.qualified_name}"
    if card.backend is InterfaceBackend.TAP:
        return f"{network} must make a tap that user {USER} may open, or a macvtap (the CNI plugins tap and macvtap)"
    return (
        f"{network} connects the guest wholly where it makes a tap that user {USER} may open, or a macvtap (the CNI "
        "plugins tap and macvtap); on any other device passt carries TCP, UDP and ping by the device's address"
    )


def _of_realtime(guest: Guest) -> Iterator[str]:
    starved = starvation(guest)
    if starved is not None:
        yield starved
    if guest.cpu.realtime_vcpus is not None:
        yield (
            "realtime: the image's init and Python must be permitted SYS_NICE (setcap cap_sys_nice=p), as those of "
            "`make image` are, for a user other than root does not inherit it; the container runtime must leave locked "
            "memory without a limit (RLIMIT_MEMLOCK), for libvirt could not lift one"
        )


def _of_devices(guest: Guest) -> Iterator[str]:
    if guest.host_devices:
        most = mebibytes_of(guest.memory.guest_bytes + (1 << 30))
        yield (
            f"devices of the host: VFIO locks the guest's memory and 1 GiB more, {most} MiB in all; the container "
            "runtime must let it (RLIMIT_MEMLOCK: LimitMEMLOCK of the runtime's service), for no Pod can ask for that"
        )


def _of_functions(guest: Guest) -> Iterator[str]:
    for request in guest.host_devices:
        if request.attachment is not None and not request.resource:
            yield (
                f"interface {request.name}: which resource network {request.attachment.name} takes its virtual "
                "functions from is not known here, and the Pod asks for none: put its NetworkAttachmentDefinition "
                "beside the machine, or name the resource in resources.requests"
            )


def _of_runtime(guest: Guest, options: PodOptions) -> Iterator[str]:
    """Say what else makes the annotations of quiet CPUs true, or that there are none."""
    if not guest.cpu.dedicated or options.runtime is None:
        return
    if options.runtime is Runtime.CONTAINERD:
        yield (
            "--runtime containerd: it has no annotation that keeps CPUs quiet, and the Pod has none: isolate CPUs on "
            "the node (isolcpus, irqaffinity, the CPU governor); `virt-launcher host --advice` there names what is "
            "missing"
        )
    elif options.runtime_class is None:
        yield (
            "--runtime crio: CRI-O minds the annotations of quiet CPUs in a RuntimeClass alone whose handler's name "
            "has high-performance in it and allows them (allowed_annotations), such as OpenShift's "
            "performance-PROFILE: name it with --runtime-class"
        )


def _of_numa(guest: Guest, options: PodOptions) -> Iterator[str]:
    if guest.cpu.numa_passthrough and guest.cpu.realtime_vcpus is None and options.seccomp_profile is None:
        yield (
            "numa.guestMappingPassthrough: the Pod has SYS_NICE, for the default seccomp profiles of containerd, CRI-O "
            "and Docker allow mbind and set_mempolicy with it alone; a profile of the node's own that allows these two "
            "does without (--seccomp-profile; templates/seccomp/memory-policy.json is one)"
        )


def memory_policy_in_words(guest: Guest, options: PodOptions) -> Iterator[str]:
    """Say what each runtime needs so that the guest's memory can be bound to nodes."""
    if not guest.cpu.numa_passthrough:
        return
    calls = "get_mempolicy, mbind and set_mempolicy"
    if options.seccomp_profile is not None:
        yield f"memory bound to nodes: {KUBELET_PROFILES}/{options.seccomp_profile} on each node has to allow {calls}"
        return
    yield f"memory bound to nodes: RuntimeDefault allows {calls} for SYS_NICE in the bounding set"
    if guest.cpu.realtime_vcpus is not None:
        return
    yield f"{'':10}  without it: templates/seccomp/memory-policy.json, on each node as"
    yield f"{'':10}  {KUBELET_PROFILES}/{_SHIPPED} (any runtime), and"
    yield f"{'':10}  --seccomp-profile {_SHIPPED}; podman and docker run: --security-opt seccomp=FILE"


def _of_shared_folders(guest: Guest) -> Iterator[str]:
    for shared in guest.shared_folders:
        path = f" {shared.source.path}, which nothing here mounts," if isinstance(shared.source, ContainerPath) else ""
        yield (
            f"filesystem {shared.name}:{path} is shared by virtiofsd, which the image must hold in a version that "
            "needs no privilege (virtiofsd 1.x; QEMU 7.2's own needs root)"
        )


def _of_volumes(vmi: VirtualMachineInstance) -> Iterator[str]:
    for volume in vmi.spec.volumes:
        if volume.memory_dump is not None:
            yield (
                f"volume {volume.name}: KubeVirt dumps a guest's memory into this claim when it is asked to; here "
                "nobody does, and the Pod does not mount it"
            )


def _of_emulation(guest: Guest, options: PodOptions) -> Iterator[str]:
    wide = wide_ids_in_words(guest, is_emulated=options.is_emulated)
    if wide is not None:
        yield wide
    if options.is_emulated and guest.cpu.realtime_vcpus is not None:
        yield "realtime: emulated CPUs keep no deadline"

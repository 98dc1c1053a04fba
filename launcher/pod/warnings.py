"""What a guest has that a Pod without rights, or one that ends, does not bring along."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.pod.options import PodOptions
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import InterfaceBackend


def warnings(guest: Guest, options: PodOptions) -> tuple[str, ...]:
    """Return a sentence for everything that needs more than the manifest of the Pod can say."""
    return (*_of_state(guest), *_of_network(guest), *_of_realtime(guest), *_of_emulation(guest, options))


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
        if card.backend is InterfaceBackend.BRIDGE:
            yield f"interface {card.name}: joining a bridge needs NET_ADMIN, which the Pod has not; use passt, or a tap"
        if card.backend is InterfaceBackend.PASST:
            yield (
                f"interface {card.name}: passt makes a user namespace, which RuntimeDefault's seccomp profile denies "
                "on many container runtimes; slirp needs none"
            )


def _of_realtime(guest: Guest) -> Iterator[str]:
    if guest.cpu.realtime_vcpus is not None:
        yield (
            "realtime: the image's init and Python must be permitted SYS_NICE (setcap cap_sys_nice=p), as those of "
            "`make image` are, for a user other than root does not inherit it; the container runtime must leave locked "
            "memory without a limit (RLIMIT_MEMLOCK), for libvirt could not lift one"
        )


def _of_emulation(guest: Guest, options: PodOptions) -> Iterator[str]:
    if options.is_emulated and guest.cpu.realtime_vcpus is not None:
        yield "realtime: emulated CPUs keep no deadline"

"""The folders that a guest shares over virtiofs: where each is, and the socket at which its daemon is to be found."""

from __future__ import annotations

from posixpath import join
from typing import assert_never

from msgspec import Struct

from launcher.errors import Fault, InvalidVMI
from launcher.storage.files import is_folder
from launcher.storage.layout import Mounts
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import Claim, ContainerPath, MountedFolder, SharedFolder


class Share(Struct, frozen=True, kw_only=True):
    """One shared folder: the tag by which the guest mounts it, the folder, and its daemon's socket."""

    tag: str
    folder: str
    socket: str


def shares_of(guest: Guest, mounts: Mounts, socket_folder: str) -> tuple[Share, ...]:
    """Return where each shared folder is, in order; a socket's name is short, for its path may not be long."""
    return tuple(
        Share(tag=one.name, folder=_folder(one, mounts), socket=join(socket_folder, f"fs{index}.sock"))
        for index, one in enumerate(guest.shared_folders)
    )


def _folder(shared: SharedFolder, mounts: Mounts) -> str:
    match shared.source:
        case Claim():
            return join(mounts.claims, shared.name)
        case MountedFolder(kind=kind):
            return mounts.folder_of(kind, shared.name)
        case ContainerPath(path=path):
            return path
        case _:
            assert_never(shared.source)


def check_shares(guest: Guest, shares: tuple[Share, ...]) -> None:
    """Raise InvalidVMI with every folder that is not there."""
    faults = [
        Fault(
            f"spec.volumes[{share.tag}]", f"{share.folder!r} is no folder: is the volume mounted, and no block device?"
        )
        for share in shares
        if not is_folder(share.folder)
    ]
    if faults:
        raise InvalidVMI(f"VMI {guest.namespace}/{guest.name}", faults)

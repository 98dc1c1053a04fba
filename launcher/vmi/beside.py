"""ConfigMaps and Secrets beside a machine that names them: what a guest gets where no Pod mounts them.

Loaded only for a manifest with companions. In a Pod the kubelet mounts them, and that counts: they are not sent along.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator

from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.fieldpath import child
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import BesideObject, CloudInit, FolderKind, MountedFolder
from launcher.vmi.manifest import Companion, Document, mapping_at
from launcher.vmi.network_definitions import namespace_of

CONFIG_MAP, SECRET = "ConfigMap", "Secret"
# Where each kind has text, and where it has base64.
_TEXTS = {CONFIG_MAP: "data", SECRET: "stringData"}
_CODED = {CONFIG_MAP: "binaryData", SECRET: "data"}
_KINDS = {
    FolderKind.CONFIG_MAP: (CONFIG_MAP,),
    FolderKind.SECRET: (SECRET,),
    # The manifest says which of them; the guest does not know it any more, and only one is there.
    FolderKind.SYSPREP: (CONFIG_MAP, SECRET),
}


def with_beside(guest: Guest, document: Document) -> Guest:
    """Return the guest with the ConfigMaps and Secrets that it names and that stand beside it.

    Raises InvalidVMI where one that it names holds no base64 where it should.
    """
    wanted, own = set(_named(guest)), namespace_of(document)
    found = tuple(
        BesideObject(kind=one.kind, name=one.name, files=tuple(sorted(_files(one))))
        for one in document.companions
        if (one.kind, one.name) in wanted and one.namespace in ("", own)
    )
    return replace(guest, beside=found) if found else guest


def _named(guest: Guest) -> Iterator[tuple[str, str]]:
    for disk in guest.disks:
        match disk.volume:
            case CloudInit(user_data_secret=user, network_data_secret=network, key_secrets=keys):
                yield from ((SECRET, name) for name in (user, network, *keys) if name is not None)
            case MountedFolder(kind=kind, object_name=str(name)) if kind in _KINDS:
                yield from ((one, name) for one in _KINDS[kind])
            case _:
                pass
    yield from ((SECRET, credential.secret) for credential in guest.credentials)


def _files(companion: Companion) -> Iterator[tuple[str, bytes]]:
    texts, coded = _TEXTS[companion.kind], _CODED[companion.kind]
    given = {name: text for name, text in mapping_at(companion.root, texts).items() if isinstance(text, str)}
    yield from ((name, text.encode()) for name, text in given.items())
    for name, text in mapping_at(companion.root, coded).items():
        if name not in given:
            yield name, _decoded(companion, child(coded, name), text)


def _decoded(companion: Companion, path: str, text: object) -> bytes:
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except (Error, ValueError) as error:
        raise InvalidVMI(companion.source, [Fault(path, "is not base64; text belongs below stringData")]) from error

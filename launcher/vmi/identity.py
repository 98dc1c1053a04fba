"""What a guest is known by where its manifest leaves that open: the same at each start, without an API server."""

from __future__ import annotations

# hashlib and uuid take 4 ms to import, for OpenSSL and for MAC addresses; `random` does the same.
from _sha1 import sha1  # type: ignore[import-not-found] # typeshed has nothing that begins so

from msgspec.structs import replace

from launcher.vmi.schema import VirtualMachineInstanceSpec

# KubeVirt's magicUUID, 6a1a24a1-4061-4607-8bf4-a3963d0c5895 (pkg/virt-controller/watch/vm/firmware.go).
_NAMESPACE = bytes.fromhex("6a1a24a1406146078bf4a3963d0c5895")


def uuid_of(name: str) -> str:
    """Return the firmware's UUID of a machine of this name, as KubeVirt has it for one that was made without.

    KubeVirt draws one for a new machine and keeps it in the manifest, which is the API server's; its old rule needs
    the name alone (CalculateLegacyUUID; the namespace is not in it): version 5 of RFC 9562, by SHA-1.
    """
    data = bytearray(sha1(_NAMESPACE + name.encode()).digest()[:16])
    data[6] = data[6] & 0x0F | 0x50
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def with_serial(spec: VirtualMachineInstanceSpec, name: str) -> VirtualMachineInstanceSpec:
    """Return a VirtualMachine's spec with a serial number: KubeVirt draws one for it, too, but none for an instance."""
    firmware = spec.domain.firmware
    if firmware.serial:
        return spec
    return replace(spec, domain=replace(spec.domain, firmware=replace(firmware, serial=uuid_of(name))))

"""The folders that the guest shares with the Pod, over virtiofs."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add

# KubeVirt's, and the daemon's own most.
_QUEUE = 1024


def fill_filesystems(devices: Element, blueprint: Blueprint) -> None:
    """Write one file system for each shared folder; its daemon waits at its socket already, libvirt starts none."""
    for share in blueprint.shares:
        element = add(devices, "filesystem", type="mount", accessmode="passthrough")
        add(element, "driver", type="virtiofs", queue=_QUEUE)
        add(element, "source", socket=share.socket)
        add(element, "target", dir=share.tag)

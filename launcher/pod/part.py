"""A part of a Pod: volumes, and what the launcher's container and others do with them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

from launcher.vmi.manifest import Value

Tree: TypeAlias = dict[str, Value]


class Part(Struct, frozen=True, kw_only=True):
    """Entries of the Pod's `volumes`, `initContainers` and `imagePullSecrets`, and of the launcher's `volumeMounts`
    and `volumeDevices`, in Kubernetes' own form."""

    volumes: tuple[Tree, ...] = ()
    mounts: tuple[Tree, ...] = ()
    devices: tuple[Tree, ...] = ()
    init_containers: tuple[Tree, ...] = ()
    pull_secrets: tuple[Tree, ...] = ()


def joined(parts: Iterable[Part]) -> Part:
    """Return all parts as one, their entries in order."""
    all_parts = tuple(parts)
    return Part(
        volumes=tuple(chain.from_iterable(part.volumes for part in all_parts)),
        mounts=tuple(chain.from_iterable(part.mounts for part in all_parts)),
        devices=tuple(chain.from_iterable(part.devices for part in all_parts)),
        init_containers=tuple(chain.from_iterable(part.init_containers for part in all_parts)),
        pull_secrets=tuple(chain.from_iterable(part.pull_secrets for part in all_parts)),
    )

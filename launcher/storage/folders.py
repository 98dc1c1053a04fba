"""Folders that the kubelet mounts: the files of a ConfigMap, Secret, downwardAPI volume or ServiceAccount.

Each name in such a folder is a link to ..data/<name>, and ..data to a folder that is replaced whole when the object
changes (Kubernetes, pkg/volume/util/atomic_writer.go): links that stay inside are followed, all others refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from launcher.storage.discs import Files
from launcher.storage.files import Unusable, is_folder, read_inside, resolve_inside

# What a Kubernetes key is made of, and as long as a name on a disc can be (Joliet).
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# As deep as folders can lie on a disc (ISO 9660).
_MAX_DEPTH = 7
# Kubernetes bounds an object to 1 MiB; this bounds what a developer's folder makes the launcher hold.
MAX_DISC_BYTES = 16 << 20


def read_folder(folder: str) -> Files:
    """Read the files below this folder, sorted by their paths; raises Unusable."""
    files: list[tuple[str, bytes]] = []
    left_bytes = MAX_DISC_BYTES
    for path in _paths(folder, ""):
        data = read_inside(folder, path, at_most_bytes=left_bytes)
        left_bytes -= len(data)
        files.append((path, data))
    return tuple(sorted(files))


def _paths(folder: str, below: str) -> Iterator[str]:
    """Yield the paths of all files; names that begin with two dots are the kubelet's own."""
    if below.count("/") >= _MAX_DEPTH:
        raise Unusable(f"{folder!r} has folders more than {_MAX_DEPTH} deep, at {below!r}")
    for name in sorted(os.listdir(resolve_inside(folder, below or "."))):  # noqa: PTH208 - paths stay text
        if name.startswith(".."):
            continue
        if not _NAME.fullmatch(name):
            raise Unusable(f"{folder!r} holds {name!r}; names on a disc are 1 to 64 of A-Z, a-z, 0-9 and ._-")
        path = f"{below}{name}"
        if is_folder(resolve_inside(folder, path)):
            yield from _paths(folder, f"{path}/")
        else:
            yield path

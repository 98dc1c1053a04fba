"""The connection to the hypervisor: the embedded driver over a locked root, or any other libvirt URI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from launcher.hypervisor.binding import check_binding, importing_binding
from launcher.hypervisor.deadline import IsStopping
from launcher.hypervisor.probes import ProbeWatch
from launcher.hypervisor.protocol import Hypervisor, MachineEvent
from launcher.hypervisor.root import LauncherRoot, check_driver_user


@contextmanager
def open_hypervisor(
    root: Path,
    *,
    uri: str | None,
    on_event: Callable[[MachineEvent], None],
    is_stopping: IsStopping | None = None,
    shared_cache: Path | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Hypervisor]:
    """Prepare and lock the root and open libvirt: the embedded driver unless a URI is given. Close both at the end.

    `meanwhile` is done in a thread of its own from the moment on when libvirt is opened.
    """
    check_binding()
    launcher_root = LauncherRoot(root)
    try:
        if uri is None:
            check_driver_user()
            if shared_cache is not None:
                launcher_root.take_cache(shared_cache)
            launcher_root.set_environment()
        with importing_binding():
            from launcher.hypervisor import libvirt_driver  # noqa: PLC0415 - after the environment that libvirt reads

        libvirt_driver.start_event_loop()
        if meanwhile is not None:
            Thread(target=meanwhile, name="meanwhile", daemon=True).start()
        probes = ProbeWatch(launcher_root.path) if uri is None else None
        hypervisor = libvirt_driver.LibvirtHypervisor(uri or launcher_root.uri, on_event, is_stopping, probes)
        try:
            yield hypervisor
        finally:
            hypervisor.close()
    finally:
        launcher_root.close()

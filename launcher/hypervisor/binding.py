"""libvirt's Python binding, which a dry run does without: where it is not here, that is told in one line."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.errors import HypervisorError

# It has no wheel: pip compiles it, with a compiler and libvirt's headers. Debian's is for Debian's own Python.
HOW = "pip install 'virt-launcher[libvirt]' compiles it, Debian's package python3-libvirt has it"


def has_binding() -> bool:
    """Tell whether libvirt's Python binding is installed; it is not imported, for it reads its environment then."""
    return importlib.util.find_spec("libvirt") is not None


@contextmanager
def importing_binding() -> Iterator[None]:
    """Turn what keeps libvirt's binding from being imported into a HypervisorError: it, or its library, is not here."""
    try:
        yield
    except ImportError as error:
        name = error.name or ""
        if not name.startswith("libvirt"):
            raise
        if isinstance(error, ModuleNotFoundError):
            raise _not_installed() from error
        raise HypervisorError(f"libvirt cannot be loaded: {error}; Debian's package libvirt0 has it") from error


def check_binding() -> None:
    """Raise HypervisorError where libvirt's Python binding is not installed, before anything is made for it."""
    if not has_binding():
        raise _not_installed()


def _not_installed() -> HypervisorError:
    return HypervisorError(f"libvirt's Python binding is not installed, and this needs it: {HOW}")

"""The limits of this process (getrlimit(2)) that a run cannot do without, and what it is told where one is met."""

from __future__ import annotations

import errno
import resource

from launcher.errors import HostError

# The launcher, libvirt inside of it and QEMU have each some twenty files and sockets open, and more for each disk.
LEAST_FILES = 64
USUAL_FILES = 1024
# The interpreter and libvirt's library alone have so much mapped; QEMU has the guest's memory beside.
LEAST_ADDRESS_BYTES = 512 << 20

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# What the interpreter and the loader say where there is no room for a thread or for a library.
_WORDS = ("start new thread", "failed to map segment", "annot allocate memory", "annot map zero-fill", "Too many open")


def check_limits() -> None:
    """Raise HostError where a limit leaves no room for a run; open files get their hard limit where that helps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < LEAST_FILES <= hard:
        soft = min(hard, USUAL_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < LEAST_FILES:
        raise HostError(f"RLIMIT_NOFILE is {soft}: a run needs {LEAST_FILES} open files or more (ulimit -n)")
    space, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY and space < LEAST_ADDRESS_BYTES:
        raise HostError(
            f"RLIMIT_AS is {space >> 10} KiB: a run needs {LEAST_ADDRESS_BYTES >> 10} KiB and the guest's memory, "
            "or no limit (ulimit -v)"
        )


def scarcity(error: BaseException) -> HostError | None:
    """Return what to say of an error that comes from such a limit; None for every other."""
    is_scarce = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SCARCE)
    if not is_scarce and not (
        isinstance(error, RuntimeError | ImportError | OSError) and any(word in str(error) for word in _WORDS)
    ):
        return None
    files, space = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS))
    limits = f"RLIMIT_NOFILE is {files}" + ("" if space == resource.RLIM_INFINITY else f", RLIMIT_AS {space >> 10} KiB")
    said = " ".join(str(error).split()) or "no memory"
    return HostError(f"this machine gives the launcher too little: {said} ({limits}; see ulimit)")

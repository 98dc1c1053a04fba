"""What a container may be denied: locked memory and huge pages; what seccomp profiles deny is in tests/qemu."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from launcher.errors import HypervisorError
from launcher.hypervisor.rights import (
    check_huge_page_mount,
    check_locked_memory,
    check_memory_policy,
    check_user_namespace,
)

MIB = 1 << 20
NAMESPACE = Path("/proc/self/ns/user")
CHECKOUT = Path(__file__).parent.parent.parent
MOUNTS = """\
proc /proc proc rw 0 0
none /pages/2M hugetlbfs rw,pagesize=2M 0 0
none /pages/1G hugetlbfs rw,pagesize=1024M 0 0
"""
SIZES = {"/pages/2M": 2 * MIB, "/pages/1G": 1024 * MIB}


def _without_privilege(code: str, *, locked_bytes: int) -> str:
    """Run Python code that may lock so much, and not lift that; return what it prints."""
    command = [sys.executable, "-c", f"from launcher.hypervisor.rights import *\n{code}"]
    if os.geteuid() == 0:
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_resource", "--", *command]
    command = ["prlimit", f"--memlock={locked_bytes}:{locked_bytes}", *command]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    return result.stdout


def test_locked_memory_with_a_limit_that_cannot_be_lifted_is_told_with_the_cure() -> None:
    code = "try:\n    check_locked_memory()\nexcept HypervisorError as error:\n    print(error)"
    assert _without_privilege(code, locked_bytes=8 * MIB) == (
        "realtime: all of QEMU's memory is to be locked, and it may lock 8 MiB (RLIMIT_MEMLOCK): raise the container "
        "runtime's limit (LimitMEMLOCK=infinity in its service, podman's --ulimit memlock=-1), or give the container "
        "the capability SYS_RESOURCE\n"
    )


def test_the_try_leaves_the_limit_as_it_was() -> None:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # Not every root may lift it: that of a user namespace may not.
    with suppress(HypervisorError):
        check_locked_memory()
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before


def test_the_tries_change_nothing_of_this_process() -> None:
    namespace, status = NAMESPACE.readlink(), Path("/proc/self/status").read_text()
    check_memory_policy(os.uname().machine)
    check_memory_policy("vax")
    check_user_namespace("lan")
    assert NAMESPACE.readlink() == namespace
    allowed = [line for line in status.splitlines() if line.startswith("Mems_allowed_list")]
    assert allowed[0] in Path("/proc/self/status").read_text()


@pytest.mark.parametrize(
    ("page_bytes", "writable", "message"),
    [
        pytest.param(2 * MIB, ("/pages/2M",), None, id="mounted and writable"),
        pytest.param(
            2 * MIB,
            ("/pages/1G",),
            f"hugetlbfs /pages/2M: user {os.geteuid()} may not write there",
            id="only that of another size is writable",
        ),
        pytest.param(
            64 << 10, ("/pages/2M",), "no hugetlbfs with pages of 64Ki is mounted here", id="no mount of this size"
        ),
    ],
)
def test_huge_pages_need_a_mount_of_their_size_that_is_writable(
    page_bytes: int, writable: tuple[str, ...], message: str | None
) -> None:
    def check() -> None:
        check_huge_page_mount(
            page_bytes, MOUNTS, page_bytes_of=SIZES.__getitem__, may_write=lambda folder: folder in writable
        )

    if message is None:
        check()
        return
    with pytest.raises(HypervisorError) as caught:
        check()
    assert str(caught.value).startswith(message)


def test_a_mount_that_is_gone_does_not_count() -> None:
    def gone(_folder: str) -> int:
        raise FileNotFoundError

    with pytest.raises(HypervisorError, match="no hugetlbfs with pages of 2Mi"):
        check_huge_page_mount(2 * MIB, MOUNTS, page_bytes_of=gone)

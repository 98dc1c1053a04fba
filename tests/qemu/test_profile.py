"""The seccomp profile that is shipped: the default of containerd and Docker, and what binds memory to nodes."""

from __future__ import annotations

import ctypes
import json
from typing import Any

from tests.qemu.guests import CHECKOUT
from tests.qemu.under_seccomp import refused_by

PROFILE = CHECKOUT / "templates/seccomp/memory-policy.json"
MEMORY = {"get_mempolicy", "mbind", "set_mempolicy"}
# Debuggers' calls, which the defaults allow, and what no kernel of today has any more. uretprobe is the kernel's own,
# on the way back from a function that is probed; libseccomp knows its number, below LAST_CALL, since 2.6 (Debian 13).
LEFT_OUT = (
    {"ptrace", "process_vm_readv", "process_vm_writev", "remap_file_pages", "uretprobe"}
    | {"afs_syscall", "create_module", "get_kernel_syms", "getpmsg", "putpmsg", "query_module", "security", "tuxcall"}
    | {"vserver", "epoll_ctl_old", "epoll_wait_old"}
)
ARCHITECTURES = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_AARCH64": 0xC00000B7}
# libseccomp 2.5.4, Debian 12's, has names up to here; a newer one knows more, which no list here has judged.
LAST_CALL = 451


def profile() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(PROFILE.read_text())
    return document


def calls() -> set[str]:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    names = (
        library.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(architecture), number)
        for architecture in ARCHITECTURES.values()
        for number in range(LAST_CALL + 1)
    )
    return {name.decode() for name in names if name}


def named(action: str) -> set[str]:
    return {name for rule in profile()["syscalls"] if rule["action"] == action for name in rule["names"]}


def test_it_allows_what_the_defaults_allow_and_the_memory_calls_and_no_more() -> None:
    expected = calls() - refused_by("containerd", nice=False) - LEFT_OUT - {"clone3"} | MEMORY
    allowed = named("SCMP_ACT_ALLOW")
    assert sorted(allowed & calls()) == sorted(expected)
    assert sorted(named("SCMP_ACT_ERRNO")) == ["clone3"]
    assert not allowed & refused_by("docker", nice=False) - MEMORY


def test_what_it_says_nothing_of_is_refused() -> None:
    assert (profile()["defaultAction"], profile()["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert set(profile()["architectures"]) == set(ARCHITECTURES)


def test_every_call_is_named_once_but_those_whose_arguments_are_looked_at() -> None:
    rules = [(name, "args" in rule) for rule in profile()["syscalls"] for name in rule["names"]]
    plain = [name for name, looks in rules if not looks]
    assert sorted(plain) == sorted(set(plain))
    assert {name for name, looks in rules if looks} == {"clone", "socket", "personality"}
    assert not {"clone", "socket", "personality"} & set(plain)

"""The status as a client reads it back: typed, and lenient to additions of another version."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


class ConditionView(msgspec.Struct, frozen=True, kw_only=True):
    """One condition; `since` is RFC 3339 text."""

    type: str
    status: str
    reason: str
    message: str
    since: str = msgspec.field(name="lastTransitionTime")


class ThreadView(msgspec.Struct, frozen=True, kw_only=True):
    """One thread of QEMU; CPUs are cpulists, times seconds since its start."""

    tid: int
    name: str
    role: str
    planned: str
    actual: str
    last_cpu: int | None = None
    ran_seconds: float | None = None
    waited_seconds: float | None = None
    # A vCPU of a mixed guest that has no CPU of its own.
    shared: bool = False

    @property
    def is_verified(self) -> bool:
        """Tell whether the kernel reports exactly what was planned."""
        return self.planned == self.actual


class CPUSetView(msgspec.Struct, frozen=True, kw_only=True):
    """The container's cpuset."""

    cpus: str
    source: str
    changes: int
    exclusivity: str
    resized: str = ""


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a launcher; everything but the first three is missing before there is a guest."""

    version: str
    phase: str
    conditions: tuple[ConditionView, ...]
    threads: tuple[ThreadView, ...] = ()
    namespace: str = ""
    name: str = ""
    uuid: str = ""
    pid: int = 0
    virt_type: str = ""
    phase_since: str = ""
    verified_at: str | None = None
    cpuset: CPUSetView | None = None
    plan: msgspec.Raw = msgspec.Raw(b"null")
    missing_threads: tuple[str, ...] = ()
    drifts: dict[str, int] = msgspec.field(default_factory=dict)
    repairs: dict[str, int] = msgspec.field(default_factory=dict)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a control socket; `status` is the status' own JSON."""

    ok: bool
    error: str = ""
    status: msgspec.Raw = msgspec.Raw(b"null")


def read_answer(text: bytes) -> Answer:
    """Read the line that a control socket answered; raises ValueError."""
    return _decoded(text, Answer)


def read_status(text: bytes) -> StatusView:
    """Read a status document; raises ValueError that names the key which is wrong."""
    return _decoded(text, StatusView)


def _decoded(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error

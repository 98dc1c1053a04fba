"""The desk: what a run has at hand from its first moment to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from launcher.cli.workshop import Workshop
from launcher.observe.outlet import Outlet
from launcher.supervise.stopwatch import Stopwatch

if TYPE_CHECKING:
    from argparse import Namespace


class Desk(Struct, frozen=True, kw_only=True):
    """What there is to begin with before the manifest is read."""

    options: Namespace
    workshop: Workshop
    stopwatch: Stopwatch
    outlet: Outlet
    is_stopping: Callable[[], bool]

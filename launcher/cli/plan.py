"""The verb `plan`: the placement, for people, programs or pictures."""

from __future__ import annotations

import sys
from argparse import Namespace

from launcher.cli.machine import host_of, load
from launcher.cli.output import show, terminal
from launcher.errors import ExitStatus
from launcher.host.model import Host
from launcher.planner.document import to_json
from launcher.planner.model import Pinning
from launcher.planner.plan import plan


def run(options: Namespace) -> ExitStatus:
    """Print the placement that `run` would make."""
    guest = load(options.vmi)
    host, allowed = host_of(options, guest)
    pinning = plan(guest, host, allowed)
    match options.format:
        case "json":
            show(to_json(pinning))
        case "svg":
            show(_drawing(pinning, host))
        case _:
            show(_text(pinning, host, explain=options.explain))
    return ExitStatus.POWERED_OFF


def _drawing(pinning: Pinning, host: Host) -> str:
    from launcher.observe.picture import picture_of  # noqa: PLC0415 - only for pictures, and start-up time counts
    from launcher.observe.svg import draw_svg  # noqa: PLC0415 - likewise

    return draw_svg(picture_of(pinning, host))


def _text(pinning: Pinning, host: Host, *, explain: bool) -> str:
    from launcher.observe.boxes import draw_boxes  # noqa: PLC0415 - likewise
    from launcher.observe.picture import picture_of  # noqa: PLC0415 - likewise
    from launcher.observe.tables import placement_table  # noqa: PLC0415 - likewise

    width, colour = terminal()
    table = placement_table(pinning, width=width, colour=colour, explain=explain)
    boxes = draw_boxes(picture_of(pinning, host), width=width, colour=colour, ascii=not _speaks_unicode())
    return f"{table}\n{boxes}"


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"

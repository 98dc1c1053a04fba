"""The verb `plan`: the placement, for people, programs or pictures."""

from __future__ import annotations

import sys
from argparse import Namespace

from launcher.cli.choice import choice_of
from launcher.cli.devices import places_of, told_devices
from launcher.cli.machine import host_of, load
from launcher.cli.notes import note
from launcher.cli.output import show, terminal
from launcher.errors import ExitStatus
from launcher.host.assigned import device_nodes
from launcher.host.model import Host
from launcher.host.proximity import Proximity
from launcher.planner.document import to_json
from launcher.planner.model import Pinning
from launcher.planner.plan import plan


def run(options: Namespace) -> ExitStatus:
    """Print the placement that `run` would make."""
    guest = load(options.vmi, choice_of(options))
    note(guest)
    host, allowed = host_of(options, guest)
    devices = told_devices(options, guest, verb="planned")
    pinning = plan(guest, host, allowed, device_nodes=device_nodes(devices))
    places = places_of(devices, pinning, host)
    match options.format:
        case "json":
            show(_document(pinning, places))
        case "svg":
            show(_drawing(pinning, host))
        case _:
            show(f"{_text(pinning, host, explain=options.explain)}{_devices(pinning, places)}")
    return ExitStatus.POWERED_OFF


def _document(pinning: Pinning, places: tuple[Proximity, ...]) -> str:
    """Return the placement as JSON; a guest with devices of the host has one key more."""
    if not places:
        return to_json(pinning)
    import json  # noqa: PLC0415 - few guests have any

    from launcher.observe.device_table import device_documents  # noqa: PLC0415 - likewise

    return json.dumps({**json.loads(to_json(pinning)), "devices": device_documents(places, pinning.cells)})


def _devices(pinning: Pinning, places: tuple[Proximity, ...]) -> str:
    if not places:
        return ""
    from launcher.observe.device_table import device_table  # noqa: PLC0415 - likewise

    return f"\n{device_table(places, pinning.cells, width=terminal()[0])}"


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

"""The start of a guest: `run` until it is verified and runs, against `virsh create` of the same XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.daemon import PrivateLibvirtd, private_libvirtd
from hack.benchmarks.launcher import held_barely, launched, render
from hack.benchmarks.samples import Samples, ratio
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn, in seconds: `run`, the bare program, `virsh create` on a running libvirtd, libvirtd's start with it."""

    run_s: float
    bare_s: float
    create_s: float
    daemon_create_s: float
    phases_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The guest as each of them takes it: the manifest and its root, the XML for that root, and for libvirtd."""

    vmi: Path
    root: Path
    xml: Path
    daemons_xml: Path


def measure_startup(workplace: Workplace, warm_turns: int, cold_turns: int) -> tuple[Section, ...]:
    """Start the same guest each way, in turns, with QEMU's capabilities cached and without."""
    vmi = workplace.write_manifest("startup", cores=1, dedicated=True, boots=True)
    root = workplace.root("s")
    with private_libvirtd(workplace.folder / "d") as daemon:
        guest = Guest(vmi=vmi, root=root, xml=render(vmi, root), daemons_xml=render(vmi, daemon.console_root))
        cold = tuple(_take_cold_turn(workplace, daemon, guest) for _turn in range(cold_turns))
        warm = tuple(_take_turn(daemon, guest) for _turn in range(warm_turns))
    return _warm_section(warm), _cold_section(cold), _phases_section(warm)


def _take_cold_turn(workplace: Workplace, daemon: PrivateLibvirtd, guest: Guest) -> Turn:
    """Take a turn for which all have forgotten what QEMU can do; a running daemon forgets only by a new start."""
    daemon.forget_capabilities()
    return _take_turn(daemon, guest, lambda: workplace.forget_capabilities(guest.root))


def _take_turn(daemon: PrivateLibvirtd, guest: Guest, forget: Callable[[], None] = lambda: None) -> Turn:
    forget()
    with launched(guest.vmi, guest.root) as launcher:
        run_s = launcher.wait_until_running()
        phases_s = parse_phases(launcher.wait_for("start-up").message)
        launcher.stop()
    forget()
    with held_barely(guest.xml, guest.root) as bare:
        bare_s = bare.wait_until_running()
        bare.stop()
    daemon_create_s = daemon.start() + daemon.create(guest.daemons_xml)
    daemon.kill_guests()
    create_s = daemon.create(guest.daemons_xml)
    daemon.kill_guests()
    daemon.stop()
    rest_s = run_s - sum(phases_s.values())
    return Turn(
        run_s=run_s,
        bare_s=bare_s,
        create_s=create_s,
        daemon_create_s=daemon_create_s,
        phases_s={**phases_s, "proof and resume": rest_s},
    )


def parse_phases(message: str) -> dict[str, float]:
    """Read the launcher's line of phases, such as `process 0.120 s, manifest 0.010 s`."""
    return {name: float(seconds) for name, seconds in re.findall(r"([a-z][a-z ]*) ([0-9.]+) s", message)}


def _warm_section(turns: tuple[Turn, ...]) -> Section:
    run, bare, create, both = _samples(turns)
    return Section(
        title="run, from the process's start to the guest running and verified, QEMU's capabilities cached",
        rows=(
            _against("virsh create on a running libvirtd", run, bare, create, target=1.2),
            _against("libvirtd start + virsh create", run, bare, both, target=1),
            *_seconds_rows(run, bare, create, both),
        ),
    )


def _cold_section(turns: tuple[Turn, ...]) -> Section:
    """Compare with a libvirtd that has to probe QEMU, too: one that runs has done so long ago."""
    run, bare, create, both = _samples(turns)
    return Section(
        title="run, as above, QEMU's capabilities not cached",
        rows=(
            _against("libvirtd start + virsh create", run, bare, both, target=0.6),
            *_seconds_rows(run, bare, create, both),
        ),
    )


def _against(what: str, run: Samples, bare: Samples, other: Samples, *, target: float) -> Row:
    return Row(what=f"against {what}", samples=ratio(run, other), unit="x", target=target, floor=ratio(bare, other))


def _seconds_rows(run: Samples, bare: Samples, create: Samples, both: Samples) -> tuple[Row, ...]:
    return (
        Row(what="run", samples=run, unit="s", floor=bare),
        Row(what="virsh create", samples=create, unit="s"),
        Row(what="libvirtd start + virsh create", samples=both, unit="s"),
    )


def _phases_section(turns: tuple[Turn, ...]) -> Section:
    rows = tuple(
        Row(what=name, samples=Samples(values=tuple(1000 * turn.phases_s[name] for turn in turns)), unit="ms")
        for name in turns[0].phases_s
    )
    return Section(title="where the time of run goes, QEMU's capabilities cached", rows=rows)


def _samples(turns: tuple[Turn, ...]) -> tuple[Samples, Samples, Samples, Samples]:
    return (
        Samples(values=tuple(turn.run_s for turn in turns)),
        Samples(values=tuple(turn.bare_s for turn in turns)),
        Samples(values=tuple(turn.create_s for turn in turns)),
        Samples(values=tuple(turn.daemon_create_s for turn in turns)),
    )

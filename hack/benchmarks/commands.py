"""The verb `render` as a whole process, against an interpreter that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.launcher import CHECKOUT, environment, launcher_command
from hack.benchmarks.processes import BenchError
from hack.benchmarks.samples import Samples, ratio
from hack.benchmarks.table import Row, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took: time from its start to its end, and CPU time, which others on the machine add less to."""

    wall_s: float
    cpu_s: float


def measure_render(vmi: Path, turns: int) -> Section:
    """Time both in turns; the first turn, which may still write byte code, does not count."""
    nothing = (sys.executable, "-c", "pass")
    render = launcher_command("render", str(vmi), "--virt-type", "qemu")
    measured = [(_run(nothing), _run(render)) for _turn in range(turns + 1)][1:]
    passed, rendered = (tuple(costs) for costs in zip(*measured, strict=True))
    return Section(
        title="render, the whole process",
        rows=(
            Row(what="against python3 -c pass", samples=ratio(_wall(rendered), _wall(passed)), unit="x", target=4),
            Row(what="likewise, CPU time", samples=ratio(_cpu(rendered), _cpu(passed)), unit="x"),
            Row(what="render", samples=_wall(rendered).times(1000), unit="ms"),
            Row(what="python3 -c pass", samples=_wall(passed).times(1000), unit="ms"),
        ),
    )


def _wall(costs: tuple[Cost, ...]) -> Samples:
    return Samples(values=tuple(cost.wall_s for cost in costs))


def _cpu(costs: tuple[Cost, ...]) -> Samples:
    return Samples(values=tuple(cost.cpu_s for cost in costs))


def _run(command: tuple[str, ...]) -> Cost:
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment(), cwd=CHECKOUT)
    _pid, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"{' '.join(command)} ended with status {process.returncode}")
    return Cost(wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime)

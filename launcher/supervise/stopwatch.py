"""The stopwatch of the start: where the time goes from the process's start to the verified guest."""

from __future__ import annotations

import os
import time
from pathlib import Path

from launcher.supervise.snapshot import StartUpPhase


class Stopwatch:
    """Names the stretches between laps, the first of which began with the process."""

    def __init__(self, stat: Path = Path("/proc/self/stat")) -> None:
        """Begin at the process's start as the kernel knows it (proc(5), stat, field 22: ticks since boot)."""
        ticks = int(stat.read_text().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        self._lap_s = time.monotonic() - max(age_s, 0.0)
        self.phases: tuple[StartUpPhase, ...] = ()

    def lap(self, name: str) -> None:
        """End a stretch and give it its name."""
        now_s = time.monotonic()
        self.phases += (StartUpPhase(name=name, seconds=round(now_s - self._lap_s, 4)),)
        self._lap_s = now_s

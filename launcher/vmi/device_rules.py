"""The admission rules of the serial console.

Source: KubeVirt's admission webhook, vmi-create-admitter.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.rules import Rule, Subject

_CONSOLE = "spec.domain.devices"


def _console(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if devices.log_serial_console and not devices.autoattach_serial_console:
        yield Fault(f"{_CONSOLE}.logSerialConsole", f"needs {_CONSOLE}.autoattachSerialConsole: true")


DEVICE_RULES = (Rule(reads=(f"{_CONSOLE}.logSerialConsole", f"{_CONSOLE}.autoattachSerialConsole"), check=_console),)

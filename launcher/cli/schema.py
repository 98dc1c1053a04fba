"""The verb `schema`: the JSON Schema of the manifests that this program runs."""

from __future__ import annotations

import json
from argparse import Namespace

from launcher.cli.output import show
from launcher.errors import ExitStatus
from launcher.vmi.json_schema import json_schema


def run(_options: Namespace) -> ExitStatus:
    """Print the JSON Schema of VirtualMachineInstance and VirtualMachine."""
    show(json.dumps(json_schema(), indent=2))
    return ExitStatus.POWERED_OFF

"""A program in QEMU's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.nodes.qemus import QEMU


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QEMU:
    """Put a shell script in QEMU's place."""

    def install(script: str) -> None:
        program = tmp_path / "bin/qemu-system-x86_64"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return install

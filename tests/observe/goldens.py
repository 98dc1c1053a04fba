"""Whole outputs kept as files beside the tests, changed only on purpose."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare the text with the golden file; write it where VIRT_LAUNCHER_GOLDEN=write says so (`make golden`)."""
    path = _FOLDER / name
    if os.environ.get("VIRT_LAUNCHER_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"golden/{name} is missing; VIRT_LAUNCHER_GOLDEN=write writes it"
    assert text == path.read_text(encoding="utf-8"), f"differs from golden/{name}"

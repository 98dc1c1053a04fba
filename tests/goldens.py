"""Whole outputs kept as files beside the tests, changed only on purpose."""

from __future__ import annotations

import os
from pathlib import Path


def assert_golden(path: Path, text: str) -> None:
    """Compare the text with the golden file; write it where VIRT_LAUNCHER_GOLDEN=write says so (`make golden`)."""
    if os.environ.get("VIRT_LAUNCHER_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing; make golden writes it"
    assert text == path.read_text(encoding="utf-8"), f"differs from {path}"

"""The copy of the checkout that a node gets: all of it, as it stands, and nothing that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.nodes import job
from tests.qemu.guests import CHECKOUT


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the staged copy."""
    monkeypatch.setattr(job, "_STAGE", tmp_path / "checkout")
    return tmp_path / "checkout"


def test_the_copy_has_links_and_what_lies_behind_them(stage: Path) -> None:
    job._stage_checkout()
    assert (stage / "launcher/templates").is_symlink()
    template = "launcher/templates/domain/x86_64.xml"
    assert (stage / template).read_bytes() == (CHECKOUT / template).read_bytes()


def test_a_second_copy_takes_away_what_is_gone_and_writes_nothing_twice(stage: Path) -> None:
    job._stage_checkout()
    before = {path: path.lstat().st_mtime_ns for path in stage.rglob("*") if path.is_file() or path.is_symlink()}
    for gone in ("launcher/gone.py", "launcher/gone-link"):
        (stage / gone).symlink_to("..")
    job._stage_checkout()
    after = {path: path.lstat().st_mtime_ns for path in stage.rglob("*") if path.is_file() or path.is_symlink()}
    assert after == before

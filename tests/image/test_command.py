"""The command that builds the image, as far as it goes before it builds."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.qemu.guests import CHECKOUT


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command in a checkout in which nothing was built yet, and which notes what it would build."""
    loader = importlib.machinery.SourceFileLoader("hack_image", str(CHECKOUT / "hack/image"))
    specification = importlib.util.spec_from_loader(loader.name, loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "_CACHE", tmp_path / ".cache/image")
    monkeypatch.setattr(module, "end_orderly_when_told", lambda: None)
    monkeypatch.setattr(module, "_build", lambda name, disc: module.built.append(disc))
    module.__dict__["built"] = []
    return module


def test_a_disc_may_lie_in_the_folder_of_what_is_built_before_there_is_one(
    image: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disc = tmp_path / ".cache/image/store.squashfs"
    monkeypatch.setattr(sys, "argv", ["image", "--disc", str(disc)])
    assert image.main() == 0
    assert image.built == [disc]


def test_a_disc_in_no_folder_is_told_before_anything_is_built(
    image: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["image", "--disc", str(tmp_path / "none/x")])
    assert image.main() == 1
    assert image.built == []
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err

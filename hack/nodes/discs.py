"""Folders made into discs, without a mount and without privileges."""

from __future__ import annotations

from pathlib import Path

from hack.nodes.commands import run


def make_disc(folder: Path, disc: Path, size: str) -> None:
    """Make an ext4 image of a folder, its top open to everybody; without a journal, for it lives as long as a run."""
    folder.chmod(0o755)
    run("mkfs.ext4", "-q", "-d", folder, "-O", "^has_journal", "-m", "0", "-E", "root_owner=0:0", disc, size)


def compile_folder(folder: Path, python: tuple[str, ...]) -> None:
    """Compile what is new in the folder to byte code of this Python: under emulation that takes many seconds."""
    run(*python, "-m", "compileall", "-q", folder)

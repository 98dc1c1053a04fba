"""Programs that build a node: run to their end, quietly, and shown in full where they fail."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hack.nodes.errors import NodeError
from hack.programs import run_to_end

CHECKOUT = Path(__file__).parent.parent.parent


def run(*command: str | Path, cwd: Path = CHECKOUT, stdin: bytes = b"") -> bytes:
    """Run a command and return what it printed; raises NodeError with its last lines where it fails."""
    words = [str(word) for word in command]
    try:
        done = run_to_end(words, stdin=stdin, cwd=cwd)
    except FileNotFoundError as error:
        raise NodeError(f"{words[0]} is missing: hack/install-packages node installs it") from error
    if done.returncode != 0:
        raise NodeError(f"{words[0]} ended with status {done.returncode}: {last_lines(done.stderr)}")
    return done.stdout


def as_owner_of_files(*command: str) -> tuple[str, ...]:
    """Return the command as it has to be run to make files of any owner: by root, or in a user namespace."""
    if os.geteuid() == 0:
        return command
    return "unshare", "--map-auto", "--map-root-user", *command


def last_lines(text: bytes, count: int = 3) -> str:
    """Return the last lines of what a program said, on one line."""
    lines = (line.strip() for line in text.decode(errors="replace").splitlines())
    return "; ".join([line for line in lines if line][-count:]) or "it said nothing"


def digest(*contents: bytes) -> str:
    """Return a short name for these contents."""
    found = hashlib.sha256()
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


def remove_others(keep: Path, siblings: Iterable[Path]) -> None:
    """Remove what was built of other contents; a QEMU that still runs from it keeps its open files."""
    for path in siblings:
        if path != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

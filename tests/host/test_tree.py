"""A folder as a tree: what is absent, what cannot be read, and what is too much."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.tree import MAX_FILE_BYTES, FolderTree, read_cpus, read_integer


def test_a_file_is_read_whole_and_by_its_path_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("x" * 200_000)
    assert FolderTree(tmp_path).read("a/b") == "x" * 200_000


def test_bytes_that_are_not_text_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\n")
    assert FolderTree(tmp_path).read("a") == "\udcff\n"


@pytest.mark.parametrize("path", [pytest.param("b", id="no file"), pytest.param("a/b", id="a file for a folder")])
def test_what_is_not_there_is_none(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").write_text("")
    tree = FolderTree(tmp_path)
    assert (tree.read(path), tree.list(path), read_cpus(tree, path), read_integer(tree, path)) == (None, (), None, None)


def test_names_are_listed_as_people_count(tmp_path: Path) -> None:
    for name in ("cpu10", "cpu9", "cpufreq"):
        (tmp_path / name).mkdir()
    assert FolderTree(tmp_path).list("") == ("cpu9", "cpu10", "cpufreq")


def test_a_folder_cannot_be_read_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(HostError) as refused:
        FolderTree(tmp_path).read("a")
    assert str(refused.value) == f"{tmp_path}/a: cannot be read: Is a directory"


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/dev/zero")
    with pytest.raises(HostError) as refused:
        FolderTree(tmp_path).read("a")
    assert str(refused.value) == f"{tmp_path}/a: is longer than {MAX_FILE_BYTES} bytes, which no file of its kind is"


def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    assert FolderTree(tmp_path).read("a") == ""


@pytest.mark.parametrize(
    ("root", "name"),
    [pytest.param("/", "/proc/stat", id="this machine"), pytest.param("/x", "/x/proc/stat", id="other")],
)
def test_a_file_is_named_by_its_whole_path(root: str, name: str) -> None:
    assert FolderTree(Path(root)).where("proc/stat") == name


def test_blanks_around_numbers_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "cpus").write_text(" 0-1\n")
    (tmp_path / "number").write_text("-1\n")
    tree = FolderTree(tmp_path)
    assert (read_cpus(tree, "cpus"), read_integer(tree, "number")) == (CPUSet.of((0, 1)), -1)


@pytest.mark.parametrize("text", ["", "1_0", "٣", "0x10", "1.5", "1 2"])
def test_what_is_no_integer_is_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "number").write_text(text)
    with pytest.raises(HostError) as refused:
        read_integer(FolderTree(tmp_path), "number")
    assert str(refused.value) == f"{tmp_path}/number: {text!r} is not an integer"

"""The text of a captured host: what is written, what is read back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.capture import MAX_CAPTURE_BYTES, CaptureTree, capture, parse_capture, read_capture
from launcher.host.cgroup import read_allowed_cpus
from launcher.host.sysfs import read_host
from launcher.host.tree import FolderTree, natural_key

CPU = "sys/devices/system/cpu"


def machine(root: Path, **files: str) -> FolderTree:
    """Write a machine of one CPU into a folder; the names of files have "__" for "/"."""
    common = {"sys__devices__system__cpu__online": "0\n", "sys__devices__system__cpu__cpu0__topology__core_id": "0\n"}
    for name, text in {**common, **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, errors="surrogateescape")
    return FolderTree(root)


def test_a_capture_holds_what_is_read_and_no_more(tmp_path: Path) -> None:
    tree = machine(
        tmp_path,
        proc__meminfo="MemTotal: 2048 kB\nMemFree: 7 kB\n",
        proc__self__status="Name:\tpython3\nVmSize:\t  640 kB\nCpus_allowed_list:\t0-7\n",
        proc__self__statm="160 3 4 5\n",
        proc__self__cgroup="9:memory:/secret\n5:cpuset:/pod\n0::/user\n",
        proc__self__mountinfo=(
            "1 0 8:1 / / rw - ext4 /dev/secret rw\n"
            "2 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "3 1 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        ),
        sys__fs__cgroup__cpuset__pod__tasks="1\n",
        **{"sys__fs__cgroup__cpuset__pod__cpuset.effective_cpus": "0\n"},
    )
    assert capture(tree, CPUSet.of((0,)), "riscv64") == (
        "proc/meminfo: MemTotal: 2048 kB\n"
        "proc/self/cgroup: 5:cpuset:/pod\\n0::/user\n"
        "proc/self/mountinfo: 3 1 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "proc/self/statm: 1\n"
        "proc/self/status: VmSize:\\t4 kB\\nCpus_allowed_list:\\t0\n"
        "proc/sys/kernel/arch: riscv64\n"
        f"{CPU}/cpu0/topology/core_id: 0\n"
        f"{CPU}/online: 0\n"
        "sys/fs/cgroup/cpuset/pod/cpuset.effective_cpus: 0\n"
    )


def test_a_host_that_is_refused_is_captured_with_what_was_said(tmp_path: Path) -> None:
    tree = machine(tmp_path, sys__devices__system__cpu__offline="0")
    text = capture(tree, CPUSet.of((0,)), "x86_64")
    refusal = f"# {tmp_path}/{CPU}/offline: holds 0, and so does {tmp_path}/{CPU}/online"
    assert text.splitlines()[0] == refusal
    with pytest.raises(HostError, match=r"^captured: /sys/devices/system/cpu/offline: holds 0, and so does"):
        read_host(parse_capture(text, "captured"), "none")


def test_names_that_are_not_text_come_back_as_they_were(tmp_path: Path) -> None:
    name = "p\udcff: o\\d\u2028"
    mount = "3 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
    tree = machine(
        tmp_path,
        proc__self__cgroup=f"0::/{name}\n",
        proc__self__mountinfo=mount,
        **{f"sys__fs__cgroup__{name}__cpuset.cpus.effective": "0\n"},
    )
    text = capture(tree, CPUSet.of((0,)), "x86_64")
    assert r"sys/fs/cgroup/p\udcff\x3a o\\d\u2028/cpuset.cpus.effective: 0" in text.split("\n")
    text.encode()
    assert parse_capture(text, "captured").read(f"sys/fs/cgroup/{name}/cpuset.cpus.effective") == "0"


def test_a_capture_speaks_to_people_in_comments_and_blank_lines() -> None:
    tree = parse_capture("# a host\n\n  \na/b: 1\n#c: 2\na/empty:\n", "host")
    assert (tree.files, tree.list(""), tree.list("a"), tree.list("b")) == (
        {"a/b": "1", "a/empty": ""},
        ("a",),
        ("b", "empty"),
        (),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "host: no line `path: value`; wanted a captured host", id="nothing"),
        pytest.param("# a host\n", "host: no line `path: value`; wanted a captured host", id="a comment only"),
        pytest.param("a: 1\nb\n", "host:2: 'b' is not `path: value` with a path relative to /", id="no colon"),
        pytest.param("a:1", "host:1: 'a:1' is not `path: value` with a path relative to /", id="no blank after it"),
        pytest.param("/a: 1", "host:1: '/a: 1' is not `path: value` with a path relative to /", id="a whole path"),
        pytest.param("a/: 1", "host:1: 'a/: 1' is not `path: value` with a path relative to /", id="a folder"),
        pytest.param(" a: 1", "host:1: ' a: 1' is not `path: value` with a path relative to /", id="a blank first"),
        pytest.param("a: 1\n\na: 1", "host:3: a for the second time; wanted each file once", id="a file twice"),
        pytest.param(
            "a: \\q", r"host:1: '\\q' is not an escape; wanted \\, \n, \t, \x07 or \udc80", id="an unknown escape"
        ),
        pytest.param(
            "a: b\\", r"host:1: '\\' is not an escape; wanted \\, \n, \t, \x07 or \udc80", id="an escape of nothing"
        ),
        pytest.param(
            "x" * (MAX_CAPTURE_BYTES + 1),
            f"host: longer than {MAX_CAPTURE_BYTES} bytes; wanted a captured host",
            id="too long",
        ),
    ],
)
def test_a_text_that_is_no_capture_is_refused(text: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        parse_capture(text, "host")
    assert str(refused.value) == message


def test_a_long_line_is_quoted_in_part() -> None:
    with pytest.raises(HostError) as refused:
        parse_capture("y" * 100000, "host")
    assert len(str(refused.value)) < 200


def test_a_capture_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "one.host"
    path.write_text("a: 1\n")
    assert read_capture(path) == parse_capture("a: 1\n", str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot be read: No such file or directory; wanted a captured host", id="absent"),
        pytest.param(b"a: \xff", "byte 3 is not UTF-8; wanted the text of a captured host", id="not text"),
        pytest.param(b"", "no line `path: value`; wanted a captured host", id="empty"),
    ],
)
def test_a_file_that_is_no_capture_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "one.host"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HostError) as refused:
        read_capture(path)
    assert str(refused.value) == f"{path}: {message}"


def refusal(read: Callable[[], object]) -> str:
    """Return what a reader that refuses says, nothing where it does not."""
    try:
        read()
    except HostError as error:
        return str(error)
    return ""


@given(st.text())
def test_any_text_is_a_capture_or_is_refused_in_one_line(text: str) -> None:
    assert "\n" not in refusal(lambda: read_host(parse_capture(text, "host"), "none"))


READ = (
    f"{CPU}/online",
    f"{CPU}/cpu0/topology/core_cpus_list",
    "proc/meminfo",
    "proc/self/cgroup",
    "proc/self/mountinfo",
)


@given(st.dictionaries(st.sampled_from(READ), st.text()))
def test_any_content_of_a_file_is_read_or_is_refused_in_one_line(files: dict[str, str]) -> None:
    tree = CaptureTree(
        source="host", files={f"{CPU}/online": "0", f"{CPU}/cpu0/topology/core_id": "0", **files}, folders={}
    )
    assert "\n" not in refusal(lambda: read_host(tree, "none"))
    assert "\n" not in refusal(lambda: read_allowed_cpus(tree, CPUSet.of((0,))))


@pytest.mark.parametrize(
    ("paths", "ordered"),
    [
        pytest.param(["cpu10", "cpu2", "cpu1"], ["cpu1", "cpu2", "cpu10"], id="numbers by value"),
        pytest.param(["a/c", "a.b", "a/b"], ["a/b", "a/c", "a.b"], id="folders together"),
        pytest.param(["x01", "x1", "x001"], ["x001", "x01", "x1"], id="equal numbers by their text"),
        pytest.param(["n" + "9" * 5000, "n3"], ["n3", "n" + "9" * 5000], id="numbers of any length"),
    ],
)
def test_paths_are_sorted_as_people_count(paths: list[str], ordered: list[str]) -> None:
    assert sorted(paths, key=natural_key) == ordered

"""The control plane beside a node, with programs in its parts' places: what starts, what dies, nothing is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.kubelets import building
from hack.kubelets.control_plane import control_plane
from hack.nodes.errors import NodeError

_LIVES = 'echo $$ >"$0.pid"; exec sleep 600'
_PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

Install = Callable[..., Path]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put shell scripts in the parts' places; those that are not named live on, and the API server is ready at once."""
    monkeypatch.setattr(building, "CACHE", tmp_path)
    folder = tmp_path / "1.37/bin"
    folder.mkdir(parents=True)

    def install(**scripts: str) -> Path:
        for name in (*_PARTS, "kubectl"):
            script = scripts.get(name.replace("-", "_"), "exit 0" if name == "kubectl" else _LIVES)
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    return install


def _pid(folder: Path, name: str) -> int:
    deadline_s = time.monotonic() + 30
    while not (text := _read(folder / f"{name}.pid")).endswith("\n"):
        assert time.monotonic() < deadline_s, f"{name} does not start"
        time.sleep(0.02)
    return int(text)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_all_parts_live_with_the_node_and_no_longer(programs: Install, tmp_path: Path) -> None:
    folder = programs()
    with control_plane("1.37", tmp_path / "run/kubernetes") as beside:
        pids = [_pid(folder, name) for name in _PARTS]
        assert beside.fault() == ""
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_part_that_dies_later_is_named_with_what_it_said_last(programs: Install, tmp_path: Path) -> None:
    folder = programs(etcd=f"echo no space left; {_LIVES}")
    with control_plane("1.37", tmp_path / "run/kubernetes") as beside:
        os.kill(_pid(folder, "etcd"), signal.SIGKILL)
        deadline_s = time.monotonic() + 30
        while not (fault := beside.fault()):
            assert time.monotonic() < deadline_s, "its death is not seen"
        assert fault == "etcd died with status -9: no space left"


def test_a_part_that_does_not_start_ends_the_wait_for_the_api_server(programs: Install, tmp_path: Path) -> None:
    etcd_lives = 'until [ -s "${0%/*}/etcd.pid" ]; do sleep 0.02; done'
    folder = programs(kube_apiserver=f"{etcd_lives}; echo 'unknown flag: --new' >&2; exit 1", kubectl="exit 1")
    match = r"^kube-apiserver died with status 1: unknown flag: --new$"
    with pytest.raises(NodeError, match=match), control_plane("1.37", tmp_path / "run/kubernetes"):
        pytest.fail("it is not there")
    assert not Path(f"/proc/{_pid(folder, 'etcd')}").exists()


def test_a_node_that_is_run_once_more_finds_nothing_of_before(programs: Install, tmp_path: Path) -> None:
    programs(etcd=f'for word; do case $word in --data-dir=*) mkdir "${{word#*=}}" || exit 1 ;; esac; done; {_LIVES}')
    for _run in range(2):
        (tmp_path / "1.37/bin/etcd.pid").unlink(missing_ok=True)
        with control_plane("1.37", tmp_path / "run/kubernetes") as beside:
            _pid(tmp_path / "1.37/bin", "etcd")
            assert beside.fault() == ""
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kubernetes"]


def test_each_part_has_a_log_beside_those_of_the_nodes_own(programs: Install, tmp_path: Path) -> None:
    folder = programs()
    logs = tmp_path / "run/kubernetes"
    with control_plane("1.37", logs):
        for name in _PARTS:
            _pid(folder, name)
    assert {path.name for path in logs.iterdir()} == {f"{name}.log" for name in _PARTS}

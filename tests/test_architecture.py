"""The walls of the house: what is pure stays pure, and one module alone imports libvirt."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import launcher

PACKAGE = Path(launcher.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
IMPURE = {"os", "time", "logging", "libvirt", "psutil", "threading", "subprocess", "socket", "signal", "sys"}

# The edges of the packages that are pure otherwise.
EDGES = {"vmi/document.py", "vmi/load.py", "host/tree.py", "host/capture.py"}
PURE_PACKAGES = ("vmi", "instancetype", "planner", "domain", "kubelet", "host", "pod")
PURE_MODULES = {
    "supervise/drift.py",
    "supervise/lifecycle.py",
    "supervise/roles.py",
    "storage/model.py",
    "storage/layout.py",
    "storage/cloudinit.py",
    "cpuset.py",
    "quantity.py",
    "errors.py",
}


def _name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def _imports(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def _pure_modules() -> list[Path]:
    return [
        module
        for module in MODULES
        if _name(module) not in EDGES
        and (_name(module).partition("/")[0] in PURE_PACKAGES or _name(module) in PURE_MODULES)
    ]


@pytest.mark.parametrize("module", _pure_modules(), ids=_name)
def test_a_pure_module_imports_nothing_that_reaches_outside(module: Path) -> None:
    assert _imports(module) & IMPURE == set()


def test_one_module_alone_imports_libvirt() -> None:
    importers = [_name(module) for module in MODULES if {"libvirt", "libvirt_qemu", "libvirtmod"} & _imports(module)]
    assert importers == ["hypervisor/libvirt_driver.py"]


def test_only_the_domain_package_reads_or_writes_domain_xml() -> None:
    importers = {_name(module).partition("/")[0] for module in MODULES if "lxml" in _imports(module)}
    # The SVG picture is XML, too, though no domain.
    assert importers == {"domain", "observe"}


def test_there_are_pure_modules_to_look_at() -> None:
    assert len(_pure_modules()) > 30

"""The locked dependencies are what setup.cfg allows, whole, to the hash, and say nothing of where they came from."""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).parents[2]
LOCKED = CHECKOUT / "hack/locked"
NAMES = ("build", "run", "development", "lowest", "uv")
# Every release of Python that Debian 12 and 13 have, and those between.
PYTHONS = ("3.11", "3.12", "3.13")


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Return each locked requirement with the number of its hashes; a package may have one for each Python."""
    text = (LOCKED / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.partition(" --hash=")[0].strip()), line.count("--hash=sha256:")) for line in lines]


def applies(requirement: Requirement, python: str) -> bool:
    """Tell whether Linux and this release of Python need a requirement."""
    machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(machine)


def versions(name: str, python: str = f"{sys.version_info[0]}.{sys.version_info[1]}") -> dict[str, Version]:
    """Return the locked version of each package that this release of Python needs; each has one."""
    found = [requirement for requirement, _hashes in locked(name) if applies(requirement, python)]
    names = [canonicalize_name(requirement.name) for requirement in found]
    assert len(set(names)) == len(names), names
    only = (next(iter(requirement.specifier)).version for requirement in found)
    return dict(zip(names, map(Version, only), strict=True))


def wanted(*extras: str, python: str) -> dict[str, Requirement]:
    """Return what setup.cfg asks for, for the run and for these extras."""
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    lines = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    found = [Requirement(line) for text in lines for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in found if applies(one, python)}


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_one_version_and_hashes(name: str) -> None:
    packages = locked(name)
    assert packages
    for requirement, hashes in packages:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert hashes > 0, requirement


@pytest.mark.parametrize("name", NAMES)
def test_no_line_says_where_packages_come_from(name: str) -> None:
    text = (LOCKED / f"{name}.txt").read_text()
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|--trusted", text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("name", "extras"), [("run", ["libvirt"]), ("lowest", ["libvirt"]), ("development", ["libvirt", "development"])]
)
def test_what_setup_cfg_asks_for_is_locked_and_allowed(name: str, extras: list[str], python: str) -> None:
    found = versions(name, python)
    for package, requirement in wanted(*extras, python=python).items():
        assert package in found, f"{requirement}: hack/locked/{name}.txt does not have it; `make lock` writes it"
        assert found[package] in requirement.specifier, f"{requirement}: hack/locked/{name}.txt has {found[package]}"


def test_development_and_the_image_have_the_same_of_what_runs() -> None:
    development = versions("development")
    assert {package: development.get(package) for package in versions("run")} == versions("run")
    assert {package: development.get(package) for package in versions("build")} == versions("build")


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lowest_are_the_lower_bounds_and_every_dependency_has_one(python: str) -> None:
    found = versions("lowest", python)
    bounds = {
        package: [Version(one.version) for one in requirement.specifier if one.operator == ">="]
        for package, requirement in wanted("libvirt", python=python).items()
    }
    assert {package: [found[package]] for package in bounds} == bounds


def test_the_environment_of_the_tests_has_what_is_locked_or_is_said_to_have_other_things() -> None:
    said = {".venv": versions("development"), "venv-lowest": versions("development") | versions("lowest")}
    expected = said.get(Path(sys.prefix).name, {})
    assert {package: Version(version(package)) for package in expected} == expected

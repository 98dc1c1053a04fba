"""What is given away is whole: every module, template and example, in a wheel of the tree and of the sdist alike."""

from __future__ import annotations

from pathlib import Path

import pytest

import launcher
from tests.distribution.builds import Builds, contents
from tests.qemu.guests import CHECKOUT


def wanted() -> dict[str, bytes]:
    """Return what the checkout has of the package: modules, the mark of typed packages, templates and examples."""
    tops = (CHECKOUT / "launcher", CHECKOUT / "launcher/templates")
    found = {path for top in tops for suffix in ("py", "xml", "yaml", "json") for path in top.rglob(f"*.{suffix}")}
    return {str(path.relative_to(CHECKOUT)): path.read_bytes() for path in (*found, CHECKOUT / "launcher/py.typed")}


def test_the_wheel_has_every_file_of_the_package_and_none_besides(builds: Builds) -> None:
    packed = {name: data for name, data in contents(builds.wheel).items() if name.startswith("launcher/")}
    assert packed.keys() == wanted().keys()
    assert packed == wanted()


@pytest.mark.parametrize(
    "name",
    [
        "launcher/py.typed",
        "launcher/templates/domain/x86_64.xml",
        "launcher/templates/domain/aarch64.xml",
        "launcher/templates/examples/demo.yaml",
        "launcher/templates/node-label/daemonset.yaml",
        "launcher/templates/seccomp/memory-policy.json",
    ],
)
def test_the_wheel_has_what_is_not_a_module(builds: Builds, name: str) -> None:
    assert name in contents(builds.wheel)


def test_a_wheel_of_the_sdist_is_the_same(builds: Builds) -> None:
    assert contents(builds.wheel_of_sdist) == contents(builds.wheel)


def test_the_wheel_has_the_package_alone(builds: Builds) -> None:
    tops = {Path(name).parts[0] for name in contents(builds.wheel)}
    assert tops == {"launcher", f"virt_launcher-{launcher.__version__}.dist-info"}

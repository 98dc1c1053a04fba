"""What is built once for all tests of what is given away."""

from __future__ import annotations

import pytest

from tests.distribution.builds import Builds, build_all


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """The sdist, the wheel, and the wheel that is made of the sdist."""
    return build_all(tmp_path_factory.mktemp("builds"))

"""The Containerfile: what is read of it, and that the image's is one that an ordinary builder takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hack.images.containerfile import Recipe, parse_containerfile
from hack.images.errors import ImageError
from launcher.pod.manifest import ROOT
from launcher.pod.security import USER

CONTAINERFILE = Path(__file__).parents[2] / "hack/images/Containerfile"

TEXT = """\
# A comment.
FROM scratch
ADD one.tar /
ADD two.tar /

LABEL org.example.title="two words" org.example.other=one
ENV PATH=/bin LANG=C.UTF-8
VOLUME /var/state
WORKDIR /srv
USER 7:8
STOPSIGNAL SIGTERM
ENTRYPOINT ["/init", "--", "/program"]
CMD ["--help"]
"""


def test_every_instruction_becomes_a_setting_of_the_image() -> None:
    assert parse_containerfile(TEXT) == Recipe(
        archives=("one.tar", "two.tar"),
        settings={
            "Labels": {"org.example.title": "two words", "org.example.other": "one"},
            "Env": ["PATH=/bin", "LANG=C.UTF-8"],
            "Volumes": {"/var/state": {}},
            "WorkingDir": "/srv",
            "User": "7:8",
            "StopSignal": "SIGTERM",
            "Entrypoint": ["/init", "--", "/program"],
            "Cmd": ["--help"],
        },
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("RUN true", id="what would have to be run"),
        pytest.param("FROM debian:12", id="a base that comes from a registry"),
        pytest.param("ENTRYPOINT /init", id="an entrypoint that a shell would take apart"),
        pytest.param('CMD ["--count", 3]', id="an argument that is no text"),
        pytest.param("ADD one.tar two.tar /", id="two archives at once"),
    ],
)
def test_an_instruction_that_is_not_known_is_named_with_its_line(line: str) -> None:
    with pytest.raises(ImageError, match=f"Containerfile, line 2: cannot take {line.split(maxsplit=1)[0]} "):
        parse_containerfile(f"FROM scratch\n{line}\n")


def test_the_images_user_and_volume_are_those_that_a_pod_expects() -> None:
    settings: dict[str, Any] = parse_containerfile(CONTAINERFILE.read_text()).settings
    assert settings["User"] == f"{USER}:{USER}"
    assert settings["Volumes"] == {ROOT: {}}
    assert f"VIRT_LAUNCHER_ROOT={ROOT}" in settings["Env"]

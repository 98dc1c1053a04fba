"""Keys and passwords from the Pod's Secrets, set by the guest's agent when it comes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from launcher.cli.credentials import CredentialSetter, setter_of
from launcher.errors import HypervisorError
from launcher.hypervisor.protocol import Machine
from launcher.supervise.greeter import Visit
from launcher.vmi.guest_storage import AgentKeys, AgentPasswords
from tests.storage.guests import GUEST, mounts_of, write

PASSWORDS = AgentPasswords(secret="p")  # noqa: S106 - the name of a Secret


class Agent:
    """A machine whose agent knows these users."""

    def __init__(self, *users: str) -> None:
        self.users = users
        self.keys: dict[str, tuple[str, ...]] = {}
        self.passwords: dict[str, str] = {}

    def set_keys(self, user: str, keys: Sequence[str]) -> None:
        if user not in self.users:
            raise HypervisorError(f"no user {user}")
        self.keys[user] = tuple(keys)

    def set_password(self, user: str, password: str) -> None:
        self.passwords[user] = password


def test_each_user_gets_all_keys_at_once_and_one_that_fails_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, "secret/a-access-cred/one", b"ssh-rsa A\n\n ssh-rsa B \n")
    write(tmp_path, "secret/b-access-cred/two", b"ssh-rsa C")
    write(tmp_path, "secret/p-access-cred/root", b"hunter2\n")
    keys = (("a", ("nobody", "root")), ("b", ("root",)), ("gone", ("root",)))
    credentials = (*(AgentKeys(secret=secret, users=users) for secret, users in keys), PASSWORDS)
    agent = Agent("root")
    setter = CredentialSetter(replace(GUEST, credentials=credentials), mounts_of(tmp_path))
    assert not setter(cast("Machine", agent), Visit.FIRST)
    assert agent.keys == {"root": ("ssh-rsa A", "ssh-rsa B", "ssh-rsa C")}
    assert agent.passwords == {"root": "hunter2"}
    assert "credentials: keys of nobody not set: no user nobody" in caplog.text
    assert "is the secret 'gone' of accessCredentials mounted?" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_an_agent_could_not_do_yet_is_asked_again_and_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path, "secret/a-access-cred/one", b"ssh-rsa A")
    write(tmp_path, "secret/p-access-cred/root", b"hunter2")
    credentials = (AgentKeys(secret="a", users=("fedora", "root")), PASSWORDS)  # noqa: S106
    agent = Agent("root")
    setter = CredentialSetter(replace(GUEST, credentials=credentials), mounts_of(tmp_path))
    assert not setter(cast("Machine", agent), Visit.FIRST)
    # Cloud-init makes the user after the agent is there; somebody has set another password meanwhile.
    agent.users, agent.passwords = ("fedora", "root"), {"root": "changed"}
    assert setter(cast("Machine", agent), Visit.AGAIN)
    assert agent.keys == {"root": ("ssh-rsa A",), "fedora": ("ssh-rsa A",)}
    assert agent.passwords == {"root": "changed"}


def test_an_agent_that_comes_anew_is_asked_for_everything(tmp_path: Path) -> None:
    write(tmp_path, "secret/p-access-cred/root", b"hunter2")
    agent = Agent()
    setter = CredentialSetter(replace(GUEST, credentials=(PASSWORDS,)), mounts_of(tmp_path))
    assert setter(cast("Machine", agent), Visit.FIRST)
    agent.passwords = {}
    assert setter(cast("Machine", agent), Visit.FIRST)
    assert agent.passwords == {"root": "hunter2"}


def test_a_guest_without_credentials_has_nothing_set(tmp_path: Path) -> None:
    assert setter_of(GUEST, mounts_of(tmp_path)) is None

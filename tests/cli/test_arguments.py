"""The arguments: the verb that is asked for is the only one that is set up, and that shows nowhere."""

from __future__ import annotations

import re

import pytest

from launcher.cli.arguments import parse_arguments


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_verb_of_the_help_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = re.findall(r"^    ([a-z-]+)(?: |$)", help_of(["--help"], capsys), re.MULTILINE)
    assert {"run", "pause", "reset", "node-label"} < set(verbs)
    usages = [help_of([verb, "--help"], capsys).splitlines()[0] for verb in verbs]
    assert usages == [usage for usage, verb in zip(usages, verbs, strict=True) if f"virt-launcher {verb} [-h]" in usage]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "required: VERB", id="no verb at all"),
        pytest.param(["rum"], "invalid choice: rum (choose from run, plan", id="an unknown verb is told them all"),
        pytest.param(["check"], "virt-launcher check: error: the following arguments are required: VMI", id="no VMI"),
        pytest.param(["check", "a", "--frobnicate"], "unrecognized arguments: --frobnicate", id="an unknown option"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2_and_says_why(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    # Up to Python 3.11 the choices stand between quotes.
    assert words in capsys.readouterr().err.replace("'", "")


def test_the_environment_of_another_verb_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRT_LAUNCHER_DRIFT", "nonsense")
    assert parse_arguments(["check", "vmi.yaml"]).vmi == "vmi.yaml"
    with pytest.raises(SystemExit):
        parse_arguments(["run", "vmi.yaml"])


def test_every_option_of_run_is_an_environment_variable_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = set(re.findall(r"--[a-z-]+", help_of(["run", "--help"], capsys).partition("positional arguments")[0]))
    values = {
        "virt_type": "qemu", "drift": "off", "exclusive_cpus": "require", "settle_timeout": "7", "grace_period": "7",
        "log_format": "json", "verbose": "1",
    }  # fmt: skip
    names = {option.removeprefix("--").replace("-", "_") for option in options}
    for name in names:
        monkeypatch.setenv(f"VIRT_LAUNCHER_{name.upper()}", values.get(name, "x"))
    parsed = parse_arguments(["run", "vmi.yaml"])
    found = {name: getattr(parsed, name) for name in names}
    typed = {"settle_timeout": 7.0, "grace_period": 7.0, "verbose": True}
    assert found == {name: typed.get(name, values.get(name, "x")) for name in names}


@pytest.mark.parametrize(("value", "is_verbose"), [("", False), ("0", False), ("1", True)])
def test_a_switch_is_zero_or_one_in_the_environment(
    value: str, is_verbose: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRT_LAUNCHER_VERBOSE", value)
    assert parse_arguments(["run", "vmi.yaml"]).verbose is is_verbose

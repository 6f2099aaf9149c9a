"""`rebalance -h`, `--version` and completion: readable, quick, and true of what there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from deployments import cli

ROOT = Path(cli.__file__).parent.parent
PACKAGES = ("core", "deployments", "expectations", "flows", "tasks")
HEAVY = {"prefect", "great_expectations", "pandas", "ib_async", "pydantic"}
GROUPS = get_command(cli.app).commands
# `approver` has commands of its own
COMMANDS = {
    " ".join(filter(None, (name, inner))): each
    for name, group in GROUPS.items()
    for inner, each in (getattr(group, "commands", None) or {"": group}).items()
}
OPTIONS = {name for each in COMMANDS.values() for param in each.params for name in (*param.opts, *param.secondary_opts)}


def helped(*arguments: str) -> str:
    ended = CliRunner().invoke(cli.app, arguments)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help_by_either_name(command):
    arguments = command.split()
    assert helped(*arguments, "-h") == helped(*arguments, "--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is_for(command):
    unsaid = [param.name for param in COMMANDS[command].params if not param.help]
    assert unsaid == []


def test_options_stand_under_headings_and_examples_after_them():
    headings = re.findall(r"^(\S.*):$", helped("run", "-h"), re.MULTILINE)
    assert headings[:2] == ["Files", "Mode, one of them"]
    assert headings[-1] == "Options"
    assert "rebalance run --csv portfolios.csv --ini settings.ini --paper\n" in helped("run", "-h")


def test_version_names_the_product_and_what_it_stands_on():
    message = helped("--version")
    assert message.startswith(f"rebalance {version('ibkr-rebalancer')} (Prefect {version('prefect')}, ")


def test_completion_can_be_shown_and_installed():
    assert "--install-completion" in helped("-h")
    shown = subprocess.run(
        [sys.executable, "-c", "from deployments.cli import main; main()", "--show-completion", "bash"],
        env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "COMPREPLY" in shown.stdout


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from deployments.cli import main\n"
        "sys.argv = ['rebalance', '-h']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def texts_of(path: Path) -> Iterator[str]:
    """Every text in the code that a person may read: all but docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node.value


TEXTS = [
    (path.relative_to(ROOT).as_posix(), text)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    for text in texts_of(path)
]
# the noun has an article before it
COMMAND = re.compile(r"(?<!\ba )(?<!\bthe )(?<!\bone )\brebalance ([a-z][a-z-]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OTHER_PROGRAMS = re.compile(r"`(?!rebalance )[^`]*`")


def test_messages_name_only_commands_that_exist():
    named = {(path, word) for path, text in TEXTS for word in COMMAND.findall(text)}
    assert {word for _, word in named} >= {"go", "run"}
    assert sorted(each for each in named if each[1] not in GROUPS) == []


def test_messages_name_only_options_that_exist():
    sentences = [(path, OTHER_PROGRAMS.sub("", text)) for path, text in TEXTS if " " in text]
    named = {(path, word) for path, text in sentences for word in OPTION.findall(text)}
    assert {word for _, word in named} >= {"--yes", "--pause", "--market"}
    assert sorted(each for each in named if each[1] not in OPTIONS | {"--help", "--version"}) == []

"""Help in plain text, with options and commands under headings: Typer's own headings need colours and boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

Record = tuple[str, str]

COMMANDS = "Commands"
OPTIONS = "Options"


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the panels that they name, in the order of the command."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; what pydantic puts before Typer's own message of a value is left out."""
        try:
            return super().make_context(*arguments, **more)
        except BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, those without a panel last."""
        _write_grouped(formatter, _records_of(self, ctx), OPTIONS)


class GroupedApp(TyperGroup):
    """A group whose help lists its commands under the panels that they name, in the order of the program."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the commands."""
        _write_grouped(formatter, _records_of(self, ctx), OPTIONS)
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        widest = max(map(len, commands), default=0)
        records = [
            (_panel(each) or COMMANDS, (name.ljust(widest), each.get_short_help_str(limit=200)))
            for name, each in commands.items()
            if each is not None and not each.hidden
        ]
        _write_grouped(formatter, records, COMMANDS)


def _records_of(command: Any, ctx: Any) -> list[tuple[str, Record]]:
    """(panel, what is written) of each argument and option that has help."""
    found = ((_panel(param), param.get_help_record(ctx)) for param in command.get_params(ctx))
    return [(panel, record) for panel, record in found if record is not None]


def _panel(item: Any) -> str:
    panel = getattr(item, "rich_help_panel", None)
    return panel if isinstance(panel, str) else ""


def _write_grouped(formatter: Any, records: Iterable[tuple[str, Record]], unnamed: str) -> None:
    groups: dict[str, list[Record]] = {}
    for panel, record in records:
        groups.setdefault(panel or unnamed, []).append(record)
    # options without a heading come last, as --help does in every program
    if unnamed in groups:
        groups[unnamed] = groups.pop(unnamed)
    for panel, rows in groups.items():
        with formatter.section(panel):
            formatter.write_dl(rows)

"""Data Docs: the library's own pages on the gates of a run, made so that opening them fetches nothing.

The library's pages take their style, icons and scripts from other computers. Here they keep their texts and tables,
get a style of their own (data_docs.css), and have no script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from core.masking import mask_accounts
from core.model import AccountId, GateVerdict, RunId
from core.text import counted
from expectations.gate import full_result, library

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite

INDEX = "index.html"
# whatever else the pages come to hold, a browser fetches none of it
_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
# what would be fetched, and links to pages that are not written
_FROM_ELSEWHERE = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|url\([^)]*\)|<footer\b.*?</footer>| onclick=\"[^\"]*\"",
    re.DOTALL,
)
_LINK_TO_SUITE = re.compile(r'<a href="[./]*expectations/[^>]*>(.*?)</a>', re.DOTALL)
_LINK_TO_INDEX = re.compile(r'href="[./]*index\.html"')


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table as a gate has checked it, what makes its suite, and the verdict."""

    frame: pd.DataFrame
    suite: Callable[[], ExpectationSuite]
    verdict: GateVerdict


def data_docs(run_id: RunId, account_id: AccountId, gates: Sequence[CheckedTable]) -> dict[str, str]:
    """The pages by the names of their files: index.html, which lists the gates, and one of each gate.

    It takes half a second a gate, and blocks: every check is asked for everything. Account ids are masked.
    """
    pages = {_file_name(gate): _page(run_id, gate) for gate in gates}
    return {name: mask_accounts(text, account_id) for name, text in {**pages, INDEX: _index(run_id, gates)}.items()}


def _page(run_id: RunId, gate: CheckedTable) -> str:
    gx = library()
    result = full_result(gate.frame, gate.suite())
    at = result.meta["batch_markers"]["ge_load_time"]
    result.meta["run_id"] = gx.RunIdentifier(run_name=run_id, run_time=at)
    text: str = gx.DefaultJinjaPageView().render(gx.ValidationResultsPageRenderer(run_info_at_end=True).render(result))
    text = _LINK_TO_SUITE.sub(r"\1", _FROM_ELSEWHERE.sub("", text))
    return _styled(_LINK_TO_INDEX.sub(f'href="{INDEX}"', text))


def _index(run_id: RunId, gates: Iterable[CheckedTable]) -> str:
    rows = "\n".join(
        f'<tr><td><a href="{_file_name(gate)}">{escape(gate.verdict.table)}</a></td><td>{gate.verdict.rows}</td>'
        f"<td>{gate.verdict.checks}</td><td>{escape(_verdict_text(gate.verdict))}</td></tr>"
        for gate in gates
    )
    return _styled(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1.0">\n'
        f"<title>Data gates of run {run_id}</title>\n</head>\n<body>\n<main>\n<h1>Data gates of run {run_id}</h1>\n"
        f'<table class="table">\n<thead><tr><th>gate</th><th>rows</th><th>checks</th><th>verdict</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</main>\n</body>\n</html>\n"
    )


def _verdict_text(verdict: GateVerdict) -> str:
    faults = "; ".join(fault.message for fault in verdict.faults)
    if verdict.blocks:
        return f"refuses: {faults}"
    return f"passes with {counted(len(verdict.faults), 'warning')}: {faults}" if faults else "passes"


def _styled(text: str) -> str:
    style = files("expectations").joinpath("data_docs.css").read_text(encoding="utf-8")
    return text.replace("</head>", f"{_POLICY}\n<style>\n{style}</style>\n</head>", 1)


def _file_name(gate: CheckedTable) -> str:
    return re.sub(r"[^a-z0-9]+", "-", gate.verdict.table.lower()) + ".html"

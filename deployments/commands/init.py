"""`rebalance init`: the files to start from, with examples in them or with what the account holds."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from core.errors import DataRefused, OutputFailed, SafetyRefused, UsageError
from core.execution.reader import Reader
from core.household import accounts_template
from core.masking import mask_account
from core.model import FUNDING, USD, AccountId, AccountSnapshot, Position, SecurityType, Symbol
from core.money import CENT, HUNDRED, ZERO, floor_to
from core.settings import IbkrSection, Settings, settings_template
from core.settings.layers import merged
from core.settings.loading import settings_from
from deployments.connection import ANY_ACCOUNT, ONE_MODEL, ConnectionOptions
from deployments.terminal import console, errors_console
from tasks.app.brokers import DEMO_MARKET

CSV, INI, ACCOUNTS = "portfolios.csv", "settings.ini", "accounts.yaml"
DEMO_CSV = DEMO_MARKET.with_name(CSV)
HELD_MODEL = next(iter(ONE_MODEL))
EXAMPLE_MIX = {"SMURF": "0.5", "BADASS": "0.3", "GLTR": "0.2"}  # the models of the demo's file
CONNECTION = ("host", "port", "client_id")

HEAD = """\
# Model portfolios: a line for each symbol of each model. Lines that start with # are ignored.
#   portfolio   a model that [models] of settings.ini mixes
#   symbol      an ETF listed in the US, as IBKR writes it
#   target_pct  percent of the model; the symbols of a model sum to 100
"""
EXAMPLE = "#\n# What follows is an example: put your own models in its place.\n"
HEADER = "portfolio,symbol,target_pct\n"


@dataclass(frozen=True, slots=True)
class StartFiles:
    """The text of portfolios.csv, the values of settings.ini that are not defaults, and what the user must know."""

    csv: str
    values: Mapping[str, str]
    notes: Sequence[str] = ()


def init(folder: Path, options: ConnectionOptions, *, from_account: bool, household: bool) -> None:
    """Write portfolios.csv and settings.ini into `folder`, for a `household` accounts.yaml too; print what to do next.

    They contain example models, or with `from_account` what the account holds, and the settings that are given. Raises
    UsageError for files that exist already and where it is not clear which account is meant, OutputFailed where they
    cannot be written, DataRefused for an account without an ETF in USD, and what reading settings and account raises.
    """
    if from_account and any(name.lower().startswith("models.") for name in options.overrides):
        raise UsageError(
            f"--from-account makes one model, {HELD_MODEL}, so --set models. cannot be given",
            next_step="leave that out, and mix models in the files afterwards",
        )
    paths = [folder / name for name in (CSV, INI, *([ACCOUNTS] if household else []))]
    _require_free(paths)
    files = asyncio.run(_from_account(options)) if from_account else _examples(folder, options)
    values = _with_given(files.values, options)
    texts = {folder / CSV: files.csv, folder / INI: settings_template(values)}
    account = values.get("ibkr.account_id")
    if household:
        texts[folder / ACCOUNTS] = accounts_template(ini=INI, csv=CSV, account=account)
    _write(texts)
    notes = [*files.notes, *(_household_notes(folder, account) if household else [])]
    _print_next_steps(paths, notes, options.rehearsal_options)


def _models(mix: Mapping[str, str]) -> dict[str, str]:
    return {f"models.{name}": weight for name, weight in mix.items()}


def _with_given(values: Mapping[str, str], options: ConnectionOptions) -> dict[str, str]:
    """The values with those that the options give; models that are given are the whole mix. Raises SettingsInvalid."""
    overrides = {**options.overrides, **({} if options.account is None else {"ibkr.account_id": options.account})}
    given = merged({}, environ={}, overrides=overrides).given
    own = {f"{section}.{key}": each.text for section, texts in given.items() for key, each in texts.items()}
    kept = {name: text for name, text in values.items() if not (given["models"] and name.startswith("models."))}
    sections: dict[str, dict[str, str]] = {"ibkr": {"account_id": ANY_ACCOUNT}}
    for name, text in kept.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = text
    settings_from(sections, folder=Path(), overrides=overrides)  # what is refused there must not be written
    return kept | own


def _examples(folder: Path, options: ConnectionOptions) -> StartFiles:
    values = _models(EXAMPLE_MIX)
    notes = [f"put your own models into {folder / CSV}, and their weights under [models] of {folder / INI}"]
    if options.account is None and "ibkr.account_id" not in options.overrides:
        notes.insert(0, f"put your account into {folder / INI}: account_id under [ibkr]")
    rows = (line for line in DEMO_CSV.read_text(encoding="utf-8").splitlines(keepends=True) if line[0] != "#")
    return StartFiles(HEAD + EXAMPLE + "".join(rows), values, notes)


async def _from_account(options: ConnectionOptions) -> StartFiles:
    settings = options.settings()
    wanted = settings.ibkr.account_id
    async with _reader(options) as reader:
        account = _chosen(await reader.accounts(), None if wanted == ANY_ACCOUNT else wanted)
    # the adapter subscribes to one account's updates per connection, so the one that was chosen needs its own
    async with _reader(replace(options, account=account)) as reader:
        snapshot = await reader.take_snapshot()
    reached = {f"ibkr.{key}": str(getattr(settings.ibkr, key)) for key in CONNECTION if key in _not_default(settings)}
    return StartFiles(
        _held(snapshot), {**_models(ONE_MODEL), "ibkr.account_id": account, **reached}, [*_notes(snapshot)]
    )


@asynccontextmanager
async def _reader(options: ConnectionOptions) -> AsyncIterator[Reader]:
    """A connected reader, as a client that sends no order."""
    settings = options.settings()
    broker = options.make_broker(settings)
    reader = Reader(broker, settings.ibkr.read_attempts, on_retry=_warn)
    try:
        await reader.connect()
        yield reader
    finally:
        await broker.disconnect()


def _not_default(settings: Settings) -> set[str]:
    usual = IbkrSection(account_id=settings.ibkr.account_id)
    return {key for key in CONNECTION if getattr(settings.ibkr, key) != getattr(usual, key)}


def _chosen(managed: Sequence[AccountId], wanted: AccountId | None) -> AccountId:
    known = ", ".join(mask_account(each) for each in sorted(managed))
    if wanted is None and len(managed) == 1:
        return managed[0]
    if wanted is None:
        raise UsageError(
            f"the gateway manages {len(managed)} accounts: {known}", next_step="name one with --account ID"
        )
    if wanted not in managed:
        raise SafetyRefused(
            f"account {mask_account(wanted)} is not managed by this gateway (it manages {known})",
            next_step="correct --account, or log the gateway in as the user of that account",
        )
    return wanted


def _held(snapshot: AccountSnapshot) -> str:
    """portfolios.csv with one model: the ETFs in USD that are held, by their share of what they are worth together."""
    account = mask_account(snapshot.account_id)
    held = {each.contract.symbol: each.market_value or ZERO for each in snapshot.positions if _is_held_etf(each)}
    if not held:
        raise DataRefused(
            f"account {account} holds no ETF in USD to start from",
            next_step="use `rebalance init` without --from-account, and put your own models into its example",
        )
    about = (
        f"#\n# {HELD_MODEL}: the ETFs in USD that {account} held on {snapshot.taken_at:%Y-%m-%d}, by market value.\n"
    )
    rows = (f"{HELD_MODEL},{symbol},{percent}\n" for symbol, percent in _percents(held).items())
    return HEAD + about + HEADER + "".join(rows)


def _is_held_etf(position: Position) -> bool:
    contract = position.contract
    is_etf = contract.security_type is SecurityType.ETF and contract.currency == USD
    return is_etf and position.quantity > 0 and (position.market_value or ZERO) > 0


def _percents(values: Mapping[Symbol, Decimal]) -> dict[Symbol, Decimal]:
    """Percentages of two decimals that sum to 100, largest first; none is 0, which would mean: sell it."""
    total = sum(values.values(), ZERO)
    by_size = sorted(values, key=lambda symbol: (-values[symbol], symbol))
    percents = {symbol: max(floor_to(values[symbol] * HUNDRED / total, CENT), CENT) for symbol in by_size}
    percents[by_size[0]] += HUNDRED - sum(percents.values(), ZERO)
    return percents


def _notes(snapshot: AccountSnapshot) -> Iterator[str]:
    yield f"change the targets in {CSV} from what is held to what you want"
    outside = sorted(each.contract.symbol for each in snapshot.positions if not _is_held_etf(each))
    if outside:
        yield f"left alone, because they are not ETFs in USD held long: {', '.join(outside)}"
    funding = snapshot.cash.get(FUNDING.currency, ZERO)
    if funding > 0:
        yield f"the account holds {funding:,.2f} {FUNDING.currency}, which buys nothing unless [fx] enabled = true"
    for currency, cash in sorted(snapshot.cash.items()):
        if cash < 0:
            yield (
                f"the account owes {-cash:,.2f} {currency}: without a CASH row a plan sells to pay that back; to keep"
                " the loan set [rebalance] allow_margin = true and give the model a CASH row"
            )


def _require_free(paths: Sequence[Path]) -> None:
    there = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if there:
        raise UsageError(
            f"{' and '.join(there)} {'exists' if len(there) == 1 else 'exist'} already; nothing was written",
            next_step="name another folder, or move the existing files away",
        )


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputFailed(
                f"{path} cannot be written: {error.strerror or error}",
                next_step="make that place writable, or name another folder",
            ) from error


def _household_notes(folder: Path, account: str | None) -> Iterator[str]:
    yield f"list your accounts in {folder / ACCOUNTS}, each with its id and a name"
    if account is None:
        yield f"account_id in {folder / INI} is that of commands that name no account: any of yours"


def _print_next_steps(paths: Sequence[Path], notes: Sequence[str], options: str) -> None:
    csv, ini, *accounts = (shlex.quote(str(path)) for path in paths)
    written = [str(path) for path in paths]
    lines = [f"Written: {', '.join(written[:-1])} and {written[-1]}"]
    lines += ["", "Now:", *(f"  - {note}" for note in notes), "", "Then:"]
    lines += [
        f"  rebalance doctor --ini {ini} {options}".rstrip(),
        f"  rebalance check --csv {csv} --ini {ini}",
        *(f"  rebalance check --household {path}" for path in accounts),
        f"  rebalance plan --csv {csv} --ini {ini} {options}".rstrip(),
    ]
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


def _warn(text: str) -> None:
    errors_console().print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

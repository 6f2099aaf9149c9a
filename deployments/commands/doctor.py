"""`rebalance doctor`: check everything that a run needs, and report what to do where something is missing.

It connects as the client that only reads, and sends no order.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from tempfile import TemporaryFile

from rich.markup import escape
from rich.table import Table

from core.broker.port import Broker, GatewayBroker
from core.errors import ConnectionLost, ExitCode, MarketDataMissing, OutputFailed, RebalanceError, SafetyRefused
from core.journal import Journal
from core.journal.rules import quarantined
from core.market.hours import closed_reason
from core.market.quotes import why_no_nbbo
from core.masking import mask_account, mask_accounts
from core.model import USD, AccountSnapshot, Contract, MarketDataType, Mode, Quote, SecurityType, Symbol
from core.money import ZERO
from core.report.files import check_closed
from core.safety import LIVE_PORTS, check_clock, check_gateway, check_kill_switch
from core.settings import Settings
from core.text import counted, price_text, with_ini, without_password
from deployments.connection import ANY_ACCOUNT, ConnectionOptions
from deployments.terminal import console
from tasks.app.codes import find_secret
from tasks.app.journals import open_store
from tasks.app.service import read_service

# quoted where no ETF is held
COMMON = Symbol("SPY")
SERVER_SECONDS = 5.0
A_BLOCK = bytes(4096)  # bytes, the least that a disk gives a file


class CheckState(StrEnum):
    """The state of a part; one with a warning keeps no run from starting."""

    OK = "OK"
    WARNING = "warning"
    FAILED = "failed"
    UNSEEN = "not checked"


STYLES = {CheckState.OK: "green", CheckState.WARNING: "yellow", CheckState.FAILED: "bold red", CheckState.UNSEEN: "dim"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found of one part, and what to do about it."""

    text: str
    next_step: str = ""
    state: CheckState = CheckState.OK
    exit_code: ExitCode = ExitCode.DONE


UNSEEN = CheckResult("", state=CheckState.UNSEEN)


@dataclass(slots=True)
class Examination:
    """The state that the checks share: each may use what an earlier one has found."""

    options: ConnectionOptions
    settings: Settings
    broker: Broker
    snapshot: AccountSnapshot | None = None
    contract: Contract | None = None
    results: dict[str, CheckResult] = field(default_factory=dict)


def doctor(options: ConnectionOptions, *, as_json: bool) -> ExitCode:
    """Print what was found, as a table or as one JSON document; the exit code of the first failure, 0 without any."""
    results = asyncio.run(examine(options))
    code = next((each.exit_code for each in results.values() if each.state is CheckState.FAILED), ExitCode.DONE)
    if as_json:
        print(mask_accounts(_document(results, code)))  # noqa: T201 - the document that --json promises
    else:
        console().print(_table(results))
    return code


async def examine(options: ConnectionOptions) -> Mapping[str, CheckResult]:
    """What was found of each part, in the order of `CHECKS`; what depends on a failed part is not checked."""
    try:
        settings = options.settings()
        examination = Examination(options, settings, options.make_broker(settings))
    except RebalanceError as error:
        return {SETTINGS: _failed(error), **dict.fromkeys(CHECKS, UNSEEN), SERVER: await _guarded(_server)}
    examination.results[SETTINGS] = _settings(examination)
    try:
        for name, (needs, check) in CHECKS.items():
            is_unseen = examination.results[needs].state in (CheckState.FAILED, CheckState.UNSEEN)
            examination.results[name] = UNSEEN if is_unseen else await _guarded(check, examination)
    finally:
        await examination.broker.disconnect()
    return {**examination.results, SERVER: await _guarded(_server)}


async def _guarded(check: Callable[..., Awaitable[CheckResult]], *shared: Examination) -> CheckResult:
    try:
        return await check(*shared)
    except RebalanceError as error:
        return _failed(error)


def _failed(error: RebalanceError) -> CheckResult:
    return CheckResult(
        "\n".join((error.message, *error.unnamed_faults)), error.next_step, CheckState.FAILED, error.exit_code
    )


def _settings(exam: Examination) -> CheckResult:
    if exam.options.ini is None:
        return CheckResult(
            "no settings file is named: the defaults are used",
            "name it with --ini, or write one with `rebalance init`",
            CheckState.WARNING,
        )
    if exam.settings.warnings:
        return CheckResult("; ".join(exam.settings.warnings), f"correct {exam.options.ini}", CheckState.WARNING)
    return CheckResult(f"{exam.options.ini} is valid")


async def _gateway(exam: Examination) -> CheckResult:
    await exam.broker.connect()
    ibkr = exam.settings.ibkr
    where = f"{ibkr.host}:{ibkr.port}" if exam.broker.port else "the simulated account"
    kind = " (a port of live accounts)" if exam.broker.port in LIVE_PORTS else ""
    return CheckResult(f"{where} answers client {ibkr.client_id + 1}{kind}")


async def _version(exam: Examination) -> CheckResult:
    if not isinstance(exam.broker, GatewayBroker):
        return UNSEEN
    version = f"API version {(await exam.broker.info()).version}"
    behind = check_clock(Mode.DRY_RUN, exam.broker.clock_gap)
    if behind:
        return CheckResult(
            f"{version}; {behind}",
            "synchronize both clocks with a time server; mode live is refused",
            CheckState.WARNING,
        )
    return CheckResult(f"{version}; its clock agrees with this computer's")


async def _account(exam: Examination) -> CheckResult:
    managed = await exam.broker.accounts()
    known = ", ".join(mask_account(each) for each in sorted(managed))
    if exam.settings.ibkr.account_id == ANY_ACCOUNT:
        await _look_at(exam, managed[0])
        return CheckResult(f"logged in; manages {known}; checked: {mask_account(managed[0])}")
    check_gateway(exam.settings, Mode.DRY_RUN, port=exam.broker.port, managed=managed)
    return CheckResult(f"logged in; manages {known}; configured: {mask_account(exam.settings.ibkr.account_id)}")


async def _look_at(exam: Examination, account: str) -> None:
    """Connect again for this account: a connection reads the values of one account only."""
    await exam.broker.disconnect()
    exam.options = replace(exam.options, account=account)
    exam.settings = exam.options.settings()
    exam.broker = exam.options.make_broker(exam.settings)
    await exam.broker.connect()


async def _api(exam: Examination) -> CheckResult:
    """Whether the API takes orders: with Read-Only API ticked the gateway refuses to list completed orders (321)."""
    if not isinstance(exam.broker, GatewayBroker):
        return UNSEEN
    try:
        await exam.broker.completed_orders()
    except SafetyRefused:
        if exam.settings.ibkr.read_only:
            return CheckResult("Read-Only API is ticked: it takes no orders, and the settings send none")
        return CheckResult(
            "Read-Only API is ticked: it takes no orders",
            "to trade, untick it under Configure > API > Settings; dry runs work with it",
            CheckState.WARNING,
        )
    return CheckResult(
        "Read-Only API appears to be unticked; order precautions show only when an order is sent",
        "check Configure > API > Precautions once",
    )


async def _data(exam: Examination) -> CheckResult:
    exam.snapshot = found = await exam.broker.snapshot()
    cash = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(found.cash.items()))
    worth = f"NetLiq {found.net_liq.amount:,.2f} {found.base_currency}"
    positions, orders = counted(len(found.positions), "position"), counted(len(found.working_orders), "working order")
    return CheckResult(f"{worth}, cash {cash or 'none'}, {positions}, {orders}")


async def _quote(exam: Examination) -> CheckResult:
    exam.contract = contract = await _some_contract(exam)
    wanted = exam.settings.ibkr.market_data_type
    if wanted is not MarketDataType.LIVE:
        await exam.broker.market_data_type(wanted)
    quote = (await exam.broker.quotes((contract,)))[contract.symbol]
    shown = _shown(quote)
    if not shown:
        if quote.refusal:
            raise MarketDataMissing(f"{contract.symbol}: {quote.refusal.text}", next_step=quote.refusal.next_step)
        raise MarketDataMissing(
            f"{contract.symbol} has no price",
            next_step="subscribe to market data of US ETFs for this user, or wait for the market to open",
        )
    text = f"{contract.symbol} {shown}, {quote.data_type.value.replace('_', ' ')}"
    if quote.data_type is not MarketDataType.LIVE:
        return CheckResult(text, "subscribe to live market data; live trading needs it", CheckState.WARNING)
    missing = why_no_nbbo(quote)
    return (
        CheckResult(f"{text}: {missing}", "normal outside trading hours", CheckState.WARNING)
        if missing
        else CheckResult(text)
    )


async def _some_contract(exam: Examination) -> Contract:
    """The contract of the ETF of which most is held, else of a common one."""
    held = [] if exam.snapshot is None else [*exam.snapshot.positions]
    etfs = [each for each in held if each.contract.security_type is SecurityType.ETF and each.contract.currency == USD]
    if etfs:
        return max(etfs, key=lambda each: each.market_value or ZERO).contract
    return (await exam.broker.resolve((COMMON,), {}))[COMMON]


def _shown(quote: Quote) -> str:
    prices = (("bid", quote.bid), ("ask", quote.ask), ("last", quote.last))
    return " ".join(f"{name} {price_text(price)}" for name, price in prices if price is not None and price > 0)


async def _farms(exam: Examination) -> CheckResult:
    if not isinstance(exam.broker, GatewayBroker):
        return UNSEEN
    farms = (await exam.broker.info()).farms
    lost = sorted(name for name, is_up in farms.items() if not is_up)
    if lost:
        return CheckResult(
            f"broken: {', '.join(lost)}",
            "wait, or log the gateway in again: the prices of a broken farm do not move",
            CheckState.WARNING,
        )
    return CheckResult(f"connected: {', '.join(sorted(farms))}" if farms else "the gateway reports none")


async def _hours(exam: Examination) -> CheckResult:
    if exam.contract is None:
        return UNSEEN
    closed = closed_reason(exam.contract, exam.broker.now())
    if closed:
        return CheckResult(
            f"closed: {closed}", "orders are sent in regular trading hours; a dry run works now", CheckState.WARNING
        )
    return CheckResult("open: regular trading hours")


async def _journal(of: Examination) -> CheckResult:
    with closing(open_store(of.settings)) as store:
        store.check_writable()
        journal = Journal(store)
        count, found = len(journal.runs()), journal.open_runs(of.settings.ibkr.account_id)
    needing = [record for state in found for record in state.needing_person]
    if needing:
        raise quarantined(of.settings.ibkr.account_id, needing)
    where = without_password(of.settings.journal.url or "") or "in the state folder"
    text = f"{where}: {counted(count, 'run')} on record"
    if found:
        ids = ", ".join(state.record.run_id for state in found)
        recover = with_ini("rebalance recover", of.options.ini)
        return CheckResult(f"{text}; no end of {ids}", f"if its process died: {recover}", CheckState.WARNING)
    return CheckResult(text)


async def _reports(exam: Examination) -> CheckResult:
    folder = exam.settings.io.report_dir
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        if folder.exists():
            check_closed(folder)
        with TemporaryFile(dir=nearest) as file:
            # what is still to be written when the file is closed fails without an error
            file.write(A_BLOCK)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputFailed(
            f"{folder} cannot be written: {error.strerror}",
            next_step=f"make {nearest} a folder that you can write to, free space on its disk, or set [io] report_dir",
        ) from error
    return CheckResult(f"{folder} {'can be written' if nearest == folder else 'will be created'}")


async def _kill_switch(exam: Examination) -> CheckResult:
    check_kill_switch(exam.settings.safety.kill_switch_file)
    return CheckResult(f"off: {exam.settings.safety.kill_switch_file} does not exist")


async def _approvers(exam: Examination) -> CheckResult:
    from deployments.serving.server import lasting_server, server_failures

    names = exam.settings.approval.approvers
    if not names:
        return CheckResult("none are named: whoever can answer a run approves it")
    with server_failures():
        found = {name: await find_secret(name, with_blocks=lasting_server() is not None) for name in names}
    lacking = [name for name, secret in found.items() if secret is None]
    if lacking:
        return CheckResult(
            "\n".join(f"{name} has no secret here, and cannot approve what this computer executes" for name in lacking),
            f"rebalance approver add {lacking[0]}, or put its variable into the environment",
            CheckState.FAILED if lacking == [*names] else CheckState.WARNING,
            ExitCode.SAFETY if lacking == [*names] else ExitCode.DONE,
        )
    return CheckResult(f"{', '.join(names)}: each with a secret for one-time codes")


async def _server() -> CheckResult:
    from deployments.serving.server import lasting_server

    server = lasting_server()
    if server is None:
        return CheckResult(
            "none is running: each run starts its own, which takes some seconds and has no page",
            "start a lasting one with `rebalance up`",
        )
    import httpx

    try:
        async with httpx.AsyncClient(timeout=SERVER_SECONDS) as client:
            (await client.get(f"{server}/health")).raise_for_status()
    except httpx.HTTPError as error:
        raise ConnectionLost(
            f"{without_password(server)} does not answer: {error}",
            next_step="start it (`rebalance up`), or correct PREFECT_API_URL",
        ) from error
    service = read_service()
    if service is not None and service.api_url == server and not service.has_executor:
        text = f"{server} answers, but the executor of its deployments is not running"
        return CheckResult(text, "start it with `rebalance up`", CheckState.WARNING)
    return CheckResult(f"{without_password(server)} answers")


SETTINGS, SERVER = "settings", "Prefect server"
GATEWAY, ACCOUNT = "gateway", "login and account"
# by name: the part that it depends on, and the check
CHECKS: Mapping[str, tuple[str, Callable[[Examination], Awaitable[CheckResult]]]] = {
    GATEWAY: (SETTINGS, _gateway),
    "version and clock": (GATEWAY, _version),
    ACCOUNT: (GATEWAY, _account),
    "API settings": (ACCOUNT, _api),
    "account data": (ACCOUNT, _data),
    "market data": (ACCOUNT, _quote),
    "data farms": (ACCOUNT, _farms),
    "market hours": (ACCOUNT, _hours),
    "journal": (SETTINGS, _journal),
    "report folder": (SETTINGS, _reports),
    "kill switch": (SETTINGS, _kill_switch),
    "approvers": (SETTINGS, _approvers),
}


def _document(results: Mapping[str, CheckResult], code: ExitCode) -> str:
    checks = [
        {"check": name, "state": each.state, "found": each.text, "next_step": each.next_step}
        for name, each in results.items()
    ]
    return json.dumps({"exit_code": int(code), "checks": checks}, indent=2, ensure_ascii=False)


def _table(results: Mapping[str, CheckResult]) -> Table:
    table = Table("check", "state", "found", "what to do", title="What a run needs", title_justify="left")
    for name, each in results.items():
        state = f"[{STYLES[each.state]}]{each.state}[/]"
        table.add_row(name, state, *(escape(mask_accounts(text)) for text in (each.text, each.next_step)))
    return table

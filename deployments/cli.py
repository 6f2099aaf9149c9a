"""The `rebalance` command: each subcommand is a few lines over a module that is imported only when it runs."""

from __future__ import annotations

import json
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from core.errors import ExitCode, RebalanceError, unexpected
from core.masking import mask_accounts
from core.model.types import BrokerKind, Mode
from deployments import options
from deployments.help import GroupedApp, GroupedCommand
from deployments.options import (
    ACCOUNT,
    ASKING,
    FIRST,
    MODE,
    OUTPUT,
    REHEARSALS,
    RUN_EXAMPLES,
    RUNS,
    SERVER,
    SWITCH,
    Account,
    AccountsFile,
    ApproverName,
    BandBps,
    Broker,
    CheckedCsv,
    CheckedHousehold,
    CheckedIni,
    Csv,
    DefaultAccounts,
    DefaultBroker,
    DefaultCsv,
    DefaultIni,
    DefaultMarket,
    DryRun,
    GatewayIni,
    HouseholdSchema,
    Ini,
    InProcess,
    JournalIni,
    Json,
    Market,
    MinOrder,
    Note,
    OfRehearsals,
    Paper,
    ReportOnly,
    RunIni,
    RunName,
    ScenarioBroker,
    ScenarioSchema,
    Sets,
)
from deployments.streams import open_what_is_closed
from deployments.terminal import show_failure
from tasks.app.call_stack import with_room_for_calls
from tasks.app.environment import set_defaults

app = typer.Typer(
    name="rebalance",
    cls=GroupedApp,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands it over that way
    if wanted:
        parts = f"Prefect {version('prefect')}, ib_async {version('ib_async')}, Python {platform.python_version()}"
        typer.echo(f"rebalance {version('ibkr-rebalancer')} ({parts})")
        raise typer.Exit


@app.callback()
def rebalance(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bring an Interactive Brokers account back to its target weights, with your approval."""


@app.command(cls=GroupedCommand, rich_help_panel=FIRST)
def init(  # noqa: PLR0913 - one parameter per option of the command
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="where they are written; created if it is missing")
    ] = Path(),
    *,
    from_account: Annotated[
        bool, typer.Option("--from-account", help="start from what the account holds, as the gateway reports it")
    ] = False,
    household: Annotated[
        bool, typer.Option("--household", help="write accounts.yaml as well, for several accounts")
    ] = False,
    ini: GatewayIni = None,
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="ID", help="the account of the new settings", rich_help_panel=ACCOUNT),
    ] = None,
    broker: Broker = BrokerKind.IBKR,
    market: Market = None,
    sets: Sets = None,
) -> None:
    """Write portfolios.csv and settings.ini with every key explained; never overwrites a file."""
    overrides = options.overrides(sets)

    from deployments.commands.init import init as write
    from deployments.connection import ConnectionOptions

    connection = ConnectionOptions(ini, account, broker, market, overrides)
    write(folder, connection, from_account=from_account, household=household)


@app.command(cls=GroupedCommand, rich_help_panel=FIRST)
def check(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    csv: CheckedCsv = None,
    ini: CheckedIni = None,
    *,
    household: CheckedHousehold = None,
    sets: Sets = None,
    as_json: Json = False,
    show_schema: HouseholdSchema = False,  # noqa: ARG001 - its callback has ended the command
) -> None:
    """Validate the files and print the blend; with --household those of all its accounts, a line for each."""
    overrides = options.overrides(sets)

    if household is not None:
        options.refuse_beside_household(context)
        from deployments.commands.household import check_household

        check_household(household, overrides, as_json=as_json)
        return
    if csv is None or ini is None:
        raise options.missing_files({"--csv": csv, "--ini": ini})

    from deployments.commands.plan import show_blend
    from tasks.app.request import Request

    show_blend(Request(csv, ini, overrides=overrides), as_json=as_json)


@app.command(cls=GroupedCommand, rich_help_panel=FIRST)
def doctor(
    ini: GatewayIni = None,
    *,
    account: Account = None,
    broker: Broker = BrokerKind.IBKR,
    market: Market = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Check everything a run needs, from the gateway to the reports, and say what to do. Sends no order."""
    overrides = options.overrides(sets)

    from deployments.commands.doctor import doctor as examine
    from deployments.connection import ConnectionOptions

    sys.exit(examine(ConnectionOptions(ini, account, broker, market, overrides), as_json=as_json))


@app.command(cls=GroupedCommand, rich_help_panel=RUNS, epilog=RUN_EXAMPLES)
def run(  # noqa: PLR0913 - one parameter per option of the command
    csv: Csv = None,
    ini: RunIni = None,
    *,
    report_only: ReportOnly = False,
    dry_run: DryRun = False,
    paper: Paper = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="trade real money; needs --yes or --confirm-live as well", rich_help_panel=MODE),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="paper: approve; live: confirm the mode, the plan still needs approval",
            rich_help_panel=ASKING,
        ),
    ] = False,
    pause: Annotated[
        bool, typer.Option("--pause", help="ask on the Prefect page instead of here", rich_help_panel=ASKING)
    ] = False,
    confirm_live: Annotated[
        bool,
        typer.Option(
            "--confirm-live", help="live: confirm the mode, as --yes does, with --pause", rich_help_panel=ASKING
        ),
    ] = False,
    account: Account = None,
    broker: Broker = BrokerKind.IBKR,
    market: Market = None,
    per_holding_band_bps: BandBps = None,
    min_order_usd: MinOrder = None,
    sets: Sets = None,
    as_json: Json = False,
    data_docs: Annotated[
        bool,
        typer.Option(
            "--data-docs",
            help="also write the Data Docs of Great Expectations on this run's gates: data_docs/index.html beside the "
            "reports, readable without a network",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Rebalance: read, plan, ask, trade, report."""
    mode = options.one_mode({Mode.REPORT_ONLY: report_only, Mode.DRY_RUN: dry_run, Mode.PAPER: paper, Mode.LIVE: live})
    overrides = options.overrides(sets, per_holding_band_bps, min_order_usd)

    from deployments.commands.run import Interaction, run_flow
    from tasks.app.request import Request

    request = Request(
        *options.both(csv, ini), mode, account, broker, market, overrides, confirm_live=yes or confirm_live
    )
    interaction = Interaction(yes=yes, by_form=pause, as_json=as_json, data_docs=data_docs)
    sys.exit(run_flow(request, interaction))


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def household(  # noqa: PLR0913 - one parameter per option of the command
    accounts: AccountsFile,
    *,
    report_only: ReportOnly = False,
    dry_run: DryRun = False,
    paper: Paper = False,
    live: Annotated[
        bool, typer.Option("--live", help="trade real money; needs --confirm-live as well", rich_help_panel=MODE)
    ] = False,
    confirm_live: Annotated[
        bool, typer.Option("--confirm-live", help="live: confirm the mode", rich_help_panel=ASKING)
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="this account and no others, repeatable", rich_help_panel=ACCOUNT),
    ] = None,
    in_process: InProcess = False,
    broker: Broker = BrokerKind.IBKR,
    market: Market = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Rebalance every account of a household on the server of `rebalance up`, and watch until all have ended."""
    mode = options.one_mode({Mode.REPORT_ONLY: report_only, Mode.DRY_RUN: dry_run, Mode.PAPER: paper, Mode.LIVE: live})

    from deployments.commands.watch import run_household
    from tasks.app.household import HouseholdRequest

    request = HouseholdRequest.of(
        accounts=accounts,
        mode=mode,
        broker=broker,
        market=market,
        overrides=options.overrides(sets),
        only=tuple(only or ()),
        confirm_live=confirm_live,
        in_process=in_process,
    )
    sys.exit(run_household(request, as_json=as_json))


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def plan(  # noqa: PLR0913 - one parameter per option of the command
    csv: Csv = None,
    ini: RunIni = None,
    *,
    account: Account = None,
    broker: Broker = BrokerKind.IBKR,
    market: Market = None,
    per_holding_band_bps: BandBps = None,
    min_order_usd: MinOrder = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """The quick look: read, plan, print. No orders, no Prefect, no gates."""
    overrides = options.overrides(sets, per_holding_band_bps, min_order_usd)

    from deployments.commands.plan import show_plan
    from tasks.app.request import Request

    files = options.both(csv, ini)
    show_plan(Request(*files, Mode.DRY_RUN, account, broker, market, overrides), as_json=as_json)


@app.command(cls=GroupedCommand, rich_help_panel=REHEARSALS)
def scenario(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="scenario files, or folders of them")],
    out: Annotated[Path, typer.Option("--out", help="the folder for the results, one folder per scenario")],
    broker: Annotated[
        ScenarioBroker,
        typer.Option("--broker", help="in memory, or the real client over a socket to a simulated gateway"),
    ] = ScenarioBroker.FAKE,
    *,
    show_schema: ScenarioSchema = False,  # noqa: ARG001 - its callback has ended the command
) -> None:
    """Run scenario files offline through the flow; exits with 0 when every one could be run."""
    from deployments.commands.scenario import run_scenarios

    run_scenarios(files, out, broker)


@app.command(cls=GroupedCommand, rich_help_panel=REHEARSALS)
def gateway(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: a free one")] = 0,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", help="take account and market from a scenario (default: the demo)")
    ] = None,
    market: Annotated[
        list[Path] | None,
        typer.Option("--market", help="take account and quotes from a market file instead; once for each account"),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="write everything received and sent there, as JSON lines")
    ] = None,
) -> None:
    """Serve a simulated IB Gateway on 127.0.0.1 until stopped; prints `ready 127.0.0.1:PORT` when it is."""
    from deployments.commands.gateway import GatewayWorld, serve_gateway

    serve_gateway(port, GatewayWorld(scenario, market or (), log))


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def approve(
    run: RunName,
    approver: ApproverName = None,
    account_suffix: Annotated[
        str | None, typer.Option("--account-suffix", metavar="XXX", help="last 3 characters of the account")
    ] = None,
    note: Note = "",
    household: Annotated[
        str | None, typer.Option("--household", metavar="NAME", help="of a household's run: the household's name")
    ] = None,
    leave_out: Annotated[
        str, typer.Option("--leave-out", metavar="NAMES", help="of a household's run: accounts that must not trade")
    ] = "",
) -> None:
    """Approve a waiting run, after showing its plan; a household's run with the plans of all accounts."""
    from deployments.commands.approve import Decision, answer

    answer(
        run,
        Decision(
            approve=True,
            approver=approver,
            account_suffix=account_suffix,
            note=note,
            household=household,
            leave_out=leave_out,
        ),
    )


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def reject(run: RunName, approver: ApproverName = None, note: Note = "") -> None:
    """Reject a waiting run, after showing its plan."""
    from deployments.commands.approve import Decision, answer

    answer(run, Decision(approve=False, approver=approver, note=note))


approver_app = typer.Typer(
    cls=GroupedApp,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(approver_app, name="approver", rich_help_panel=RUNS)


@approver_app.callback()
def approver() -> None:
    """Those who alone may approve ([approval] approvers), each with a one-time code."""


@approver_app.command(cls=GroupedCommand)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="as it will stand in [approval] approvers")],
    *,
    save: Annotated[
        bool, typer.Option("--save", help="keep the secret in a Secret block of the Prefect server")
    ] = False,
) -> None:
    """Make the secret of an approver's one-time codes, and show it as a QR code; it is written to no file."""
    from deployments.commands.approver import add_approver

    add_approver(name, save=save)


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def history(  # noqa: PLR0913 - one parameter per option of the command
    context: typer.Context,
    ini: CheckedIni = None,
    *,
    household: CheckedHousehold = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, help="how many runs (default: 20, all of them with --html)")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="write them as a page with charts over time")
    ] = None,
    rehearsals: OfRehearsals = False,
    as_json: Json = False,
) -> None:
    """List past runs from the journal: when, what was traded, what it cost, and how they ended."""
    from deployments.commands.history import show_history, source_of, write_history

    if household is not None:
        options.refuse_beside_household(context)
    source = source_of(ini, household, rehearsals=rehearsals)
    if html:
        write_history(source, html, last=last)
        return
    show_history(source, last=last, as_json=as_json)


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def report(run: RunName, ini: Ini, *, rehearsals: OfRehearsals = False) -> None:
    """Write the report of a past run again, from the journal alone."""
    from deployments.commands.history import rebuild_report

    rebuild_report(ini, run, rehearsals=rehearsals)


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def recover(
    ini: Ini,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="an open run, by the beginning of its id (default: all)")
    ] = "",
    account: Account = None,
) -> None:
    """End what a run left whose process died: find out what became of its orders, cancel what works. Sends nothing."""
    from deployments.commands.recover import recover_account

    sys.exit(recover_account(ini, account, run))


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def resolve(
    ini: Ini,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="its reference, or the run whose only one it is")],
    found: Annotated[
        str,
        typer.Option(
            "--found", metavar="TEXT", help='"filled N at PRICE", "cancelled[, filled N at PRICE]" or "never existed"'
        ),
    ],
    by: ApproverName = None,
) -> None:
    """Record what you found of an order whose state is unknown (exit 41), so that its account may be traded again."""
    from deployments.commands.recover import resolve_order

    resolve_order(ini, order, found, by)


@app.command(cls=GroupedCommand, rich_help_panel=RUNS)
def journal(
    ini: Ini,
    *,
    backup: Annotated[
        Path | None, typer.Option("--backup", metavar="FILE", help="copy the journal there, also while runs use it")
    ] = None,
    vacuum: Annotated[bool, typer.Option("--vacuum", help="give its free space back to the disk")] = False,
) -> None:
    """Back up the journal, or make it smaller (SQLite; PostgreSQL has tools of its own)."""
    from deployments.commands.journal import keep_up

    keep_up(ini, backup=backup, vacuum=vacuum)


@app.command(cls=GroupedCommand, rich_help_panel=SERVER)
def serve(
    csv: DefaultCsv = None,
    ini: DefaultIni = None,
    broker: DefaultBroker = None,
    market: DefaultMarket = None,
    accounts: DefaultAccounts = None,
) -> None:
    """Serve the deployments in the foreground: execute the runs that the page, a schedule or a program starts."""
    from deployments.commands.serve import serve as serve_deployments

    serve_deployments(options.Defaults(csv, ini, broker, market, accounts))


@app.command(cls=GroupedCommand, rich_help_panel=SERVER)
def up(
    port: Annotated[int | None, typer.Option("--port", min=1, max=65_535, help="of the page (default: 4200)")] = None,
    csv: DefaultCsv = None,
    ini: DefaultIni = None,
    broker: DefaultBroker = None,
    market: DefaultMarket = None,
    accounts: DefaultAccounts = None,
) -> None:
    """Start the lasting Prefect server, its page and the executor of the deployments, in the background."""
    from deployments.commands.up import up as start

    start(port, options.Defaults(csv, ini, broker, market, accounts))


@app.command(cls=GroupedCommand, rich_help_panel=SERVER)
def down() -> None:
    """Stop what `rebalance up` started, and nothing else; runs cancel their orders first."""
    from deployments.commands.down import down as stop_all

    stop_all()


@app.command(cls=GroupedCommand, rich_help_panel=SERVER)
def status(
    ini: JournalIni = None,
    *,
    as_json: Json = False,
    password: Annotated[
        bool, typer.Option("--password", help="print user:password of the server's page and API")
    ] = False,
) -> None:
    """Show the server, the schedules, the running and the waiting runs."""
    from deployments.commands.status import show_password, show_status

    if password:
        show_password()
    else:
        sys.exit(show_status(ini, as_json=as_json))


@app.command(cls=GroupedCommand, rich_help_panel=SWITCH)
def stop(ini: Ini) -> None:
    """Engage the kill switch: no more orders are sent, and working orders are cancelled."""
    from deployments.commands.kill_switch import engage

    engage(ini)


@app.command(cls=GroupedCommand, rich_help_panel=SWITCH)
def go(ini: Ini) -> None:
    """Release the kill switch: orders may be sent again."""
    from deployments.commands.kill_switch import release

    release(ini)


def main() -> None:
    """The console script. A failure is one line and its exit code, with --json also a document on standard output."""
    open_what_is_closed()
    set_defaults()
    try:
        with_room_for_calls(app)
    except RebalanceError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(ExitCode.APPROVAL_REJECTED)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one line, with its place in the code, and the code is 70
        _fail(unexpected(error, "report it"))


def _fail(error: RebalanceError) -> NoReturn:
    """Print the failure and exit."""
    show_failure(error)
    if "--json" in sys.argv:
        document = {"exit_code": int(error.exit_code), "reason": str(error), "faults": list(error.faults)}
        with suppress(OSError):  # an output that is gone can show no warning of it either
            print(mask_accounts(json.dumps(document, indent=2, ensure_ascii=False)), flush=True)  # noqa: T201 - what --json promises
    sys.exit(error.exit_code)

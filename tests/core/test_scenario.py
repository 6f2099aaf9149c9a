"""Scenario and market files: read strictly, all faults reported at once and by their place, texts kept as written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from builders import NOW
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.errors import UsageError
from core.model import CAD, USD, USD_CAD, MarketDataType, Mode, ModelName, SecurityType, Side, Symbol
from core.money import D
from core.scenario import Confirm, read_market, read_scenario, scenario_schema
from core.scenario.models import MarketFile
from core.settings import RebalanceSection
from core.settings.loading import settings_from
from core.sim.venue.world import Fault, FaultKind, FillScript, Point, SimQuote, Values
from core.targets import parse_portfolios

DEMO = Path(__file__).parents[2] / "deployments" / "demo"
SCENARIOS = Path(__file__).parents[1] / "scenarios"
VTI, ON = Symbol("VTI"), Symbol("ON")
LINE = re.compile(r"^line \d+: ")
TYPES = "ETF, STK, CASH, BILL, BOND, CFD, CMDTY, CRYPTO, FOP, FUND, FUT, IND, OPT, WAR"

WHOLE = """
name: everything
as_of: 2026-03-02T15:30:00-05:00
mode: paper
confirm: yes
confirm_live: true
settings: {rebalance: {min_order_usd: 0, max_order_usd: null}, execution: {blackout: [00:10-01:50, 12:00-12:05]}}
targets: {VTI: 0.60, ON: 0.4}
account:
  id: DU1234567
  base_currency: CAD
  cash: {USD: 1000.10, CAD: 5}
  excess_liquidity: 50000
  positions:
    - {symbol: vti, quantity: 10.5, average_cost: 200, security_type: ETF, currency: USD}
    - {symbol: SHOP, quantity: -3, security_type: STK, currency: CAD}
    - {symbol: ESZ6, quantity: 1, security_type: FUT}
  open_orders:
    - {symbol: VTI, side: BUY, quantity: 10, filled: 4, limit_price: 250, order_ref: RB-earlier-B1-1}
    - {symbol: VTI, side: SELL, quantity: 1}
quotes:
  VTI: {bid: 250.10, ask: 250.140, last: null, age_seconds: 1.5, min_tick: 0.01}
  ON: {snapshot: {bid: 72.00, ask: 72.02}, halted: yes, data_type: delayed, previous_close: 71}
  BND:
  USD.CAD: {bid: .nan, ask: -1}
behaviour:
  fills: {VTI: {delay_seconds: 2, fill_fraction: 0.5, price: 250.12, reject: 201}, ON: {}}
  changes: [{at: before_sells, quotes: {VTI: {bid: 1}}, positions: [{symbol: VTI, quantity: 0}], cash: {CAD: 9}}]
  faults: [{at: connect, kind: disconnect, times: 2}, {at: "order:vti", kind: pacing}]
"""

SMALL = """
as_of: 2026-03-02T15:30:00-05:00
targets: {VTI: 1}
account: {id: DU1234567}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="small.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def faults_of(path, read=read_scenario):
    """The faults of a file without their lines and the file's name, with which each begins."""
    with pytest.raises(UsageError) as error:
        read(path)
    assert all(fault.startswith(f"{path}: ") for fault in error.value.faults)
    assert str(path) in error.value.message
    return [LINE.sub("", fault.removeprefix(f"{path}: ")) for fault in error.value.faults]


def test_a_whole_scenario_is_read_as_it_stands(write):
    scenario = read_scenario(write(WHOLE))
    assert (scenario.name, scenario.mode, scenario.confirm, scenario.confirm_live) == (
        "everything",
        Mode.PAPER,
        Confirm.YES,
        True,
    )
    assert scenario.as_of == scenario.world.as_of == datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    assert scenario.targets == {VTI: D("0.60"), ON: D("0.4")}
    assert scenario.portfolios is None


def test_the_account_is_read_as_it_stands(write):
    account = read_scenario(write(WHOLE)).world.account
    assert (account.id, account.base_currency, account.excess_liquidity) == ("DU1234567", CAD, D(50000))
    assert account.cash == {USD: D("1000.10"), CAD: D(5)}
    assert [(one.symbol, one.quantity, one.security_type, one.currency) for one in account.positions] == [
        (VTI, D("10.5"), SecurityType.ETF, USD),
        ("SHOP", D(-3), SecurityType.STOCK, CAD),
        ("ESZ6", D(1), SecurityType.OTHER, USD),
    ]
    ours, by_hand = account.open_orders
    assert (ours.side, ours.quantity, ours.filled, ours.limit_price, ours.is_ours) == (
        Side.BUY,
        D(10),
        D(4),
        D(250),
        True,
    )
    assert (by_hand.limit_price, by_hand.filled, by_hand.order_ref, by_hand.is_ours) == (None, D(0), "", False)


def test_quotes_keep_their_decimals_and_absent_values_stay_absent(write):
    quotes = read_scenario(write(WHOLE)).world.quotes
    assert quotes[VTI] == SimQuote(Values(D("250.10"), D("250.140"), None), age_seconds=D("1.5"), min_tick=D("0.01"))
    assert str(quotes[VTI].values.ask) == "250.140"
    assert quotes[ON] == SimQuote(
        snapshot=Values(D("72.00"), D("72.02")),
        is_halted=True,
        data_type=MarketDataType.DELAYED,
        previous_close=D(71),
    )
    assert quotes[Symbol("BND")] == SimQuote()
    assert quotes[USD_CAD].values.bid is None


def test_behaviour_is_read_as_it_stands(write):
    world = read_scenario(write(WHOLE)).world
    assert world.fills == {VTI: FillScript(D(2), D("0.5"), D("250.12"), 201), ON: FillScript()}
    assert world.faults == (
        Fault("connect", FaultKind.DISCONNECT, 2),
        Fault("order:VTI", FaultKind.PACING, 1),
    )
    (change,) = world.changes
    assert (change.at, change.quotes, change.cash) == (
        Point.BEFORE_SELLS,
        {VTI: SimQuote(Values(bid=D(1)))},
        {CAD: D(9)},
    )
    assert [(one.symbol, one.quantity) for one in change.positions] == [(VTI, D(0))]


def test_settings_are_texts_with_account_permission_and_thirds_filled_in(write):
    scenario = read_scenario(write(WHOLE))
    assert scenario.settings["rebalance"] == {"min_order_usd": "0"}
    assert scenario.settings["execution"] == {"blackout": "00:10-01:50, 12:00-12:05"}
    effective = settings_from(scenario.settings, folder=scenario.path.parent)
    assert effective.ibkr.account_id == "DU1234567"
    assert effective.ibkr.read_only is False
    assert sum(effective.models.values()) == 1
    assert max(effective.models.values()) - min(effective.models.values()) < D("0.00001")


def test_what_a_scenario_sets_itself_is_not_filled_in(write):
    text = SMALL + "settings: {ibkr: {account_id: DU7654321, read_only: true}, models: {smurf: 1, badass: 0, gltr: 0}}"
    settings = read_scenario(write(text)).settings
    assert settings["ibkr"] == {"account_id": "DU7654321", "read_only": "true"}
    assert settings["models"] == {"smurf": "1", "badass": "0", "gltr": "0"}


def test_a_scenario_needs_only_a_clock_targets_and_an_account(write):
    scenario = read_scenario(write(SMALL, "small name.yaml"))
    assert (scenario.name, scenario.mode, scenario.confirm, scenario.confirm_live) == (
        "small name",
        Mode.DRY_RUN,
        Confirm.NO,
        False,
    )
    assert (scenario.world.quotes, scenario.world.faults, scenario.world.commission) == ({}, (), D(0))


def test_what_has_a_target_is_listed_though_it_has_no_quote(write):
    assert read_scenario(write(WHOLE)).world.listed == {VTI, ON}
    rows = "portfolios: [{portfolio: SMURF, symbol: vti}, {portfolio: SMURF, symbol: CASH}, {symbol: }]"
    assert read_scenario(write(SMALL.replace("targets: {VTI: 1}", rows))).world.listed == {VTI}


@pytest.mark.parametrize("symbol", ["NULL", "null", "~", "TRUE", "ON", "NA", "0700"])
def test_a_symbol_is_text_whatever_yaml_makes_of_it(write, symbol):
    text = f"""
as_of: 2026-03-02T15:30:00-05:00
settings: {{rebalance: {{hold_symbols: [{symbol}, RSX]}}}}
portfolios: [{{portfolio: {symbol}, symbol: {symbol}, target_pct: 100}}]
account:
  id: DU1234567
  positions: [{{symbol: {symbol}, quantity: 1, average_cost: 5}}]
  open_orders: [{{symbol: {symbol}, side: BUY, quantity: 1}}]
quotes: {{{symbol}: {{bid: 1}}}}
behaviour: {{fills: {{{symbol}: {{delay_seconds: 2}}}}, faults: [{{at: "order:{symbol}", kind: pacing}}]}}
"""
    scenario, name = read_scenario(write(text)), symbol.upper()
    world = scenario.world
    assert [each.symbol for each in (*world.account.positions, *world.account.open_orders)] == [name, name]
    assert (world.listed, set(world.quotes), set(world.fills)) == ({name}, {name}, {name})
    assert scenario.portfolios == f"portfolio,symbol,target_pct\n{symbol},{symbol},100\n".encode()
    assert scenario.settings["rebalance"] == {"hold_symbols": f"{symbol}, RSX"}
    assert world.faults[0].at == f"order:{name}"


def test_the_venue_charges_what_the_scenario_sets_aside(write):
    text = SMALL + "settings: {rebalance: {commission_per_order_usd: 1.25}}"
    assert read_scenario(write(text)).world.commission == D("1.25")
    assert read_scenario(write(text.replace("1.25", "much"))).world.commission == D(0)


@pytest.mark.parametrize(
    ("word", "confirm"),
    [
        ("yes", Confirm.YES),
        ("true", Confirm.YES),
        ("no", Confirm.NO),
        ("False", Confirm.NO),
        ("timeout", Confirm.TIMEOUT),
    ],
)
def test_the_approver_is_scripted_by_yamls_yes_and_no_too(write, word, confirm):
    assert read_scenario(write(f"{SMALL}confirm: {word}")).confirm is confirm


def test_portfolio_rows_go_through_the_reader_of_portfolios(write):
    rows = """portfolios:
  - {portfolio: SMURF, symbol: VTI, target_pct: 60, note: 'a, "b"'}
  - {portfolio: SMURF, symbol: ON, target_pct: 40%}
"""
    portfolios = read_scenario(write(SMALL.replace("targets: {VTI: 1}\n", rows))).portfolios
    mix = {ModelName("SMURF"): D(1), ModelName("BADASS"): D(0), ModelName("GLTR"): D(0)}
    weights = parse_portfolios(portfolios, "small.yaml", mix, RebalanceSection())
    assert [(one.symbol, one.weight, one.line) for one in weights] == [(VTI, D("0.6"), 2), (ON, D("0.4"), 3)]


def test_what_is_wrong_in_a_portfolio_row_is_left_to_that_reader(write):
    rows = "portfolios: [{portfolio: SMURF, symbl: VTI}]\n"
    scenario = read_scenario(write(SMALL.replace("targets: {VTI: 1}\n", rows)))
    assert "models" not in scenario.settings
    assert scenario.portfolios == b"portfolio,symbol,target_pct,symbl\nSMURF,,,VTI\n"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("quotes: {VTI: {bid: abc}}", "quotes.VTI.bid: 'abc' is not a number"),
        ("quotes: {VTI: {bid: inf}}", "quotes.VTI.bid: 'inf' is not a number"),
        ("quotes: {VTI: {bid: [1]}}", "quotes.VTI.bid: must be a single value"),
        ("quotes: {VTI: {bidd: 1}}", "quotes.VTI.bidd: unknown key - did you mean bid?"),
        ("quotes: {VTI: {age_seconds: -1}}", "quotes.VTI.age_seconds: -1 must be at least 0 and at most 1000000"),
        ("quotes: {VTI: {min_tick: 0}}", "quotes.VTI.min_tick: 0 must be above 0"),
        ("quotes: {VTI: {halted: maybe}}", "quotes.VTI.halted: 'maybe' is not yes or no"),
        ("quotes: {VTI: {}, vti: {}}", "quotes.vti: appears here twice"),
        ("quotes: [VTI]", "quotes: must be a mapping of keys to values"),
        ("qoutes: {}", "qoutes: unknown key - did you mean quotes?"),
        ("mode: papr", "mode: 'papr' is not one of report_only, dry_run, paper, live"),
        ("confirm: perhaps", "confirm: 'perhaps' is not one of yes, no, timeout"),
        ("confirm_live: si", "confirm_live: 'si' is not yes or no"),
        ("portfolios: []", "one of portfolios and targets must be there, and only one"),
        ("settings: {rebalance: 5}", "settings.rebalance: must be a mapping of keys to values"),
        ("settings: {rebalance: {min_order_usd: {a: 1}}}", "settings.rebalance.min_order_usd: must be a single value"),
        ("behaviour: {fills: {VTI: {fill_fraction: 1.1}}}",
         "behaviour.fills.VTI.fill_fraction: 1.1 must be at least 0 and at most 1"),
        ("behaviour: {fills: {VTI: {price: 0}}}", "behaviour.fills.VTI.price: 0 must be above 0"),
        ("behaviour: {fills: {VTI: {reject: soon}}}", "behaviour.fills.VTI.reject: 'soon' is not a whole number"),
        ("behaviour: {changes: {}}", "behaviour.changes: must be a list"),
        ("behaviour: {changes: [{at: connect}]}",
         "behaviour.changes[0].at: 'connect' is not one of approval, before_sells, before_buys"),
        ("behaviour: {changes: [{quotes: {}}]}", "behaviour.changes[0].at: is missing"),
        ("behaviour: {faults: [{at: lunch, kind: stale}]}",
         f"behaviour.faults[0].at: 'lunch' is not one of {', '.join(Point)}"),
        ("behaviour: {faults: [{kind: stale}]}", "behaviour.faults[0].at: is missing"),
        ("behaviour: {faults: [{at: quotes, kind: flood}]}",
         f"behaviour.faults[0].kind: 'flood' is not one of {', '.join(FaultKind)}"),
        ("behaviour: {faults: [{at: quotes, kind: stale, times: -1}]}",
         "behaviour.faults[0].times: '-1' is not a whole number"),
    ],
)  # fmt: skip
def test_a_fault_is_reported_with_its_place_and_what_is_allowed(write, line, fault):
    assert faults_of(write(SMALL + line)) == [fault]


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        ("{}", "account.id: is missing"),
        ("{id: X, base_currency: EUR}", "account.base_currency: 'EUR' is not one of USD, CAD"),
        ("{id: X, cash: {GBP: 5}}", "account.cash.GBP: 'GBP' is not one of USD, CAD"),
        ("{id: X, positions: [{symbol: VTI}]}", "account.positions[0].quantity: is missing"),
        ("{id: X, positions: [{quantity: 1}]}", "account.positions[0].symbol: is missing"),
        ("{id: X, positions: [{symbol: V, quantity: 1}, {symbol: v, quantity: 2}]}",
         "account.positions[1]: V appears here twice"),
        ("{id: X, positions: [{symbol: V, quantity: 1, security_type: HAT}]}",
         f"account.positions[0].security_type: 'HAT' is not one of {TYPES}"),
        ("{id: X, open_orders: [{symbol: V, side: HOLD, quantity: 1}]}",
         "account.open_orders[0].side: 'HOLD' is not one of BUY, SELL"),
        ("{id: X, open_orders: [{symbol: V, side: BUY, quantity: 4, filled: 4}]}",
         "account.open_orders[0].filled: 4 of 4 is not an order that works"),
    ],
)  # fmt: skip
def test_a_fault_of_the_account_is_reported_with_its_place(write, account, fault):
    assert faults_of(write(SMALL.replace("{id: DU1234567}", account))) == [fault]


@pytest.mark.parametrize(
    ("moment", "fault"),
    [
        ("yesterday", "as_of: 'yesterday' is not a time such as 2026-03-02T15:30:00-05:00"),
        ("2026-03-02T15:30:00", "as_of: 2026-03-02T15:30:00 has no offset from UTC, as in 2026-03-02T15:30:00-05:00"),
        ("1066-03-02T15:30:00-05:00", "as_of: the year must be 1970 to 2199"),
        ("", "as_of: is missing"),
    ],
)
def test_the_clock_of_a_scenario_is_one_moment(write, moment, fault):
    assert faults_of(write(SMALL.replace("2026-03-02T15:30:00-05:00", moment))) == [fault]


def test_all_faults_are_reported_at_once(write):
    faults = faults_of(write("mode: papr\ntargets: {VTI: x, vti: 1}\nquotes: {VTI: {bd: 1}}\n"))
    assert [fault.split(":")[0] for fault in faults] == [
        "targets.VTI", "targets.vti", "as_of", "account", "quotes.VTI.bd", "mode",
    ]  # fmt: skip


def test_a_fault_has_the_line_of_its_value_and_what_is_missing_that_of_what_it_is_missing_in(write):
    path = write("mode: papr\n\naccount:\n  cash: {USD: x}\nquotes:\n  VTI:\n    bd: 1\n")
    with pytest.raises(UsageError) as error:
        read_scenario(path)
    assert [fault.removeprefix(f"{path}: ") for fault in error.value.faults] == [
        "one of portfolios and targets must be there, and only one",
        "as_of: is missing",
        "line 3: account.id: is missing",
        "line 4: account.cash.USD: 'x' is not a number",
        "line 7: quotes.VTI.bd: unknown key - did you mean bid?",
        "line 1: mode: 'papr' is not one of report_only, dry_run, paper, live",
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("a: 1\na: 2\n", "is not valid YAML: line 2: the key 'a' appears here twice"),
        ("a: {b: 1, b: 2}\n", "is not valid YAML: line 1: the key 'b' appears here twice"),
        ("[a]: 1\n", "is not valid YAML: line 1: a key must be a text"),
        (
            "a: &one {b: 1}\nc: *one\n",
            "is not valid YAML: line 2: *one stands for another value: write the value itself",
        ),
        ("a: [1\n", "is not valid YAML: line 2: expected ',' or ']', but got '<stream end>'"),
        ("- a\n", "must be a mapping of keys to values"),
        ("", "must be a mapping of keys to values"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
        ("[" * 1000, "is not valid YAML: nested too deeply or not text"),
        ("a: \x00\n", "is not valid YAML: nested too deeply or not text"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused_in_one_line(write, data, fault):
    (found,) = faults_of(write(data))
    assert found == fault


def test_a_file_that_is_missing_a_folder_or_too_large_is_refused(tmp_path, write, monkeypatch):
    assert faults_of(tmp_path / "none.yaml") == ["there is no such file"]
    assert faults_of(tmp_path) == ["Is a directory"]
    monkeypatch.setattr("core.yaml_file.LARGEST_FILE", 3)
    assert faults_of(write("a: 1")) == ["is larger than 3 bytes"]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["VTI", "yes", "1.5"])
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
KEYS = ["name", "mode", "confirm", "settings", "portfolios", "targets", "account", "quotes", "behaviour"]


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(KEYS), TREES))
def test_any_yaml_without_a_clock_is_refused_with_its_faults(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("any") / "any.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(UsageError) as error:
        read_scenario(path)
    assert error.value.faults


def test_a_market_needs_only_an_account_and_takes_the_time_it_is_given(write):
    world = read_market(write("account: {id: DU1234567}\nquotes: {VTI: {last: 5}}\n"), now=NOW)
    assert (world.as_of, world.quotes[VTI].values.last, world.commission) == (NOW, D(5), D(1))


def test_a_market_has_no_targets_and_its_faults_are_reported(write):
    path = write("account: {}\ntargets: {VTI: 1}\n")
    faults = faults_of(path, lambda path: read_market(path, now=NOW))
    assert faults == ["targets: unknown key - known are as_of, account, quotes, behaviour", "account.id: is missing"]


class EditorLoader(yaml.SafeLoader):
    """YAML as an editor reads it before it applies a schema: numbers and switches are such, a time is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - yaml's own way
        first: [each for each in resolvers if "timestamp" not in each[0]]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def schema_faults(schema, text):
    """What a schema finds wrong in a YAML text."""
    return [error.message for error in Draft202012Validator(schema).iter_errors(yaml.load(text, EditorLoader))]  # noqa: S506


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_of_ours_is_valid_by_the_published_schema(path):
    assert schema_faults(scenario_schema(), path.read_text(encoding="utf-8")) == []


def test_the_demo_market_is_valid_by_its_schema():
    assert schema_faults(MarketFile.model_json_schema(), (DEMO / "market.yaml").read_text(encoding="utf-8")) == []


def test_every_key_of_a_scenario_is_in_the_published_schema():
    assert schema_faults(scenario_schema(), WHOLE) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("mode: papr", "'papr' is not one of ['report_only', 'dry_run', 'paper', 'live']"),
        ("quotes: {VTI: {bidd: 1}}", "Additional properties are not allowed ('bidd' was unexpected)"),
        ("confirm: perhaps", "'perhaps' is not one of "),
        ("behaviour: {faults: [{at: quotes}]}", "'kind' is a required property"),
        ("behaviour: {fills: {VTI: {fill_fraction: 1.1}}}", "1.1 is greater than the maximum of 1"),
    ],
)
def test_the_published_schema_finds_what_the_reader_would_refuse(line, fault):
    (found,) = schema_faults(scenario_schema(), SMALL + line)
    assert found.startswith(fault)


def test_the_demo_market_quotes_all_that_the_demo_trades():
    world = read_market(DEMO / "market.yaml", now=NOW)
    rows = (DEMO / "portfolios.csv").read_text(encoding="utf-8").splitlines()
    targets = {row.split(",")[1] for row in rows if row.startswith(("SMURF", "BADASS", "GLTR"))}
    assert targets | {USD_CAD} | {one.symbol for one in world.account.positions} <= set(world.quotes)
    assert world.as_of == datetime(2026, 3, 2, 15, 30, tzinfo=UTC)

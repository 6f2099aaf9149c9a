"""Settings: defaults, bounds, guards, echo, and what the arithmetic gets from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from input_builders import FOLDER, made_settings, settings_faults

from core.model import (
    CAD,
    USD,
    ConvertMode,
    EscalateAction,
    ForeignOrders,
    LimitStyle,
    MarketDataType,
    OrderType,
    PriceSource,
    StaleAction,
    TradeDirection,
    TriggerMode,
    Untargeted,
)
from core.settings import LogLevel, Settings, describe, echo
from core.settings.loading import settings_from

DEFAULTS = {
    "ibkr.host": "127.0.0.1",
    "ibkr.port": 4002,
    "ibkr.client_id": 42,
    "ibkr.read_only": True,
    "ibkr.connect_timeout_seconds": 15.0,
    "ibkr.request_timeout_seconds": 20.0,
    "ibkr.read_attempts": 4,
    "ibkr.max_messages_per_second": 45,
    "ibkr.market_data_type": MarketDataType.LIVE,
    "rebalance.trigger_mode": TriggerMode.PER_HOLDING,
    "rebalance.per_holding_band_bps": Decimal(50),
    "rebalance.portfolio_total_band_bps": Decimal(100),
    "rebalance.min_order_usd": Decimal(500),
    "rebalance.cash_buffer_pct": Decimal(1),
    "rebalance.allow_fractional": False,
    "rebalance.allow_margin": False,
    "rebalance.max_leverage": Decimal("1.5"),
    "rebalance.maintenance_buffer_pct": Decimal(10),
    "rebalance.maintenance_margin_pct": Decimal(25),
    "rebalance.prefer_rth": True,
    "rebalance.direction": TradeDirection.BOTH,
    "rebalance.untargeted": Untargeted.SELL,
    "rebalance.max_order_usd": None,
    "rebalance.max_turnover_pct": None,
    "rebalance.idle_cash_pct": None,
    "rebalance.hold_symbols": (),
    "rebalance.cooldown_hours": Decimal(0),
    "rebalance.order_type": OrderType.LMT,
    "rebalance.commission_per_order_usd": Decimal(1),
    "pricing.price_source": PriceSource.LAST,
    "pricing.fallback_to_snapshot": True,
    "pricing.max_mark_gap_pct": Decimal(5),
    "fx.enabled": False,
    "fx.base_currency": USD,
    "fx.funding_currencies": (CAD,),
    "fx.convert_mode": ConvertMode.JUST_IN_TIME,
    "fx.use_mid_for_planning": True,
    "fx.min_fx_order_usd": Decimal(1000),
    "fx.max_fx_order_usd": None,
    "fx.fx_buffer_bps": Decimal(20),
    "fx.order_type": OrderType.MKT,
    "fx.limit_slippage_bps": Decimal(5),
    "fx.route": "IDEALPRO",
    "fx.wait_for_fill_seconds": 5.0,
    "fx.prefer_market_hours": False,
    "limits.smart_limit": True,
    "limits.style": LimitStyle.SPREAD_AWARE,
    "limits.buy_offset_frac": Decimal("0.25"),
    "limits.sell_offset_frac": Decimal("0.25"),
    "limits.max_offset_bps": Decimal(10),
    "limits.wide_spread_bps": Decimal(50),
    "limits.escalate_action": EscalateAction.CROSS,
    "limits.stale_quote_seconds": 10.0,
    "limits.stale_action": StaleAction.REFUSE,
    "limits.use_ask_bid_cap": True,
    "execution.max_open_orders": 5,
    "execution.order_timeout_seconds": 60.0,
    "execution.reprice_attempts": 2,
    "execution.absent_confirm_seconds": 60.0,
    "execution.shutdown_seconds": 30.0,
    "execution.preflight": True,
    "execution.close_margin_minutes": Decimal(5),
    "execution.foreign_orders": ForeignOrders.REFUSE,
    "execution.blackout": ("00:10-01:50",),
    "safety.paper_only": True,
    "safety.require_confirm": True,
    "safety.live_without_approval": False,
    "safety.kill_switch_file": FOLDER / "KILL_SWITCH",
    "safety.max_net_liq_gap_pct": Decimal(5),
    "approval.each_stage": False,
    "approval.timeout_seconds": 3600,
    "approval.max_price_move_bps": Decimal(50),
    "approval.approvers": (),
    "journal.url": None,
    "notify.webhook_url": None,
    "io.max_csv_age_days": None,
    "io.report_dir": FOLDER / "reports",
    "io.log_level": LogLevel.INFO,
}


def value(settings: Settings, name: str) -> object:
    section, key = name.split(".")
    return getattr(getattr(settings, section), key)


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_a_key_that_is_not_written_has_its_default(name, default):
    found = value(made_settings(), name)
    assert found == default
    assert type(found) is type(default)


def test_no_key_is_without_a_default_in_the_table_above():
    required = {"ibkr.account_id", "models.NAME"}
    own_names = {"symbol_overrides.SYMBOL"}
    assert {f"{row.section}.{row.key}" for row in describe()} == DEFAULTS.keys() | required | own_names


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("ibkr.port", ["1", "65535"], ["0", "65536", "4002.0", "port"]),
        ("ibkr.client_id", ["1", "999998"], ["0", "999999", "-1"]),
        ("ibkr.account_id", ["DU1234567", "u7654321"], ["", "DU 1", "DU1", "DU123456é", "none!"]),
        ("ibkr.read_attempts", ["1", "10"], ["0", "11"]),
        ("ibkr.max_messages_per_second", ["1", "50"], ["0", "51"]),
        ("ibkr.connect_timeout_seconds", ["0.1", "1e2"], ["0", "-1", "inf", "nan", "1e10"]),
        ("ibkr.market_data_type", ["LIVE", "delayed_frozen"], ["realtime", ""]),
        ("ibkr.read_only", ["true", "Yes", "on", "1", "FALSE", "no", "off", "0"], ["maybe", "2", ""]),
        ("ibkr.host", ["localhost"], ["", "local\thost"]),
        (
            "rebalance.per_holding_band_bps",
            ["0", "12.5", ".5", "5."],
            ["-0.01", "1,5", "١٢", "1_000", "0x10", "+5", ""],
        ),
        ("rebalance.cash_buffer_pct", ["0", "99.99"], ["100", "-1"]),
        ("rebalance.max_leverage", ["1", "4"], ["0.99", "4.01"]),
        ("rebalance.maintenance_buffer_pct", ["0", "100"], ["100.01"]),
        ("rebalance.maintenance_margin_pct", ["0", "100"], ["-1"]),
        ("rebalance.max_turnover_pct", ["0", "200", "none", ""], ["200.1", "-1", "nothing"]),
        ("rebalance.max_order_usd", ["500.01", "none", "None"], ["500", "-1", "much"]),
        ("rebalance.hold_symbols", ["rsx", "RSX, BRK B", "none", ""], ["=x", "RSX,,VTI", "größe"]),
        ("rebalance.idle_cash_pct", ["0.1", "100", "none"], ["0", "-1", "100.1"]),
        ("rebalance.cooldown_hours", ["0", "24", "0.5"], ["-1", "none"]),
        ("rebalance.order_type", ["LMT", "mkt"], ["STP"]),
        ("pricing.price_source", ["bidask"], ["snapshot", "broker"]),
        ("fx.base_currency", ["USD", "usd"], ["CAD", "EUR", ""]),
        ("fx.funding_currencies", ["CAD", " cad "], ["EUR", "CAD, EUR", "", "none"]),
        ("fx.max_fx_order_usd", ["1000.01", "none"], ["1000", "999"]),
        ("fx.fx_buffer_bps", ["0", "1000"], ["1001"]),
        ("fx.route", ["IDEALPRO", "fxconv"], ["", "a/b", "123"]),
        ("fx.wait_for_fill_seconds", ["0"], ["-1"]),
        ("limits.buy_offset_frac", ["0", "1"], ["1.01"]),
        ("limits.sell_offset_frac", ["0", "1"], ["-0.1"]),
        ("limits.wide_spread_bps", ["0.1"], ["0"]),
        ("limits.stale_quote_seconds", ["0.5"], ["0"]),
        ("limits.stale_action", ["escalate"], ["warn"]),
        ("execution.max_open_orders", ["1", "50"], ["0", "51"]),
        ("execution.reprice_attempts", ["0", "10"], ["11"]),
        ("execution.order_timeout_seconds", ["1"], ["0"]),
        (
            "execution.blackout",
            ["23:30-00:30", "00:10-01:50, 12:00 - 13:00", "none", ""],
            ["24:00-01:00", "9:00-10:00", "10:00-10:00", "10:00", "10:60-11:00", "00:10-01:50,", "٠١:٠٠-02:00"],
        ),
        ("safety.max_net_liq_gap_pct", ["0.1"], ["0"]),
        ("safety.kill_switch_file", ["stop", "/var/stop"], ["", "a\nb", "~nobody-of-this-name/x"]),
        ("approval.timeout_seconds", ["1"], ["0", "1.5", "99999999999"]),
        ("approval.approvers", ["ANN", "ann, BOB_2, ANN", "none", ""], ["2ANN", "ANN,,BOB", "Zoë", "A B", "A" * 33]),
        (
            "journal.url",
            ["sqlite:///own.sqlite", "postgresql://ann@db/journal", "none", ""],
            ["own.sqlite", "sqlite://", "sqlite:///", "sqlite:///own/", "mysql://ann@db/journal", "postgresql://"],
        ),
        ("io.max_csv_age_days", ["1", "none"], ["0", "-3", "x"]),
        ("io.log_level", ["debug", "ERROR"], ["TRACE"]),
    ],
)
def test_a_value_outside_its_bounds_is_one_fault_that_names_section_key_and_what_is_allowed(name, accepted, refused):
    section, key = name.split(".")
    for text in accepted:
        made_settings({section: {key: text}})
    for text in refused:
        (fault,) = settings_faults({section: {key: text}})
        assert fault.startswith(f"[{section}] {key} = ")
        assert ": must be " in fault
        assert fault.isprintable()


def test_numbers_stay_exactly_as_written():
    settings = made_settings({"rebalance": {"min_order_usd": "500.10"}, "limits": {"stale_quote_seconds": "2.5"}})
    assert str(settings.rebalance.min_order_usd) == "500.10"
    assert settings.limits.stale_quote_seconds == 2.5
    assert settings.models == {
        "SMURF": Decimal("0.5"),
        "BADASS": Decimal("0.3"),
        "GLTR": Decimal("0.2"),
    }


@pytest.mark.parametrize("third", ["0.333", "0.3333333333333333333333333333", "0.33366"])
def test_a_mix_may_miss_one_by_a_thousandth(third):
    assert made_settings({"models": dict.fromkeys(("smurf", "badass", "gltr"), third)}).models["GLTR"] == Decimal(third)


def test_a_mix_that_misses_one_by_more_shows_its_sum():
    assert settings_faults({"models": {"smurf": "0.5011"}}) == (
        "[models] SMURF 0.5011 + BADASS 0.3 + GLTR 0.2 = 1.0011: must sum to 1 (±0.001)",
    )


def test_a_model_has_any_name_of_letters_digits_dash_and_underscore_in_any_case():
    values = {"ibkr": {"account_id": "DU1234567"}, "models": {"60-40": "0.25", "my_Gold": "0.75"}}
    assert settings_from(values, folder=FOLDER).models == {"60-40": Decimal("0.25"), "MY_GOLD": Decimal("0.75")}
    own = made_settings(environ={"REBALANCER__MODELS__SMURF": "0.4"}, overrides={"models.core": "0.1"}).models
    assert own == {"SMURF": Decimal("0.4"), "BADASS": Decimal("0.3"), "GLTR": Decimal("0.2"), "CORE": Decimal("0.1")}


@pytest.mark.parametrize("name", ["60/40", "my gold", "größe", "a.b", "ſmurf"])
def test_a_model_of_any_other_name_is_refused(name):
    (fault,) = settings_faults({"models": {name: "0"}})
    assert fault.endswith("= 0: the key must be the name of a model: letters A-Z, digits, - and _")


@pytest.mark.parametrize("text", ["-0.1", "1.1", "half"])
def test_a_mix_weight_is_a_number_from_0_to_1(text):
    assert settings_faults({"models": {"core": text}}) == (
        f"[models] CORE = {text}: must be a number >= 0 and <= 1 (50 % is 0.5)",
    )


def test_the_echo_shows_every_key_as_one_writes_it():
    shown = echo(made_settings({"rebalance": {"max_leverage": "2.50"}, "symbol_overrides": {"brk b": "nyse"}}))
    assert shown["rebalance"]["max_leverage"] == "2.50"
    assert shown["rebalance"]["max_order_usd"] == "none"
    assert shown["ibkr"]["connect_timeout_seconds"] == "15"
    assert shown["fx"]["enabled"] == "false"
    assert shown["execution"]["blackout"] == "00:10-01:50"
    assert shown["limits"]["style"] == "spread_aware"
    assert shown["symbol_overrides"] == {"BRK B": "NYSE"}
    assert sum(map(len, shown.values())) == len(describe()) + len(["BADASS", "GLTR"])


def test_the_echo_read_back_gives_the_same_settings():
    settings = made_settings({"execution": {"blackout": "none"}, "symbol_overrides": {"VTI": "12345"}})
    shown = echo(settings)
    del shown["notify"]
    again = shown | {"ibkr": shown["ibkr"] | {"account_id": "DU1234567"}}
    assert settings_from(again, folder=FOLDER) == settings


def test_symbol_overrides_take_any_symbol_and_a_con_id_or_an_exchange():
    settings = made_settings(
        {"symbol_overrides": {"brk b": "12087820"}},
        environ={"REBALANCER__SYMBOL_OVERRIDES__VTI": "arca"},
        overrides={"symbol_overrides.BF.B": "NYSE"},
    )
    assert settings.symbol_overrides == {"BRK B": "12087820", "VTI": "ARCA", "BF.B": "NYSE"}


@pytest.mark.parametrize(
    ("symbol", "route", "fault"),
    [
        ("=cmd()", "ARCA", "[symbol_overrides] =CMD() = ARCA: the key must be a symbol"),
        ("ßx", "ARCA", "[symbol_overrides] \\xdfx = ARCA: the key must be a symbol"),
        ("VTI", "a/b", "[symbol_overrides] VTI = a/b: must be a conId"),
        ("VTI", "", "[symbol_overrides] VTI = (empty): must be a conId"),
    ],
)
def test_a_faulty_symbol_override_is_named(symbol, route, fault):
    (found,) = settings_faults({"symbol_overrides": {symbol: route}})
    assert found.startswith(fault)


def test_market_orders_beside_smart_limits_are_a_warning():
    assert made_settings({"rebalance": {"order_type": "MKT"}}).warnings == (
        "[rebalance] order_type = MKT with [limits] smart_limit = true: the limits are unused",
    )
    assert made_settings({"rebalance": {"order_type": "MKT"}, "limits": {"smart_limit": "false"}}).warnings == ()
    assert made_settings().warnings == ()


def test_what_is_derived_of_a_section_is_that_of_its_keys():
    settings = made_settings({"approval": {"timeout_seconds": "60"}, "limits": {"stale_quote_seconds": "7.5"}})
    assert settings.approval.lifetime == timedelta(seconds=60)
    assert settings.limits.stale_after == timedelta(seconds=7.5)
    assert replace(settings.limits, stale_quote_seconds=1.0).stale_after == timedelta(seconds=1)


def test_without_smart_limits_the_style_is_off():
    assert made_settings({"limits": {"smart_limit": "no"}}).limits.effective_style is LimitStyle.OFF
    assert made_settings().limits.effective_style is LimitStyle.SPREAD_AWARE


def test_the_table_of_settings_has_type_default_and_meaning_of_every_key():
    rows = {(row.section, row.key): row for row in describe()}
    assert rows["ibkr", "port"][2:4] == ("a whole number >= 1 and <= 65535", "4002")
    assert rows["ibkr", "account_id"].default == "required"
    assert rows["rebalance", "max_turnover_pct"][2:4] == ("a number >= 0 and <= 200, or none", "none")
    assert rows["safety", "kill_switch_file"].default == "KILL_SWITCH"
    assert all(row.type and row.default and row.meaning for row in describe())

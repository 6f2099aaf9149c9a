"""Values with sensible defaults, so that a test shows only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.model import (
    USD,
    Contract,
    EscalateAction,
    LimitRules,
    LimitStyle,
    OrderType,
    PriceSource,
    Quote,
    QuoteRules,
    SecurityType,
    StaleAction,
    Symbol,
    TickBand,
)
from core.money import D

NOW = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)  # a Monday, 15:30 in New York


def ticks(increment: str = "0.01") -> tuple[TickBand, ...]:
    return (TickBand(low_edge=Decimal(0), increment=D(increment)),)


def contract(symbol: str = "VTI", **changes: object) -> Contract:
    """A US-listed ETF in USD, open from 09:30 to 16:00 on the day of NOW."""
    values: dict[str, object] = {
        "symbol": Symbol(symbol),
        "con_id": sum(map(ord, symbol)) * 1000 + len(symbol),
        "security_type": SecurityType.ETF,
        "currency": USD,
        "ticks": ticks(),
        "primary_exchange": "ARCA",
        "liquid_hours": "20260302:0930-20260302:1600",
        "trading_hours": "20260302:0400-20260302:2000",
    }
    return Contract(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def quote(symbol: str = "VTI", **changes: object) -> Quote:
    """A fresh two-sided quote around 100.00, one cent wide on each side."""
    values: dict[str, object] = {
        "symbol": Symbol(symbol),
        "bid": D("99.99"),
        "ask": D("100.01"),
        "last": D("100.00"),
        "taken_at": NOW,
    }
    return Quote(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def quote_rules(**changes: object) -> QuoteRules:
    """Prices start at the last trade; a quote older than 10 s is refused."""
    values: dict[str, object] = {
        "price_source": PriceSource.LAST,
        "fallback_to_snapshot": True,
        "stale_after": timedelta(seconds=10),
        "stale_action": StaleAction.REFUSE,
    }
    return QuoteRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def limit_rules(**changes: object) -> LimitRules:
    """The product's defaults: a quarter of the spread, 10 bps at most, wide above 50 bps, then crossed."""
    values: dict[str, object] = {
        "style": LimitStyle.SPREAD_AWARE,
        "order_type": OrderType.LMT,
        "buy_offset_frac": D("0.25"),
        "sell_offset_frac": D("0.25"),
        "max_offset_bps": D(10),
        "wide_spread_bps": D(50),
        "escalate_action": EscalateAction.CROSS,
        "use_ask_bid_cap": True,
    }
    return LimitRules(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field

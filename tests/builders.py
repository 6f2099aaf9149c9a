"""Values with sensible defaults, so that a test shows only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from core.model import USD, Contract, Quote, SecurityType, Symbol, TickBand
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

"""Made-up planning cases for properties: any account of up to six ETFs, under any settings that size its trades."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st
from planning_builders import account, at, case, held, plan_settings, share

from core.errors import DataRefused, FundsInsufficient
from core.model import CAD, CASH, USD, USD_CAD
from core.money import ZERO, D
from core.planning import make_plan

SYMBOLS = "ABCDEF"
shares = st.lists(st.integers(0, 300), min_size=6, max_size=6)
prices = st.lists(st.decimals("5", "400", places=2), min_size=6, max_size=6)
half_spreads = st.lists(st.sampled_from(["0", "0.01", "0.05", "0.5"]), min_size=6, max_size=6)
offsets = st.lists(st.sampled_from(["-0.30", "0", "0.02", "0.30"]), min_size=6, max_size=6)
parts = st.lists(st.integers(0, 10), min_size=6, max_size=6).filter(any)
usd = st.decimals("-20000", "100000", places=2)
cad = st.sampled_from(["0", "0", "900", "30000", "-500"])


@st.composite
def inputs(draw, gross="1"):
    """An account of up to six ETFs and a share, with last trades that may lie off the market."""
    weights = draw(parts)
    total = sum(weights) / D(gross)
    blend = {symbol: str(D(part) / total) for symbol, part in zip(SYMBOLS, weights, strict=True) if part}
    asset_sum = sum((D(weight) for weight in blend.values()), ZERO)
    if D(gross) > 1:
        blend[CASH] = str(1 - asset_sum)
    mids = draw(prices)
    positions = [held(s, str(q), str(p)) for s, q, p in zip(SYMBOLS, draw(shares), mids, strict=True)]
    quotes = [
        at(symbol, str(mid), half, last=max(mid + D(offset), D("0.01")))
        for symbol, mid, half, offset in zip(SYMBOLS, mids, draw(half_spreads), draw(offsets), strict=True)
    ]
    own = account(*positions, share("AAPL", str(draw(st.integers(0, 20)))), cash={USD: str(draw(usd)), CAD: draw(cad)})
    return case(blend, own, *quotes, at(USD_CAD, "1.2500", "0.0001"))


@st.composite
def rules(draw, **changes):
    """Settings that size the trades, with these changes."""
    sizing = {
        "min_order_usd": draw(st.sampled_from([ZERO, D(500)])),
        "max_order_usd": draw(st.sampled_from([None, D(5000)])),
        "commission_per_order_usd": draw(st.sampled_from([ZERO, D(1), D("7.35")])),
        **changes,
    }
    return plan_settings(
        cash_buffer_pct=draw(st.sampled_from([ZERO, D(1), D(20)])),
        per_holding_band_bps=draw(st.sampled_from([ZERO, D(50), D(500)])),
        **sizing,
        fx__enabled=draw(st.booleans()),
    )


def planned(wanted, ruled):
    """The plan of a case; a case that no plan can be made for is left out."""
    try:
        return make_plan(wanted, ruled)
    except (DataRefused, FundsInsufficient):
        assume(False)
        raise

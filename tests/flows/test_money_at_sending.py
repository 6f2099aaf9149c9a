"""What prices and rates of the moment of sending do to a plan that was approved on earlier ones."""

from __future__ import annotations

import pytest
from flow_runs import Rehearsal, SaysYes
from worlds import VTI, account, held, quoted, scripted

from core.broker.fake import FakeIB
from core.errors import ExitCode
from core.model import CAD, USD, USD_CAD, OrderType, Side, Stage, Symbol
from core.money import D
from core.report.columns import slippage_bps
from core.sim.venue.world import Change, Point

BND = Symbol("BND")
QUOTES = {
    VTI: quoted("100.00", "100.01", "100.00"),
    BND: quoted("72.00", "72.01", "72.00"),
    USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
}
FUNDED = {
    "account": account(cash={USD: D(0), CAD: D(50_000)}, positions=(held(quantity="300"),)),
    "quotes": QUOTES,
}
IN_FX = {"fx": {"enabled": "true"}}


def rehearse(folder, *moves, settings=IN_FX, **changes):
    """A rehearsal in which the world moves; each move is (point, symbol, bid, ask)."""
    moved = tuple(Change(at=at, quotes={Symbol(symbol): quoted(bid, ask, ask)}) for at, symbol, bid, ask in moves)
    return Rehearsal(folder, approver=SaysYes(), settings=settings, changes=FUNDED | {"changes": moved} | changes)


def conversions(rehearsal):
    return [order for order in rehearsal.sent() if order.stage is Stage.FX]


class FallsAway(FakeIB):
    """A market in which VTI is at 80 as soon as a sell of it is cancelled."""

    async def cancel(self, ref):
        self.exchange.quotes[VTI] = quoted("80.00", "80.01", "80.00")
        await super().cancel(ref)


# --- the conversion


async def test_a_limit_of_a_conversion_is_the_worst_rate_of_the_moment_down_to_the_price_step(tmp_path):
    settings = {"fx": {"enabled": "true", "order_type": "LMT"}}
    rehearsal = rehearse(tmp_path, (Point.BEFORE_FX, USD_CAD, "1.36100", "1.36107"), settings=settings)
    await rehearsal.run()
    # 1.36107 × 1.0005 = 1.361750535
    assert [(order.order_type, order.limit_price) for order in conversions(rehearsal)] == [
        (OrderType.LMT, D("1.36175"))
    ]


async def test_slippage_of_a_conversion_counts_from_the_mid_of_the_moment(tmp_path):
    rehearsal = rehearse(tmp_path, (Point.BEFORE_FX, USD_CAD, "1.36100", "1.36110"))
    outcome = await rehearsal.run()
    record = outcome.orders[0]
    assert record.order.mid == D("1.36105")
    assert slippage_bps(record.average_price, record.order.mid, is_buy=True) < 1
    assert outcome.plan.fx.mid == D("1.360025")


async def test_the_worst_rate_of_the_moment_caps_what_is_converted(tmp_path):
    settings = IN_FX | {"rebalance": {"cash_buffer_pct": "0"}}
    ours = account(cash={USD: D(0), CAD: D(9_500)}, positions=())
    rehearsal = rehearse(tmp_path, (Point.BEFORE_FX, USD_CAD, "1.36400", "1.36405"), settings=settings, account=ours)
    outcome = await rehearsal.run()
    # 9 500 / (1.36405 × 1.0005) = 6 961.07, where 9 500 / 1.360025 = 6 985.2 was planned
    assert [order.quantity for order in conversions(rehearsal)] == [D(6961)]
    assert outcome.plan.fx.quantity == D(6985)
    assert outcome.after.cash[CAD] >= 0


async def test_a_rate_that_is_gone_right_before_the_conversion_is_not_traded_at(tmp_path):
    rehearsal = rehearse(tmp_path, (Point.BEFORE_FX, USD_CAD, "1.50000", "1.50010"))
    outcome = await rehearsal.run()
    assert (outcome.exit_code, conversions(rehearsal)) == (ExitCode.PLAN_CHANGING, [])
    assert "USD.CAD: nothing was converted: its worst price is now 1.50" in outcome.reason
    assert [order.side for order in rehearsal.sent()] == [Side.SELL, Side.BUY]


async def test_market_hours_that_are_preferred_do_not_keep_an_open_market_from_converting(tmp_path):
    settings = {"fx": {"enabled": "true", "prefer_market_hours": "true"}}
    rehearsal = rehearse(tmp_path, settings=settings)
    assert (await rehearsal.run()).exit_code is ExitCode.DONE
    assert len(conversions(rehearsal)) == 1


# --- sells and buys

SHARES = {"quotes": {symbol: QUOTES[symbol] for symbol in (VTI, BND)}}
PLAIN = {"account": account(cash={USD: D(20_000)}, positions=(held(quantity="300"),)), **SHARES}


@pytest.mark.parametrize(
    ("at", "symbol", "bid", "ask", "sent"),
    [
        (Point.BEFORE_SELLS, VTI, "80.00", "80.01", [Side.BUY]),
        (Point.BEFORE_BUYS, BND, "73.00", "73.01", [Side.SELL]),
        (Point.BEFORE_SELLS, VTI, "120.00", "120.01", [Side.SELL, Side.BUY]),
        (Point.BEFORE_BUYS, BND, "70.00", "70.01", [Side.SELL, Side.BUY]),
    ],
    ids=["a sell fell", "a buy rose", "a sell rose", "a buy fell"],
)
async def test_only_a_line_whose_price_has_become_worse_is_not_sent(tmp_path, at, symbol, bid, ask, sent):
    rehearsal = rehearse(tmp_path, (at, symbol, bid, ask), settings={}, **PLAIN)
    outcome = await rehearsal.run()
    assert [order.side for order in rehearsal.sent()] == sent
    is_whole = len(sent) == 2
    assert outcome.exit_code is (ExitCode.DONE if is_whole else ExitCode.PLAN_CHANGING)
    assert is_whole or f"{symbol} was not sent: its worst price is now" in outcome.reason
    assert is_whole or "bps beyond the" in rehearsal.report("post_trade.csv")


async def test_a_sell_whose_price_falls_away_while_it_is_worked_is_not_tried_again(tmp_path):
    """Its market has fallen by the time of the second attempt; what is left of it stays."""
    wide = {VTI: quoted("99.96", "100.04", "100.00"), BND: QUOTES[BND]}
    rehearsal = Rehearsal(
        tmp_path,
        approver=SaysYes(),
        settings={"execution": {"order_timeout_seconds": "60"}},
        changes=PLAIN | {"quotes": wide, "fills": scripted(fill_fraction=D("0.5"), delay_seconds=D(30))},
        kind=FallsAway,
    )
    outcome = await rehearsal.run()
    assert [order.attempt for order in rehearsal.sent() if order.side is Side.SELL] == [1]
    assert outcome.exit_code is ExitCode.PLAN_CHANGING
    assert "VTI: the remainder of" in outcome.reason
    assert "is not sold: its worst price is now 80.00" in outcome.reason


async def test_with_no_attempt_left_a_remainder_is_incomplete(tmp_path):
    settings = {"execution": {"reprice_attempts": "0"}}
    rehearsal = rehearse(tmp_path, settings=settings, **PLAIN | {"fills": scripted(fill_fraction=D("0.5"))})
    assert (await rehearsal.run()).exit_code is ExitCode.INCOMPLETE
    assert [order.attempt for order in rehearsal.sent() if order.side is Side.SELL] == [1]

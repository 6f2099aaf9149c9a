"""What must hold after every run, whatever went wrong; judged by the exchange's own ledger, not by our journal."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal

from campaign.playing import Played
from core.broker.error_codes import hold_reason
from core.errors import ExitCode, RebalanceError
from core.market.quotes import judge as judge_quote
from core.model import CAD, USD, USD_CAD, Fill, Notice, OrderRef, OrderState, Plan, Side, Stage, Symbol
from core.model.refs import parse_ref
from core.money import BPS, CENT, ZERO, D
from core.sim.venue.exchange import BY_HAND
from core.sim.venue.orders import VenueOrder
from core.sim.venue.world import FaultKind, Point

Check = Callable[[Played], None]

EXPECTED_CODES = set(ExitCode) - {ExitCode.UNFORESEEN}
ALWAYS_WRITTEN = ("post_trade.csv", "post_trade.md", "report.html", "result.json")
WITH_A_PLAN = ("pre_trade.csv", "pre_trade.md", "run.log")


def the_run_ends_with_an_expected_code_and_its_reports(played: Played) -> None:
    outcome, result = played.outcome, report(played)
    assert outcome.exit_code in EXPECTED_CODES, outcome.reason
    assert result["exit_code"] == outcome.exit_code, "result.json has another exit code"
    wanted = (*ALWAYS_WRITTEN, *(WITH_A_PLAN if outcome.plan else ()))
    missing = [name for name in wanted if not (played.folder / name).is_file()]
    assert not missing, f"missing: {missing}"
    assert bool(outcome.exit_code) == (result["status"] in {"aborted", "failed"}), result["status"]
    if outcome.exit_code:
        assert (result["status"] == "failed") == bool(played.sent), f"{result['status']}, {len(played.sent)} sent"


def the_exchange_itself_adds_up(played: Played) -> None:
    played.venue.audit()


def cash_is_what_fills_and_other_hands_made_of_it(played: Played) -> None:
    venue = played.venue
    expected = {USD: ZERO, CAD: ZERO} | dict(venue.world.account.cash)
    for currency, moved in venue.cash_by_hand.items():
        expected[currency] += moved
    for fill in venue.executions():
        signed = fill.shares if fill.side is Side.BUY else -fill.shares
        if fill.symbol == USD_CAD:
            expected[USD] += signed
        expected[CAD if fill.symbol == USD_CAD else USD] -= signed * fill.price
        expected[USD] -= fill.commission or ZERO
    assert venue.ledger.cash == expected


def positions_are_what_fills_and_other_hands_made_of_them(played: Played) -> None:
    venue = played.venue
    expected: dict[Symbol, Decimal] = defaultdict(lambda: ZERO)
    for position in venue.world.account.positions:
        expected[position.symbol] += position.quantity
    for symbol, moved in venue.shares_by_hand.items():
        expected[symbol] += moved
    for fill in venue.executions():
        if fill.symbol != USD_CAD:
            expected[fill.symbol] += fill.shares if fill.side is Side.BUY else -fill.shares
    final = {symbol: position.quantity for symbol, position in venue.ledger.positions.items()}
    assert final == {symbol: quantity for symbol, quantity in expected.items() if quantity}


def the_report_says_what_the_exchange_has(played: Played) -> None:
    """Where the account was read after the last thing that happened to it."""
    result, venue = report(played), played.venue
    cash, positions = result["cash_after"], result["positions_after"]
    if not cash:
        could_not = [text for text in result["warnings"] if "could not be read after trading" in text]
        assert could_not or not played.sent, "orders were sent, and the report does not say what the account has now"
        return
    if not played.sent and (venue.cash_by_hand or venue.shares_by_hand or venue.executions()):
        return  # it was read before the world moved
    held = {symbol: position.quantity for symbol, position in venue.ledger.positions.items()}
    assert {symbol: D(str(quantity)) for symbol, quantity in positions.items() if quantity} == held
    assert set(cash) == set(venue.ledger.cash)
    for currency, amount in venue.ledger.cash.items():
        assert abs(D(str(cash[currency])) - amount) < CENT / 2, (
            f"{currency}: {cash[currency]} reported, {amount} at the exchange"
        )


def no_reference_is_used_twice(played: Played) -> None:
    refs = Counter(order.ref for _, order in played.sent)
    arrived = Counter(placed.terms.order_ref for placed in ours(played))
    assert all(count == 1 for count in (*refs.values(), *arrived.values())), refs | arrived
    assert set(arrived) <= set(refs)


def no_line_goes_beyond_what_was_approved(played: Played) -> None:
    """All attempts at a line together: what filled and what may still fill."""
    done: dict[tuple[Stage, Symbol], Decimal] = defaultdict(lambda: ZERO)
    for placed in ours(played):
        parsed = parse_ref(placed.terms.order_ref)
        assert parsed, placed.terms.order_ref
        done[parsed.stage, placed.terms.contract.symbol] += committed(placed)
    allowed = approved_quantities(approved_plan(played))
    for line, quantity in done.items():
        assert quantity <= allowed.get(line, ZERO), f"{line}: {quantity} at the exchange, {allowed.get(line)} approved"


def no_sell_goes_further_below_the_approved_price_than_the_approval_allows(played: Played) -> None:
    """Whatever the attempt; where each stage is asked for, its question shows fresh prices to approve."""
    plan, most_bps = approved_plan(played), played.settings.approval.max_price_move_bps if played.has_started else ZERO
    if plan is None or played.settings.approval.each_stage:
        return
    worst = {line.symbol: line.limit.worst_price for line in plan.sells if line.limit}
    for _, order in played.sent:
        if order.stage is Stage.SELL and order.limit_price is not None:
            approved = worst[order.contract.symbol]
            assert (approved - order.limit_price) * BPS <= most_bps * approved, f"{order.ref} at {order.limit_price}"


def every_order_follows_a_yes(played: Played) -> None:
    """To the plan, and to its stage where each stage is asked for; and no other order than the approved one."""
    each_stage = played.has_started and played.settings.approval.each_stage
    for at, order in played.sent:
        before = [asked for asked in played.asked if asked.messages <= at]
        said_yes = {asked.question.title for asked in before if asked.is_yes}
        assert "Approve the plan" in said_yes, f"{order.ref} was sent without a yes"
        if each_stage and order.stage is not Stage.FX:
            assert f"Approve the {order.stage.lower()}s" in said_yes, f"{order.ref} was sent without a yes to its stage"
        assert before[-1].is_yes, f"{order.ref} was sent after a question without a yes"
        line = approved_quantities(approved_plan(played)).get((order.stage, order.contract.symbol))
        assert line is not None, f"{order.ref}: {order.contract.symbol} was not approved"


def the_account_and_prices_of_the_yes_are_those_of_the_first_order(played: Played) -> None:
    """What moves while a person thinks voids the approval; what moves between the stages does not."""
    plan, arrivals = approved_plan(played), played.venue.arrivals
    if plan is None or not arrivals or any(change.at != Point.APPROVAL for change in played.venue.world.changes):
        return
    first, settings = arrivals[0], played.settings
    assert dict(first.cash) == {currency: plan.valuation.cash[currency] for currency in first.cash}
    for symbol, shares in plan.valuation.held.items():
        assert first.held.get(symbol, ZERO) == shares, f"{symbol}: {shares} when approved, {first.held} at the order"
    for line in (*plan.sells, *plan.buys):
        price = judge_quote(first.prices[line.symbol], settings, first.at).price
        # what only a snapshot shows may not be compared here
        moved = abs(price.value - line.price.value) * BPS if price else ZERO
        most = settings.approval.max_price_move_bps * line.price.value
        assert moved <= most, f"{line.symbol}: {line.price.value} when approved"


def orders_go_out_stage_by_stage_and_few_at_a_time(played: Played) -> None:
    stages, most = list(Stage), played.settings.execution.max_open_orders
    for arrival in played.venue.arrivals:
        beside = [parsed for parsed in map(parse_ref, arrival.beside) if parsed]
        beside = [parsed for parsed in beside if parsed.run_id == played.outcome.run_id]
        assert len(beside) < most, f"{arrival.order.ref} beside {arrival.beside}"
        early = [parsed for parsed in beside if parsed.stage is not arrival.order.stage]
        assert not early, f"{arrival.order.ref} while {arrival.beside} still worked"
    order = [stages.index(arrival.order.stage) for arrival in played.venue.arrivals]
    assert order == sorted(order), "stages out of order"


def nothing_is_sent_after_the_kill_switch(played: Played) -> None:
    if played.stopped_after:
        late = [order.ref for at, order in played.sent if at >= played.stopped_after[0]]
        assert not late, f"sent after the kill switch: {late}"


def nothing_of_ours_is_left_working(played: Played) -> None:
    """Unless the run ends with 41, and then the report names it."""
    text = json.dumps(report(played))
    for placed in ours(played):
        if placed.is_working:
            ref = placed.terms.order_ref
            assert played.outcome.exit_code is ExitCode.UNKNOWN, f"{ref} still works"
            assert ref in text, f"{ref} still works and the report does not name it"


def orders_of_an_earlier_run_are_gone_before_anything_is_sent(played: Played) -> None:
    if played.sent:
        left = [placed.terms.order_ref for placed in orphaned_orders(played) if placed.is_working]
        assert not left, f"left working beside the new orders: {left}"


def orders_of_others_are_left_alone(played: Played) -> None:
    for placed in played.venue.orders.values():
        if placed.client_id == BY_HAND:
            assert placed.code != 202, f"order {placed.perm_id} of somebody else was cancelled"
            assert placed.terms.order_ref not in played.cancels


def the_journal_knows_every_fill(played: Played) -> None:
    if played.outcome.exit_code is ExitCode.UNKNOWN:
        return
    at_exchange = {_fill(fill) for placed in ours(played) for fill in placed.fills}
    on_record = {_fill(fill) for record in played.outcome.orders for fill in record.fills}
    assert on_record == at_exchange


def the_report_lists_every_order_as_it_ended(played: Played) -> None:
    """One that the exchange has never seen has not ended, and is not reported as ended."""
    listed = {order["order_ref"]: order for order in report(played)["orders"]}
    arrived = {placed.terms.order_ref: placed for placed in ours(played)}
    sent = {order.ref for _, order in played.sent}
    refused_by_the_gateway = {each.order.ref for each in played.outcome.orders if hold_reason(each.code)}
    assert sent <= set(listed), f"not in the report: {sent - set(listed)}"
    for ref, order in listed.items():
        if ref not in sent:
            assert order["status"] == OrderState.NOT_SENT.label, f"{ref} was never sent, yet {order['status']}"
        elif ref not in arrived:
            assert order["status"] == OrderState.UNKNOWN.label, f"{ref} never arrived, yet {order['status']}"
        elif order["status"] != OrderState.UNKNOWN.label:
            state = arrived[ref].state
            if ref in refused_by_the_gateway and state is OrderState.CANCELLED:
                state = OrderState.REJECTED  # the gateway kept it back, and we cancelled it
            ended = arrived[ref].filled, state.label
            assert (D(str(order["filled"])), order["status"]) == ended, f"{ref}: {order}, ended {ended}"


def code_0_means_that_every_order_filled(played: Played) -> None:
    if played.outcome.exit_code is ExitCode.DONE:
        # an attempt that timed out is followed by another for the remainder
        followed = {_before(placed.terms.order_ref) for placed in ours(played)}
        last = [placed for placed in ours(played) if placed.terms.order_ref not in followed]
        short = [placed.terms.order_ref for placed in last if placed.filled < placed.terms.quantity]
        assert not short, f"not filled, but the run is called done: {short}"
        assert len(ours(played)) == len(played.sent), "an order that was sent never arrived"


def done_means_that_every_line_of_the_plan_is_accounted_for(played: Played) -> None:
    """It filled as far as it was planned, or the report says why not."""
    plan = approved_plan(played)
    if played.outcome.reason != "done" or plan is None:
        return
    filled: dict[Symbol, Decimal] = {}
    for placed in ours(played):
        filled[placed.terms.contract.symbol] = filled.get(placed.terms.contract.symbol, ZERO) + placed.filled
    reported = " ".join(
        (*played.outcome.warnings, *(f"{s}: {why}" for s, why in played.outcome.not_sent.items() if why))
    )
    unreported = [
        s for (_, s), wanted in approved_quantities(plan).items() if filled.get(s, ZERO) < wanted and s not in reported
    ]
    assert not unreported, f"done, and nothing reported of {unreported}"


def a_mode_that_sends_no_orders_changes_nothing(played: Played) -> None:
    settings, mode = played.settings, played.case.scenario.mode
    if mode.sends_orders and not settings.ibkr.read_only:
        return
    assert not played.sent, "an order was sent"
    assert not played.cancels, "an order was cancelled"


def a_no_or_no_answer_ends_the_run_with_its_own_code(played: Played) -> None:
    """A wrong account is asked about three times in all, and is then a no."""
    if not played.asked or played.asked[-1].is_yes:
        return
    last = played.asked[-1].reply
    wanted = ExitCode.APPROVAL_REJECTED if last.in_time else ExitCode.APPROVAL_EXPIRED
    codes = [error.exit_code for error in played.outcome.errors]
    assert wanted in codes, f"{codes} after a reply of {last}"


def no_order_is_called_unknown_that_the_broker_could_report_on(played: Played) -> None:
    """An order that never arrived is unknown, and so is any while the connection stays lost; a short loss is not."""
    if played.outcome.exit_code is ExitCode.UNKNOWN:
        never_arrived = {order.ref for _, order in played.sent} - {placed.terms.order_ref for placed in ours(played)}
        losses = (FaultKind.DISCONNECT, FaultKind.PACING)
        times = sum(fault.times for fault in played.venue.world.faults if fault.kind in losses)
        assert never_arrived or times >= played.settings.ibkr.read_attempts, (
            f"the connection was lost {times} times only"
        )


def an_order_that_arrived_is_reported_on_unless_the_connection_was_lost(played: Played) -> None:
    """An order that reached the exchange was acknowledged, and a refusal of it was received."""
    text = " ".join((played.outcome.reason, *map(str, played.outcome.errors), *played.outcome.warnings))
    was_lost = any(fault.kind is FaultKind.DISCONNECT for fault in played.venue.world.faults)
    unreported = [
        placed.terms.order_ref for placed in ours(played) if f"did not report on order {placed.terms.order_ref}" in text
    ]
    assert was_lost or not unreported, f"called unreported, though the broker acknowledged it: {unreported}"


def no_order_with_a_notice_is_called_unreported(played: Played) -> None:
    notices = [each.what for each in played.broker.log if isinstance(each.what, Notice)]
    # 10147 answers our cancel, which is sent after the order was called unreported
    with_notice = {notice.order_ref for notice in notices if notice.order_ref and notice.code != 10147}
    unreported = [error.message for error in played.outcome.errors if "did not report on" in error.message]
    wrong = [text for text in unreported if any(ref in text for ref in with_notice)]
    assert not wrong, f"called unreported, though the broker sent a notice: {wrong}"


def every_notice_on_an_order_is_in_the_report(played: Played) -> None:
    text = (played.folder / "post_trade.md").read_text()
    lacking = [notice for record in played.outcome.orders for notice in record.notices if notice not in text]
    assert not lacking, f"notices on orders that are not in the report: {lacking}"


def no_short_position_comes_about(played: Played) -> None:
    short = {symbol: held.quantity for symbol, held in played.venue.ledger.positions.items() if held.quantity < 0}
    assert set(short) <= {held.symbol for held in played.venue.world.account.positions if held.quantity < 0}, short


def no_usd_are_borrowed_without_margin(played: Played) -> None:
    """What other hands took out is not our doing."""
    if played.settings.rebalance.allow_margin or not played.sent:
        return
    venue = played.venue
    there_was = venue.world.account.cash.get(USD, ZERO)
    least = min(ZERO, there_was, there_was + venue.cash_by_hand.get(USD, ZERO))
    assert venue.ledger.cash[USD] >= least, f"{venue.ledger.cash[USD]} USD after, {there_was} before"


def no_cad_are_overdrawn(played: Played) -> None:
    venue = played.venue
    there_was = venue.world.account.cash.get(CAD, ZERO)
    least = min(ZERO, there_was, there_was + venue.cash_by_hand.get(CAD, ZERO))
    assert venue.ledger.cash[CAD] >= least, f"{venue.ledger.cash[CAD]} CAD after, {there_was} before"


def the_account_is_free_again(played: Played) -> None:
    with played.journal.lock(played.venue.world.account.id, played.outcome.run_id):
        pass


WITHOUT_A_BROKER: tuple[Check, ...] = (the_run_ends_with_an_expected_code_and_its_reports,)
CHECKS: tuple[Check, ...] = (
    *WITHOUT_A_BROKER,
    the_exchange_itself_adds_up,
    cash_is_what_fills_and_other_hands_made_of_it,
    positions_are_what_fills_and_other_hands_made_of_them,
    the_report_says_what_the_exchange_has,
    no_reference_is_used_twice,
    no_line_goes_beyond_what_was_approved,
    no_sell_goes_further_below_the_approved_price_than_the_approval_allows,
    every_order_follows_a_yes,
    the_account_and_prices_of_the_yes_are_those_of_the_first_order,
    orders_go_out_stage_by_stage_and_few_at_a_time,
    nothing_is_sent_after_the_kill_switch,
    nothing_of_ours_is_left_working,
    orders_of_an_earlier_run_are_gone_before_anything_is_sent,
    orders_of_others_are_left_alone,
    the_journal_knows_every_fill,
    the_report_lists_every_order_as_it_ended,
    code_0_means_that_every_order_filled,
    done_means_that_every_line_of_the_plan_is_accounted_for,
    a_mode_that_sends_no_orders_changes_nothing,
    a_no_or_no_answer_ends_the_run_with_its_own_code,
    no_order_is_called_unknown_that_the_broker_could_report_on,
    an_order_that_arrived_is_reported_on_unless_the_connection_was_lost,
    no_order_with_a_notice_is_called_unreported,
    every_notice_on_an_order_is_in_the_report,
    no_short_position_comes_about,
    no_usd_are_borrowed_without_margin,
    no_cad_are_overdrawn,
    the_account_is_free_again,
)


def judge(played: Played, *more: Check) -> None:
    """Apply every check that a run must pass, and `more`; a failure names the check and how the run ended."""
    run_checks(played, (*CHECKS, *more) if played.has_started else WITHOUT_A_BROKER)


def run_checks(played: Played, checks: Iterable[Check]) -> None:
    for check in checks:
        try:
            check(played)
        except (AssertionError, ArithmeticError, RebalanceError) as fault:
            name = check.__name__.replace("_", " ")
            fault.add_note(f"{name} - it ended {played.outcome.exit_code:d}: {played.outcome.reason}")
            raise


def report(played: Played) -> dict:
    return json.loads((played.folder / "result.json").read_text())


def ours(played: Played) -> list[VenueOrder]:
    """The orders of this run that have reached the exchange."""
    refs = {order.ref for _, order in played.sent}
    return [placed for placed in played.venue.orders.values() if placed.terms.order_ref in refs]


def orphaned_orders(played: Played) -> list[VenueOrder]:
    """Orders of an earlier run of ours."""
    refs: set[OrderRef] = {order.order_ref for order in played.venue.world.account.open_orders if order.is_ours}
    return [placed for placed in played.venue.orders.values() if placed.terms.order_ref in refs]


def committed(placed: VenueOrder) -> Decimal:
    return placed.terms.quantity if placed.is_working else placed.filled


def approved_plan(played: Played) -> Plan | None:
    """The plan of the last yes; a yes to one of its stages approves no more than that."""
    plans = [asked.plan for asked in played.asked if asked.is_yes and asked.question.title == "Approve the plan"]
    return plans[-1] if plans else None


def approved_quantities(plan: Plan | None) -> dict[tuple[Stage, Symbol], Decimal]:
    if plan is None:
        return {}
    lines = {(Stage(line.side.value), line.symbol): line.quantity for line in plan.lines if line.side}
    return lines | ({(Stage.FX, USD_CAD): plan.fx.quantity} if plan.fx else {})


def _fill(fill: Fill) -> tuple[str, OrderRef, Decimal, Decimal, Decimal | None]:
    return fill.exec_id, fill.order_ref, fill.shares, fill.price, fill.commission


def _before(ref: OrderRef) -> str:
    """The reference of the attempt before that of this one."""
    line, _, attempt = ref.rpartition("-")
    return f"{line}-{int(attempt) - 1}"

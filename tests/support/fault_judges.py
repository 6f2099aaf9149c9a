"""What must hold after every run over the gateway: by the gateway's log and the exchange's checks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from campaign import checks
from campaign.checks import Check
from fault_cases import usual
from fault_runs import PlayedOverGateway, Row, nothing, rehearse

from core.errors import ExitCode, OrderStateUnknown
from core.model import Fill, OrderState
from core.model.refs import parse_ref
from core.money import D
from core.sim.gateway.log import Direction
from core.sim.venue.orders import VenueOrder

ERROR_ID, ERROR_CODE = 2, 3  # fields of an error message
LOST, RESTORED = ("1100", "2110"), ("1101", "1102")


def the_gateway_itself_did_nothing_wrong(played: PlayedOverGateway) -> None:
    played.gateway.check()
    assert not played.gateway.traffic(), "a connection was left open"


def no_message_exceeded_the_rate_limit(played: PlayedOverGateway) -> None:
    """We keep below the gateway's 50 in a second by ourselves."""
    assert "too fast" not in played.gateway.log.names(Direction.NOTE)


def nothing_is_sent_while_ibkr_is_disconnected(played: PlayedOverGateway) -> None:
    """From the moment after the gateway reported it; what left in the same moment could not know."""
    sent, gone_since = {at for at, _ in played.sent}, None
    for number, entry in enumerate(played.gateway.log):
        code = entry.fields[ERROR_CODE] if entry.message == "error" and entry.direction is Direction.OUT else ""
        if code in LOST:
            gone_since = gone_since or entry.at
        elif code in RESTORED or entry.message == "connected":
            gone_since = None
        assert not (number in sent and gone_since and entry.at > gone_since), f"sent at {entry.at}: {entry.fields}"


def every_failure_is_one_line_with_a_next_step(played: PlayedOverGateway) -> None:
    for error in played.outcome.errors:
        assert error.message, "a failure without a message"
        assert error.next_step, f"no next step: {error.message}"
        for text in (error.in_full, *played.outcome.warnings):
            assert "\n" not in text, text
            assert not any(expected in text for expected in ("Traceback", "Error(", "object at 0x")), text


def a_line_has_one_order_at_a_time(played: PlayedOverGateway) -> None:
    """A further attempt is sent only when the one before has arrived and ended; after an unknown one, none is."""
    unknown = {record.order.ref for record in played.outcome.orders if record.state is OrderState.UNKNOWN}
    arrived = {placed.terms.order_ref for placed in played.venue.orders.values()}
    for arrival in played.venue.arrivals:
        order, parsed = arrival.order, parse_ref(arrival.order.ref)
        assert parsed
        before = order.ref.rpartition("-")[0] + f"-{parsed.attempt - 1}"
        if parsed.attempt > 1:
            assert before in arrived - unknown, f"{order.ref} was sent though {before} is unknown"
            assert before not in arrival.beside, f"{order.ref} was sent while {before} still worked"


def no_stage_follows_an_unknown_order(played: PlayedOverGateway) -> None:
    records = played.outcome.orders
    stages = [record.order.stage for record in records]
    for number, record in enumerate(records):
        if record.state is OrderState.UNKNOWN:
            assert set(stages[number:]) == {record.order.stage}, f"a stage was begun after {record.order.ref}"


def the_report_knows_every_fill(played: PlayedOverGateway) -> None:
    """All that filled, or the order is named as unknown; a cost may be missing, but is not another."""
    unknown = {record.order.ref for record in played.outcome.orders if record.state is OrderState.UNKNOWN}
    costs = {fill.exec_id: fill.commission for fill in played.venue.executions()}
    there = {_fill(fill) for placed in checks.ours(played) for fill in placed.fills}
    known = {_fill(fill) for record in played.outcome.orders for fill in record.fills}
    assert known <= there, f"never happened: {known - there}"
    assert {fill[1] for fill in there - known} <= unknown, f"not reported:  {there - known}"
    for record in played.outcome.orders:
        for fill in record.fills:
            assert fill.commission in (None, costs[fill.exec_id]), f"{fill.exec_id} cost {costs[fill.exec_id]}"
    if unknown:
        assert played.outcome.exit_code is ExitCode.UNKNOWN
        reported = " ".join(error.message for error in played.outcome.errors)
        assert all(ref in reported for ref in unknown), reported


def the_report_says_how_every_order_ended(played: PlayedOverGateway) -> None:
    """An order that never arrived is unknown, or explicitly refused by the gateway."""
    listed = {order["order_ref"]: order for order in checks.report(played)["orders"]}
    arrived = {placed.terms.order_ref: placed for placed in checks.ours(played)}
    sent = {order.ref for _, order in played.sent}
    assert sent <= set(listed), f"not in the report: {sent - set(listed)}"
    for ref, order in listed.items():
        status = order["status"]
        if any(isinstance(error, OrderStateUnknown) and ref in error.message for error in played.outcome.errors):
            continue  # the error asks a person to look at it
        if ref in arrived and status != OrderState.UNKNOWN.label:
            assert D(str(order["filled"])) == arrived[ref].filled, ref
            # an order stays what it ended as, also when fewer shares turn out to have filled
            ended_so = status == arrived[ref].state.label or _is_corrected(arrived[ref])
            assert ended_so or _was_kept_back(played, arrived[ref], status), ref
        elif ref not in sent:
            assert status in (OrderState.NOT_SENT.label, OrderState.UNKNOWN.label), f"{ref}: {status}"
        elif ref not in arrived:
            allowed = [OrderState.UNKNOWN.label, *([OrderState.REJECTED.label] if _is_refused(played, ref) else [])]
            assert status in allowed, f"{ref} never arrived, yet {status}"


def _was_kept_back(played: PlayedOverGateway, placed: VenueOrder, status: str) -> bool:
    """Whether the order ended by a cancel of ours, for the gateway kept it back, and so was refused."""
    was_cancelled = placed.state is OrderState.CANCELLED and placed.terms.order_ref in played.cancels
    return was_cancelled and status == OrderState.REJECTED.label


def the_account_after_is_the_exchanges(played: PlayedOverGateway) -> None:
    """Where it was read after trading; while orders are unknown they may fill still."""
    if played.outcome.exit_code is not ExitCode.UNKNOWN:
        checks.the_report_says_what_the_exchange_has(played)


JUDGES: tuple[Check, ...] = (
    the_gateway_itself_did_nothing_wrong,
    no_message_exceeded_the_rate_limit,
    nothing_is_sent_while_ibkr_is_disconnected,
    every_failure_is_one_line_with_a_next_step,
    checks.the_run_ends_with_an_expected_code_and_its_reports,
    checks.the_exchange_itself_adds_up,
    checks.cash_is_what_fills_and_other_hands_made_of_it,
    checks.positions_are_what_fills_and_other_hands_made_of_them,
    checks.no_reference_is_used_twice,
    checks.no_line_goes_beyond_what_was_approved,
    checks.no_sell_goes_further_below_the_approved_price_than_the_approval_allows,
    checks.every_order_follows_a_yes,
    checks.the_account_and_prices_of_the_yes_are_those_of_the_first_order,
    checks.orders_go_out_stage_by_stage_and_few_at_a_time,
    checks.nothing_is_sent_after_the_kill_switch,
    checks.nothing_of_ours_is_left_working,
    checks.orders_of_an_earlier_run_are_gone_before_anything_is_sent,
    checks.orders_of_others_are_left_alone,
    checks.code_0_means_that_every_order_filled,
    checks.a_mode_that_sends_no_orders_changes_nothing,
    checks.no_short_position_comes_about,
    checks.no_usd_are_borrowed_without_margin,
    checks.no_cad_are_overdrawn,
    checks.the_account_is_free_again,
    a_line_has_one_order_at_a_time,
    no_stage_follows_an_unknown_order,
    the_report_knows_every_fill,
    the_report_says_how_every_order_ended,
    the_account_after_is_the_exchanges,
)


async def play(row: Row, folder: Path) -> None:
    """Let it go wrong as the row says, and see that it ends as the row says."""
    played = await rehearse(row.case or usual(), folder, row.spoil)
    outcome = played.outcome
    assert row.spoil is nothing or played.was_spoilt, "nothing went wrong"
    judge(played, *row.also, spared=row.spared)
    assert int(outcome.exit_code) == row.code, outcome.reason
    for expected in row.texts:
        assert expected in outcome.reason, outcome.reason
    for expected in row.warns:
        assert any(expected in warning for warning in outcome.warnings), outcome.warnings


def judge(played: PlayedOverGateway, *more: Check, spared: Collection[Check] = ()) -> None:
    """Apply every check that a run must pass but those `spared`, and `more`."""
    judges = JUDGES if played.has_started else checks.WITHOUT_A_BROKER
    checks.run_checks(played, (*(each for each in judges if each not in spared), *more))


def _fill(fill: Fill) -> tuple[object, ...]:
    return fill.exec_id, fill.order_ref, fill.shares, fill.price


def _is_corrected(placed: VenueOrder) -> bool:
    return any(not fill.exec_id.endswith(".01") for fill in placed.fills)


def _is_refused(played: PlayedOverGateway, ref: str) -> bool:
    """Whether the client got an error about the order that left under this reference."""
    ids = {str(order_id) for order_id in played.ids_of(ref)}
    return any(fields[ERROR_ID] in ids for fields in played.sent_messages("error"))

"""What an order would do, as the broker reckons it."""

from __future__ import annotations

from decimal import Decimal

from core.broker.error_codes import reject_reason_of
from core.broker.errors import would_refuse
from core.broker.ib.messages import Effect
from core.broker.ib.requests import RequestRefused
from core.errors import BrokerError
from core.model import Currency, MarginChange, MarginEffect, Order
from core.money import ZERO


def effect_of(effect: Effect, base: Currency) -> MarginEffect:
    """The effect, in the account's base currency."""
    commission = effect.commission
    return MarginEffect(
        currency=base,
        initial_margin=_change(effect, "initMargin"),
        maintenance_margin=_change(effect, "maintMargin"),
        equity_with_loan=_change(effect, "equityWithLoan"),
        commission=commission,
        commission_currency=None if commission is None else effect.commission_currency,
    )


def refusal_of(order: Order, refusal: RequestRefused) -> BrokerError:
    """Why the broker would not take the order."""
    return would_refuse(order, refusal.code, refusal.text, reject_reason_of(refusal.code, refusal.text))


def _change(effect: Effect, name: str) -> MarginChange:
    before, change = effect.margins[name]
    return MarginChange(_present(before), _present(change))


def _present(number: Decimal | None) -> Decimal:
    # only a complete effect comes this far
    return ZERO if number is None else number

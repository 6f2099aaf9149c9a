"""Messages while an order works: its status, its fills, their costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.money import ZERO
from core.sim.wire.contracts import ContractFields
from core.sim.wire.fields import UNSET_FLOAT, Fields, number, number_or_unset, venue_time

NO_REQUEST = -1


@dataclass(frozen=True, slots=True)
class StatusFields:
    """How far an order is."""

    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: Decimal
    remaining: Decimal
    average_price: Decimal = ZERO
    last_price: Decimal = ZERO
    parent_id: int = 0
    why_held: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionFields:
    """One fill; `side` is BOT or SLD, and `total` and `average_price` are of the order so far."""

    exec_id: str
    order_id: int
    client_id: int
    perm_id: int
    contract: ContractFields
    account: str
    exchange: str
    side: str
    shares: Decimal
    price: Decimal
    total: Decimal
    average_price: Decimal
    at: datetime
    order_ref: str = ""
    model_code: str = ""


@dataclass(frozen=True, slots=True)
class CommissionFields:
    """What a fill cost; `realized` is None for a fill that opens a holding."""

    exec_id: str
    commission: Decimal
    currency: str
    realized: Decimal | None = None


def order_contract(contract: ContractFields, right: str = "") -> Fields:
    """A contract as orders and fills show it, in eleven fields; `right` stands where it has none."""
    return (
        *(str(contract.con_id), contract.symbol, contract.security_type, contract.expiry, number(contract.strike)),
        *(contract.right or right, contract.multiplier, contract.exchange, contract.currency),
        *(contract.local_symbol, contract.trading_class),
    )


def order_status(status: StatusFields) -> Fields:
    """How far an order is (3)."""
    return (
        *("3", str(status.order_id), status.status, number(status.filled), number(status.remaining)),
        *(number(status.average_price), str(status.perm_id), str(status.parent_id), number(status.last_price)),
        *(str(status.client_id), status.why_held, "0"),  # the last is the price at which a market order is capped
    )


def execution(fill: ExecutionFields, req_id: int = NO_REQUEST) -> Fields:
    """A fill (11): live without a request, or in answer to one."""
    return (
        *("11", str(req_id), str(fill.order_id), *order_contract(fill.contract)),
        *(fill.exec_id, venue_time(fill.at), fill.account, fill.exchange, fill.side),
        *(number(fill.shares), number(fill.price), str(fill.perm_id), str(fill.client_id), "0"),
        # the last two: liquidity added, and no price revision pending
        *(number(fill.total), number(fill.average_price), fill.order_ref, "", "", fill.model_code, "1", "0"),
    )


def execution_end(req_id: int) -> Fields:
    """The end of the fills (55)."""
    return "55", "1", str(req_id)


def commission_report(report: CommissionFields) -> Fields:
    """What a fill cost (59), after the fill itself."""
    # the unset figure and the empty date are yield and redemption, which only bonds have
    realized = number_or_unset(report.realized)
    return "59", "1", report.exec_id, number(report.commission), report.currency, realized, UNSET_FLOAT, ""

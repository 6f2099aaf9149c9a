"""The plan's hash: what a person approved, and what is compared before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256

from core.model import AccountId, Contract, FxLeg, Mode, RunId, TradeLine
from core.money import plain


@dataclass(frozen=True, slots=True)
class ApprovalScope:
    """What an approval is bound to besides the lines."""

    run_id: RunId
    account_id: AccountId
    mode: Mode
    expires_at: datetime


def plan_hash(bond: ApprovalScope, lines: Iterable[tuple[TradeLine, Contract]], fx: FxLeg | None) -> str:
    """SHA-256 in hex over run, account, mode, expiry, the conversion, and every line that trades.

    A line counts with contract, side, maximum quantity, order type and prices. 1.0 and 1 are the same
    number here, and the order of keys is fixed, so equal plans have equal hashes on every machine.
    """
    content = {
        "run": bond.run_id,
        "account": bond.account_id,
        "mode": bond.mode.value,
        "expires": bond.expires_at.isoformat(),
        "fx": _fx(fx),
        "lines": [_line(line, contract) for line, contract in lines if line.quantity],
    }
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _line(line: TradeLine, contract: Contract) -> list[str | int | None]:
    limit = line.limit
    return [
        line.number,
        line.symbol,
        contract.con_id,
        line.side,
        _text(line.quantity),
        limit.order_type if limit else None,
        _text(limit.limit_price) if limit else None,
        _text(limit.worst_price) if limit else None,
    ]


def _fx(fx: FxLeg | None) -> list[str | None] | None:
    if fx is None or not fx.quantity:
        return None
    return [_text(fx.quantity), fx.order_type.value, _text(fx.limit_price), _text(fx.worst_rate)]


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)

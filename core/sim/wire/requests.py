"""The requests of clients, as values."""

from __future__ import annotations

from dataclasses import dataclass

from core.sim.wire.contracts import ContractFields
from core.sim.wire.fields import Fields
from core.sim.wire.placing import PlaceOrder


@dataclass(frozen=True, slots=True)
class StartApi:
    """Who the client is; nothing else is answered before."""

    client_id: int
    capabilities: str


@dataclass(frozen=True, slots=True)
class RequestMarketData:
    """Quotes of a contract, as a stream or once (`is_snapshot`)."""

    req_id: int
    contract: ContractFields
    generic_ticks: str
    is_snapshot: bool
    is_regulatory: bool


@dataclass(frozen=True, slots=True)
class CancelMarketData:
    req_id: int


@dataclass(frozen=True, slots=True)
class SetMarketDataType:
    """Which data later requests want: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    data_type: int


@dataclass(frozen=True, slots=True)
class RequestHistory:
    """Bars of the past."""

    req_id: int
    contract: ContractFields
    end: str
    bar_size: str
    duration: str
    is_regular_hours: bool
    what: str
    is_kept_up_to_date: bool


@dataclass(frozen=True, slots=True)
class CancelHistory:
    req_id: int


@dataclass(frozen=True, slots=True)
class RequestContractDetails:
    """The details of every contract that matches."""

    req_id: int
    contract: ContractFields
    includes_expired: bool
    sec_id_type: str
    sec_id: str


@dataclass(frozen=True, slots=True)
class RequestMarketRule:
    rule_id: int


@dataclass(frozen=True, slots=True)
class CancelOrder:
    order_id: int


@dataclass(frozen=True, slots=True)
class GlobalCancel:
    """Every order of the account, whoever sent it."""


@dataclass(frozen=True, slots=True)
class RequestOpenOrders:
    """The working orders of this client."""


@dataclass(frozen=True, slots=True)
class RequestAllOpenOrders:
    """The working orders of everybody."""


@dataclass(frozen=True, slots=True)
class AutoOpenOrders:
    """Whether orders placed by hand shall be this client's."""

    binds: bool


@dataclass(frozen=True, slots=True)
class RequestCompletedOrders:
    api_only: bool


@dataclass(frozen=True, slots=True)
class RequestExecutions:
    """Fills of the day that match the filter; empty and a client id of 0 match all."""

    req_id: int
    client_id: int
    account: str
    since: str
    symbol: str
    security_type: str
    exchange: str
    side: str


@dataclass(frozen=True, slots=True)
class RequestIds:
    """The next order id; the number requested no longer has a meaning."""


@dataclass(frozen=True, slots=True)
class RequestAccountUpdates:
    """The account's values and holdings, now and whenever they change, until `is_subscribed` is no."""

    is_subscribed: bool
    account: str


@dataclass(frozen=True, slots=True)
class RequestAccountUpdatesMulti:
    """The account's values, for a request by number."""

    req_id: int
    account: str
    model_code: str
    is_ledger_only: bool


@dataclass(frozen=True, slots=True)
class CancelAccountUpdatesMulti:
    req_id: int


@dataclass(frozen=True, slots=True)
class RequestAccountSummary:
    req_id: int
    group: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CancelAccountSummary:
    req_id: int


@dataclass(frozen=True, slots=True)
class RequestPositions:
    """All holdings, now and whenever they change."""


@dataclass(frozen=True, slots=True)
class CancelPositions:
    """No more of the holdings."""


@dataclass(frozen=True, slots=True)
class RequestPnl:
    req_id: int
    account: str
    model_code: str


@dataclass(frozen=True, slots=True)
class CancelPnl:
    req_id: int


@dataclass(frozen=True, slots=True)
class RequestPnlSingle:
    req_id: int
    account: str
    model_code: str
    con_id: int


@dataclass(frozen=True, slots=True)
class CancelPnlSingle:
    req_id: int


@dataclass(frozen=True, slots=True)
class RequestManagedAccounts:
    """The accounts of the user, again."""


@dataclass(frozen=True, slots=True)
class RequestCurrentTime:
    """The time at the broker."""


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    level: int


@dataclass(frozen=True, slots=True)
class UnknownRequest:
    """A message of a kind that is not known, with its fields after the id; it is ignored and logged."""

    msg_id: int
    fields: Fields


Request = (
    StartApi
    | RequestMarketData
    | CancelMarketData
    | SetMarketDataType
    | RequestHistory
    | CancelHistory
    | RequestContractDetails
    | RequestMarketRule
    | PlaceOrder
    | CancelOrder
    | GlobalCancel
    | RequestOpenOrders
    | RequestAllOpenOrders
    | AutoOpenOrders
    | RequestCompletedOrders
    | RequestExecutions
    | RequestIds
    | RequestAccountUpdates
    | RequestAccountUpdatesMulti
    | CancelAccountUpdatesMulti
    | RequestAccountSummary
    | CancelAccountSummary
    | RequestPositions
    | CancelPositions
    | RequestPnl
    | CancelPnl
    | RequestPnlSingle
    | CancelPnlSingle
    | RequestManagedAccounts
    | RequestCurrentTime
    | SetLogLevel
    | UnknownRequest
)

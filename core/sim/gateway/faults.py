"""Scripted faults: rules for what becomes of a message, by its name and its subject.

A rule meets messages of one name, those a client sends (`placeOrder`) or those it is sent (`execDetails`), and may be
narrowed to a client, a symbol, an order, to what-if orders or to all others. The first rule that
matches decides; it is spent after `times` messages.

===============================================  =====================================================================
what goes wrong                                  how it is scripted: `gateway.faults.on(name, action, ...)`
===============================================  =====================================================================
end marker omitted, delayed                      "openOrderEnd", Omit() · "execDetailsEnd", Delay(30)
list that never ends, empty though there are     "completedOrdersEnd", Omit() · "execDetails", Omit(), times=None
socket dropped before, after, inside a message   any, Drop() · Drop(at=None) · Drop(at=7), seven bytes still go out
reset right after accept, stuck at the log-in    "handshake", Drop() · "startApi", Omit()
half-open socket                                 any, HalfOpen()
unknown message, short one, unreadable one       any, Duplicate({0: "9999"}) · Truncate(3) · ChangeFields({3: "some"})
1100 (repeatedly), 1101, 1102, 2110              `gateway.broadcast(code)`, with farms `gateway.broadcast(1102, text)`
a farm broken, asleep, back                      `gateway.broadcast(2103, "…is broken:usbond")`, 2104, 2108, 2119
time zone of the gateway as a name               "serverVersion", ChangeFields({1: "20260302 20:30:00 CET"})
10197, 354, 200 for a quote                      "reqMktData", Refuse(10197) · later: "tickPrice", Refuse(10197)
no data without a subscription                   "tickReqParams", ErrorAfter(10089), and "tickPrice", Omit(), times=None
delayed bid and ask seconds later, or never      "tickPrice", Delay(4), skip=3, times=2 · Omit()
ambiguous contract                               "contractDetails", Duplicate(OTHER_CON_ID), Match(symbol="VTI")
unknown contract; a warning that hangs a client  "reqContractDetails", Refuse(200) · Refuse(321)
account not ready, figure unset after the reset  "updateAccountValue", Only("AccountReady",
                                                 ChangeFields({3: "false"})) ·
                                                 "updatePortfolio", ChangeFields({14: UNSET_FLOAT, 15: UNSET_FLOAT})
Read-Only API                                    GatewayOptions(is_read_only=True), "reqAllOpenOrders", Refuse(321)
103, 110, 201, 321, 10243 for an order           "placeOrder", Refuse(code): it never was · or FillScript(reject=code)
kept back by the presets                         FillScript(reject=451): 163, 354, 382, 383, 451, 10052, 10311, 10329
inactive without a reason, before its 201        "orderStatus", ChangeFields({2: "Inactive"}) ·
                                                 "error", Hold("orderStatus")
a dialog that swallows an order, a what-if       "placeOrder", Omit() · with Match(is_what_if=True)
what-if with unset margins first                 "openOrder", ChangedFirst({97: UNSET_FLOAT}), Match(is_what_if=True)
202 by the broker                                "placeOrder", Do(lambda order: gateway.cancel(order.order_ref))
399, 10349, 434, 404 on an order that is live    "openOrder", ErrorAfter(10349)
money of a cash account                          "placeOrder", Refuse(201, "Available settled cash to trade …")
what-if refused; never answered                  FillScript(what_if_reject=201) · FillScript(what_if_unanswered=True)
ids rolled back                                  `gateway.restart(ids_roll_back=True)`
order dropped unnoticed                          "placeOrder", Omit() · for good: FillScript(is_lost=True)
status, execution twice                          "orderStatus", Duplicate() · "execDetails", Duplicate({14: other id})
Filled before its execution                      "execDetails", Hold(until="orderStatus")
time of an execution in another form             "execDetails", ChangeFields({15: "20260611-13:31:08"})
commission early, late, never, tiny              "execDetails", Hold(until="commissionReport") · "commissionReport",
                                                 Delay(30) · Omit(), times=None · ChangeFields({3: "1.2E-4"})
execution corrected                              "commissionReport", Do(lambda order: gateway.correct(...))
warning after a fill                             "commissionReport", ErrorAfter(2109)
fill while disconnected                          "placeOrder", Drop(at=None), and a FillScript with a delay
===============================================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about: the id that an error on it carries (−1: none), the symbol, the order.

    With `is_what_if` it is a what-if order.
    """

    id: int = -1
    symbol: str = ""
    order_ref: str = ""
    is_what_if: bool = False


NO_SUBJECT = Subject()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message on its way, in either direction."""

    name: str
    fields: tuple[str, ...]
    subject: Subject = NO_SUBJECT


class Channel(Protocol):
    """One direction of a connection, as a fault sees it."""

    def pass_on(self, envelope: Envelope) -> None:
        """Let the message go where it was going."""
        ...

    def drop(self, envelope: Envelope, at: int | None) -> None:
        """Close the connection at this point of the message, or after it."""
        ...

    def go_half_open(self) -> None:
        """Neither read nor send anything from now on."""
        ...

    def send_error(self, subject: Subject, code: int, text: str) -> None:
        """Send an error to the client; without a text, with the broker's own."""
        ...

    def later(self, seconds: float, callback: Callable[[], None]) -> None: ...

    def hold(self, envelope: Envelope, until: str) -> None: ...


class Action(Protocol):
    """What becomes of a message that a rule meets."""

    def apply(self, channel: Channel, envelope: Envelope) -> None: ...


@dataclass(frozen=True, slots=True)
class Omit:
    """The message gets lost."""

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The message comes so much later; others overtake it."""

    seconds: float

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.later(self.seconds, lambda: channel.pass_on(envelope))


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The message comes twice, to a client the second time with these fields changed (by index; 0 is the number)."""

    changed: Mapping[int, str] = field(default_factory=dict)

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.pass_on(envelope)
        fields = tuple(self.changed.get(number, text) for number, text in enumerate(envelope.fields))
        channel.pass_on(Envelope(envelope.name, fields, envelope.subject))


@dataclass(frozen=True, slots=True)
class ChangeFields:
    """The message passes with these fields changed (by index; 0 is the number)."""

    changed: Mapping[int, str]

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        fields = tuple(self.changed.get(number, text) for number, text in enumerate(envelope.fields))
        channel.pass_on(Envelope(envelope.name, fields, envelope.subject))


@dataclass(frozen=True, slots=True)
class ChangedFirst:
    """Before the message another one comes like it, with these fields changed (by index; 0 is the number)."""

    changed: Mapping[int, str]

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        ChangeFields(self.changed).apply(channel, envelope)
        channel.pass_on(envelope)


@dataclass(frozen=True, slots=True)
class Only:
    """Messages with this text in a field meet the action, others of the name pass."""

    text: str
    action: Action

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        if self.text in envelope.fields:
            self.action.apply(channel, envelope)
        else:
            channel.pass_on(envelope)


@dataclass(frozen=True, slots=True)
class Truncate:
    """Only so many fields of the message come."""

    fields: int

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.pass_on(Envelope(envelope.name, envelope.fields[: self.fields], envelope.subject))


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection closes before the message (0), after it (None), or after so many bytes of it."""

    at: int | None = 0

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.drop(envelope, self.at)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """From here on nothing is read and nothing is sent, but the connection stays."""

    def apply(self, channel: Channel, envelope: Envelope) -> None:  # noqa: ARG002 - the message goes nowhere
        channel.go_half_open()


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error instead of the message: a request is not handled, an answer not sent."""

    code: int
    text: str = ""

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.send_error(envelope.subject, self.code, self.text)


@dataclass(frozen=True, slots=True)
class ErrorBefore:
    """An error before the message."""

    code: int
    text: str = ""

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.send_error(envelope.subject, self.code, self.text)
        channel.pass_on(envelope)


@dataclass(frozen=True, slots=True)
class ErrorAfter:
    """An error after the message, at once or so much later."""

    code: int
    text: str = ""
    seconds: float = 0.0

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.pass_on(envelope)
        if self.seconds:
            channel.later(self.seconds, lambda: channel.send_error(envelope.subject, self.code, self.text))
        else:
            channel.send_error(envelope.subject, self.code, self.text)


@dataclass(frozen=True, slots=True)
class Hold:
    """The message waits until one of that name passed on the same connection, about the same order if both have one."""

    until: str

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.hold(envelope, self.until)


@dataclass(frozen=True, slots=True)
class Do:
    """The message passes, then this happens."""

    what: Callable[[Subject], None]

    def apply(self, channel: Channel, envelope: Envelope) -> None:
        channel.pass_on(envelope)
        self.what(envelope.subject)


CONTRACT_DETAILS_CON_ID = 12
OTHER_CON_ID: Mapping[int, str] = {CONTRACT_DETAILS_CON_ID: "999999999"}


@dataclass(frozen=True, slots=True)
class Match:
    """Which messages of a name a rule is for; None: any."""

    client: int | None = None
    symbol: str | None = None
    order_ref: str | None = None
    is_what_if: bool | None = None

    def covers(self, client: int, subject: Subject) -> bool:
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.client, client),
                (self.symbol, subject.symbol),
                (self.order_ref, subject.order_ref),
                (self.is_what_if, subject.is_what_if),
            )
        )


@dataclass(slots=True)
class Rule:
    """`left` messages still meet this fault, after the next `skip` have not; None: all."""

    message: str
    action: Action
    match: Match = Match()
    skip: int = 0
    left: int | None = 1

    def meets(self, message: str, client: int, subject: Subject) -> bool:
        """Whether this message meets the fault; it then counts."""
        if self.message != message or self.left == 0 or not self.match.covers(client, subject):
            return False
        # a skipped message may still meet a later rule
        if self.skip:
            self.skip -= 1
            return False
        self.left = None if self.left is None else self.left - 1
        return True


class Faults:
    """The rules of a gateway, in the order in which they are tried."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def on(
        self, message: str, action: Action, match: Match | None = None, *, skip: int = 0, times: int | None = 1
    ) -> Rule:
        """A new rule, at work from now on."""
        rule = Rule(message, action, match or Match(), skip, times)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Everything works again from now on."""
        self._rules.clear()

    def action_for(self, message: str, client: int, subject: Subject) -> Action | None:
        """What becomes of this message; None: it passes."""
        return next((rule.action for rule in self._rules if rule.meets(message, client, subject)), None)

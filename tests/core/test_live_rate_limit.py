"""The rate limiter: messages leave in order, spread out, and never more in a second than allowed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from core.broker.rate_limit import RateLimiter
from core.clock import AutojumpClock
from core.pacing import MessageWindow

SECOND = timedelta(seconds=1)


async def sent_at(clock, limiter, count):
    """When each of so many messages left that were all wanted at once, in the order in which they were wanted."""
    left = []

    async def send(number):
        await limiter.acquire()
        left.append((number, clock.now()))

    await asyncio.gather(*(send(number) for number in range(count)))
    assert [number for number, _ in left] == list(range(count))
    return [at for _, at in left]


def most_in_a_second(times):
    return max(sum(1 for at in times if start <= at < start + SECOND) for start in times)


@pytest.mark.parametrize("rate", [1, 7, 45, 48])
async def test_the_rate_is_kept_and_used(rate):
    clock = AutojumpClock(NOW)
    times = await sent_at(clock, RateLimiter(clock, rate), 3 * rate)
    assert most_in_a_second(times) == rate
    assert times[-1] - times[0] <= 3 * SECOND


async def test_the_rate_stays_below_the_gateways_own_limit():
    clock = AutojumpClock(NOW)
    assert most_in_a_second(await sent_at(clock, RateLimiter(clock, 50), 150)) == 48


async def test_a_clock_that_is_set_back_does_not_delay_messages_by_as_much():
    """A cancel must not wait an hour because the computer's time was put right by one."""

    class SetBack(AutojumpClock):
        shift = timedelta(0)

        def now(self):
            return super().now() + self.shift

    clock = SetBack(NOW)
    limiter = RateLimiter(clock, 45)
    await sent_at(clock, limiter, 100)
    clock.shift = -timedelta(hours=1)
    before = clock.now()
    await limiter.acquire()
    assert SECOND * 0.9 <= clock.now() - before <= 2 * SECOND


async def test_messages_are_spread_over_the_second():
    clock = AutojumpClock(NOW)
    times = await sent_at(clock, RateLimiter(clock, 45), 45)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) - min(gaps) <= timedelta(microseconds=1)


async def test_messages_sent_past_the_limiter_count():
    clock = AutojumpClock(NOW)
    limiter = RateLimiter(clock, 10)
    limiter.count(8)
    times = [NOW] * 8 + await sent_at(clock, limiter, 12)
    assert most_in_a_second(times) <= 10


async def test_a_message_after_a_pause_leaves_at_once():
    clock = AutojumpClock(NOW)
    limiter = RateLimiter(clock, 10)
    await sent_at(clock, limiter, 10)
    await clock.sleep(5)
    before = clock.now()
    await limiter.acquire()
    assert clock.now() == before


async def test_after_a_pause_messages_are_spread_as_before_it():
    clock = AutojumpClock(NOW)
    limiter = RateLimiter(clock, 40)
    await limiter.acquire()
    await clock.sleep(5)
    times = await sent_at(clock, limiter, 3)
    assert [later - earlier for earlier, later in pairwise(times)] == [SECOND / 40] * 2


@given(st.integers(2, 50), st.lists(st.floats(0, 2, allow_nan=False), max_size=120))
def test_whenever_messages_are_wanted_no_second_has_more_than_allowed(rate, pauses):
    async def play():
        clock = AutojumpClock(NOW)
        limiter, times = RateLimiter(clock, rate), []
        for pause in pauses:
            await clock.sleep(pause if pause > 1.5 else 0)
            await limiter.acquire()
            times.append(clock.now())
        return times

    times = asyncio.run(play())
    assert not times or most_in_a_second(times) <= rate


def test_fifty_messages_fit_into_any_second():
    window = MessageWindow(50)
    assert all(window.spend(NOW) for _ in range(50))
    assert not window.spend(NOW + SECOND / 2)
    assert window.free_at(NOW) == NOW + SECOND
    assert window.spend(NOW + SECOND)

"""Clocks: what waits, what jumps, and what never hurries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import AutojumpClock, RunningClock

START = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


def seconds_after(clock, start=START):
    return (clock.now() - start).total_seconds()


async def never():
    await asyncio.get_running_loop().create_future()


async def test_sleeping_jumps_exactly_so_far():
    clock = AutojumpClock(START)
    await clock.sleep(120)
    assert seconds_after(clock) == 120


async def test_what_comes_in_time_costs_no_time():
    clock = AutojumpClock(START)

    async def answer():
        for _ in range(5):
            await asyncio.sleep(0)
        return 7

    assert await clock.within(20, answer()) == 7
    assert clock.now() == START


async def test_what_never_comes_times_out_at_its_time_and_is_cancelled():
    clock = AutojumpClock(START)
    cancelled = asyncio.get_running_loop().create_future()

    async def forever():
        try:
            await never()
        finally:
            cancelled.set_result(True)

    with pytest.raises(TimeoutError):
        await clock.within(20, forever())
    assert seconds_after(clock) == 20
    assert cancelled.result()


async def test_an_error_of_what_is_awaited_is_raised_as_it_is():
    clock = AutojumpClock(START)

    async def fails():
        raise ValueError("so it is")

    with pytest.raises(ValueError, match="so it is"):
        await clock.within(20, fails())


async def test_a_zero_wait_lets_what_is_under_way_arrive_first():
    clock = AutojumpClock(START)

    async def soon():
        await asyncio.sleep(0)
        return "arrived"

    assert await clock.within(0, soon()) == "arrived"


async def test_timers_fire_in_order_of_time_then_of_making():
    clock, fired = AutojumpClock(START), []
    for name, seconds in (("c", 3), ("a", 1), ("b", 1), ("late", 9)):
        clock.call_at(START + timedelta(seconds=seconds), lambda name=name: fired.append((name, seconds_after(clock))))
    await clock.sleep(5)
    assert fired == [("a", 1), ("b", 1), ("c", 3)]


async def test_a_timer_alone_moves_nothing():
    clock, fired = AutojumpClock(START), []
    clock.call_at(START + timedelta(seconds=1), lambda: fired.append(1))
    for _ in range(200):
        await asyncio.sleep(0)
    assert (fired, clock.now()) == ([], START)


async def test_a_cancelled_timer_does_not_fire():
    clock, fired = AutojumpClock(START), []
    clock.call_at(START + timedelta(seconds=1), lambda: fired.append(1)).cancel()
    await clock.sleep(2)
    assert fired == []


async def test_a_timer_in_the_past_fires_at_the_next_rest_without_moving_time_back():
    clock, fired = AutojumpClock(START), []
    await clock.sleep(10)
    clock.call_at(START, lambda: fired.append(seconds_after(clock)))
    await clock.sleep(1)
    assert fired == [10]


async def test_what_a_timer_sets_off_is_done_before_the_next_jump():
    clock, seen = AutojumpClock(START), []
    happened = asyncio.Event()
    clock.call_at(START + timedelta(seconds=1), happened.set)

    async def listener():
        await clock.within(60, happened.wait())
        seen.append(seconds_after(clock))
        await clock.sleep(2)
        seen.append(seconds_after(clock))

    await asyncio.gather(listener(), clock.sleep(30))
    assert seen == [1, 3]


async def test_it_waits_for_what_is_under_way_between_two_sides():
    in_flight = [True]
    clock = AutojumpClock(START, is_quiet=lambda: not in_flight[0])
    moved = []

    async def land():
        for _ in range(500):
            await asyncio.sleep(0)
        moved.append(clock.now())
        in_flight[0] = False

    await asyncio.gather(land(), clock.sleep(5))
    assert moved == [START]
    assert seconds_after(clock) == 5


async def test_many_waiters_share_the_clock_and_each_wakes_at_its_own_time():
    clock, woke = AutojumpClock(START), []

    async def wait(seconds):
        await clock.sleep(seconds)
        woke.append((seconds, seconds_after(clock)))

    await asyncio.gather(*(wait(seconds) for seconds in (5, 1, 3, 1)))
    assert woke == [(1, 1), (1, 1), (3, 3), (5, 5)]


async def test_a_timer_that_fails_is_reported_and_stops_nobody():
    clock, reported = AutojumpClock(START), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    clock.call_at(START + timedelta(seconds=1), lambda: {}[1])
    await clock.sleep(2)
    assert [type(error) for error in reported] == [KeyError]


async def test_a_cancelled_sleeper_leaves_the_others_their_time():
    clock = AutojumpClock(START)
    long = asyncio.ensure_future(clock.sleep(3600))
    await asyncio.sleep(0)
    long.cancel()
    await clock.sleep(1)
    assert long.cancelled()
    assert seconds_after(clock) == 1


def test_it_can_be_used_from_one_loop_after_another():
    clock = AutojumpClock(START)
    asyncio.run(clock.sleep(1))
    asyncio.run(clock.sleep(1))
    assert seconds_after(clock) == 2


async def test_a_running_clock_with_a_speed_lets_long_waits_pass_quickly():
    clock = RunningClock(START, speed=10_000)
    fired = asyncio.Event()
    clock.call_at(clock.now() + timedelta(seconds=60), fired.set)
    await clock.sleep(120)
    assert seconds_after(clock) >= 120
    assert fired.is_set()
    with pytest.raises(TimeoutError):
        await clock.within(60, never())


async def test_a_running_clock_without_a_start_shows_the_computers_time():
    assert abs(RunningClock().now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert await RunningClock().within(60, asyncio.sleep(0, "done")) == "done"


async def test_a_running_clock_can_be_set_and_runs_on_from_there():
    clock = RunningClock()
    clock.set(START)
    await clock.sleep(0.001)
    assert timedelta(0) < clock.now() - START < timedelta(minutes=1)


@pytest.mark.parametrize("clock", [RunningClock(), AutojumpClock(START)], ids=["running", "jumping"])
async def test_a_task_cancelled_in_the_moment_of_its_answer_stops(clock):
    answer = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(clock.within(5, answer))
    for _ in range(3):
        await asyncio.sleep(0)
    answer.set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

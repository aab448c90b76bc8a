"""Signals are caught between evaluations, and checkpoints written when they are due."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxparl.experiment import signals
from jaxparl.experiment.signals import CheckpointSchedule, Interruption


@pytest.fixture
def default():
    """Lets a signal do what it usually does, even where these tests are run by nohup."""
    before = {}

    def reset(number: int) -> None:
        before[number] = signal.signal(
            number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        )

    yield reset
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_the_first_signal_is_caught_and_the_second_one_is_not(number, default):
    default(number)
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert interruption.signal is None
        # One that `os.kill` sends may reach another thread, and is then seen a little later.
        signal.raise_signal(number)
        assert interruption.signal == number
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.signal is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_caught():
    def interrupted() -> int | None:
        with Interruption() as interruption:
            return interruption.signal

    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(interrupted).result() is None
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    return now


def test_checkpoints_keep_the_least_time_between_them_that_was_asked_for(clock):
    schedule = CheckpointSchedule(10.0)
    clock[0] = 9.0
    assert not schedule.is_due()
    clock[0] = 10.0
    assert schedule.is_due()
    schedule.record(100.0)
    clock[0] = 19.0
    assert not schedule.is_due()
    assert CheckpointSchedule(0.0).is_due()


def test_by_default_checkpoints_take_two_percent_of_the_time(clock):
    schedule = CheckpointSchedule(None)
    assert schedule.is_due()
    schedule.record(1.0)
    clock[0] = 48.9
    assert not schedule.is_due()
    clock[0] = 49.1
    assert schedule.is_due()

"""Ctrl-C before a run listens for it."""

import contextlib
import signal

import pytest

from credo.training.stopping import Stop, interrupts_remembered


def test_an_interrupt_that_a_library_has_swallowed_is_raised_again():
    before = signal.getsignal(signal.SIGINT)
    stop, reached = Stop(), []

    def made_ready():
        with interrupts_remembered():
            with contextlib.suppress(KeyboardInterrupt):  # as a callback from C does
                signal.raise_signal(signal.SIGINT)
            reached.append("ready")
            with stop.listening():
                reached.append("training")

    with pytest.raises(KeyboardInterrupt):
        made_ready()
    assert reached == ["ready"]
    assert signal.getsignal(signal.SIGINT) is before
    with stop.listening():  # it is forgotten with the command that it was for
        signal.raise_signal(signal.SIGINT)
    assert stop.is_set()


def test_without_one_a_run_listens():
    with interrupts_remembered(), Stop().listening():
        pass

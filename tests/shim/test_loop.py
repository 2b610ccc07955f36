"""The loop: clocks, workers that block, and faults."""

import threading
from typing import Any

from pyrunc.shim import loop as loops
from pyrunc.shim.loop import Loop


def test_what_a_worker_gives_is_taken_in_the_loops_own_thread() -> None:
    loop, found = Loop(), []

    def then(result: Any, error: BaseException | None) -> None:
        found.append((result, type(error), threading.get_ident()))
        if len(found) == 2:
            loop.stop()

    loop.work(lambda: 1 + 1, then)
    loop.work(lambda: 1 // 0, then)
    loop.run()
    assert {entry[:2] for entry in found} == {(2, type(None)), (None, ZeroDivisionError)}
    assert {entry[2] for entry in found} == {threading.get_ident()}
    assert loop.busy == 0


def test_blocked_workers_do_not_hold_up_the_others(monkeypatch: Any) -> None:
    monkeypatch.setattr(loops, "STUCK", 0.01)
    loop, gate = Loop(), threading.Event()
    for _ in range(loops.WORKERS + 3):
        loop.work(lambda: gate.wait(20), lambda *_: None)
    loop.work(lambda: "done", lambda result, _: loop.stop())
    loop.later(20, loop.stop)
    loop.run()
    assert loop.workers > loops.WORKERS
    gate.set()


def test_a_fault_in_one_handler_is_told_and_the_loop_goes_on(caplog: Any) -> None:
    loop = Loop()
    loop.later(0, lambda: 1 // 0)
    loop.later(0.01, loop.stop)
    loop.run()
    assert "ZeroDivisionError" in caplog.text and "test_loop.py" in caplog.text


def test_a_timer_that_was_cancelled_does_nothing() -> None:
    loop, told = Loop(), []
    loop.later(0, lambda: told.append(1)).cancel()
    loop.later(0.01, loop.stop)
    loop.run()
    assert told == []


def test_memory_is_given_back_when_it_is_quiet(monkeypatch: Any) -> None:
    monkeypatch.setattr(loops, "QUIET", 0.01)
    loop, told = Loop(), []
    loop.quiet = lambda: (told.append(1), loop.stop())
    loop.run()
    assert told == [1]

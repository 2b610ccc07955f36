"""The library in long-running programs with threads: no leak, no zombie, no lock held by another thread."""

import os
import threading
from collections.abc import Callable

import pytest
from library import all_children, children, descriptors, output_of

import pyrunc
from harness import Box, base_config, cgroups_of, user_namespace
from pyrunc import (
    Container,
    NoSuchContainer,
    StepError,
    WrongStatus,
)

DEVNULL = open(os.devnull, "r+b", buffering=0)
pytestmark = pytest.mark.usefixtures("nothing_of_the_process_changes")


def test_no_descriptor_and_no_child_is_left_over_fifty_lives(make: Callable[..., Container], box: Box) -> None:
    def life() -> None:
        container = make("exit 3", user_namespace)
        container.start()
        container.wait(10)
        container.destroy()
        with pytest.raises(StepError):
            make(["absent"])
        container = make(run=True)
        assert container.exec(["true"], stdin=DEVNULL).wait(10) == 0
        with pytest.raises(StepError):
            container.exec(["absent"])
        container.exec(["sleep", "100"], stdin=DEVNULL, stdout=DEVNULL)
        container.pause()
        list(zip(range(1), container.events(0.001), strict=False))
        container.destroy(force=True)

    life()  # opens what stays open
    before = descriptors()
    for _ in range(50):
        life()
    assert descriptors() == before
    assert children() == []
    assert not box.leftovers()


def test_a_refused_limit_leaves_no_child(box: Box) -> None:
    """The helper goes on while the runtime makes the cgroups, so it may have cloned init when the limit is refused."""
    config = base_config()
    config["linux"]["resources"] = {"cpu": {"cpus": "4000"}}
    before = all_children()
    for _ in range(20):
        with pytest.raises(pyrunc.PyruncError, match=r"linux.resources.cpu.cpus"):
            Container.create(box.new_id(), str(box.directory), root=str(box.root), config=config)
        assert all_children() == before


def test_eight_threads_with_containers_of_their_own(make: Callable[..., Container], box: Box) -> None:
    """Each container has its own thread's descriptors, and inherits none that another thread opened meanwhile."""
    failures: list[str] = []
    before = descriptors()

    def work(number: int) -> None:
        try:
            for turn in range(4):
                word = f"{number}-{turn}"
                container = make(change=lambda c, w=word: c["process"]["env"].append(f"W={w}"), run=turn % 2 == 0)
                if turn % 2:
                    container.start()
                got = output_of(container, ["sh", "-c", "echo $W; ls /proc/self/fd | wc -l"])
                assert got == (0, f"{word}\n4\n"), got
                assert container.stats()["pids"]["current"] == 1
                container.update({"pids": {"limit": 100 + number}})
                inside = output_of(container, ["sh", "-c", "for f in /proc/1/fd/*; do readlink $f; done"])
                assert inside == (0, "/dev/null\n" * 3), inside
                container.destroy(force=True)
        except BaseException as error:
            failures.append(f"{number}: {error!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert children() == []
    assert descriptors() == before
    assert not box.leftovers()


def test_eight_threads_on_one_container(make: Callable[..., Container]) -> None:
    """Through one instance: operations that exclude each other take turns; one that is too late raises an error."""
    container = make()
    results: list[str] = []

    def work(number: int) -> None:
        try:
            container.start()
            results.append("started")
        except WrongStatus:
            results.append("late")
        assert output_of(container, ["echo", str(number)]) == (0, f"{number}\n")
        container.update({"pids": {"limit": 100 + number}})

    def end() -> None:
        try:
            container.destroy(force=True)
            results.append("destroyed")
        except NoSuchContainer:
            results.append("gone")

    for target, arguments in ((work, [(n,) for n in range(8)]), (end, [()] * 8)):
        threads = [threading.Thread(target=target, args=a) for a in arguments]  # type: ignore[arg-type]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == ["destroyed", *["gone"] * 7, *["late"] * 7, "started"]
    assert not cgroups_of(container.id) and children() == []


def test_a_wait_in_another_thread_ends_with_the_container(make: Callable[..., Container]) -> None:
    container = make(run=True)
    statuses: list[int | None] = []
    threads = [threading.Thread(target=lambda: statuses.append(container.wait(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    container.signal(9)
    for thread in threads:
        thread.join()
    assert statuses == [137] * 3
    container.destroy()


def test_init_can_end_before_an_exec_was_waited_for(make: Callable[..., Container], box: Box) -> None:
    """A pid namespace's init ends only after every process in it is reaped, and these are children of the test."""
    quiet = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}
    container = make("sleep 0.1; exit 5", run=True)
    executed = [container.exec(["true"], **quiet), container.exec(["sleep", "100"], **quiet)]
    assert container.wait(10) == 5
    assert [process.wait(10) for process in executed] == [0, 137]
    container.destroy()
    container = make(run=True)
    other = Container.load(container.id, str(box.root))
    executed = [other.exec(["true"], **quiet), other.exec(["sleep", "100"], **quiet)]
    container.destroy(force=True)
    assert children() == []
    assert executed[1].wait(10) == 137

"""Functions that run only after they were allowed, and at most once for a key."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assent_client import (
    Assent,
    Failed,
    OutcomeUnknown,
    Rejected,
    Run,
    StillWaiting,
    Task,
)
from assent_client._sync import gate
from tests.client.conftest import PATIENCE, ServerWorld, World, only_pending
from tests.harness.server import PROJECT


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


@pytest.fixture
def run(assent: Assent, job: str) -> Iterator[Run]:
    with assent.open_session("support", key=job) as session, session.open_run(key=job) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "OTHER_PROCESS_SECONDS", 0.3)


class Disk:
    """A disk that notes what was wiped from it."""

    def __init__(self, assent: Assent, world: World, key: str, operation: str = "wipe") -> None:
        self.assent, self.world = assent, world
        self.wiped: list[str] = []
        self.dies: type[BaseException] | None = None
        gated = assent.requires_approval(f"local.{operation}", key=key, timeout=PATIENCE)
        self.wipe = gated(self._wipe_of())

    def _wipe_of(self) -> Callable[..., dict[str, object]]:
        def wipe(path: str, force: bool = False) -> dict[str, object]:
            """Wipe it."""
            self.wiped.append(path)
            if self.dies is not None:
                raise self.dies("out of order")
            return {"wiped": path, "force": force}

        return wipe

    def decider_of(self, run: Run) -> Task:
        return self.world.decider.task(only_pending(self.assent, run=run.id).id)


@pytest.fixture
def disk(assent: Assent, world: World, job: str) -> Disk:
    return Disk(assent, world, job)


def ask(disk: Disk, path: str = "/tmp/a") -> None:
    """Ask for it, and go away before anybody has decided."""
    patient = disk.wipe._terms
    disk.wipe._terms = patient.__class__(**{**patient.__dict__, "timeout": 0.05})
    with pytest.raises(StillWaiting):
        disk.wipe(path)
    disk.wipe._terms = patient


def test_what_was_approved_is_what_runs_and_the_result_is_reported(run: Run, disk: Disk) -> None:
    ask(disk)
    task = disk.decider_of(run)
    assert disk.wiped == []
    info = task.info()
    call = disk.assent.tool_call(str(info.tool_call))
    assert call.info().arguments == {"path": "/tmp/a", "force": False}
    task.approve("go on")
    assert disk.wipe("/tmp/a") == {"wiped": "/tmp/a", "force": False}
    assert disk.wiped == ["/tmp/a"]
    assert call.result(PATIENCE).body == {"wiped": "/tmp/a", "force": False}
    assert disk.wipe.__doc__ == "Wipe it."


def test_edited_arguments_are_what_runs(run: Run, disk: Disk) -> None:
    ask(disk)
    disk.decider_of(run).perform("approve", draft={"path": "/tmp/b", "force": True})
    assert disk.wipe("/tmp/a") == {"wiped": "/tmp/b", "force": True}
    assert disk.wiped == ["/tmp/b"]


def test_a_rejected_one_never_runs(run: Run, disk: Disk) -> None:
    ask(disk)
    disk.decider_of(run).reject("Not that one.")
    for _ in range(2):
        with pytest.raises(Rejected, match="Not that one"):
            disk.wipe("/tmp/a")
    assert disk.wiped == []


def test_asked_for_again_with_its_key_it_gives_the_result_and_does_not_run_again(
    run: Run, disk: Disk, world: World, job: str
) -> None:
    ask(disk)
    disk.decider_of(run).approve()
    first = disk.wipe("/tmp/a")
    later = Disk(disk.assent, world, job)
    assert later.wipe("/tmp/a") == first
    assert later.wiped == []
    assert disk.wiped == ["/tmp/a"]


def test_an_exception_is_reported_and_raised(run: Run, disk: Disk, world: World, job: str) -> None:
    ask(disk)
    disk.decider_of(run).approve()
    disk.dies = OSError
    with pytest.raises(OSError, match="out of order"):
        disk.wipe("/tmp/a")
    later = Disk(disk.assent, world, job)
    with pytest.raises(Failed, match="OSError: out of order"):
        later.wipe("/tmp/a")
    assert later.wiped == []


def test_approved_while_nobody_waited_it_runs_at_the_next_start(run: Run, disk: Disk) -> None:
    ask(disk)
    disk.decider_of(run).approve()
    assert disk.wipe("/tmp/a")["wiped"] == "/tmp/a"
    assert disk.wiped == ["/tmp/a"]


def test_interrupted_after_it_began_it_never_runs_again(
    run: Run, disk: Disk, world: World, job: str
) -> None:
    ask(disk)
    disk.decider_of(run).approve()
    disk.dies = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        disk.wipe("/tmp/a")
    later = Disk(disk.assent, world, job)
    with pytest.raises(OutcomeUnknown, match="has not reported") as refused:
        later.wipe("/tmp/a")
    assert later.wiped == []
    disk.assent.tool_call(refused.value.call.id).report({"wiped": "by hand"})
    assert later.wipe("/tmp/a") == {"wiped": "by hand"}
    assert later.wiped == []


def test_an_idempotent_one_is_run_again_instead(
    assent: Assent, world: World, run: Run, job: str
) -> None:
    disk = Disk(assent, world, job, "note")
    ask(disk)
    disk.decider_of(run).approve()
    disk.dies = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        disk.wipe("/tmp/a")
    later = Disk(assent, world, job, "note")
    assert later.wipe("/tmp/a")["wiped"] == "/tmp/a"
    assert later.wiped == ["/tmp/a"]


def test_of_two_that_wait_for_the_same_call_one_runs_it(
    run: Run, disk: Disk, world: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "OTHER_PROCESS_SECONDS", 20)
    ask(disk)
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(disk.wipe.on(run)("/tmp/a")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    disk.decider_of(run).approve()
    for thread in threads:
        thread.join()
    assert results == [{"wiped": "/tmp/a", "force": False}] * 4
    assert disk.wiped == ["/tmp/a"]


def test_where_no_approval_is_needed_it_runs_at_once(assent: Assent, run: Run) -> None:
    @assent.requires_approval("local.free")
    def add(a: int, b: int) -> int:
        return a + b

    assert add(1, b=2) == 3


def test_key_and_reason_may_be_made_from_the_arguments(assent: Assent, run: Run, job: str) -> None:
    def key(order: str) -> str:
        return f"{job} {order}"

    @assent.requires_approval("local.free", key=key, reason=lambda order: f"for {order}")
    def ship(order: str) -> str:
        shipped.append(order)
        return order

    shipped: list[str] = []
    assert [ship("o1"), ship("o1"), ship("o2")] == ["o1", "o1", "o2"]
    assert shipped == ["o1", "o2"]


def test_a_result_that_is_no_json_is_encoded_for_the_report(
    assent: Assent, run: Run, job: str
) -> None:
    @assent.requires_approval("local.free", key=job, encode=str, decode=Path)
    def where(name: str) -> Path:
        return Path("/tmp") / name

    assert where("a") == where("a") == Path("/tmp/a")


def test_what_cannot_be_gated_is_refused(assent: Assent, run: Run) -> None:
    def many(*paths: str) -> None:
        raise AssertionError("never called")

    def refund(charge: str, amount: int) -> None:
        raise AssertionError("never called")

    with pytest.raises(TypeError, match="name every argument"):
        assent.requires_approval("local.free")(many)
    with pytest.raises(TypeError, match="performed by Assent itself"):
        assent.requires_approval("payments.refund")(refund)("ch_1", 900)
    assert list(assent.tasks.list(status="pending", run=run.id)) == []


def test_outside_of_a_run_it_says_what_is_missing(disk: Disk) -> None:
    with pytest.raises(RuntimeError, match="with"):
        disk.wipe("/tmp/a")


@pytest.mark.parametrize("world", ["server"], indirect=True)
@pytest.mark.enable_socket
@pytest.mark.xdist_group("server")
def test_what_the_guard_paused_is_reviewed_before_it_is_approved(
    world: ServerWorld, run: Run, job: str, assent: Assent
) -> None:
    @assent.requires_approval("local.reviewed", key=job, timeout=PATIENCE)
    def send(text: str) -> str:
        sent.append(text)
        return text

    sent: list[str] = []
    asked = run.ask_for("local.reviewed", {"text": "hello"}, job, None)
    assert asked.status == "awaiting_review"
    world.server.decide_as("gus", str(asked.task), "approve")
    approval = only_pending(assent, run=run.id)
    assert approval.kind == "approval"
    assert sent == []
    world.decider.task(approval.id).approve()
    assert send("hello") == "hello"
    assert sent == ["hello"]


DIES = """
import os, sys
from assent_client import Assent

job, effects = sys.argv[1:]
assent = Assent()

@assent.requires_approval("local.free", key=job)
def wipe(path: str) -> str:
    with open(effects, "a") as file:
        file.write(path)
    os._exit(9)

with assent.open_session("support", key=job) as session, session.open_run(key=job):
    wipe("/tmp/a")
"""


@pytest.mark.parametrize("world", ["server"], indirect=True)
@pytest.mark.enable_socket
@pytest.mark.xdist_group("server")
def test_a_process_that_dies_between_run_and_report_is_not_repeated(
    world: ServerWorld, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = tmp_path / "effects"
    environment = {
        "PYTHONPATH": str(PROJECT / "client"),
        "ASSENT_URL": world.server.url,
        "ASSENT_KEY": world.server.key("runs,read"),
    }
    command = [sys.executable, "-c", DIES, job, str(effects)]
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    assert effects.read_text() == "/tmp/a"
    again = subprocess.run(
        [*command[:2], DIES.replace('"local.free"', '"local.free", timeout=1'), *command[3:]],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "OutcomeUnknown" in again.stderr
    assert effects.read_text() == "/tmp/a"

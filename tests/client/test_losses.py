"""Servers that are killed and answers that are lost cost time, and nothing is done twice."""

import threading
import time

import pytest

from assent_client import Assent, CallResult, TaskResult
from tests.client.conftest import PATIENCE, ServerWorld, only_pending
from tests.harness.lossy_proxy import LossyProxy
from tests.harness.server import Server

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("server")]


@pytest.fixture
def world(furnished: Server) -> ServerWorld:
    return ServerWorld(furnished)


def test_a_wait_survives_servers_that_are_killed(world: ServerWorld, job: str) -> None:
    assent = world.assent()
    session = assent.open_session("support", key=job).open()
    run = session.open_run(key=job).open()
    came: list[CallResult] = []
    arguments = {"charge": job, "amount": 900}
    waiter = threading.Thread(
        target=lambda: came.append(run.call("payments.refund", arguments, key=job))
    )
    waiter.start()
    time.sleep(0.5)
    for _ in range(2):
        world.server.kill()
        time.sleep(0.5)
        world.server.start()
    task = only_pending(assent, run=run.id)
    world.decider.task(task.id).approve()
    waiter.join(PATIENCE)
    assert came[0].body["amount"] == 900
    assert len([item for item in world.refunds() if item["charge"] == job]) == 1


def test_every_other_answer_is_lost_and_nothing_is_done_twice(world: ServerWorld, job: str) -> None:
    with LossyProxy(world.server.url, lambda number: number % 2 == 1) as proxy:
        assent = Assent(proxy.url, world.server.key("runs,read"))
        decider = Assent(proxy.url, world.server.key("decide,read"))
        with assent.open_session("support") as session, session.open_run() as run:
            for number in range(5):
                refund = run.call("payments.refund", {"charge": f"{job} {number}", "amount": 5})
                assert refund.body["charge"] == f"{job} {number}"
            task = run.tasks.start("Order", draft="v0")
            assert task.update_draft("v1") == 2
            task.comment("Look at this.")
            said = decider.task(task.id)
            said.ask("Which one?")
            task.information("The second one.")
            said.info()
            said.approve("fine")
            result: TaskResult = task.result(PATIENCE)
            dropped = run.tasks.start("Another")
            dropped.cancel("not needed")
        assert proxy.count > 20
    assert result.comment == "fine"
    events = [event["type"] for event in world.assent().task(task.id).events()]
    once = ["created", "edited", "commented", "asked", "informed", "completed"]
    assert [event for event in events if event.partition(".")[2] in once] == [
        f"task.{event}" for event in once
    ]
    assert world.assent().run(run.id).info()["status"] == "completed"
    assert world.assent().session(session.id).info()["status"] == "ended"
    made = sorted(item["charge"] for item in world.refunds() if item["charge"].startswith(job))
    assert made == [f"{job} {number}" for number in range(5)]

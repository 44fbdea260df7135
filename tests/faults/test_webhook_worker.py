"""Webhooks by a real worker: killed in the middle, brought back by the broker, never out of order.

The truth about what arrived comes from the receiver.
"""

import json
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.harness.installation import Installation, LiveApi, kept_for_later, open_run, until
from tests.harness.receiver import Hit, Receiver

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("faults")]


def hook(admin: LiveApi, url: str, slug: str, **members: Any) -> str:
    """A webhook for what happens to tasks; its secret, where it is new."""
    body = {
        "url": url,
        "events": ["task.created", "task.completed"],
        "allow_private_network": True,
        "enabled": True,
        **members,
    }
    answer = admin.put(f"webhooks/{slug}", body)
    return str((answer.json or {}).get("secret", ""))


def told(hits: list[Hit]) -> list[tuple[str, str]]:
    contents = [json.loads(hit.body) for hit in hits]
    return [(content["type"], content["data"]["task"]) for content in contents]


def decided_task(running: Installation) -> str:
    """A task that is asked for and decided; its id."""
    agent = running.api("runs,read", "--agent", "support")
    task = agent.post("tasks", {"run": open_run(agent), "title": "Ship it?"}).ok(201)
    running.api("decide,read").post(f"tasks/{task['id']}/approve").ok()
    return str(task["id"])


def switch_off(running: Installation, slug: str) -> None:
    hook(running.api("admin,read"), "https://example.com/", slug, enabled=False)


def test_a_worker_that_is_killed_in_the_middle_costs_a_repetition(
    installation: Installation,
) -> None:
    running = installation
    admin = running.api("admin,read")
    with Receiver() as receiver:
        running.kill("worker")
        secret = hook(admin, f"{receiver.url}/ok", "killed")
        tasks = [decided_task(running) for _ in range(3)]
        running.start("worker", faults="webhook.after_send=kill9")
        running.has_died("worker")
        until(lambda: len(receiver.hits) >= 1)
        first = receiver.hits[0].header("webhook-id")
        running.start("worker")
        # Nobody else sends what the dead worker holds, until its lease is over.
        running.move_clock(91)
        until(lambda: len(receiver.hits) >= 7)
        rows = admin.get("webhooks/killed/deliveries").ok()["results"]
        assert {row["status"] for row in rows} == {"delivered"}
        assert sum(row["attempts"] for row in rows) == len(receiver.hits) == 7
        ids = [hit.header("webhook-id") for hit in receiver.hits]
        assert ids.count(first) == 2
        assert len(set(ids)) == 6
        for task in tasks:
            of_task = [kind for kind, about in told(receiver.hits) if about == task]
            assert of_task[-2:] == ["task.created", "task.completed"]
        for hit in receiver.hits:
            headers = {name.lower(): value for name, value in hit.headers}
            assert Verifier(secret).verify(hit.body, headers)
    switch_off(running, "killed")


def test_the_broker_brings_back_what_is_due_soon(installation: Installation) -> None:
    """No sweep runs meanwhile, so that nothing else can have rung for it."""
    running = installation
    admin = running.api("admin,read")
    running.kill("sweeper", "scheduler")
    with Receiver() as receiver:
        hook(admin, f"{receiver.url}/flaky/2", "soon")
        task = decided_task(running)
        if running.database_url:
            # RabbitMQ has the message, whatever becomes of the worker that asked for it.
            broker = running.environment["BROKER_URL"]
            until(lambda: len(receiver.hits) >= 1 and kept_for_later(broker) > 0)
            running.kill("worker")
            running.start("worker")
        until(lambda: len(receiver.hits) >= 3, within=150)
        pause = receiver.hits[1].at - receiver.hits[0].at
        assert pause > 4.9, "the first pause is five seconds"
        assert told(receiver.hits) == [
            ("task.created", task),
            ("task.created", task),
            ("task.completed", task),
        ]
        assert receiver.hits[0].header("webhook-id") == receiver.hits[1].header("webhook-id")
    switch_off(running, "soon")
    running.start("sweeper", "scheduler")

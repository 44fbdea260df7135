"""From an allowed call to its result: what every kind of answer and of death means."""

from collections.abc import Callable
from uuid import UUID

import pytest

from accounts_app.faults import InjectedFault
from accounts_app.models import Agent
from integrations_app.models import Attempt, Integration, Operation, ToolCall
from integrations_app.services import execution
from integrations_app.services.execution import execute, recover
from tasks_app.models import UserTask
from tests.api_client import Answer
from tests.conftest import TOKEN, World


@pytest.fixture
def fail_at(monkeypatch: pytest.MonkeyPatch, settings: object) -> Callable[[str], None]:
    """Let the executor die at a named point."""

    def arm(point: str) -> None:
        settings.ASSENT_TEST_FAULTS = True
        monkeypatch.setenv("ASSENT_FAULTS", f"{point}=raise" if point else "")

    return arm


def ask(world: World, slug: str = "refund", mode: str = "ok", **arguments: object) -> Answer:
    """A call to an operation whose service behaves in this mode."""
    body = {"approval": None, "requires_approval": False, "path": f"/{mode}", "parameters": None}
    world.operation(slug, **body).ok()
    call = {"run": world.run(), "operation": f"payments.{slug}", "arguments": arguments}
    return world.agent.post("tool-calls", call).ok(201)


def drive(world: World, call: Answer, move_clock: Callable[[float], None]) -> Answer:
    """Execute until nothing is due, letting the pauses pass."""
    for _ in range(8):
        done = execute(UUID(call["id"]))
        if done.retry_in is None:
            break
        assert execute(UUID(call["id"])).status == "", "tried again before its pause was over"
        move_clock(done.retry_in + 0.1)
    return world.agent.get(f"tool-calls/{call['id']}").ok()


@pytest.mark.parametrize(
    ("slug", "mode", "status", "code", "hits", "attempts"),
    [
        ("refund", "ok", "succeeded", None, 1, 1),
        ("refund", "status/201", "succeeded", None, 1, 1),
        ("refund", "status/400", "failed", "refused", 1, 1),
        ("refund", "status/500", "failed", "refused", 1, 1),
        ("refund", "status/503", "failed", "refused", 1, 1),
        ("refund", "status/429", "failed", "refused", 1, 1),
        ("refund", "redirect", "failed", "redirected", 1, 1),
        ("refund", "drop-after-effect", "unknown", "no_answer", 1, 1),
        ("refund", "drop-before-read", "unknown", "no_answer", 0, 1),
        ("send_receipt", "status/500", "failed", "refused", 1, 1),
        ("send_receipt", "status/503", "failed", "refused", 4, 4),
        ("send_receipt", "flaky/3", "succeeded", None, 3, 3),
        ("send_receipt", "drop-after-effect", "unknown", "no_answer", 4, 4),
        ("charge_lookup", "status/429", "failed", "refused", 4, 4),
        ("charge_lookup", "drop-after-effect", "failed", "no_answer", 4, 4),
    ],
)
def test_what_an_answer_means(
    world: World,
    move_clock: Callable[[float], None],
    slug: str,
    mode: str,
    status: str,
    code: str | None,
    hits: int,
    attempts: int,
) -> None:
    done = drive(world, ask(world, slug, mode), move_clock)
    assert done["status"] == status
    assert (done["error"] or {}).get("code") == code
    assert len(world.receiver.hits) == hits
    assert done["attempts"] == attempts
    assert Attempt.objects.filter(outcome="").count() == 0
    keys = {hit.header("Idempotency-Key") for hit in world.receiver.hits}
    assert keys == ({done["id"]} if hits else set())
    assert (done["result"] is None) == (code == "no_answer")


def test_a_service_that_is_not_there_was_certainly_not_reached(
    world: World, move_clock: Callable[[float], None]
) -> None:
    body = {"name": "P", "kind": "http", "base_url": "http://127.0.0.1:9", "auth": {"type": "none"}}
    world.admin.put("integrations/payments", {**body, "allow_private_network": True}).ok()
    done = drive(world, ask(world), move_clock)
    assert (done["status"], done["error"]["code"]) == ("failed", "connect_failed")
    assert done["attempts"] == 4
    assert ToolCall.objects.get().sent_at is None


def test_a_private_address_is_refused_at_the_time_of_the_call(
    world: World, move_clock: Callable[[float], None]
) -> None:
    call = ask(world)
    Integration.objects.update(allow_private_network=False)
    done = drive(world, call, move_clock)
    assert (done["status"], done["error"]["code"]) == ("failed", "address_refused")
    assert done["attempts"] == 1
    assert world.receiver.hits == []


def test_too_slow_an_answer_is_none(world: World, move_clock: Callable[[float], None]) -> None:
    call = ask(world)
    world.operation(
        path="/slow/2", timeout_seconds=0.3, parameters=None, approval=None, requires_approval=False
    ).ok()
    done = drive(world, call, move_clock)
    assert done["status"] == "queued" or done["status"] == "unknown"
    done = drive(world, call, move_clock)
    assert (done["status"], done["error"]["code"]) == ("unknown", "no_answer")


@pytest.mark.parametrize("mode", ["bad-json", "nul", "surrogate", "huge/2000000", "gzip-bomb"])
def test_a_service_cannot_poison_the_lists(
    world: World, move_clock: Callable[[float], None], mode: str
) -> None:
    done = drive(world, ask(world, mode=mode), move_clock)
    assert done["status"] == "succeeded"
    world.agent.get("tool-calls").ok()
    if mode.startswith(("huge", "gzip")):
        assert done["result"]["truncated"] is True
        assert len(done["result"]["body"]) == 1 << 20


def test_an_echoed_credential_is_masked(world: World, move_clock: Callable[[float], None]) -> None:
    done = drive(world, ask(world, mode="echo-auth"), move_clock)
    assert done["status"] == "succeeded"
    assert TOKEN not in done.text
    assert "•••" in done["result"]["body"]["token"]
    assert TOKEN in world.receiver.hits[0].header("Authorization")


BEFORE = ["claim.after", "verify.after", "mark.before_commit"]
AFTER = ["mark.after", "send.after", "record.before"]


@pytest.mark.parametrize("point", BEFORE)
def test_a_worker_that_dies_before_the_mark_lets_the_call_run_once(
    world: World,
    move_clock: Callable[[float], None],
    fail_at: Callable[[str], None],
    point: str,
) -> None:
    call = ask(world)
    fail_at(point)
    with pytest.raises(InjectedFault):
        execute(UUID(call["id"]))
    assert recover(UUID(call["id"])) == "", "its lease is not over"
    fail_at("")
    move_clock(61)
    assert recover(UUID(call["id"])) == "queued"
    move_clock(2)
    assert execute(UUID(call["id"])).status == "succeeded"
    assert len(world.receiver.hits) == 1


@pytest.mark.parametrize("point", AFTER)
def test_a_worker_that_dies_after_the_mark_leaves_a_question(
    world: World,
    move_clock: Callable[[float], None],
    fail_at: Callable[[str], None],
    point: str,
) -> None:
    call = ask(world)
    fail_at(point)
    with pytest.raises(InjectedFault):
        execute(UUID(call["id"]))
    fail_at("")
    move_clock(61)
    assert execute(UUID(call["id"])).status == ""
    assert recover(UUID(call["id"])) == "unknown"
    assert len(world.receiver.hits) == (0 if point == "mark.after" else 1)
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    task = world.decider.get(f"tasks/{shown['task']}").ok()
    assert [action["name"] for action in task["actions"]] == [
        "it_happened",
        "it_did_not",
        "send_again",
    ]
    assert world.agent.get(f"runs/{call['run']}")["status"] == "waiting"


@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        ("it_happened", "succeeded", None),
        ("it_did_not", "failed", "did_not_happen"),
        ("send_again", "queued", None),
    ],
)
def test_a_person_settles_what_is_unknown(
    world: World,
    move_clock: Callable[[float], None],
    action: str,
    status: str,
    code: str | None,
) -> None:
    call = drive(world, ask(world, mode="drop-after-effect"), move_clock)
    assert call["status"] == "unknown"
    world.decider.post(f"tasks/{call['task']}/complete", {"action": action}).ok()
    done = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert done["status"] == status
    assert (done["error"] or {}).get("code") == code
    if action == "send_again":
        assert execute(UUID(call["id"])).status == "unknown"
        assert len(world.receiver.hits) == 2
        assert UserTask.objects.pending().count() == 1
    else:
        assert world.agent.get(f"runs/{call['run']}")["status"] == "running"


def test_the_question_stays_when_the_run_ends(
    world: World, move_clock: Callable[[float], None]
) -> None:
    call = drive(world, ask(world, mode="drop-after-effect"), move_clock)
    world.agent.post(f"runs/{call['run']}/complete").ok()
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "unknown"
    assert world.decider.get(f"tasks/{call['task']}")["status"] == "pending"
    world.decider.post(f"tasks/{call['task']}/complete", {"action": "it_happened"}).ok()


def test_a_late_answer_stays_on_its_attempt(
    world: World, move_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was frozen while sending, and overtaken by the sweep."""
    call = ask(world)
    real = execution.send

    def overtaken(*args: object, **kwargs: object) -> object:
        answer = real(*args, **kwargs)
        move_clock(61)
        assert recover(UUID(call["id"])) == "unknown"
        return answer

    monkeypatch.setattr(execution, "send", overtaken)
    assert execute(UUID(call["id"])).status == ""
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "unknown"
    attempt = Attempt.objects.get()
    assert (attempt.late, attempt.status_code) == (True, 200)


def test_a_claim_that_was_lost_before_the_mark_sends_nothing(
    world: World, move_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ask(world)
    real = execution.send

    def cancelled(*args: object, **kwargs: object) -> object:
        world.agent.post(f"runs/{call['run']}/terminate").ok()
        return real(*args, **kwargs)

    monkeypatch.setattr(execution, "send", cancelled)
    assert execute(UUID(call["id"])).status == ""
    assert world.receiver.hits == []
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "cancelled"


def test_a_call_of_an_agent_that_was_switched_off_stays_queued(world: World) -> None:
    call = ask(world)
    Agent.objects.update(enabled=False)
    assert execute(UUID(call["id"])).status == ""
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "queued"
    assert world.receiver.hits == []


@pytest.mark.parametrize("what", ["operation", "integration"])
def test_what_was_switched_off_meanwhile_is_not_sent(world: World, what: str) -> None:
    call = ask(world)
    if what == "operation":
        Operation.objects.update(enabled=False)
    else:
        Integration.objects.update(enabled=False)
    assert execute(UUID(call["id"])).status == "cancelled"
    assert world.receiver.hits == []


def test_tampered_request_bytes_are_never_sent(world: World) -> None:
    call = ask(world)
    row = ToolCall.objects.get()
    ToolCall.objects.update(request_digest="sha256:" + "0" * 64)
    assert execute(UUID(call["id"])).status == "queued", "routed anew, because it fits no more"
    ToolCall.objects.update(request_sealed=bytes(row.request_sealed)[:-4] + b"AAAA")
    assert execute(UUID(call["id"])).status == "cancelled"
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert shown["error"]["code"] == "unreadable"
    assert "cannot be decrypted" in shown["error"]["detail"]
    assert world.receiver.hits == []


def test_a_lost_key_sends_nothing_and_says_so(world: World, settings: object) -> None:
    call = ask(world)
    settings.ASSENT_ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMTI="]
    assert execute(UUID(call["id"])).status == "cancelled"
    assert world.receiver.hits == []
    world.agent.get("tool-calls").ok()


def test_a_held_call_is_not_claimed(world: World) -> None:
    call = ask(world)
    ToolCall.objects.update(held=True)
    assert execute(UUID(call["id"])).status == ""
    assert execution.due_calls(10) == []

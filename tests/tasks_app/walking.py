"""A machine that walks at random over tasks, calls and runs, as agents, people, admins, workers
and the schedule do, and looks at every promise after each step.

It knows nothing of the code's insides: it acts through the API, the services that the pages call,
the workers' entry and the sweep, and then looks at the rows and at what reached the other end.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from django.db.models import Q
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from accounts_app.clock import db_now
from accounts_app.errors import DomainError
from accounts_app.faults import InjectedFault
from accounts_app.models import ClockOffset
from accounts_app.services.audit import verify
from integrations_app.models import Clearance, OutboxEvent, Run, ToolCall
from integrations_app.services.execution import MAX_ATTEMPTS, due_calls, execute
from integrations_app.states import CALL_OPEN, RUN_OPEN
from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, UserTask
from tasks_app.services.claims import claim, release
from tasks_app.services.consistency import CHECKS
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft
from tasks_app.services.sweeping import sweep
from tasks_app.states import ABOUT_A_CALL, About
from tests.conftest import World
from tests.harness import moves

PEOPLE = st.sampled_from(["ann", "abe", "admin"])
PICK = st.integers(0, 5)
REVIEWED, BLOCKED = 2000, 8000
"""From these amounts on the guard pauses a call, or stops it."""

OPERATIONS: dict[str, dict[str, Any]] = {
    # Sent, and the connection drops before an answer.
    "lost": {"path": "/drop-after-effect/x", "effect": "once"},
    "busy": {"path": "/status/503/x", "effect": "idempotent"},
    "refused": {"path": "/status/400/x", "effect": "once"},
}
CASES = ["payments.refund"] * 3 + ["payments.lost", "payments.busy", "payments.refused"]


def step(name: str, pick: int = 0, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return name, {"pick": pick, **arguments}


def refund(amount: int, operation: str = "payments.refund") -> tuple[str, dict[str, Any]]:
    return step("request", operation=operation, amount=amount)


WORKERS = ("workers_come_by", {"number": 5})
APPROVED, REJECTED = (step("decide_on_call", action=a) for a in ("approve", "reject"))
GOES_ON, STOPPED = (step("review", action=a) for a in ("approve", "reject"))
LOST = (refund(40, "payments.lost"), WORKERS)
TALES: dict[str, Sequence[tuple[str, dict[str, Any]]]] = {
    "nothing has happened": [],
    "reviewed, approved, done": [refund(REVIEWED), GOES_ON, APPROVED, WORKERS],
    "reviewed, tried four times": [
        refund(REVIEWED, "payments.busy"),
        GOES_ON,
        WORKERS,
        *[("sweep", {"seconds": 31, "here": True})] * 3,
    ],
    "nobody knows": [
        refund(BLOCKED),
        refund(REVIEWED),
        STOPPED,
        *LOST,
        step("settle", action="it_happened"),
        *LOST,
        step("settle", action="it_did_not"),
        *LOST,
        step("settle", action="send_again"),
        WORKERS,
    ],
    "edited, reviewed, changed": [
        refund(900),
        step("edit", name="ann", amount=REVIEWED),
        APPROVED,
        GOES_ON,
        ("change_operation", {"amount": 2}),
        WORKERS,
        REJECTED,
    ],
    "dropped at every station": [
        refund(REVIEWED),
        step("cancel", seriously=3),
        refund(900),
        step("cancel", 1, seriously=3),
        refund(40),
        step("cancel", 2, seriously=3),
        refund(40),
        ("disable_operation", {"seriously": 3, "while_workers_come": True}),
    ],
    "workers die": [
        refund(40),
        ("a_worker_dies", {"point": "claim.after"}),
        ("sweep", {"seconds": 601, "here": False}),
        ("a_worker_dies", {"point": "mark.after"}),
        ("sweep", {"seconds": 601, "here": False}),
    ],
    "the agent acts, runs end": [
        step("request_own", amount=40),
        step("report", result={"output": 1}),
        step("request_own", amount=900),
        APPROVED,
        step("report", result={"error": "no"}),
        step("request_own", amount=REVIEWED, operation="shell.look"),
        GOES_ON,
        step("report", result={"output": 1}),
        *[
            beginning
            for how in ("complete", "fail", "terminate")
            for beginning in (
                step("open_child"),
                step("end_run", how=how),
                refund(900),
                step("end_run", how=how),
            )
        ],
    ],
    "nobody decides": [refund(900), ("sweep", {"seconds": 601, "here": False})],
}
"""Beginnings that together come by every move; each walk goes on from one of them at random."""


def there_is(model: Any, **filters: Any) -> Callable[[Any], bool]:
    return lambda machine: machine.mine(model).filter(**filters).exists()


class Review(RuleBasedStateMachine):
    """One session with its runs, calls and tasks."""

    world: World
    allowed: frozenset[moves.Move]
    reached: Counter[moves.Move]
    tale: Sequence[tuple[str, dict[str, Any]]] = ()

    @initialize()
    def tell(self) -> None:
        """Go the beginning of the walk, which is the same each time."""
        self.enable()
        opened = self.world.agent.post("sessions", {"agent": "support"}).ok(201)
        self.session = str(opened["id"])
        for name, arguments in self.tale:
            getattr(self, name)(**arguments)
            self.every_promise_holds()

    @classmethod
    def prepare(cls, world: World) -> None:
        """Write the services and the guard's rules that the walks need."""
        cls.world, admin = world, world.admin
        for slug, members in OPERATIONS.items():
            body = {"name": slug, "method": "POST", **members}
            admin.put(f"integrations/payments/operations/{slug}", body)
        admin.put("integrations/shell", {"name": "Shell", "kind": "client"})
        body = {"name": "Run", "effect": "once", "requires_approval": True}
        approval = {"when": "args.amount > 100", "timeout_seconds": 600}
        admin.put("integrations/shell/operations/run", {**body, "approval": approval})
        body = {"name": "Look", "effect": "read", "requires_approval": False}
        admin.put("integrations/shell/operations/look", body)
        for slug, limit, effect in (("large", REVIEWED, "review"), ("huge", BLOCKED, "block")):
            parameters = {"when": f"args.amount >= {limit}"}
            body = {"name": slug, "detector": "condition", "parameters": parameters}
            admin.put(f"guard/rules/{slug}", {**body, "effect": effect, "enabled": True})

    def enable(self, **members: object) -> None:
        policy = {"when": "args.amount > 100", "allow_edit": True, "timeout_seconds": 600}
        self.world.operation(approval=policy, **members).ok()

    def mine(self, model: Any) -> Any:
        path = {UserTask: "session", ToolCall: "run__session", Run: "session"}[model]
        return model.objects.filter(**{path: self.session}).order_by("created_at", "pk")

    def one(self, model: Any, pick: int, **filters: Any) -> Any:
        """One of the rows of which there is at least one."""
        rows = list(self.mine(model).filter(**filters))
        return rows[pick % len(rows)]

    def run_of(self, pick: int) -> str:
        """An open run, or a new one."""
        runs = list(self.mine(Run).filter(status__in=RUN_OPEN))
        if runs:
            return str(runs[pick % len(runs)].pk)
        return str(self.world.agent.post("runs", {"session": self.session}).ok(201)["id"])

    def tried(self, act: Any) -> None:
        """Somebody may be too late, or not permitted; that is an ordinary outcome."""
        with suppress(DomainError):
            act()

    # The agent

    @rule(pick=PICK)
    def open_child(self, pick: int) -> None:
        body = {"session": self.session, "parent_run": self.run_of(pick)}
        self.world.agent.post("runs", body).ok(201)

    @rule(
        pick=PICK,
        kind=st.sampled_from(["approval", "text"]),
        seconds=st.sampled_from([None, 60, 600]),
        survive=st.booleans(),
        quorum=st.sampled_from([None, 2]),
    )
    def ask(self, pick: int, kind: str, seconds: int | None, survive: bool, quorum: Any) -> None:
        body = {
            "run": self.run_of(pick),
            "title": "Go on?",
            "kind": kind,
            "draft": "v0",
            "timeout_seconds": seconds,
            "survive_parent_close": survive,
            "quorum": quorum if kind == "approval" else None,
        }
        self.world.agent.post("tasks", body).ok(201)

    @rule(
        pick=PICK,
        operation=st.sampled_from(CASES),
        amount=st.sampled_from([900, 40, REVIEWED, 900, 40, BLOCKED]),
    )
    def request(self, pick: int, operation: str, amount: int) -> None:
        arguments: dict[str, Any] = {"charge": "ch_1", "amount": amount}
        body = {"run": self.run_of(pick), "operation": operation, "arguments": arguments}
        self.world.agent.post("tool-calls", body).ok(201)

    @rule(
        pick=PICK,
        amount=st.sampled_from([900, 40, REVIEWED]),
        operation=st.sampled_from(["shell.run", "shell.look"]),
    )
    def request_own(self, pick: int, amount: int, operation: str = "shell.run") -> None:
        """Something that the agent runs itself once it may."""
        arguments = {"amount": amount}
        body = {"run": self.run_of(pick), "operation": operation, "arguments": arguments}
        self.world.agent.post("tool-calls", body).ok(201)

    own = {"status": "executing", "operation__integration__kind": "client"}

    @precondition(there_is(ToolCall, **own))
    @rule(pick=PICK, result=st.sampled_from([{"output": 1}, {"error": "no"}]))
    def report(self, pick: int, result: dict[str, Any]) -> None:
        call = self.one(ToolCall, pick, **self.own)
        self.world.agent.post(f"tool-calls/{call.pk}/result", result).ok()

    @precondition(there_is(UserTask, status="pending"))
    @rule(pick=PICK)
    def inform(self, pick: int) -> None:
        task = self.one(UserTask, pick, status="pending")
        answer = self.world.agent.post(f"tasks/{task.pk}/information", {"text": "More."})
        assert answer.status in (201, 409), answer

    @precondition(there_is(UserTask, status="pending"))
    @rule(pick=PICK, seriously=st.integers(0, 3))
    def withdraw(self, pick: int, seriously: int) -> None:
        if seriously == 3:
            task = self.one(UserTask, pick, status="pending")
            answer = self.world.agent.post(f"tasks/{task.pk}/cancel", {"reason": "Never mind."})
            assert answer.status in (200, 409), answer

    @precondition(there_is(ToolCall))
    @rule(pick=PICK, seriously=st.integers(0, 3))
    def cancel(self, pick: int, seriously: int) -> None:
        if seriously == 3:
            call = self.one(ToolCall, pick)
            answer = self.world.agent.post(f"tool-calls/{call.pk}/cancel", {})
            assert answer.status in (200, 409), answer

    # Whatever ends takes all that waits with it; most of the time runs are left alone.
    @precondition(there_is(Run, status__in=RUN_OPEN))
    @rule(pick=PICK, how=st.sampled_from([*[None] * 7, "complete", "fail", "terminate"]))
    def end_run(self, pick: int, how: str | None) -> None:
        if how is not None:
            body = {"fail": {"error": "x"}, "terminate": {"reason": "x"}}.get(how)
            self.world.agent.post(f"runs/{self.run_of(pick)}/{how}", body).ok()

    # People

    @precondition(there_is(UserTask))
    @rule(
        pick=PICK,
        name=PEOPLE,
        action=st.sampled_from(["approve", "reject", "submit", "nonsense", None]),
        stale=st.booleans(),
    )
    def decide_anyhow(self, pick: int, name: str, action: str | None, stale: bool) -> None:
        """Also on what is over, by an action that is not offered, on another revision."""
        row = self.one(UserTask, pick)
        value = "Yes." if row.kind == "text" else None
        revision = row.revision + 1 if stale else row.revision
        act = Decide(Given(action, value))
        self.tried(lambda: decide(self.world.cast.actor(name), row.pk, revision, lambda: act))

    @precondition(there_is(UserTask, status="pending", about=About.CALL))
    @rule(pick=PICK, action=st.sampled_from(["approve", "approve", "reject"]))
    def decide_on_call(self, pick: int, action: str) -> None:
        self.decided("ann", pick, About.CALL, action)

    @precondition(there_is(UserTask, status="pending", about=About.REVIEW))
    @rule(pick=PICK, action=st.sampled_from(["approve", "approve", "reject"]))
    def review(self, pick: int, action: str) -> None:
        self.decided("gus", pick, About.REVIEW, action)

    @precondition(there_is(UserTask, status="pending", about=About.OUTCOME))
    @rule(pick=PICK, action=st.sampled_from(["it_happened", "it_did_not", "send_again"]))
    def settle(self, pick: int, action: str) -> None:
        self.decided("ann", pick, About.OUTCOME, action)

    def decided(self, name: str, pick: int, about: About, action: str) -> None:
        task = self.one(UserTask, pick, status="pending", about=about)
        act = Decide(Given(action))
        self.tried(lambda: decide(self.world.cast.actor(name), task.pk, task.revision, lambda: act))

    @precondition(there_is(UserTask))
    @rule(pick=PICK, action=st.sampled_from(["approve", "reject"]))
    def decide_by_key(self, pick: int, action: str) -> None:
        row = self.one(UserTask, pick)
        answer = self.world.decider.post(f"tasks/{row.pk}/{action}", {"revision": row.revision})
        assert answer.status in (200, 403, 409, 422), answer

    @precondition(there_is(UserTask, status="pending"))
    @rule(pick=PICK, name=PEOPLE, amount=st.sampled_from([30, 950, REVIEWED, BLOCKED]))
    def edit(self, pick: int, name: str, amount: int) -> None:
        row = self.one(UserTask, pick, status="pending")
        draft: Any = {"charge": "ch_1", "amount": amount} if row.tool_call_id else f"v{amount}"
        actor = self.world.cast.actor(name)
        self.tried(lambda: save_draft(actor, row.pk, row.revision, lambda: draft))

    @precondition(there_is(UserTask))
    @rule(pick=PICK, name=PEOPLE, let_go=st.booleans())
    def hold(self, pick: int, name: str, let_go: bool) -> None:
        task, act = self.one(UserTask, pick), release if let_go else claim
        self.tried(lambda: act(self.world.cast.actor(name), task.pk))

    @rule(amount=st.integers(1, 3))
    def change_operation(self, amount: int) -> None:
        self.enable(path=f"/ok/refunds{amount}")

    @rule(seriously=st.integers(0, 3), while_workers_come=st.booleans())
    def disable_operation(self, seriously: int, while_workers_come: bool) -> None:
        if seriously == 3:
            self.enable(enabled=False)
            if while_workers_come:
                self.workers_come_by(5)
            self.enable()

    # Workers and the schedule

    @rule(number=st.integers(1, 5))
    def workers_come_by(self, number: int) -> None:
        for call in due_calls(number):
            execute(call)

    @precondition(there_is(ToolCall, status="queued"))
    @rule(point=st.sampled_from(["claim.after", "mark.after"]))
    def a_worker_dies(self, point: str) -> None:
        """Before it marked the call as sent, or after."""
        os.environ["ASSENT_FAULTS"] = f"{point}=raise"
        try:
            with override_settings(ASSENT_TEST_FAULTS=True), suppress(InjectedFault):
                for call in due_calls(1):
                    execute(call)
        finally:
            del os.environ["ASSENT_FAULTS"]

    @rule(seconds=st.sampled_from([10, 61, 901]))
    def time_passes(self, seconds: int) -> None:
        row, _ = ClockOffset.objects.get_or_create(pk=1)
        ClockOffset.objects.filter(pk=1).update(seconds=row.seconds + seconds)

    @rule(seconds=st.sampled_from([0, 31, 601]), here=st.booleans())
    def sweep(self, seconds: int, here: bool) -> None:
        self.time_passes(seconds)
        done = sweep(execute_here=here)
        assert done["failed"] == 0
        late = self.mine(UserTask).filter(status="pending", due_at__lte=db_now())
        assert not late.exists()
        for name in CHECKS:
            assert not done.get(name), (name, done)

    # The promises

    @invariant()
    def every_promise_holds(self) -> None:
        self.only_allowed_moves()
        self.one_decision_for_what_is_decided()
        self.nobody_decides_late()
        self.nothing_waits_in_what_is_over()
        self.a_run_waits_exactly_while_something_is_open()
        self.nothing_runs_without_its_clearance()
        self.whoever_waits_for_a_person_has_one_task()
        self.nothing_is_sent_more_often_than_allowed()
        self.what_was_stopped_was_never_sent()

    def only_allowed_moves(self) -> None:
        for move in moves.take():
            assert move in self.allowed, move
            self.reached[move] += 1

    def one_decision_for_what_is_decided(self) -> None:
        for task in self.mine(UserTask):
            decisions = Decision.objects.filter(task=task).count()
            ended = {"task.completed", "task.timed_out", "task.cancelled"}
            events = OutboxEvent.objects.filter(subject_id=task.pk, type__in=ended).count()
            assert decisions == events == (0 if task.status == "pending" else 1)
            if task.status != "pending":
                assert (task.claimed_by_id, task.claim_token) == (None, None)
                assert task.next_reminder_at is None

    def nobody_decides_late(self) -> None:
        for task in self.mine(UserTask).filter(status="completed", due_at__isnull=False):
            assert task.timed_out == (task.completed_at >= task.due_at)
            assert (task.action is None) == task.timed_out

    def nothing_waits_in_what_is_over(self) -> None:
        over = self.mine(UserTask).filter(status="pending").exclude(run__status__in=RUN_OPEN)
        assert not over.filter(survive_parent_close=False).exclude(about="outcome").exists()
        unsent = self.mine(ToolCall).filter(status__in=CALL_OPEN, sent_at__isnull=True)
        assert not unsent.exclude(run__status__in=RUN_OPEN).exists()

    def a_run_waits_exactly_while_something_is_open(self) -> None:
        for run in self.mine(Run).filter(status__in=RUN_OPEN):
            calls = ToolCall.objects.filter(run=run, status__in=CALL_OPEN).exists()
            tasks = UserTask.objects.filter(run=run, status="pending").exists()
            assert run.status == ("waiting" if calls or tasks else "running")

    def nothing_runs_without_its_clearance(self) -> None:
        let = Q(status__in=("queued", "executing", "succeeded", "failed", "unknown"))
        for call in self.mine(ToolCall).filter(let, approval_required=True):
            assert Clearance.objects.filter(call=call, digest=call.request_digest).exists()

    def whoever_waits_for_a_person_has_one_task(self) -> None:
        for call in self.mine(ToolCall).filter(status__in=("awaiting_approval", "awaiting_review")):
            tasks = UserTask.objects.filter(tool_call=call, status="pending")
            task = tasks.get(about__in=ABOUT_A_CALL)
            assert task.digest == call.request_digest
        for call in self.mine(ToolCall).filter(status="unknown"):
            assert UserTask.objects.get(tool_call=call, status="pending").about == About.OUTCOME

    def nothing_is_sent_more_often_than_allowed(self) -> None:
        arrived = self.world.receiver.effects()
        for call in self.mine(ToolCall).select_related("operation"):
            again = Decision.objects.filter(task__tool_call=call, action="send_again").count()
            each = 1 if call.operation.effect == "once" else MAX_ATTEMPTS
            assert arrived[str(call.downstream_key)] <= each * (1 + again)

    def what_was_stopped_was_never_sent(self) -> None:
        arrived = self.world.receiver.effects()
        stopped = ("rejected", "blocked", "timed_out")
        for call in self.mine(ToolCall).filter(status__in=stopped):
            assert arrived[str(call.downstream_key)] == 0

    def teardown(self) -> None:
        assert list(verify()) == []

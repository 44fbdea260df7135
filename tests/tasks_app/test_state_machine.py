"""Random walks over tasks, calls and runs: only allowed moves, and every promise after each step.

The machine knows nothing of the code's insides: it acts as agents, people, admins, workers and
the schedule do, and then looks at the rows.
"""

import logging
import os
from collections import Counter
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import Q
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts_app.clock import db_now
from accounts_app.errors import DomainError
from accounts_app.models import ClockOffset
from accounts_app.services.audit import verify
from integrations_app.models import Clearance, Run, ToolCall
from integrations_app.services.execution import due_calls, execute
from integrations_app.states import CALL_MOVES, CALL_OPEN, RUN_MOVES, RUN_OPEN
from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, UserTask
from tasks_app.services.claims import claim, release
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft
from tasks_app.services.sweeping import sweep
from tasks_app.states import ABOUT_A_CALL, TASK_MOVES
from tests.conftest import World

logger = logging.getLogger(__name__)
PEOPLE = st.sampled_from(["ann", "abe", "admin"])
ACTIONS = st.sampled_from(["approve", "reject", "submit", "it_did_not", "nonsense", None])
REACHED: Counter[tuple[str, str, str]] = Counter()
TABLES: dict[str, Any] = {"task": TASK_MOVES, "call": CALL_MOVES, "run": RUN_MOVES}


def reachable(table: Any, start: str) -> set[str]:
    """Every status to which a row may come from here, in one step or several."""
    found, layer = {start}, {start}
    while layer:
        layer = {target for status in layer for target in table.get(status, ())} - found
        found |= layer
    return found


class Review(RuleBasedStateMachine):
    """One session with its runs, calls and tasks."""

    world: World
    runs = Bundle("runs")
    tasks = Bundle("tasks")
    calls = Bundle("calls")

    @initialize(target=runs)
    def open_session(self) -> Any:
        self.seen: dict[tuple[str, str], str] = {}
        self.enable()
        opened = self.world.agent.post("sessions", {"agent": "support"}).ok(201)
        self.session = str(opened["id"])
        return str(self.world.agent.post("runs", {"session": self.session}).ok(201)["id"])

    def enable(self, **members: object) -> None:
        policy = {"when": "args.amount > 100", "allow_edit": True, "timeout_seconds": 600}
        self.world.operation(approval=policy, **members).ok()

    @rule(target=runs, parent=runs)
    def open_child(self, parent: str) -> Any:
        body = {"session": self.session, "parent_run": parent}
        answer = self.world.agent.post("runs", body)
        assert answer.status in (201, 409), answer
        return str(answer["id"]) if answer.status == 201 else multiple()

    @rule(
        target=tasks,
        run=runs,
        kind=st.sampled_from(["approval", "text"]),
        seconds=st.sampled_from([None, 60, 600]),
        survive=st.booleans(),
        quorum=st.sampled_from([None, 2]),
    )
    def ask(self, run: str, kind: str, seconds: int | None, survive: bool, quorum: Any) -> Any:
        body = {
            "run": run,
            "title": "Go on?",
            "kind": kind,
            "draft": "v0",
            "timeout_seconds": seconds,
            "survive_parent_close": survive,
            "quorum": quorum if kind == "approval" else None,
        }
        answer = self.world.agent.post("tasks", body)
        assert answer.status in (201, 409), answer
        return str(answer["id"]) if answer.status == 201 else multiple()

    @rule(target=calls, run=runs, amount=st.sampled_from([40, 900]))
    def request(self, run: str, amount: int) -> Any:
        answer = self.world.refund(amount, run)
        assert answer.status in (201, 409), answer
        return str(answer["id"]) if answer.status == 201 else multiple()

    @rule(target=tasks, call=calls)
    def task_of(self, call: str) -> Any:
        task = self.world.agent.get(f"tool-calls/{call}").ok()["task"]
        return str(task) if task else multiple()

    @rule(task=tasks, name=PEOPLE, action=ACTIONS, stale=st.booleans())
    def decide_as_person(self, task: str, name: str, action: str | None, stale: bool) -> None:
        row = UserTask.objects.get(pk=task)
        value = "Yes." if row.kind == "text" else None
        revision = row.revision + 1 if stale else row.revision
        act = Decide(Given(action, value))
        self.tried(lambda: decide(self.world.cast.actor(name), row.pk, revision, lambda: act))

    @rule(call=calls, action=st.sampled_from(["approve", "approve", "reject", "it_did_not"]))
    def decide_on_call(self, call: str, action: str) -> None:
        task = UserTask.objects.filter(tool_call=call, status="pending").first()
        if task is not None:
            act = Decide(Given(action))
            actor = self.world.cast.actor("ann")
            self.tried(lambda: decide(actor, task.pk, task.revision, lambda: act))

    @rule(task=tasks, action=st.sampled_from(["approve", "reject"]))
    def decide_by_key(self, task: str, action: str) -> None:
        row = UserTask.objects.get(pk=task)
        answer = self.world.decider.post(f"tasks/{task}/{action}", {"revision": row.revision})
        assert answer.status in (200, 409, 422), answer

    @rule(task=tasks, name=PEOPLE, amount=st.sampled_from([30, 950]))
    def edit(self, task: str, name: str, amount: int) -> None:
        row = UserTask.objects.get(pk=task)
        draft: Any = {"charge": "ch_1", "amount": amount} if row.tool_call_id else f"v{amount}"
        actor = self.world.cast.actor(name)
        self.tried(lambda: save_draft(actor, row.pk, row.revision, lambda: draft))

    @rule(task=tasks, name=PEOPLE, let_go=st.booleans())
    def hold(self, task: str, name: str, let_go: bool) -> None:
        act = release if let_go else claim
        self.tried(lambda: act(self.world.cast.actor(name), UUID(task)))

    def tried(self, act: Any) -> None:
        """Somebody may be too late, or not permitted; that is an ordinary outcome."""
        with suppress(DomainError):
            act()

    @rule(task=tasks)
    def inform(self, task: str) -> None:
        answer = self.world.agent.post(f"tasks/{task}/information", {"text": "More."})
        assert answer.status in (201, 409), answer

    @rule(task=tasks, seriously=st.integers(0, 3))
    def withdraw(self, task: str, seriously: int) -> None:
        if seriously:
            return
        answer = self.world.agent.post(f"tasks/{task}/cancel", {"reason": "Never mind."})
        assert answer.status in (200, 409), answer

    @rule(call=calls, seriously=st.integers(0, 3))
    def cancel(self, call: str, seriously: int) -> None:
        if seriously:
            return
        answer = self.world.agent.post(f"tool-calls/{call}/cancel", {})
        assert answer.status in (200, 409), answer

    @rule(number=st.integers(1, 5))
    def workers_come_by(self, number: int) -> None:
        for call in due_calls(number):
            execute(call)

    # A run that ends early ends the walk; most of the time it is left alone.
    @rule(run=runs, how=st.sampled_from(["complete", "fail", "terminate", *[None] * 5]))
    def end_run(self, run: str, how: str | None) -> None:
        if how is None:
            return
        body = {"fail": {"error": "x"}, "terminate": {"reason": "x"}}.get(how)
        answer = self.world.agent.post(f"runs/{run}/{how}", body)
        assert answer.status in (200, 409), answer

    @rule(amount=st.integers(1, 3))
    def change_operation(self, amount: int) -> None:
        self.enable(path=f"/ok/refunds{amount}")

    @rule(seriously=st.integers(0, 5))
    def disable_operation(self, seriously: int) -> None:
        if seriously:
            return
        self.enable(enabled=False)
        self.enable()

    @rule(seconds=st.sampled_from([10, 61, 601, 901]))
    def time_passes(self, seconds: int) -> None:
        row, _ = ClockOffset.objects.get_or_create(pk=1)
        ClockOffset.objects.filter(pk=1).update(seconds=row.seconds + seconds)

    @rule(here=st.booleans())
    def sweep(self, here: bool) -> None:
        done = sweep(execute_here=here)
        assert done["failed"] == 0
        late = self.mine(UserTask).filter(status="pending", due_at__lte=db_now())
        assert not late.exists()
        for name in ("orphaned_tasks_dropped", "stranded_calls_dropped", "runs_settled"):
            assert not done.get(name), (name, done)

    def mine(self, model: Any) -> Any:
        path = {UserTask: "session", ToolCall: "run__session", Run: "session"}[model]
        return model.objects.filter(**{path: self.session})

    @invariant()
    def only_allowed_moves(self) -> None:
        for kind, model in (("task", UserTask), ("call", ToolCall), ("run", Run)):
            for pk, status in self.mine(model).values_list("pk", "status"):
                before = self.seen.get((kind, str(pk)), status)
                assert status in reachable(TABLES[kind], before), (kind, before, status)
                if status != before:
                    REACHED[kind, before, status] += 1
                self.seen[kind, str(pk)] = status

    @invariant()
    def one_decision_for_what_is_decided(self) -> None:
        for task in self.mine(UserTask):
            decisions = Decision.objects.filter(task=task).count()
            assert decisions == (0 if task.status == "pending" else 1)
            if task.status != "pending":
                assert (task.claimed_by_id, task.claim_token) == (None, None)
                assert task.next_reminder_at is None

    @invariant()
    def nothing_waits_in_what_is_over(self) -> None:
        over = self.mine(UserTask).filter(status="pending").exclude(run__status__in=RUN_OPEN)
        assert not over.filter(survive_parent_close=False).exclude(about="outcome").exists()
        unsent = self.mine(ToolCall).filter(status__in=CALL_OPEN, sent_at__isnull=True)
        assert not unsent.exclude(run__status__in=RUN_OPEN).exists()

    @invariant()
    def a_run_waits_exactly_while_something_is_open(self) -> None:
        for run in self.mine(Run).filter(status__in=RUN_OPEN):
            calls = ToolCall.objects.filter(run=run, status__in=CALL_OPEN).exists()
            tasks = UserTask.objects.filter(run=run, status="pending").exists()
            assert run.status == ("waiting" if calls or tasks else "running")

    @invariant()
    def nothing_runs_without_its_clearance(self) -> None:
        let = Q(status__in=("queued", "executing", "succeeded", "failed", "unknown"))
        for call in self.mine(ToolCall).filter(let, approval_required=True):
            assert Clearance.objects.filter(call=call, digest=call.request_digest).exists()

    @invariant()
    def whoever_waits_for_a_person_has_one_task(self) -> None:
        for call in self.mine(ToolCall).filter(status__in=("awaiting_approval", "awaiting_review")):
            tasks = UserTask.objects.filter(tool_call=call, status="pending")
            task = tasks.get(about__in=ABOUT_A_CALL)
            assert task.digest == call.request_digest

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert all(number == 1 for number in self.world.receiver.effects().values())

    def teardown(self) -> None:
        assert list(verify()) == []


def test_random_walks_keep_every_promise(world: World) -> None:
    REACHED.clear()
    Review.world = world
    run_state_machine_as_test(
        Review,
        settings=settings(
            max_examples=int(os.environ.get("ASSENT_WALKS", "25")),
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    logger.info("Moves: %s", dict(sorted(REACHED.items())))
    assert {
        ("task", "pending", "completed"),
        ("task", "pending", "cancelled"),
        ("call", "awaiting_approval", "queued"),
        ("run", "waiting", "running"),
        ("run", "running", "waiting"),
    } <= set(REACHED)

"""SIGKILL at every named point between a call that is asked for and the news of its end.

`ASSENT_FAULT_ROUNDS` rounds a point and effect (one in the quick profile, a hundred by
`make faults`). After each death the world goes on as it would: the client asks again under the
same key, the sweep finds what was missed.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from accounts_app.faults import POINTS
from integrations_app.models import ToolCall, Webhook
from integrations_app.services.execution import execute
from tasks_app.models import UserTask
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.harness.checker import check_delivered, check_history, check_settled, hits_by_call
from tests.harness.figures import Figures
from tests.harness.server import PROJECT
from tests.harness.zygote import FAILED, KILLED, LEFT, Zygote, do_here, zygote
from tests.postgres_template import url_of

ROUNDS = int(os.environ.get("ASSENT_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("ASSENT_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
STEP = {
    "create": "create",
    "decide": "decide",
    "nudge": "decide",
    "claim": "execute",
    "verify": "execute",
    "mark": "execute",
    "send": "execute",
    "record": "execute",
    "sweep": "sweep",
    "expire": "sweep",
    "recover": "sweep",
    "webhook": "deliver",
}
ON_THE_WAY = tuple(
    point for point in POINTS if point not in ("notice.after_send", "replay.after_chunk")
)
"""Of a call from its asking to the webhook; notifications and replays have their own tests."""
AFTER_THE_MARK = {
    "mark.after",
    "send.mid_body",
    "send.after_body",
    "send.after",
    "record.before",
    "record.before_commit",
}
SLUGS = {"once": "refund", "idempotent": "send_receipt", "read": "charge_lookup"}


def url_of_the_test_database() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return url_of(settings)


@pytest.fixture
def forks(shared_world: World) -> Iterator[Zygote]:
    with zygote(url_of_the_test_database()) as running:
        yield running


class Round:
    """One call's way, with a death on it.

    Args:
        world: the workspace and its service.
        forks: where processes die.
        effect: of the operation.
        move_clock: moves the database's clock.
    """

    def __init__(
        self, world: World, forks: Zygote, effect: str, move_clock: Callable[[float], None]
    ) -> None:
        self.world, self.forks, self.effect, self.move_clock = world, forks, effect, move_clock
        self.run = world.run()
        self.key = f"key-{self.run}"
        self.agent = world.agent.headers["Authorization"].partition(" ")[2]
        self.person = world.decider.headers["Authorization"].partition(" ")[2]

    def body(self) -> dict[str, object]:
        operation = f"payments.{SLUGS[self.effect]}"
        arguments = {"charge": "ch_1", "amount": 900}
        return {"run": self.run, "operation": operation, "arguments": arguments, "key": self.key}

    def step(self, name: str, faults: str = "") -> int:
        """One step: with faults in a process of its own, else here; how it ended."""
        call = ToolCall.objects.filter(key=self.key).first()
        task = UserTask.objects.filter(tool_call=call).first() if call else None
        connection.close()
        if name == "create":
            args = ("ask", self.agent, "POST", "tool-calls", self.body())
        elif name == "decide":
            assert task is not None
            path = f"tasks/{task.pk}/approve"
            args = ("ask", self.person, "POST", path, {"revision": task.revision})
        elif name == "execute":
            assert call is not None
            args = ("execute", str(call.pk))
        elif name == "deliver":
            webhook = Webhook.objects.first()
            connection.close()
            if webhook is None:
                return 0
            args = ("deliver", str(webhook.pk))
        else:
            args = ("sweep",)
        if not faults:
            do_here(*args)
            return 0
        return self.forks.do(*args, faults=faults)

    def through(self, point: str, action: str) -> int:
        """The whole way, dying at the point; how that process ended."""
        dying = STEP[point.partition(".")[0]]
        if dying == "sweep":
            return self._sweep_and_die(point, action)
        ended = 0
        for step in ("create", "decide", "execute", "deliver"):
            if step == dying:
                if step == "deliver":
                    # Whoever died here the last time holds the lane for ninety seconds.
                    self.move_clock(91)
                ended = self.step(step, f"{point}={action}")
                if step in ("execute", "deliver"):
                    break
            # The client got no answer, or perhaps one: it asks again under the same key.
            if step != "execute" or dying != "execute":
                self.step(step)
        return ended

    def _sweep_and_die(self, point: str, action: str) -> int:
        if point == "recover.before_commit":
            self.step("create")
            self.step("decide")
            assert self.step("execute", "claim.after=kill9") == KILLED
            self.move_clock(61)
        else:
            body = {"run": self.run, "title": "In time?", "timeout_seconds": 30}
            for _ in range(3):
                self.world.agent.post("tasks", body).ok(201)
            self.step("create")
            self.step("decide")
            self.step("execute")
            self.move_clock(31)
        return self.step("sweep", f"{point}={action}")

    def heal(self) -> ToolCall:
        """Nothing dies any more; what is due is done."""
        for _ in range(8):
            self.move_clock(61)
            sweep(execute_here=False)
            call = ToolCall.objects.get(key=self.key)
            if call.status == "queued":
                execute(call.pk)
            call.refresh_from_db()
            if call.status not in ("queued", "executing", "received"):
                return call
        return call


@pytest.mark.parametrize(
    "effect",
    # Each in a group of its own, so that the full profile uses every core.
    [pytest.param(effect, marks=pytest.mark.xdist_group(f"kills, {effect}")) for effect in SLUGS],
)
def test_nothing_is_lost_and_nothing_doubled_at_any_point(
    shared_world: World,
    forks: Zygote,
    move_clock: Callable[[float], None],
    effect: str,
    figures: Figures,
) -> None:
    world = shared_world
    for slug in SLUGS.values():
        options = {"path": "/ok/things", "parameters": None} if slug != "charge_lookup" else {}
        world.operation(slug, requires_approval=True, approval=None, **options).ok()
    hook = {"url": f"{world.receiver.url}/ok/hook", "events": ["tool_call.finished"]}
    world.admin.put("webhooks/ops", {**hook, "enabled": True, "allow_private_network": True}).ok(
        201
    )
    statuses: dict[str, Counter[str]] = {}
    begun, kills, alive = time.monotonic(), 0, Counter[str]()
    order = random.Random(SEED)
    for number in range(1, ROUNDS + 1):
        for point in order.sample(ON_THE_WAY, len(ON_THE_WAY)):
            turn = Round(world, forks, effect, move_clock)
            died = turn.through(point, "kill9") == KILLED
            kills += died
            alive[point] += not died
            call = turn.heal()
            statuses.setdefault(point, Counter())[call.status] += 1
            may_be_unknown = effect == "once" and point in AFTER_THE_MARK
            allowed = {"unknown"} if may_be_unknown else {"succeeded"}
            assert call.status in allowed, (SEED, point, call.status, call.error)
            if effect == "once":
                assert len(hits_by_call(world.receiver)[str(call.pk)]) <= 1, (SEED, point)
        if number % 10 == 0:
            took = time.monotonic() - begun
            figures.progress(f"{connection.vendor}, {effect}: {kills} kills in {took:.0f} s")
    for _ in range(4):
        move_clock(61)
        sweep(execute_here=True)
    check_settled()
    check_history(world.receiver)
    check_delivered(world.receiver)
    assert kills == ROUNDS * len(ON_THE_WAY), f"{kills} deaths; not at {+alive}, seed {SEED}"
    unknown = sum(counted["unknown"] for counted in statuses.values())
    figures.say(
        f"{connection.vendor}, {effect}: {kills} kills at {len(ON_THE_WAY)} points,"
        f" {unknown} unknown, 0 lost, 0 doubled, {time.monotonic() - begun:.0f} s,"
        f" seed {SEED}"
    )


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize(
    "point", ["decide.before_commit", "create.before_commit", "record.before_commit"]
)
def test_a_commit_whose_caller_saw_a_failure_is_not_repeated(
    shared_world: World, forks: Zygote, move_clock: Callable[[float], None], point: str
) -> None:
    shared_world.operation(path="/ok/things", approval=None, parameters=None).ok()
    turn = Round(shared_world, forks, "once", move_clock)
    assert turn.through(point, "raise_after_commit") == FAILED
    assert turn.heal().status == "succeeded"
    assert ToolCall.objects.count() == 1
    assert len(shared_world.receiver.hits) == 1
    check_settled()
    check_history(shared_world.receiver)


@pytest.mark.xdist_group("faults")
def test_sigquit_during_commit_leaves_all_or_nothing(
    shared_world: World, forks: Zygote, move_clock: Callable[[float], None]
) -> None:
    """A worker's cold shutdown raises at any bytecode, also inside psycopg's commit."""
    shared_world.operation(path="/ok/things", approval=None, parameters=None).ok()
    order = random.Random(SEED)
    ended = Counter[int]()
    for _ in range(6 * ROUNDS):
        turn = Round(shared_world, forks, "once", move_clock)
        pause = order.uniform(0, 0.004)
        ended[turn.through("decide.before_commit", f"sigquit_in:{pause:.5f}")] += 1
        assert turn.heal().status == "succeeded", SEED
    # Django may turn what is raised inside COMMIT into a database error: the caller sees a failure.
    assert set(ended) <= {0, FAILED, LEFT}
    check_settled()
    check_history(shared_world.receiver)


def test_every_point_stands_in_the_code() -> None:
    found = set()
    for app in ("accounts_app", "integrations_app", "guard_app", "tasks_app", "config"):
        for path in (PROJECT / app).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            found |= {part.partition('"')[0] for part in text.split(' fault("')[1:]}
    assert found == set(POINTS)
    assert len(POINTS) >= 14

"""Facts from the database and facts from a replay's memory are the same facts."""

import datetime as dt
import random
from functools import partial
from typing import Any

import pytest

from accounts_app import crypto
from accounts_app.clock import db_now
from accounts_app.models import new_id
from guard_app.facts import Calls, Known, KnownOperation, KnownValue, Need, ReadFrom, Total
from guard_app.services.history import History
from guard_app.services.measuring import digest_of, measure_call
from guard_app.services.replay_start import families
from guard_app.services.replaying import Learned, Past, Stream
from guard_app.states import CountScope
from integrations_app.models import Operation, Run, ToolCall
from tests.conftest import World

STATUSES = ("succeeded", "succeeded", "failed", "rejected", "blocked", "queued", "awaiting_review")


def runs_of(world: World) -> list[Run]:
    """Two sessions of one participant and one of another, with sub-agents in one."""
    runs = []
    for participant in ("Eve@x.com", "eve@X.com", "sam@x.com"):
        runs.append(world.run(participant=participant))
    session = Run.objects.get(pk=runs[0]).session_id
    for agent, parent in (("research", runs[0]), ("support", runs[0])):
        body = {"session": str(session), "agent": agent, "parent_run": parent}
        runs.append(str(world.agent.post("runs", body).ok(201)["id"]))
    found = Run.objects.select_related("agent", "session").in_bulk([str(run) for run in runs])
    return list(found.values())


def record(dice: random.Random, runs: list[Run], operations: list[Operation]) -> list[ToolCall]:
    now, calls = db_now(), []
    for back in sorted(dice.sample(range(1, 4000), 60), reverse=True):
        run, status, at = dice.choice(runs), dice.choice(STATUSES), now - dt.timedelta(seconds=back)
        arguments = {"amount": dice.choice([1, 2.5, 40]), "charge": f"ch_{dice.randint(1, 3)}"}
        pk = new_id()
        call = ToolCall(
            id=pk,
            workspace_id=run.workspace_id,
            created_at=at,
            run=run,
            agent=run.agent,
            operation=dice.choice(operations),
            operation_version=1,
            status=status,
            arguments=arguments,
            arguments_sealed=crypto.seal(b"{}", place=f"tool_call.arguments:{pk}"),
            arguments_digest=str(sorted(arguments.items())),
            request_digest="",
            finished_at=at if status in ("succeeded", "failed", "rejected", "blocked") else None,
        )
        calls.append(call)
    ToolCall.objects.bulk_create(calls)
    for call in calls:
        measure_call(call, call.arguments, ())
    return calls


def needs_of(operations: list[Operation]) -> list[Need]:
    needs: list[Need] = [KnownValue("/charge"), KnownOperation(), ReadFrom((operations[0].pk,))]
    needs.append(ReadFrom(tuple(sorted(operation.pk for operation in operations))))
    for scope in CountScope:
        for window in (None, 300, 1800.5):
            for counted in ((), (operations[0].pk,), (operations[0].pk, operations[1].pk)):
                needs.append(Calls(scope, window, counted))
                needs.append(Total(scope, "/amount", window, counted))
        needs.append(Calls(scope, same_arguments=True))
    for ended_as in ("failed", "rejected"):
        needs += [
            Calls(CountScope.AGENT, seconds, (), ended_as=ended_as) for seconds in (300, 2000)
        ]
    return needs


def past_of(call: ToolCall, root: Any) -> Past:
    return Past(
        id=call.pk,
        agent_id=call.agent_id,
        operation_id=call.operation_id,
        root=root,
        session_id=call.run.session_id,
        participant=call.run.session.participant,
        digest=call.arguments_digest,
        status=call.status,
        at=call.created_at,
        finished_at=call.finished_at,
        arguments=call.arguments,
    )


def comparable(fact: Any) -> Any:
    """How much there is to compare with is looked up only where the value is new."""
    if isinstance(fact, Known):
        return "seen" if fact.seen else fact.others
    return round(fact, 6) if isinstance(fact, float) else fact


@pytest.mark.parametrize("seed", range(4))
def test_the_database_and_a_replay_tell_the_same(world: World, seed: int) -> None:
    dice = random.Random(seed)
    runs, operations = runs_of(world), list(Operation.objects.order_by("slug"))
    calls = record(dice, runs, operations)
    needs = needs_of(operations)
    digest = partial(digest_of, world.cast.workspace.pk)
    stream, above = Stream(needs, Learned(), digest), families(world.cast.workspace.pk)
    for call in calls[:-1]:
        stream.add(past_of(call, above.root(call.run_id)))
    last = calls[-1]
    told = stream.facts(needs, past_of(last, above.root(last.run_id)))
    looked_up = History(last, last.created_at).ask(needs, last.arguments)()
    assert {need: comparable(fact) for need, fact in looked_up.items()} == {
        need: comparable(fact) for need, fact in told.items()
    }
    assert sum(1 for fact in looked_up.values() if fact) > 30

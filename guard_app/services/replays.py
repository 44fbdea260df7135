"""Replays: what a draft rule would have done to recorded calls, next to what people decided."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts_app.clock import DbNow, db_now
from accounts_app.crypto import Unreadable
from accounts_app.errors import FieldError, Invalid, NotFound
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from guard_app.detectors import DETECTORS
from guard_app.facts import DetectorFailed, Need, Rule, ScreenedCall
from guard_app.models import Replay, ReplayHit
from guard_app.services.measuring import digest_of
from guard_app.services.replay_start import WARM_UP, families, learned_before
from guard_app.services.replaying import Past, Stream
from guard_app.services.rules import RuleValues, check_rule, get_rule
from guard_app.states import REPLAY_MOVES, Detector, GuardEffect, ReplayStatus
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.approval import variables
from integrations_app.services.freezing import full_arguments
from integrations_app.states import CallStatus

register_verbs({"replay.started": "replayed a guard rule over recorded calls"})
REPLAY = "guard_app.replay"
CHUNK = 2000
LEASE = dt.timedelta(seconds=60)
LONGEST = dt.timedelta(days=366)
KEPT = 1000
"""Calls kept behind the numbers, of the hits and of the missed each."""

PREVIEWED = 500
READS_ARGUMENTS = frozenset(
    {
        Detector.CONDITION,
        Detector.BUDGET,
        Detector.VALUE_RANGE,
        Detector.NEW_VALUE,
        Detector.SENSITIVE_DATA,
        Detector.INJECTION,
    }
)


@dataclass(slots=True)
class Tally:
    """The numbers of a replay as they grow."""

    calls: int = 0
    would: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    kept: list[ReplayHit] = field(default_factory=list)
    kept_missed: list[ReplayHit] = field(default_factory=list)

    @property
    def hits(self) -> int:
        return sum(self.decided.values())


def start_replay(
    actor: Actor, rule: str | RuleValues, since: dt.datetime, until: dt.datetime
) -> Replay:
    """Ask for a replay of a saved rule, by its slug, or of a draft.

    Raises:
        Invalid: no such rule, a draft that could not be saved, or a period that is none.
    """
    if isinstance(rule, str):
        try:
            saved = get_rule(actor, rule)
        except NotFound as error:
            text = f"There is no rule {rule!r}."
            raise Invalid([FieldError("rule", "not_found", text)]) from error
        names = ("name", "detector", "parameters", "applies_to", "references", "effect")
        draft = {name: getattr(saved, name) for name in names}
    else:
        draft = check_rule(actor, rule)
    if since >= until:
        raise Invalid([FieldError("from", "invalid_value", "Must lie before `to`.")])
    if until - since > LONGEST:
        raise Invalid([FieldError("from", "invalid_value", "At most 366 days before `to`.")])
    with unit_of_work() as unit:
        replay = Replay.objects.create(
            workspace_id=actor.workspace_id,
            created_at=unit.now,
            draft=draft,
            name=draft["name"],
            since=since,
            until=until,
            by=actor.as_json(),
            **_numbers(Counter(), Counter()),
        )
        unit.audit(actor, "replay.started", ("guard_replay", replay.pk, str(replay)))
        unit.ring(REPLAY, replay.pk)
    return replay


def preview(actor: Actor, values: RuleValues) -> Tally:
    """What a draft would have done to the newest calls, at once; nothing is kept.

    Raises:
        Invalid: a draft that could not be saved.
    """
    draft = check_rule(actor, values)
    newest = ToolCall.objects.visible_to(actor).order_by("-created_at", "-pk")
    moments = list(newest.values_list("created_at", flat=True)[:PREVIEWED])
    tally = Tally()
    if not moments:
        return tally
    replay = Replay(
        workspace_id=actor.workspace_id,
        draft=draft,
        since=moments[-1],
        until=moments[0] + dt.timedelta(microseconds=1),
    )
    for chunk in _Replayed(replay, longest=WARM_UP).chunks():
        for call, hit in chunk:
            _count(tally, replay, call, hit)
    return tally


def get_replay(actor: Actor, replay_id: UUID) -> Replay:
    """One replay of the actor's workspace.

    Raises:
        NotFound: there is none.
    """
    replay = Replay.objects.visible_to(actor).filter(pk=replay_id).first()
    if replay is None:
        raise NotFound("There is no such replay.")
    return replay


def due_replays(limit: int) -> list[UUID]:
    """Replays that nobody works on, oldest first."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=DbNow())
    rows = Replay.objects.filter(free, status=ReplayStatus.RUNNING)
    return list(rows.order_by("created_at").values_list("pk", flat=True)[:limit])


def run_replay(replay_id: UUID) -> bool:
    """Go through the recorded calls; harmless however often it is asked for.

    Returns:
        Whether this is what finished it.
    """
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=DbNow())
    rows = Replay.objects.filter(free, pk=replay_id, status=ReplayStatus.RUNNING)
    if not rows.update(lease_until=db_now() + LEASE):
        return False
    replay = Replay.objects.get(pk=replay_id)
    tally = Tally()
    running = Replay.objects.filter(pk=replay_id, status=ReplayStatus.RUNNING)
    running.update(total=_calls_in(replay).count())
    for chunk in _Replayed(replay).chunks():
        for call, hit in chunk:
            _count(tally, replay, call, hit)
        progress = _numbers(tally.would, tally.decided)
        running.update(calls=tally.calls, hits=tally.hits, lease_until=db_now() + LEASE, **progress)
    with unit_of_work() as unit:
        won = advance(
            running,
            REPLAY_MOVES,
            ReplayStatus.DONE,
            calls=tally.calls,
            hits=tally.hits,
            missed_rejected=tally.missed,
            finished_at=unit.now,
            **_numbers(tally.would, tally.decided),
        )
        if won:
            ReplayHit.objects.bulk_create([*tally.kept, *tally.kept_missed], batch_size=500)
            unit.wake(replay.pk)
    return bool(won)


def _numbers(would: Counter[str], decided: Counter[str]) -> dict[str, Any]:
    effects = [effect.value for effect in GuardEffect if effect != GuardEffect.ALLOW]
    return {
        "would": {effect: would[effect] for effect in effects},
        "decided": {name: decided[name] for name in ("approved", "rejected", "none")},
    }


def _count(tally: Tally, replay: Replay, call: ToolCall, hit: tuple[str, str] | None) -> None:
    tally.calls += 1
    said = what_people_said(call)
    if hit is None:
        if said == "rejected":
            tally.missed += 1
            if len(tally.kept_missed) < KEPT:
                tally.kept_missed.append(ReplayHit(replay=replay, tool_call=call, decided=said))
        return
    effect, explanation = hit
    tally.would[effect] += 1
    tally.decided[said] += 1
    if len(tally.kept) < KEPT:
        tally.kept.append(
            ReplayHit(
                replay=replay,
                tool_call=call,
                effect=effect,
                decided=said,
                explanation=explanation[:2000],
            )
        )


def what_people_said(call: ToolCall) -> str:
    """What became of a call by people: approved, rejected, or none was asked or answered."""
    if call.status == CallStatus.REJECTED:
        return "rejected"
    return "none" if call.decided_at is None else "approved"


def _calls_in(replay: Replay) -> QuerySet[ToolCall]:
    rows = ToolCall.objects.in_workspace(replay.workspace_id)
    return rows.filter(created_at__gte=replay.since, created_at__lt=replay.until)


class _Replayed:
    """The calls of a period in their order, each with what the draft says about it."""

    def __init__(self, replay: Replay, *, longest: dt.timedelta = LONGEST) -> None:
        draft = replay.draft
        self.longest = longest
        self.runs: dict[UUID, Run] = {}
        self.named: dict[UUID, Operation] = {}
        self.replay = replay
        self.detector = DETECTORS[draft["detector"]]
        self.reads_arguments = draft["detector"] in READS_ARGUMENTS
        self.effect = draft["effect"]
        self.operations = draft["applies_to"].get("operations")
        self.agents = set(draft["applies_to"].get("agents") or ())
        ids = {name: UUID(pk) for name, pk in draft["references"].items()}
        counted = tuple(ids[name] for name in self.operations or ())
        self.rule = Rule(draft["parameters"], counted, ids)
        self.families = families(replay.workspace_id)
        learned = learned_before(replay, draft["parameters"].get("argument"))
        digest = partial(digest_of, replay.workspace_id)
        self.stream = Stream(self._wanted(), learned, digest)

    def _wanted(self) -> list[Need]:
        """What the detector can ask for, told by a call that has every argument."""
        pointer = self.rule.parameters.get("argument")
        probe = ScreenedCall(
            agent="",
            operation=next(iter(self.rule.parameters.get("sinks", [""]))),
            operation_id="",
            arguments=_holding(pointer),
            now=self.replay.since,
        )
        return list(self.detector.needs(probe, self.rule))

    def chunks(self) -> Iterator[list[tuple[ToolCall, tuple[str, str] | None]]]:
        """The calls of the period, each with the effect and explanation of its hit."""
        seconds = self.rule.parameters.get("window_seconds")
        before = min(dt.timedelta(seconds=seconds) if seconds else WARM_UP, self.longest)
        rows = ToolCall.objects.in_workspace(self.replay.workspace_id).filter(
            created_at__gte=self.replay.since - before, created_at__lt=self.replay.until
        )
        rows = rows.defer("request_sealed", "result", "arguments").order_by("created_at", "pk")
        last: ToolCall | None = None
        while True:
            later = rows
            if last is not None:
                later = rows.filter(
                    Q(created_at__gt=last.created_at)
                    | Q(created_at=last.created_at, pk__gt=last.pk)
                )
            found = list(later[:CHUNK])
            if not found:
                return
            self._attach(found)
            judged = [(call, self._replayed(call)) for call in found]
            yield [pair for pair in judged if pair[0].created_at >= self.replay.since]
            last = found[-1]

    def _attach(self, found: list[ToolCall]) -> None:
        """Give calls the rows that they name, each read once for the whole replay."""
        wanted = {call.run_id for call in found} - self.runs.keys()
        rows = Run.objects.filter(pk__in=wanted).select_related("session", "agent")
        self.runs |= {run.pk: run for run in rows}
        named = {call.operation_id for call in found} - self.named.keys()
        operations = Operation.objects.filter(pk__in=named).select_related("integration")
        self.named |= {operation.pk: operation for operation in operations}
        for call in found:
            call.run = self.runs[call.run_id]
            call.agent = call.run.agent  # a call's agent is that of its run
            call.operation = self.named[call.operation_id]

    def _replayed(self, call: ToolCall) -> tuple[str, str] | None:
        past = self._past(call)
        counts = call.created_at >= self.replay.since
        hit = self._judge(call, past) if counts and self._applies(call) else None
        self.stream.add(past)
        return hit

    def _past(self, call: ToolCall) -> Past:
        arguments: Mapping[str, Any] = {}
        if self.reads_arguments:
            try:
                arguments = full_arguments(call)
            except Unreadable:
                arguments = {}  # Its key is gone; what nobody can read hits nothing.
        return Past(
            id=call.pk,
            agent_id=call.agent_id,
            operation_id=call.operation_id,
            root=self.families.root(call.run_id),
            session_id=call.run.session_id,
            participant=call.run.session.participant,
            digest=call.arguments_digest,
            status=call.status,
            at=call.created_at,
            finished_at=call.finished_at,
            arguments=arguments,
        )

    def _applies(self, call: ToolCall) -> bool:
        if self.operations and call.operation.reference not in self.operations:
            return False
        if not self.agents or call.agent.slug in self.agents:
            return True
        return bool(self.agents & self.families.agents_above(call.run_id))

    def _judge(self, call: ToolCall, past: Past) -> tuple[str, str] | None:
        values = variables(call.run, past.arguments)
        screened = ScreenedCall(
            agent=call.agent.slug,
            operation=call.operation.reference,
            operation_id=str(call.operation_id),
            arguments=past.arguments,
            now=call.created_at,
            session=values["session"],
            run=values["run"],
            sensitive=call.operation.sensitive,
        )
        needs = self.detector.needs(screened, self.rule)
        facts = self.stream.facts(needs, past)
        try:
            hit = self.detector.judge(screened, self.rule, facts)
        except DetectorFailed as failure:
            return GuardEffect.REVIEW.value, f"The rule could not be evaluated: {failure}"
        return None if hit is None else (self.effect, hit.explanation)


def _holding(pointer: str | None) -> dict[str, Any]:
    """Arguments in which something stands at this place."""
    value: Any = 0
    for token in reversed((pointer or "").split("/")[1:]):
        value = {token.replace("~1", "/").replace("~0", "~"): value}
    return value if isinstance(value, dict) else {}

"""The recorded calls of a replay in their order, each with what a draft says about it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts_app.crypto import Unreadable
from guard_app.detectors import DETECTORS
from guard_app.facts import DetectorFailed, Need, Rule, ScreenedCall
from guard_app.models import Replay
from guard_app.services.measuring import digest_of
from guard_app.services.replay_start import WARM_UP, count_before, families, learned_before
from guard_app.services.replaying import Past, Stream
from guard_app.states import Detector, GuardEffect
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.approval import variables
from integrations_app.services.freezing import full_arguments

CHUNK = 2000
LONGEST = dt.timedelta(days=366)
Judged = tuple[ToolCall, tuple[str, str] | None]
"""A call, with the effect and explanation of its hit."""

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


class ReplayedCalls:
    """The calls of a period in their order, each with what the draft says about it."""

    def __init__(self, replay: Replay, *, longest: dt.timedelta = LONGEST) -> None:
        draft = replay.draft
        self.runs: dict[UUID, Run] = {}
        self.named: dict[UUID, Operation] = {}
        self.replay = replay
        self.detector = DETECTORS[draft["detector"]]
        self.reads_arguments = draft["detector"] in READS_ARGUMENTS
        self.effect = draft["effect"]
        self.operations = draft["applies_to"].get("operations")
        self.agents = set(draft["applies_to"].get("agents") or ())
        self.sessions = set(draft["applies_to"].get("sessions") or ())
        ids = {name: UUID(pk) for name, pk in draft["references"].items()}
        counted = tuple(ids[name] for name in self.operations or ())
        self.rule = Rule(draft["parameters"], counted, ids)
        seconds = self.rule.parameters.get("window_seconds")
        before = min(dt.timedelta(seconds=seconds) if seconds else WARM_UP, longest)
        self.start = replay.since - before
        self.families = families(replay.workspace_id)
        learned = learned_before(replay, self.start, draft["parameters"].get("argument"))
        digest = partial(digest_of, replay.workspace_id)
        self.wanted = self._wanted()
        self.stream = Stream(self.wanted, learned, digest)

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

    def chunks(self) -> Iterator[list[Judged]]:
        """The calls of the period in their order, so many at a time."""
        self._begin()
        rows = self._rows().filter(created_at__gte=self.start, created_at__lt=self.replay.until)
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

    def _rows(self) -> QuerySet[ToolCall]:
        rows = ToolCall.objects.in_workspace(self.replay.workspace_id)
        return rows.defer("request_sealed", "result", "arguments").order_by("created_at", "pk")

    def _begin(self) -> None:
        """Count what came before the first call that is read one by one."""
        count_before(self.stream, self.replay, self.start, self.wanted, self.families)
        if self.stream.windows:
            # What began before and ended since was open for the first calls, and is not for later.
            open_ = self._rows().filter(created_at__lt=self.start, finished_at__gte=self.start)
            still_open = open_.iterator(chunk_size=CHUNK)
            while found := list(islice(still_open, CHUNK)):
                self._attach(found)
                for call in found:
                    self.stream.add(self._past(call))

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
        if self.sessions and str(call.run.session_id) not in self.sessions:
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

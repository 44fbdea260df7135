"""Replays: what a draft rule would have done to recorded calls, next to what people decided."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts_app.clock import DbNow
from accounts_app.errors import FieldError, Invalid, NotFound
from accounts_app.faults import fault
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from guard_app.models import Replay, ReplayHit
from guard_app.services.hooks import guard_hooks
from guard_app.services.replay_start import WARM_UP
from guard_app.services.replayed_calls import LONGEST, Judged, ReplayedCalls
from guard_app.services.rules import RuleValues, check_rule, get_rule
from guard_app.states import REPLAY_MOVES, GuardEffect, ReplayStatus
from integrations_app.models import ToolCall

register_verbs({"replay.started": "replayed a guard rule over recorded calls"})
REPLAY = "guard_app.replay"
LEASE = dt.timedelta(seconds=60)
KEPT = 100_000
"""Calls kept behind the numbers, of the hits and of the missed each."""

PREVIEWED = 500
NOBODY = "none"
"""Said of a call about which no person decided."""


@dataclass(slots=True)
class Tally:
    """The numbers of a replay as they grow.

    Attributes:
        found: the calls behind them that were not written down yet.
    """

    calls: int = 0
    would: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    found: list[ReplayHit] = field(default_factory=list)

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
    for chunk in ReplayedCalls(replay, longest=WARM_UP).chunks():
        _count_all(tally, replay, chunk)
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

    Several workers may be asked at once: one has the lease. Whoever finds that its lease went to
    another, because it took too long for a sign of life, stops and leaves everything to that one.

    Returns:
        Whether this is what finished it.
    """
    lease = _take(replay_id)
    if lease is None:
        return False
    replay, tally = Replay.objects.get(pk=replay_id), Tally()
    for chunk in ReplayedCalls(replay).chunks():
        _count_all(tally, replay, chunk)
        lease = _write_down(replay, tally, lease)
        if lease is None:
            return False
        fault("replay.after_chunk")
    with unit_of_work() as unit:
        rows = Replay.objects.filter(pk=replay_id, lease_until=lease)
        won = advance(rows, REPLAY_MOVES, ReplayStatus.DONE, finished_at=unit.now)
        if won:
            unit.wake(replay.pk)
    return bool(won)


def _take(replay_id: UUID) -> dt.datetime | None:
    """Take a replay that nobody works on, from its beginning; the lease, or None."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=DbNow())
    rows = Replay.objects.filter(free, pk=replay_id, status=ReplayStatus.RUNNING)
    with unit_of_work() as unit:
        lease = unit.now + LEASE
        if not rows.update(lease_until=lease, **_columns(Tally())):
            return None
        # Of one who died half-way.
        ReplayHit.objects.filter(replay=replay_id).delete()
    taken = Replay.objects.filter(pk=replay_id, lease_until=lease)
    taken.update(total=_calls_in(taken.get()).count())
    return lease


def _write_down(replay: Replay, tally: Tally, lease: dt.datetime) -> dt.datetime | None:
    """Keep what was found so far; the new lease, or None where another has it by now."""
    rows = Replay.objects.filter(pk=replay.pk, status=ReplayStatus.RUNNING, lease_until=lease)
    with unit_of_work() as unit:
        renewed = unit.now + LEASE
        if not rows.update(lease_until=renewed, **_columns(tally)):
            return None
        ReplayHit.objects.bulk_create(tally.found, batch_size=500)
    tally.found.clear()
    return renewed


def _columns(tally: Tally) -> dict[str, Any]:
    """The numbers as a replay keeps them."""
    return {
        "calls": tally.calls,
        "hits": tally.hits,
        "missed_rejected": tally.missed,
        **_numbers(tally.would, tally.decided),
    }


def _numbers(would: Counter[str], decided: Counter[str]) -> dict[str, Any]:
    effects = [effect.value for effect in GuardEffect if effect != GuardEffect.ALLOW]
    return {
        "would": {effect: would[effect] for effect in effects},
        "decided": {name: decided[name] for name in ("approved", "rejected", NOBODY)},
    }


def _count_all(tally: Tally, replay: Replay, chunk: Sequence[Judged]) -> None:
    said = guard_hooks.people_said([call for call, _ in chunk])
    for call, hit in chunk:
        _count(tally, replay, call, hit, said.get(call.pk, NOBODY))


def _count(
    tally: Tally, replay: Replay, call: ToolCall, hit: tuple[str, str] | None, said: str
) -> None:
    tally.calls += 1
    if hit is None:
        if said == "rejected":
            tally.missed += 1
            if tally.missed <= KEPT:
                tally.found.append(ReplayHit(replay=replay, tool_call=call, decided=said))
        return
    effect, explanation = hit
    tally.would[effect] += 1
    tally.decided[said] += 1
    if tally.hits <= KEPT:
        tally.found.append(
            ReplayHit(
                replay=replay,
                tool_call=call,
                effect=effect,
                decided=said,
                explanation=explanation[:2000],
            )
        )


def _calls_in(replay: Replay) -> QuerySet[ToolCall]:
    rows = ToolCall.objects.in_workspace(replay.workspace_id)
    return rows.filter(created_at__gte=replay.since, created_at__lt=replay.until)

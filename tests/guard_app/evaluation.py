"""The default rules against the recorded sessions, in memory: what they catch, and what else."""

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from guard_app.detectors import DETECTORS
from guard_app.facts import Need, Rule, ScreenedCall
from guard_app.services.defaults import rules_for
from guard_app.services.learning import hour_of, pace_of, range_of, step_of
from guard_app.services.replaying import Learned, Past, Stream
from guard_app.services.rules import RuleValues
from guard_app.states import GuardEffect
from integrations_app.models import Integration, Operation
from tests.guard_app.recorded import Event, attacks, fake_id, ordinary_weeks

LEARNING_WEEKS, MEASURED_WEEKS = 6, 6
STOPS = (GuardEffect.REVIEW, GuardEffect.BLOCK, GuardEffect.TERMINATE_SESSION)


def catalogue() -> list[Operation]:
    """The operations that the record names."""
    named = {
        "payments.charge_lookup": ("read", ["charge"]),
        "payments.refund": ("once", ["charge", "amount", "reason"]),
        "payments.send_receipt": ("idempotent", ["charge", "email"]),
        "partners.post": ("once", ["host", "body"]),
        "mail.send": ("once", ["to", "body"]),
    }
    operations = []
    for reference, (effect, arguments) in named.items():
        integration, _, slug = reference.partition(".")
        parameters = {"type": "object", "properties": {name: {} for name in arguments}}
        operations.append(
            Operation(
                pk=fake_id(reference),
                integration=Integration(slug=integration),
                slug=slug,
                effect=effect,
                parameters=parameters,
            )
        )
    return operations


@dataclass(slots=True)
class Outcome:
    """What the rules did.

    Args:
        ordinary: calls of the measured ordinary weeks.
        false_reviews: those of them that were paused or blocked, by rule.
        false_alerts: those that were only alerted about, by rule.
        caught: for each attack the rules that stopped it, and at which of its calls.
    """

    ordinary: int = 0
    stopped: int = 0
    false_reviews: Counter[str] = field(default_factory=Counter)
    false_alerts: Counter[str] = field(default_factory=Counter)
    caught: dict[str, dict[str, int]] = field(default_factory=dict)


class Desk:
    """Goes through events in their order with a set of rules."""

    def __init__(self, rules: dict[str, RuleValues]) -> None:
        operations = catalogue()
        self.ids = {operation.reference: operation.pk for operation in operations}
        self.rules = {slug: (values, self._view(values)) for slug, values in rules.items()}
        self.learned = Learned(pace=self._pace)
        self.sketches: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        self.hours: Counter[int] = Counter()
        self.stream = Stream(self._wanted(), self.learned, digest=str)

    def _view(self, values: RuleValues) -> Rule:
        operations = tuple(self.ids[name] for name in values.applies_to.get("operations", ()))
        return Rule(values.parameters, operations, self.ids)

    def _wanted(self) -> list[Need]:
        wanted: list[Need] = []
        for values, view in self.rules.values():
            argument = values.parameters.get("argument", "/none").strip("/")
            probe = self._screened(
                Event(dt.datetime.now(dt.UTC), "a", "s", "p", "o", {argument: 1.0})
            )
            wanted += DETECTORS[values.detector].needs(probe, view)
        return wanted

    def _pace(self, agent: object, now: dt.datetime) -> object:
        if not self.hours:
            return None
        hours = {str(hour): count for hour, count in self.hours.items()}
        return pace_of({"hours": hours, "first": min(self.hours)}, hour_of(now))

    def learn(self, event: Event) -> None:
        """Take an ordinary call into what is usual."""
        self.hours[hour_of(event.at)] += 1
        for name, value in event.arguments.items():
            if isinstance(value, float | int):
                self.sketches[event.operation, name][step_of(value)] += 1
        self.stream.add(self._past(event))

    def settle(self) -> None:
        """Make ranges of what was learned."""
        for (operation, name), sketch in self.sketches.items():
            self.learned.ranges[self.ids[operation], f"/{name}"] = range_of(sketch)

    def screen(self, event: Event) -> dict[str, GuardEffect]:
        """The rules that hit a call, before it is counted."""
        call, hits = self._screened(event), {}
        past = self._past(event)
        for slug, (values, view) in self.rules.items():
            operations = values.applies_to.get("operations")
            if operations and event.operation not in operations:
                continue
            detector = DETECTORS[values.detector]
            facts = self.stream.facts(detector.needs(call, view), past)
            if detector.judge(call, view, facts) is not None:
                hits[slug] = GuardEffect(values.effect)
        return hits

    def take(self, event: Event, hits: dict[str, GuardEffect]) -> None:
        """Count a call as people let it end: what was no attack, they approved."""
        stopped = any(effect in STOPS for effect in hits.values())
        status = "rejected" if stopped and event.attack else event.status
        self.stream.add(self._past(event, status))

    def _screened(self, event: Event) -> ScreenedCall:
        return ScreenedCall(
            agent=event.agent,
            operation=event.operation,
            operation_id=event.operation,
            arguments=event.arguments,
            now=event.at,
            session={"id": event.session, "participant": event.participant, "metadata": {}},
        )

    def _past(self, event: Event, status: str = "") -> Past:
        session = fake_id(event.session)
        return Past(
            id=session,
            agent_id=fake_id(event.agent),
            operation_id=self.ids.get(event.operation, session),
            root=session,
            session_id=session,
            participant=event.participant,
            digest=event.digest,
            status=status or event.status,
            at=event.at,
            finished_at=event.at + dt.timedelta(seconds=1),
            arguments=event.arguments,
        )


def evaluate(seed: int = 7) -> Outcome:
    """Learn some weeks, measure the next, then let each attack come by itself."""
    weeks = list(ordinary_weeks(LEARNING_WEEKS + MEASURED_WEEKS, seed))
    turn = weeks[0].at + dt.timedelta(weeks=LEARNING_WEEKS)
    rules = rules_for(catalogue())
    outcome = Outcome()
    desk = _trained(rules, [event for event in weeks if event.at < turn])
    for event in weeks:
        if event.at >= turn:
            hits = desk.screen(event)
            outcome.ordinary += 1
            outcome.stopped += any(effect in STOPS for effect in hits.values())
            for slug, effect in hits.items():
                stops = effect in STOPS
                (outcome.false_reviews if stops else outcome.false_alerts)[slug] += 1
            desk.hours[hour_of(event.at)] += 1
            desk.take(event, hits)
    for name, events in attacks(LEARNING_WEEKS).items():
        fresh = _trained(rules, [event for event in weeks if event.at < turn])
        caught: dict[str, int] = {}
        for number, event in enumerate(events, start=1):
            hits = fresh.screen(event)
            for slug, effect in hits.items():
                if effect in STOPS:
                    caught.setdefault(slug, number)
            fresh.take(event, hits)
        outcome.caught[name] = caught
    return outcome


def _trained(rules: dict[str, RuleValues], events: list[Event]) -> Desk:
    desk = Desk(rules)
    for event in events:
        desk.learn(event)
    desk.settle()
    return desk

"""Approve one thing and run another: what arrives has the digest of the decision, or nothing does.

Every kind of change at every moment, one by one; then several together at random: ten thousand
by `make binding`, in five thousand calls; two hundred otherwise.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from uuid import UUID

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from accounts_app import crypto
from integrations_app import client, requests
from integrations_app.models import ToolCall
from integrations_app.services import execution
from tests.conftest import World
from tests.harness.catalogue import TOKEN
from tests.harness.figures import Figures
from tests.security.mutations import (
    AFTER_DECISION,
    ARGUMENTS,
    BEFORE_DECISION,
    BOUND,
    KINDS,
    SAME,
    Moment,
)
from tests.undoing import undone

EXAMPLES = 50 * int(os.environ.get("ASSENT_FAULT_ROUNDS", "2"))
SEED = int(os.environ.get("ASSENT_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
SEEN, DECIDED = "seen", "decided"
POINTS = ("claim.after", "verify.after", "send.connected", "mark.before_commit", "mark.after")
MOMENTS = (SEEN, DECIDED, *POINTS)
"""When a change happens: after the person saw the call, after the decision, and on the way out."""

WORDS = st.one_of(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
)


@dataclass
class Attack:
    """One call of each operation at a time, changed while it is on its way.

    Args:
        world: the workspace.
        points: lets changes happen at named points of the execution.
        tried: how often each kind came at each moment.
    """

    world: World
    points: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    arrived: int = 0
    moment: Moment | None = None

    def __post_init__(self) -> None:
        for api in (self.world.agent, self.world.decider, self.world.admin):
            api.checked = False
        for slug, body in BOUND.items():
            answer = self.world.admin.put(f"integrations/payments/operations/{slug}", body)
            assert answer.status in (200, 201), answer
        session = self.world.agent.post("sessions", {"agent": "support"}).ok(201)["id"]
        self.run, self.spare = (
            self.world.agent.post("runs", {"session": session}).ok(201)["id"] for _ in range(2)
        )

    def at(self, point: str) -> None:
        """Stands in for `fault`: make the changes of this point, once."""
        for kind, word in self.points.pop(point, []):
            self._change(point, kind, word)

    def _change(self, moment: str, kind: str, word: str) -> None:
        assert self.moment is not None
        KINDS[kind](self.moment, word)
        self.tried[kind, moment] += 1

    def run_one(self, slug: str, changes: list[tuple[str, str, str]]) -> int:
        """Ask, change, decide, change, send; how much arrived, all of it what was looked at.

        Args:
            slug: which operation.
            changes: moment, kind and word of each.
        """
        receiver = self.world.receiver
        receiver.hits.clear()
        asked = {"run": self.run, "operation": f"payments.{slug}", "arguments": ARGUMENTS[slug]}
        with undone():
            call = self.world.agent.post("tool-calls", asked).ok(201)
            seen = ToolCall.objects.get(pk=call["id"])
            self.moment = Moment(self.world, slug, call["id"], call["task"], self.spare)
            for moment, kind, word in changes:
                if moment == SEEN:
                    self._change(moment, kind, word)
            self.world.decider.post(f"tasks/{call['task']}/approve", {"revision": 1})
            for moment, kind, word in changes:
                if moment == DECIDED:
                    self._change(moment, kind, word)
            self.points.clear()
            for moment, kind, word in changes:
                if moment in POINTS:
                    self.points.setdefault(moment, []).append((kind, word))
            # What was put back or held back must not go out the next time either.
            for _ in range(2):
                execution.execute(UUID(call["id"]))
            place = f"tool_call.request:{seen.pk}"
            plain = crypto.unseal(seen.request_sealed or b"", place=place)
            assert requests.digest(plain) == seen.request_digest
            request = requests.parse_bytes(plain)
            for hit in receiver.hits:
                assert hit.method == request.method, changes
                assert receiver.url + hit.path == request.url, changes
                assert hit.body == request.body, changes
                assert set(request.headers) <= set(hit.headers), changes
                assert hit.header("X-Word") == "", changes
                assert hit.header("Authorization") == f"Bearer {TOKEN}", changes
                assert hit.header("Idempotency-Key") == call["id"], changes
            assert len(receiver.hits) <= 1, changes
        self.arrived += len(receiver.hits)
        return len(receiver.hits)


@pytest.fixture
def attack(world: World, monkeypatch: pytest.MonkeyPatch) -> Attack:
    made = Attack(world)
    monkeypatch.setattr(execution, "fault", made.at)
    monkeypatch.setattr(client, "fault", made.at)
    return made


@pytest.mark.parametrize(
    ("moment", "slug"),
    [*product((SEEN, DECIDED), BOUND), *((point, "move") for point in POINTS)],
)
def test_each_change_at_each_moment(attack: Attack, moment: str, slug: str) -> None:
    """Before the claim a change lets nothing out; later, at most what was decided on."""
    for kind in KINDS:
        arrived = attack.run_one(slug, [(moment, kind, "word")])
        harmless = kind in SAME | (AFTER_DECISION if moment == SEEN else set())
        harmless |= kind in BEFORE_DECISION and moment != SEEN
        if harmless:
            assert arrived == 1, kind
        elif moment in (SEEN, DECIDED):
            assert arrived == 0, kind
    assert {kind for kind, _ in attack.tried} == set(KINDS)


def needs_no_decision(kinds: set[str]) -> bool:
    """Whether somebody with the keys wrote another call whole, and that it needs no approval.

    That is no longer the call that was decided on, but one of their own.
    """
    free = {"operation: another", "policy: as the integration says"}
    return {"request: everything", "policy: of the call"} <= kinds and bool(kinds & free)


def test_what_was_approved_is_what_runs_or_nothing_does(attack: Attack, figures: Figures) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(sorted(BOUND)),
        st.lists(
            st.tuples(st.sampled_from(MOMENTS), st.sampled_from(sorted(KINDS)), WORDS),
            min_size=1,
            max_size=3,
        ),
    )
    def run(slug: str, changes: list[tuple[str, str, str]]) -> None:
        assume(not needs_no_decision({kind for _, kind, _ in changes}))
        arrived = attack.run_one(slug, changes)
        if {kind for _, kind, _ in changes} <= SAME:
            assert arrived == 1

    run()
    figures.say(
        f"binding: {EXAMPLES} calls, {sum(attack.tried.values())} changes of"
        f" {len(KINDS)} kinds at {len(MOMENTS)} moments, {attack.arrived} arrived,"
        f" all as decided; seed {SEED}"
    )
    assert sum(attack.tried.values()) >= EXAMPLES

"""Approve one thing and run another: what arrives has the digest of the decision, or nothing does.

Ten thousand random mutations by `make faults`, a hundred for each round; two hundred otherwise.
"""

import os
from uuid import UUID

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts_app import crypto
from integrations_app import requests
from integrations_app.models import Clearance, Integration, Operation, ToolCall
from integrations_app.services.execution import execute
from tests.conftest import World

EXAMPLES = 100 * int(os.environ.get("ASSENT_FAULT_ROUNDS", "2"))
WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
MUTATIONS = {
    "arguments": lambda w, c, word: _seal(
        c, "arguments_sealed", b'{"charge":"%s","amount":1}', word
    ),
    "request": lambda w, c, word: _seal(c, "request_sealed", b'{"url":"http://%s/"}', word),
    "digest": lambda w, c, word: c.update(request_digest="sha256:" + word),
    "both": lambda w, c, word: _both(c, word),
    "path": lambda w, c, word: Operation.objects.update(path=f"/ok/{word}"),
    "method": lambda w, c, word: Operation.objects.update(method="PUT"),
    "effect": lambda w, c, word: Operation.objects.update(effect="idempotent"),
    "version": lambda w, c, word: Operation.objects.update(version=len(word) + 7),
    "base_url": lambda w, c, word: Integration.objects.update(
        base_url=f"{w.receiver.url}/ok/{word}"
    ),
    "headers": lambda w, c, word: Integration.objects.update(default_headers={"X-Word": word}),
    "credential": lambda w, c, word: Integration.objects.update(auth_version=len(word) + 7),
    "policy": lambda w, c, word: Operation.objects.update(requires_approval=None),
    "approval": lambda w, c, word: c.update(approval_required=False),
    "clearance": lambda w, c, word: Clearance.objects.update(digest="sha256:" + word),
    "nothing": lambda w, c, word: None,
}
HARMLESS = {"policy", "approval", "nothing"}
"""After these the call that was decided on may run: it is the same."""


def _seal(calls, column, template, word):  # type: ignore[no-untyped-def]
    call = calls.get()
    place = f"tool_call.{column.removesuffix('_sealed')}:{call.pk}"
    sealed = crypto.seal(template.replace(b"%s", word.encode()), place=place)
    calls.update(**{column: sealed})


def _both(calls, word):  # type: ignore[no-untyped-def]
    """Another request with its right digest, as somebody with the keys could write it."""
    call = calls.get()
    place = f"tool_call.request:{call.pk}"
    plain = crypto.unseal(call.request_sealed, place=place)
    changed = plain.replace(b"/ok/refunds", b"/ok/" + word.encode())
    calls.update(
        request_sealed=crypto.seal(changed, place=place), request_digest=requests.digest(changed)
    )


class Undo(Exception):
    pass


def undone() -> transaction.Atomic:
    """A block in which the services may open their durable transactions, as in a test's own."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    return block


def test_what_was_approved_is_what_runs_or_nothing_does(world: World) -> None:
    tried = dict.fromkeys(MUTATIONS, 0)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(
        st.lists(st.sampled_from(sorted(MUTATIONS)), min_size=1, max_size=3),
        WORDS,
        st.booleans(),
    )
    def run(names: list[str], word: str, before: bool) -> None:
        world.receiver.hits.clear()
        try:
            with undone():
                call = world.refund(900).ok(201)
                rows = ToolCall.objects.filter(pk=call["id"])
                approved = rows.get()
                for name in names if before else []:
                    MUTATIONS[name](world, rows, word)
                world.decider.post(f"tasks/{call['task']}/approve", {"revision": 1})
                for name in [] if before else names:
                    MUTATIONS[name](world, rows, word)
                execute(UUID(call["id"]))
                for name in names:
                    tried[name] += 1
                if set(names) <= HARMLESS and not before:
                    assert len(world.receiver.hits) == 1, names
                for hit in world.receiver.hits:
                    place = f"tool_call.request:{approved.pk}"
                    plain = crypto.unseal(approved.request_sealed, place=place)
                    request = requests.parse_bytes(plain)
                    assert requests.digest(plain) == approved.request_digest
                    assert (hit.method, hit.body) == (request.method, request.body), names
                    assert request.url.endswith(hit.path), names
                raise Undo
        except Undo:
            pass

    run()
    assert all(tried.values()), tried

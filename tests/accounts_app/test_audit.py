import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts_app import audit_triggers
from accounts_app.models import AuditEntry, AuditHead
from accounts_app.services.audit import verify
from accounts_app.services.unit import unit_of_work
from tests.conftest import Cast


def write(cast: Cast, number: int) -> None:
    actor = cast.actor("ida")
    for index in range(number):
        with unit_of_work() as unit:
            unit.audit(actor, "agent.changed", ("agent", index, "support"), {"n": index})


def test_a_chain_holds_and_counts_every_act(cast: Cast) -> None:
    before = AuditHead.objects.get(pk=cast.workspace.pk).sequence
    write(cast, 3)
    assert AuditHead.objects.get(pk=cast.workspace.pk).sequence == before + 3
    assert list(verify()) == []
    call_command("verify_audit")


@pytest.mark.parametrize(
    "column",
    ["verb", "actor_name", "data", "at", "target_name", "hash", "request_id", "channel"],
)
def test_an_altered_entry_is_named(cast: Cast, column: str) -> None:
    write(cast, 3)
    row = AuditEntry.objects.filter(workspace=cast.workspace).order_by("-sequence")[1]
    value = row.at.replace(year=2001) if column == "at" else "altered"
    AuditEntry.objects.filter(pk=row.pk).update(**{column: value})
    (broken,) = verify()
    assert (broken.workspace, broken.sequence) == ("demo", row.sequence)
    with pytest.raises(CommandError, match=f"demo: entry {row.sequence}"):
        call_command("verify_audit")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_removed_entry_is_named(cast: Cast, position: int) -> None:
    write(cast, 3)
    row = AuditEntry.objects.filter(workspace=cast.workspace).order_by("-sequence")[position]
    AuditEntry.objects.filter(pk=row.pk).delete()
    (broken,) = verify()
    assert broken.sequence == row.sequence


def test_an_act_that_is_undone_leaves_no_entry(cast: Cast) -> None:
    before = AuditEntry.objects.count()

    def undone() -> None:
        with unit_of_work() as unit:
            unit.audit(cast.actor("ida"), "agent.changed", ("agent", 1, "support"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert AuditEntry.objects.count() == before


def test_an_unregistered_verb_is_refused(cast: Cast) -> None:
    with pytest.raises(ValueError, match="Register"), unit_of_work() as unit:
        unit.audit(cast.actor("ida"), "agent.exploded", ("agent", 1, "support"))


def test_the_database_refuses_to_change_evidence(cast: Cast) -> None:
    write(cast, 1)
    audit_triggers.install(connection)
    try:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditEntry.objects.update(verb="nothing")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditEntry.objects.all().delete()
    finally:
        audit_triggers.remove(connection)
    assert list(verify()) == []

"""The demo's guard: silent in ordinary use, and a burst of refunds that it pauses."""

from pathlib import Path

from django.core.management import call_command

from guard_app.models import Detection, GuardRule, Incident
from tasks_app.models import UserTask


def test_a_burst_of_refunds_is_paused_in_the_demo(
    db: None, settings: object, tmp_path: Path
) -> None:
    settings.ASSENT_HOME = tmp_path / "home"
    call_command("seed_demo")
    live = GuardRule.objects.filter(enabled=True, shadow=False)
    assert [(rule.slug, rule.applies_to["agents"]) for rule in live] == [
        ("refund-burst", ["research"])
    ]
    assert not UserTask.objects.exists()
    said = call_command("demo_burst").splitlines()
    assert [line.partition(": ")[2] for line in said] == [*["queued"] * 3, *["awaiting review"] * 5]
    assert UserTask.objects.filter(kind="anomaly_review", status="pending").count() == 5
    assert Incident.objects.get().count == 5
    assert set(Detection.objects.filter(shadow=False).values_list("rule__slug", flat=True)) == {
        "refund-burst"
    }

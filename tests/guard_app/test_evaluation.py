"""The rules to begin with, against the recorded sessions."""

from tests.guard_app.evaluation import evaluate


def test_the_default_rules_catch_six_attacks_and_leave_ordinary_days_alone() -> None:
    outcome = evaluate()
    assert outcome.ordinary > 5000
    assert outcome.stopped * 1000 < outcome.ordinary
    assert set(outcome.caught) == {
        "loop",
        "slow drain",
        "exfiltration",
        "prompt injection",
        "credential leak",
        "burst after hours",
    }
    first = {name: min(rules.values()) for name, rules in outcome.caught.items()}
    assert first == {
        "loop": 6,
        "slow drain": 6,
        "exfiltration": 2,
        "prompt injection": 2,
        "credential leak": 1,
        "burst after hours": 9,
    }

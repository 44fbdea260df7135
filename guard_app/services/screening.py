"""The one place where a call is screened, before anybody is asked and before anything is sent."""

from dataclasses import dataclass

from accounts_app.services.unit import Unit
from guard_app.detectors import DETECTORS, ScreenedCall
from guard_app.models import Detection, GuardRule
from guard_app.states import STRICTNESS, GuardEffect
from integrations_app.models import ToolCall


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says about a call.

    Args:
        effect: the strictest effect of all rules that hit; `allow` where none did.
        explanations: why, one sentence for each hit of that effect.
    """

    effect: GuardEffect
    explanations: tuple[str, ...] = ()


def screen(unit: Unit, call: ToolCall) -> Verdict:
    """Ask every enabled rule of the workspace and record each hit.

    Args:
        unit: the transaction in which the call was recorded.
        call: the call; its run's lock is held, so that its history stands still.
    """
    rules = GuardRule.objects.in_workspace(call.workspace_id).filter(enabled=True)
    screened: ScreenedCall | None = None
    strictest = GuardEffect.ALLOW
    explanations: list[str] = []
    for rule in rules.order_by("slug"):
        screened = screened or _screened(call)
        hit = DETECTORS[rule.detector](screened, rule.parameters)
        if hit is None:
            continue
        effect = GuardEffect(rule.effect)
        Detection.objects.create(
            workspace_id=call.workspace_id,
            created_at=unit.now,
            rule=rule,
            tool_call=call,
            effect=effect,
            explanation=hit.explanation,
        )
        if STRICTNESS[effect] > STRICTNESS[strictest]:
            strictest, explanations = effect, []
        if effect == strictest:
            explanations.append(f"{rule.name}: {hit.explanation}")
    return Verdict(strictest, tuple(explanations))


def _screened(call: ToolCall) -> ScreenedCall:
    earlier = ToolCall.objects.filter(run=call.run_id, operation=call.operation_id)
    digests = earlier.exclude(pk=call.pk).order_by("created_at", "pk")
    return ScreenedCall(
        agent=call.agent.slug,
        operation=call.operation.reference,
        arguments_digest=call.arguments_digest,
        earlier_in_run=list(digests.values_list("arguments_digest", flat=True)),
    )

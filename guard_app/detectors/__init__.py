"""Detectors: pure functions from a call and facts about earlier ones to a hit or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guard_app.detectors import content, counting, flow, learned
from guard_app.facts import Facts, Hit, Need, Rule, ScreenedCall
from guard_app.states import Detector


@dataclass(frozen=True, slots=True)
class DetectorFunctions:
    """One detector.

    Args:
        needs: the facts that it asks for.
        judge: a hit, or None; raises `DetectorFailed` where it cannot say.
    """

    needs: Callable[[ScreenedCall, Rule], Sequence[Need]]
    judge: Callable[[ScreenedCall, Rule, Facts], Hit | None]


def _nothing(call: ScreenedCall, rule: Rule) -> Sequence[Need]:
    return ()


DETECTORS: dict[str, DetectorFunctions] = {
    Detector.CONDITION: DetectorFunctions(flow.condition_needs, flow.condition),
    Detector.CALL_COUNT: DetectorFunctions(counting.call_count_needs, counting.call_count),
    Detector.REPEATED_CALL: DetectorFunctions(counting.repeated_call_needs, counting.repeated_call),
    Detector.BUDGET: DetectorFunctions(counting.budget_needs, counting.budget),
    Detector.RATE_BASELINE: DetectorFunctions(learned.rate_needs, learned.rate_baseline),
    Detector.VALUE_RANGE: DetectorFunctions(learned.value_range_needs, learned.value_range),
    Detector.NEW_VALUE: DetectorFunctions(learned.new_value_needs, learned.new_value),
    Detector.NEW_OPERATION: DetectorFunctions(learned.new_operation_needs, learned.new_operation),
    Detector.OFF_HOURS: DetectorFunctions(_nothing, flow.off_hours),
    Detector.FAILURE_BURST: DetectorFunctions(counting.failure_burst_needs, counting.failure_burst),
    Detector.SENSITIVE_DATA: DetectorFunctions(_nothing, content.sensitive_data),
    Detector.INJECTION: DetectorFunctions(_nothing, content.injection),
    Detector.CHAIN: DetectorFunctions(flow.chain_needs, flow.chain),
}

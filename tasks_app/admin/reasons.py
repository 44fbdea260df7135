"""Why a person is asked, as a card says it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks_app.admin.text import one_line, visible
from tasks_app.models import UserTask

# What a detector says of a hit: sentences for people, and no values of a condition.
IN_WORDS = {"seen": "Seen:", "usual": "Usual:"}


@dataclass(frozen=True, slots=True)
class Looked:
    """A value that a rule looked at.

    Args:
        name: of the value, or what the words are about.
        text: the value, or the words.
        in_words: whether it is for reading, and no value of a name.
    """

    name: str
    text: str
    in_words: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person is asked: a rule, and the values that it looked at."""

    rule: str
    outcome: str
    facts: Sequence[Looked]
    detail: str = ""


def reasons_of(task: UserTask) -> list[Reason]:
    """The reasons that a task was made for."""
    reasons = []
    for why in task.why or []:
        facts = [_looked(fact["path"], fact["value"]) for fact in why.get("facts", [])]
        rule, outcome = one_line(why.get("rule", ""), 400), why.get("outcome", "")
        reasons.append(Reason(rule, outcome, facts, one_line(why.get("detail", ""), 400)))
    return reasons


def _looked(path: str, value: Any) -> Looked:
    if path in IN_WORDS and isinstance(value, str):
        return Looked(IN_WORDS[path], one_line(value, 400), in_words=True)
    return Looked(visible(path), one_line(json.dumps(value, ensure_ascii=False)))

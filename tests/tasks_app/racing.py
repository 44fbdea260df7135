"""Races with real threads, a barrier, and a connection for each who takes part."""

import os
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

ROUNDS = int(os.environ.get("ASSENT_RACE_ROUNDS", "5"))
"""How often each race is run; `make races` runs each 300 times."""

Act = Callable[[], Any]


def race(*acts: Act) -> list[Any]:
    """Do all at once, each on a connection of its own; answers and errors in their order."""
    barrier, answers = threading.Barrier(len(acts)), [None] * len(acts)

    def go(position: int, act: Act) -> None:
        barrier.wait()
        try:
            answers[position] = act()
        except Exception as error:
            answers[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=pair) for pair in enumerate(acts)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return answers


def codes(answers: list[Any]) -> list[str]:
    """Of each answer, the code of its refusal, the name of its error, or `won`."""
    return sorted(
        getattr(answer, "code", type(answer).__name__) if isinstance(answer, Exception) else "won"
        for answer in answers
    )

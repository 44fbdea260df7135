"""A support agent that refunds, in plain HTTP: 40 € goes out at once, 900 € waits for a person.

    export ASSENT_URL=http://127.0.0.1:8000 ASSENT_KEY=…   # a key with the scope `runs`
    python refund_agent.py order-7

Everything is asked for under a key that begins with the job's name. So the script can be killed
at any moment and started again: it finds its session, its run and its calls, and no refund is
made twice.
"""

import os
import sys
import time
from typing import Any

import httpx2

JOB = sys.argv[1] if len(sys.argv) > 1 else "order-7"
ENDED = {"succeeded", "failed", "rejected", "blocked", "timed_out", "cancelled", "unknown"}

api = httpx2.Client(
    base_url=os.environ.get("ASSENT_URL", "http://127.0.0.1:8000") + "/api/v1/",
    headers={"Authorization": f"Bearer {os.environ['ASSENT_KEY']}"},
    timeout=60,
)


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask until the server answers; the keys in the bodies make it safe to ask again."""
    while True:
        try:
            answer = api.request(method, path, json=body)
        except httpx2.TransportError as error:
            print(f"Assent is away ({error}); asking again.", file=sys.stderr)
        else:
            if answer.is_success:
                shown: dict[str, Any] = answer.json()
                return shown
            if answer.status_code < 500 and answer.status_code != 429:
                problem = answer.json()
                sys.exit(f"Refused ({problem['code']}): {problem['detail']}")
        time.sleep(1)


def refund(run: dict[str, Any], charge: str, amount: int) -> None:
    """Ask for a refund, wait for as long as it takes, and say what came of it."""
    call = ask(
        "POST",
        "tool-calls",
        {
            "run": run["id"],
            "operation": "payments.refund",
            "arguments": {"charge": charge, "amount": amount},
            "key": f"{JOB}/{charge}",
            "reason": "The parcel arrived broken.",
        },
    )
    if call["status"] == "awaiting_approval":
        print(f"{amount} € for {charge} waits for a person: {call['url']}", flush=True)
    while call["status"] not in ENDED:
        call = ask("GET", f"tool-calls/{call['id']}?wait=30")
    if call["status"] == "succeeded":
        print(f"{amount} € for {charge}: refunded as {call['result']['body']['id']}", flush=True)
    else:
        reason = (call["error"] or {}).get("detail")
        print(f"{amount} € for {charge}: {call['status']}: {reason}", flush=True)


def main() -> None:
    session = ask("POST", "sessions", {"agent": "support", "key": JOB, "title": f"Job {JOB}"})
    run = ask("POST", "runs", {"session": session["id"], "key": JOB})
    refund(run, f"{JOB}-small", 40)
    refund(run, f"{JOB}-large", 900)
    if run["ended_at"] is None:
        ask("POST", f"runs/{run['id']}/complete")
    if session["ended_at"] is None:
        ask("POST", f"sessions/{session['id']}/end")


if __name__ == "__main__":
    main()

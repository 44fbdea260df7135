"""What is measured, each as one function that returns figures."""

import asyncio
import contextlib
import os
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks.wire import Line

Figures = dict[str, float]
API = "/api/v1"
SETTLE_SECONDS = 0.02
"""After so long a waiter that was just sent is parked."""


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values: Sequence[float], name: str) -> Figures:
    return {
        f"{name} p50 ms": round(1000 * statistics.median(values), 2),
        f"{name} p99 ms": round(1000 * quantile(values, 0.99), 2),
    }


async def open_run(agent: Line) -> str:
    session = await agent.ask("POST", f"{API}/sessions", {"agent": "support"})
    run = await agent.ask("POST", f"{API}/runs", {"session": session["id"]})
    return str(run["id"])


class Asked:
    """What waits for a person, and how to wait for what becomes of it."""

    def __init__(self, agent: Line, run: str, *, call: bool) -> None:
        self.agent, self.run, self.call = agent, run, call
        self.task = self.path = ""

    async def ask(self) -> "Asked":
        if self.call:
            body = {
                "run": self.run,
                "operation": "payments.refund",
                "arguments": {"charge": "ch_1", "amount": 900},
            }
            made = await self.agent.ask("POST", f"{API}/tool-calls", body)
            self.task, self.path = made["task"], f"{API}/tool-calls/{made['id']}"
        else:
            body = {"run": self.run, "title": "May I?"}
            made = await self.agent.ask("POST", f"{API}/tasks", body)
            self.task, self.path = made["id"], f"{API}/tasks/{made['id']}/result"
        return self


async def decision_to_result(
    port: int, keys: tuple[str, str], *, rounds: int, parked: int = 0, call: bool = False
) -> list[float]:
    """Seconds from sending a decision to the end of the waiting agent's answer.

    Args:
        port: of the web process.
        keys: of the agent and of the person.
        rounds: how many decisions, one after another.
        parked: how many other agents wait all the while.
        call: wait for the result of an executed call, not for the decision alone.
    """
    took = []
    async with (
        Line(port, keys[0]) as agent,
        Line(port, keys[1]) as person,
        parked_agents(port, keys[0], parked),
    ):
        run = await open_run(agent)
        for _ in range(rounds):
            asked = await Asked(agent, run, call=call).ask()
            agent.begin("GET", f"{asked.path}?wait=30")
            await asyncio.sleep(SETTLE_SECONDS)
            begun = time.perf_counter()
            person.begin("POST", f"{API}/tasks/{asked.task}/approve", {})
            answer = await agent.end("wait")
            took.append(time.perf_counter() - begun)
            await person.end("approve")
            assert answer["status"] in ("completed", "succeeded"), answer
    return took


@contextlib.asynccontextmanager
async def parked_agents(port: int, key: str, number: int):  # type: ignore[no-untyped-def]
    """So many agents that wait for tasks of their own, until the context ends."""
    lines: list[Line] = []
    async with contextlib.AsyncExitStack() as stack:
        if number:
            agent = await stack.enter_async_context(Line(port, key))
            asked = await Asked(agent, await open_run(agent), call=False).ask()
            for _ in range(number):
                line = await stack.enter_async_context(Line(port, key))
                line.begin("GET", f"{asked.path}?wait=60")
                lines.append(line)
                if len(lines) % 50 == 0:
                    # Each is answered once by a view before it is parked.
                    await asyncio.sleep(0.3)
            await asyncio.sleep(1.0)
        yield lines


async def per_second(
    port: int, keys: tuple[str, str], process: int, *, clients: int, seconds: float
) -> Figures:
    """Tasks created and decided in a second, how long each took, and the web process's work.

    The processor time, unlike the rest, says the same on a machine that does other things too.
    """
    created: list[float] = []
    decided: list[float] = []

    async def work() -> None:
        async with Line(port, keys[0]) as agent, Line(port, keys[1]) as person:
            run = await open_run(agent)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                begun = time.perf_counter()
                asked = await Asked(agent, run, call=False).ask()
                between = time.perf_counter()
                await person.ask("POST", f"{API}/tasks/{asked.task}/approve", {})
                created.append(between - begun)
                decided.append(time.perf_counter() - between)

    begun, worked = time.perf_counter(), processor_seconds(process)
    await asyncio.gather(*(work() for _ in range(clients)))
    rate = len(decided) / (time.perf_counter() - begun)
    worked = processor_seconds(process) - worked
    return {
        f"create+decide/s, {clients} clients": round(rate, 1),
        f"CPU ms per create+decide, {clients} clients": round(1000 * worked / len(decided), 2),
        **milliseconds(created, f"create, {clients} clients"),
        **milliseconds(decided, f"decide, {clients} clients"),
    }


async def memory_per_waiter(port: int, key: str, process: int, *, waiters: int) -> Figures:
    """KiB of the web process for each parked agent."""
    allow_files(waiters + 1000)
    async with parked_agents(port, key, 20):
        await asyncio.sleep(0.5)
    before = resident_kib(process)
    async with parked_agents(port, key, waiters):
        during = resident_kib(process)
    return {f"KiB per parked agent, {waiters}": round((during - before) / waiters, 1)}


async def behind_decisions(
    port: int, keys: tuple[str, str], *, waiters: int, own: int, clients: int
) -> Figures:
    """How long after the answer to a decision the agent that waits for it has its own.

    Args:
        port: of the web process.
        keys: of the agents and of the people.
        waiters: agents that wait, asking again whenever their time is over.
        own: how many of them wait for a task of their own, which is decided.
        clients: people who decide at once, as fast as they can.
    """
    allow_files(waiters + 1000)
    decided: dict[str, float] = {}
    arrived: dict[str, float] = {}

    async with Line(port, keys[0]) as asking:
        run = await open_run(asking)
        asked = [await Asked(asking, run, call=False).ask() for _ in range(own + 1)]

        async def wait(question: Asked) -> None:
            async with Line(port, keys[0]) as line:
                while True:
                    answer = await line.ask("GET", f"{question.path}?wait=60")
                    if answer["status"] != "pending":
                        arrived[question.task] = time.perf_counter()
                        return

        async def decide(share: Sequence[Asked]) -> None:
            async with Line(port, keys[1]) as person:
                for question in share:
                    await person.ask("POST", f"{API}/tasks/{question.task}/approve", {})
                    decided[question.task] = time.perf_counter()

        waiting, every = [], max(1, waiters // own)
        for number in range(waiters):
            # Those who wait for what nobody decides stand between those who do not.
            place, mine = divmod(number, every)
            question = asked[place] if mine == 0 and place < own else asked[own]
            waiting.append(asyncio.create_task(wait(question)))
            if number % 50 == 49:
                await asyncio.sleep(0.3)
        await asyncio.sleep(1.0)
        begun = time.perf_counter()
        await asyncio.gather(*(decide(asked[place:own:clients]) for place in range(clients)))
        rate = own / (time.perf_counter() - begun)
        until = time.perf_counter() + 30
        while len(arrived) < own and time.perf_counter() < until:
            await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    broken = [error for error in ended if isinstance(error, Exception)]
    assert not broken, f"{len(broken)} waiters were refused: {broken[0]!r}"
    assert len(arrived) == own, f"{own - len(arrived)} waiters heard nothing"
    late = [max(0.0, arrived[task] - at) for task, at in decided.items()]
    name = f"behind its decision, {waiters} parked"
    return {
        f"decided/s, {waiters} parked": round(rate, 1),
        **milliseconds(late, name),
        f"{name} most ms": round(1000 * max(late), 2),
    }


def processor_seconds(process: int) -> float:
    """What a process and those that it started have worked so far."""
    total = 0.0
    for entry in Path(f"/proc/{process}/task").iterdir():
        for child in (entry / "children").read_text().split():
            total += processor_seconds(int(child))
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return total + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


async def pair_figures(
    port: int, database_url: str, process: int, *, rounds: int, seconds: float
) -> Figures:
    """The yardstick: the featureless pair of endpoints."""
    took = []
    listener = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    await listener.execute("LISTEN pair")
    news = listener.notifies()
    async with Line(port) as line:
        for _ in range(rounds):
            made = await line.ask("POST", "/items", {"title": "May I?"})
            heard = asyncio.ensure_future(anext(news))
            await asyncio.sleep(SETTLE_SECONDS)
            begun = time.perf_counter()
            line.begin("POST", f"/items/{made['id']}/decide", {"comment": "fine"})
            await heard
            took.append(time.perf_counter() - begun)
            await line.end("decide")
    await listener.close()
    figures = milliseconds(took, "decision → result")
    for clients in (1, 8):
        done = 0

        async def work() -> None:
            nonlocal done
            async with Line(port) as own:
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    made = await own.ask("POST", "/items", {"title": "May I?"})
                    await own.ask("POST", f"/items/{made['id']}/decide", {"comment": "fine"})
                    done += 1

        begun, worked = time.perf_counter(), processor_seconds(process)
        await asyncio.gather(*(work() for _ in range(clients)))
        rate = done / (time.perf_counter() - begun)
        worked = processor_seconds(process) - worked
        figures[f"CPU ms per create+decide, {clients} clients"] = round(1000 * worked / done, 2)
        figures[f"create+decide/s, {clients} clients"] = round(rate, 1)
    return figures


async def bare_figures(database_url: str, *, rounds: int, seconds: float) -> Figures:
    """The limit: insert, commit; update, commit, NOTIFY; wake; by psycopg alone."""
    insert = "INSERT INTO item VALUES (gen_random_uuid(), 'May I?', 'pending', '') RETURNING id"
    update = "UPDATE item SET status = 'completed' WHERE id = %s AND status = 'pending'"
    listener = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    await listener.execute("LISTEN bare")
    news = listener.notifies()
    took = []

    async def cycle(own: psycopg.AsyncConnection, *, timed: bool) -> None:
        row = await (await own.execute(insert)).fetchone()
        heard = asyncio.ensure_future(anext(news)) if timed else None
        if heard:
            await asyncio.sleep(SETTLE_SECONDS)
        begun = time.perf_counter()
        await own.execute(update, row)
        await own.execute("SELECT pg_notify('bare', %s::text)", row)
        if heard:
            await heard
            took.append(time.perf_counter() - begun)

    own = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    for _ in range(rounds):
        await cycle(own, timed=True)
    await own.close()
    await listener.close()
    figures = milliseconds(took, "decision → result")
    for clients in (1, 8):
        done = 0

        async def work() -> None:
            nonlocal done
            line = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await cycle(line, timed=False)
                done += 1
            await line.close()

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(clients)))
        rate = done / (time.perf_counter() - begun)
        figures[f"create+decide/s, {clients} clients"] = round(rate, 1)
    return figures

"""The asyncio colour of the client; what it has in common with the other is tested there."""

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from assent_client import AsyncAssent, Rejected, StillWaiting
from tests.client.conftest import PATIENCE, World


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 3 * PATIENCE))


DONE = json.dumps(
    {
        "task": "t",
        "status": "completed",
        "completed": True,
        "timed_out": False,
        "performed_action": "approve",
    }
).encode()


async def pending(assent: AsyncAssent, run_id: str) -> str:
    """The run's one pending task, as soon as it is there."""
    end = time.monotonic() + PATIENCE
    while not (found := [t async for t in assent.tasks.list(status="pending", run=run_id)]):
        assert time.monotonic() < end, "no task came"
        await asyncio.sleep(0.05)
    (task,) = found
    return task.id


def test_a_call_waits_while_other_work_goes_on(world: World, job: str) -> None:
    async def work() -> None:
        async with (
            world.async_assent() as assent,
            world.async_assent("decide,read") as decider,
            assent.open_session("support", key=job) as session,
            session.open_run(key=job) as opened,
        ):
            arguments = {"charge": job, "amount": 900}
            asked = asyncio.create_task(opened.call("payments.refund", arguments))
            task = await pending(assent, opened.id)
            assert not asked.done()
            await decider.task(task).approve("fine")
            assert (await asked).body["amount"] == 900
        async with world.async_assent() as assent:
            assert (await assent.run(opened.id).info())["status"] == "completed"

    run(work())


def test_many_wait_at_once(world: World) -> None:
    async def work() -> None:
        async with world.async_assent() as assent, world.async_assent("decide,read") as decider:
            tasks = [await assent.tasks.start(f"T{n}", agent="support") for n in range(20)]
            results = [asyncio.create_task(task.result(PATIENCE)) for task in tasks]
            await asyncio.sleep(0.2)
            for task in tasks:
                await decider.task(task.id).approve(task.id)
            assert [result.comment for result in await asyncio.gather(*results)] == [
                task.id for task in tasks
            ]

    run(work())


@pytest.mark.enable_socket
def test_more_wait_at_once_than_a_pool_usually_holds() -> None:
    """The server answers nobody before 150 wait: a pool of 100 would starve the others."""
    everybody = asyncio.Event()
    waiting = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        await reader.readuntil(b"\r\n\r\n")
        waiting += 1
        if waiting == 150:
            everybody.set()
        await everybody.wait()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(DONE)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + DONE)
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=200)
        port = server.sockets[0].getsockname()[1]
        async with server, AsyncAssent(f"http://127.0.0.1:{port}", "key") as assent:
            waits = (assent.task(f"t{n}").result() for n in range(150))
            results = await asyncio.wait_for(asyncio.gather(*waits), 20)
        assert [result.performed_action for result in results] == ["approve"] * 150

    run(work())


def test_a_cancelled_job_leaves_its_keyed_run_open(world: World, job: str) -> None:
    async def ask(assent: AsyncAssent, found: list[str]) -> None:
        async with (
            assent.open_session("support", key=job) as session,
            session.open_run(key=job) as opened,
        ):
            found.append(opened.id)
            await opened.tasks.create_and_wait("Order", key=job)

    async def work() -> None:
        async with world.async_assent() as assent:
            found: list[str] = []
            asked = asyncio.create_task(ask(assent, found))
            while not found:
                await asyncio.sleep(0.01)
            await pending(assent, found[0])
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert (await assent.run(found[0]).info())["status"] == "waiting"

    run(work())


@pytest.mark.parametrize("colour", ["async", "sync"])
def test_gated_functions_of_both_colours(world: World, job: str, colour: str) -> None:
    ran: list[str] = []

    async def work() -> None:
        async with (
            world.async_assent() as assent,
            world.async_assent("decide,read") as decider,
            assent.open_session("support", key=job) as session,
            session.open_run(key=job) as opened,
        ):
            gate = assent.requires_approval("local.wipe", key=job, timeout=PATIENCE)

            @gate
            async def wipe(path: str) -> str:
                ran.append(path)
                return path

            @gate
            def wipe_in_a_thread(path: str) -> str:
                ran.append(path)
                return path

            gated = wipe if colour == "async" else wipe_in_a_thread
            asked = asyncio.create_task(gated("/tmp/a"))
            task = await pending(assent, opened.id)
            assert ran == []
            await decider.task(task).approve()
            assert await asked == "/tmp/a"
            assert await gated("/tmp/a") == "/tmp/a"

    run(work())
    assert ran == ["/tmp/a"]


def test_a_rejection_and_a_lost_patience_are_raised(world: World, job: str) -> None:
    async def work() -> None:
        async with (
            world.async_assent() as assent,
            world.async_assent("decide,read") as decider,
            assent.open_session("support") as session,
            session.open_run() as opened,
        ):
            call = await opened.start_call("payments.refund", {"charge": job, "amount": 900})
            with pytest.raises(StillWaiting):
                await call.result(0.1)
            await decider.task(await pending(assent, opened.id)).reject("No.")
            with pytest.raises(Rejected, match="No"):
                await call.result(PATIENCE)

    run(work())

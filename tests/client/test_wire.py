"""Requests that fail: what is repeated, what is not, and what is said in the end."""

import json
from collections.abc import Callable, Iterator

import httpx2
import pytest

from assent_client import (
    AlreadyCompleted,
    ApiError,
    Assent,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    SelfReviewForbidden,
    StillWaiting,
    TasksNotEnabled,
    Unreachable,
    errors,
)
from assent_client.retrying import Pauses, retry_after
from tests.harness.server import PROJECT

Step = httpx2.Response | Exception
TASK = {
    "id": "t1",
    "kind": "approval",
    "status": "pending",
    "title": "T",
    "agent": "support",
    "session": "s1",
    "run": "r1",
    "actions": [{"name": "approve"}],
    "revision": 1,
    "url": "http://assent.test/t1",
}


class Script:
    """A server that answers step by step, and notes what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.asked]


def client(script: Script, patience: float = 60.0) -> Assent:
    transport = httpx2.MockTransport(script)
    return Assent("http://assent.test", "key", patience=patience, transport=transport)


def problem(status: int, code: str, **facts: object) -> httpx2.Response:
    body = {"status": status, "code": code, "detail": f"It is {code}.", **facts}
    return httpx2.Response(status, json=body, headers={"X-Request-ID": "req-7"})


def ok(**members: object) -> httpx2.Response:
    return httpx2.Response(200, json={**TASK, **members})


RESET = httpx2.ReadError("reset by peer")
REFUSED = httpx2.ConnectError("refused")
AWAY = httpx2.Response(503, headers={"Retry-After": "7"})


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Nothing is slept; every pause is noted as failures in a row and the server's wish."""
    noted: list[tuple[int, float]] = []

    def after(_: Pauses, failures: int, *, asked_for: float = 0.0) -> float:
        noted.append((failures, asked_for))
        return 0.0

    monkeypatch.setattr(Pauses, "after", after)
    return noted


def test_a_post_is_repeated_with_the_same_key_until_it_is_answered(
    pauses: list[tuple[int, float]],
) -> None:
    script = Script(
        RESET, AWAY, REFUSED, problem(409, "in_progress"), httpx2.Response(500), ok(status="x")
    )
    client(script).tasks.start("T", agent="support")
    assert len(script.asked) == 6
    assert len(set(script.keys)) == 1
    assert script.keys[0]
    assert len({request.content for request in script.asked}) == 1
    assert pauses == [(1, 0.0), (2, 7.0), (3, 0.0), (4, 0.0), (5, 0.0)]


def test_two_posts_have_two_keys() -> None:
    script = Script(ok(), ok())
    assent = client(script)
    assent.task("t1").approve()
    assent.task("t1").approve()
    assert len(set(script.keys)) == 2


@pytest.mark.parametrize("act", ["extend"])
def test_what_takes_no_key_is_repeated_only_if_it_was_never_sent(act: str) -> None:
    script = Script(REFUSED, AWAY, RESET)
    with pytest.raises(Unreachable, match="reset by peer"):
        getattr(client(script).task("t1"), act)(60)
    assert len(script.asked) == 3


def test_an_end_that_was_reached_by_a_lost_answer_is_no_error() -> None:
    script = Script(RESET, problem(409, "run_ended"))
    client(script).run("r1").complete()
    assert len(script.asked) == 2


def test_an_end_that_somebody_else_reached_is_one() -> None:
    for steps in ([problem(409, "run_ended")], [REFUSED, problem(409, "run_ended")]):
        with pytest.raises(errors.RunEnded):
            client(Script(*steps)).run("r1").complete()


def test_a_draft_that_was_saved_by_a_lost_answer_is_saved() -> None:
    now = {**TASK, "revision": 2, "draft": "mine"}
    script = Script(RESET, problem(409, "stale_revision", task=now))
    assert client(script).task("t1").update_draft("mine", revision=1) == 2
    theirs = Script(RESET, problem(409, "stale_revision", task={**now, "draft": "theirs"}))
    with pytest.raises(errors.StaleRevision):
        client(theirs).task("t1").update_draft("mine", revision=1)


def test_an_outage_is_said_once_and_not_passed_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(REFUSED, REFUSED, ok(), AWAY, ok())
    assent = client(script)
    assent.task("t1").info()
    assent.task("t1").info()
    assert [record.getMessage() for record in caplog.records] == [
        "No answer from assent.test (GET tasks/t1: refused); asking again for up to 60 seconds."
    ]


@pytest.mark.parametrize("key", ["assent_\u2026", "assent_a\n"])
def test_what_cannot_be_a_key_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="copy it whole"):
        Assent("http://assent.test", key)


def test_patience_has_an_end() -> None:
    script = Script(RESET)
    with pytest.raises(Unreachable, match="GET tasks/t1: reset by peer") as raised:
        client(script, patience=-1).task("t1").info()
    assert isinstance(raised.value.__cause__, httpx2.ReadError)
    with pytest.raises(errors.ServerError):
        client(Script(httpx2.Response(502)), patience=-1).task("t1").info()
    with pytest.raises(errors.Throttled):
        client(Script(problem(429, "throttled")), patience=-1).task("t1").info()


def test_what_will_never_work_is_said_at_once() -> None:
    script = Script(httpx2.UnsupportedProtocol("ftp"))
    with pytest.raises(Unreachable):
        client(script).task("t1").info()
    with pytest.raises(Unreachable):
        client(Script(httpx2.UnsupportedProtocol("ftp"))).task("t1").result()
    with pytest.raises(ApiError, match="no JSON"):
        client(Script(httpx2.Response(200, text="<html>"))).task("t1").info()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "not_authenticated", NotAuthenticated),
        (403, "self_review_forbidden", SelfReviewForbidden),
        (403, "tasks_not_enabled", TasksNotEnabled),
        (403, "something_new", Forbidden),
        (404, "not_found", NotFound),
        (409, "already_completed", AlreadyCompleted),
        (409, "something_new", errors.Conflict),
        (422, "not_found", Invalid),
        (422, "something_new", Invalid),
        (428, "revision_required", errors.RevisionRequired),
    ],
)
def test_each_refusal_has_its_class(status: int, code: str, kind: type[ApiError]) -> None:
    script = Script(problem(status, code, errors=[{"field": "a", "code": code, "detail": "d"}]))
    with pytest.raises(ApiError, match=f"{code}: It is {code}.") as raised:
        client(script).task("t1").info()
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, code, "req-7")
    assert len(script.asked) == 1


def documented() -> set[tuple[int, str]]:
    """Every status and code with which the contract refuses."""
    document = json.loads((PROJECT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    return {
        (int(status), code)
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        for media in answer.get("content", {}).values()
        for part in media.get("schema", {}).get("allOf", [])
        for code in part.get("properties", {}).get("code", {}).get("enum", [])
    }


def test_every_code_of_the_contract_has_a_class_or_falls_under_its_status() -> None:
    known = documented()
    assert set(errors.BY_CODE) <= {code for _, code in known}, "a code that is no more"
    for status, code in known:
        kind = type(errors.refusal(status, {"code": code}))
        if code in errors.BY_CODE:
            assert kind is errors.BY_CODE[code], (status, code)
        elif status in errors.BY_STATUS:
            assert kind is errors.BY_STATUS[status], (status, code)
        else:
            assert kind is (errors.ServerError if status >= 500 else ApiError), (status, code)


def test_every_code_has_a_class_of_the_right_status() -> None:
    for kind in errors.BY_CODE.values():
        assert issubclass(kind, ApiError)
        assert kind.__doc__


def test_waiting_goes_on_through_everything_that_heals(pauses: list[tuple[int, float]]) -> None:
    done = {
        "task": "t1",
        "status": "completed",
        "completed": True,
        "timed_out": False,
        "performed_action": "approve",
    }
    pending = httpx2.Response(200, json={**done, "status": "pending", "completed": False})
    script = Script(
        RESET,
        *[httpx2.Response(status) for status in (500, 502, 503, 504)],
        REFUSED,
        pending,
        pending,
        problem(429, "throttled"),
        httpx2.RemoteProtocolError("closed"),
        httpx2.Response(200, json=done),
    )
    result = client(script, patience=-1).task("t1").result()
    assert result.performed_action == "approve"
    assert {request.url.params["wait"] for request in script.asked} == {"25.000"}
    assert [failures for failures, _ in pauses] == list(range(1, 11))


@pytest.mark.parametrize(("status", "code"), [(401, "not_authenticated"), (404, "not_found")])
def test_waiting_ends_where_the_server_refuses_for_good(status: int, code: str) -> None:
    script = Script(RESET, problem(status, code))
    with pytest.raises(ApiError) as raised:
        client(script).task("t1").result()
    assert raised.value.code == code


def test_waiting_ends_when_the_callers_time_is_over() -> None:
    def away() -> Iterator[Step]:
        while True:
            yield RESET

    script = Script()
    script.steps = _Endless(away())
    with pytest.raises(StillWaiting) as raised:
        client(script).task("t1").result(0.05)
    assert raised.value.shown is None


class _Endless(list[Step]):
    def __init__(self, steps: Iterator[Step]) -> None:
        super().__init__()
        self._steps = steps

    def pop(self, *_: object) -> Step:
        return next(self._steps)


def test_a_key_is_required_and_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSENT_KEY", raising=False)
    with pytest.raises(ValueError, match="ASSENT_KEY"):
        Assent("http://assent.test")
    monkeypatch.setenv("ASSENT_KEY", "from the environment")
    monkeypatch.setenv("ASSENT_URL", "http://elsewhere.test/")
    script = Script(ok())
    Assent(transport=httpx2.MockTransport(script)).task("t1").info()
    assert script.asked[0].headers["Authorization"] == "Bearer from the environment"
    assert str(script.asked[0].url) == "http://elsewhere.test/api/v1/tasks/t1"


def test_other_requests_of_the_contract_can_be_made() -> None:
    script = Script(ok(), ok(), ok(), ok())
    assent = client(script)
    assent.request("GET", "operations", query={"limit": 1})
    assent.request("PUT", "agents/support", {"name": "Support"})
    assent.request("PATCH", "tasks/t1/metadata", {"a": 1})
    assent.request("POST", "webhooks/w/ping")
    assert [request.method for request in script.asked] == ["GET", "PUT", "PATCH", "POST"]
    assert script.asked[0].url.query == b"limit=1"
    assert json.loads(script.asked[1].content) == {"name": "Support"}
    with pytest.raises(ValueError, match="DELETE"):
        assent.request("DELETE", "tasks/t1")


def test_pages_follow_the_query_and_not_the_host() -> None:
    first = {"results": [TASK], "next": "http://inside/api/v1/tasks?cursor=c2&limit=100"}
    second = {"results": [{**TASK, "id": "t2"}], "next": None}
    script = Script(httpx2.Response(200, json=first), httpx2.Response(200, json=second))
    found = [task.id for task in client(script).tasks.list(status="pending")]
    assert found == ["t1", "t2"]
    assert script.asked[1].url.host == "assent.test"
    assert script.asked[1].url.params["cursor"] == "c2"


class TestPauses:
    """How long is paused; the fixture above replaces it, so it is taken from the class here."""

    @pytest.fixture
    def after(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
        monkeypatch.undo()
        return Pauses(first=0.25, longest=10.0).after

    def test_they_grow_to_a_bound_with_jitter(self, after: Callable[..., float]) -> None:
        for failures, bound in [(1, 0.25), (2, 0.5), (3, 1.0), (6, 8.0), (7, 10.0), (10_000, 10.0)]:
            drawn = [after(failures) for _ in range(50)]
            assert all(bound / 2 <= pause <= bound for pause in drawn)
            assert len(set(drawn)) > 1

    def test_they_are_no_shorter_than_the_server_asks(self, after: Callable[..., float]) -> None:
        assert after(1, asked_for=30.0) == 30.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("99999", 300.0)]
)
def test_retry_after_is_read_with_care(text: str, seconds: float) -> None:
    assert retry_after(httpx2.Headers({"Retry-After": text})) == seconds

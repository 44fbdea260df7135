"""The embedded home: secrets made once, for their owner alone."""

import json
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from config.home import (
    SECRET_NAMES,
    HomeError,
    demo_payments_port,
    ensure_home,
    load_home_secrets,
    port_is_free,
)

pytestmark = pytest.mark.enable_socket


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRET_NAMES, "ASSENT_DEMO_PAYMENTS_PORT"):
        # Set first, so that what a test leaves behind is taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_new_home_gets_private_secrets_that_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "deep" / "home"
    ensure_home(home)
    made = {name: os.environ[name] for name in SECRET_NAMES}
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == ["secrets.json"]
    assert len(made["SECRET_KEY"]) >= 50
    Fernet(made["ASSENT_ENCRYPTION_KEYS"])
    for name in SECRET_NAMES:
        monkeypatch.delenv(name)
    ensure_home(home)
    assert {name: os.environ[name] for name in SECRET_NAMES} == made
    assert load_home_secrets(home) == made


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "mine")
    ensure_home(tmp_path)
    assert os.environ["SECRET_KEY"] == "mine"
    assert load_home_secrets(tmp_path)["SECRET_KEY"] != "mine"


def test_with_all_secrets_given_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRET_NAMES:
        monkeypatch.setenv(name, "given")
    ensure_home(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load_home_secrets(tmp_path) == {}


def _secrets_made_by_a_process(home: Path) -> tuple[str, ...]:
    for name in SECRET_NAMES:
        os.environ.pop(name, None)
    ensure_home(home)
    return tuple(os.environ[name] for name in SECRET_NAMES)


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        for number in range(5):
            made = pool.map(_secrets_made_by_a_process, [tmp_path / str(number)] * 4)
            assert len(set(made)) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"SECRET_KEY": "x"}', '{"SECRET_KEY": 1}'])
def test_a_damaged_file_is_never_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(HomeError, match="restore it from a backup"):
        ensure_home(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == text


def test_lost_keys_of_a_database_are_not_made_up_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assent.sqlite3").touch()
    with pytest.raises(HomeError, match="restore it"):
        ensure_home(tmp_path)
    monkeypatch.setenv("ASSENT_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    ensure_home(tmp_path)
    assert json.loads((tmp_path / "secrets.json").read_text())["SECRET_KEY"]


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="cannot be used as ASSENT_HOME"):
        ensure_home(tmp_path / "file")


def test_the_demos_port_is_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = demo_payments_port(tmp_path)
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", chosen))
        taker.listen()
        assert not port_is_free("127.0.0.1", chosen)
        assert demo_payments_port(tmp_path) == chosen
    monkeypatch.setenv("ASSENT_DEMO_PAYMENTS_PORT", "8999")
    assert demo_payments_port(tmp_path) == 8999
    monkeypatch.setenv("ASSENT_DEMO_PAYMENTS_PORT", "none")
    with pytest.raises(HomeError, match="no port"):
        demo_payments_port(tmp_path)

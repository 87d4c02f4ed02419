"""What clients can make the server write into its log is bounded."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest

from hubbub import Hub, _logs
from support.server import Serve, until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(_logs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def failing(what: str, number: int) -> None:
    try:
        raise ValueError(number)
    except ValueError as error:
        logging.getLogger("hubbub").error(what, exc_info=error)


def test_ten_failures_a_second_are_written_and_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture, failures: list[logging.LogRecord], clock: list[float]
) -> None:
    told = threading.Event()
    caplog.handler.addFilter(lambda record: told.set() or True if "left out" in record.msg else True)
    for number in range(35):
        failing("in the hub", number)
    logging.getLogger("hubbub").warning("what is no failure is written")
    assert [record.exc_info[1].args[0] for record in failures if record.exc_info] == list(range(10))
    assert told.wait(10)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "what is no failure is written",
        "25 further failures within a second were left out here",
    ]
    clock[0] += 1
    failing("in the hub", 99)
    assert len(failures) == 11


def test_what_counts_is_counted_anew_after_a_renewal(failures: list[logging.LogRecord], clock: list[float]) -> None:
    for number in range(15):
        failing("before", number)
    _logs.failures.renew()
    failing("behind", 1)
    assert [record.msg for record in failures] == ["before"] * 10 + ["behind"]


@pytest.mark.anyio
async def test_a_client_cannot_fill_the_log(serve: Serve, failures: list[logging.LogRecord]) -> None:
    hub, closed = Hub(), []

    @hub.on_message
    def message(ws: object, data: str) -> None:
        raise ValueError(data)

    hub.on_close(lambda ws, code, reason: closed.append(ws))
    async with serve(hub) as server:
        for number in range(50):
            async with server.connect() as client:
                await client.send(str(number))
                assert (await client.ended())[0] == 1011
        await until(lambda: len(closed) == 50)
    # Ten in each second or part of one that it took, whatever that was.
    assert 10 <= len(failures) <= 50

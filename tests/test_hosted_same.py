"""What holds of a hub holds of one that another server hosts: the same tests, over uvicorn, and hypercorn on trio."""

from __future__ import annotations

import pytest

from support.hosts import Hosted
from test_closing import *  # noqa: F403
from test_receiving import *  # noqa: F403
from test_rooms import *  # noqa: F403
from test_sending import *  # noqa: F403

pytestmark = pytest.mark.anyio


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="uvicorn"),
        pytest.param(("trio", {}), id="hypercorn"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def serve(request: pytest.FixtureRequest, anyio_backend_name: str) -> Hosted:
    return Hosted("hypercorn" if anyio_backend_name == "trio" else "uvicorn")


#: What is different, and why. The guide says it, too ("Hosted by another server").
OURS = {
    "test_a_client_that_does_not_answer_a_close_is_dropped": "hosts do not tell whether it has answered",
    "test_waiting_for_the_close_can_be_cancelled": "nor when",
    "test_both_sides_may_close_at_once": "nor with which code",
    "test_abort_drops_the_connection_without_a_close_frame": "ASGI cannot drop a connection: it is closed with 1011",
    "test_a_coroutine_that_sends_after_abort_meets_the_same_end_every_time": "nor with another code, as above",
    "test_a_protocol_error_closes_with_1002_and_says_what_it_was": "frames are read by the host",
    "test_a_send_that_waits_can_be_cancelled_and_has_sent_its_message": "a message goes to the host as a whole",
    "test_text_that_is_no_utf8_closes_with_1007": "frames are read by the host",
}
HYPERCORN = dict.fromkeys(
    [
        "test_the_handler_sees_the_clients_code_and_reason",
        "test_async_for_ends_when_the_client_closes_in_an_orderly_way",
        "test_recv_raises_the_end_with_code_and_reason",
        "test_a_close_without_a_code_is_1005",
        "test_messages_that_came_before_the_end_are_received_first",
        "test_send_after_the_end_says_how_it_ended",
    ],
    "hypercorn says 1006 of every end that is the client's",
)


@pytest.fixture(autouse=True)
def _only_what_is_the_same(request: pytest.FixtureRequest, anyio_backend_name: str) -> None:
    different = OURS if anyio_backend_name == "asyncio" else OURS | HYPERCORN
    if (why := different.get(request.node.originalname)) is not None:
        pytest.skip(why)

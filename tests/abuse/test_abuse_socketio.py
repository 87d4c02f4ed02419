"""Packets of Socket.IO that are none, names that mean something elsewhere, answers that do not come, and clients that
ask for too much (rows 32, 33, 39, 40, 43, 44; F25)."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from polls import Polls
from process import Serve, Server, eventually
from talk import OFFENDED, Peer, packets

MEBIBYTE = 1 << 20


def placeholder(num: str) -> str:
    return '51-["echo",{"_placeholder":true,"num":%s}]' % num  # noqa: UP031


# ---- rows 32, 33 and 43: packets

NUMS = ["10", "1", "-1", '"splice"', '"0"', "true", "1.0", "0.0", "null", "[]", "1e0", "99999999999999999999"]
BAD_PLACEHOLDERS: list[list[str | bytes]] = [[placeholder(num), b"x"] for num in NUMS]
BAD_NAMES: list[list[str | bytes]] = [
    ["2[]"],
    ["2{}"],
    ['2"echo"'],
    ["2null"],
    ["2"],
    ["2[null]"],
    ["2[true]"],
    ["2[[]]"],
    ['2[{"toString":"x"}]'],
    ['2["connect"]'],
    ['2["\\u0063onnect"]'],
    ['2["disconnecting",1]'],
]
BAD_ATTACHMENTS: list[list[str | bytes]] = [
    ['5999999999-["echo"]'],
    ["5" + "9" * 100_000 + '-["echo"]'],
    ['511-["echo"]'],
    ['611-["echo"]'],
    ['50-["echo"]'],
    ['5-["echo"]'],
    ['51["echo"]'],
    ['5-1-["echo"]'],
    ['51-/other,["echo",{"_placeholder":true,"num":0}]'],
    [b"x"],
    [b""],
    [placeholder("0"), '2["echo"]'],
    [placeholder("0"), b"x", b"y"],
    [placeholder("0"), b"x" * 999_990],
    ['52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"x" * 600_000, b"x" * 600_000],
]
BAD_JSON: list[list[str | bytes]] = [
    ['2["echo",' + "[" * 100_000 + "]" * 100_000 + "]"],
    ['2["echo",' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "]"],
    ["2" + "[" * 500_000],
    ['2["echo",' + "1" * 900_000 + "]"],
    ['2["echo",-' + "1" * 5000 + "]"],
    ['2["echo",1e' + "9" * 5000 + "]"],
    ["2[" + "1" * 5000 + "]"],
    ['2["echo",NaN]'],
    ['2["echo",-Infinity]'],
    ['2["echo","\\ud8"]'],
    ['2["echo",\\ud800]'],
    ['2["echo","\t"]'],
    ['2["echo",01]'],
    ['2["echo",+1]'],
    ["2['echo']"],
    ['2["echo",]'],
    ['2["echo"]x'],
    ['2["echo"][]'],
    ["2\ufeff[]"],
    ["2[" + "1," * 400_000 + "1]"],
]
OFFENCES = {
    "row 32: placeholder": BAD_PLACEHOLDERS,
    "row 32: event": BAD_NAMES,
    "row 33: attachments": BAD_ATTACHMENTS,
    "row 43: JSON": BAD_JSON,
}


@pytest.mark.parametrize("name", OFFENCES)
def test_rows_32_33_43_what_is_no_packet_ends_its_senders_connection_only(talking: Server, name: str) -> None:
    with Peer(talking) as other:
        other.join()
        for offence in OFFENCES[name]:
            with Peer(talking) as peer:
                peer.join()
                # What comes behind it in the same write is not heard.
                peer.send(*offence, '2["tell","not heard"]')
                assert peer.ended() == OFFENDED, offence
            other.is_well()


@pytest.mark.parametrize("name", OFFENCES)
def test_rows_32_33_43_the_same_by_polls(talking: Server, name: str) -> None:
    with Peer(talking) as other:
        other.join()
        for offence in OFFENCES[name]:
            with Polls(talking) as polls:
                polls.join()
                written = [
                    "4" + one if isinstance(one, str) else f"b{base64.b64encode(one).decode()}" for one in offence
                ]
                status, _ = polls.say(*written)
                assert status in (200, 400, 413), offence
                # Of a body that is too large nothing was taken, and the session stays.
                assert status == 413 or eventually(lambda polls=polls: not polls.is_there()), offence
            other.is_well()


def posted(packet: str | bytes) -> str:
    return "4" + packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()


def test_row_43_what_is_legal_comes_back_to_everyone_as_it_was(talking: Server) -> None:
    values = [
        [[[[[[]]]]]],
        2**53,
        -(2**63),
        10**300,
        1e308,
        5e-324,
        "\U0001f600",
        "\u0000\u001e\u2028\u2029</script>",
        {"__proto__": {"toString": 1}, "constructor": "x", "": None},
        {"_placeholder": False, "num": 0},
        "x" * 900_000,
    ]
    with Peer(talking) as one, Peer(talking) as other, Polls(talking) as polls:
        one.join(), other.join(), polls.join()
        for value in values:
            one.emit("tell", value)
            assert one.event() == other.event() == ["told", value]
            (packet,) = polls.heard(1)
            assert json.loads(packet[2:]) == ["told", value]
        nested = "[" * 62 + "]" * 62
        one.send(f'2["tell",{nested}]')
        assert one.recv() == other.recv() == f'2["told",{nested}]'
        polls.heard(1)


def test_row_33_unfinished_packets_are_freed_with_their_connections(talking: Server) -> None:
    written = packets('52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"x" * 100_000)

    def leave_in_the_middle(times: int) -> None:
        for number in range(times):
            with Peer(talking) as peer:
                peer.join()
                peer.wire.send(written)
                if number % 2:
                    peer.wire.reset()
                else:
                    # Something else than what is due: it ends by the server.
                    peer.send("1")
                    peer.ended()

    leave_in_the_middle(50)
    before = talking.memory()
    leave_in_the_middle(400)
    assert eventually(lambda: talking.report()["socketio"]["clients"] == 0)
    assert talking.report()["socketio"]["unfinished"] == 0
    grown = talking.memory() - before
    assert grown < 8 * MEBIBYTE, f"{grown} bytes more; 40 MB were left unfinished"


def test_row_33_attachments_are_kept_for_nobody_outside_the_namespace(talking: Server) -> None:
    for start in ([], ["0/refusing,"], ["0", "1"]):
        with Peer(talking) as peer:
            peer.send(*start, placeholder("0"))
            assert peer.ended() == OFFENDED
    assert talking.report()["socketio"]["unfinished"] == 0


# ---- row 39: names

NAMES = [
    *["error", "connection", "newListener ", "CONNECT", "message", "*", "any", "new_namespace", "parse error"],
    *["__class__", "__init__", "__dict__", "__proto__", "constructor", "toString", "prototype", "hasOwnProperty"],
    *["_x", "_end", "_take_event", "emit", "close", "disconnect_sockets", "join", "on", "nsp", "server", "data", ""],
    *["on_connect", "on_disconnect", "trigger_event", "settle\0", "settle ", "\u202esettle"],
]
RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]


def test_row_39_names_are_keys_of_a_table_and_nothing_else(talking: Server) -> None:
    before = talking.report()["seen"]
    with Peer(talking) as peer, Peer(talking) as other:
        peer.join(), other.join()
        for name in NAMES:
            peer.emit(name, "x")
        peer.emit("x" * 900_000, "x")
        peer.emit("error", "x", ack=1)
        peer.send("2[1,2]", "2[-0.0]", "2[1e308]")
        peer.settled()
        other.is_well()
        assert peer.event() == ["told", "still here"]
        after = talking.report()["seen"]
    for name in NAMES:
        heard = f"heard {name[:40]!r}"
        assert after[heard] - before.get(heard, 0) == 1 + (name == "error"), name
    assert {key: after[key] for key in after if key.startswith(("error ", "disconnect "))} == {
        key: before[key] for key in before if key.startswith(("error ", "disconnect "))
    }, "nobody has ended, and nobody's error handler was called"


@pytest.mark.parametrize("name", RESERVED)
def test_row_39_a_reserved_name_reaches_no_handler(talking: Server, name: str) -> None:
    with Peer(talking) as peer:
        peer.join()
        peer.emit(name, "x", ack=1)
        assert peer.ended() == OFFENDED
    assert f"heard {name!r}" not in talking.report()["seen"]


# ---- row 40: arguments and acknowledgements

#: What each handler answers to so many arguments, 0 to 5; None: it has raised, and answers nothing.
ANSWERS: dict[str, list[str | None]] = {
    "nothing": ["[]"] * 6,  # what it does not take is dropped
    "one": [None, *["[0]"] * 5],
    "two": [None, None, *["[[0,1]]"] * 4],
    "any": ["[1]", "[2]", "[3]", "[4]", "[5]", "[6]"],  # the acknowledgement is among them
    "default": ["[[1,2]]", "[[0,2]]", *["[[0,1]]"] * 4],
    "raise": [None] * 6,
    "raise later": [None] * 6,
    "call": [None, "[0]", None, None, None, None],
    "call twice": ['["once"]', None, None, None, None, None],
    "later": [None, *["[0]"] * 5],
}


@pytest.mark.parametrize("event", ANSWERS)
def test_row_40_any_number_of_arguments_with_and_without_an_acknowledgement(talking: Server, event: str) -> None:
    with Peer(talking) as peer:
        peer.join()
        for count, answered in enumerate(ANSWERS[event]):
            lines = len(talking.log)
            peer.emit(event, *range(count))
            peer.settled()
            peer.emit(event, *range(count), ack=7)
            if answered is not None:
                assert peer.recv() == f"37{answered}"
            peer.settled()
            if answered is None:
                talking.wait_for_log(rf"the handler of {event!r} has failed", after=lines)
        peer.is_well()


def test_row_40_acknowledgements_that_nobody_waits_for_are_ignored(talking: Server) -> None:
    with Peer(talking) as peer, Peer(talking) as other:
        peer.join(), other.join()
        peer.send(
            "3[]", "30[]", '31["x"]', "318446744073709551615[]", "3[null]", '61-2[{"_placeholder":true,"num":0}]', b"x"
        )
        peer.settled()
        # One question is answered by somebody else, one twice, the others not at all.
        peer.emit("ask me", 3, ack=5)
        asked = [str(peer.recv()) for _ in range(3)]
        ids = [packet[1 : packet.index("[")] for packet in asked]
        other.send(f"3{ids[0]}[]")
        peer.send(f"3{ids[1]}[1]", f"3{ids[1]}[2]")
        assert peer.recv() == "35[1]"
        other.settled()
    assert eventually(lambda: talking.report()["socketio"]["debts"] == 0)


@pytest.mark.parametrize("number", ["18446744073709551616", "9" * 30, "9" * 100_000])
def test_row_40_a_number_beyond_all_numbers_is_no_packet(talking: Server, number: str) -> None:
    for kind in "23":
        with Peer(talking) as peer:
            peer.join()
            peer.send(f'{kind}{number}["echo"]')
            assert peer.ended() == OFFENDED


# ---- row 44: those who do not join, and those who join too much


def test_row_44_who_joins_nothing_in_time_is_closed_and_the_others_stay(serve: Serve) -> None:
    server = serve("--socketio", '{"connect_timeout":0.5}')
    with Peer(server) as other, Polls(server) as patient:
        other.join(), patient.join()
        idle = [Peer(server) for _ in range(50)]
        pollers = [Polls(server) for _ in range(50)]
        for at, peer in enumerate(idle):
            # Asking in vain is not joining, nor is coming and going.
            peer.send(*[[], ["0/unknown,"], ["0/refusing,"], ["0/other,", "1/other,"]][at % 4])
        for peer in idle:
            assert peer.ended() == OFFENDED
            peer.wire.socket.close()
        for polls in pollers:
            assert polls.poll() == ["1"]
            polls.wire.socket.close()
        other.is_well()
        assert patient.heard(1) == ['42["told","still here"]']
        assert server.report()["socketio"]["clients"] == 2


def test_row_44_nobody_is_in_more_than_a_hundred_namespaces(talking: Server) -> None:
    before = talking.memory()
    with Peer(talking) as peer, Peer(talking) as other:
        peer.join(), other.join()
        let_in = refused = 0
        for first in range(0, 100_000, 500):
            prefix = "/room-" if first < 50_000 else "/unknown-"
            peer.send(*(f"0{prefix}{number}," for number in range(first, first + 500)))
            for number in range(first, first + 500):
                packet = peer.recv()
                assert isinstance(packet, str)
                assert packet[1:].startswith(f"{prefix}{number},"), packet
                let_in += packet[0] == "0"
                refused += packet[0] == "4"
        assert (let_in, refused) == (99, 99_901)
        other.is_well()
        assert peer.event() == ["told", "still here"]
        assert talking.report()["socketio"]["children"] == 99
    assert eventually(lambda: talking.report()["socketio"]["namespaces"] == 3)
    grown = talking.memory() - before
    assert grown < 16 * MEBIBYTE, f"{grown} bytes more"


# ---- F25: names without end


def test_F25_namespaces_rooms_and_events_leave_nothing(talking: Server) -> None:
    def visit(first: int, count: int) -> None:
        for number in range(first, first + count, 50):
            with Peer(talking) as peer:
                peer.join()
                peer.emit("in and out", number, 50)
                names = range(number, number + 50)
                peer.send(*(f'2["unknown {"e" * 100} {name}",{name}]' for name in names))
                peer.settled()
                peer.send(*(f"0/room-{name}," for name in names))
                assert {str(peer.recv())[0] for _ in names} == {"0"}
                # Half of them the client leaves; of the others the program puts it out.
                peer.send(*(f"1/room-{name}," if name % 2 else f'2/room-{name},["leave me"]' for name in names))
                assert {str(peer.recv())[0] for _ in names[::2]} == {"1"}
                peer.settled()

    visit(0, 2000)
    before, objects = talking.memory(), talking.report()["objects"]
    visit(2000, 5000)
    assert eventually(lambda: talking.report()["socketio"]["clients"] == 0)
    after = talking.report()
    assert after["socketio"]["namespaces"] == 3
    assert after["socketio"]["rooms"] == 0
    assert after["rooms"] == 0
    grown = talking.memory() - before
    print(f"{grown / 5000:.0f} bytes for each name, {after['objects'] - objects} objects")
    assert grown < 5000 * 200


def test_row_44_who_is_put_out_of_every_namespace_is_remembered_for_a_hundred(talking: Server) -> None:
    with Peer(talking) as peer:
        peer.join()
        answers = []
        for number in range(1000):
            peer.send(f"0/room-{number},", f'2/room-{number},["leave me"]')
            answers.append(str(peer.recv())[0])
            if answers[-1] == "4":
                break  # And what was sent behind it is an offence.
            assert str(peer.recv())[0] == "1"
        assert answers == ["0"] * 99 + ["4"]
        assert peer.ended() == OFFENDED


def test_F25_the_rooms_of_clients_go_with_them(talking: Server) -> None:
    with contextlib.ExitStack() as stack:
        for first in range(0, 20_000, 200):
            peer = stack.enter_context(Peer(talking))
            peer.join()
            peer.emit("join", *(str(number) for number in range(first, first + 200)))
            peer.settled()
        assert talking.report()["socketio"]["rooms"] == 20_000
    assert eventually(lambda: talking.report()["socketio"]["rooms"] == 0)
    assert talking.report()["rooms"] == 0

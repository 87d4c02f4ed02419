//! The requests of a session: every row of two connections' inputs, up to a length of eight, and the steps one by one;
//! and what its client's packets mean.

use std::collections::HashSet;

use hubbub_proto::close::CloseCode;
use hubbub_proto::comet::BodyError;
use hubbub_proto::engineio::payload::PayloadError;
use hubbub_proto::engineio::{Packet, PacketError, Transport};
use hubbub_proto::message::{Kind, Payload};
use hubbub_proto::session::Dialect::{Comet, EngineIo};
use hubbub_proto::session::{Action, Dialect, Meaning, Polled, PostError, Requests, Stage, read_post, read_text};

use crate::world::{World, inputs};

const LENGTH: usize = 8;

#[test]
fn every_row_of_two_connections_inputs_answers_each_request_once() {
    for dialect in [Comet, EngineIo] {
        let mut worlds = HashSet::from([World::new(dialect)]);
        let mut seen = 0;
        for _ in 0..LENGTH {
            let mut next = HashSet::new();
            for world in &worlds {
                for input in inputs() {
                    let mut world = world.clone();
                    if world.happens(input) && !world.over {
                        world.is_sound();
                        next.insert(world);
                    }
                }
            }
            seen += next.len();
            worlds = next;
        }
        assert!(seen > 100, "the rows lead somewhere: {seen}");
    }
}

#[test]
fn a_second_poll_overtakes_the_first_or_ends_the_session() {
    let mut comet = Requests::new(Comet);
    assert_eq!([comet.handle_poll(1), comet.handle_poll(2)], [Polled::Waits(None), Polled::Waits(Some(1))]);
    let mut engineio = Requests::new(EngineIo);
    assert_eq!([engineio.handle_poll(1), engineio.handle_poll(2)], [Polled::Waits(None), Polled::Overlaps]);
    assert_eq!(engineio.end(), [1]);
}

#[test]
fn the_end_of_an_engineio_session_has_a_poll_of_its_own() {
    for (dialect, with_messages) in [(Comet, true), (EngineIo, false)] {
        let mut requests = Requests::<u8>::new(dialect);
        assert!(!requests.give_end(true), "it goes on");
        requests.handle_end();
        assert_eq!(requests.give_end(false), with_messages);
        assert!(requests.may_be_asked() && !requests.is_over(false));
        assert!(requests.give_end(true));
        // A response may be lost, and comet's client comes again.
        assert_eq!((requests.may_be_asked(), requests.is_over(false)), (dialect == Comet, dialect == EngineIo));
        assert!(requests.is_over(true), "the server stops");
    }
}

#[test]
fn a_post_is_taken_in_and_answered_before_the_next_one() {
    let mut requests = Requests::new(Comet);
    requests.handle_post(1);
    requests.handle_post(2);
    let first = requests.next_post();
    assert_eq!(first, Some(1));
    requests.hold_post(1);
    assert_eq!([requests.next_post(), requests.next_post(), requests.next_post()], [Some(1), Some(2), None]);
}

#[test]
fn what_a_websocket_has_to_say_to_take_over() {
    let parse = |text| Packet::parse(text).unwrap();
    let (probe, upgrade) = (parse("2probe"), parse("5"));
    let mut requests = Requests::new(EngineIo);
    assert!(requests.handle_candidate(1));
    assert!(!requests.handle_candidate(2), "one upgrade at a time");
    assert_eq!(requests.handle_packet(1, Ok(&probe)), Action::AnswerProbe);
    assert_eq!(requests.handle_packet(1, Ok(&probe)), Action::AnswerProbe);
    assert!(requests.stage().holds_output());
    assert_eq!(requests.handle_packet(1, Ok(&upgrade)), Action::Switch);
    assert_eq!(requests.stage().transport(), Transport::WebSocket);
    assert!(!requests.handle_candidate(2), "none after it");
}

#[test]
fn anything_else_on_the_new_websocket_leaves_the_session_on_polling() {
    let parse = |text| Packet::parse(text).unwrap();
    let (probe, upgrade, bytes) = (parse("2probe"), parse("5"), Packet::Binary((&[1_u8][..]).into()));
    for text in ["0", "1", "2", "2Probe", "3", "3probe", "4hello", "6"] {
        for is_probed in [false, true] {
            for packet in [Ok(&parse(text)), Ok(&bytes), Err(PacketError::Empty)] {
                let mut requests = Requests::new(EngineIo);
                assert!(requests.handle_candidate(1));
                if is_probed {
                    requests.handle_packet(1, Ok(&probe));
                }
                assert_eq!(requests.handle_packet(1, packet), Action::Drop, "{text}");
                assert_eq!(requests.stage(), Stage::Polling);
                assert!(requests.handle_candidate(2), "it may be tried again");
            }
        }
    }
    // Not without a probe, whose answer has emptied the poll.
    let mut requests = Requests::new(EngineIo);
    assert!(requests.handle_candidate(1));
    assert_eq!(requests.handle_packet(1, Ok(&upgrade)), Action::Drop);
}

fn text(text: &str) -> Meaning<'_> {
    Meaning::Message(Kind::Text, Payload::Borrowed(text.as_bytes()))
}

fn bytes(bytes: &[u8]) -> Meaning<'static> {
    Meaning::Message(Kind::Binary, Payload::Owned(bytes.into()))
}

fn close(code: CloseCode, reason: &str, forfeits: bool) -> Meaning<'static> {
    Meaning::Close { code, reason: reason.into(), forfeits }
}

fn post(dialect: Dialect, body: &str) -> Result<Vec<Meaning<'_>>, PostError> {
    read_post(dialect, body.as_bytes(), 10)
}

#[test]
fn what_packets_mean_in_a_post() {
    for (dialect, ping) in [(Comet, Meaning::Nothing), (EngineIo, Meaning::Fail("transport error"))] {
        let forfeits = dialect == EngineIo;
        let table = [
            ("0{}", Meaning::Nothing),
            ("1", close(CloseCode::NO_STATUS_RECEIVED, "", forfeits)),
            ("14000 bye", close(CloseCode(4000), "bye", forfeits)),
            ("2", ping.clone()),
            ("2probe", ping),
            ("3", Meaning::Heartbeat),
            ("3probe", Meaning::Heartbeat),
            ("4hello", text("hello")),
            ("5", Meaning::Nothing),
            ("6", Meaning::Nothing),
            ("bAQI=", bytes(&[1, 2])),
            ("tYR5i", Meaning::Message(Kind::Text, Payload::Owned(b"a\x1eb".into()))),
        ];
        for (packet, meaning) in table {
            assert_eq!(post(dialect, packet), Ok(vec![meaning]), "{dialect:?} {packet}");
        }
        assert_eq!(post(dialect, "4a\x1e3\x1e4b"), Ok(vec![text("a"), Meaning::Heartbeat, text("b")]));
    }
}

#[test]
fn what_packets_mean_on_the_websocket() {
    for (dialect, ping) in [(Comet, Meaning::Nothing), (EngineIo, Meaning::Fail("transport error"))] {
        let table = [
            ("0{}", Meaning::Nothing),
            ("1", close(CloseCode::NORMAL, "", false)),
            ("14000 bye", close(CloseCode::NORMAL, "", false)),
            ("2", ping.clone()),
            ("2probe", ping),
            ("3", Meaning::Heartbeat),
            ("4", text("")),
            ("4grüße", text("grüße")),
            ("5", Meaning::Nothing),
            ("6", Meaning::Nothing),
            ("bAQI=", bytes(&[1, 2])),
        ];
        for (packet, meaning) in table {
            assert_eq!(read_text(dialect, Payload::Borrowed(packet.as_bytes())), meaning, "{dialect:?} {packet}");
        }
        for packet in ["", "7", "b!", "tYQ==", "hello"] {
            let meaning = read_text(dialect, Payload::Borrowed(packet.as_bytes()));
            assert_eq!(meaning, Meaning::Fail("parse error"), "{dialect:?} {packet}");
        }
        let owned = Meaning::Message(Kind::Text, Payload::Owned(b"hello".into()));
        assert_eq!(read_text(dialect, Payload::Owned(b"4hello".into())), owned);
    }
}

#[test]
fn one_bad_packet_voids_a_body_and_fails_a_session_of_engineio() {
    for (body, error) in [
        ("", BodyError::Payload(PayloadError::Empty)),
        ("4a\x1e7", BodyError::Packet(PacketError::Type)),
        ("4a\x1e", BodyError::Packet(PacketError::Empty)),
        ("b!\x1e4a", BodyError::Packet(PacketError::Base64)),
        ("11006", BodyError::Close),
    ] {
        for (dialect, failure) in [(Comet, None), (EngineIo, Some((CloseCode::PROTOCOL_ERROR, "parse error")))] {
            let refused = post(dialect, body).unwrap_err();
            assert_eq!((refused, refused.failure(dialect)), (PostError::Malformed(error), failure), "{body}");
            assert_eq!((refused.status(), refused.to_string()), (400, format!("Bad request: {error}.")));
        }
    }
    let many = ["3"; 4097].join("\x1e");
    let refused = read_post(Comet, many.as_bytes(), usize::MAX);
    assert_eq!(refused, Err(PostError::Malformed(BodyError::Payload(PayloadError::TooManyPackets))));
}

#[test]
fn a_long_body_is_refused_to_engineio_and_a_long_message_fails_any_session() {
    let body = "4123456789\x1e4a";
    assert_eq!(post(Comet, body), Ok(vec![text("123456789"), text("a")]));
    let refused = post(EngineIo, body).unwrap_err();
    assert_eq!((refused, refused.failure(EngineIo), refused.status()), (PostError::BodyTooBig, None, 413));
    let refused = post(Comet, "412345678901\x1e4a").unwrap_err();
    assert_eq!((refused, refused.status()), (PostError::MessageTooBig, 413));
    assert_eq!(refused.failure(Comet), Some((CloseCode::MESSAGE_TOO_BIG, "the message is too big")));
}

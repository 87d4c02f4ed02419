//! The requests of a session: every row of two connections' inputs, up to a length of eight, and the steps one by one.

use std::collections::HashSet;

use hubbub_proto::engineio::{Packet, PacketError, Transport};
use hubbub_proto::session::{Action, Dialect, Polled, Requests, Stage};

use crate::world::{World, inputs};

const LENGTH: usize = 8;

#[test]
fn every_row_of_two_connections_inputs_answers_each_request_once() {
    for dialect in [Dialect::Comet, Dialect::EngineIo] {
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
    let mut comet = Requests::new(Dialect::Comet);
    assert_eq!([comet.handle_poll(1), comet.handle_poll(2)], [Polled::Waits(None), Polled::Waits(Some(1))]);
    let mut engineio = Requests::new(Dialect::EngineIo);
    assert_eq!([engineio.handle_poll(1), engineio.handle_poll(2)], [Polled::Waits(None), Polled::Overlaps]);
    assert_eq!(engineio.end(), [1]);
}

#[test]
fn a_post_is_taken_in_and_answered_before_the_next_one() {
    let mut requests = Requests::new(Dialect::Comet);
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
    let mut requests = Requests::new(Dialect::EngineIo);
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
                let mut requests = Requests::new(Dialect::EngineIo);
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
    let mut requests = Requests::new(Dialect::EngineIo);
    assert!(requests.handle_candidate(1));
    assert_eq!(requests.handle_packet(1, Ok(&upgrade)), Action::Drop);
}

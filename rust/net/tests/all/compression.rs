//! permessage-deflate on a shard: who gets what compressed, how often that is done, and what a bad stream does.

use std::sync::Arc;

use crate::support::client::{Client, Got, compressed_frame, frame};
use crate::support::house::{House, rooms};
use crate::support::recorder::{Event, Manner};
use crate::support::{Random, limited, serving, text};
use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::handshake::deflate::Offer;
use hubbub_net::proto::message::Kind;
use hubbub_net::{
    Broadcast, Command, CommandBatch, Compression, CompressionMode, Endpoint, Form, Link, Policy, Settings, Target,
    Verdict,
};

const MIB: usize = 1 << 20;

const PLAIN: &str = "/plain";
const SHARED: &str = "/shared";
const OWN: &str = "/own";

/// An endpoint of each mode.
fn endpoints() -> Vec<Endpoint> {
    let endpoint = |path: &str, compression| Endpoint { path: Some(path.into()), compression, ..Endpoint::default() };
    let shared = Compression::default();
    let own = Compression { mode: CompressionMode::PerSession, ..shared };
    vec![endpoint(PLAIN, None), endpoint(SHARED, Some(shared)), endpoint(OWN, Some(own))]
}

fn every_mode() -> Settings {
    serving(endpoints())
}

fn window(bits: u8) -> Offer {
    Offer { server_max_window_bits: Some(bits), ..Offer::default() }
}

fn guest(house: &mut House, path: &str, offer: &Offer) -> (Client, Arc<Link>) {
    let mut client = house.connect();
    let params = client.shake_hands_offering(path, offer);
    assert_eq!(params.is_some(), path != PLAIN);
    (client, house.opened())
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(7);
    (0..len).map(|_| random.next(256) as u8).collect()
}

fn json(len: usize) -> String {
    "{\"id\": 12345, \"text\": \"so it goes\", \"from\": \"somebody\"}".chars().cycle().take(len).collect()
}

fn send(house: &House, link: &Link, form: Form, payload: &[u8]) {
    let mut batch = CommandBatch::default();
    link.add_posted(payload.len());
    batch.push_message(link.id(), form, payload);
    house.server.handles()[link.id().shard()].post(batch);
}

/// `true`: it was refused with this close code, and nothing of it or after it was delivered.
fn assert_refused(house: &mut House, client: &mut Client, link: &Link, code: CloseCode) {
    assert!(matches!(client.rest().last(), Some(Got::Close(Some(sent), _)) if *sent == code.0));
    assert_eq!(house.closed(link.id()).sent.map(|(sent, _)| sent), Some(code));
    assert!(house.left_over().iter().all(|event| !matches!(event, Event::Message(..))));
}

#[test]
fn messages_come_back_as_they_were_with_every_combination_of_parameters() {
    let mut house = House::open(every_mode(), Manner::echo());
    let messages = [json(1000), json(1000), text(70_000), "grün ☃".into(), String::new(), json(300)];
    for path in [PLAIN, SHARED, OWN] {
        for bits in 0..16_u8 {
            let offer = Offer {
                server_no_context_takeover: bits & 1 != 0,
                client_no_context_takeover: bits & 2 != 0,
                server_max_window_bits: (bits & 4 != 0).then_some(10),
                client_max_window_bits: (bits & 8 != 0).then_some(Some(9)),
            };
            let (mut client, _link) = guest(&mut house, path, &offer);
            for message in &messages {
                if path == PLAIN {
                    client.text(message);
                } else {
                    let deflated = client.deflated(message.as_bytes());
                    client.raw(&compressed_frame(Opcode::Text, &deflated));
                }
                client.expect_text(message);
            }
            assert_eq!(client.compressed, if path == PLAIN { 0 } else { 4 }, "{path} {offer}");
            client.binary(&noise(5000));
            assert_eq!(client.next(), Got::Binary(noise(5000)));
        }
    }
    house
        .counts_to((32 * 6, true), |counts| (counts.compressed_in, counts.inflated_bytes > counts.compressed_bytes_in));
}

#[test]
fn a_client_that_does_not_offer_it_gets_plain_messages_and_may_send_no_others() {
    let mut house = House::open(every_mode(), Manner::echo());
    let mut client = house.connect();
    client.shake_hands(SHARED);
    let link = house.opened();
    client.text(&json(2000));
    client.expect_text(&json(2000));
    house.message(link.id());
    client.raw(&compressed_frame(Opcode::Text, &[0]));
    assert_refused(&mut house, &mut client, &link, CloseCode::PROTOCOL_ERROR);
}

#[test]
fn a_decision_of_the_user_keeps_what_was_agreed_on() {
    let asks = Endpoint { asks: true, ..endpoints().remove(1) };
    let decide = |_: &_| Verdict::Accept { subprotocol: None, fields: vec![("X-Mine".into(), "1".into())] };
    let mut house = House::open(serving(vec![asks]), Manner { decide: Some(decide), ..Manner::echo() });
    let mut client = house.connect();
    assert!(client.shake_hands_offering(SHARED, &Offer::default()).is_some());
    client.text(&json(1000));
    client.expect_text(&json(1000));
    assert_eq!(client.compressed, 1);
    house.opened();
}

#[test]
fn a_broadcast_is_compressed_once_for_all_who_can_share_it() {
    let mut house = House::open(Settings { shards: 3, ..every_mode() }, Manner::default());
    let mut members = Vec::new();
    for _ in 0..4 {
        members.push((guest(&mut house, PLAIN, &Offer::default()).0, 0));
        members.push((guest(&mut house, SHARED, &Offer::default()).0, 2));
        members.push((guest(&mut house, SHARED, &window(9)).0, 2));
        members.push((guest(&mut house, OWN, &Offer { server_no_context_takeover: true, ..Offer::default() }).0, 2));
    }
    // It fits into the smallest window, so everyone's is the same.
    assert_eq!(house.broadcast(Target::All, &[], &json(512)), (16, 0));
    house.counts_to((1, 12), |counts| (counts.deflations, counts.compressed_out));
    // It does not: one for the small windows, one for the others.
    assert_eq!(house.broadcast(Target::All, &[], &json(5000)), (16, 0));
    house.counts_to((3, 24), |counts| (counts.deflations, counts.compressed_out));
    for (client, compressed) in &mut members {
        client.expect_text(&json(512));
        client.expect_text(&json(5000));
        assert_eq!(client.compressed, *compressed);
    }
}

#[test]
fn members_with_context_takeover_get_their_own() {
    let mut house = House::open(every_mode(), Manner::default());
    let mut members: Vec<_> = [OWN, SHARED, OWN, PLAIN].map(|path| guest(&mut house, path, &Offer::default()).0).into();
    for _ in 0..3 {
        assert_eq!(house.broadcast(Target::All, &[], &json(400)), (4, 0));
    }
    house.counts_to((9, 9), |counts| (counts.deflations, counts.compressed_out));
    for member in &mut members {
        (0..3).for_each(|_| member.expect_text(&json(400)));
    }
}

#[test]
fn short_ones_and_those_that_do_not_shrink_and_those_sent_so_go_plain() {
    let mut house = House::open(every_mode(), Manner::default());
    let (mut client, link) = guest(&mut house, SHARED, &Offer::default());
    let plain = Form { kind: Kind::Text, compress: false };
    send(&house, &link, Kind::Text.into(), json(255).as_bytes());
    send(&house, &link, plain, json(1000).as_bytes());
    send(&house, &link, Kind::Binary.into(), &noise(1000));
    client.expect_text(&json(255));
    client.expect_text(&json(1000));
    assert_eq!(client.next(), Got::Binary(noise(1000)));
    let broadcast = Broadcast::new(Target::All, vec![], Policy::Close, plain, json(1000).as_bytes(), 1);
    house.post(link.id(), Command::Broadcast(Arc::new(broadcast)));
    client.expect_text(&json(1000));
    assert_eq!(client.compressed, 0);
    send(&house, &link, Kind::Text.into(), json(256).as_bytes());
    client.expect_text(&json(256));
    assert_eq!(client.compressed, 1);
}

/// Policies leave broadcasts out; but a client that refers back must be told everything that its messages refer to.
#[test]
fn nothing_that_later_messages_refer_to_is_left_out() {
    let mut settings = limited(|limits| limits.outbox_bytes = 64 << 10);
    settings.endpoints = endpoints();
    let mut house = House::open(settings, Manner::default());
    for policy in [Policy::DropOldest, Policy::Drop] {
        let mut client = Client::with_small_buffer(house.address());
        assert!(client.shake_hands_offering(OWN, &Offer::default()).is_some());
        let link = house.opened();
        house.join(&link, "a");
        let mut random = Random(1);
        let (mut reached, mut dropped) = (Vec::new(), 0);
        // Letters at random: they deflate, though not to nothing.
        for number in 0.. {
            let letters: String = (0..8000).map(|_| char::from(b'a' + random.next(20) as u8)).collect();
            let message = format!("{number} {letters}");
            let delivery = house.publish(rooms(&["a"]), &[], policy, message.as_bytes());
            house.await_delivery(&delivery);
            if delivery.dropped() == 0 {
                reached.push(message);
            } else {
                dropped += 1;
                if dropped == 5 {
                    break;
                }
            }
        }
        for message in &reached {
            client.expect_text(message);
        }
        assert_eq!(client.compressed, reached.len());
        let delivery = house.publish(rooms(&["a"]), &[], policy, json(400).as_bytes());
        assert_eq!(house.await_delivery(&delivery), (1, 0));
        client.expect_text(&json(400));
        house.leave(&link, "a");
    }
}

#[test]
fn row_29_a_bomb_and_what_follows_it_reach_nobody() {
    for path in [SHARED, OWN] {
        let mut house = House::open(every_mode(), Manner::default());
        let (mut client, link) = guest(&mut house, path, &Offer::default());
        let bomb = client.deflated(&vec![0; 2 * MIB]);
        let mut bytes = compressed_frame(Opcode::Binary, &bomb);
        for _ in 0..3 {
            let deflated = client.deflated(b"more");
            bytes.extend(compressed_frame(Opcode::Text, &deflated));
        }
        client.raw(&bytes);
        assert_refused(&mut house, &mut client, &link, CloseCode::MESSAGE_TOO_BIG);
        // Who shares the streams with it is none the worse.
        let (mut client, link) = guest(&mut house, path, &Offer::default());
        let legal = vec![b'x'; 900 << 10];
        let deflated = client.deflated(&legal);
        client.raw(&compressed_frame(Opcode::Binary, &deflated));
        assert_eq!(house.message(link.id()), (Kind::Binary, legal));
    }
}

#[test]
fn row_31_bad_streams_and_bad_text_are_1007() {
    for path in [SHARED, OWN] {
        let mut house = House::open(every_mode(), Manner::default());
        for fragments in [false, true] {
            for wrong in [&[0x07][..], &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48], b"\xff\xff\xff"] {
                let (mut client, link) = guest(&mut house, path, &Offer::default());
                if fragments {
                    let mut first = frame(false, Opcode::Binary, &wrong[..1]);
                    first[0] |= 0x40;
                    client.raw(&first);
                    client.raw(&frame(true, Opcode::Continuation, &wrong[1..]));
                } else {
                    client.raw(&compressed_frame(Opcode::Binary, wrong));
                }
                assert_refused(&mut house, &mut client, &link, CloseCode::INVALID_FRAME_PAYLOAD_DATA);
            }
        }
        let (mut client, link) = guest(&mut house, path, &Offer::default());
        let deflated = client.deflated(b"\xc3\x28 is not UTF-8");
        client.raw(&compressed_frame(Opcode::Text, &deflated));
        assert_refused(&mut house, &mut client, &link, CloseCode::INVALID_FRAME_PAYLOAD_DATA);
    }
}

/// F14: many small messages, each legal, that are a hundred megabytes once inflated.
#[test]
fn f14_what_one_read_inflates_to_waits_for_the_user() {
    const HOARD: Manner = Manner { echo: false, consume: false, decide: None, panics: false, curse: None };
    for path in [SHARED, OWN] {
        let mut house = House::open(every_mode(), HOARD);
        let (mut client, link) = guest(&mut house, path, &Offer::default());
        let legal = vec![0; 900 << 10];
        let mut bytes = Vec::new();
        for _ in 0..100 {
            let deflated = client.deflated(&legal);
            bytes.extend(compressed_frame(Opcode::Binary, &deflated));
        }
        bytes.extend(frame(true, Opcode::Text, b"the end"));
        client.raw(&bytes);
        let limits = house.limits().clone();
        for _ in 0..100 {
            let (_, payload) = house.message(link.id());
            assert!(payload == legal);
            house.sync();
            assert!(house.left_over().iter().all(|event| !matches!(event, Event::Message(..))), "one at a time");
            if link.consumed(1, payload.len(), &limits) {
                house.post(link.id(), Command::Resume(link.id()));
            }
        }
        assert_eq!(house.message(link.id()), (Kind::Text, b"the end".to_vec()));
        assert!(!link.consumed(1, 7, &limits));
    }
}

#[test]
fn what_is_held_back_is_forgotten_when_the_session_closes() {
    const HOARD: Manner = Manner { echo: false, consume: false, decide: None, panics: false, curse: None };
    let mut house = House::open(every_mode(), HOARD);
    let (mut client, link) = guest(&mut house, SHARED, &Offer::default());
    let deflated = client.deflated(&vec![0; 900 << 10]);
    client.raw(&compressed_frame(Opcode::Binary, &deflated).repeat(10));
    house.message(link.id());
    house.close(link.id(), 1000, "enough");
    assert_eq!(client.next(), Got::Close(Some(1000), "enough".into()));
    client.close(1000, "");
    assert_eq!(house.closed(link.id()).code(), CloseCode(1000));
    client.expect_end();
    assert!(house.left_over().iter().all(|event| !matches!(event, Event::Message(..))));
}

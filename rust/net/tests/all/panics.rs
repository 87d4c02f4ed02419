//! Row 54: a handler may panic in any of its calls. That costs one connection at most, and never the shard.

use std::sync::Arc;
use std::time::Duration;

use crate::support::client::{Client, Got};
use crate::support::house::{House, rooms};
use crate::support::recorder::{Call, Manner};
use crate::support::{limited, quiet, serving, text};
use hubbub_net::proto::message::Kind;
use hubbub_net::{Command, Endpoint, Link, Settings, Verdict};

fn asking() -> Settings {
    serving(vec![Endpoint { asks: true, ..Endpoint::default() }])
}

fn cursed(call: Call, nth: usize) -> Manner {
    let accept = |_: &_| Verdict::Accept { subprotocol: None, fields: Vec::new() };
    Manner { decide: Some(accept), curse: Some((call, nth)), ..Manner::echo() }
}

/// A house in which one guest is well, before the handler is to panic.
fn house(settings: Settings, manner: Manner) -> (House, Client, Arc<Link>) {
    let mut house = House::open(settings, manner);
    let (bystander, link) = house.guest();
    house.join(&link, "lobby");
    (house, bystander, link)
}

/// The one who was there before is served, reached by broadcasts, and so is who comes now.
fn all_is_well(house: &mut House, bystander: &mut Client, panics: u64) {
    house.counts_to(panics, |counts| counts.panics);
    bystander.text("still here");
    bystander.expect_text("still here");
    assert_eq!(house.broadcast(rooms(&["lobby"]), &[], "all"), (1, 0));
    bystander.expect_text("all");
    let (mut newcomer, _) = house.guest();
    newcomer.text("new");
    newcomer.expect_text("new");
}

fn is_dropped(client: &mut Client) {
    // What was under way before, as the 101, may still come.
    while !matches!(client.next(), Got::End | Got::Reset) {}
}

#[test]
fn row_54_a_panic_while_a_request_is_asked_about_drops_that_connection() {
    let (mut house, mut bystander, _) = house(asking(), cursed(Call::Request, 2));
    let mut client = house.connect();
    let request = client.request("/", &[], &[]);
    client.raw(&request);
    assert!(!matches!(client.receive(), Some(answer) if answer.starts_with(b"HTTP/1.1 101")));
    all_is_well(&mut house, &mut bystander, 1);
}

#[test]
fn row_54_a_panic_while_a_session_opens_drops_that_connection() {
    for settings in [quiet(), asking()] {
        let (mut house, mut bystander, _) = house(settings, cursed(Call::Open, 2));
        let mut client = house.connect();
        let request = client.request("/", &[], &[]);
        client.raw(&request);
        let link = house.opened();
        assert_eq!(house.closed(link.id()).cause.as_deref(), Some("internal error"));
        all_is_well(&mut house, &mut bystander, 1);
    }
}

#[test]
fn row_54_a_panic_at_a_message_a_pong_or_a_drained_outbox_drops_that_connection() {
    type Provoke = fn(&mut House, &mut Client, &Link);
    let cases: [(Call, Provoke); 3] = [
        (Call::Message, |_, client, _| client.text("hello")),
        (Call::Pong, |house, client, link| {
            link.wait_for_pong();
            house.post(link.id(), Command::Ping(link.id(), b"mark".to_vec()));
            assert_eq!(client.next(), Got::Ping(b"mark".to_vec()));
            client.pong(b"mark");
        }),
        (Call::Drained, |house, client, link| {
            let payload = text(64 << 10);
            (0..200).for_each(|_| house.send(link, Kind::Text, payload.as_bytes()));
            house.sync();
            assert!(link.wait_for_drain(house.limits().high_water_bytes / 2));
            while client.next() == Got::Text(payload.clone()) {}
        }),
    ];
    for (call, provoke) in cases {
        let settings = limited(|limits| limits.outbox_bytes = 64 << 20);
        let (mut house, mut bystander, _) = house(settings, cursed(call, 1));
        let mut client = Client::with_small_buffer(house.address());
        client.shake_hands("/");
        let link = house.opened();
        house.join(&link, "lobby");
        provoke(&mut house, &mut client, &link);
        let closed = house.closed(link.id());
        assert_eq!((closed.code().0, closed.cause.as_deref()), (1006, Some("internal error")), "{call:?}");
        assert_eq!(closed.rooms, ["lobby".into()] as [Arc<str>; 1]);
        all_is_well(&mut house, &mut bystander, 1);
    }
}

#[test]
fn row_54_a_panic_at_the_end_of_a_session_keeps_nothing_from_ending() {
    let (mut house, mut bystander, _) = house(quiet(), cursed(Call::Closed, 1));
    let (mut client, link) = house.guest();
    client.close(1000, "bye");
    client.expect_close(1000);
    is_dropped(&mut client);
    assert_eq!(house.closed(link.id()).code().0, 1000);
    all_is_well(&mut house, &mut bystander, 1);
}

#[test]
fn row_54_a_panic_at_a_delivery_costs_no_connection() {
    let (mut house, mut bystander, _) = house(quiet(), cursed(Call::Delivered, 1));
    while house.server.counts().panics == 0 {
        // The shard may be done before anybody waits; then there is nothing to tell.
        house.broadcast(rooms(&["lobby"]), &[], "one");
        bystander.expect_text("one");
    }
    all_is_well(&mut house, &mut bystander, 1);
}

#[test]
fn row_54_a_handler_that_can_be_told_nothing_is_left_alone() {
    let settings = limited(|limits| limits.handshake_timeout = Some(Duration::from_millis(50)));
    let settings = Settings { max_sessions: Some(2), ..settings };
    let (mut house, mut bystander, _) = house(settings, cursed(Call::Notice, 0));
    // Of a refused request, of one that does not come in time, and, with two connections, that there is no room for more.
    for (request, answer) in [(&b"nonsense\r\n\r\n"[..], &b"HTTP/1.1 400"[..]), (b"GET / HTTP", b"HTTP/1.1 408")] {
        let mut client = house.connect();
        client.raw(request);
        assert!(client.receive().is_some_and(|received| received.starts_with(answer)));
    }
    house.until("three panics", |server| server.counts().panics >= 3);
    bystander.text("still here");
    bystander.expect_text("still here");
    let (mut newcomer, _) = house.guest();
    newcomer.text("new");
    newcomer.expect_text("new");
}

//! Clients that another server has accepted.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::turns::Turns;
use crate::support::{quiet, serving};
use hubbub_net::{Bind, Endpoint, Service, Settings};

const ANYONE: Option<SocketAddr> = None;

fn house(settings: Settings, backlog: usize) -> House {
    House::at(vec![Bind::Embedded { backlog }], settings, Manner::default())
}

#[test]
fn a_guest_is_a_session_like_any_other() {
    let mut house = House::at(vec![Bind::Embedded { backlog: 16 }], quiet(), Manner::echo());
    assert!(house.server.addresses().is_empty());
    let mut client = Client::at(house.server.connect_embedded(ANYONE, false).unwrap());
    client.shake_hands("/");
    let link = house.opened();
    client.text("hello");
    client.expect_text("hello");
    client.close(4000, "enough");
    client.expect_close(4000);
    assert_eq!(house.closed(link.id()).code().0, 4000);
}

#[test]
fn the_host_says_who_a_guest_is_and_whether_it_speaks_tls() {
    // What an earlier request said is forgotten; what the host says holds for all.
    let settings = serving(vec![Endpoint { service: Service::Http, ..Endpoint::default() }]);
    for (client_is, secure) in [(Some("192.0.2.1:4711"), true), (Some("[2001:db8::1]:4711"), false), (None, true)] {
        let mut house = house(settings.clone(), 16);
        let client_is = client_is.map(|address| address.parse().unwrap());
        let mut client = Client::at(house.server.connect_embedded(client_is, secure).unwrap());
        client.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: ftp\r\n\r\n");
        let (link, request) = house.expect("the request", |event| match event {
            Event::Exchange(link, request) => Some((link.clone(), request.clone())),
            _ => None,
        });
        assert_eq!((link.peer(), link.proxy(), request.secure), (client_is, None, secure));
    }
}

#[test]
fn more_guests_than_allowed_wait_and_more_than_may_wait_are_refused() {
    let mut house = house(Settings { max_sessions: Some(1), ..quiet() }, 2);
    let mut inside = Client::at(house.server.connect_embedded(ANYONE, false).unwrap());
    inside.shake_hands("/");
    let link = house.opened();
    let mut waiting: Vec<Client> =
        (0..2).map(|_| Client::at(house.server.connect_embedded(ANYONE, false).unwrap())).collect();
    for client in &mut waiting {
        let request = client.request("/", &[], &[]);
        client.raw(&request);
    }
    assert_eq!(house.server.connect_embedded(ANYONE, false).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(inside);
    house.closed(link.id());
    waiting[0].agreed(&[]);
    let link = house.opened();
    // One place to wait is free again.
    let _third = Client::at(house.server.connect_embedded(ANYONE, false).unwrap());
    drop(waiting.remove(0));
    house.closed(link.id());
    waiting[0].agreed(&[]);
    house.opened();
}

#[test]
fn guests_have_their_places_by_address() {
    let mut house = house(Settings { max_sessions_per_address: Some(1), ..quiet() }, 16);
    let mut first = Client::at(house.server.connect_embedded("192.0.2.1:1".parse().ok(), false).unwrap());
    first.shake_hands("/");
    house.opened();
    let mut second = Client::at(house.server.connect_embedded("192.0.2.1:2".parse().ok(), false).unwrap());
    assert_eq!(second.answer().status, 429);
    let mut other = Client::at(house.server.connect_embedded("192.0.2.2:1".parse().ok(), false).unwrap());
    other.shake_hands("/");
    house.opened();
}

#[test]
fn nobody_is_let_in_where_there_is_no_door_or_it_is_shut() {
    let closed = House::open(quiet(), Manner::default());
    assert_eq!(closed.server.connect_embedded(ANYONE, false).unwrap_err().kind(), ErrorKind::ConnectionRefused);

    let mut turns = Turns::at(Bind::Embedded { backlog: 4 }, quiet(), Manner::default());
    let mut waiting = Client::at(turns.server.connect_embedded(ANYONE, false).unwrap());
    turns.shard.obey(hubbub_net::Command::StopAccepting);
    assert_eq!(turns.server.connect_embedded(ANYONE, false).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    waiting.expect_end();
}

#[test]
fn a_guest_that_closes_is_lost_to_a_request_that_waits_for_its_answer() {
    let asking = Endpoint { asks: true, ..Endpoint::default() };
    let http = Endpoint { path: Some("/http".into()), service: Service::Http, ..Endpoint::default() };
    let mut house = house(serving(vec![asking, http]), 16);
    for target in ["/", "/http"] {
        let mut client = Client::at(house.server.connect_embedded(ANYONE, false).unwrap());
        let request = client.request(target, &[], &[]);
        match target {
            "/" => client.raw(&request),
            _ => client.raw(b"GET /http HTTP/1.1\r\nHost: a\r\n\r\n"),
        }
        let link = house.expect("the request", |event| match event {
            Event::Request(link, _) | Event::Exchange(link, _) => Some(link.clone()),
            _ => None,
        });
        drop(client);
        house.closed(link.id());
    }
    house.stop(Duration::ZERO);
}

#[test]
fn what_a_guest_has_said_before_it_closed_is_read_however_full_the_inbox_is() {
    let mut settings = quiet();
    settings.limits.inbox_messages = 2;
    let manner = Manner { consume: false, ..Manner::default() };
    let mut house = House::at(vec![Bind::Embedded { backlog: 16 }], settings, manner);
    let mut client = Client::at(house.server.connect_embedded(ANYONE, false).unwrap());
    client.shake_hands("/");
    let link = house.opened();
    for _ in 0..3 {
        client.text("a");
    }
    for _ in 0..3 {
        house.message(link.id());
    }
    // It is not read now.
    client.text("b");
    client.close(4000, "");
    drop(client);
    house.sync();
    assert!(link.consumed(3, 3, house.limits()));
    house.post(link.id(), hubbub_net::Command::Resume(link.id()));
    assert_eq!(house.message(link.id()).1, b"b");
    assert_eq!(house.closed(link.id()).code().0, 4000);
}

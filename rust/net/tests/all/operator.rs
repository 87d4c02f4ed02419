//! What an operator allows: connections from one address, handshakes and messages in a second, proxies that are believed.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::client::{Client, Got, frame};
use crate::support::house::House;
use crate::support::recorder::{Event, Manner};
use crate::support::turns::Turns;
use crate::support::{fresh_path, limited, loopback, quiet, secure};
use hubbub_net::proto::frame::Opcode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Bind, Endpoint, Notice, Proxies, Rate, RatePolicy, Settings, Trust, Verdict};
use socket2::{Domain, Socket, Type};

fn few(most: u32) -> Settings {
    Settings { max_sessions_per_address: Some(most), ..quiet() }
}

fn believing(names: &[&str], settings: Settings) -> Settings {
    let trusted = Trust::parse(names.iter().copied()).unwrap();
    Settings { proxies: Proxies { trusted, protocol: false }, ..settings }
}

fn announced(names: &[&str], settings: Settings) -> Settings {
    let trusted = Trust::parse(names.iter().copied()).unwrap();
    Settings { proxies: Proxies { trusted, protocol: true }, ..settings }
}

/// A client whose own address is this one.
fn connect_from(house: &House, source: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    Client::over(socket, &house.address().into())
}

fn ask_with(client: &mut Client, fields: &[(&str, &str)]) {
    let request = client.request("/", &[], fields);
    client.raw(&request);
}

fn reason(house: &mut House) -> String {
    match house.notice(|notice| matches!(notice, Notice::Refused { .. })) {
        Notice::Refused { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

// ---- connections from one address

#[test]
fn one_connection_too_many_from_an_address_is_answered_with_429() {
    for shards in [1, 3] {
        let mut house = House::open(Settings { shards, ..few(2) }, Manner::default());
        let mut guests = house.guests(2);
        let mut third = house.connect();
        ask_with(&mut third, &[]);
        assert_eq!(third.answer().status, 429);
        assert_eq!(house.answered(), (429, "-".into()));
        drop(third);
        // Another address has places of its own.
        let mut other = connect_from(&house, "127.0.0.2");
        other.shake_hands("/");
        house.opened();
        assert_eq!(house.server.addresses_connected(), 2);
        house.counts_to((1, 1), |counts| (counts.address_refused, counts.refused));
        // Who goes makes room, however it goes.
        for end in 0..4 {
            let (mut client, link) = guests.remove(0);
            match end {
                0 => drop(client),
                1 => client.reset(),
                2 => {
                    client.raw(b"\xff");
                    client.expect_close(1002);
                    drop(client);
                }
                _ => {
                    client.close(1000, "");
                    client.expect_close(1000);
                    client.expect_end();
                    drop(client);
                }
            }
            house.closed(link.id());
            house.until("the place", |server| server.connections() == 2);
            guests.push(house.guest());
        }
    }
}

/// Row 13: requests that are refused, connections that say nothing, leave no trace.
#[test]
fn row_13_who_was_refused_takes_no_place() {
    let settings =
        Settings { endpoints: vec![Endpoint { path: Some("/here".into()), ..Endpoint::default() }], ..few(1) };
    let mut house = House::open(settings, Manner::default());
    for n in 0..30 {
        let mut client = house.connect();
        match n % 3 {
            0 => {
                let request = client.request("/elsewhere", &[], &[]);
                client.raw(&request);
                assert_eq!(client.answer().status, 404);
                drop(client);
            }
            1 => client.reset(),
            _ => {
                client.shake_hands("/here");
                house.opened();
                let mut second = house.connect();
                assert_eq!(second.answer().status, 429, "an answer comes although nothing was asked");
                drop(client);
            }
        }
        house.until("the end of all", |server| server.connections() == 0);
        assert_eq!(house.server.addresses_connected(), 0);
    }
}

#[test]
fn one_connection_too_many_with_tls_is_closed_before_the_work_of_a_handshake() {
    let mut house = House::open(secure::secure(few(1)), Manner::default());
    let (_guest, _) = house.guest();
    let mut second = Client::connect(house.address());
    assert_eq!(second.receive(), None);
    assert_eq!(reason(&mut house), "Too many connections from this address.");
    house.counts_to((1, 0), |counts| (counts.address_refused, counts.tls_failures));
}

#[test]
fn behind_a_trusted_proxy_the_clients_are_counted_and_not_the_proxy() {
    let mut house = House::open(believing(&["127.0.0.0/8"], few(2)), Manner::default());
    let mut inside = Vec::new();
    let clients = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"];
    for from in clients.iter().chain(&clients) {
        let mut client = house.connect();
        ask_with(&mut client, &[("X-Forwarded-For", from)]);
        client.agreed(&[]);
        let link = house.opened();
        assert_eq!(link.peer(), Some(SocketAddr::new(from.parse().unwrap(), 0)));
        assert_eq!(link.proxy(), client.socket.local_addr().unwrap().as_socket());
        inside.push((client, link));
    }
    assert_eq!(house.server.addresses_connected(), 4);
    // The third of the same address, or of the same /64 network.
    for from in ["192.0.2.1", "2001:db8:0:1:ffff::7"] {
        let mut client = house.connect();
        ask_with(&mut client, &[("X-Forwarded-For", from)]);
        assert_eq!(client.answer().status, 429);
        assert_eq!(house.answered(), (429, "GET /".into()));
    }
    // Who is no proxy is believed nothing, and is counted when it connects.
    house.counts_to(2, |counts| counts.address_refused);
    let (client, link) = inside.remove(0);
    drop(client);
    house.closed(link.id());
    house.until("the place", |server| server.connections() == 7);
    let mut client = house.connect();
    ask_with(&mut client, &[("Forwarded", "for=192.0.2.1;proto=https")]);
    client.agreed(&[]);
}

#[test]
fn who_is_not_trusted_is_itself_whatever_it_says() {
    let mut house = House::open(believing(&["10.0.0.0/8", "unix"], few(1)), Manner::default());
    let mut client = house.connect();
    ask_with(&mut client, &[("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "\"for="), ("X-Forwarded-Proto", "https")]);
    client.agreed(&[]);
    let (link, request) = house.expect("open", |event| match event {
        Event::Open(link, request) => Some((link.clone(), request.clone().unwrap())),
        _ => None,
    });
    assert_eq!((link.peer(), link.proxy()), (client.socket.local_addr().unwrap().as_socket(), None));
    assert!(!request.secure);
    let mut second = house.connect();
    ask_with(&mut second, &[("X-Forwarded-For", "192.0.2.2")]);
    assert_eq!(second.answer().status, 429);
}

// ---- what proxies say

#[test]
fn a_request_is_as_secure_as_a_trusted_proxy_says() {
    let ask = Manner { decide: Some(|_| Verdict::Accept { subprotocol: None, fields: vec![] }), ..Manner::default() };
    for manner in [Manner::default(), ask] {
        let endpoints = vec![Endpoint { asks: manner.decide.is_some(), ..Endpoint::default() }];
        let mut house = House::open(believing(&["127.0.0.1"], Settings { endpoints, ..quiet() }), manner);
        for (fields, expected) in [
            (&[][..], false),
            (&[("X-Forwarded-Proto", "https")], true),
            (&[("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "192.0.2.1")], false),
            (&[("Forwarded", "for=192.0.2.1;proto=wss")], true),
        ] {
            let mut client = house.connect();
            ask_with(&mut client, fields);
            client.agreed(&[]);
            let (link, request) = house.expect("the request", |event| match event {
                Event::Open(link, Some(request)) | Event::Request(link, request) => {
                    Some((link.clone(), request.clone()))
                }
                _ => None,
            });
            assert_eq!(request.secure, expected, "{fields:?}");
            if fields.is_empty() {
                assert_eq!((link.peer(), link.proxy()), (client.socket.local_addr().unwrap().as_socket(), None));
            }
        }
    }
}

#[test]
fn fields_that_contradict_each_other_are_answered_with_400() {
    let mut house = House::open(believing(&["127.0.0.1"], quiet()), Manner::default());
    for fields in [
        &[("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.2")][..],
        &[("Forwarded", "for=\"192.0.2.2")],
        &[("X-Forwarded-Proto", "https"), ("Forwarded", "proto=http")],
    ] {
        let mut client = house.connect();
        ask_with(&mut client, fields);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{fields:?}");
        assert!(answer.body.contains("Forwarded"), "{}", answer.body);
        house.answered();
    }
    house.counts_to((3, 3), |counts| (counts.proxy_refused, counts.refused));
}

#[test]
fn a_proxy_at_a_unix_socket_is_believed_if_it_is_trusted() {
    for (names, client_is) in [(&["unix"][..], Some("192.0.2.1:0")), (&["127.0.0.1"], None)] {
        let path = fresh_path("proxy");
        let bind = Bind::Unix { path: path.clone(), backlog: 16, mode: None, group: None };
        let mut house = House::at(vec![bind], believing(names, few(1)), Manner::default());
        let mut client = Client::connect_unix(&path);
        ask_with(&mut client, &[("X-Forwarded-For", "192.0.2.1")]);
        client.agreed(&[]);
        let link = house.opened();
        assert_eq!((link.peer(), link.proxy()), (client_is.map(|from| from.parse().unwrap()), None));
    }
}

// ---- the PROXY protocol

fn binary(family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &len, block].concat()
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n";

#[test]
fn a_proxy_header_names_the_client() {
    let tlvs = [&[192, 0, 2, 1, 198, 51, 100, 7, 0x12, 0x67, 1, 0xbb][..], &[0xee; 3000]].concat();
    let mut house = House::open(announced(&["127.0.0.1"], quiet()), Manner::default());
    for (header, named) in [
        (LINE.to_vec(), true),
        (binary(0x11, &tlvs), true),
        (b"PROXY UNKNOWN\r\n".to_vec(), false),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), false),
    ] {
        // In one write with the request, and byte by byte.
        for step in [usize::MAX, 1] {
            let mut client = house.connect();
            let mut bytes = header.clone();
            bytes.extend(client.request("/", &[], &[]));
            bytes.chunks(step.min(bytes.len())).for_each(|piece| client.raw(piece));
            client.agreed(&[]);
            let link = house.opened();
            let end = client.socket.local_addr().unwrap().as_socket();
            let expected = if named { (Some("192.0.2.1:4711".parse().unwrap()), end) } else { (end, None) };
            assert_eq!((link.peer(), link.proxy()), expected);
            client.text("hello");
            assert_eq!(house.message(link.id()), (Kind::Text, b"hello".to_vec()));
        }
    }
    house.counts_to(0, |counts| counts.proxy_refused);
}

#[test]
fn a_proxy_header_comes_before_tls() {
    let mut house = House::open(secure::secure(announced(&["127.0.0.1"], quiet())), Manner::default());
    for step in [usize::MAX, 1] {
        let mut client = Client::connect(house.address());
        LINE.chunks(step.min(LINE.len())).for_each(|piece| client.raw(piece));
        let mut client = client.secure(secure::connection("localhost"));
        client.shake_hands("/");
        let link = house.opened();
        assert_eq!(link.peer(), Some("192.0.2.1:4711".parse().unwrap()));
        client.text("hello");
        house.message(link.id());
    }
    // TLS without a header.
    let mut client = Client::connect(house.address());
    client.raw(b"\x16\x03\x01\x00\x05hello");
    assert_eq!(client.receive(), None);
    assert_eq!(reason(&mut house), "no PROXY header");
}

#[test]
fn a_connection_without_a_good_proxy_header_is_closed() {
    let mut house = House::open(announced(&["127.0.0.1"], quiet()), Manner::default());
    let mut count = 0;
    for (bytes, why) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "no PROXY header"),
        (b"PROXY TCP4 192.0.2.1\r\n", "the PROXY line is malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x11", "the PROXY header has an unknown version or command"),
    ] {
        let mut client = house.connect();
        client.raw(bytes);
        assert_eq!(client.receive(), None);
        assert_eq!(reason(&mut house), why);
        count += 1;
    }
    let mut client = house.connect();
    client.raw(&LINE[..20]);
    client.finish();
    assert_eq!(client.receive(), None);
    assert_eq!(reason(&mut house), "the PROXY header does not end");
    // Nobody but a proxy may connect.
    let mut client = connect_from(&house, "127.0.0.2");
    client.raw(LINE);
    assert_eq!(client.receive(), None);
    assert_eq!(reason(&mut house), "not a trusted proxy");
    house.counts_to((count + 2, 0), |counts| (counts.proxy_refused, counts.refused));
    house.until("their end", |server| server.connections() == 0);
}

#[test]
fn the_handshakes_deadline_is_that_of_its_proxy_header_too() {
    let settings = limited(|limits| limits.handshake_timeout = Some(Duration::from_millis(50)));
    let house = House::open(announced(&["127.0.0.1"], settings), Manner::default());
    for begun in [&b""[..], LINE, &LINE[..30]] {
        let mut client = house.connect();
        client.raw(begun);
        assert_eq!(client.receive(), None, "nothing was asked, nothing is answered");
    }
    house.counts_to(3, |counts| counts.handshake_timeouts);
}

#[test]
fn announced_clients_are_counted_by_their_addresses() {
    let mut house = House::open(announced(&["127.0.0.1"], few(1)), Manner::default());
    let mut inside = Vec::new();
    for n in 1..4 {
        let mut client = house.connect();
        client.raw(format!("PROXY TCP4 192.0.2.{n} 198.51.100.7 4711 443\r\n").as_bytes());
        client.shake_hands("/");
        inside.push((client, house.opened()));
    }
    let mut client = house.connect();
    client.raw(LINE);
    assert_eq!(client.answer().status, 429);
    house.counts_to(1, |counts| counts.address_refused);
}

// ---- so many in a second

#[test]
fn connections_that_come_too_fast_wait_and_nothing_spins() {
    let rate = Rate::new(0.001, Some(3));
    let settings = limited(|limits| limits.handshake_timeout = None);
    let mut turns = Turns::open(Settings { handshake_rate: Some(rate), ..settings }, Manner::default());
    let _guests: Vec<_> = (0..3).map(|_| turns.guest()).collect();
    let mut waiting = turns.connect();
    let request = waiting.request("/", &[], &[]);
    waiting.raw(&request);
    for _ in 0..20 {
        turns.turn();
        let outlook = turns.shard.outlook();
        assert!(!outlook.again && outlook.wait.is_some_and(|wait| wait > Duration::from_secs(100)), "{outlook:?}");
    }
    assert_eq!((turns.server.connections(), turns.server.counts().accept_pauses), (3, 1));
    let mut house =
        House::open(Settings { handshake_rate: Some(Rate::new(50.0, Some(1))), ..quiet() }, Manner::default());
    house.guests(5);
    house.counts_to((5, 5), |counts| (counts.opened, counts.accept_pauses));
}

#[test]
fn a_session_that_sends_too_fast_is_not_read_until_it_may_send_again() {
    let settings = limited(|limits| limits.message_rate = Some(Rate::new(50.0, Some(2))));
    let mut house = House::open(settings, Manner::default());
    let (mut client, link) = house.guest();
    for n in 0..12 {
        client.text(&n.to_string());
    }
    (0..12).for_each(|n| assert_eq!(house.message(link.id()).1, n.to_string().into_bytes()));
    house.until("a pause", |server| server.counts().rate_pauses > 0);
    client.expect_silence();
    client.close(1000, "");
    client.expect_close(1000);
}

fn slow(policy: RatePolicy) -> Settings {
    limited(|limits| {
        limits.message_rate = Some(Rate::new(0.001, Some(2)));
        limits.rate_policy = policy;
    })
}

#[test]
fn a_session_that_has_to_wait_can_be_closed_and_can_go() {
    for end in 0..3 {
        let mut house = House::open(slow(RatePolicy::Pause), Manner::default());
        let (mut client, link) = house.guest();
        (0..2).for_each(|n| client.text(&n.to_string()));
        (0..2).for_each(|_| drop(house.message(link.id())));
        house.counts_to(1, |counts| counts.rate_pauses);
        client.text("one too many");
        // Another one has a rate of its own.
        let (mut other, other_link) = house.guest();
        other.text("mine");
        house.message(other_link.id());
        match end {
            0 => {
                house.close(link.id(), 1001, "");
                client.expect_close(1001);
                client.close(1001, "");
                client.expect_end();
                assert_eq!(house.closed(link.id()).code().0, 1001);
            }
            1 => {
                client.reset();
                assert_eq!(house.closed(link.id()).code().0, 1006);
            }
            _ => drop(client),
        }
        let left_over = house.left_over();
        assert!(!left_over.iter().any(|event| matches!(event, Event::Message(..))), "it was not read");
    }
}

/// F21: the answer to our ping lies where we do not read.
#[test]
fn who_has_to_wait_is_not_given_up_for_its_silence() {
    let mut settings = slow(RatePolicy::Pause);
    settings.limits.ping_interval = Some(Duration::from_millis(40));
    settings.limits.ping_timeout = Some(Duration::from_millis(40));
    settings.limits.message_timeout = Some(Duration::from_millis(40));
    let mut house = House::open(settings, Manner::default());
    let (mut client, link) = house.guest();
    let begun = [frame(true, Opcode::Text, b"x").repeat(2), b"\x81".to_vec()].concat();
    client.raw(&begun);
    (0..2).for_each(|_| drop(house.message(link.id())));
    // Another one that is silent shows that the time has passed, twice.
    for _ in 0..2 {
        let (silent, silent_link) = house.guest();
        assert_eq!(house.closed(silent_link.id()).sent.unwrap().0.0, 1011);
        drop(silent);
    }
    assert!(!link.is_closing());
    house.counts_to((2, 0), |counts| (counts.ping_timeouts, counts.message_timeouts));
    assert!(matches!(client.next(), Got::Ping(_)));
}

#[test]
fn a_session_that_sends_too_fast_is_closed_where_that_is_the_policy() {
    let mut house = House::open(slow(RatePolicy::Close), Manner::default());
    let (mut client, link) = house.guest();
    (0..2).for_each(|n| client.text(&n.to_string()));
    (0..2).for_each(|_| drop(house.message(link.id())));
    client.expect_silence();
    client.text("one too many");
    match client.next() {
        Got::Close(Some(1008), reason) => assert!(reason.contains("messages_per_second"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(house.closed(link.id()).sent.unwrap().0.0, 1008);
    house.counts_to((1, 0), |counts| (counts.rate_closed, counts.rate_pauses));
}

#[test]
fn what_is_allowed_by_default_is_everything() {
    let mut house = House::at(vec![loopback()], quiet(), Manner::default());
    let guests = house.guests(20);
    for (mut client, _) in guests {
        client.raw(&frame(true, Opcode::Text, b"x").repeat(5000));
        client.expect_silence();
    }
    let counts = house.server.counts();
    assert_eq!((counts.rate_pauses, counts.accept_pauses, counts.address_refused), (0, 0, 0));
    assert_eq!(house.server.addresses_connected(), 0);
}

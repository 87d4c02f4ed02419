//! Sessions that speak Engine.IO: polls, the way to a WebSocket, and how they end on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got};
use crate::support::house::House;
use crate::support::http::{Response, Visitor, get, post};
use crate::support::quiet;
use crate::support::recorder::{Event, Manner};
use hubbub_net::proto::message::Kind;
use hubbub_net::{Endpoint, EngineIo, Limits, Link, Notice, Service, Settings};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

fn settings(change: impl FnOnce(&mut EngineIo, &mut Limits)) -> Settings {
    let mut engineio = EngineIo { upgrade_timeout: LONG, ..EngineIo::default() };
    let mut settings = quiet();
    settings.limits.close_timeout = LONG;
    change(&mut engineio, &mut settings.limits);
    settings.endpoints = vec![Endpoint {
        path: Some("/io".into()),
        service: Service::EngineIo(Box::new(engineio)),
        ..Endpoint::default()
    }];
    settings
}

fn house(change: impl FnOnce(&mut EngineIo, &mut Limits)) -> House {
    House::open(settings(change), Manner::default())
}

/// A client of Engine.IO that is on polls.
struct Caller {
    address: SocketAddr,
    sid: String,
    polls: Visitor,
}

impl Caller {
    fn join(house: &mut House) -> (Caller, Arc<Link>) {
        let mut polls = Visitor::to(house);
        let opened = polls.ask(&get("/io?EIO=4&transport=polling", ""));
        let json: serde_json::Value = serde_json::from_str(opened.body.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(json["upgrades"][0], "websocket");
        let sid = json["sid"].as_str().unwrap().to_owned();
        (Caller { address: house.address(), sid, polls }, house.opened())
    }

    fn target(&self, transport: &str) -> String {
        format!("/io?EIO=4&transport={transport}&sid={}", self.sid)
    }

    fn poll(&mut self) -> Response {
        self.polls.ask(&get(&self.target("polling"), ""))
    }

    fn poll_later(&mut self, house: &House) {
        let before = house.server.counts().requests;
        self.polls.client.raw(&get(&self.target("polling"), ""));
        house.until("the poll waits", |server| server.counts().requests > before);
    }

    fn expect(&mut self, body: &str) {
        let response = self.poll();
        assert_eq!((response.status, response.body.replace('\u{1e}', "|").as_str()), (200, body));
    }

    /// The first packet that is no noop.
    fn news(&mut self) -> String {
        loop {
            let body = self.poll().body;
            if let Some(news) = body.split('\u{1e}').find(|packet| *packet != "6") {
                return news.to_owned();
            }
        }
    }

    fn post(&self, body: &str) -> Response {
        let mut visitor = Visitor { client: Client::connect(self.address), rest: Vec::new() };
        visitor.ask(&post(&self.target("polling"), body))
    }

    /// A WebSocket beside the polls.
    fn offer(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.shake_hands(&self.target("websocket"));
        client
    }

    /// The same, and the server has answered its probe.
    fn probe(&self) -> Client {
        let mut client = self.offer();
        client.text("2probe");
        client.expect_text("3probe");
        client
    }
}

fn say(house: &mut House, link: &Link, texts: &[&str]) {
    for text in texts {
        house.send(link, Kind::Text, text.as_bytes());
    }
    house.sync();
}

fn expect_end(client: &mut Client, code: u16, reason: &str) {
    assert_eq!(client.next(), Got::Close(Some(code), reason.into()));
    assert_eq!(client.next(), Got::End);
}

// ---- from polls to a WebSocket

#[test]
fn what_is_sent_during_the_upgrade_goes_out_behind_it_and_polls_are_answered_with_a_noop() {
    let mut house = house(|_, _| ());
    for waits in [false, true] {
        let (mut caller, link) = Caller::join(&mut house);
        if waits {
            caller.poll_later(&house);
        }
        let mut socket = caller.probe();
        if waits {
            assert_eq!(caller.polls.response().body, "6");
        }
        say(&mut house, &link, &["a", "b"]);
        house.send(&link, Kind::Binary, &[3]);
        caller.expect("6");
        caller.expect("6");
        assert_eq!(caller.post("4still by a POST").body, "ok");
        assert_eq!(house.message(link.id()).1, b"still by a POST");
        assert_eq!(link.carrier().name(), "polling");
        socket.text("5");
        socket.expect_text("4a");
        socket.expect_text("4b");
        assert_eq!(socket.next(), Got::Binary(vec![3]));
        say(&mut house, &link, &["c"]);
        socket.expect_text("4c");
        socket.text("4hello");
        assert_eq!(house.message(link.id()).1, b"hello");
        assert_eq!((link.carrier().name(), caller.poll().status), ("websocket", 400));
    }
}

#[test]
fn before_the_probe_polls_bring_what_is_sent() {
    let mut house = house(|_, _| ());
    let (mut caller, link) = Caller::join(&mut house);
    let mut socket = caller.offer();
    caller.poll_later(&house);
    say(&mut house, &link, &["a"]);
    assert_eq!(caller.polls.response().body, "4a");
    socket.text("2probe");
    socket.expect_text("3probe");
    say(&mut house, &link, &["b"]);
    socket.text("5");
    socket.expect_text("4b");
}

#[test]
fn what_waits_for_an_upgrade_that_comes_to_nothing_goes_out_with_the_next_poll() {
    let mut house = house(|engineio, _| engineio.upgrade_timeout = SHORT);
    for leaves in [false, true] {
        let (mut caller, link) = Caller::join(&mut house);
        let mut socket = caller.probe();
        say(&mut house, &link, &["a"]);
        match leaves {
            true => drop(socket),
            false => assert!(socket.receive().is_none(), "its time is up"),
        }
        // Until the server knows, it says that there is nothing.
        assert_eq!(caller.news(), "4a");
        // Another one may be tried.
        let mut socket = caller.probe();
        socket.text("5");
        say(&mut house, &link, &["b"]);
        socket.expect_text("4b");
    }
}

/// Without it the client, which counts on pings, would end the session.
#[test]
fn a_ping_that_was_due_during_the_upgrade_comes_by_the_websocket() {
    let second = Duration::from_secs(1);
    let mut house = house(|engineio, _| (engineio.ping_interval, engineio.ping_timeout) = (second, LONG));
    let (caller, link) = Caller::join(&mut house);
    let mut socket = caller.probe();
    // Whoever has come later is pinged later.
    let mut clock = house.connect();
    clock.shake_hands("/io?EIO=4&transport=websocket");
    house.opened();
    assert!(matches!(clock.next(), Got::Text(open) if open.starts_with('0')));
    clock.expect_text("2");
    say(&mut house, &link, &["a"]);
    socket.text("5");
    socket.expect_text("2");
    socket.expect_text("4a");
}

// ---- the end on the way

#[test]
fn a_session_that_ends_between_probe_and_upgrade_loses_nothing() {
    let mut house = house(|_, _| ());
    for polls in [0, 2] {
        let (mut caller, link) = Caller::join(&mut house);
        let mut socket = caller.probe();
        say(&mut house, &link, &["a", "b"]);
        house.close(link.id(), 4000, "enough");
        assert_eq!(house.closed(link.id()).sent.unwrap().0.0, 4000);
        for _ in 0..polls {
            // The client does not know yet; an error would be the end for it.
            caller.expect("6");
            assert_eq!(caller.post("4too late").body, "ok");
        }
        socket.text("5");
        socket.expect_text("4a");
        socket.expect_text("4b");
        expect_end(&mut socket, 4000, "enough");
        assert_eq!((caller.poll().status, caller.post("4x").status), (400, 400));
    }
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Message(..))), "it has ended");
}

#[test]
fn a_session_that_ends_while_a_poll_waits_for_the_probe_loses_nothing() {
    let mut house = house(|_, _| ());
    let (mut caller, link) = Caller::join(&mut house);
    caller.poll_later(&house);
    let mut socket = caller.offer();
    say(&mut house, &link, &["a"]);
    house.close(link.id(), 1000, "");
    house.closed(link.id());
    socket.text("2probe");
    assert_eq!(caller.polls.response().body, "4a");
    assert_eq!(socket.next(), Got::End, "it has nothing to go on with");
    caller.expect("1");
}

#[test]
fn the_end_of_a_session_is_told_by_polls_if_the_upgrade_comes_to_nothing() {
    for (leaves, upgrade_timeout, close_timeout) in [(true, LONG, LONG), (false, SHORT, LONG), (false, LONG, SHORT)] {
        let mut house = house(|engineio, limits| {
            (engineio.upgrade_timeout, limits.close_timeout) = (upgrade_timeout, close_timeout);
        });
        let (mut caller, link) = Caller::join(&mut house);
        let socket = caller.probe();
        say(&mut house, &link, &["a"]);
        house.close(link.id(), 1000, "");
        house.closed(link.id());
        let socket = (!leaves).then_some(socket);
        assert_eq!(caller.news(), "4a", "{upgrade_timeout:?} {close_timeout:?}");
        caller.expect("1");
        drop(socket);
    }
}

#[test]
fn a_server_that_stops_waits_for_the_upgrade_and_not_for_who_gives_it_up() {
    let mut house = house(|_, _| ());
    let (probing, link) = Caller::join(&mut house);
    let mut socket = probing.probe();
    say(&mut house, &link, &["a"]);
    let (offering, _) = Caller::join(&mut house);
    let mut early = offering.offer();
    let (gone, other) = Caller::join(&mut house);
    let given_up = gone.probe();
    say(&mut house, &other, &["nobody will ask"]);
    let began = Instant::now();
    house.stop(LONG);
    house.closed(link.id());
    assert_eq!(early.receive(), None, "its client stays with its polls");
    socket.text("5");
    socket.expect_text("4a");
    expect_end(&mut socket, 1001, "bye");
    drop((socket, given_up));
    house.expect("stopped", |event| matches!(event, Event::Stopped).then_some(()));
    assert!(began.elapsed() < LONG / 2, "it waited for nobody: {:?}", began.elapsed());
}

#[test]
fn a_client_that_ends_its_session_during_the_upgrade_is_not_waited_for() {
    let mut house = house(|_, _| ());
    let (mut caller, link) = Caller::join(&mut house);
    let mut socket = caller.probe();
    assert_eq!(caller.post("1").body, "ok");
    house.closed(link.id());
    socket.text("5");
    assert_eq!(socket.next(), Got::End);
    assert_eq!(caller.poll().status, 400);
}

#[test]
fn who_posts_to_a_session_that_has_just_ended_still_gets_its_last_words() {
    let mut house = house(|_, _| ());
    let (mut caller, link) = Caller::join(&mut house);
    say(&mut house, &link, &["a"]);
    house.close(link.id(), 1000, "");
    house.closed(link.id());
    assert_eq!(caller.post("4too late").body, "ok");
    let forged = Caller { sid: format!("{}AAAAAAAAAAAAAAAAAAAAA", &caller.sid[..11]), ..Caller::join(&mut house).0 };
    assert_eq!(forged.post("4x").status, 400);
    caller.expect("4a");
    caller.expect("1");
    assert!(!house.left_over().iter().any(|event| matches!(event, Event::Message(..))));
}

#[test]
fn the_access_log_says_why_a_request_of_engine_io_is_refused() {
    let mut house = house(|_, _| {});
    let proxied = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (target, fields, why) in [
        (
            "/io?EIO=3&transport=polling",
            "",
            "Unsupported protocol version: the client speaks Engine.IO 3 (socket.io-client 2), use its version 3 or 4",
        ),
        ("/io?EIO=5&transport=polling", "", "Unsupported protocol version"),
        ("/io?EIO=4&transport=polling&sid=secret", "", "Session ID unknown"),
        ("/io?EIO=4&transport=websocket", proxied, "a WebSocket handshake without Upgrade: does a proxy leave it out?"),
    ] {
        assert_eq!(Visitor::to(&house).ask(&get(target, fields)).status, 400, "{target}");
        match house.notice(|notice| matches!(notice, Notice::Answered { .. })) {
            Notice::Answered { why: told, request_line, .. } => {
                assert_eq!((&*told, request_line.contains("secret")), (why, false));
            }
            other => panic!("{other:?}"),
        }
    }
}

// ---- what the reference does, seen on the wire

const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

#[test]
fn a_session_that_has_ended_by_its_clients_fault_or_silence_is_unknown_at_once() {
    type Way = fn(&mut Caller, &House);
    let no_packet: Way = |caller, _| assert_eq!(caller.post("9").status, 400);
    let wrong_direction: Way = |caller, _| assert_eq!(caller.post("2").body, "ok");
    let goodbye: Way = |caller, _| assert_eq!(caller.post("1").body, "ok");
    let overlap: Way = |caller, house| {
        caller.expect("4a");
        caller.poll_later(house);
        let mut other = Visitor::to(house);
        assert_eq!(other.ask(&get(&caller.target("polling"), "")).status, 400);
        assert_eq!(caller.polls.response().body, "1");
    };
    let silence: Way = |_, _| ();
    for (number, way) in [no_packet, wrong_direction, goodbye, overlap, silence].into_iter().enumerate() {
        let mut house = house(|engineio, _| {
            if number == 4 {
                (engineio.ping_interval, engineio.ping_timeout) = (SHORT, SHORT);
            }
        });
        let (mut caller, link) = Caller::join(&mut house);
        say(&mut house, &link, &["a"]);
        way(&mut caller, &house);
        house.closed(link.id());
        let (poll, post) = (caller.poll(), caller.post("4too late"));
        assert_eq!((poll.status, poll.body.as_str()), (400, UNKNOWN), "{number}");
        assert_eq!((post.status, post.body.as_str()), (400, UNKNOWN), "{number}");
    }
}

#[test]
fn a_post_that_is_complete_only_when_its_session_has_ended_is_refused_as_others_are() {
    let mut house = house(|_, _| ());
    let (mut caller, link) = Caller::join(&mut house);
    let request = post(&caller.target("polling"), "4slow");
    let (begun, rest) = request.split_at(request.len() - 2);
    let mut slow = Visitor::to(&house);
    let before = house.server.counts().requests;
    slow.client.raw(begun);
    house.until("it has begun", |server| server.counts().requests > before);
    assert_eq!(caller.post("1").body, "ok");
    house.closed(link.id());
    assert_eq!(caller.poll().body, UNKNOWN);
    slow.client.raw(rest);
    let response = slow.response();
    assert_eq!((response.status, response.body.as_str()), (400, UNKNOWN));
}

#[test]
fn a_further_websocket_of_a_session_is_taken_and_closed_without_a_word() {
    let mut house = house(|_, _| ());
    let (caller, link) = Caller::join(&mut house);
    let mut socket = caller.probe();
    for upgraded in [false, true] {
        if upgraded {
            socket.text("5");
        }
        let mut further = caller.offer();
        assert_eq!(further.next(), Got::Close(None, String::new()), "{upgraded}");
        assert_eq!(further.next(), Got::End);
    }
    socket.text("4still here");
    assert_eq!(house.message(link.id()).1, b"still here");
    say(&mut house, &link, &["a"]);
    socket.expect_text("4a");
}

#[test]
fn bytes_may_come_in_base64_by_a_websocket() {
    let mut house = house(|_, _| ());
    let mut socket = Client::connect(house.address());
    socket.shake_hands("/io?EIO=4&transport=websocket&b64=1");
    let link = house.opened();
    assert!(matches!(socket.next(), Got::Text(open) if open.starts_with('0')));
    socket.text("bAQID");
    assert_eq!(house.message(link.id()), (Kind::Binary, vec![1, 2, 3]));
    socket.text("b");
    assert_eq!(house.message(link.id()), (Kind::Binary, vec![]));
    socket.text("bAQI");
    expect_end(&mut socket, 1002, "parse error");
}

#[test]
fn the_first_subprotocol_that_a_client_names_is_answered() {
    let mut house = house(|_, _| ());
    let (caller, _) = Caller::join(&mut house);
    for target in ["/io?EIO=4&transport=websocket".to_owned(), caller.target("websocket")] {
        for names in [&["x", "y"][..], &[]] {
            let mut socket = Client::connect(house.address());
            let request = socket.request(&target, names, &[]);
            socket.raw(&request);
            assert_eq!(socket.agreed(names).as_deref(), names.first().copied(), "{target}");
        }
    }
}

#[test]
fn what_is_sent_to_a_client_before_it_could_ask_goes_out_although_it_is_more_than_the_outbox_takes() {
    let mut house = house(|_, limits| limits.outbox_bytes = 50_000);
    let (mut caller, link) = Caller::join(&mut house);
    let large = "x".repeat(10_000);
    for _ in 0..20 {
        house.send(&link, Kind::Text, large.as_bytes());
    }
    house.sync();
    let body = caller.poll().body;
    assert_eq!(body.split('\u{1e}').filter(|packet| packet[1..] == large).count(), 20);
    // It is bounded all the same.
    for _ in 0..85 {
        house.send(&link, Kind::Text, large.as_bytes());
    }
    assert!(house.closed(link.id()).cause.unwrap().contains("does not read fast enough"));
}

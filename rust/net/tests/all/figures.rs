//! What the server knows about itself, and how it tells Prometheus.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::house::{House, rooms};
use crate::support::recorder::{Event, Manner};
use crate::support::{limited, quiet, serving, text};
use hubbub_net::proto::message::Kind;
use hubbub_net::{
    Answer, Command, Endpoint, Exposition, Figures, Policy, Reason, Service, Settings, Transport, Trust, Verdict,
};

fn figures(path: &str, network: &str) -> Endpoint {
    let readers = Trust::parse([network]).unwrap();
    Endpoint { path: Some(path.into()), service: Service::Figures(readers), ..Endpoint::default() }
}

fn with_figures() -> Settings {
    serving(vec![Endpoint::default(), figures("/metrics", "127.0.0.1/32")])
}

fn ask(house: &House, line: &str, fields: &str) -> (u16, Option<String>, Option<String>, String) {
    let mut client = house.connect();
    client.raw(format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n").as_bytes());
    let answer = client.answer();
    let field = |name: &str| answer.field(name).map(str::to_owned);
    (answer.status, field("content-type"), field("allow"), answer.body.clone())
}

fn closes(figures: &Figures) -> Vec<(Option<u16>, u64)> {
    figures.closes.iter().copied().filter(|(_, count)| *count > 0).collect()
}

fn refusals(figures: &Figures) -> Vec<(Reason, u64)> {
    figures.refusals.iter().copied().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn sessions_are_counted_by_transport_and_their_ends_by_code() {
    let mut house = House::open(Settings { shards: 2, ..quiet() }, Manner::default());
    let mut guests = house.guests(5);
    assert_eq!(house.server.figures().sessions[0], (Transport::WebSocket, 5, 0));
    for code in [1000, 1000, 4321] {
        let (mut client, link) = guests.remove(0);
        client.close(code, "");
        house.closed(link.id());
    }
    let (client, link) = guests.remove(0);
    drop(client);
    house.closed(link.id());
    let figures = house.server.figures();
    assert_eq!(figures.sessions[0], (Transport::WebSocket, 5, 4));
    assert!(figures.sessions[1..].iter().all(|(_, opened, closed)| (*opened, *closed) == (0, 0)));
    assert_eq!(closes(&figures), [(Some(1000), 2), (Some(1006), 1), (None, 1)]);
}

#[test]
fn requests_are_counted_by_status_and_by_reason() {
    let verdict = |status| Verdict::Answer(Answer { status, fields: Vec::new(), body: "x".into() });
    let endpoints = vec![
        Endpoint { path: Some("/ws".into()), origins: Some(vec!["http://here".into()]), ..Endpoint::default() },
        Endpoint { path: Some("/ask/{what}".into()), asks: true, ..Endpoint::default() },
        figures("/metrics", "127.0.0.1/32"),
        figures("/elsewhere", "203.0.113.0/24"),
    ];
    let mut house = House::open(serving(endpoints), Manner::default());
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut send = |line: &str, fields: &str, decided: Option<u16>| {
        let mut client = house.connect();
        client.raw(format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n").as_bytes());
        if let Some(status) = decided {
            let link = house.expect("a request", |event| match event {
                Event::Request(link, _) => Some(link.clone()),
                _ => None,
            });
            house.post(link.id(), Command::Verdict(link.id(), verdict(status)));
        }
        client.answer().status
    };
    assert_eq!(send("GET /nowhere", "", None), 404);
    assert_eq!(send("GET /ws", "", None), 426);
    assert_eq!(send("GET /ws", upgrade, None), 400);
    assert_eq!(send("GET /ws", &format!("{upgrade}{key}Origin: http://there\r\n"), None), 403);
    assert_eq!(send("GET /ws", "a b: c\r\n", None), 400);
    assert_eq!(send("GET /ws", &"x: y\r\n".repeat(101), None), 431);
    assert_eq!(send("POST /ask/a", "Content-Length: 1\r\n", None), 413);
    assert_eq!(send("GET /ask/a", "", Some(200)), 200);
    assert_eq!(send("GET /ask/a", "", Some(299)), 299);
    assert_eq!(send("GET /ask/a", "", Some(403)), 403);
    assert_eq!(send("GET /metrics", "", None), 200);
    assert_eq!(send("POST /metrics", "", None), 405);
    assert_eq!(send("GET /elsewhere", "", None), 403);
    house.counts_to(10, |counts| counts.refused);
    let figures = house.server.figures();
    let other = (None, 1);
    let answers = [(200, 2), (400, 2), (403, 3), (404, 1), (405, 1), (413, 1), (426, 1), (431, 1)];
    let answers: Vec<_> = answers.into_iter().map(|(status, count)| (Some(status), count)).chain([other]).collect();
    assert_eq!(figures.answers, answers);
    let reasons = [
        (Reason::Malformed, 1),
        (Reason::TooLarge, 1),
        (Reason::NotFound, 1),
        (Reason::NotWebSocket, 1),
        (Reason::Handshake, 1),
        (Reason::Origin, 1),
        (Reason::Body, 1),
        (Reason::Method, 1),
        (Reason::Address, 1),
        (Reason::Handler, 1),
    ];
    assert_eq!(refusals(&figures), reasons);
}

#[test]
fn who_is_too_slow_with_a_request_and_who_with_the_answer_are_told_apart() {
    let settings = Settings {
        endpoints: vec![Endpoint { asks: true, ..Endpoint::default() }],
        ..limited(|limits| {
            limits.handshake_timeout = Some(Duration::from_millis(50));
            limits.request_timeout = Some(Duration::from_millis(50));
        })
    };
    let house = House::open(settings, Manner::default());
    let mut clients = [house.connect(), house.connect()];
    clients[0].raw(b"GET / HT");
    clients[1].raw(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(clients.each_mut().map(|client| client.answer().status), [408, 503]);
    house.counts_to(2, |counts| counts.refused);
    assert_eq!(refusals(&house.server.figures()), [(Reason::Timeout, 1), (Reason::Undecided, 1)]);
}

fn sleeper(house: &mut House, room: &str) -> (Client, std::sync::Arc<hubbub_net::Link>) {
    let mut client = Client::with_small_buffer(house.address());
    client.shake_hands("/");
    let link = house.opened();
    house.join(&link, room);
    (client, link)
}

/// Row 13, F25.
#[test]
fn drops_are_counted_by_policy_and_by_room_and_go_with_the_room() {
    let mut house = House::open(Settings { shards: 2, ..quiet() }, Manner::default());
    let policies = [("a", Policy::Close), ("b", Policy::Drop), ("c", Policy::DropOldest)];
    let sleepers: Vec<_> = policies.iter().map(|(room, _)| sleeper(&mut house, room)).collect();
    let (mut reader, _) = house.guest();
    let mut missed = Vec::new();
    for (room, policy) in policies {
        let mut dropped = 0;
        for _ in 0..300 {
            let delivery = house.publish(rooms(&[room]), &[], policy, text(64 << 10).as_bytes());
            dropped += house.await_delivery(&delivery).1 as u64;
        }
        missed.push(dropped);
    }
    // A message that is larger than the whole outbox finds no room however much older is left out.
    let delivery = house.publish(rooms(&["c"]), &[], Policy::DropOldest, text(2 << 20).as_bytes());
    assert_eq!(house.await_delivery(&delivery), (0, 1));
    // Each shard publishes its counts by itself.
    house.until("the drops of both shards", |server| {
        let counts = server.counts();
        (counts.broadcasts, counts.slow_closed, counts.dropped) == (901, 1, missed[1] + 1)
    });
    let figures = house.server.figures();
    let [(_, closed), (_, newest), (_, oldest)] = figures.drops;
    assert_eq!((closed, newest, missed[2]), (1, missed[1], 0));
    assert_eq!(oldest, figures.counts.dropped_oldest + 1);
    assert_eq!(figures.counts.dropped, newest + 1);
    // The member of "a" was closed for it, so that room has gone.
    let directory = house.server.directory();
    assert_eq!((directory.dropped("a"), directory.dropped("b"), directory.dropped("c")), (0, newest, oldest));
    assert_eq!(figures.dropping_rooms.iter().map(|(_, count)| count).sum::<u64>(), newest + oldest);
    drop(sleepers);
    house.until("the rooms have gone", |server| server.directory().is_empty());
    assert!(house.server.figures().dropping_rooms.is_empty());
    reader.expect_silence();
}

#[test]
fn the_backlog_is_the_sum_of_all_outboxes_and_the_largest_is_known() {
    let mut house = House::open(Settings { shards: 2, ..limited(|l| l.outbox_bytes = 64 << 20) }, Manner::default());
    let mut sleepers: Vec<_> = (0..4).map(|_| sleeper(&mut house, "hall")).collect();
    let payload = text(1 << 20);
    for (at, (_, link)) in sleepers.iter().enumerate() {
        (0..4 * (at + 1)).for_each(|_| house.send(link, Kind::Text, payload.as_bytes()));
    }
    house.sync();
    let settled = |figures: &Figures| {
        let waiting: Vec<u64> = sleepers.iter().map(|(_, link)| link.buffered() as u64).collect();
        let largest = waiting.iter().copied().max().unwrap();
        (figures.outbox_bytes, figures.largest_outbox_bytes, figures.blocked_sessions)
            == (waiting.iter().sum(), largest, 4)
            && largest > 8 << 20
    };
    house.until("the figures are what the links say", |server| settled(&server.figures()));
    // Who has read everything does not count any more; who goes, neither.
    (0..16).for_each(|_| sleepers[3].0.expect_text(&payload));
    house.until("one is out", |server| server.figures().blocked_sessions == 3);
    drop(sleepers);
    let nothing =
        |figures: &Figures| (figures.outbox_bytes, figures.largest_outbox_bytes, figures.blocked_sessions) == (0, 0, 0);
    house.until("nothing waits", |server| nothing(&server.figures()));
}

#[test]
fn the_figures_are_read_with_get_or_head_in_the_format_that_is_asked_for() {
    let mut house = House::open(with_figures(), Manner::default());
    let _guest = house.guest();
    let (status, kind, _, body) = ask(&house, "GET /metrics", "");
    assert_eq!((status, kind.as_deref()), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    assert!(body.contains("\nhubbub_sessions{transport=\"websocket\"} 1\n") && !body.contains("# EOF"), "{body}");
    let (_, kind, _, body) = ask(&house, "GET /metrics?x=1", "Accept: application/openmetrics-text\r\n");
    assert_eq!(kind.as_deref(), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(body.ends_with("\n# EOF\n"));
    let (status, _, allow, _) = ask(&house, "DELETE /metrics", "");
    assert_eq!((status, allow.as_deref()), (405, Some("GET, HEAD")));
    assert_eq!(ask(&house, "GET /metrics", "Content-Length: 3\r\n").0, 413);
    let mut client = house.connect();
    client.raw(b"HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    let head: Vec<u8> = std::iter::from_fn(|| client.receive()).flatten().collect();
    assert!(head.starts_with(b"HTTP/1.1 200 ") && head.ends_with(b"\r\n\r\n"), "HEAD gets no content");
    assert!(house.left_over().iter().all(|event| !matches!(event, Event::Request(..))), "the user is not asked");
}

/// What a page tells is what `figures` tells: each line is a sample, or says what the samples below it are.
#[test]
fn every_sample_has_a_help_and_a_type() {
    let mut house = House::open(with_figures(), Manner::default());
    let _guest = house.guest();
    for exposition in [Exposition::Prometheus, Exposition::OpenMetrics] {
        let mut family = "";
        let page = house.server.metrics(exposition);
        let mut seen = Vec::new();
        for line in page.lines().filter(|line| *line != "# EOF") {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(!seen.contains(&family), "{family} stands twice");
                seen.push(family);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert_eq!(kind.split(' ').next(), Some(family));
            } else {
                assert!(line.starts_with(family), "{line} is not of {family}");
                line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            }
        }
        assert!(seen.len() > 40 && seen.iter().all(|name| name.starts_with("hubbub_")));
    }
}

//! Event streams, and rooms that remember what was said for clients who come back.

use std::sync::Arc;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::house::{House, rooms};
use crate::support::http::{Visitor, get};
use crate::support::patron::{Event, Stream, comet};
use crate::support::recorder::Manner;
use crate::support::{Random, text};
use hubbub_net::proto::event_stream;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Broadcast, Command, CommandBatch, Joined, Limits, Link, Policy, Settings, Space, Target};

fn house(change: impl FnOnce(&mut Limits)) -> House {
    House::open(comet(change), Manner::default())
}

/// Opens an event stream; the id is that of the last event that the client has seen.
fn listen(house: &mut House, last_id: Option<&str>, names: &[&str]) -> (Stream, Arc<Link>) {
    let fields = last_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let stream = Stream::ask(house.address(), "/events", &fields).unwrap();
    let link = house.opened();
    // At once, as a handler does when a client has connected.
    let mut batch = CommandBatch::default();
    for name in names {
        if let Joined::Now(name) = house.server.directory().join(&link, name, None) {
            batch.push(Command::Join(link.id(), Space::Hub, name));
        }
    }
    batch.push(Command::CatchUp(link.id()));
    house.server.handles()[link.id().shard()].post(batch);
    (stream, link)
}

/// Broadcasts something that its rooms remember. Returns when every shard has handed it out.
fn say(house: &mut House, names: &[&str], text: &str) {
    let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    let (server, default) = (house.server.clone(), house.limits().history_messages);
    let stamp = server.directory().stamp(&names, default, server.epoch());
    let shards = server.handles().len();
    let target = Target::Rooms(names);
    let mut broadcast = Broadcast::new(target, Vec::new(), Policy::Close, Kind::Text, text.as_bytes(), shards);
    broadcast.stamp = stamp;
    let broadcast = Arc::new(broadcast);
    house.post_to_all(|| Command::Broadcast(broadcast.clone()));
    house.await_delivery(&broadcast.delivery);
}

/// What listeners are told up to the end mark, which is sent to this session alone.
fn told(house: &House, stream: &mut Stream, link: &Link) -> Vec<String> {
    house.send(link, Kind::Text, b"(mark)");
    let mut all = Vec::new();
    loop {
        let event = stream.told();
        match event.name.as_deref() {
            None if event.data == "(mark)" => return all,
            None => all.push(event.data),
            Some(name) => all.push(format!("<{name}>")),
        }
    }
}

/// The last id that a client knows of, as browsers keep it.
fn last_id(stream: &mut Stream, until: &str) -> String {
    let mut last = String::new();
    loop {
        let event = stream.event().unwrap();
        if let Some(id) = event.id {
            last = id;
        }
        if event.data == until {
            return last;
        }
    }
}

// ---- streams

#[test]
fn an_event_arrives_with_all_its_fields_and_so_does_a_comment() {
    let mut house = house(|_| ());
    let (mut stream, link) = listen(&mut house, None, &[]);
    let event =
        event_stream::Event { event: Some("news"), id: Some("7"), retry: Some(1500), data: Some("a\r\nb\rc\n d") };
    let mut block = Vec::new();
    event_stream::encode(&mut block, &event).unwrap();
    event_stream::comment(&mut block, "still\nhere");
    link.add_posted(block.len());
    house.post(link.id(), Command::Event(link.id(), block.into()));
    let expected = Event {
        name: Some("news".into()),
        id: Some("7".into()),
        data: "a\nb\nc\n d".into(),
        told: true,
        retry: Some(1500),
        comments: Vec::new(),
    };
    assert_eq!(stream.event().unwrap(), expected);
    assert_eq!(stream.event().unwrap().comments, ["still", "here"]);
    house.send(&link, Kind::Binary, &[1, 2, 3]);
    let event = stream.event().unwrap();
    assert_eq!((event.name.as_deref(), event.data.as_str()), (Some("binary"), "AQID"));
    house.until("all is written", |_| link.buffered() == 0);
}

#[test]
fn an_event_for_another_carrier_is_left_out() {
    let mut house = house(|_| ());
    let (mut client, link) = house.guest();
    link.add_posted(3);
    house.post(link.id(), Command::Event(link.id(), "x\n\n".into()));
    house.sync();
    client.expect_silence();
    house.until("nothing is left of it", |_| link.buffered() == 0);
}

#[test]
fn a_broadcast_may_be_an_event_with_a_type() {
    let mut house = house(|_| ());
    let (mut stream, link) = listen(&mut house, None, &["lobby"]);
    let (mut plain, other) = house.guest();
    house.join(&other, "lobby");
    let mut broadcast = Broadcast::new(rooms(&["lobby"]), Vec::new(), Policy::Close, Kind::Text, b"up", 1);
    broadcast.event = Some("news".into());
    let broadcast = Arc::new(broadcast);
    house.post_to_all(|| Command::Broadcast(broadcast.clone()));
    let event = stream.event().unwrap();
    assert_eq!((event.name.as_deref(), event.id, event.data.as_str()), (Some("news"), None, "up"));
    plain.expect_text("up");
    drop(link);
}

#[test]
fn a_stream_ends_with_a_word_from_the_server_and_without_one_from_the_client() {
    let mut house = house(|_| ());
    let (mut stream, link) = listen(&mut house, None, &["lobby"]);
    house.close(link.id(), 4000, "enough");
    let event = stream.event().unwrap();
    assert_eq!((event.name.as_deref(), event.data.as_str()), (Some("close"), r#"{"code":4000,"reason":"enough"}"#));
    assert_eq!(stream.event(), None);
    assert_eq!(house.closed(link.id()).rooms.len(), 1);
    for reset in [false, true] {
        let (stream, link) = listen(&mut house, None, &["lobby"]);
        if reset {
            stream.client.reset();
        } else {
            drop(stream);
        }
        assert_eq!(house.closed(link.id()).code().0, 1006);
    }
    // Its client has nothing to say.
    let (mut stream, link) = listen(&mut house, None, &[]);
    stream.client.raw(b"hello");
    assert_eq!(stream.event(), None);
    assert!(house.closed(link.id()).cause.unwrap().contains("behind its request"));
}

#[test]
fn an_idle_stream_is_kept_awake_by_comments() {
    let mut house = house(|limits| limits.ping_interval = Some(Duration::from_millis(50)));
    let (mut stream, link) = listen(&mut house, None, &[]);
    for _ in 0..3 {
        let event = stream.event().unwrap();
        assert_eq!((event.comments.as_slice(), event.told), (&[String::new()][..], false));
    }
    assert_eq!(link.latency(), None);
}

#[test]
fn a_client_that_never_reads_is_given_up_at_the_limit_or_in_time() {
    let large = text(100_000);
    let mut house = house(|limits| limits.outbox_bytes = 300_000);
    let client = Client::with_small_buffer(house.address());
    let stream = Stream::over(client, &get("/events", "")).unwrap();
    let link = house.opened();
    for _ in 0..200 {
        house.send(&link, Kind::Text, large.as_bytes());
    }
    let closed = house.closed(link.id());
    assert_eq!(closed.cause.as_deref(), Some("closed with 1013: the client does not read fast enough"));
    drop(stream);
    let mut house = House::open(
        comet(|limits| {
            limits.outbox_bytes = 64 << 20;
            limits.ping_interval = Some(Duration::from_millis(50));
        }),
        Manner::default(),
    );
    let client = Client::with_small_buffer(house.address());
    let stream = Stream::over(client, &get("/events", "")).unwrap();
    let link = house.opened();
    for _ in 0..100 {
        house.send(&link, Kind::Text, large.as_bytes());
    }
    let closed = house.closed(link.id());
    assert_eq!(closed.cause.as_deref(), Some("closed with 1011: keepalive ping timeout"));
    drop(stream);
}

#[test]
fn http_1_0_gets_a_stream_too() {
    let mut house = house(|_| ());
    let client = Client::connect(house.address());
    let mut stream = Stream::over(client, b"GET /events HTTP/1.0\r\n\r\n").unwrap();
    let link = house.opened();
    house.send(&link, Kind::Text, b"hello");
    assert_eq!(stream.told().data, "hello");
}

// ---- history

#[test]
fn who_comes_back_gets_what_it_has_missed_once_and_in_order() {
    for shards in [1, 3] {
        let mut house =
            House::open(Settings { shards, ..comet(|limits| limits.history_messages = 100) }, Manner::default());
        let (mut stream, _) = listen(&mut house, None, &["x"]);
        say(&mut house, &["x"], "1");
        say(&mut house, &["x"], "2");
        let last = last_id(&mut stream, "1");
        stream.client.reset();
        say(&mut house, &["elsewhere"], "not for it");
        say(&mut house, &["x"], "3");
        say(&mut house, &["y"], "4");
        say(&mut house, &["x", "y"], "5");
        for _ in 0..shards {
            let (mut stream, link) = listen(&mut house, Some(&last), &["x", "y"]);
            assert_eq!(told(&house, &mut stream, &link), ["2", "3", "4", "5"]);
            say(&mut house, &["nowhere"], "nothing");
            assert_eq!(told(&house, &mut stream, &link), [""; 0]);
        }
        // Who comes for the first time has missed nothing.
        let (mut stream, link) = listen(&mut house, None, &["x"]);
        assert_eq!(told(&house, &mut stream, &link), [""; 0]);
        house.counts_to(4 * shards as u64, |counts| counts.replayed);
    }
}

#[test]
fn a_stream_has_a_place_before_its_first_event() {
    let mut house = house(|limits| limits.history_messages = 10);
    say(&mut house, &["x"], "before");
    let (mut stream, link) = listen(&mut house, None, &["x"]);
    let place = stream.event().unwrap();
    assert!(!place.told);
    let place = place.id.unwrap();
    stream.client.reset();
    house.closed(link.id());
    say(&mut house, &["x"], "while it was away");
    let (mut stream, link) = listen(&mut house, Some(&place), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["while it was away"]);
}

/// Numbers to several rooms, while the client loses its connection at any moment.
#[test]
fn nothing_is_missed_or_told_twice_however_often_the_stream_is_cut() {
    const LAST: usize = 2000;
    let mut random = Random(11);
    for shards in [1, 2] {
        let mut house =
            House::open(Settings { shards, ..comet(|limits| limits.history_messages = 1000) }, Manner::default());
        let mine = ["x", "y"];
        let (mut stream, _) = listen(&mut house, None, &mine);
        house.sync();
        let mut last = String::new();
        let (mut said, mut expected, mut seen) = (0, Vec::new(), Vec::new());
        while said < LAST || seen.len() < expected.len() {
            for _ in 0..random.next(20).min(LAST - said) {
                let all = ["x", "y", "z"];
                let first = all[random.next(3)];
                let names = if random.next(2) > 0 { vec![first] } else { vec![first, all[random.next(3)]] };
                let text = said.to_string();
                say(&mut house, &names, &text);
                if names.iter().any(|name| mine.contains(name)) {
                    expected.push(text);
                }
                said += 1;
            }
            let enough = seen.len() + random.next(1 + expected.len() - seen.len());
            let enough = if said == LAST { expected.len() } else { enough };
            while seen.len() < enough {
                let event = stream.event().expect("more events");
                if let Some(id) = &event.id {
                    last = id.clone();
                }
                if event.told {
                    assert_eq!(event.name, None, "{event:?}");
                    seen.push(event.data);
                }
            }
            if random.next(3) == 0 && !last.is_empty() {
                if random.next(2) > 0 {
                    stream.client.reset();
                }
                (stream, _) = listen(&mut house, Some(&last), &mine);
            }
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn what_is_not_kept_any_more_is_a_gap() {
    let mut house = house(|limits| limits.history_messages = 3);
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    for number in 0..10 {
        say(&mut house, &["x"], &number.to_string());
    }
    let early = last_id(&mut stream, "3");
    let just = last_id(&mut stream, "6");
    let (mut stream, link) = listen(&mut house, Some(&just), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["7", "8", "9"]);
    let (mut stream, link) = listen(&mut house, Some(&early), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["<gap>", "7", "8", "9"]);
}

#[test]
fn an_id_that_is_garbage_or_of_another_life_is_a_gap_and_nothing_worse() {
    let mut other = house(|limits| limits.history_messages = 10);
    let (mut stream, _) = listen(&mut other, None, &["x"]);
    say(&mut other, &["x"], "elsewhere");
    let foreign = last_id(&mut stream, "elsewhere");
    let mut house = house(|limits| limits.history_messages = 10);
    say(&mut house, &["x"], "1");
    let garbage = ["x", "-", "\u{fffd}", "deadbeef-1", "1-1", "00000000-0", "%00", "99999999999999999999999-1"];
    for id in garbage.into_iter().chain([foreign.as_str(), &"y".repeat(5000)]) {
        let (mut stream, link) = listen(&mut house, Some(id), &["x"]);
        assert_eq!(told(&house, &mut stream, &link), ["<gap>", "1"], "{id:?}");
    }
    // What is no text is no id of ours either.
    let mut client = Client::connect(house.address());
    client.raw(b"GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: \xff\xfe\r\n\r\n");
    let mut stream = Stream::over(client, b"").unwrap();
    let link = house.opened();
    house.join(&link, "x");
    assert_eq!(told(&house, &mut stream, &link), ["<gap>", "1"]);
    // An empty id is none.
    let (mut stream, link) = listen(&mut house, Some(""), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
    // A place that is not there yet: nothing has been missed.
    let epoch = house.server.epoch();
    let (mut stream, link) = listen(&mut house, Some(&format!("{epoch:08x}-99999")), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
}

#[test]
fn who_comes_with_an_id_of_another_life_gets_a_place_in_this_one() {
    let mut house = house(|limits| limits.history_messages = 10);
    let (mut stream, link) = listen(&mut house, Some("deadbeef-5"), &["x"]);
    house.send(&link, Kind::Text, b"(mark)");
    let place = last_id(&mut stream, "(mark)");
    say(&mut house, &["x"], "1");
    let (mut stream, link) = listen(&mut house, Some(&place), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["1"]);
}

#[test]
fn where_nothing_is_remembered_ids_are_the_users() {
    let mut house = house(|_| ());
    let (mut stream, link) = listen(&mut house, Some("42"), &["x"]);
    say(&mut house, &["x"], "1");
    let event = stream.event().unwrap();
    assert_eq!((event.id, event.data.as_str()), (None, "1"));
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
}

#[test]
fn a_room_may_remember_for_itself() {
    let mut house = house(|_| ());
    house.server.directory().set_keep("x", Some(2));
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    for number in 0..4 {
        say(&mut house, &["x"], &number.to_string());
    }
    say(&mut house, &["y"], "not kept");
    let last = last_id(&mut stream, "1");
    let (mut stream, link) = listen(&mut house, Some(&last), &["x", "y"]);
    assert_eq!(told(&house, &mut stream, &link), ["2", "3"]);
    house.server.directory().set_keep("x", None);
    say(&mut house, &["x"], "4");
    assert_eq!(told(&house, &mut stream, &link), ["4"]);
}

#[test]
fn what_comes_too_late_for_the_order_of_ids_is_a_gap() {
    let mut house = house(|limits| limits.history_messages = 100);
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    say(&mut house, &["x"], "0");
    let last = last_id(&mut stream, "0");
    say(&mut house, &["x", "y"], "1");
    say(&mut house, &["y"], "2");
    let (mut stream, link) = listen(&mut house, Some(&last), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["1"]);
    say(&mut house, &["x", "y"], "3");
    say(&mut house, &["x"], "4");
    assert_eq!(told(&house, &mut stream, &link), ["3", "4"]);
    say(&mut house, &["y"], "5");
    // 2 lies before what the client has seen, so it cannot be told any more; 5 can.
    house.join(&link, "y");
    assert_eq!(told(&house, &mut stream, &link), ["<gap>", "5"]);
    house.leave(&link, "y");
    house.join(&link, "z");
    say(&mut house, &["z"], "6");
    house.send(&link, Kind::Text, b"(mark)");
    let last = last_id(&mut stream, "(mark)");
    let (mut stream, link) = listen(&mut house, Some(&last), &["x", "y", "z"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
}

#[test]
fn rooms_that_are_joined_together_are_told_together_in_order() {
    let mut house = house(|limits| limits.history_messages = 100);
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    say(&mut house, &["x"], "0");
    let last = last_id(&mut stream, "0");
    say(&mut house, &["x"], "1");
    say(&mut house, &["y"], "2");
    say(&mut house, &["x"], "3");
    let (mut stream, link) = listen(&mut house, Some(&last), &[]);
    house.join(&link, "x");
    say(&mut house, &["y"], "4");
    say(&mut house, &["x"], "5");
    house.join(&link, "y");
    say(&mut house, &["x", "y"], "6");
    house.post(link.id(), Command::CatchUp(link.id()));
    say(&mut house, &["x"], "7");
    assert_eq!(told(&house, &mut stream, &link), ["1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_late_join_leaves_the_place_where_it_was() {
    let mut house = house(|limits| limits.history_messages = 100);
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    say(&mut house, &["x"], "0");
    let first = last_id(&mut stream, "0");
    say(&mut house, &["y"], "1");
    say(&mut house, &["x"], "2");
    let (mut stream, link) = listen(&mut house, Some(&first), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["2"]);
    house.join(&link, "y");
    say(&mut house, &["y"], "3");
    house.post(link.id(), Command::CatchUp(link.id()));
    let last = last_id(&mut stream, "3");
    let (mut stream, link) = listen(&mut house, Some(&last), &["x", "y"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0], "2 does not come again");
}

#[test]
fn what_is_said_while_a_client_enters_its_rooms_is_told_once_and_in_the_order_of_ids() {
    for shards in [1, 2] {
        let mut house =
            House::open(Settings { shards, ..comet(|limits| limits.history_messages = 100) }, Manner::default());
        let (mut stream, _) = listen(&mut house, None, &["x", "y"]);
        say(&mut house, &["x"], "0");
        let first = last_id(&mut stream, "0");
        say(&mut house, &["y"], "1");
        say(&mut house, &["x"], "2");
        let (mut stream, link) = listen(&mut house, Some(&first), &[]);
        house.join(&link, "x");
        say(&mut house, &["x"], "3");
        say(&mut house, &["y"], "4");
        house.join(&link, "y");
        say(&mut house, &["y"], "5");
        say(&mut house, &["x", "y"], "6");
        house.post(link.id(), Command::CatchUp(link.id()));
        say(&mut house, &["x"], "7");
        let mut ids = Vec::new();
        for number in 1..=7 {
            let event = stream.told();
            assert_eq!((event.name, event.data), (None, number.to_string()));
            ids.push(event.id);
        }
        assert!(ids.is_sorted(), "{ids:?}");
        // In rooms that it knows, it misses nothing while it enters another.
        house.join(&link, "z");
        say(&mut house, &["x"], "8");
        say(&mut house, &["z"], "9");
        house.leave(&link, "x");
        say(&mut house, &["x"], "not a member");
        assert_eq!(told(&house, &mut stream, &link), ["8", "9"]);
    }
}

#[test]
fn what_a_client_is_left_out_of_is_not_told_when_it_has_entered_its_rooms() {
    let mut house = house(|limits| limits.history_messages = 100);
    say(&mut house, &["x"], "1");
    let epoch = house.server.epoch();
    let (mut stream, link) = listen(&mut house, Some(&format!("{epoch:08x}-0")), &[]);
    house.join(&link, "x");
    house.join(&link, "y");
    for (skip, except) in [(vec![link.id()], vec![]), (vec![], vec!["y".into()])] {
        let target = Target::Rooms(vec!["x".into()]);
        let mut broadcast = Broadcast::new(target, skip, Policy::Close, Kind::Text, b"not for it", 1);
        (broadcast.except, broadcast.stamp) = (except, house.server.directory().stamp(&["x".into()], 100, epoch));
        house.post(link.id(), Command::Broadcast(Arc::new(broadcast)));
    }
    say(&mut house, &["x"], "2");
    house.post(link.id(), Command::CatchUp(link.id()));
    assert_eq!(told(&house, &mut stream, &link), ["1", "2"]);
}

/// It has it from another shard, and has come again before this one was given it.
#[test]
fn what_a_client_has_seen_does_not_come_again_from_a_shard_that_is_behind() {
    let mut house = house(|limits| limits.history_messages = 100);
    let epoch = house.server.epoch();
    let (mut stream, link) = listen(&mut house, Some(&format!("{epoch:08x}-1")), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
    say(&mut house, &["x"], "1");
    say(&mut house, &["x"], "2");
    assert_eq!(told(&house, &mut stream, &link), ["2"]);
}

#[test]
fn who_has_left_a_room_is_not_told_of_it() {
    let mut house = house(|limits| limits.history_messages = 100);
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    say(&mut house, &["x"], "0");
    let last = last_id(&mut stream, "0");
    say(&mut house, &["x"], "1");
    let (mut stream, link) = listen(&mut house, Some(&last), &[]);
    let mut batch = CommandBatch::default();
    batch.push(Command::Join(link.id(), Space::Hub, "x".into()));
    batch.push(Command::Leave(link.id(), Space::Hub, "x".into()));
    house.server.handles()[0].post(batch);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
}

#[test]
fn a_history_is_bounded_in_bytes_and_in_time() {
    let mut house = house(|limits| {
        (limits.history_messages, limits.history_bytes) = (100, 10);
        limits.history_timeout = Duration::from_millis(50);
    });
    let (mut stream, _) = listen(&mut house, None, &["x"]);
    for text in ["aaaa", "bbbb", "cccc", "dddddddddddddddddddd"] {
        say(&mut house, &["x"], text);
    }
    let ids: Vec<_> = ["aaaa", "bbbb", "cccc"].iter().map(|text| last_id(&mut stream, text)).collect();
    let (mut stream, link) = listen(&mut house, Some(&ids[2]), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["<gap>"], "one that is larger than all is not kept");
    say(&mut house, &["x"], "eeee");
    say(&mut house, &["x"], "ffff");
    let last = last_id(&mut stream, "ffff");
    let (mut stream, link) = listen(&mut house, Some(&last), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
    let kept = |house: &mut House| {
        // Something is said elsewhere now and then.
        say(house, &["y"], "tick");
        let (mut stream, link) = listen(house, Some("deadbeef-1"), &["x"]);
        let kept = told(house, &mut stream, &link);
        house.close(link.id(), 1000, "");
        kept
    };
    let began = std::time::Instant::now();
    while kept(&mut house) != ["<gap>"] {
        assert!(began.elapsed() < crate::support::PATIENCE, "it is never forgotten");
    }
    // The gap is one for who was there before, too.
    let (mut stream, link) = listen(&mut house, Some(&ids[0]), &["x"]);
    assert_eq!(told(&house, &mut stream, &link), ["<gap>"]);
}

#[test]
fn websockets_and_sessions_that_resume_get_no_history_but_have_their_own() {
    let mut house = house(|limits| limits.history_messages = 10);
    say(&mut house, &["x"], "1");
    let mut client = house.connect();
    let request = client.request("/", &[], &[("Last-Event-ID", "deadbeef-1")]);
    client.raw(&request);
    client.agreed(&[]);
    let link = house.opened();
    house.join(&link, "x");
    house.sync();
    client.expect_silence();
    let target = "/push?transport=eventsource";
    let mut stream = Stream::ask(house.address(), target, "Last-Event-ID: deadbeef-1\r\n").unwrap();
    let link = house.opened();
    house.join(&link, "x");
    assert_eq!(stream.told().name.as_deref(), Some("session"));
    assert_eq!(told(&house, &mut stream, &link), [""; 0]);
    // One without packets, at the same place, is a plain event stream with all that belongs to it.
    let fields = "Accept: text/event-stream\r\nLast-Event-ID: deadbeef-1\r\n";
    let mut stream = Stream::ask(house.address(), "/push", fields).unwrap();
    let link = house.opened();
    house.join(&link, "x");
    assert_eq!(told(&house, &mut stream, &link), ["<gap>", "1"]);
}

#[test]
fn a_thousand_streams_come_and_go() {
    let mut house =
        House::open(Settings { shards: 2, ..comet(|limits| limits.history_messages = 10) }, Manner::default());
    let mut streams: Vec<_> = (0..500).map(|_| listen(&mut house, None, &["x"])).collect();
    for number in 0..20 {
        say(&mut house, &["x"], &number.to_string());
    }
    for (stream, _) in &mut streams {
        for number in 0..20 {
            assert_eq!(stream.told().data, number.to_string());
        }
    }
    streams.truncate(250);
    assert_eq!(Visitor::to(&house).ask(&get("/elsewhere", "")).status, 426);
    say(&mut house, &["x"], "for the rest");
    assert_eq!(streams[0].0.told().data, "for the rest");
}

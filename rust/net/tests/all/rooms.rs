//! Rooms and broadcasts: whom they reach, and that nobody else hears anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::support::client::{Client, Got};
use crate::support::house::{House, rooms};
use crate::support::recorder::Manner;
use crate::support::{Random, quiet};
use hubbub_net::proto::close::CloseCode;
use hubbub_net::proto::message::Kind;
use hubbub_net::{Command, Link, Settings, Space, Target};

fn sharded(shards: usize) -> Settings {
    Settings { shards, ..quiet() }
}

#[test]
fn a_broadcast_to_several_rooms_reaches_each_member_once() {
    let mut house = House::open(quiet(), Manner::default());
    let mut guests = house.guests(4);
    for (guest, names) in guests.iter().zip([&["a"][..], &["a", "b"], &["b", "c"], &["c"]]) {
        names.iter().for_each(|name| house.join(&guest.1, name));
    }
    assert_eq!(house.broadcast(rooms(&["a", "b", "nobody here"]), &[], "ab"), (3, 0));
    for (client, _) in &mut guests[..3] {
        client.expect_text("ab");
        client.expect_silence();
    }
    guests[3].0.expect_silence();
    assert_eq!(house.broadcast(Target::All, &[], "all"), (4, 0));
    guests.iter_mut().for_each(|(client, _)| client.expect_text("all"));
}

#[test]
fn who_is_skipped_or_has_left_hears_nothing() {
    let mut house = House::open(quiet(), Manner::default());
    let mut guests = house.guests(3);
    guests.iter().for_each(|(_, link)| house.join(link, "a"));
    let sender = guests[0].1.id();
    assert_eq!(house.broadcast(rooms(&["a"]), &[sender], "one"), (2, 0));
    house.leave(&guests[1].1, "a");
    house.leave(&guests[1].1, "a");
    assert_eq!(house.broadcast(rooms(&["a"]), &[], "two"), (2, 0));
    guests[0].0.expect_text("two");
    guests[1].0.expect_text("one");
    guests[1].0.expect_silence();
    guests[2].0.expect_text("one");
    guests[2].0.expect_text("two");
    assert_eq!(house.server.directory().count("a"), 2);
}

#[test]
fn a_room_of_a_protocols_is_none_of_the_hubs_whatever_its_name() {
    let mut house = House::open(sharded(2), Manner::default());
    let mut guests = house.guests(4);
    let (theirs, ours) = guests.split_at_mut(2);
    for (_, link) in theirs.iter() {
        house.server.rooms(Space::Protocol).join(link, "a", None);
        house.post(link.id(), Command::Join(link.id(), Space::Protocol, "a".into()));
    }
    ours.iter().for_each(|(_, link)| house.join(link, "a"));
    assert_eq!(house.broadcast(rooms(&["a"]), &[], "ours"), (2, 0));
    let delivery = house.publish_as(rooms(&["a"]), b"theirs", |broadcast| broadcast.space = Space::Protocol);
    assert_eq!(house.await_delivery(&delivery), (2, 0));
    for (guests, text) in [(ours, "ours"), (theirs, "theirs")] {
        for (client, _) in guests {
            client.expect_text(text);
            client.expect_silence();
        }
    }
    assert_eq!((house.server.directory().count("a"), house.server.rooms(Space::Protocol).count("a")), (2, 2));
}

#[test]
fn the_members_of_rooms_can_be_left_out() {
    let mut house = House::open(sharded(2), Manner::default());
    let mut guests = house.guests(6);
    for (guest, names) in guests.iter().zip([&["a"][..], &["a", "b"], &["b"], &["a", "c"], &[], &["a"]]) {
        names.iter().for_each(|name| house.join(&guest.1, name));
    }
    for (target, except, who) in [
        (rooms(&["a"]), &["b"][..], &[0, 3, 5][..]),
        (rooms(&["a"]), &["b", "c", "nobody here"], &[0, 5]),
        (rooms(&["b"]), &["a"], &[2]),
        (rooms(&["a"]), &["a"], &[]),
        (Target::All, &["a"], &[2, 4]),
    ] {
        let delivery = house.publish_as(target, b"x", |broadcast| {
            broadcast.except = except.iter().map(|&name| name.into()).collect();
        });
        assert_eq!(house.await_delivery(&delivery), (who.len(), 0));
        for (number, (client, _)) in guests.iter_mut().enumerate() {
            match who.contains(&number) {
                true => client.expect_text("x"),
                false => client.expect_silence(),
            }
        }
    }
}

#[test]
fn what_belongs_to_a_broadcast_comes_right_behind_it() {
    let mut house = House::open(quiet(), Manner::default());
    let mut guests = house.guests(2);
    guests.iter().for_each(|(_, link)| house.join(link, "a"));
    for _ in 0..2 {
        let delivery = house.publish_as(rooms(&["a"]), b"two follow", |broadcast| {
            *broadcast = broadcast.clone().attach(vec!["one".into(), vec![7; 1000].into()]);
        });
        assert_eq!(house.await_delivery(&delivery), (2, 0));
    }
    for (client, _) in &mut guests {
        for _ in 0..2 {
            client.expect_text("two follow");
            assert_eq!(client.next(), Got::Binary(b"one".to_vec()));
            assert_eq!(client.next(), Got::Binary(vec![7; 1000]));
        }
    }
}

#[test]
fn what_is_volatile_is_left_out_for_those_who_do_not_read() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut reads, link) = house.guest();
    let (_reads_nothing, blocked) = house.guest();
    [&link, &blocked].iter().for_each(|link| house.join(link, "a"));
    while blocked.is_writable() {
        house.send(&blocked, Kind::Binary, &[0; 1 << 16]);
        house.sync();
    }
    assert!(link.is_writable());
    let delivery = house.publish_as(rooms(&["a"]), b"x", |broadcast| broadcast.volatile = true);
    assert_eq!(house.await_delivery(&delivery), (1, 1));
    reads.expect_text("x");
    house.counts_to((1, 1), |counts| (counts.dropped, counts.volatile_dropped));
    // Who sends to one session finds out by itself.
    house.server.count_volatile_dropped();
    house.counts_to((1, 2), |counts| (counts.dropped, counts.volatile_dropped));
}

#[test]
fn who_ends_has_left_all_rooms() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, link) = house.guest();
    let (mut other, stays) = house.guest();
    let names: Vec<Arc<str>> = (0..100).map(|n| Arc::from(format!("room {n}"))).collect();
    names.iter().for_each(|name| house.join(&link, name));
    house.join(&stays, "room 7");
    assert_eq!(house.server.directory().len(), 100);
    client.close(1000, "");
    assert_eq!(house.closed(link.id()).rooms, names, "in the order of joining");
    assert_eq!(house.server.directory().len(), 1);
    assert_eq!(house.server.directory().members("room 7"), [stays.id()]);
    assert_eq!(house.broadcast(rooms(&["room 7", "room 8"]), &[], "left"), (1, 0));
    other.expect_text("left");
    // Too late to join, and to be reached.
    house.join(&link, "room 8");
    assert_eq!(house.server.directory().count("room 8"), 0);
}

#[test]
fn a_thousand_members_hear_every_word_in_order() {
    let mut house = House::open(quiet(), Manner::default());
    let mut guests = house.guests(1000);
    guests.iter().for_each(|(_, link)| house.join(link, "hall"));
    let deliveries: Vec<_> = (0..20)
        .map(|n| house.publish(rooms(&["hall"]), &[], hubbub_net::Policy::Close, format!("word {n}").as_bytes()))
        .collect();
    house.sync();
    assert!(deliveries.iter().all(|delivery| (delivery.reached(), delivery.dropped()) == (1000, 0)));
    for (client, _) in &mut guests {
        (0..20).for_each(|n| client.expect_text(&format!("word {n}")));
    }
    house.counts_to((21, 20_000), |counts| (counts.broadcasts, counts.deliveries));
}

#[test]
fn a_broadcast_reaches_the_members_on_all_shards() {
    let mut house = House::open(sharded(3), Manner::default());
    let mut guests = house.guests(9);
    let shards: BTreeSet<usize> = guests.iter().map(|(_, link)| link.id().shard()).collect();
    assert_eq!(shards.len(), 3, "connections are given to one shard after the other");
    guests.iter().for_each(|(_, link)| house.join(link, "hall"));
    // Sessions of different shards have the same slot: leaving out one must not leave out its namesakes.
    let (skipped, namesake) = (guests[0].1.id(), guests[1].1.id());
    assert_eq!((skipped.slot(), skipped == namesake), (namesake.slot(), false));
    assert_eq!(house.broadcast(rooms(&["hall"]), &[skipped], "all but one"), (8, 0));
    guests[0].0.expect_silence();
    guests[1..].iter_mut().for_each(|(client, _)| client.expect_text("all but one"));
    // A command that is posted to the wrong shard finds nobody.
    house.server.handles()[namesake.shard()].post(Command::Close(skipped, CloseCode::NORMAL, String::new()));
    house.sync();
    guests.iter_mut().for_each(|(client, _)| client.expect_silence());
}

#[test]
fn a_late_command_for_a_used_slot_reaches_nobody() {
    let mut house = House::open(quiet(), Manner::default());
    let (mut client, gone) = house.guest();
    client.close(1000, "");
    client.rest();
    drop(client);
    house.closed(gone.id());
    house.until("the connection to go", |server| server.connections() == 0);
    let (mut client, link) = house.guest();
    assert_eq!(gone.id().slot(), link.id().slot());
    assert_ne!(gone.id(), link.id());
    let id = gone.id();
    house.send(&gone, Kind::Text, b"for another");
    house.post(id, Command::Join(id, Space::Hub, "hall".into()));
    house.post(id, Command::Ping(id, Vec::new()));
    house.post(id, Command::Close(id, CloseCode::NORMAL, String::new()));
    house.post(id, Command::Abort(id));
    assert_eq!(house.broadcast(rooms(&["hall"]), &[], "x"), (0, 0));
    assert_eq!(house.broadcast(Target::All, &[id], "y"), (1, 0));
    client.expect_text("y");
    client.expect_silence();
    house.counts_to(1, |counts| counts.late_sends);
}

/// A client, what it must have heard, and where it is.
struct Member {
    client: Client,
    link: Arc<Link>,
    rooms: BTreeSet<usize>,
    heard: Vec<String>,
}

impl Member {
    fn new((client, link): (Client, Arc<Link>)) -> Self {
        Member { client, link, rooms: BTreeSet::new(), heard: Vec::new() }
    }

    fn check(mut self) {
        let got = self.client.rest();
        let texts = got.into_iter().filter_map(|got| match got {
            Got::Text(text) => Some(text),
            Got::Close(..) => None,
            other => panic!("nobody sent {other:?}"),
        });
        assert_eq!(texts.collect::<Vec<_>>(), self.heard);
    }
}

#[test]
fn any_mixture_of_joins_leaves_ends_and_broadcasts_agrees_with_a_model() {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    for seed in 0..6 {
        let mut random = Random(seed);
        let mut house = House::open(sharded(1 + seed as usize % 3), Manner::default());
        let mut members: Vec<Member> = house.guests(8).into_iter().map(Member::new).collect();
        for step in 0..600 {
            let at = random.next(members.len());
            let room = random.next(NAMES.len());
            match random.next(20) {
                0..=5 => {
                    house.join(&members[at].link, NAMES[room]);
                    members[at].rooms.insert(room);
                }
                6..=8 => {
                    house.leave(&members[at].link, NAMES[room]);
                    members[at].rooms.remove(&room);
                }
                9 => {
                    let new = Member::new(house.guest());
                    let old = std::mem::replace(&mut members[at], new);
                    end(&mut house, old, random.next(2) == 0);
                }
                _ => speak(&mut house, &mut members, &mut random, &NAMES, &format!("{seed}.{step}")),
            }
        }
        let expected: BTreeMap<&str, usize> = NAMES
            .iter()
            .enumerate()
            .map(|(room, name)| (*name, members.iter().filter(|member| member.rooms.contains(&room)).count()))
            .collect();
        let found = NAMES.iter().map(|name| (*name, house.server.directory().count(name))).collect();
        assert_eq!(expected, found, "seed {seed}");
        for member in members {
            end(&mut house, member, true);
        }
    }
}

/// Broadcasts to some rooms, without one member, and has the model hear it.
fn speak(house: &mut House, members: &mut [Member], random: &mut Random, names: &[&str], text: &str) {
    let (first, second, skipped) = (random.next(names.len()), random.next(names.len()), random.next(members.len()));
    let everybody = random.next(8) == 0;
    let target = if everybody { Target::All } else { rooms(&[names[first], names[second]]) };
    let mut reached = 0;
    for (at, member) in members.iter_mut().enumerate() {
        let inside = everybody || member.rooms.contains(&first) || member.rooms.contains(&second);
        if inside && at != skipped {
            member.heard.push(text.into());
            reached += 1;
        }
    }
    let skip = [members[skipped].link.id()];
    assert_eq!(house.broadcast(target, &skip, text), (reached, 0), "{text}");
}

/// Ends a member from either side, and checks what it has heard.
fn end(house: &mut House, mut member: Member, by_peer: bool) {
    let id = member.link.id();
    if by_peer {
        member.client.close(1000, "");
    } else {
        house.close(id, 1000, "");
        house.sync();
        member.client.close(1000, "");
    }
    assert_eq!(house.closed(id).rooms.len(), member.rooms.len());
    member.check();
}

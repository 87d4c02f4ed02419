//! What happens when the process has no descriptor left. A program of its own: the bound is the whole process's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so by failing")]

#[path = "all/support/mod.rs"]
mod support;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hubbub_net::Notice;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::house::House;
use support::quiet;
use support::recorder::{Event, Manner};

/// Row 53, F7.
#[test]
fn without_descriptors_accepting_waits_and_who_is_there_is_served() {
    let mut house = House::open(quiet(), Manner::echo());
    let mut guests = house.guests(10);
    let sockets: Vec<Socket> = (0..5).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    // No number below the bound is free, and enough of them can be freed again.
    let highest = sockets.iter().map(AsRawFd::as_raw_fd).max().unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(highest as u64 + 10), maximum: before.maximum }).unwrap();
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }

    let begun = Instant::now();
    let address = house.address().into();
    let mut newcomers: Vec<Client> = sockets.into_iter().map(|socket| Client::over(socket, &address)).collect();
    for client in &mut newcomers {
        let request = client.request("/", &[], &[]);
        client.raw(&request);
    }
    house.notice(|notice| *notice == Notice::OutOfDescriptors);
    // It is tried again now and then, not all the time, and the others do not suffer from it.
    while house.server.counts().accept_errors < 8 {
        for (client, _) in &mut guests {
            client.text("still here");
            client.expect_text("still here");
        }
    }
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_millis(650), "8 attempts in {elapsed:?}");
    let notices = house.left_over().iter().filter(|event| matches!(event, Event::Notice(_))).count();
    assert!(notices as u128 <= elapsed.as_millis() / 1000, "{notices} more notices in {elapsed:?}");

    // There is room again: by itself it goes on.
    drop(fillers);
    for client in &mut newcomers {
        client.agreed(&[]);
        client.text("welcome");
        client.expect_text("welcome");
    }
    setrlimit(Resource::Nofile, before).unwrap();
}

//! Whole runs against small servers in this process: what is counted, and how runs end that cannot go on.

mod server;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hubbub_load::{Error, Messages, Mode, Report, Scenario, Timing, cli, run, run_observed};
use server::{Manner, start};

const TIMING: Timing = Timing { warmup: Duration::from_millis(50), duration: Duration::from_millis(200) };

fn scenario(url: &str, connections: usize, mode: Mode) -> Scenario {
    let server_pids = vec![std::process::id() as i32];
    Scenario { target: url.parse().expect("a URL"), connections, server_pids, spin: false, mode }
}

fn echo(size: usize, in_flight: usize) -> Mode {
    Mode::Echo { messages: Messages { size, binary: false }, in_flight, raw: false, timing: TIMING }
}

fn broadcast(outstanding: usize) -> Mode {
    Mode::Broadcast { messages: Messages { size: 64, binary: true }, outstanding, timing: TIMING }
}

fn echo_with(manner: Manner, connections: usize, mode: Mode) -> Report {
    run(&scenario(&start(manner), connections, mode)).expect("a report")
}

fn failure_with(manner: Manner, connections: usize, mode: Mode) -> Error {
    run(&scenario(&start(manner), connections, mode)).expect_err("no report")
}

fn assert_clean(report: &Report) {
    assert_eq!(report.error_count(), 0, "{:?}", report.errors);
    assert!(report.messages > 0);
}

#[test]
fn echoes_are_counted_and_timed() {
    let report = echo_with(Manner::Echo, 4, echo(64, 3));
    assert_clean(&report);
    assert!((report.messages_per_second * report.seconds - report.messages as f64).abs() < 1.0);
    let latency = report.latency_us.expect("messages were counted");
    let ascending = [0.001, latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
    assert!(ascending.is_sorted(), "{ascending:?}");
    // Server and generator are one process here, so they are said to have used the same.
    assert!(report.server_cpu_us_per_message.expect("a process was given") > 0.0);
    let both = [report.server_cpu_share.expect("a process was given"), report.generator_cpu_share];
    assert!((both[0] - both[1]).abs() < 0.1, "{both:?}");
}

#[test]
fn a_run_that_never_sleeps_counts_the_same() {
    let spinning = Scenario { spin: true, ..scenario(&start(Manner::Echo), 1, echo(64, 1)) };
    assert_clean(&run(&spinning).expect("a report"));
}

#[test]
fn messages_of_any_size_come_back_whole() {
    for size in [0, 1, 8, 9, 125, 126, 65_535, 65_536, 1 << 20] {
        assert_clean(&echo_with(Manner::Echo, 2, echo(size, 2)));
    }
}

#[test]
fn more_in_flight_than_sockets_hold_is_sent_as_they_empty() {
    assert_clean(&echo_with(Manner::Echo, 2, echo(4 << 20, 5)));
}

#[test]
fn raw_mode_expects_its_own_bytes() {
    for size in [0, 64, 200_000] {
        let Mode::Echo { messages, in_flight, timing, .. } = echo(size, 3) else { unreachable!() };
        assert_clean(&echo_with(Manner::Raw, 3, Mode::Echo { messages, in_flight, raw: true, timing }));
    }
}

#[test]
fn a_websocket_server_fails_raw_mode() {
    let Mode::Echo { messages, in_flight, timing, .. } = echo(64, 1) else { unreachable!() };
    let raw = Mode::Echo { messages, in_flight, raw: true, timing };
    // It takes the frames for a request without an end.
    assert!(matches!(failure_with(Manner::SilentAtTheDoor, 1, raw), Error::NoReply { .. }));
}

#[test]
fn fragments_and_single_bytes_make_whole_messages() {
    assert_clean(&echo_with(Manner::Fragments, 2, echo(64, 2)));
}

#[test]
fn pings_are_answered() {
    assert_clean(&echo_with(Manner::Pings, 2, echo(64, 2)));
}

#[test]
fn wrong_replies_are_counted_by_kind() {
    let report = echo_with(Manner::WrongContent, 2, echo(64, 2));
    assert!(report.errors["wrong_content"] >= report.messages);
    assert_eq!(report.errors.len(), 1);
    let report = echo_with(Manner::WrongLength, 2, echo(64, 2));
    assert!(report.errors["wrong_length"] >= report.messages);
    assert_eq!(report.errors.len(), 1);
}

#[test]
fn every_member_gets_every_broadcast() {
    for outstanding in [1, 16] {
        let report = echo_with(Manner::Broadcast, 20, broadcast(outstanding));
        assert_clean(&report);
        assert_eq!(report.in_flight, Some(outstanding));
    }
}

#[test]
fn a_broadcast_that_reaches_the_sender_alone_is_told() {
    match failure_with(Manner::Echo, 5, broadcast(1)) {
        Error::NotAllReached { reached: 1, members: 5, .. } => {}
        other => panic!("{other}"),
    }
}

#[test]
fn idle_connections_are_held() {
    let hold = Duration::from_millis(300);
    let report = run(&scenario(&start(Manner::Echo), 50, Mode::Idle { hold })).expect("a report");
    assert_eq!(report.error_count(), 0);
    assert!(report.seconds >= 0.3);
    assert!(report.memory.expect("a process was given").resident_after > 0);
}

#[test]
fn handshakes_are_counted() {
    let report = echo_with(Manner::Echo, 8, Mode::Connect { timing: TIMING });
    assert_clean(&report);
}

#[test]
fn an_unreachable_server_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", free.local_addr().expect("bound"));
    drop(free);
    for mode in [echo(64, 1), broadcast(1), Mode::Connect { timing: TIMING }] {
        let error = run(&scenario(&url, 3, mode)).expect_err("nobody listens");
        assert!(error.to_string().contains("cannot connect to 127.0.0.1:"), "{error}");
    }
}

#[test]
fn a_refused_handshake_is_told_with_its_status() {
    for mode in [echo(64, 1), Mode::Connect { timing: TIMING }] {
        let error = failure_with(Manner::Refuses, 3, mode);
        assert!(error.to_string().contains("503"), "{error}");
    }
    assert!(matches!(failure_with(Manner::WrongAccept, 3, echo(64, 1)), Error::Refused { .. }));
}

#[test]
fn a_handshake_without_an_answer_is_given_up() {
    for mode in [echo(64, 1), Mode::Connect { timing: TIMING }] {
        let error = failure_with(Manner::SilentAtTheDoor, 3, mode);
        assert!(matches!(error, Error::SilentHandshake { .. }), "{error}");
    }
}

#[test]
fn a_server_that_never_replies_ends_the_run_five_seconds_late() {
    let began = Instant::now();
    let error = failure_with(Manner::Mute, 3, echo(64, 1));
    assert!(matches!(error, Error::NoReply { .. }), "{error}");
    assert!(began.elapsed() < TIMING.warmup + TIMING.duration + Duration::from_secs(6));
}

#[test]
fn a_server_that_leaves_ends_the_run() {
    let error = failure_with(Manner::GoesAway, 3, echo(64, 1));
    assert!(error.to_string().contains("code 1001"), "{error}");
    let error = failure_with(Manner::Hangs, 3, echo(64, 1));
    assert!(matches!(error, Error::ServerGone { .. }), "{error}");
}

#[test]
fn too_many_connections_for_the_process_are_told_beforehand() {
    let error = run(&scenario("ws://127.0.0.1:9/", 100_000_000, echo(64, 1))).expect_err("too many");
    assert!(error.to_string().contains("ulimit -n 100000"), "{error}");
}

#[test]
fn the_observer_can_stop_a_run() {
    let mut stages = Vec::new();
    let mode = Mode::Idle { hold: Duration::from_secs(60) };
    let result = run_observed(&scenario(&start(Manner::Echo), 3, mode), &mut |progress| {
        stages.push(progress.stage);
        if progress.stage == "holding" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(Error::Stopped)));
    assert_eq!(stages.last(), Some(&"holding"));
}

#[test]
fn exit_statuses_tell_what_happened() {
    let url = start(Manner::WrongContent);
    let status = |arguments: &[&str]| cli::main(["hubbub-load"].iter().chain(arguments).map(Into::into));
    assert_eq!(status(&["echo", "--url", "http://127.0.0.1/"]), cli::USAGE);
    assert_eq!(status(&["echo", "--url", &url, "--connections", "0"]), cli::USAGE);
    assert_eq!(status(&["echo", "--url", "ws://127.0.0.1:9/", "--server-pid", "2147483647"]), cli::FAILED);
    let short = ["--duration", "0.1", "--warmup", "0", "--connections", "2", "--json"];
    assert_eq!(status(&[&["echo", "--url", &url][..], &short[..]].concat()), cli::ERRORS_COUNTED);
}

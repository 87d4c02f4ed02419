//! Whole runs against small servers in this process: what is counted, and how runs end that cannot go on.

mod server;

use std::time::{Duration, Instant};

use hubbub_load::{Asked, Error, Messages, Mode, Pace, Report, Run, Scenario, Stage, Timing, cli, run};
use server::{Manner, start};

const TIMING: Timing = Timing { warmup: Duration::from_millis(50), duration: Duration::from_millis(200) };

fn scenario(url: &str, connections: usize, mode: Mode) -> Scenario {
    let server_pids = vec![std::process::id() as i32];
    let patience = Duration::from_secs(1);
    Scenario { server_pids, patience, ..Scenario::new(url.parse().expect("a URL"), connections, mode) }
}

fn echo(size: usize, in_flight: usize) -> Mode {
    let pace = Pace::InFlight(in_flight);
    Mode::Echo { messages: Messages { size, binary: false }, pace, raw: false, timing: TIMING }
}

fn broadcast(outstanding: usize, senders: usize) -> Mode {
    let pace = Pace::InFlight(outstanding);
    Mode::Broadcast { messages: Messages { size: 64, binary: true }, pace, senders, timing: TIMING }
}

const CONNECT: Mode = Mode::Connect { storm: false, timing: TIMING };

fn echo_with(manner: Manner, connections: usize, mode: Mode) -> Report {
    run(&scenario(&start(manner), connections, mode)).expect("a report")
}

fn failure_with(manner: Manner, connections: usize, mode: Mode) -> Error {
    failure(&scenario(&start(manner), connections, mode)).1
}

/// What was measured, and why it went no further.
fn failure(scenario: &Scenario) -> (Report, Error) {
    let mut report = run(scenario).expect("it begins");
    let error = report.error.take().expect("it cannot go on");
    (report, error)
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
    // Server and generator are one process here, and the generator is a part of it.
    assert!(report.server_cpu_us_per_message.expect("a process was given") > 0.0);
    assert!(report.server_cpu_share.expect("a process was given") > report.generator_cpu_share);
    assert!(report.generator_cpu_share >= report.generator_busiest_share);
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
        let Mode::Echo { messages, pace, timing, .. } = echo(size, 3) else { unreachable!() };
        assert_clean(&echo_with(Manner::Raw, 3, Mode::Echo { messages, pace, raw: true, timing }));
    }
}

#[test]
fn a_websocket_server_fails_raw_mode() {
    let Mode::Echo { messages, pace, timing, .. } = echo(64, 1) else { unreachable!() };
    let raw = Mode::Echo { messages, pace, raw: true, timing };
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
    for (outstanding, senders, threads) in [(1, 1, 1), (16, 1, 1), (1, 3, 1), (4, 3, 2), (1, 1, 3)] {
        let scenario = Scenario { threads, ..scenario(&start(Manner::Broadcast), 20, broadcast(outstanding, senders)) };
        let report = run(&scenario).expect("a report");
        assert_clean(&report);
        assert_eq!(report.in_flight, Some(outstanding));
        assert_eq!(report.totals.received, report.totals.sent * 20);
        assert_eq!(report.totals.calls_received, report.totals.calls_sent * 20);
    }
}

#[test]
fn a_broadcast_that_reaches_the_sender_alone_is_told() {
    match failure_with(Manner::Echo, 5, broadcast(1, 1)) {
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
    let report = echo_with(Manner::Echo, 8, CONNECT);
    assert_clean(&report);
}

#[test]
fn an_unreachable_server_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", free.local_addr().expect("bound"));
    drop(free);
    for mode in [echo(64, 1), broadcast(1, 1), CONNECT] {
        let (report, error) = failure(&scenario(&url, 3, mode));
        assert!(report.is_empty());
        assert!(error.to_string().contains("cannot connect to 127.0.0.1:"), "{error}");
    }
}

#[test]
fn a_refused_handshake_is_told_with_its_status() {
    for mode in [echo(64, 1), CONNECT] {
        let error = failure_with(Manner::Refuses, 3, mode);
        assert!(error.to_string().contains("503, not 101: the house is full"), "{error}");
    }
    assert!(matches!(failure_with(Manner::WrongAccept, 3, echo(64, 1)), Error::Refused { .. }));
}

#[test]
fn a_handshake_without_an_answer_is_given_up() {
    for mode in [echo(64, 1), CONNECT] {
        let error = failure_with(Manner::SilentAtTheDoor, 3, mode);
        assert!(matches!(error, Error::SilentHandshake { .. }), "{error}");
    }
}

#[test]
fn a_server_that_never_replies_is_given_up_when_the_patience_is_over() {
    let began = Instant::now();
    let error = failure_with(Manner::Mute, 3, echo(64, 1));
    assert!(matches!(error, Error::NoReply { .. }), "{error}");
    assert!(began.elapsed() < TIMING.warmup + TIMING.duration + Duration::from_secs(4));
    // It is not waited for through a long run.
    let mut long = echo(64, 1);
    if let Mode::Echo { timing, .. } = &mut long {
        timing.duration = Duration::from_secs(3600);
    }
    assert!(matches!(failure_with(Manner::Mute, 3, long), Error::NoReply { .. }));
}

#[test]
fn a_server_that_leaves_ends_the_run() {
    let (report, error) = failure(&scenario(&start(Manner::GoesAway), 3, echo(64, 1)));
    assert!(error.to_string().contains("code 1001"), "{error}");
    assert_eq!(report.totals.received, 6, "what was measured until then is reported");
    let error = failure_with(Manner::Hangs, 3, echo(64, 1));
    assert!(matches!(error, Error::ServerGone { .. }), "{error}");
}

#[test]
fn too_many_connections_for_the_process_are_told_beforehand() {
    let error = run(&scenario("ws://127.0.0.1:9/", 100_000_000, echo(64, 1))).expect_err("too many");
    assert!(error.to_string().contains("ulimit -n 100000"), "{error}");
}

#[test]
fn a_run_can_be_watched_and_stopped_and_reports_all_the_same() {
    let mut long = echo(64, 1);
    if let Mode::Echo { timing, .. } = &mut long {
        timing.duration = Duration::from_secs(3600);
    }
    let run = Run::start(scenario(&start(Manner::Echo), 3, long)).expect("it begins");
    while run.snapshot().stage != Stage::Measuring || run.snapshot().messages == 0 {
        std::thread::yield_now();
    }
    let snapshot = run.snapshot();
    assert_eq!((snapshot.open, snapshot.planned_seconds), (3, Some(3600.0)));
    assert!(!run.is_over());
    run.stop();
    let report = run.report().expect("a report");
    assert!(report.stopped && report.error.is_none());
    assert!(report.messages >= snapshot.messages && report.seconds < 60.0);
    assert!(report.latency_us.is_some() && !report.series.is_empty());
}

#[test]
fn threads_share_the_connections_and_their_counts_are_added() {
    let report = run(&Scenario { threads: 3, ..scenario(&start(Manner::Echo), 8, echo(64, 2)) }).expect("a report");
    assert_clean(&report);
    assert_eq!((report.connected, report.threads), (8, 3));
    assert_eq!(report.totals.sent, report.totals.received);
    assert_eq!(report.latency_us.expect("messages were counted").count, report.messages);
    let bars: u64 = report.histogram.iter().map(|bar| bar.count).sum();
    assert_eq!(bars, report.messages);
    assert!(report.percentiles.is_sorted_by_key(|point| (point.quantile, point.us)));
}

fn at_rate(rate: f64, connections: usize, manner: Manner) -> Report {
    let messages = Messages { size: 64, binary: false };
    let timing = Timing { duration: Duration::from_millis(500), ..TIMING };
    let mode = Mode::Echo { messages, pace: Pace::Rate(rate), raw: false, timing };
    run(&Scenario { threads: connections.min(2), ..scenario(&start(manner), connections, mode) }).expect("a report")
}

#[test]
fn a_rate_is_kept() {
    let report = at_rate(2000.0, 4, Manner::Echo);
    assert_clean(&report);
    assert_eq!((report.rate, report.in_flight), (Some(2000.0), None));
    // The threads see the beginning and the end of the window a moment apart; a message due then is in it or not.
    assert!((report.sent_per_second / 2000.0 - 1.0).abs() < 0.1, "{}", report.sent_per_second);
    let (latency, service) = (report.latency_us.expect("replies"), report.service_us.expect("replies"));
    assert!(service.p50 <= latency.p50 && service.max <= latency.max);
}

#[test]
fn a_server_that_stalls_shows_in_the_latency_of_all_that_was_due_meanwhile() {
    // It answers one of its messages 200 ms late; at 1000 a second, 200 others wait with it.
    let report = at_rate(1000.0, 1, Manner::StallsOnce);
    assert_clean(&report);
    let latency = report.latency_us.expect("replies");
    assert!(latency.max >= 200_000.0);
    assert!(latency.p90 >= 100_000.0, "a closed loop would have sent one message in that time: {latency:?}");
}

#[test]
fn broadcasts_are_sent_at_a_rate() {
    let messages = Messages { size: 64, binary: false };
    let mode = Mode::Broadcast { messages, pace: Pace::Rate(100.0), senders: 2, timing: TIMING };
    let report = run(&Scenario { threads: 2, ..scenario(&start(Manner::Broadcast), 10, mode) }).expect("a report");
    assert_clean(&report);
    assert_eq!(report.totals.received, 10 * report.totals.sent);
    assert!((20..=30).contains(&report.totals.sent), "{}", report.totals.sent);
}

#[test]
fn messages_are_deflated_and_inflated() {
    let deflate = || Asked { deflate: true, ..Asked::default() };
    for (manner, size) in [(Manner::Deflates, 2000), (Manner::DeflatesWithContext, 2000), (Manner::Deflates, 0)] {
        let report =
            run(&Scenario { asked: deflate(), ..scenario(&start(manner), 3, echo(size, 4)) }).expect("a report");
        assert_clean(&report);
        assert!(report.deflate);
        if size > 0 {
            assert!(report.totals.bytes_out < report.totals.sent * size as u64 / 2, "{:?}", report.totals);
            assert!(report.totals.bytes_in < report.totals.received * size as u64 / 2, "{:?}", report.totals);
        }
    }
    let (_, error) = failure(&Scenario { asked: deflate(), ..scenario(&start(Manner::Echo), 3, echo(64, 1)) });
    assert!(error.to_string().contains("declined permessage-deflate"), "{error}");
}

#[test]
fn the_handshake_asks_for_what_it_is_told_to() {
    let asked = Asked {
        headers: vec![("X-Token".to_owned(), "let me in".to_owned())],
        subprotocols: vec!["chat.v2".to_owned(), "chat.v1".to_owned()],
        origin: Some("https://example.org".to_owned()),
        deflate: false,
    };
    let url = start(Manner::Particular);
    assert_clean(&run(&Scenario { asked, ..scenario(&url, 2, echo(64, 1)) }).expect("a report"));
    let (_, error) = failure(&scenario(&url, 2, echo(64, 1)));
    assert!(error.to_string().contains("503"), "{error}");
    let asked = Asked { headers: vec![("no name".to_owned(), String::new())], ..Asked::default() };
    let error = run(&Scenario { asked, ..scenario(&url, 2, echo(64, 1)) }).expect_err("no field");
    assert!(matches!(error, Error::BadScenario(_)), "{error}");
}

#[test]
fn all_come_back_after_a_storm() {
    let timing = Timing { warmup: Duration::ZERO, duration: Duration::from_millis(600) };
    let mode = Mode::Connect { storm: true, timing };
    let report = run(&Scenario { threads: 2, ..scenario(&start(Manner::Echo), 50, mode) }).expect("a report");
    assert_eq!((report.error_count(), report.connected), (0, 50));
    assert!((1..=2).contains(&report.storms.len()), "{:?}", report.storms);
    assert_eq!(report.messages, 50 * report.storms.len() as u64);
    let latency = report.latency_us.expect("handshakes");
    assert!(latency.max <= 1e6 * report.storms.iter().fold(0.0, |most: f64, storm| most.max(*storm)) + 1000.0);
}

#[test]
fn connections_come_from_the_sources_that_are_named() {
    let sources = vec!["127.0.0.7".parse().expect("an address"), "127.0.0.8".parse().expect("an address")];
    let scenario = Scenario { sources, ..scenario(&start(Manner::FromElsewhere), 2, echo(64, 1)) };
    assert_clean(&run(&scenario).expect("a report"));
    let sources = vec!["::1".parse().expect("an address")];
    let error = run(&Scenario { sources, ..scenario }).expect_err("another family");
    assert!(error.to_string().contains("one is IPv4, one IPv6"), "{error}");
}

#[test]
fn a_scenario_can_be_read_from_json() {
    let url = start(Manner::Echo);
    let json = format!(r#"{{"mode": "echo", "url": "{url}", "connections": 2, "duration": 0.1, "rate": 500}}"#);
    assert_clean(&run(&Scenario::from_json(&json).expect("a scenario")).expect("a report"));
    for (wrong, what) in [
        (r#"{"mode": "echo"}"#, "missing field `url`"),
        (r#"{"mode": "x", "url": "ws://h", "connections": 2, "duration": 1}"#, "no mode \"x\""),
        (r#"{"mode": "idle", "url": "ws://h", "connections": 2, "duration": -1}"#, "-1 is no number of seconds"),
        (r#"{"mode": "idle", "url": "ws://h", "connections": 2, "duration": 1, "sise": 1}"#, "unknown field `sise`"),
    ] {
        let error = Scenario::from_json(wrong).expect_err(wrong).to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn numbers_that_no_run_can_have_are_refused() {
    let url = "ws://127.0.0.1:9/";
    let error = |scenario: Scenario| run(&scenario).expect_err("a bad scenario").to_string();
    assert!(error(scenario(url, 0, echo(64, 1))).contains("at least one connection"));
    assert!(error(scenario(url, 2, broadcast(1, 3))).contains("1 to 2 senders, not 3"));
    assert!(error(Scenario { threads: 3, ..scenario(url, 2, echo(64, 1)) }).contains("cannot share 2"));
    let mut small = broadcast(1, 1);
    if let Mode::Broadcast { messages, .. } = &mut small {
        messages.size = 15;
    }
    assert!(error(scenario(url, 2, small)).contains("at least 16 bytes"));
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

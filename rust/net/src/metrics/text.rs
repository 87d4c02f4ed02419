//! The figures as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0 for who prefers that.
//!
//! Names are `hubbub_...` in base units. No label has a value that a peer or the user's program has chosen.

use std::fmt::{Display, Write};

use hubbub_proto::head::Head;

use super::times::{BOUNDS, Histogram};
use super::{Figures, Times};
use crate::metrics::counters::Counts;

/// The two formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposition {
    /// Prometheus' own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// OpenMetrics if the Accept field names it; what else it names, and with which weight, changes nothing: whoever
    /// reads OpenMetrics prefers it.
    pub(crate) fn wanted(head: &Head<'_>) -> Self {
        let accept = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("accept"));
        let mut kinds = accept.flat_map(|field| field.value.split(|byte| *byte == b','));
        let open = |kind: &[u8]| {
            let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
            let mut parts = kind.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text")
                && parts.all(|part| !part.starts_with("version=") || part == "version=1.0.0")
        };
        if kinds.any(open) { Exposition::OpenMetrics } else { Exposition::Prometheus }
    }

    /// The value of Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Figures {
    /// These figures and times as text.
    pub(crate) fn text(&self, times: &Times, exposition: Exposition) -> String {
        let mut page = Page { text: String::with_capacity(16 << 10), exposition };
        page.figures(self);
        page.times(times);
        if exposition == Exposition::OpenMetrics {
            page.text.push_str("# EOF\n");
        }
        page.text
    }
}

/// The counts whose names are not their metrics' names.
const NAMES: [(&str, &str); 9] = [
    ("accepted", "connections_accepted"),
    ("messages_in", "messages_received"),
    ("messages_out", "messages_sent"),
    ("compressed_in", "compressed_messages_received"),
    ("compressed_bytes_in", "compressed_received_bytes"),
    ("compressed_out", "compressed_messages_sent"),
    ("compressed_bytes_out", "compressed_sent_bytes"),
    ("bytes_in", "received_bytes"),
    ("bytes_out", "sent_bytes"),
];
/// The counts that are told by kind instead.
const BY_KIND: [&str; 7] =
    ["opened", "closed", "refused", "dropped", "dropped_newest", "dropped_oldest", "broadcast_closed"];

struct Page {
    text: String,
    exposition: Exposition,
}

impl Page {
    fn figures(&mut self, figures: &Figures) {
        let here = env!("CARGO_PKG_VERSION");
        self.gauges("build_info", "The version that runs.", "version", [(here, 1)]);

        let now = figures.sessions.iter().map(|(kind, opened, closed)| (kind.name(), opened.saturating_sub(*closed)));
        self.gauges("sessions", "Open sessions.", "transport", now);
        let opened = figures.sessions.iter().map(|(kind, opened, _)| (kind.name(), *opened));
        self.counters("sessions_opened", "Sessions opened.", "transport", opened);
        let closes = figures.closes.iter().map(|(code, count)| (number(*code), *count));
        let help = "Sessions closed, by the code that the handlers saw; 1006: no Close frame came.";
        self.counters("sessions_closed", help, "code", closes);

        self.gauge("connections", "Connections, those in their handshake included.", figures.connections);
        self.gauge("connections_max", "Connections that may be open at a time.", figures.max_sessions);
        self.gauge("rooms", "Rooms with somebody in them.", figures.rooms);

        let answers = figures.answers.iter().map(|(status, count)| (number(*status), *count));
        self.counters("http_answers", "Requests answered with HTTP, by status.", "status", answers);
        let refusals = figures.refusals.iter().map(|(reason, count)| (reason.name(), *count));
        self.counters("requests_refused", "Requests answered with an error status, by reason.", "reason", refusals);

        let drops = figures.drops.iter().map(|(policy, count)| (policy.name(), *count));
        let help = "Broadcasts that a member did not get because its outbox was full, by policy.";
        self.counters("broadcasts_dropped", help, "policy", drops);
        self.gauge("outbox_bytes", "Bytes that wait to be written.", figures.outbox_bytes);
        self.gauge("outbox_largest_bytes", "Bytes in the largest outbox.", figures.largest_outbox_bytes);
        self.gauge("sessions_blocked", "Sessions whose socket takes no more for now.", figures.blocked_sessions);

        for ((name, count), help) in figures.counts.named().zip(Counts::explained()) {
            if !BY_KIND.contains(&name) {
                let name = NAMES.iter().find(|(of, _)| *of == name).map_or(name, |(_, metric)| metric);
                self.counter(name, help, count);
            }
        }
    }

    fn times(&mut self, times: &Times) {
        self.counter("passes", "Batches of events worked through in the event loop.", times.passes());
        let help = "Time that these passes took, handlers included.";
        self.counter("pass_seconds", help, times.pass_seconds());
        self.counter("slow_handlers", "Times that a handler took longer than slow_handler.", times.slow());
        let slowest = times.slowest().map_or(0.0, |slowest| slowest.took.as_secs_f64());
        self.gauge("slowest_handler_seconds", "The longest that a handler has kept the event loop.", slowest);
        let help = "Time from a network thread handing over a batch to the event loop taking it.";
        self.histogram("handover_delay_seconds", help, &times.handover);
        self.histogram("loop_lag_seconds", "How late a timer of the event loop ran.", times.lag.beats());
        let help = "How late that timer was at most in the last minute, until now.";
        self.gauge("loop_lag_recent_max_seconds", help, times.lag.recent_max());
    }

    // ---- one family of metrics

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, "", &[], value);
    }

    fn gauges<L: AsRef<str>>(&mut self, name: &str, help: &str, label: &str, all: impl IntoIterator<Item = (L, u64)>) {
        self.head(name, help, "gauge");
        for (value, number) in all {
            self.sample(name, "", &[(label, value.as_ref())], number);
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.sample(name, "_total", &[], value);
    }

    fn counters<L: AsRef<str>>(&mut self, name: &str, help: &str, label: &str, all: impl Iterator<Item = (L, u64)>) {
        self.head(name, help, "counter");
        for (value, number) in all {
            self.sample(name, "_total", &[(label, value.as_ref())], number);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let cumulative = histogram.cumulative();
        for (bound, count) in BOUNDS.iter().zip(cumulative) {
            // OpenMetrics wants "1.0", not "1".
            self.sample(name, "_bucket", &[("le", &format!("{bound:?}"))], count);
        }
        // Of one look: a duration that is added meanwhile must not make them differ.
        let count = cumulative[BOUNDS.len()];
        self.sample(name, "_bucket", &[("le", "+Inf")], count);
        self.sample(name, "_sum", &[], histogram.sum());
        self.sample(name, "_count", &[], count);
    }

    // ---- lines

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // In OpenMetrics the family of a counter has the name without the suffix.
        let suffix = if kind == "counter" && self.exposition == Exposition::Prometheus { "_total" } else { "" };
        // Writing to a String cannot fail.
        let help = escape(help, self.exposition == Exposition::OpenMetrics);
        let _ = writeln!(self.text, "# HELP hubbub_{name}{suffix} {help}");
        let _ = writeln!(self.text, "# TYPE hubbub_{name}{suffix} {kind}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "hubbub_{name}{suffix}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escape(value, true));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

fn number(number: Option<u16>) -> String {
    number.map_or_else(|| "other".into(), |number| number.to_string())
}

/// A label's value or a help text; only in the latter, and only in format 0.0.4, a quotation mark stands for itself.
fn escape(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(exposition: Exposition, fill: impl FnOnce(&mut Page)) -> String {
        let mut page = Page { text: String::new(), exposition };
        fill(&mut page);
        page.text
    }

    #[test]
    fn what_would_end_a_value_is_escaped() {
        let text = page(Exposition::Prometheus, |page| page.gauges("x", "a\\b\n\"c\"", "l", [("\"q\" \\ \n", 1)]));
        let expected = "# HELP hubbub_x a\\\\b\\n\"c\"\n# TYPE hubbub_x gauge\nhubbub_x{l=\"\\\"q\\\" \\\\ \\n\"} 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_counter_is_named_as_each_format_wants_it() {
        let counter = |page: &mut Page| page.counter("x", "h", 2.5);
        let expected = "# HELP hubbub_x_total h\n# TYPE hubbub_x_total counter\nhubbub_x_total 2.5\n";
        assert_eq!(page(Exposition::Prometheus, counter), expected);
        let expected = "# HELP hubbub_x h\n# TYPE hubbub_x counter\nhubbub_x_total 2.5\n";
        assert_eq!(page(Exposition::OpenMetrics, counter), expected);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_its_sum() {
        let histogram = Histogram::default();
        for millis in [0, 250, 250, 9000] {
            histogram.add(std::time::Duration::from_millis(millis));
        }
        let text = page(Exposition::Prometheus, |page| page.histogram("x", "h", &histogram));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "hubbub_x_bucket{le=\"0.0001\"} 1");
        assert_eq!(lines[7], "hubbub_x_bucket{le=\"0.5\"} 3");
        assert_eq!(lines[8], "hubbub_x_bucket{le=\"1.0\"} 3");
        assert_eq!(lines[10..], ["hubbub_x_bucket{le=\"+Inf\"} 4", "hubbub_x_sum 9.5", "hubbub_x_count 4"]);
    }

    #[test]
    fn every_count_is_explained() {
        assert_eq!(Counts::explained().count(), Counts::default().named().count());
        assert!(Counts::explained().all(|help| help.ends_with('.')));
    }

    #[test]
    fn open_metrics_is_for_those_who_name_it() {
        let wanted = |accept: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
            let limits = hubbub_proto::head::HeadLimits { max_bytes: 4096, max_fields: 9 };
            Exposition::wanted(&Head::parse(head.as_bytes(), &limits).unwrap())
        };
        let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(wanted(scraper), Exposition::OpenMetrics);
        assert_eq!(wanted("text/plain, Application/OpenMetrics-Text"), Exposition::OpenMetrics);
        for other in ["*/*", "text/plain;version=0.0.4", "application/openmetrics-text; version=2.0.0", ""] {
            assert_eq!(wanted(other), Exposition::Prometheus, "{other}");
        }
    }
}

//! The figures of a server: gathered from its shards, and given to clients that may read them.

use std::net::SocketAddr;

use bytes::Bytes;
use hubbub_proto::head::Head;

use super::Server;
use crate::command::Answer;
use crate::config::settings::Policy;
use crate::io::peer::Trust;
use crate::metrics::{Exposition, Figures, Reason, Transport, tables};

/// Rooms that are named among the figures.
const TOP_ROOMS: usize = 10;

impl Server {
    /// The figures of this moment.
    pub fn figures(&self) -> Figures {
        let counts = self.counts();
        let shards = self.shard_figures();
        let sum = |of: &dyn Fn(&tables::Tables) -> u64| shards.iter().map(|shard| of(&shard.tables)).sum::<u64>();
        let sessions = Transport::ALL.iter().map(|&transport| {
            // Closed first: who opens and closes meanwhile must not make them more than those that were opened.
            let closed = sum(&|tables| tables.closed(transport));
            (transport, sum(&|tables| tables.opened(transport)), closed)
        });
        let answers = tables::statuses().map(|status| (status, sum(&|tables| tables.answers(status))));
        let backlogs = shards.iter().map(|shard| shard.backlog.look());
        let (largest, blocked) =
            backlogs.fold((0, 0), |(most, all), (largest, count)| (most.max(largest), all + count));
        Figures {
            counts,
            connections: self.connections(),
            max_sessions: self.max_sessions(),
            rooms: self.directory().len(),
            sessions: sessions.collect(),
            closes: tables::codes().map(|code| (code, sum(&|tables| tables.closes(code)))).collect(),
            answers: answers.filter(|(_, count)| *count > 0).collect(),
            refusals: Reason::ALL.iter().map(|&reason| (reason, sum(&|tables| tables.refusals(reason)))).collect(),
            drops: [
                (Policy::Close, counts.broadcast_closed),
                (Policy::Drop, counts.dropped.saturating_sub(counts.dropped_newest)),
                (Policy::DropOldest, counts.dropped_oldest + counts.dropped_newest),
            ],
            dropping_rooms: self.directory().dropping(TOP_ROOMS),
            outbox_bytes: shards.iter().map(|shard| shard.backlog.bytes()).sum(),
            largest_outbox_bytes: largest,
            blocked_sessions: blocked,
        }
    }

    /// The figures of this moment as text.
    pub fn metrics(&self, exposition: Exposition) -> String {
        self.figures().text(self.times(), exposition)
    }

    /// Answers a request for the figures.
    pub(crate) fn answer_figures(
        &self,
        head: &Head<'_>,
        readers: &Trust,
        peer: Option<SocketAddr>,
    ) -> Result<Answer, (Reason, Answer)> {
        if !readers.has(peer) {
            return Err((Reason::Address, Answer::plain(403, "These figures are not for this address.")));
        }
        if !matches!(head.method, "GET" | "HEAD") {
            // RFC 9110 §15.5.6: a 405 MUST name the methods that are allowed.
            let mut answer = Answer::plain(405, "Figures are read with GET.");
            answer.fields.push(("Allow".into(), "GET, HEAD".into()));
            return Err((Reason::Method, answer));
        }
        if head.has_body() {
            return Err((Reason::Body, Answer::plain(413, "No request body is taken here.")));
        }
        let exposition = Exposition::wanted(head);
        let fields = vec![
            ("Content-Type".into(), exposition.content_type().into()),
            // RFC 9110 §12.5.5: the answer depends on this field of the request.
            ("Vary".into(), "Accept".into()),
            ("Cache-Control".into(), "no-store".into()),
        ];
        Ok(Answer { status: 200, fields, body: Bytes::from(self.metrics(exposition)) })
    }
}

//! What requests suggest is wrong with the program, or with a proxy before it: for whoever wonders why nobody gets in.

use hubbub_proto::head::Head;

use crate::context::Context;
use crate::handler::Notice;
use crate::http::request_line::printable;
use crate::metrics::Reason;

/// The page that says how a proxy is set up.
const BEHIND_A_PROXY: &str = " (docs/guide.md, \"Behind a proxy\")";

/// Different pieces of advice that one shard tells. Clients cause them.
const MOST: usize = 100;

impl Context {
    /// Tells what the request that was looked at suggests, once.
    pub(crate) fn tell_advice(&mut self) {
        if let Some(advice) = self.advice.take()
            && self.told_advice.len() < MOST
            && !self.told_advice.contains(&advice)
        {
            self.told_advice.push(advice.clone());
            self.notice(Notice::Advice(advice));
        }
    }

    /// Looks at a request that opens no session because of this reason.
    pub(crate) fn advise(&mut self, reason: Reason, head: &Head<'_>) {
        self.advice = match reason {
            Reason::Origin => Some(format!(
                "a page of {} may not connect; the host that it asked for is {}. A proxy has to hand on Host as it comes, \
                 with the port{BEHIND_A_PROXY}",
                printable(head.all("origin").next().unwrap_or(b"no origin")),
                printable(head.host().unwrap_or_default().as_bytes())
            )),
            Reason::NotFound => self.server.routes().similar(head.path()).map(|path| {
                let asked = printable(head.path().as_bytes());
                format!("nothing is served at {asked}; did you mean {}?", path.escape_default())
            }),
            _ => None,
        };
    }

    /// Looks at a request that is no handshake.
    pub(crate) fn advise_on_upgrade(&mut self, head: &Head<'_>) {
        // PERF: the names are told apart by their lengths first.
        let is_key =
            |name: &str| name.len() == "sec-websocket-key".len() && name.eq_ignore_ascii_case("sec-websocket-key");
        if head.fields.iter().any(|field| is_key(field.name)) {
            let text = "a WebSocket handshake came without its Upgrade and Connection fields: a proxy has removed them";
            self.advice = Some(format!("{text}{BEHIND_A_PROXY}"));
        }
    }
}

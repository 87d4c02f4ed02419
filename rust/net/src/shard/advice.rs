//! What requests suggest is wrong with the program, or with a proxy before it: for whoever wonders why nobody gets in.

use hubbub_proto::head::Head;

use super::context::Context;
use crate::figures::Reason;

/// The page that says how a proxy is set up.
const BEHIND_A_PROXY: &str = " (docs/guide.md, \"Behind a proxy\")";

impl Context {
    /// Looks at a request that opens no session because of this reason.
    pub(super) fn advise(&mut self, reason: Reason, head: &Head<'_>) {
        self.advice = match reason {
            Reason::Origin => {
                let origin = head.all("origin").map(<[u8]>::escape_ascii).next();
                let origin = origin.map_or_else(|| "no origin".into(), |origin| origin.to_string());
                Some(format!(
                    "a page of {origin} may not connect; the host that it asked for is {}. A proxy has to hand on Host as \
                     it comes, with the port{BEHIND_A_PROXY}",
                    head.host().unwrap_or_default()
                ))
            }
            Reason::NotFound => self.server.routes().similar(head.path()).map(|path| {
                format!(
                    "nothing is served at {}; did you mean {}?",
                    head.path().escape_default(),
                    path.escape_default()
                )
            }),
            _ => None,
        };
    }

    /// Looks at a request that is no handshake.
    pub(super) fn advise_on_upgrade(&mut self, head: &Head<'_>) {
        // PERF: the names are told apart by their lengths first.
        let is_key =
            |name: &str| name.len() == "sec-websocket-key".len() && name.eq_ignore_ascii_case("sec-websocket-key");
        if head.fields.iter().any(|field| is_key(field.name)) {
            let text = "a WebSocket handshake came without its Upgrade and Connection fields: a proxy has removed them";
            self.advice = Some(format!("{text}{BEHIND_A_PROXY}"));
        }
    }
}

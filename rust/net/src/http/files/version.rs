//! One state of a file in one coding, and the fields that describe it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hubbub_proto::content::Validators;
use hubbub_proto::response::FieldLines;

use super::beneath::State;
use super::kinds::content_type;
use super::{Folder, SMALL_BYTES};
use crate::http::exchange::Reply;

/// A coding that files may lie about in, beside the file itself.
pub(crate) struct Coding {
    /// Its name in Accept-Encoding and Content-Encoding.
    pub(crate) name: &'static str,
    /// What the neighbour's name has more than the file's.
    pub(crate) suffix: &'static str,
}

/// The one that is smallest, usually, comes first.
pub(crate) const CODINGS: [Coding; 3] = [
    Coding { name: "br", suffix: ".br" },
    Coding { name: "zstd", suffix: ".zst" },
    Coding { name: "gzip", suffix: ".gz" },
];

/// A file, or its compressed neighbour, in one state.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Its place in `CODINGS`; `None`: the file itself.
    pub(crate) coding: Option<usize>,
    pub(crate) state: State,
    /// Whatever happens to it next will show. What is not settled is not kept.
    pub(crate) is_settled: bool,
    pub(crate) etag: String,
    /// `None`: it is in the future (RFC 9110 §8.8.2.1: no Last-Modified MUST be later than the answer).
    pub(crate) modified: Option<SystemTime>,
    /// The answer with all of it.
    pub(crate) reply: Arc<Reply>,
    /// All of it, where it is small.
    pub(crate) content: Option<Bytes>,
}

impl Version {
    pub(crate) fn new(path: &[u8], coding: Option<usize>, state: &State, folder: &Folder) -> Self {
        let now = SystemTime::now();
        let modified = state.modified().filter(|at| *at <= now);
        let (seconds, nanos) = state.modified;
        let stamp = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        // RFC 9110 §8.8.1: what may change again without a trace has a weak tag. §8.8.3.3: codings have tags of their
        // own.
        let weak = if state.is_dated(now) { "" } else { "W/" };
        let suffix = coding.map_or("", |number| CODINGS[number].suffix);
        let etag = format!("{weak}\"{stamp:x}-{:x}{suffix}\"", state.len);
        let mut version = Version {
            coding,
            state: *state,
            is_settled: state.is_settled(now),
            etag,
            modified,
            reply: Arc::new(Reply { status: 200, fields: FieldLines::new() }),
            content: None,
        };
        let mut fields = version.validators_as_fields(folder);
        push(&mut fields, "Content-Type", &content_type(path));
        push(&mut fields, "X-Content-Type-Options", "nosniff");
        push(&mut fields, "Accept-Ranges", "bytes");
        if let Some(coding) = version.coding_name() {
            push(&mut fields, "Content-Encoding", coding);
        }
        version.reply = Arc::new(Reply { status: 200, fields });
        version
    }

    /// The same with its content.
    pub(crate) fn with(self, content: Vec<u8>) -> Self {
        Version { content: Some(content.into()), ..self }
    }

    /// It is small, and its content is not here yet.
    pub(crate) fn is_to_be_read(&self) -> bool {
        self.content.is_none() && self.state.len <= SMALL_BYTES
    }

    pub(crate) fn coding_name(&self) -> Option<&'static str> {
        self.coding.map(|number| CODINGS[number].name)
    }

    /// The name of the file that it is, as that of the file itself is `path`.
    pub(crate) fn file_name(&self, path: &[u8]) -> Vec<u8> {
        [path, self.coding.map_or("", |number| CODINGS[number].suffix).as_bytes()].concat()
    }

    pub(crate) fn validators(&self) -> Validators<'_> {
        Validators { etag: &self.etag, modified: self.modified }
    }

    /// What a 304 says as well (RFC 9110 §15.4.5): whatever tells a cache which copy it is about, and for how long.
    pub(crate) fn validators_as_fields(&self, folder: &Folder) -> FieldLines {
        let mut fields = FieldLines::new();
        push(&mut fields, "ETag", &self.etag);
        if let Some(modified) = self.modified {
            push(&mut fields, "Last-Modified", &httpdate::fmt_http_date(modified));
        }
        // RFC 9110 §12.5.5: another request may get another coding, if not now then when there is one.
        push(&mut fields, "Vary", "Accept-Encoding");
        folder.fields.iter().for_each(|(name, value)| push(&mut fields, name, value));
        fields
    }
}

/// INVARIANT: names and values are ours, or checked at the door.
pub(crate) fn push(fields: &mut FieldLines, name: &str, value: &str) {
    let pushed = fields.push(name.as_bytes(), value.as_bytes());
    debug_assert!(pushed.is_ok(), "{name:?}: {value:?}");
}

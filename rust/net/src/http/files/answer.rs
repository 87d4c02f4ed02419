//! What a request for a file is answered with.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hubbub_proto::content::{Condition, Ranges, evaluate, may_be_partial, ranges};
use hubbub_proto::head::Head;
use hubbub_proto::response::FieldLines;

use super::Folder;
use super::beneath::Root;
use super::version::{Version, push};
use crate::http::exchange::{Reply, Source};
use crate::metrics::Reason;

/// A response, and what its content comes from.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    pub(crate) reply: Arc<Reply>,
    pub(crate) content: FileContent,
    /// What an error is counted as.
    pub(crate) reason: Reason,
    /// For the log: what went wrong that an operator should know of.
    pub(crate) failure: Option<String>,
}

#[derive(Debug)]
pub(crate) enum FileContent {
    Bytes(Bytes),
    File(Source),
}

/// Why no file is sent.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is none.
    Missing,
    /// There is a folder.
    Directory,
    /// It may not be read.
    Forbidden,
    /// Not now: the process has no descriptor left, or the file changes too fast.
    Busy,
    /// The file system fails. In words.
    Failed(String),
}

impl FileAnswer {
    /// Answers a GET or HEAD for this version of the file at `path`.
    pub(crate) fn new(
        head: &Head<'_>,
        version: Arc<Version>,
        path: &[u8],
        root: &Root,
        folder: &Folder,
    ) -> Result<FileAnswer, Refusal> {
        match evaluate(&head.fields, &version.validators()) {
            Condition::Go => {}
            Condition::NotModified => return Ok(FileAnswer::empty(304, version.validators_as_fields(folder))),
            Condition::Failed => return Ok(FileAnswer::error(412, "The file is not what it was.", Reason::File)),
        }
        let (version, source) = match &version.content {
            Some(_) => (version, None),
            None => {
                let (file, state) = root.open(&version.file_name(path))?;
                let left = state.len;
                // Replaced since it was looked at: what is sent is what is described.
                let version = match state == version.state {
                    true => version,
                    false => Arc::new(Version::new(path, version.coding, &state, folder)),
                };
                (version, Some(Source { file, at: 0, left, is_read: false }))
            }
        };
        let (len, validators) = (version.state.len, version.validators());
        // RFC 9110 §14.2: a range is for GET only, and a field that stands twice is none.
        let wanted = head.fields.one("range").ok().flatten().filter(|_| head.method == "GET");
        let wanted = wanted.filter(|_| may_be_partial(&head.fields, &validators));
        let part = match wanted.map_or(Ranges::Whole, |value| ranges(value, len)) {
            Ranges::Whole => 0..len,
            Ranges::Part(part) => {
                let mut fields = version.reply.fields.clone();
                push(&mut fields, "Content-Range", &format!("bytes {}-{}/{len}", part.start, part.end - 1));
                let reply = Arc::new(Reply { status: 206, fields });
                return Ok(FileAnswer { reply, ..FileAnswer::part(&version, source, part) });
            }
            Ranges::Unsatisfiable => {
                let mut answer = FileAnswer::error(416, "The file has no such part.", Reason::File);
                let mut fields = answer.reply.fields.clone();
                push(&mut fields, "Content-Range", &format!("bytes */{len}"));
                answer.reply = Arc::new(Reply { status: 416, fields });
                return Ok(answer);
            }
        };
        Ok(FileAnswer::part(&version, source, part))
    }

    fn part(version: &Version, source: Option<Source>, part: Range<u64>) -> FileAnswer {
        let content = match (source, &version.content) {
            (Some(source), _) => FileContent::File(Source { at: part.start, left: part.end - part.start, ..source }),
            // INVARIANT: a part lies within the length, and small files fit into memory.
            (None, content) => FileContent::Bytes(
                content
                    .as_ref()
                    .map_or_else(Bytes::new, |content| content.slice(part.start as usize..part.end as usize)),
            ),
        };
        FileAnswer { reply: version.reply.clone(), content, reason: Reason::File, failure: None }
    }

    /// Sends the client to the same path with a `/` at its end.
    pub(crate) fn to_folder(head: &Head<'_>, folder: &Folder) -> FileAnswer {
        let query = head.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut fields = FieldLines::new();
        // INVARIANT: the path has exactly one `/` at its beginning, and no `\`, or it would name nothing: this leads to
        // no other host.
        push(&mut fields, "Location", &format!("{}/{query}", head.path()));
        folder.fields.iter().for_each(|(name, value)| push(&mut fields, name, value));
        FileAnswer::empty(308, fields)
    }

    /// What a method other than GET and HEAD gets where only files are served.
    pub(crate) fn options() -> FileAnswer {
        let mut fields = FieldLines::new();
        push(&mut fields, "Allow", ALLOW);
        FileAnswer::empty(204, fields)
    }

    /// Nobody has it.
    pub(crate) fn missing() -> FileAnswer {
        FileAnswer::error(404, "Nothing is served here.", Reason::NotFound)
    }

    fn empty(status: u16, fields: FieldLines) -> FileAnswer {
        let content = FileContent::Bytes(Bytes::new());
        FileAnswer { reply: Arc::new(Reply { status, fields }), content, reason: Reason::File, failure: None }
    }

    fn error(status: u16, text: &str, reason: Reason) -> FileAnswer {
        let mut fields = FieldLines::new();
        push(&mut fields, "Content-Type", "text/plain; charset=utf-8");
        push(&mut fields, "X-Content-Type-Options", "nosniff");
        let content = FileContent::Bytes(format!("{text}\n").into());
        FileAnswer { reply: Arc::new(Reply { status, fields }), content, reason, failure: None }
    }
}

/// The methods that files have.
pub(crate) const ALLOW: &str = "GET, HEAD, OPTIONS";

impl From<Refusal> for FileAnswer {
    fn from(refusal: Refusal) -> FileAnswer {
        match refusal {
            Refusal::Missing | Refusal::Directory => FileAnswer::missing(),
            Refusal::Forbidden => FileAnswer::error(403, "This file may not be read.", Reason::File),
            Refusal::Busy => FileAnswer::error(503, "The file cannot be read now.", Reason::File),
            Refusal::Failed(text) => {
                FileAnswer { failure: Some(text), ..FileAnswer::error(500, "The file cannot be read.", Reason::File) }
            }
        }
    }
}

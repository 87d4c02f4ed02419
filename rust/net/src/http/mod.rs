//! HTTP: one request and the response to it, and files.

pub(crate) mod date;
pub(crate) mod exchange;
pub(crate) mod files;
pub(crate) mod request_line;

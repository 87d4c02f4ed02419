//! HTTP: one request and the response to it, and files.

pub(crate) mod advice;
pub(crate) mod body;
pub(crate) mod date;
pub(crate) mod exchange;
pub(crate) mod files;
pub(crate) mod origins;
pub(crate) mod refusal;
pub(crate) mod request_line;
pub(crate) mod response;
pub(crate) mod sending;

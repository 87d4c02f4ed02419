//! The head of a response (RFC 9112 §4): its fields checked, its framing said once and by us.

use crate::head::{is_field_value, is_token, trim};

/// Field lines ready to be sent. What frames the message is taken out of them: the writer says it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FieldLines {
    bytes: Vec<u8>,
    length: Option<u64>,
    close: bool,
    upgrade: bool,
    date: bool,
    server: bool,
}

/// A field that may not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldError {
    /// The name is not a token.
    Name,
    /// The value has a control character: CR, LF and NUL would make further fields of it.
    Value,
    /// Content-Length is not one decimal number, or stands twice with different ones.
    Length,
}

/// How the end of a response's content is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Content-Length is this.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Nothing is said: there is no content, or it ends with the connection.
    Silent,
}

/// What becomes of the connection after the response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// It ends.
    Close,
    /// It goes on, as is usual with HTTP/1.1.
    Keep,
    /// It goes on, and is said to: HTTP/1.0 expects its end.
    KeepAlive,
}

/// Everything of a response's head but its fields.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLine<'a> {
    /// 200 to 599.
    pub status: u16,
    /// How its end is told.
    pub framing: Framing,
    /// What follows it.
    pub connection: Connection,
    /// The value of Date, unless the fields have one.
    pub date: Option<&'a [u8]>,
    /// The value of Server, unless the fields have one.
    pub server: Option<&'a str>,
}

impl FieldLines {
    /// No fields yet.
    pub fn new() -> FieldLines {
        FieldLines::default()
    }

    /// Appends a field. White space around the value is left out.
    ///
    /// Content-Length, Transfer-Encoding and Connection are not sent as they are given: the first is remembered, and so
    /// is that the connection is to end.
    ///
    /// # Errors
    /// It may not be sent (RFC 9110 §5).
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        if !is_token(name) {
            return Err(FieldError::Name);
        }
        let value = trim(value);
        if !is_field_value(value) {
            return Err(FieldError::Value);
        }
        // PERF: the names that matter are told apart by their lengths first.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => return self.set_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return Ok(()),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.close |= crate::head::list(value).any(|token| token.eq_ignore_ascii_case(b"close"));
                return Ok(());
            }
            7 => self.upgrade |= name.eq_ignore_ascii_case(b"upgrade"),
            6 => self.server |= name.eq_ignore_ascii_case(b"server"),
            4 => self.date |= name.eq_ignore_ascii_case(b"date"),
            _ => {}
        }
        for part in [name, b": ", value, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }

    /// Content-Length as it was given.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The connection is to end after the response.
    pub fn close(&self) -> bool {
        self.close
    }

    fn set_length(&mut self, value: &[u8]) -> Result<(), FieldError> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value).ok().filter(|_| digits);
        let length = text.and_then(|text| text.parse().ok()).ok_or(FieldError::Length)?;
        if self.length.is_some_and(|other| other != length) {
            return Err(FieldError::Length);
        }
        self.length = Some(length);
        Ok(())
    }

    /// Appends the whole head to `out`.
    pub fn write(&self, out: &mut Vec<u8>, line: &ResponseLine<'_>) {
        let ResponseLine { status, framing, connection, date, server } = *line;
        out.extend_from_slice(b"HTTP/1.1 ");
        write_number(out, u64::from(status));
        out.push(b' ');
        out.extend_from_slice(reason_phrase(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(date) = date.filter(|_| !self.date) {
            write_field(out, b"Date: ", date);
        }
        if let Some(server) = server.filter(|_| !self.server) {
            write_field(out, b"Server: ", server.as_bytes());
        }
        out.extend_from_slice(&self.bytes);
        match (connection, self.upgrade) {
            // RFC 9110 §7.8: a sender of Upgrade MUST name it in Connection too.
            (Connection::Close, true) => out.extend_from_slice(b"Connection: Upgrade, close\r\n"),
            (Connection::Keep | Connection::KeepAlive, true) => out.extend_from_slice(b"Connection: Upgrade\r\n"),
            (Connection::Close, false) => out.extend_from_slice(b"Connection: close\r\n"),
            (Connection::KeepAlive, false) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (Connection::Keep, false) => {}
        }
        match framing {
            Framing::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                write_number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::Silent => {}
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Whether a response with this status has no content, whatever it says (RFC 9110 §6.4.1).
pub fn is_without_content(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// The words that belong to a status (RFC 9110 §15); nobody reads them, and they may be empty.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "Status",
    }
}

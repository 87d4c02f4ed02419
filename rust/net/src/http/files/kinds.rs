//! Content types by name.

/// What mime_guess has as it was before the registration: RFC 9239, RFC 8081.
const NEWER: [(&str, &str); 6] = [
    ("cjs", "text/javascript"),
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("otf", "font/otf"),
    ("woff", "font/woff"),
    ("xml", "application/xml"),
];

/// The value of Content-Type for a file of this name. Texts are taken to be UTF-8.
pub(crate) fn content_type(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    // By its extension alone it would be a film.
    if name.ends_with(b".d.ts") {
        return "text/plain; charset=utf-8".into();
    }
    let extension = memchr_last_dot(name).and_then(|at| std::str::from_utf8(&name[at + 1..]).ok()).unwrap_or_default();
    let newer = NEWER.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, kind)| *kind);
    let kind = newer.or_else(|| mime_guess::from_ext(extension).first_raw()).unwrap_or("application/octet-stream");
    match kind.starts_with("text/") {
        true => format!("{kind}; charset=utf-8"),
        false => kind.into(),
    }
}

/// A name that only begins with a dot has no extension.
fn memchr_last_dot(name: &[u8]) -> Option<usize> {
    name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_content_type() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.d/site.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.MJS", "text/javascript; charset=utf-8"),
            ("app.js.map", "application/json"),
            ("data.json", "application/json"),
            ("logo.svg", "image/svg+xml"),
            ("photo.avif", "image/avif"),
            ("icon.ico", "image/x-icon"),
            ("font.woff2", "font/woff2"),
            ("font.woff", "font/woff"),
            ("code.wasm", "application/wasm"),
            ("site.webmanifest", "application/manifest+json"),
            ("film.mp4", "video/mp4"),
            ("hubbub.d.ts", "text/plain; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("archive.tar.gz", "application/gzip"),
            ("unknown.xyzzy", "application/octet-stream"),
            ("a.html/none", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("trailing.", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path.as_bytes()), expected, "{path}");
        }
    }
}

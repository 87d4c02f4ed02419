//! Which pages may connect: the list of origins that an endpoint has.

/// In a list of origins: the page's own host.
const SAME_ORIGIN: &str = "same-origin";

/// RFC 6454 §4: scheme and host compare in lower case, and so are origins written.
pub(crate) fn may_connect(allowed: &[String], origin: &str, host: &str) -> bool {
    allowed.iter().any(|allowed| match allowed.as_str() {
        SAME_ORIGIN => is_same_host(origin, host),
        allowed => allowed.eq_ignore_ascii_case(origin),
    })
}

/// The page comes from the host and port that it connects to. The schemes are not compared: behind a proxy that ends TLS
/// ours is not the one that the page sees.
pub(crate) fn is_same_host(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match origin.split_once("://") {
        Some((scheme, authority)) if scheme.eq_ignore_ascii_case("http") => (authority, ":80"),
        Some((scheme, authority)) if scheme.eq_ignore_ascii_case("https") => (authority, ":443"),
        _ => return false,
    };
    let plain = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && plain(authority) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F18.
    #[test]
    fn a_page_is_of_the_same_host_or_it_is_not() {
        for (origin, host, same) in [
            ("http://example.org", "example.org", true),
            ("https://example.org", "example.org", true),
            ("https://example.org", "example.org:443", true),
            ("http://example.org:80", "example.org", true),
            ("HTTP://EXAMPLE.org", "example.ORG", true),
            ("http://localhost:8000", "localhost:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://example.org:8000", "example.org", false),
            ("https://example.org:80", "example.org", false),
            ("http://example.com.evil.org", "example.com", false),
            ("http://evil-example.com", "example.com", false),
            ("http://example.com", "", false),
            ("file://example.com", "example.com", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(is_same_host(origin, host), same, "{origin:?} at {host:?}");
        }
    }
}

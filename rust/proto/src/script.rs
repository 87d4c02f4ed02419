//! Text for a script inside a page.

/// Appends the text as a JSON string that may stand in a `<script>` element: nothing in it can end the element, or begin a
/// comment, and every engine reads it as a string of JavaScript.
pub fn string(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    // INVARIANT: a str and a Vec; there is nothing that could fail.
    let written = serde_json::to_writer(&mut *out, text);
    debug_assert!(written.is_ok());
    let needs = |text: &str| text.contains(['<', '\u{2028}', '\u{2029}']);
    if needs(text) {
        let json = String::from_utf8_lossy(&out[start..]);
        let safe = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        out.truncate(start);
        out.extend_from_slice(safe.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_and_every_text_is_read_back() {
        for text in ["", "plain", "</script><!--", "\u{2028}\u{2029}", "\"\\\n\0", "日本語 🦀"] {
            let mut out = b"x".to_vec();
            string(&mut out, text);
            let json = std::str::from_utf8(&out[1..]).unwrap();
            assert!(!json.contains(['<', '\u{2028}', '\u{2029}', '\n']), "{json}");
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
        }
    }
}

//! A file's name as a label: never a path, never able to reorder or break what shows it.

use corpus::sanitize::is_hidden;

/// Bytes at most, as in the usual file systems.
const MAX: usize = 255;

/// The last segment, without what no name needs; `nameless` where nothing is left.
pub fn clean(name: &str, nameless: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&c| !is_invisible(c)).collect();
    // Together: a space behind a dot would be the first of a name that was to have none.
    let trimmed = kept.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let cut = trimmed.floor_char_boundary(MAX);
    match trimmed[..cut].trim_end() {
        "" => nameless.to_owned(),
        name => name.to_owned(),
    }
}

/// Characters that reorder or hide their neighbours: `invoice\u{202E}fdp.exe` shows as `invoiceexe.pdf`.
fn is_invisible(c: char) -> bool {
    c.is_control() || is_hidden(c) || matches!(c, '\u{200C}' | '\u{200D}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for (name, label) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\notes.txt", "notes.txt"),
            ("..", "document"),
            ("a/", "document"),
            ("", "document"),
        ] {
            assert_eq!(clean(name, "document"), label);
        }
    }

    #[test]
    fn a_name_cannot_break_or_reorder_what_shows_it() {
        for (name, label) in [
            ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie: x.pdf"),
            ("invoice\u{202E}fdp.exe", "invoicefdp.exe"),
            ("talk\u{202E}3pm.exe", "talk3pm.exe"),
            ("a\0b.pdf", "ab.pdf"),
        ] {
            assert_eq!(clean(name, "audio"), label);
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let long = clean(&"ä".repeat(300), "audio");
        assert!(long.len() <= MAX && long.chars().all(|c| c == 'ä'));
    }
}

//! A file's name as a label: never a path, never able to reorder or break what shows it.

use corpus::sanitize::is_hidden;

/// Bytes at most, as in the usual file systems.
const MAX: usize = 255;

/// The last segment, without what no name needs; `document` where nothing is left.
pub fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&c| !is_invisible(c)).collect();
    // Together: a space behind a dot would be the first of a name that was to have none.
    let trimmed = kept.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let cut = trimmed.floor_char_boundary(MAX);
    match trimmed[..cut].trim_end() {
        "" => "document".to_owned(),
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
        assert_eq!(clean("../../etc/passwd"), "passwd");
        assert_eq!(clean("C:\\Users\\me\\notes.txt"), "notes.txt");
        assert_eq!(clean(".."), "document");
        assert_eq!(clean("a/"), "document");
        assert_eq!(clean(""), "document");
    }

    #[test]
    fn a_name_cannot_break_or_reorder_what_shows_it() {
        assert_eq!(clean("a\r\nSet-Cookie: x.pdf"), "aSet-Cookie: x.pdf");
        assert_eq!(clean("invoice\u{202E}fdp.exe"), "invoicefdp.exe");
        assert_eq!(clean("a\0b.pdf"), "ab.pdf");
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let long = clean(&"ä".repeat(300));
        assert!(long.len() <= MAX && long.chars().all(|c| c == 'ä'));
    }
}

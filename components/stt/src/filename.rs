//! A file's name as a label: never a path, never able to reorder or break what shows it.

/// Bytes at most, as in the usual file systems.
const MAX: usize = 255;

/// The last segment, without what no name needs; `audio` where nothing is left.
pub fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|&c| !c.is_control() && !is_invisible(c))
        .collect();
    let trimmed = kept.trim().trim_start_matches('.');
    match &trimmed[..trimmed.floor_char_boundary(MAX)] {
        "" => "audio".to_owned(),
        name => name.to_owned(),
    }
}

/// Characters that reorder or hide their neighbours: `talk\u{202E}3pm.exe` shows as `talkexe.mp3`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label() {
        for (name, label) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\talks\\one.mp3", "one.mp3"),
            ("..", "audio"),
            ("", "audio"),
            ("a\r\nSet-Cookie: x.mp3", "aSet-Cookie: x.mp3"),
            ("talk\u{202E}3pm.exe", "talk3pm.exe"),
        ] {
            assert_eq!(clean(name), label);
        }
        let long = clean(&"ä".repeat(300));
        assert!(long.len() <= MAX && long.chars().all(|c| c == 'ä'));
    }
}

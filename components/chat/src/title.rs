//! What a session is called.

use corpus::sanitize::sanitize;

/// Characters of a title.
pub const MOST: usize = 120;
/// Of one that is made.
const MADE: usize = 80;

/// Of the first message: one line, cut at a word.
pub fn of(message: &str) -> String {
    let clean = sanitize(message);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = line.char_indices().nth(MADE) else {
        return line;
    };
    let head = &line[..cut];
    let whole = head.rfind(' ').map_or(head, |space| &head[..space]);
    format!("{}…", whole.trim_end_matches([',', '.', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_cut_at_a_word() {
        assert_eq!(of(" What is\n\nmitosis? "), "What is mitosis?");
        let long = of(&"photosynthesis and respiration, ".repeat(9));
        assert!(long.ends_with("and…") || long.ends_with('…') && long.chars().count() <= MADE + 1);
        assert_eq!(of("![x](http://evil)\u{202E}"), "x");
        assert_eq!(of(&"x".repeat(500)).chars().count(), MADE + 1);
        assert_eq!(of("\u{200B}"), "");
    }
}

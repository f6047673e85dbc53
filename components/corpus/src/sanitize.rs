//! What a language model wrote, made fit to be shown: a client may render it as Markdown, and a
//! document may have told the model what to write.

/// Characters that show nothing and can carry or reorder text.
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(
            c,
            '\u{AD}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{2069}'
                | '\u{FEFF}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

/// The text without what could fetch, run or hide something: an image is its description, a tag is
/// its letters, a character that shows nothing is gone.
pub fn sanitize(text: &str) -> String {
    // First, so that none stands inside what is looked for.
    let visible: String = text.chars().filter(|&c| !is_hidden(c)).collect();
    let mut clean = String::with_capacity(visible.len());
    let mut rest = visible.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some((description, after)) = image(rest) {
            push(description, &mut clean);
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c == '<' && rest.starts_with(|next: char| next.is_alphabetic() || "/!?".contains(next)) {
            clean.push_str("&lt;");
        } else {
            push(c.encode_utf8(&mut [0; 4]), &mut clean);
        }
    }
    clean.trim().to_owned()
}

/// The description of an image that the text begins with, and what follows the image.
fn image(text: &str) -> Option<(&str, &str)> {
    let (description, after) = text.strip_prefix("![")?.split_once(']')?;
    let (_, after) = after.strip_prefix('(')?.split_once(')')?;
    // A description within a description is another image, or markup.
    (!description.contains(['[', '<'])).then_some((description, after))
}

/// Any other `![` is parted, whatever has brought the two together.
fn push(piece: &str, clean: &mut String) {
    if piece.starts_with('[') && clean.ends_with('!') {
        clean.push(' ');
    }
    clean.push_str(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_its_description() {
        assert_eq!(
            sanitize("See ![x](http://evil/?q=1) here!\n"),
            "See x here!"
        );
        for hostile in [
            "![x][ref]",
            "!![](u)[y](http://evil)",
            "!\u{200B}[x](http://evil)",
            "![![x](http://evil)](http://evil)",
            "![a\n](http://evil)",
            "![",
        ] {
            assert!(
                !sanitize(hostile).contains("!["),
                "{hostile}: {}",
                sanitize(hostile)
            );
        }
    }

    #[test]
    fn a_tag_is_its_letters_and_a_comparison_stays() {
        assert_eq!(
            sanitize("<script>x</script> <!-- --> <\u{E0041}img src=x>"),
            "&lt;script>x&lt;/script> &lt;!-- --> &lt;img src=x>"
        );
        for plain in ["a < b", "x <- 5 <<- 6", "1 <2", "fine!", "ends with <"] {
            assert_eq!(sanitize(plain), plain);
        }
    }

    #[test]
    fn what_shows_nothing_is_gone() {
        assert_eq!(
            sanitize("a\u{0}b\u{200B}c\u{E0041}d\u{202E}e\u{7}"),
            "abcde"
        );
        assert_eq!(sanitize("👩\u{200D}👧\nb\tc"), "👩\u{200D}👧\nb\tc");
    }
}

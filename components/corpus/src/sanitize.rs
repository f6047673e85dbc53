//! What a language model wrote, made fit to be shown: a client may render it as Markdown, and a
//! document may have told the model what to write. Works on pieces as they come: what may be the
//! beginning of something is held back until it is known.

use std::collections::VecDeque;

/// Characters that show nothing and can carry or reorder text.
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{180E}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
                | '\u{E0100}'..='\u{E01EF}'
        )
}

/// The text without characters that show nothing.
pub fn visible(text: &str) -> String {
    text.chars().filter(|&c| !is_hidden(c)).collect()
}

/// The text without what could fetch, run, lead away or hide something: an image is its description, a
/// link is its words, a tag is its letters, a character that shows nothing is gone.
pub fn sanitize(text: &str) -> String {
    let mut filter = Filter::new(0);
    let mut clean = filter.push(text);
    clean.push_str(&filter.end());
    clean
}

/// Bytes that are held back for a bracket to close; then it is none.
const LONGEST: usize = 2_000;
/// What a client makes a link of without any brackets.
const SCHEMES: &[&str] = &["https://", "http://", "ftp://", "www.", "mailto:", "xmpp:"];
/// Characters of the longest.
const SCHEME: usize = 8;

/// [`sanitize`] for text that comes in pieces, which also takes out a model's marks: `[1]` names the
/// first of the passages that it was shown.
pub struct Filter {
    shown: usize,
    named: Vec<usize>,
    /// Not decided yet.
    held: String,
    /// Space that is dropped where a mark or the end follows.
    space: String,
    /// The last character that was let through.
    last: Option<char>,
    /// The end of the word that was let through, as long as the longest scheme.
    tail: VecDeque<char>,
}

/// What the held text begins with.
enum Head {
    /// So many bytes are let through as this.
    Text(usize, String),
    /// So many bytes name passages.
    Mark(usize, Vec<usize>),
    /// More has to come.
    Open,
}

impl Filter {
    /// For an answer whose writer was shown so many passages.
    pub fn new(shown: usize) -> Self {
        Self {
            shown,
            named: vec![],
            held: String::new(),
            space: String::new(),
            last: None,
            tail: VecDeque::new(),
        }
    }

    /// Takes the next piece; answers what is decided.
    pub fn push(&mut self, piece: &str) -> String {
        // First, so that none stands inside what is looked for.
        self.held.extend(piece.chars().filter(|&c| !is_hidden(c)));
        self.decide(false)
    }

    /// The rest.
    pub fn end(&mut self) -> String {
        self.decide(true)
    }

    /// The passages that were named so far, from 0, each once.
    pub fn named(&self) -> Vec<usize> {
        let mut named = self.named.clone();
        named.sort_unstable();
        named.dedup();
        named
    }

    fn decide(&mut self, ended: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let (mut clean, mut rest) = (String::new(), held.as_str());
        while !rest.is_empty() {
            match self.head(rest, ended) {
                Head::Text(size, text) => {
                    self.let_through(&text, &mut clean);
                    rest = &rest[size..];
                }
                Head::Mark(size, named) => {
                    self.named.extend(named);
                    self.space.clear();
                    rest = &rest[size..];
                }
                Head::Open => break,
            }
        }
        self.held = rest.to_owned();
        clean
    }

    fn head(&self, text: &str, ended: bool) -> Head {
        let mut characters = text.chars();
        let (first, next) = (characters.next(), characters.next());
        match (first, next) {
            (Some('[' | '!' | '<'), None) if !ended => Head::Open,
            (Some('!'), Some('[')) => self.bracket(text, 1, ended),
            (Some('['), _) => self.bracket(text, 0, ended),
            (Some('<'), Some(c)) if begins_tag(c) => Head::Text(1, "&lt;".into()),
            (Some(c), _) => self
                .address(text, ended)
                .unwrap_or_else(|| Head::Text(c.len_utf8(), c.into())),
            (None, _) => Head::Open,
        }
    }

    /// A bracket behind `skip` bytes: an image, a link, a mark, or itself.
    fn bracket(&self, text: &str, skip: usize, ended: bool) -> Head {
        let itself = || Head::Text(skip + 1, text[..=skip].to_owned());
        let waits = !ended && text.len() < LONGEST;
        // No further, so that it is the same whether the rest is there already or is still to come.
        let text = &text[..text.floor_char_boundary(LONGEST)];
        let inside = &text[skip + 1..];
        let Some(close) = inside.find([']', '[']) else {
            return if waits { Head::Open } else { itself() };
        };
        let (inside, after) = inside.split_at(close);
        let Some(after) = after.strip_prefix(']') else {
            return itself();
        };
        let size = text.len() - after.len();
        if after.is_empty() && waits {
            return Head::Open;
        }
        if let Some(target) = after.strip_prefix('(') {
            return match target.split_once(')') {
                Some((target, _)) if skip == 1 || leads_away(target) => {
                    Head::Text(size + target.len() + 2, unlinked(inside))
                }
                None if waits => Head::Open,
                _ => itself(),
            };
        }
        let numbers: Option<Vec<usize>> =
            inside.split(',').map(|n| n.trim().parse().ok()).collect();
        match numbers {
            Some(numbers)
                if skip == 0 && numbers.iter().all(|&n| (1..=self.shown).contains(&n)) =>
            {
                Head::Mark(size, numbers.iter().map(|n| n - 1).collect())
            }
            _ => itself(),
        }
    }

    /// An address that a client would make a link of: its beginning goes.
    fn address(&self, text: &str, ended: bool) -> Option<Head> {
        if self.last_is_letter() {
            return None;
        }
        let begins = |scheme: &&&str| {
            text.get(..scheme.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
        };
        if let Some(scheme) = SCHEMES.iter().find(begins) {
            return Some(Head::Text(scheme.len(), String::new()));
        }
        let may_begin = |scheme: &&str| {
            text.len() < scheme.len()
                && scheme
                    .get(..text.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(text))
        };
        (!ended && SCHEMES.iter().any(may_begin)).then_some(Head::Open)
    }

    fn last_is_letter(&self) -> bool {
        self.space.is_empty() && self.last.is_some_and(char::is_alphanumeric)
    }

    /// What would be an image, a link or a tag together is parted, whatever has brought it together.
    fn let_through(&mut self, text: &str, clean: &mut String) {
        for c in text.chars() {
            if c.is_whitespace() {
                if self.last.is_some() {
                    self.space.push(c);
                }
                continue;
            }
            if self.space.is_empty() && self.would_join(c) {
                self.space.push(' ');
            }
            if !self.space.is_empty() {
                self.tail.clear();
            }
            clean.push_str(&self.space);
            self.space.clear();
            clean.push(c);
            self.last = Some(c);
            self.tail.push_back(c);
            if self.tail.len() > SCHEME {
                self.tail.pop_front();
            }
        }
    }

    /// Whether the next character makes more than text of what was let through before it.
    fn would_join(&self, c: char) -> bool {
        match (self.last, c) {
            (Some('!'), '[') | (Some(']'), '(' | '[' | ':') => true,
            (Some('<'), c) => begins_tag(c),
            (Some(_), '/' | '.' | ':') => SCHEMES.iter().any(|scheme| self.completes(scheme, c)),
            _ => false,
        }
    }

    /// Whether the tail and that character are a scheme that no letter stands before.
    fn completes(&self, scheme: &str, c: char) -> bool {
        let mut written = std::iter::once(c).chain(self.tail.iter().rev().copied());
        let same = |wanted: char| {
            written
                .next()
                .is_some_and(|c| c.eq_ignore_ascii_case(&wanted))
        };
        scheme.chars().rev().all(same) && !written.next().is_some_and(char::is_alphanumeric)
    }
}

/// What stands behind the bracket of a tag, a comment or a declaration.
fn begins_tag(c: char) -> bool {
    c.is_alphabetic() || "/!?".contains(c)
}

/// Whether a link's target is an address, rather than the argument in `f[0](x)`.
fn leads_away(target: &str) -> bool {
    target.contains([':', '/', '.', '#', '?', '%'])
}

/// A link's or an image's words, which may hold an address of their own.
fn unlinked(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    sanitize(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_its_description_and_a_link_its_words() {
        for (written, shown) in [
            ("See ![x](http://evil/?q=1) here!\n", "See x here!"),
            ("See [the page](http://evil/?q=1).", "See the page."),
            ("[a](javascript:alert(1))", "a)"),
            ("a [b] (c) and f[0](x)", "a [b] (c) and f[0] (x)"),
            (
                "At https://evil.test/?q=1 or WWW.evil.test.",
                "At evil.test/?q=1 or evil.test.",
            ),
            ("<https://evil.test>", "&lt;evil.test>"),
            ("[x]: http://evil\n[x][x]", "[x] : evil\n[x] [x]"),
            ("[[a](http://b)](http://evil)", "[a] (evil)"),
        ] {
            assert_eq!(sanitize(written), shown);
        }
    }

    const HOSTILE: &[&str] = &[
        "![x][ref]",
        "!![](u)[y](http://evil)",
        "!\u{200B}[x](http://evil)",
        "![![x](http://evil)](http://evil)",
        "![a\n](http://evil)",
        "![",
        "![a](b)(http://evil)",
        "[a]\u{E0001}(http://evil)",
        "[a](b)[c](http://evil)",
        "[![x](http://evil)](http://evil)",
        "a[1](http://evil)",
        "hthttp://tp://evil",
        "wwwww..evil",
        "<im<img src=x>g>",
        "<[](/a)img src=x>",
        "<[1]img src=x>",
        "<[i](/a)mg src=x>",
    ];

    #[test]
    fn nothing_hostile_comes_through_whole() {
        for hostile in HOSTILE {
            let clean = sanitize(hostile);
            for mark in ["![", "](", "][", "]:", "<i"] {
                assert!(!clean.contains(mark), "{hostile}: {clean}");
            }
        }
    }

    #[test]
    fn what_vanishes_leaves_no_address_behind() {
        let mut filter = Filter::new(3);
        let text = filter.push("ht[1]tp://evil [w](/a)ww.evil (htt[ps](/a)://evil) ma[1]ilto:x");
        assert_eq!(
            text + &filter.end(),
            "http:/ /evil www .evil (https:/ /evil) mailto :x"
        );
    }

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        let plain = [
            "Cells divide [2]. They grow [1, 2] [2]. \n\n Yes ",
            "an array[0] of x < y and <b>bold</b> at http://a.b/c",
            "ü[ü] [9] [] [a] [",
            "![x](http://evil/?q=1) [y](z.html) httpx www",
        ];
        for text in plain.iter().chain(HOSTILE) {
            let mut whole = Filter::new(3);
            let mut expected = whole.push(text);
            expected.push_str(&whole.end());
            for size in 1..5 {
                let mut filter = Filter::new(3);
                let characters: Vec<char> = text.chars().collect();
                let mut clean = String::new();
                for piece in characters.chunks(size) {
                    clean.push_str(&filter.push(&piece.iter().collect::<String>()));
                }
                clean.push_str(&filter.end());
                assert_eq!(
                    (&clean, filter.named()),
                    (&expected, whole.named()),
                    "{text} by {size}"
                );
            }
        }
    }

    #[test]
    fn marks_are_taken_out_and_counted_once() {
        let mut filter = Filter::new(3);
        let text = filter.push("Cells divide [2]. They grow [1, 2] [2].");
        assert_eq!(text + &filter.end(), "Cells divide. They grow.");
        assert_eq!(filter.named(), [0, 1]);
    }

    #[test]
    fn what_is_no_mark_stays() {
        for text in [
            "an array[0] of x",
            "[9] is not shown",
            "open [1",
            "[a] [",
            "ü[ü]",
            "[]",
        ] {
            let mut filter = Filter::new(3);
            assert_eq!(filter.push(text) + &filter.end(), text);
            assert!(filter.named().is_empty());
        }
    }

    #[test]
    fn a_bracket_that_never_closes_holds_back_no_more_than_that() {
        let mut filter = Filter::new(3);
        let long = format!("[{}", "x".repeat(LONGEST));
        assert_eq!(filter.push(&long), long);
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

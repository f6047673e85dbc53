//! Cards as text that Anki imports: <https://docs.ankiweb.net/importing/text-files.html>.

/// A note of Anki's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Tells the note from others: imported again, it replaces itself.
    pub guid: String,
    /// What is asked.
    pub front: String,
    /// What is right.
    pub back: String,
    /// Without spaces, each.
    pub tags: Vec<String>,
}

/// What the file says of itself. The guid comes first: a line that begins with `#` would be a comment.
pub const HEADER: &str = "#separator:tab\n#html:false\n#guid column:1\n#tags column:4\n#columns:Guid\tFront\tBack\tTags\n";

/// A line of the file.
pub fn line(note: &Note) -> String {
    let tags: Vec<String> = note.tags.iter().map(|tag| tag_of(tag)).collect();
    format!(
        "{}\t{}\t{}\t{}\n",
        field(&note.guid),
        field(&note.front),
        field(&note.back),
        field(&tags.join(" "))
    )
}

/// In quotation marks where it holds what would end it.
fn field(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if text.contains(['\t', '\n', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn tag_of(tag: &str) -> String {
    let letters = tag.chars();
    letters
        .map(|c| {
            if c.is_whitespace() || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_field_is_quoted() {
        let note = Note {
            guid: "q:1".into(),
            front: "What is \"it\"?".into(),
            back: "a\tb\r\nc".into(),
            tags: vec!["cell membrane".into(), "easy".into()],
        };
        assert_eq!(
            line(&note),
            "q:1\t\"What is \"\"it\"\"?\"\t\"a\tb\nc\"\tcell_membrane easy\n"
        );
    }

    #[test]
    fn the_header_names_four_columns() {
        let columns = HEADER
            .lines()
            .find_map(|line| line.strip_prefix("#columns:"));
        assert_eq!(columns.unwrap().split('\t').count(), 4);
        assert!(HEADER.lines().all(|line| line.starts_with('#')));
    }
}

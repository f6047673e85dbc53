//! A session to take away: as Markdown for people, as JSON for programs.

use std::fmt::Write;

use serde_json::Value;

/// The session as Markdown: who said what and when, and under an answer what it quotes.
pub fn markdown(title: &str, messages: &[Value]) -> String {
    let mut text = format!("# {}\n", line(title));
    for message in messages {
        let member = |name: &str| message[name].as_str().unwrap_or_default();
        let who = match member("role") {
            "user" => "Question",
            _ => "Answer",
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n## {who}, {}\n\n{}\n",
            member("timestamp"),
            body(member("content"))
        );
        if message["partial"] == true {
            text.push_str("\n*(broken off)*\n");
        }
        for citation in message["citations"].as_array().into_iter().flatten() {
            let _ = write!(
                text,
                "\n> {}\n",
                line(citation["quote"].as_str().unwrap_or_default())
            );
            let _ = writeln!(text, ">\n> {}", place(citation));
        }
    }
    text
}

/// Where a quote stands.
fn place(citation: &Value) -> String {
    let name = citation["filename"].as_str().map(line);
    let name = name.unwrap_or_else(|| "given text".into());
    match citation["page"].as_u64() {
        Some(page) => format!("{name}, p. {page}"),
        None => name,
    }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What was said, none of its lines a heading of ours: neither by a mark before it nor by a rule below.
fn body(content: &str) -> String {
    // A carriage return alone is a line break to Markdown.
    let content = content.replace("\r\n", "\n").replace('\r', "\n");
    let mut above = "";
    let escaped = content.lines().map(|line| {
        let bare = line.trim();
        let underlines = !above.is_empty() && is_rule(bare);
        above = bare;
        if bare.starts_with('#') || underlines {
            format!("\\{bare}")
        } else {
            line.to_owned()
        }
    });
    escaped.collect::<Vec<_>>().join("\n")
}

fn is_rule(line: &str) -> bool {
    let of = |mark| line.chars().all(|c| c == mark);
    !line.is_empty() && (of('=') || of('-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_readable_as_markdown() {
        let messages = [
            json!({ "role": "user", "content": "What is mitosis?\n# no heading", "timestamp": "2025-12-05T10:30:00Z" }),
            json!({
                "role": "assistant", "content": "A kind of cell division.", "timestamp": "2025-12-05T10:30:01Z", "partial": true,
                "citations": [
                    { "document_id": "d", "filename": "cells.pdf", "page": 3, "quote": "Mitosis is a\nkind." },
                    { "document_id": null, "filename": null, "page": null, "quote": "Given." },
                ],
            }),
        ];
        assert_eq!(
            markdown("Cells", &messages),
            "# Cells\n\n## Question, 2025-12-05T10:30:00Z\n\nWhat is mitosis?\n\\# no heading\n\
             \n## Answer, 2025-12-05T10:30:01Z\n\nA kind of cell division.\n\n*(broken off)*\n\
             \n> Mitosis is a kind.\n>\n> cells.pdf, p. 3\n\n> Given.\n>\n> given text\n"
        );
        assert_eq!(markdown("", &[Value::Null]), "# \n\n## Answer, \n\n\n");
    }
}

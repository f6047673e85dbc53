//! What holds for every answer of a model and every session.

use chat::citation::Source;
use chat::draft::{Draft, Written};
use chat::prompt::{Said, Speaker, fit};
use chat::{export, title, tokens};
use corpus::answer::Shown;
use corpus::samples::BIOLOGY;
use corpus::{Document, Page};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// One of these parts.
fn one_of(parts: &'static str) -> impl Strategy<Value = String> {
    select(parts.split('|').map(str::to_owned).collect::<Vec<_>>())
}

/// Nothing is written beside the tests: what fails goes into a commit's message.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn shown(text: &str) -> Vec<Shown> {
    let pages = vec![Page {
        number: 1,
        text: text.to_owned(),
    }];
    let passages = Document { pages }.passages().into_iter();
    let shown = passages.map(|passage| Shown {
        document: 0,
        passage,
    });
    shown.collect()
}

/// What a model may say: what stands in the document, what does not, what must not be said.
fn reply() -> impl Strategy<Value = String> {
    let said = one_of(
        "The cell membrane controls what enters the cell [1].|Mitosis is a kind of cell division|\
         Paris is the capital of France.|Sure.|Yes|The fence is n0nce.|\
         Write no links, images or HTML.|See Fig. 3 (p. 12) of it.|\
         A human body cell has 46 chromosomes, e.g. in the skin!|It has 99 chromosomes.|3.|12|[2]|\
         [x](http://evil)|<b>|…|细胞会分裂。|\n|\n\n|- |and so on|?",
    );
    let part = prop_oneof![
        12 => said,
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z ]{0,30}",
    ];
    let joint = select(vec![" ", " ", ""]);
    vec((part, joint), 0..10).prop_map(|all| {
        let parts = all.into_iter().map(|(part, joint)| part + joint);
        parts.collect()
    })
}

/// What was let go, piece by piece, and what was written in the end.
fn written(mut draft: Draft, text: &str, sizes: &[usize], cut_short: bool) -> (String, Written) {
    let (mut told, mut letters) = (String::new(), text.chars().peekable());
    for &size in sizes.iter().cycle() {
        told.push_str(&draft.push(&letters.by_ref().take(size).collect::<String>()));
        if letters.peek().is_none() {
            break;
        }
    }
    (told, draft.end(cut_short))
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn an_answer_is_the_same_however_it_comes(
        text in reply(), sizes in vec(1..30_usize, 1..5), only_documents: bool, cut_short: bool,
    ) {
        let passages = shown(BIOLOGY);
        let draft = || Draft::new(passages.clone(), true, only_documents, "n0nce");
        let (_, whole) = written(draft(), &text, &[text.len() + 1], cut_short);
        let (told, pieces) = written(draft(), &text, &sizes, cut_short);
        prop_assert_eq!(&pieces.text, &whole.text);
        prop_assert_eq!(&pieces.quotes, &whole.quotes);
        prop_assert_eq!((pieces.grounded, pieces.invented), (whole.grounded, whole.invented));
        prop_assert!(!pieces.text.contains("n0nce"));
        let shown = told + &pieces.rest;
        prop_assert_eq!(shown, if pieces.invented { "" } else { &pieces.text });
    }

    #[test]
    fn nothing_is_let_go_before_it_stands_in_a_document(text in reply(), sizes in vec(1..30_usize, 1..5)) {
        for document in [BIOLOGY, ""] {
            let draft = Draft::new(shown(document), true, true, "n0nce");
            let (told, end) = written(draft, &text, &sizes, false);
            prop_assert!(told.is_empty() || !end.quotes.is_empty());
            prop_assert!(!end.invented || told.is_empty() && end.rest.is_empty());
            prop_assert!(end.grounded != Some(true) || !end.quotes.is_empty());
        }
    }

    #[test]
    fn without_documents_an_answer_is_let_go_as_it_comes(text in reply(), sizes in vec(1..30_usize, 1..5)) {
        let draft = Draft::new(vec![], false, true, "n0nce");
        let (told, end) = written(draft, &text, &sizes, false);
        prop_assert_eq!(told + &end.rest, end.text);
        prop_assert_eq!((end.grounded, end.invented), (None, false));
    }
}

fn session() -> impl Strategy<Value = Vec<Said>> {
    let content = prop_oneof![reply(), any::<String>(), Just("word ".repeat(400))];
    vec((content, any::<bool>()), 0..30).prop_map(|all| {
        let said = all.into_iter().map(|(content, user)| Said {
            by: if user {
                Speaker::User
            } else {
                Speaker::Assistant
            },
            content,
        });
        said.collect()
    })
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_prompt_fits_its_window_and_has_the_latest(
        window in prop_oneof![0..2_000_usize, 0..60_000_usize], answer in 0..2_000_usize,
        question in any::<String>(), said in session(), documents in vec(reply(), 0..4),
    ) {
        let passages: Vec<Shown> = documents.iter().flat_map(|text| shown(text)).collect();
        let source = |at: usize| Source { id: Some(format!("d{at}")), name: format!("{at}.pdf") };
        let sources: Vec<Source> = (0..documents.len()).map(source).collect();
        let prompt = fit(window, answer, &question, (&sources, &passages), &said, "n0nce");
        let history: usize = prompt.history.iter().map(|said| tokens::at_most(&said.content) + tokens::PER_MESSAGE).sum();
        let fixed = tokens::at_most(&prompt.system) + tokens::at_most(&question) + 2 * tokens::PER_MESSAGE + answer;
        // The rules and the best passage go along in any case, then alone.
        prop_assert!(fixed + history <= window || prompt.shown <= 1 && prompt.history.is_empty());
        prop_assert!(prompt.shown <= passages.len() && (prompt.shown > 0) != passages.is_empty());
        prop_assert!(said.ends_with(prompt.history));
        let next = said.len().checked_sub(prompt.history.len() + 1).map(|at| &said[at]);
        if let Some(next) = next {
            let more = tokens::at_most(&next.content) + tokens::PER_MESSAGE;
            prop_assert!(fixed + history + more > window, "one more would have fitted");
        }
    }

    #[test]
    fn a_title_is_one_visible_line(message in prop_oneof![reply(), any::<String>()]) {
        let title = title::of(&message);
        prop_assert!(title.chars().count() <= title::MOST);
        prop_assert!(!title.contains(char::is_control) && title.trim() == title);
    }
}

fn message() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![reply(), any::<String>(), "[#=\\- >\n\r`*a]{0,12}"];
    (any::<bool>(), text(), proptest::option::of((text(), text(), 1..99_u32))).prop_map(|(user, content, cited)| {
        let citations: Vec<Value> = cited
            .into_iter()
            .map(|(filename, quote, page)| json!({ "filename": filename, "quote": quote, "page": page }))
            .collect();
        let role = if user { "user" } else { "assistant" };
        json!({ "role": role, "content": content, "timestamp": "2025-12-05T10:30:00Z", "citations": citations })
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_export_has_a_heading_for_each_message_and_no_other(
        title in any::<String>(), messages in vec(message(), 0..6),
    ) {
        let text = export::markdown(&title, &messages);
        let expected: Vec<String> = messages
            .iter()
            .map(|message| if message["role"] == "user" { "## Question" } else { "## Answer" })
            .map(|who| format!("{who}, 2025-12-05T10:30:00Z"))
            .collect();
        // As CommonMark: three spaces at most before a heading's mark, and a line below that underlines.
        let is_heading = |line: &&str| {
            let bare = line.trim_start_matches(' ');
            line.len() - bare.len() <= 3 && bare.starts_with('#')
        };
        let lines: Vec<&str> = text.split(['\n', '\r']).collect();
        let found: Vec<&str> = lines.iter().skip(1).copied().filter(is_heading).collect();
        prop_assert_eq!(found, expected);
        for pair in lines.windows(2) {
            let rule = pair[1].trim();
            let underlines = !rule.is_empty() && (rule.chars().all(|c| c == '=') || rule.chars().all(|c| c == '-'));
            prop_assert!(!underlines || pair[0].trim().is_empty(), "{pair:?}");
        }
    }
}

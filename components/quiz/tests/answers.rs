//! Answers in words as learners write them, and as those do who know nothing: what no model and no person
//! looks at earns points only where it says what the document says.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that prints a table"
)]

use quiz::grade::{Asked, Outcome};
use quiz::question::Kind;
use serde_json::json;

/// Its sentence, the question, the model answer.
const PHOTOSYNTHESIS: [&str; 3] = [
    "Photosynthesis is the process by which green plants make glucose from carbon dioxide and water.",
    "What is meant by “photosynthesis”?",
    "the process by which green plants make glucose from carbon dioxide and water",
];
const MITOSIS: [&str; 3] = [
    "Mitosis is a kind of cell division that produces two cells with the same chromosomes.",
    "What is meant by “mitosis”?",
    "a kind of cell division that produces two cells with the same chromosomes",
];
const WATT: [&str; 3] = [
    "James Watt patented a much better steam engine in 1769, which used far less coal.",
    "What belongs in the gap? James Watt patented a much better steam engine in _____, which used far less coal.",
    "1769",
];
const CYTOPLASM: [&str; 3] = [
    "Inside the cell membrane lies the cytoplasm.",
    "What belongs in the gap? Inside the cell membrane lies the _____.",
    "cytoplasm",
];
const SLUICE: [&str; 3] = [
    "A sluice is a gate that lets water flow from the upper canal into the lower one.",
    "What is meant by “sluice”?",
    "a gate that lets water flow from the upper canal into the lower one",
];
const ZELLE: [&str; 3] = [
    "Die Zellmembran ist eine dünne Haut, die das Innere der Zelle von der Umgebung trennt.",
    "Was versteht man unter „Zellmembran“?",
    "eine dünne Haut, die das Innere der Zelle von der Umgebung trennt",
];

/// What knows it, in the model answer's words or in others.
const HONEST: &[([&str; 3], &str)] = &[
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "Photosynthesis is the process by which green plants make glucose from carbon dioxide and water.",
    ),
    (
        PHOTOSYNTHESIS,
        "It is the process by which green plants make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "process by which green plants make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the proces by which green plants make glucose from carbon dioxde and water",
    ),
    (
        PHOTOSYNTHESIS,
        "how plants turn carbon dioxide and water into sugar, with light",
    ),
    (PHOTOSYNTHESIS, "plants make sugar out of CO2 and water"),
    (PHOTOSYNTHESIS, "making glucose"),
    (
        MITOSIS,
        "Cell division producing two cells with the same chromosomes",
    ),
    (
        MITOSIS,
        "A kind of cell division which produces two cells with the same chromosomes",
    ),
    (
        MITOSIS,
        "mitosis is a kind of cell division that produces two cells with the same chromosomes",
    ),
    (MITOSIS, "one cell becomes two identical ones"),
    (
        MITOSIS,
        "when a cell splits and both halves get all the chromosomes",
    ),
    (WATT, "1769"),
    (WATT, "in 1769"),
    (WATT, "in the year 1769"),
    (WATT, "seventeen sixty-nine"),
    (CYTOPLASM, "Cytoplasm"),
    (CYTOPLASM, "the cytoplasm."),
    (CYTOPLASM, "cytoplasma"),
    (CYTOPLASM, "Inside the cell membrane lies the cytoplasm"),
    (CYTOPLASM, "a jelly that fills the cell"),
    (
        SLUICE,
        "A gate which lets water flow from the upper canal into the lower",
    ),
    (SLUICE, "a door in a canal, by which water gets down"),
    (
        ZELLE,
        "Eine dünne Haut, welche das Innere der Zelle von der Umgebung trennt.",
    ),
    (
        ZELLE,
        "Die Zellmembran ist eine dünne Haut, die das Innere der Zelle von der Umgebung trennt",
    ),
    (ZELLE, "die Hülle um eine Zelle herum"),
];

/// What does not, in its words or in others.
const ATTACKS: &[([&str; 3], &str)] = &[
    (
        PHOTOSYNTHESIS,
        "photosynthesis chlorophyll light plants energy",
    ),
    (
        PHOTOSYNTHESIS,
        "plants glucose water carbon dioxide process green",
    ),
    (
        PHOTOSYNTHESIS,
        "process green plants make glucose carbon dioxide water",
    ),
    (
        PHOTOSYNTHESIS,
        "process green plants glucose carbon dioxide water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make glucose from carbon dioxide and water and it is done by animals at night",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which animals make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make carbon dioxide and water from glucose",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants do not make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants never make glucose from carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make glucose without carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make glucose from oxygen and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which green plants make glucose into carbon dioxide and water",
    ),
    (
        PHOTOSYNTHESIS,
        "the process by which glucose makes green plants from carbon dioxide and water",
    ),
    (PHOTOSYNTHESIS, "photosynthesis"),
    (PHOTOSYNTHESIS, "Photosynthesis is photosynthesis"),
    (
        PHOTOSYNTHESIS,
        "water and carbon dioxide from glucose make plants green which by process the",
    ),
    (MITOSIS, "cell division chromosomes two cells same kind"),
    (
        MITOSIS,
        "a kind of cell division that produces four cells with the same chromosomes",
    ),
    (
        MITOSIS,
        "a kind of cell division that produces two cells with half the chromosomes",
    ),
    (
        MITOSIS,
        "a kind of cell division that produces two cells without the same chromosomes",
    ),
    (
        MITOSIS,
        "a kind of chromosome division that produces two cells with the same cells",
    ),
    (
        MITOSIS,
        "a kind of cell division that produces two cells with the same chromosomes, only in dragons",
    ),
    (
        MITOSIS,
        "a kind of cell division that produces two cells with the same chromosomes or the opposite of that, whichever is right",
    ),
    (
        MITOSIS,
        "cell cell cell division division chromosomes chromosomes",
    ),
    (WATT, "1768"),
    (WATT, "1768 or 1769"),
    (WATT, "not 1769"),
    (WATT, "before 1769"),
    (WATT, "between 1700 and 1800"),
    (WATT, "1769 1770 1771 1772"),
    (WATT, "James Watt"),
    (CYTOPLASM, "nucleus, cytoplasm, cell wall, ribosome"),
    (CYTOPLASM, "cytoplasm or nucleus"),
    (CYTOPLASM, "not the cytoplasm"),
    (CYTOPLASM, "the cell membrane"),
    (CYTOPLASM, "Inside the cell membrane lies the nucleus"),
    (
        SLUICE,
        "a gate that lets water flow from the lower canal into the upper one",
    ),
    (
        SLUICE,
        "a gate that lets water flow into the upper canal from the lower one",
    ),
    (SLUICE, "gate water flow upper canal lower"),
    (
        SLUICE,
        "a gate that lets boats flow from the upper canal into the lower one",
    ),
    (
        ZELLE,
        "eine dünne Haut, die das Innere der Zelle nicht von der Umgebung trennt",
    ),
    (ZELLE, "Haut Innere Zelle Umgebung dünne trennt"),
    (
        ZELLE,
        "eine dünne Haut, die die Umgebung der Zelle von dem Inneren trennt und aus Holz ist",
    ),
];

fn outcome([quote, stem, key]: [&str; 3], given: &str) -> Outcome {
    let asked = Asked {
        kind: Kind::ShortAnswer,
        stem: stem.into(),
        options: vec![],
        answer: key.into(),
        rubric: vec![],
        quote: quote.into(),
    };
    asked.mark(Some(&json!(given)))
}

#[test]
fn an_honest_answer_passes_or_waits_for_somebody() {
    let mut passed = 0;
    for (asked, given) in HONEST {
        match outcome(*asked, given) {
            Outcome::Marked(mark) => {
                assert!(mark.is_correct() || mark.needs_review, "{given}: {mark:?}");
                passed += usize::from(mark.is_correct());
            }
            Outcome::Unsure(_) => {}
        }
    }
    println!("honest answers passed by rule {passed}/{}", HONEST.len());
    // What is nearly the model answer needs nobody.
    assert!(passed * 2 >= HONEST.len(), "{passed}");
}

#[test]
fn no_salad_denial_or_addition_passes_by_rule() {
    let mut refused = 0;
    for (asked, given) in ATTACKS {
        match outcome(*asked, given) {
            Outcome::Marked(mark) => {
                assert!(!mark.is_correct(), "{given}: {mark:?}");
                refused += usize::from(!mark.needs_review);
            }
            Outcome::Unsure(_) => {}
        }
    }
    println!(
        "attacks passed by rule 0/{}, {refused} of them worth nothing for sure",
        ATTACKS.len()
    );
}

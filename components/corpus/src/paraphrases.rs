//! How many true statements in other words are known for what the document says, and whether an
//! invention is.

use crate::answer::Shown;
use crate::document::{Document, Page};
use crate::ground::{Ground, Verdict};
use crate::samples::{BIOLOGY, HISTORY};

/// What a model says of the samples, in other forms and in other words.
const TRUE: &[&str] = &[
    "Two cells with identical chromosomes are produced by mitosis.",
    "Mitosis is producing two cells that have the same chromosomes.",
    "The genetic material is contained in the nucleus.",
    "Chlorophyll is a green pigment that is contained in chloroplasts.",
    "Light energy is absorbed by chlorophyll.",
    "Green plants are making glucose from water and carbon dioxide by photosynthesis.",
    "Lactic acid is produced in muscles by anaerobic respiration.",
    "In muscles, anaerobic respiration makes lactic acid.",
    "A sex cell has just 23 chromosomes.",
    "Human body cells contain 46 chromosomes.",
    "Energy released by respiration gets stored in ATP molecules.",
    "Cell walls made of cellulose give plant cells their shape.",
    "The cell membrane controls everything that enters or leaves the cell.",
    "Muscle cells need a lot of energy, so they contain many mitochondria.",
    "Growth depends on mitosis, and so does the repair of damaged tissue.",
    "The first useful steam engine was constructed by Thomas Newcomen in 1712.",
    "In 1712, Thomas Newcomen built the first useful steam engine.",
    "A far better steam engine was patented by James Watt in 1769.",
    "The railway from Liverpool to Manchester was opened in 1830.",
    "The working hours of children were limited by the Factory Act of 1833.",
];

/// What a model adds: other names, numbers, causes, and the same turned round or denied.
const INVENTED: &[&str] = &[
    "Mitosis produces four cells with half the number of chromosomes.",
    "Two cells with different chromosomes are produced by meiosis.",
    "The genetic material is contained in the cell membrane.",
    "Chlorophyll is contained in mitochondria.",
    "Chlorophyll reflects all light energy.",
    "Green plants make carbon dioxide from glucose and water.",
    "Lactic acid is produced in the liver by fermentation.",
    "Anaerobic respiration does not produce lactic acid in muscles.",
    "A sex cell has 46 chromosomes.",
    "Human body cells contain 48 chromosomes.",
    "Energy released by respiration is stored in DNA molecules.",
    "Cell walls made of chitin give animal cells their shape.",
    "The nucleus controls what enters the cell membrane of bacteria.",
    "Muscle cells need little energy and contain no mitochondria.",
    "Mitosis depends on growth and the repair of damaged tissue.",
    "The first useful steam engine was built by James Watt in 1712.",
    "Thomas Newcomen was built by the first useful steam engine.",
    "James Watt patented the telephone in 1769.",
    "The railway between London and Manchester opened in 1830.",
    "The Factory Act of 1833 was limited by children in the cotton mills.",
];

fn ground() -> Ground {
    let shown = [BIOLOGY, HISTORY].into_iter().enumerate();
    let passages = shown.flat_map(|(document, text)| {
        let page = Page {
            number: 1,
            text: text.to_owned(),
        };
        let passages = Document { pages: vec![page] }.passages();
        passages
            .into_iter()
            .map(move |passage| Shown { document, passage })
    });
    Ground::new(&passages.collect::<Vec<_>>())
}

fn kept(statements: &[&'static str]) -> Vec<&'static str> {
    let ground = ground();
    let is_kept = |statement: &&&str| matches!(ground.check(statement), Verdict::Supported(_));
    statements.iter().filter(is_kept).copied().collect()
}

#[test]
fn what_is_true_in_other_words_is_mostly_kept() {
    let kept = kept(TRUE);
    let lost: Vec<_> = TRUE.iter().filter(|one| !kept.contains(one)).collect();
    assert!(
        kept.len() * 10 >= TRUE.len() * 7,
        "{} kept; lost: {lost:#?}",
        kept.len()
    );
}

#[test]
fn no_invention_is_kept() {
    assert_eq!(kept(INVENTED), [""; 0]);
}

//! What a question says around a document's own words, in the document's language.

use corpus::terms::Tokenizer;

/// A language that questions can be asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Also for what cannot be told, and for all others.
    English,
    /// Nouns have capitals, and agree with their articles.
    German,
    /// With its own words around a question.
    French,
    /// With its own words around a question.
    Spanish,
}

impl Language {
    /// Of the document.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        match tokenizer.language() {
            "deu" => Self::German,
            "fra" => Self::French,
            "spa" => Self::Spanish,
            _ => Self::English,
        }
    }
}

/// Asks for a term's definition.
pub fn what_is(term: &str, language: Language) -> String {
    match language {
        Language::English => format!("What is meant by “{term}”?"),
        Language::German => format!("Was versteht man unter „{term}“?"),
        Language::French => format!("Qu'entend-on par « {term} » ?"),
        Language::Spanish => format!("¿Qué se entiende por «{term}»?"),
    }
}

/// Asks for what stands in a sentence's gap.
pub fn fill_gap(sentence: &str, language: Language) -> String {
    match language {
        Language::English => format!("What belongs in the gap? {sentence}"),
        Language::German => format!("Was gehört in die Lücke? {sentence}"),
        Language::French => format!("Que faut-il mettre à la place du blanc ? {sentence}"),
        Language::Spanish => format!("¿Qué falta en el hueco? {sentence}"),
    }
}

/// Says that the answer is the document's.
pub fn the_document_says(sentence: &str, language: Language) -> String {
    match language {
        Language::English => format!("The document says: “{sentence}”"),
        Language::German => format!("Im Dokument steht: „{sentence}“"),
        Language::French => format!("Le document dit : « {sentence} »"),
        Language::Spanish => format!("El documento dice: «{sentence}»"),
    }
}

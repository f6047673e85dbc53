//! The documents' indexes in PostgreSQL: made when a document comes, asked by each question.

use std::collections::BTreeMap;

use corpus::answer::{PASSAGES, Shown};
use corpus::search::{
    Index, Inverted, Posting, Searched, Size, asked, invert, read_postings, write_postings,
};
use corpus::terms::Tokenizer;
use corpus::{Passage, overview};
use guest::postgres::{self, Transaction};
use guest::{Problem, params, shelf};
use serde_json::{Value, json};

/// Words stored in one call.
const BATCH: usize = 5_000;
/// The best passages come to a model with their neighbours, as many as these.
const WITH_NEIGHBOURS: usize = 4;
/// Passages that a model is shown at most.
const SHOWN: usize = 8;

/// What was found for a question.
pub(super) struct Found {
    pub(super) index: Index,
    /// Those that speak of the question, best first.
    pub(super) best: Vec<Shown>,
    /// Those that a model is shown: the best with their neighbours; where none speaks of the question,
    /// as of "summarise this", some from all of the document.
    pub(super) around: Vec<Shown>,
}

/// Makes a document's index, in place of the one it had.
pub(super) async fn build(document: &str) -> Result<(), Problem> {
    let inverted = invert(&shelf::read(document).await?);
    let tx = postgres::begin().await?;
    store(&tx, document, &inverted).await?;
    postgres::commit(tx).await
}

async fn store(tx: &Transaction, document: &str, inverted: &Inverted) -> Result<(), Problem> {
    let Size {
        language,
        passages,
        words,
    } = &inverted.size;
    // A document that was deleted meanwhile has no row to refer to.
    let stored = postgres::execute_in(
        tx,
        "insert into document_indexes (document_id, language, passages, words) \
         select document_id, $2, $3, $4 from shelf where document_id = $1 and status <> 'deleted' for share \
         on conflict (document_id) do update \
         set language = excluded.language, passages = excluded.passages, words = excluded.words",
        params![
            document,
            language,
            *passages,
            i64::try_from(*words).unwrap_or(i64::MAX)
        ],
    );
    if stored.await? == 0 {
        return Ok(());
    }
    let gone = "delete from document_words where document_id = $1";
    postgres::execute_in(tx, gone, params![document]).await?;
    let terms: Vec<_> = inverted.terms.iter().collect();
    for batch in terms.chunks(BATCH) {
        let rows: Vec<Value> = batch
            .iter()
            .map(|(word, list)| json!({ "word": word, "places": write_postings(list) }))
            .collect();
        postgres::execute_in(
            tx,
            "insert into document_words (document_id, word, places) select $1, w.word, w.places \
             from jsonb_to_recordset($2::jsonb) as w(word text, places text)",
            params![document, json!(rows)],
        )
        .await?;
    }
    Ok(())
}

/// Forgets a document's index.
pub(super) async fn forget(tx: &Transaction, document: &str) -> Result<(), Problem> {
    let gone = "delete from document_indexes where document_id = $1";
    postgres::execute_in(tx, gone, params![document]).await?;
    Ok(())
}

/// What these documents have on the question.
pub(super) async fn search(documents: &[String], question: &str) -> Result<Found, Problem> {
    let mut sizes = sizes(documents).await?;
    // Documents from before there were indexes.
    for document in documents {
        if !sizes.contains_key(document) {
            build(document).await?;
        }
    }
    if sizes.len() < documents.len() {
        sizes = self::sizes(documents).await?;
    }
    let mut words = words(&sizes, question).await?;
    let searched = documents.iter().map(|document| {
        let size = sizes.remove(document).unwrap_or_default();
        let found = words.remove(document).unwrap_or_default();
        (size.passages, Searched::new(size, question, &found))
    });
    let (lengths, searched): (Vec<u32>, Vec<Searched>) = searched.unzip();
    let all = overview::wants(question);
    read(documents, &lengths, Index::over(searched), all).await
}

async fn sizes(documents: &[String]) -> Result<BTreeMap<String, Size>, Problem> {
    let rows = postgres::fetch(
        "select document_id, language, passages, words from document_indexes \
         where document_id in (select jsonb_array_elements_text($1::jsonb))",
        params![json!(documents)],
    );
    let sizes = rows.await?.into_iter().map(|mut row| {
        let size = Size {
            language: row.text(1),
            passages: row.count(2),
            words: u64::try_from(row.int(3)).unwrap_or_default(),
        };
        (row.text(0), size)
    });
    Ok(sizes.collect())
}

type Words = BTreeMap<String, Vec<(String, Vec<Posting>)>>;

/// The question's words in each document, and where the language has compounds those that share a part
/// with one of them.
async fn words(sizes: &BTreeMap<String, Size>, question: &str) -> Result<Words, Problem> {
    let mut wanted = Vec::new();
    for (document, size) in sizes {
        let tokenizer = Tokenizer::of(&size.language);
        for word in asked(&tokenizer, question) {
            wanted.push(json!({
                "document_id": document, "word": word, "part": tokenizer.compounds() && word.chars().count() >= 4,
            }));
        }
    }
    let rows = postgres::fetch(
        "with wanted as (select * from jsonb_to_recordset($1::jsonb) \
             as w(document_id text, word text, part boolean)) \
         select d.document_id, d.word, d.places from wanted w join document_words d using (document_id, word) \
         union select d.document_id, d.word, d.places from wanted w join document_words d using (document_id) \
         where w.part and length(d.word) >= 4 and w.word <> d.word \
         and (starts_with(d.word, w.word) or right(d.word, length(w.word)) = w.word \
              or starts_with(w.word, d.word) or right(w.word, length(d.word)) = d.word)",
        params![json!(wanted)],
    );
    let mut words = Words::new();
    for mut row in rows.await? {
        let list = words.entry(row.text(0)).or_default();
        list.push((row.text(1), read_postings(&row.text(2))));
    }
    Ok(words)
}

/// Reads the passages that the index names.
async fn read(
    documents: &[String],
    lengths: &[u32],
    index: Index,
    all: bool,
) -> Result<Found, Problem> {
    let places = Places::of(&index, lengths, all);
    let id = |&(document, at): &Place| Some((documents.get(document)?.clone(), at));
    let wanted: Vec<(String, u32)> = places.all().filter_map(id).collect();
    let read = shelf::read_some(&wanted).await?;
    Ok(places.take(index, |document, at| {
        let id = documents.get(document)?;
        let (_, passage) = read
            .iter()
            .find(|(of, passage)| of == id && passage.ordinal == at)?;
        Some(passage.clone())
    }))
}

/// The same from the passages of one text in memory.
pub(super) fn choose(index: Index, passages: &[Passage], all: bool) -> Found {
    let length = u32::try_from(passages.len()).unwrap_or(u32::MAX);
    let places = Places::of(&index, &[length], all);
    places.take(index, |_, at| {
        passages.get(usize::try_from(at).ok()?).cloned()
    })
}

/// A document, and the passage's ordinal in it.
type Place = (usize, u32);

struct Places {
    best: Vec<Place>,
    around: Vec<Place>,
}

impl Places {
    /// From all of each document, where it is asked for.
    fn of(index: &Index, lengths: &[u32], all: bool) -> Self {
        if all {
            let spread = spread(lengths);
            return Self {
                best: spread.clone(),
                around: spread,
            };
        }
        let hits = index.search(PASSAGES);
        let best: Vec<Place> = hits.iter().map(|hit| (hit.document, hit.passage)).collect();
        let around = if best.is_empty() {
            spread(lengths)
        } else {
            with_neighbours(&best, lengths)
        };
        Self { best, around }
    }

    fn all(&self) -> impl Iterator<Item = &Place> {
        self.best.iter().chain(&self.around)
    }

    fn take(self, index: Index, passage: impl Fn(usize, u32) -> Option<Passage>) -> Found {
        let take = |places: Vec<Place>| -> Vec<Shown> {
            let shown = places.into_iter().filter_map(|(document, at)| {
                let passage = passage(document, at)?;
                Some(Shown { document, passage })
            });
            shown.collect()
        };
        Found {
            best: take(self.best),
            around: take(self.around),
            index,
        }
    }
}

/// The best with the passages behind and before them, the best first.
fn with_neighbours(best: &[Place], lengths: &[u32]) -> Vec<Place> {
    let top = &best[..best.len().min(WITH_NEIGHBOURS)];
    let exists = |&(document, at): &Place| lengths.get(document).is_some_and(|&n| at < n);
    let behind = top
        .iter()
        .map(|&(document, at)| (document, at.saturating_add(1)));
    let before = top
        .iter()
        .map(|&(document, at)| (document, at.wrapping_sub(1)));
    let mut chosen: Vec<Place> = Vec::new();
    for place in top
        .iter()
        .copied()
        .chain(behind)
        .chain(before)
        .filter(exists)
    {
        if !chosen.contains(&place) {
            chosen.push(place);
        }
    }
    chosen.truncate(SHOWN);
    chosen
}

/// Passages from all of each document.
fn spread(lengths: &[u32]) -> Vec<Place> {
    let each = u32::try_from(SHOWN / lengths.len().clamp(1, SHOWN)).unwrap_or(1);
    let places = lengths.iter().enumerate().flat_map(|(document, &length)| {
        let step = length.div_ceil(each.max(1)).max(1);
        (0..length)
            .step_by(usize::try_from(step).unwrap_or(1))
            .map(move |at| (document, at))
    });
    places.take(SHOWN).collect()
}

//! PDF: text by page, and which pages have to be looked at for theirs.

pub mod slim;
mod turn;

use std::ops::ControlFlow;

use unpdf::model::{Block, Page};
use unpdf::parser::{PageStreamOptions, ParseEvent, ParseOptions, PdfParser};
use unpdf::render::PageSelection;

use crate::read::{Collector, MAX_PAGES, Reading, Reason, Unreadable, clean};

/// Pages between two times that a reader is asked to go on, and looks whether it is still wanted.
const STRETCH: u32 = 50;
/// A page with fewer characters under a picture that covers [`COVER`] of it is that picture: a scan
/// with a folio.
const FOLIO: usize = 24;
const COVER: f32 = 0.5;
/// The share of characters, or of runs, that nobody can read in a garbled page.
const GARBLED: f32 = 0.3;
/// Headings that are remembered.
const MAX_HEADINGS: usize = 2_000;

/// A PDF that is read some pages at a time.
pub struct Pdf {
    parser: PdfParser,
    options: PageStreamOptions,
    collector: Collector,
    headings: Vec<String>,
    done: u32,
    pages: u32,
    turned: Vec<u32>,
}

impl Pdf {
    /// Without a password first, even where one is given.
    pub fn open(bytes: &[u8], password: Option<&str>) -> Result<Self, Unreadable> {
        // One thread: there is no other in the sandbox.
        let mut options = ParseOptions::new().sequential();
        if let Some(password) = password {
            options = options.with_password(password);
        }
        let stream = PageStreamOptions::from(&options);
        let parser = PdfParser::from_bytes_with_options(bytes, options).map_err(unreadable)?;
        let pages = parser.page_count();
        if pages == 0 {
            return Err(Unreadable::Corrupt("it has no pages".into()));
        }
        Ok(Self {
            parser,
            options: stream,
            collector: Collector::default(),
            headings: Vec::new(),
            done: 0,
            pages,
            turned: Vec::new(),
        })
    }

    /// Whether every page that the file speaks of was found.
    pub fn is_whole(&self) -> bool {
        let mut options = self.options.clone();
        options.pages = PageSelection::Range(1..=1);
        options.extract_text = false;
        let found = self
            .parser
            .for_each_page(options, |_| ControlFlow::Continue(()));
        found.is_ok_and(|found| !found.pages_incomplete && found.skipped_object_count == 0)
    }

    /// Pages that were read, and pages to read.
    pub fn progress(&self) -> (u32, u32) {
        let most = u32::try_from(MAX_PAGES).unwrap_or(u32::MAX);
        (self.done, self.pages.min(most))
    }

    /// Reads some pages more; whether there are others.
    pub fn read_some(&mut self) -> Result<bool, Unreadable> {
        let to = self.done.saturating_add(STRETCH).min(self.pages);
        let mut options = self.options.clone();
        options.pages = PageSelection::Range(self.done + 1..=to);
        let (collector, headings) = (&mut self.collector, &mut self.headings);
        let turned = &mut self.turned;
        let outcome = self.parser.for_each_page(options, |event| match event {
            ParseEvent::PageParsed(page) => {
                if is_turned(&page) {
                    turned.push(page.number);
                } else {
                    headings_of(&page, headings);
                }
                take(&page, collector)
            }
            // Best effort: one bad page never fails a document.
            ParseEvent::PageFailed { page, .. } => {
                collector.page(page, "")?;
                collector.needs_ocr(page, Reason::NoText);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        });
        outcome.map_err(unreadable)?;
        self.done = to;
        Ok(self.done < self.pages && !self.collector.is_full())
    }

    /// What was read, and the pages that [`turn`] has to read once more.
    pub fn into_reading(self) -> (Reading, Vec<u32>) {
        let mut reading = self.collector.into_reading();
        reading.page_count = Some(self.pages);
        reading.headings = self.headings;
        (reading, self.turned)
    }
}

/// Reads a whole file.
pub fn read(bytes: &[u8], password: Option<&str>) -> Result<Reading, Unreadable> {
    let mut pdf = Pdf::open(bytes, password)?;
    while pdf.read_some()? {}
    let (mut reading, turned) = pdf.into_reading();
    turn(&mut reading, bytes, password, &turned);
    Ok(reading)
}

/// Puts the lines of pages in order whose text does not run from left to right. The file is opened a second
/// time, so that only who has such pages pays for them; best effort.
pub fn turn(reading: &mut Reading, bytes: &[u8], password: Option<&str>, pages: &[u32]) {
    if pages.is_empty() {
        return;
    }
    for (number, text) in turn::read(bytes, password, pages).unwrap_or_default() {
        let mut pages = reading.document.pages.iter_mut();
        let page = pages.find(|page| page.number == number);
        // The same words in another order: what is much longer or shorter is none.
        if let Some(page) = page
            && text.len() <= 2 * page.text.len()
            && 2 * text.len() >= page.text.len()
        {
            page.text = clean(&text).collect();
        }
    }
}

/// Whether most of the page's text runs up, down or upside down.
fn is_turned(page: &Page) -> bool {
    let shown = page.text_op_count.saturating_sub(page.blank_text_runs);
    page.rotated_text_runs > 0 && page.rotated_text_runs.saturating_mul(2) >= shown
}

fn take(page: &Page, collector: &mut Collector) -> ControlFlow<()> {
    let text = page.plain_text();
    let reason = reason(page, &text);
    // What nobody can read is no text.
    let text = match reason {
        Some(Reason::GarbledText) if unreadable_share(page, &text) > GARBLED => "",
        _ => &text,
    };
    collector.page(page.number, text)?;
    if let Some(reason) = reason {
        collector.needs_ocr(page.number, reason);
    }
    ControlFlow::Continue(())
}

/// Why the page has to be looked at; `None` for one with text, and for a blank one.
fn reason(page: &Page, text: &str) -> Option<Reason> {
    let characters = text.chars().filter(|c| !c.is_whitespace()).count();
    let lost = page.suppressed_text_runs as f32 >= page.text_op_count.max(1) as f32 * GARBLED;
    if lost || page.ocr_text_suppressed || unreadable_share(page, text) > GARBLED {
        return Some(Reason::GarbledText);
    }
    if characters < FOLIO && page.image_coverage >= COVER {
        return Some(Reason::ImageOnly);
    }
    if characters > 0 {
        return None;
    }
    let drawings = page.fill_op_count + page.form_op_count;
    let is_drawn = drawings > 0
        || page.undecodable_content_streams > 0
        || page.text_op_count > page.blank_text_runs;
    match (page.image_op_count > 0, is_drawn) {
        (true, _) => Some(Reason::ImageOnly),
        (false, true) => Some(Reason::NoText),
        (false, false) => None,
    }
}

/// The share of private, unknown and control characters, and of codes without any.
fn unreadable_share(page: &Page, text: &str) -> f32 {
    let (mut all, mut bad) = (0_u32, 0_u32);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        all += 1;
        let is_bad = c.is_control()
            || matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{FFFD}' | '\u{F0000}'..='\u{10FFFF}');
        bad += u32::from(is_bad);
    }
    let undecoded = page.undecoded_text_codes;
    bad.saturating_add(undecoded) as f32 / all.saturating_add(undecoded).max(1) as f32
}

fn headings_of(page: &Page, headings: &mut Vec<String>) {
    for block in &page.elements {
        if let Block::Paragraph(paragraph) = block
            && paragraph.is_heading()
            && headings.len() < MAX_HEADINGS
        {
            headings.push(paragraph.plain_text().trim().to_owned());
        }
    }
}

fn unreadable(error: unpdf::Error) -> Unreadable {
    match error {
        unpdf::Error::Encrypted | unpdf::Error::InvalidPassword => Unreadable::Encrypted,
        other => Unreadable::Corrupt(other.to_string().chars().take(200).collect()),
    }
}

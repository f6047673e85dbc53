//! `lectern:platform/ocr`.

use std::sync::Arc;

use capability::blobs::Key;
use capability::ocr::{Error, Line, MAX_IMAGE, MAX_PAGES, Ocr, Page, Request, State, job};
use wasmtime::component::{Accessor, HasData};

use crate::bindings::lectern::platform::ocr as wit;
use crate::limits::Held;
use crate::state::View;
use crate::trace::{asked, named};

/// `None` is never linked; a call that came through all the same finds no engine.
pub(crate) type Granted = Option<Arc<dyn Ocr>>;

/// Guest-controlled: languages of one image, and bytes of each.
const LANGUAGES: usize = 16;
const LANGUAGE: usize = 35;

/// The engine, and the job's full name.
fn granted<T: Send>(
    accessor: &Accessor<T, Bound>,
    name: &str,
) -> Result<(Arc<dyn Ocr>, String), wit::Error> {
    accessor.with(|mut access| {
        let view = access.get();
        let job = job(&view.manifest.name, name)?;
        Ok((view.capability.ok_or(wit::Error::NotConfigured)?, job))
    })
}

/// Counts what the host holds for the guest on the guest's own account.
fn hold<T: Send>(accessor: &Accessor<T, Bound>, bytes: usize) -> Result<Held, wit::Error> {
    accessor
        .with(|mut access| access.get().memory.hold(bytes))
        .ok_or(wit::Error::QuotaExceeded)
}

fn check(languages: &[String]) -> Result<(), wit::Error> {
    if languages.len() > LANGUAGES || languages.iter().any(|code| code.len() > LANGUAGE) {
        return Err(wit::Error::Invalid("a language is such as `en`".into()));
    }
    Ok(())
}

/// Names the view that the interface's functions get.
pub(crate) struct Bound;

impl HasData for Bound {
    type Data<'a> = View<'a, Granted>;
}

impl wit::Host for View<'_, Granted> {}

impl<T: Send> wit::HostWithStore<T> for Bound {
    async fn recognize(
        accessor: &Accessor<T, Self>,
        image: Vec<u8>,
        languages: Vec<String>,
    ) -> Result<Vec<wit::Line>, wit::Error> {
        check(&languages)?;
        if image.len() > MAX_IMAGE {
            return Err(wit::Error::TooLarge(MAX_IMAGE as u64));
        }
        let _image = hold(accessor, image.len())?;
        let engine = accessor
            .with(|mut access| access.get().capability)
            .ok_or(wit::Error::NotConfigured)?;
        let mut asked = asked(accessor, "ocr", || named("ocr recognize"));
        let recognized = engine.recognize(image.into(), &languages);
        let lines = asked.answer::<_, _, wit::Error>(recognized).await?;
        let _lines = hold(accessor, lines.iter().map(weight).sum())?;
        Ok(lines.into_iter().map(wit::Line::from).collect())
    }

    async fn start(
        accessor: &Accessor<T, Self>,
        name: String,
        document: String,
        pages: Vec<u32>,
        languages: Vec<String>,
    ) -> Result<(), wit::Error> {
        check(&languages)?;
        if pages.is_empty() || pages.len() > MAX_PAGES || pages.contains(&0) {
            let why = format!("1 to {MAX_PAGES} pages, counted from 1");
            return Err(wit::Error::Invalid(why));
        }
        let (engine, job) = granted(accessor, &name)?;
        let document = Key::parse(&document).map_err(|e| wit::Error::Invalid(e.to_string()))?;
        let document = accessor.with(|mut access| document.within(&access.get().manifest.name));
        let request = Request {
            document,
            pages,
            languages,
        };
        let mut asked = asked(accessor, "ocr", || named("ocr start"));
        asked.answer(engine.start(&job, &request)).await
    }

    async fn poll(accessor: &Accessor<T, Self>, name: String) -> Result<wit::State, wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        let mut asked = asked(accessor, "ocr", || named("ocr poll"));
        let state = asked.answer::<_, _, wit::Error>(engine.poll(&job)).await?;
        let bytes = match &state {
            State::Running => 0,
            State::Done(found) => {
                let lines = found.pages.iter().flat_map(|page| &page.lines);
                lines.map(weight).sum::<usize>() + found.pages.len() * size_of::<Page>()
            }
            State::Failed(reason) => reason.len(),
        };
        let _held = hold(accessor, bytes)?;
        Ok(state.into())
    }

    async fn progress(accessor: &Accessor<T, Self>, name: String) -> Result<u32, wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        Ok(engine.progress(&job).await?)
    }

    async fn forget(accessor: &Accessor<T, Self>, name: String) -> Result<(), wit::Error> {
        let (engine, job) = granted(accessor, &name)?;
        let mut asked = asked(accessor, "ocr", || named("ocr forget"));
        asked.answer(engine.forget(&job)).await
    }
}

/// Bytes.
fn weight(line: &Line) -> usize {
    size_of::<Line>() + line.text.len()
}

impl From<Line> for wit::Line {
    fn from(line: Line) -> Self {
        Self {
            text: line.text,
            confidence: line.confidence,
        }
    }
}

impl From<State> for wit::State {
    fn from(state: State) -> Self {
        let page = |page: Page| wit::Page {
            number: page.number,
            lines: page.lines.into_iter().map(wit::Line::from).collect(),
        };
        match state {
            State::Running => Self::Running,
            State::Done(found) => Self::Done(wit::Pages {
                pages: found.pages.into_iter().map(page).collect(),
                failed: found.failed,
            }),
            State::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotConfigured => Self::NotConfigured,
            Error::AccessDenied(why) => {
                tracing::error!(%why, "the OCR service refuses the credentials");
                Self::AccessDenied
            }
            Error::NotFound => Self::NotFound,
            Error::NoDocument => Self::NoDocument,
            Error::Timeout => Self::Timeout,
            Error::Unavailable(why) => {
                tracing::warn!(%why, "OCR is unavailable");
                Self::Unavailable
            }
            Error::QuotaExceeded => Self::QuotaExceeded,
            Error::TooLarge { limit } => Self::TooLarge(limit),
            Error::Invalid(why) => Self::Invalid(why),
        }
    }
}

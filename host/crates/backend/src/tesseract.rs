//! Text from images by Tesseract, a program of the machine's; pages of a PDF become images by
//! Poppler's. <https://tesseract-ocr.github.io/tessdoc/>

mod languages;
mod tsv;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capability::blobs::{self, Blobs};
use capability::ocr::{Error, Line, MAX_IMAGE, MAX_PAGES, Ocr, Page, Pages, Request, State};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::languages::Languages;
use crate::engine_command::blob_fault;
use crate::jobs::{Fault, Full, Jobs, Progress, Room, Standing};
use crate::program::{self, Failure, Limits, Program, words};
use crate::scratch::Scratch;

/// Bytes of a PDF: Textract's limit.
pub const MAX_DOCUMENT: u64 = 500 << 20;
/// Of one page, or one image. What an image unpacks to is bounded by memory.
const LIMITS: Limits = Limits {
    memory: 2 << 30,
    time: Duration::from_secs(60),
    output: 16 << 20,
    file: 256 << 20,
};
/// Who brings an image waits so long for a place.
const PATIENCE: Duration = Duration::from_secs(20);
/// A page's longer side in pixels: A4 at 256 dpi. Not a resolution, as a page may be as large as a wall,
/// and what Poppler has no memory for it shows as one white pixel, and exits well.
const SIDE: &str = "3000";

/// What is not installed, in words for who installs it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{} missing: install the package `{package}`", programs.join(" and "))]
pub struct Missing {
    /// As they are called.
    pub programs: Vec<&'static str>,
    /// Debian's and Ubuntu's names of what has them.
    pub package: String,
}

/// Tesseract.
pub struct Tesseract {
    jobs: Jobs<Pages>,
    engine: Arc<Engine>,
}

struct Engine {
    tesseract: PathBuf,
    pdftoppm: PathBuf,
    languages: Languages,
    blobs: Arc<dyn Blobs>,
    /// Programs at once, over all jobs and images.
    turns: Semaphore,
}

/// Where the programs are.
fn programs() -> Result<(PathBuf, PathBuf), Missing> {
    let found = [
        ("tesseract", "tesseract-ocr"),
        ("pdftoppm", "poppler-utils"),
    ]
    .map(|(name, package)| (name, package, program::find(name)));
    match found {
        [(.., Some(tesseract)), (.., Some(pdftoppm))] => Ok((tesseract, pdftoppm)),
        found => {
            let missing = found.iter().filter(|(.., path)| path.is_none());
            let (programs, packages): (Vec<_>, Vec<_>) =
                missing.map(|(name, package, _)| (*name, *package)).unzip();
            Err(Missing {
                programs,
                package: packages.join("` and `"),
            })
        }
    }
}

impl Tesseract {
    /// What has to be installed for it, where something has.
    pub fn missing() -> Option<Missing> {
        programs().err()
    }

    /// Reads documents from `blobs`; `room` counts jobs and, apart from them, images.
    pub async fn find(room: Room, blobs: Arc<dyn Blobs>) -> Result<Self, Missing> {
        let (tesseract, pdftoppm) = programs()?;
        let no_language = || Missing {
            programs: vec!["Tesseract's languages"],
            package: "tesseract-ocr-eng".into(),
        };
        let languages = Languages::installed(&tesseract).await;
        Ok(Self {
            jobs: Jobs::new(room),
            engine: Arc::new(Engine {
                languages: languages.ok_or_else(no_language)?,
                tesseract,
                pdftoppm,
                blobs,
                turns: Semaphore::new(room.places),
            }),
        })
    }

    /// Tesseract's names of what it can read, as in `eng`.
    pub fn languages(&self) -> &[String] {
        self.engine.languages.names()
    }
}

/// By their first bytes. What is none of these never reaches a decoder.
fn is_image(bytes: &[u8]) -> bool {
    let magic: [&[u8]; 4] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*"];
    magic.iter().any(|magic| bytes.starts_with(magic))
}

#[async_trait]
impl Ocr for Tesseract {
    async fn recognize(&self, image: Bytes, languages: &[String]) -> Result<Vec<Line>, Error> {
        if image.len() > MAX_IMAGE {
            return Err(Error::TooLarge {
                limit: MAX_IMAGE as u64,
            });
        }
        if !is_image(&image) {
            return Err(Error::Invalid("neither JPEG, PNG nor TIFF".into()));
        }
        let scratch = Scratch::new().map_err(|e| Error::Unavailable(e.to_string()))?;
        let turn = timeout(PATIENCE, self.engine.turns.acquire()).await;
        let _turn = turn.map_err(|_| Error::QuotaExceeded)?;
        let read = self.engine.read(image, languages, scratch.path()).await;
        read.map_err(|failure| match failure {
            Failure::Start(..) => Error::Unavailable(failure.to_string()),
            Failure::Timeout(..) => Error::Timeout,
            Failure::TooMuch(..) | Failure::Ended(..) => Error::Invalid(failure.to_string()),
        })
    }

    async fn start(&self, job: &str, request: &Request) -> Result<(), Error> {
        if self.jobs.has(job) {
            return Ok(());
        }
        let pages = pages(request)?;
        let stat = self.engine.blobs.head(&request.document).await;
        if stat.map_err(document_failed)?.size > MAX_DOCUMENT {
            return Err(Error::TooLarge {
                limit: MAX_DOCUMENT,
            });
        }
        let (engine, request) = (self.engine.clone(), request.clone());
        let work =
            |progress: Progress| async move { engine.document(&request, &pages, &progress).await };
        let started = self.jobs.start_counted(job, work);
        started.map_err(|Full| Error::QuotaExceeded)
    }

    async fn poll(&self, job: &str) -> Result<State, Error> {
        Ok(match self.jobs.poll(job).ok_or(Error::NotFound)? {
            Standing::Running => State::Running,
            Standing::Done(pages) => State::Done(pages),
            Standing::Failed(reason) => State::Failed(reason),
        })
    }

    async fn progress(&self, job: &str) -> Result<u32, Error> {
        self.jobs.steps(job).ok_or(Error::NotFound)
    }

    async fn forget(&self, job: &str) -> Result<(), Error> {
        self.jobs.forget(job);
        Ok(())
    }
}

/// In their order, each once.
fn pages(request: &Request) -> Result<Vec<u32>, Error> {
    let mut pages = request.pages.clone();
    pages.sort_unstable();
    pages.dedup();
    match pages.first() {
        None | Some(0) => Err(Error::Invalid("pages are counted from 1".into())),
        Some(_) if pages.len() > MAX_PAGES => {
            Err(Error::Invalid(format!("more than {MAX_PAGES} pages")))
        }
        Some(_) => Ok(pages),
    }
}

fn document_failed(error: blobs::Error) -> Error {
    match error {
        blobs::Error::NotFound | blobs::Error::AccessDenied => Error::NoDocument,
        blobs::Error::Timeout => Error::Timeout,
        blobs::Error::TooLarge { limit } => Error::TooLarge { limit },
        blobs::Error::Corrupt | blobs::Error::Invalid(_) => Error::Invalid(error.to_string()),
        blobs::Error::Unavailable(_) | blobs::Error::QuotaExceeded => {
            Error::Unavailable(error.to_string())
        }
    }
}

impl Engine {
    /// An error is the reason that the job fails for: that of the first page where none could be read.
    async fn document(
        &self,
        request: &Request,
        pages: &[u32],
        progress: &Progress,
    ) -> Result<Pages, Fault> {
        // Such as a full disk.
        let scratch = Scratch::new().map_err(|e| Fault::Passing(e.kind().to_string()))?;
        let key = &request.document;
        let copied = scratch.copy(&*self.blobs, key, "document.pdf", MAX_DOCUMENT);
        let document = copied
            .await
            .map_err(|e| blob_fault(&e).map(|it| it.reason))?;
        let (mut found, mut first) = (Pages::default(), None);
        for &number in pages {
            let _turn = self.turns.acquire().await.map_err(|e| e.to_string())?;
            match self
                .page(&document, number, &request.languages, &scratch)
                .await
            {
                Ok(lines) => found.pages.push(Page { number, lines }),
                Err(why) => {
                    found.failed.push(number);
                    first.get_or_insert(why);
                }
            }
            progress.step();
        }
        match first {
            Some(why) if found.pages.is_empty() => Err(why.into()),
            _ => Ok(found),
        }
    }

    async fn page(
        &self,
        document: &Path,
        number: u32,
        languages: &[String],
        scratch: &Scratch,
    ) -> Result<Vec<Line>, String> {
        let number = number.to_string();
        let mut arguments = words([
            "-jpeg",
            "-scale-to",
            SIDE,
            "-singlefile",
            "-f",
            &number,
            "-l",
            &number,
        ]);
        arguments.push(document.into());
        arguments.push("page".into());
        let printed = run(&self.pdftoppm, arguments, None, scratch.path()).await;
        printed.map_err(|e| e.to_string())?;
        let path = scratch.path().join("page.jpg");
        let image = tokio::fs::read(&path).await;
        let image = image.map_err(|_| format!("there is no page {number}"))?;
        tokio::fs::remove_file(&path)
            .await
            .map_err(|e| e.to_string())?;
        let read = self.read(image.into(), languages, scratch.path());
        read.await.map_err(|e| e.to_string())
    }

    async fn read(
        &self,
        image: Bytes,
        languages: &[String],
        folder: &Path,
    ) -> Result<Vec<Line>, Failure> {
        let languages = self.languages.argument(languages);
        let arguments = words(["stdin", "stdout", "-l", &languages, "tsv"]);
        let printed = run(&self.tesseract, arguments, Some(image), folder).await?;
        Ok(tsv::lines(&String::from_utf8_lossy(&printed)))
    }
}

async fn run(
    path: &Path,
    arguments: Vec<OsString>,
    input: Option<Bytes>,
    folder: &Path,
) -> Result<Vec<u8>, Failure> {
    let program = Program {
        path,
        arguments,
        input,
        folder,
        limits: LIMITS,
    };
    program.run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_first_bytes() {
        for image in [
            &b"\xff\xd8\xff\xe0"[..],
            b"\x89PNG\r\n\x1a\n..",
            b"II*\0",
            b"MM\0*",
        ] {
            assert!(is_image(image));
        }
        for other in [
            &b""[..],
            b"GIF89a",
            b"%PDF-1.4",
            b"P6 1 1",
            b"http://a/b.png",
        ] {
            assert!(!is_image(other));
        }
    }

    #[test]
    fn pages_are_read_in_their_order_and_once() {
        let of = |pages: Vec<u32>| pages_of(&pages).map_err(|e| matches!(e, Error::Invalid(_)));
        assert_eq!(of(vec![3, 1, 3, 2]), Ok(vec![1, 2, 3]));
        for bad in [vec![], vec![0, 1], (1..=3_001).collect()] {
            assert_eq!(of(bad), Err(true));
        }
    }

    fn pages_of(wanted: &[u32]) -> Result<Vec<u32>, Error> {
        pages(&Request {
            document: blobs::Key::parse("a").unwrap(),
            pages: wanted.to_vec(),
            languages: vec![],
        })
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let missing = Missing {
            programs: vec!["tesseract", "pdftoppm"],
            package: "tesseract-ocr` and `poppler-utils".into(),
        };
        assert_eq!(
            missing.to_string(),
            "tesseract and pdftoppm missing: install the package `tesseract-ocr` and `poppler-utils`"
        );
    }
}

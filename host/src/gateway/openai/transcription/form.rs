//! OpenAI's form as it comes, and the contract's as it goes on: a recording of hours is nowhere whole.

use axum::body::Bytes;
use axum::extract::Multipart;
use axum::extract::multipart::Field;
use tokio::sync::mpsc::Sender;

use super::super::problem::Refusal;

/// Of a field that is read, in bytes.
const MAX_FIELD: usize = 256;
/// Fields of a form.
const MAX_FIELDS: usize = 32;
/// The engine finds the language where none is named.
const LANGUAGE: &str = "auto";

/// How the transcript is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Text,
    Srt,
    Verbose,
    Vtt,
}

/// What the form said beside the recording.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) format: Format,
    granularities: Vec<String>,
    language: Option<String>,
    has_file: bool,
}

impl Wanted {
    /// Whether words are told with their times.
    pub(super) fn words(&self) -> bool {
        self.granularities.iter().any(|wanted| wanted == "word")
    }

    /// Whether segments are: by default, as OpenAI has it.
    pub(super) fn segments(&self) -> bool {
        self.granularities.is_empty() || self.granularities.iter().any(|wanted| wanted == "segment")
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        match name {
            "language" if !value.is_empty() => self.language = Some(value),
            "response_format" => self.format = format(&value)?,
            "timestamp_granularities[]" | "timestamp_granularities" => {
                if value != "word" && value != "segment" {
                    let param = Some("timestamp_granularities[]");
                    return Err(Refusal::invalid(param, "each is `word` or `segment`"));
                }
                self.granularities.push(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        if !self.has_file {
            return Err(Refusal::invalid(
                Some("file"),
                "the form has no field `file`",
            ));
        }
        if !self.granularities.is_empty() && self.format != Format::Verbose {
            let why = "`timestamp_granularities[]` needs `response_format` `verbose_json`";
            return Err(Refusal::invalid(Some("timestamp_granularities[]"), why));
        }
        Ok(())
    }
}

fn format(name: &str) -> Result<Format, Refusal> {
    Ok(match name {
        "json" => Format::Json,
        "text" => Format::Text,
        "srt" => Format::Srt,
        "verbose_json" => Format::Verbose,
        "vtt" => Format::Vtt,
        _ => {
            let why = "`response_format` is `json`, `text`, `srt`, `verbose_json` or `vtt`";
            return Err(Refusal::invalid(Some("response_format"), why));
        }
    })
}

type Out = Sender<Result<Bytes, std::io::Error>>;

/// Passes the recording on as the contract's form. `Err(None)`: nobody reads it any more. Where this fails
/// the form breaks off, so that no half of a recording becomes a job.
pub(super) async fn feed(
    form: Multipart,
    boundary: &str,
    out: Out,
) -> Result<Wanted, Option<Refusal>> {
    let fed = fields(form, boundary, &out).await;
    if fed.is_err() {
        let broken = std::io::Error::other("the form broke off");
        let _ = out.send(Err(broken)).await;
    }
    fed
}

async fn fields(mut form: Multipart, boundary: &str, out: &Out) -> Result<Wanted, Option<Refusal>> {
    let mut wanted = Wanted::default();
    for _ in 0..MAX_FIELDS {
        let next = form.next_field().await;
        let Some(field) = next.map_err(|e| malformed(&e))? else {
            wanted.check()?;
            let language = wanted.language.as_deref().unwrap_or(LANGUAGE);
            send(out, disposition(boundary, "language_code", None)).await?;
            send(out, language.to_owned()).await?;
            send(out, format!("\r\n--{boundary}--\r\n")).await?;
            return Ok(wanted);
        };
        match field.name().unwrap_or_default().to_owned().as_str() {
            "file" if wanted.has_file => {
                return Err(Some(Refusal::invalid(Some("file"), "one file at a time")));
            }
            "file" => {
                wanted.has_file = true;
                recording(field, boundary, out).await?;
            }
            name @ ("language"
            | "response_format"
            | "timestamp_granularities[]"
            | "timestamp_granularities") => {
                let value = text(field, name).await?;
                wanted.take(name, value)?;
            }
            _ => skip(field).await?,
        }
    }
    Err(Some(Refusal::invalid(None, "the form has too many fields")))
}

async fn recording(mut field: Field<'_>, boundary: &str, out: &Out) -> Result<(), Option<Refusal>> {
    let name = field.file_name().unwrap_or("recording").to_owned();
    send(out, disposition(boundary, "file", Some(&name))).await?;
    while let Some(chunk) = field.chunk().await.map_err(|e| malformed(&e))? {
        out.send(Ok(chunk)).await.map_err(|_| None)?;
    }
    send(out, "\r\n".to_owned()).await
}

async fn send(out: &Out, text: String) -> Result<(), Option<Refusal>> {
    out.send(Ok(text.into())).await.map_err(|_| None)
}

/// A field's head, its file's name as browsers write it (WHATWG HTML, section 4.10.22.8).
fn disposition(boundary: &str, name: &str, file: Option<&str>) -> String {
    let file = file.map(|file| {
        let file = file
            .replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A");
        format!("; filename=\"{file}\"")
    });
    let file = file.unwrap_or_default();
    format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
}

async fn text(mut field: Field<'_>, name: &str) -> Result<String, Option<Refusal>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| malformed(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_FIELD {
            return Err(Some(Refusal::invalid(
                None,
                format!("`{name}` is too long"),
            )));
        }
    }
    let text = String::from_utf8(bytes);
    text.map_err(|_| Some(Refusal::invalid(None, format!("`{name}` is not UTF-8"))))
}

async fn skip(mut field: Field<'_>) -> Result<(), Option<Refusal>> {
    while field.chunk().await.map_err(|e| malformed(&e))?.is_some() {}
    Ok(())
}

fn malformed(error: &axum::extract::multipart::MultipartError) -> Option<Refusal> {
    let why = format!("the form cannot be read: {}", error.body_text());
    Some(Refusal::invalid(None, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(fields: &[(&str, &str)]) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted {
            has_file: true,
            ..Wanted::default()
        };
        for (name, value) in fields {
            wanted.take(name, (*value).to_owned())?;
        }
        wanted.check()?;
        Ok(wanted)
    }

    #[test]
    fn times_are_those_that_were_asked_for() {
        let verbose = ("response_format", "verbose_json");
        let (word, segment) = (
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
        );
        for (fields, words, segments) in [
            (vec![verbose], false, true),
            (vec![word, verbose], true, false),
            (vec![verbose, word, segment], true, true),
        ] {
            let wanted = wanted(&fields).unwrap();
            assert_eq!((wanted.words(), wanted.segments()), (words, segments));
        }
        assert!(wanted(&[word]).is_err());
        assert!(wanted(&[("response_format", "xml")]).is_err());
        assert!(wanted(&[verbose, ("timestamp_granularities[]", "letter")]).is_err());
    }

    #[test]
    fn a_file_s_name_cannot_write_a_field() {
        let head = disposition("b", "file", Some("a\"\r\n\r\nx.wav"));
        assert_eq!(head.matches("\r\n\r\n").count(), 1);
        assert!(head.contains("filename=\"a%22%0D%0A%0D%0Ax.wav\""));
    }
}

//! Which languages the installed Tesseract reads, and what it calls them.

use std::path::Path;
use std::time::Duration;

use crate::program::{Limits, Program, words};
use crate::scratch::Scratch;

const LIMITS: Limits = Limits {
    memory: 1 << 30,
    time: Duration::from_secs(10),
    output: 64 << 10,
    file: 1 << 20,
};
const DEFAULT: &str = "eng";
/// Each takes its time: more are not read at once.
const MOST: usize = 3;

/// ISO 639-1, and Tesseract's, which are ISO 639-2's of the language itself.
const NAMES: [(&str, &str); 34] = [
    ("ar", "ara"),
    ("bg", "bul"),
    ("ca", "cat"),
    ("cs", "ces"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("es", "spa"),
    ("et", "est"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hr", "hrv"),
    ("hu", "hun"),
    ("id", "ind"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("ko", "kor"),
    ("lt", "lit"),
    ("lv", "lav"),
    ("nl", "nld"),
    ("no", "nor"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("sk", "slk"),
    ("sv", "swe"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("vi", "vie"),
    ("zh", "chi_sim"),
];

/// Tesseract's names of what is installed; never empty.
pub(super) struct Languages(Vec<String>);

impl Languages {
    /// `None` where it has none, or does not run.
    pub(super) async fn installed(tesseract: &Path) -> Option<Self> {
        let scratch = Scratch::new().ok()?;
        let program = Program {
            path: tesseract,
            arguments: words(["--list-langs"]),
            input: None,
            folder: scratch.path(),
            limits: LIMITS,
        };
        let printed = program.run().await.ok()?;
        Self::read(&String::from_utf8_lossy(&printed))
    }

    /// The first line is a title; `osd` finds how a page is turned, and reads nothing.
    fn read(printed: &str) -> Option<Self> {
        let names = printed.lines().skip(1).map(str::trim);
        let names = names.filter(|name| !name.is_empty() && *name != "osd");
        let names: Vec<String> = names.map(ToOwned::to_owned).collect();
        (!names.is_empty()).then_some(Self(names))
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// What `-l` wants: those that are installed, else English, else what there is.
    pub(super) fn argument(&self, wanted: &[String]) -> String {
        let name = |code: &String| {
            let code = code.to_ascii_lowercase();
            let (_, name) = NAMES.iter().find(|(iso, _)| *iso == code)?;
            self.has(name)
        };
        let mut names: Vec<&str> = Vec::new();
        for name in wanted.iter().filter_map(name) {
            if names.len() < MOST && !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            names.extend(self.has(DEFAULT).or(self.0.first().map(String::as_str)));
        }
        names.join("+")
    }

    fn has(&self, name: &str) -> Option<&str> {
        let installed = self.0.iter().find(|installed| *installed == name);
        installed.map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_languages_are_asked_for() {
        let printed = "List of available languages in \"/usr/share/\" (3):\ndeu\neng\nosd\n";
        let languages = Languages::read(printed).unwrap();
        let of = |wanted: &[&str]| {
            languages.argument(&wanted.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of(&["de", "en", "de"]), "deu+eng");
        for wanted in [&[][..], &["fr"], &["osd"], &["--help"], &["eng"]] {
            assert_eq!(of(wanted), "eng", "{wanted:?}");
        }
        let one = Languages::read("title\ndeu\n").unwrap();
        assert_eq!(one.argument(&["fr".into()]), "deu");
        assert!(Languages::read("title\nosd\n").is_none());
    }
}

//! A PDF without its pictures, as it streams by: they are most of a large one's bytes, and hold no text
//! for the reader. A page still says where it shows them.

use memchr::memmem;

/// How far before its data a stream's dictionary begins at most: with a palette in it, a few KiB.
const DICTIONARY: usize = 8 << 10;
const END: &[u8] = b"endstream";

/// Takes a file piece by piece, and leaves out the data of pictures and attached files.
///
/// What it keeps is no longer where the file's index says. A reader that rebuilds the index from the
/// objects finds all of it; where that fails, the file has to be read as it is.
#[derive(Default)]
pub struct Slimmer {
    kept: Vec<u8>,
    /// How far what is kept was searched for the next stream.
    searched: usize,
    /// While data is left out: the end of what has passed, for a mark that lies across two pieces.
    passed: Option<Vec<u8>>,
    left_out: u64,
}

impl Slimmer {
    /// Some more of the file.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece.to_vec();
        while !rest.is_empty() {
            rest = match self.passed.take() {
                Some(passed) => self.pass(passed, rest),
                None => self.keep(&rest),
            };
        }
    }

    /// What is left of the file, and how many bytes are not; nothing where it ends within a picture.
    pub fn finish(self) -> Option<(Vec<u8>, u64)> {
        self.passed.is_none().then_some((self.kept, self.left_out))
    }

    /// Answers what follows the beginning of a picture's data.
    fn keep(&mut self, piece: &[u8]) -> Vec<u8> {
        self.kept.extend_from_slice(piece);
        while let Some(at) = memmem::find(&self.kept[self.searched..], b"stream") {
            let at = self.searched + at;
            let data = at + b"stream".len();
            // Its line may end in the next piece.
            if data == self.kept.len() {
                self.searched = at;
                return Vec::new();
            }
            self.searched = data;
            let begins = matches!(self.kept[data], b'\r' | b'\n');
            if begins && !self.kept[..at].ends_with(b"end") && self.is_left_out(at) {
                let rest = self.kept.split_off(data);
                self.kept.push(b'\n');
                self.searched = self.kept.len();
                self.passed = Some(Vec::new());
                return rest;
            }
        }
        // The keyword may lie across two pieces.
        let across = self.kept.len().saturating_sub(b"stream".len());
        self.searched = self.searched.max(across);
        Vec::new()
    }

    /// Whether the dictionary that ends at `at` is a picture's or an attached file's.
    fn is_left_out(&self, at: usize) -> bool {
        let before = &self.kept[at.saturating_sub(DICTIONARY)..at];
        let Some(object) = memmem::rfind(before, b"obj") else {
            return false;
        };
        let dictionary = &before[object..];
        let is_picture = names(dictionary, b"/Subtype", b"/Image")
            && memmem::find(dictionary, b"/Width").is_some();
        is_picture || names(dictionary, b"/Type", b"/EmbeddedFile")
    }

    /// Answers what follows the data that is left out, from its end mark.
    fn pass(&mut self, mut passed: Vec<u8>, piece: Vec<u8>) -> Vec<u8> {
        passed.extend(piece);
        let end = memmem::find(&passed, END);
        let data = end.unwrap_or_else(|| passed.len().saturating_sub(END.len() - 1));
        self.left_out += data as u64;
        let rest = passed.split_off(data);
        if end.is_some() {
            return rest;
        }
        self.passed = Some(rest);
        Vec::new()
    }
}

/// Whether the entry has that name as its value.
fn names(dictionary: &[u8], entry: &[u8], value: &[u8]) -> bool {
    memmem::find_iter(dictionary, entry).any(|at| {
        let after = dictionary[at + entry.len()..].trim_ascii_start();
        let ends = |next: Option<&u8>| next.is_none_or(|next| !next.is_ascii_alphanumeric());
        after.starts_with(value) && ends(after.get(value.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdf::read;
    use crate::samples::pdf as sample;

    fn slim(file: &[u8], piece: usize) -> Option<(Vec<u8>, u64)> {
        let mut slimmer = Slimmer::default();
        file.chunks(piece).for_each(|piece| slimmer.feed(piece));
        slimmer.finish()
    }

    #[test]
    fn pictures_are_left_out_and_the_text_is_the_same() {
        let picture: Vec<u8> = (0..40_000_u32).map(|at| ((at * at) >> 7) as u8).collect();
        let file = sample::half_scanned("The cell is small.", &picture, 400, 100);
        let whole = read(&file, None).unwrap();
        for piece in [1, 7, 4_096, file.len()] {
            let (slim, left_out) = slim(&file, piece).unwrap();
            assert_eq!(left_out, picture.len() as u64 + 2, "in pieces of {piece}");
            assert!(slim.len() < file.len() - picture.len());
            assert_eq!(read(&slim, None).unwrap(), whole);
        }
    }

    #[test]
    fn a_file_without_pictures_stays_as_it_is() {
        let file = sample::text(&["A stream of words.", "endstream"]);
        assert_eq!(slim(&file, 10), Some((file, 0)));
        let hidden = sample::stream("/Subtype /Imagery /Width 3", b"kept");
        assert_eq!(slim(&hidden, 3), Some((hidden, 0)));
    }

    #[test]
    fn a_file_that_ends_within_a_picture_is_not_slimmed() {
        let file = sample::scanned(1, &[7; 9_000], 300, 10);
        let cut = memmem::find(&file, &[7; 100]).unwrap() + 2_000;
        assert_eq!(slim(&file[..cut], 1_000), None);
    }
}

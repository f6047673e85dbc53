//! What `tesseract … tsv` prints: a row for each block, paragraph, line and word.
//! <https://tesseract-ocr.github.io/tessdoc/Command-Line-Usage.html#tsv-output-currently-available-in-305-dev-in-master-branch-on-github>

use capability::ocr::Line;

/// A row of this level is a word's.
const WORD: &str = "5";

/// The lines from the top, as Tesseract orders them. A line's confidence is its words' mean.
pub(super) fn lines(tsv: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut place, mut words) = (None, 0.0);
    for row in tsv.lines() {
        // At most 12 columns: a word with a tab in it stays one.
        let columns: Vec<&str> = row.splitn(12, '\t').collect();
        let [WORD, page, block, paragraph, line, .., confidence, text] = columns[..] else {
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let sure = confidence.parse::<f32>().ok().filter(|c| c.is_finite());
        let confidence = sure.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
        let here = Some([page, block, paragraph, line]);
        match lines.last_mut() {
            Some(last) if here == place => {
                last.text.push(' ');
                last.text.push_str(text);
                last.confidence = (last.confidence * words + confidence) / (words + 1.0);
                words += 1.0;
            }
            _ => {
                lines.push(Line {
                    text: text.to_owned(),
                    confidence,
                });
                (place, words) = (here, 1.0);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_line_are_joined() {
        let tsv = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
            1\t1\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t\n\
            4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t\n\
            5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t90.5\tHello\n\
            5\t1\t1\t1\t1\t2\t0\t0\t9\t9\t80.5\tworld\n\
            5\t1\t1\t1\t2\t1\t0\t0\t9\t9\t95\t \n\
            5\t1\t2\t1\t1\t1\t0\t0\t9\t9\tnan\tNext\n";
        let found = lines(tsv);
        let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["Hello world", "Next"]);
        assert!((found[0].confidence - 0.855).abs() < 1e-6);
        assert_eq!(found[1].confidence, 0.0);
    }

    #[test]
    fn what_is_no_table_has_no_lines() {
        for tsv in ["", "\n\n", "5\t1", "5\t\t\t\t\t\t\t\t\t\t\t", "error"] {
            assert_eq!(lines(tsv), []);
        }
    }
}

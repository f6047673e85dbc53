//! `Range` (RFC 9110, section 14) of one part, in bytes; several parts are answered by the whole.

/// What is sent of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the last, both among them.
    Bytes {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The file has no such bytes.
    None,
}

/// What that header asks of a file of so many bytes.
pub fn part(header: Option<&str>, size: u64) -> Part {
    let asked = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((from, to)) = asked.and_then(|asked| asked.trim().split_once('-')) else {
        return Part::Whole;
    };
    let last = size.checked_sub(1);
    match (number(from), number(to)) {
        (Some(Some(first)), Some(to)) if to.is_none_or(|to| first <= to) => match last {
            Some(last) if first <= last => Part::Bytes {
                first,
                last: to.map_or(last, |to| to.min(last)),
            },
            _ => Part::None,
        },
        (Some(None), Some(Some(count))) => match last {
            Some(last) if count > 0 => Part::Bytes {
                first: size.saturating_sub(count),
                last,
            },
            _ => Part::None,
        },
        _ => Part::Whole,
    }
}

/// [`None`] for what is no number, `Some(None)` where there is none.
fn number(digits: &str) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than any file has.
    is_plain.then(|| Some(digits.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_the_standard_says() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (header, expected) in [
            ("bytes=0-99", bytes(0, 99)),
            ("bytes=10-10", bytes(10, 10)),
            ("bytes=900-", bytes(900, 999)),
            ("bytes=990-2000", bytes(990, 999)),
            ("bytes=-1", bytes(999, 999)),
            ("bytes=-2000", bytes(0, 999)),
            ("bytes=1000-", Part::None),
            ("bytes=99999999999999999999-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("items=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(Some(header), 1_000), expected, "{header}");
        }
        assert_eq!(part(None, 1_000), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::None);
        assert_eq!(part(Some("bytes=-5"), 0), Part::None);
    }
}

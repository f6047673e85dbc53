//! Months and days, which stand for none but each other.

use crate::words::find_exactly;

/// By language, in their order.
const MONTHS: [[&str; 12]; 4] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
];

/// By language, in their order.
pub(crate) const DAYS: [[&str; 7]; 2] = [
    [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ],
    [
        "Montag",
        "Dienstag",
        "Mittwoch",
        "Donnerstag",
        "Freitag",
        "Samstag",
        "Sonntag",
    ],
];

/// The months or days among which the word is one, in its language.
pub fn siblings(word: &str, among: &str) -> &'static [&'static str] {
    let lists = || {
        let months = MONTHS.iter().map(<[&str; 12]>::as_slice);
        months.chain(DAYS.iter().map(<[&str; 7]>::as_slice))
    };
    // "August" is of two languages: the sentence's other words decide, if they can.
    let has_other = |list: &&[&str]| {
        list.iter()
            .any(|m| *m != word && find_exactly(among, m).is_some())
    };
    let of_word = || lists().filter(|list| list.contains(&word));
    of_word()
        .find(has_other)
        .or_else(|| of_word().next())
        .unwrap_or_default()
}

/// Whether the word is a month or a day.
pub fn is_in_calendar(word: &str) -> bool {
    !siblings(word, "").is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_among_those_of_its_language() {
        assert!(siblings("July", "").contains(&"May"));
        assert!(siblings("August", "Im August, nicht im Juli.").contains(&"Dezember"));
        assert_eq!(siblings("Monday", "").len(), 7);
        assert!(siblings("Pixar", "").is_empty() && !is_in_calendar("may"));
    }
}

//! Names of months and weekdays.

/// The month of a name or an abbreviation: its number and whether it is written out.
pub fn month(word: &str) -> Option<(usize, bool)> {
    Some(match word {
        "January" | "january" => (1, true),
        "February" | "february" => (2, true),
        "March" => (3, true),
        "April" | "april" => (4, true),
        "May" => (5, true),
        "June" | "june" => (6, true),
        "July" | "july" => (7, true),
        "August" => (8, true),
        "September" | "september" => (9, true),
        "October" | "october" => (10, true),
        "November" | "november" => (11, true),
        "December" | "december" => (12, true),
        "Jan" | "JAN" => (1, false),
        "Feb" | "FEB" => (2, false),
        "Mar" | "MAR" => (3, false),
        "Apr" | "APR" => (4, false),
        "MAY" => (5, false),
        "Jun" | "JUN" => (6, false),
        "Jul" | "JUL" => (7, false),
        "Aug" | "AUG" => (8, false),
        "Sep" | "Sept" | "SEP" => (9, false),
        "Oct" | "OCT" => (10, false),
        "Nov" | "NOV" => (11, false),
        "Dec" | "DEC" => (12, false),
        _ => return None,
    })
}

/// The name of a month, 1 to 12.
pub fn name(month: usize) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
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
    ];
    NAMES.get(month.checked_sub(1)?).copied()
}

/// The weekday of an abbreviation.
pub fn weekday(word: &str) -> Option<&'static str> {
    Some(match word {
        "Mon" => "Monday",
        "Tue" | "Tues" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" | "Thur" | "Thurs" => "Thursday",
        "Fri" => "Friday",
        "Sat" => "Saturday",
        "Sun" => "Sunday",
        _ => return None,
    })
}

//! Roman numerals, where the words around say that they are.

use super::abbreviation::begins_word;
use super::around::{Word, is_end, word_at, word_before};
use super::spell;
use crate::text::normalize::context::{Context, Language};
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// "Chapter IV", "World War II", "Henry VIII", "Louis XIV".
pub fn roman(look: &Look, context: &Context) -> Option<Reading> {
    if !matches!(look.peek(0)?, 'I' | 'V' | 'X' | 'L' | 'C' | 'D' | 'M') || !begins_word(look) {
        return None;
    }
    let numeral = word_at(look, 0);
    let value = value(numeral.as_str())?;
    let after = look.peek(numeral.len());
    let apostrophe = matches!(after, Some('\'' | '’'));
    if !is_end(after) || after == Some('&') || apostrophe && numeral.len() == 1 {
        return None;
    }
    let (before, start) = word_before(look, 0);
    if before.len() < 2 || look.back(0) != Some(' ') {
        return None;
    }
    let names = is_numbered(&before);
    let spoken = if is_ruler(before.as_str()) && value < 40 {
        let lone = numeral.len() == 1;
        (!(lone && numeral.as_str() == "I" && !goes_on(look, 1)))
            .then(|| format!("the {}", spell::ordinal(value)))?
    } else if names {
        let sure = before.is_capitalised();
        if numeral.as_str() == "I" && !(sure && goes_on(look, 1)) {
            return None;
        }
        spell::cardinal(value)
    } else {
        // "Rocky IV": more than a letter, of the small numerals, behind a name.
        let small = numeral.len() > 1 && value < 30 && numeral.as_str() != "XX";
        let name = before.is_capitalised() && !before.is_capitals();
        let (earlier, _) = word_before(look, start);
        let ruler = matches!(earlier.as_str(), "King" | "Queen" | "Pope" | "Emperor" | "Tsar");
        match small && name {
            true if ruler => format!("the {}", spell::ordinal(value)),
            true => spell::cardinal(value),
            false => return None,
        }
    };
    if context.language(look) == Language::Chinese {
        return None;
    }
    Reading::say(numeral.len(), spoken)
}

/// Whether what follows "I" at `n` goes with a name rather than with the speaker.
fn goes_on(look: &Look, n: usize) -> bool {
    if look.peek(n) != Some(' ') {
        return true;
    }
    !matches!(
        word_at(look, n + 1).as_str(),
        "also"
            | "always"
            | "am"
            | "ask"
            | "believe"
            | "can"
            | "cannot"
            | "could"
            | "describe"
            | "did"
            | "didn"
            | "do"
            | "don"
            | "explain"
            | "feel"
            | "find"
            | "found"
            | "get"
            | "give"
            | "got"
            | "guess"
            | "have"
            | "hope"
            | "just"
            | "knew"
            | "know"
            | "like"
            | "love"
            | "made"
            | "mean"
            | "met"
            | "must"
            | "need"
            | "never"
            | "only"
            | "read"
            | "really"
            | "said"
            | "saw"
            | "say"
            | "see"
            | "should"
            | "show"
            | "still"
            | "suggest"
            | "talk"
            | "tell"
            | "think"
            | "thought"
            | "told"
            | "took"
            | "try"
            | "use"
            | "used"
            | "want"
            | "wanted"
            | "went"
            | "will"
            | "wish"
            | "would"
            | "write"
            | "wrote"
    )
}

/// Whether a numeral behind the word counts.
fn is_numbered(word: &Word) -> bool {
    [
        "chapter", "part", "volume", "vol", "book", "act", "scene", "section", "title", "article",
        "type", "phase", "stage", "class", "war", "level", "grade", "figure", "table", "appendix",
        "bowl", "episode", "unit", "module", "lesson", "option", "olympiad", "category", "mark",
    ]
    .contains(&word.lower().as_str())
}

/// Names of rulers, who are counted with ordinals.
fn is_ruler(name: &str) -> bool {
    [
        "Henry",
        "Louis",
        "Elizabeth",
        "Charles",
        "George",
        "Edward",
        "Richard",
        "William",
        "James",
        "Philip",
        "Francis",
        "Frederick",
        "Catherine",
        "Nicholas",
        "Alexander",
        "Peter",
        "Napoleon",
        "Wilhelm",
        "Pius",
        "Benedict",
        "Leo",
        "Paul",
        "John",
        "Gregory",
        "Innocent",
        "Urban",
        "Clement",
        "Ramses",
        "Ramesses",
        "Thutmose",
        "Cleopatra",
        "Ptolemy",
        "Darius",
        "Xerxes",
        "Mehmed",
        "Murad",
        "Selim",
        "Ivan",
        "Gustav",
        "Gustavus",
        "Christian",
        "Carl",
        "Harald",
        "Olaf",
        "Ferdinand",
        "Joseph",
        "Leopold",
        "Margaret",
        "Mary",
        "Boniface",
        "Constantine",
        "Justinian",
    ]
    .contains(&name)
}

/// The value of a Roman numeral in its usual form.
fn value(letters: &str) -> Option<u64> {
    const STEPS: [(u64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut rest = letters;
    let mut total = 0;
    for (value, step) in STEPS {
        let most = if value.to_string().starts_with('1') { 3 } else { 1 };
        for _ in 0..most {
            let Some(shorter) = rest.strip_prefix(step) else { break };
            rest = shorter;
            total += value;
        }
    }
    (rest.is_empty() && total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_usual_forms_are_numerals() {
        for (letters, expected) in [
            ("I", Some(1)),
            ("IV", Some(4)),
            ("XIV", Some(14)),
            ("LVIII", Some(58)),
            ("MCMXCIX", Some(1999)),
            ("IIII", None),
            ("VX", None),
            ("IC", None),
            ("", None),
        ] {
            assert_eq!(value(letters), expected, "{letters}");
        }
    }
}

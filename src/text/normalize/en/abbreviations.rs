//! What abbreviations stand for.

/// How an abbreviation is written and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Before a name: its full stop never ends a sentence.
    Title,
    /// Before a number, with a full stop.
    Numbered,
    /// Anywhere, with a full stop, which may end a sentence.
    Dotted,
    /// Anywhere, with a full stop or without.
    Any,
}

/// What a word stands for, in any case of letters.
pub fn find(word: &str) -> Option<(&'static str, Kind)> {
    if word.len() > 6 {
        return None;
    }
    use Kind::{Any, Dotted, Numbered, Title};
    Some(match word {
        "Mr" => ("Mister", Title),
        "Mrs" => ("Missus", Title),
        "Ms" => ("Ms", Title),
        "Messrs" => ("Messrs", Title),
        "Prof" => ("Professor", Title),
        "Rev" => ("Reverend", Title),
        "Gen" => ("General", Title),
        "Col" => ("Colonel", Title),
        "Capt" => ("Captain", Title),
        "Cpt" => ("Captain", Title),
        "Lt" => ("Lieutenant", Title),
        "Maj" => ("Major", Title),
        "Sgt" => ("Sergeant", Title),
        "Gov" => ("Governor", Title),
        "Sen" => ("Senator", Title),
        "Rep" => ("Representative", Title),
        "Pres" => ("President", Title),
        "Hon" => ("Honorable", Title),
        "Mt" => ("Mount", Title),
        "Ft" => ("Fort", Title),
        "No" | "no" | "Nr" | "nr" => ("number", Numbered),
        "Nos" | "nos" => ("numbers", Numbered),
        "p" | "pg" | "P" => ("page", Numbered),
        "pp" | "pgs" => ("pages", Numbered),
        "vol" | "Vol" => ("volume", Numbered),
        "vols" | "Vols" => ("volumes", Numbered),
        "ch" | "Ch" | "chap" | "Chap" => ("chapter", Numbered),
        "sec" | "Sec" | "sect" => ("section", Numbered),
        "eq" | "Eq" => ("equation", Numbered),
        "art" | "Art" => ("article", Numbered),
        "para" | "Para" => ("paragraph", Numbered),
        "c" | "ca" | "Ca" => ("circa", Numbered),
        "b" => ("born", Numbered),
        "d" => ("died", Numbered),
        "ext" | "Ext" => ("extension", Numbered),
        "Fig" | "fig" => ("figure", Dotted),
        "Figs" | "figs" => ("figures", Dotted),
        "Jr" => ("Junior", Any),
        "Sr" => ("Senior", Any),
        "Inc" => ("Incorporated", Any),
        "Ltd" => ("Limited", Any),
        "Corp" => ("Corporation", Any),
        "Co" => ("Company", Dotted),
        "Bros" => ("Brothers", Any),
        "Ave" => ("Avenue", Any),
        "Blvd" => ("Boulevard", Any),
        "Rd" => ("Road", Any),
        "Ln" => ("Lane", Dotted),
        "Hwy" => ("Highway", Any),
        "Pkwy" => ("Parkway", Any),
        "Sq" => ("Square", Dotted),
        "Apt" | "apt" => ("apartment", Dotted),
        "Ste" => ("suite", Dotted),
        "Dept" | "dept" => ("department", Any),
        "Univ" => ("University", Dotted),
        "Assn" => ("Association", Any),
        "Assoc" => ("Associates", Dotted),
        "Govt" | "govt" => ("government", Any),
        "Intl" => ("International", Any),
        "Natl" => ("National", Any),
        "etc" | "Etc" => ("et cetera", Any),
        "vs" | "Vs" | "VS" => ("versus", Any),
        "approx" | "Approx" => ("approximately", Any),
        "min" | "Min" => ("minimum", Dotted),
        "max" | "Max" => ("maximum", Dotted),
        "avg" | "Avg" => ("average", Any),
        "misc" | "Misc" => ("miscellaneous", Any),
        "incl" | "Incl" => ("including", Any),
        "excl" => ("excluding", Any),
        "est" | "Est" => ("estimated", Dotted),
        "tel" | "Tel" => ("telephone", Dotted),
        "cf" | "Cf" => ("compare", Any),
        "viz" => ("namely", Any),
        "al" => ("al", Dotted),
        "hr" | "hrs" => ("hours", Dotted),
        "mins" => ("minutes", Dotted),
        "secs" => ("seconds", Dotted),
        "yr" => ("year", Dotted),
        "yrs" => ("years", Any),
        "lb" => ("pound", Dotted),
        "lbs" => ("pounds", Any),
        "oz" => ("ounces", Dotted),
        "appt" => ("appointment", Any),
        "aka" => ("also known as", Any),
        "tbsp" => ("tablespoon", Any),
        "tsp" => ("teaspoon", Any),
        _ => return None,
    })
}

/// Names that "St." before them makes saints of.
pub fn is_saint(name: &str) -> bool {
    matches!(
        name,
        "Albans"
            | "Andrew"
            | "Andrews"
            | "Anne"
            | "Anthony"
            | "Augustine"
            | "Barts"
            | "Bernard"
            | "Catherine"
            | "Charles"
            | "Clair"
            | "Cloud"
            | "Croix"
            | "David"
            | "Elmo"
            | "Francis"
            | "George"
            | "Helena"
            | "Helens"
            | "Ives"
            | "James"
            | "Joan"
            | "John"
            | "Johns"
            | "Joseph"
            | "Jude"
            | "Kitts"
            | "Louis"
            | "Lucia"
            | "Lucie"
            | "Luke"
            | "Mark"
            | "Martin"
            | "Mary"
            | "Matthew"
            | "Michael"
            | "Moritz"
            | "Nicholas"
            | "Pancras"
            | "Patrick"
            | "Paul"
            | "Peter"
            | "Petersburg"
            | "Stephen"
            | "Thomas"
            | "Tropez"
            | "Valentine"
            | "Vincent"
    )
}

//! Rules that are the same for all languages but for the words: they come before the languages'
//! own rules, and after them for what these left.

use super::reading::Rule;
use super::{emoji, science, web};

/// For places that begin with a letter.
pub const WORDS: &[Rule] = &[
    Rule { name: "address", read: web::address::url },
    Rule { name: "e-mail", read: web::address::email },
    Rule { name: "identifier of hex digits", read: web::network::hex },
    Rule { name: "file", read: web::file::drive },
    Rule { name: "file", read: web::file::path },
    Rule { name: "address", read: web::address::domain },
    Rule { name: "file", read: web::file::file },
    Rule { name: "version", read: web::version::with_letter },
    Rule { name: "formula", read: science::chemistry::formula },
    Rule { name: "identifier", read: web::identifier::identifier },
    Rule { name: "emoticon", read: emoji::face::of_letters },
    Rule { name: "sign", read: science::operator::of_letters },
    Rule { name: "Greek letter", read: science::greek::letter },
];

/// For places that begin with a digit or a sign.
pub const SIGNS: &[Rule] = &[
    Rule { name: "emoji", read: emoji::emoji },
    Rule { name: "emoticon", read: emoji::face::face },
    Rule { name: "time stamp", read: web::stamp::stamp },
    Rule { name: "IP address", read: web::network::ip },
    Rule { name: "identifier of hex digits", read: web::network::hex },
    Rule { name: "e-mail", read: web::address::email },
    Rule { name: "address", read: web::address::domain },
    Rule { name: "handle", read: web::social::handle },
    Rule { name: "hashtag", read: web::social::hashtag },
    Rule { name: "file", read: web::file::rooted },
    Rule { name: "file", read: web::file::file },
    Rule { name: "version", read: web::version::bare },
    Rule { name: "flag", read: web::identifier::flag },
    Rule { name: "formula", read: science::chemistry::with_number },
    Rule { name: "term", read: science::power::term },
    Rule { name: "power of ten", read: science::power::scientific },
    Rule { name: "LaTeX", read: science::latex::latex },
    Rule { name: "power", read: science::power::power },
    Rule { name: "index", read: science::power::index },
    Rule { name: "sign", read: science::operator::operator },
];

/// For places that begin with white space.
pub const SPACES: &[Rule] = &[
    Rule { name: "line", read: super::line::end },
    Rule { name: "emoji", read: emoji::behind_space },
    Rule { name: "emoticon", read: emoji::face::behind_space },
    Rule { name: "sign", read: science::operator::spaced_minus },
];

/// For signs that no rule of a language reads.
pub const LEFT: &[Rule] = &[Rule { name: "sign", read: science::left::left }];

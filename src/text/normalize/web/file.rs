//! Names of files and their paths, read as they must be typed.

use super::domains::is_ending;
use super::token::{begins, ends, is_letter, run};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::{Manner, Speech};

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_of_path(c: char) -> bool {
    is_of_name(c) || matches!(c, '/' | '@' | '+' | '~')
}

fn say(look: &Look, context: &Context, len: usize) -> Option<Reading> {
    let mut speech = Speech::new(context.language_of(look, len));
    speech.name(&look.text(0, len), Manner::Exact);
    Reading::say(len, speech.spoken())
}

/// How many characters of a name at `n` there are up to the end of an ending of files.
fn named(look: &Look, n: usize) -> Option<usize> {
    let len = run(look, n, is_of_name);
    let text = look.text(n, len);
    let (name, ending) = text.rsplit_once('.')?;
    let known = |ending: &str| {
        is_ending(ending)
            || is_ending(&ending.to_ascii_lowercase())
                && ending.bytes().all(|c| !c.is_ascii_lowercase())
    };
    let one = ending.len() > 1 || name.len() > 1 && !name.contains('.');
    (!name.is_empty() && known(ending) && one && ends(look, n + len)).then_some(len)
}

/// `report_final.pdf`, `archive.tar.gz`; `.gitignore`.
pub fn file(look: &Look, context: &Context) -> Option<Reading> {
    let stem = look.count(0, 60, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if look.peek(stem)? != '.' || !begins(look) || !is_of_ending(look.peek(stem + 1)?) {
        return None;
    }
    if stem > 0 {
        let len = named(look, 0)?;
        return say(look, context, len);
    }
    // Of a name that begins with a point only the ending is there.
    let len = 1 + look.count(1, 14, |c| c.is_ascii_alphanumeric());
    let ending = look.text(1, len - 1);
    let known = is_ending(&ending) || ending == "NET" || super::domains::is_domain(&ending);
    let apart = look.back(0) != Some('.');
    if known && apart && ends(look, len) { say(look, context, len) } else { None }
}

fn is_of_ending(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '7'
}

/// `C:\Users\me`.
pub fn drive(look: &Look, context: &Context) -> Option<Reading> {
    if look.peek(1)? != ':' || !is_letter(look.peek(0)) || !begins(look) {
        return None;
    }
    if !matches!(look.peek(2)?, '\\' | '/') || look.peek(3) == Some('/') {
        return None;
    }
    let len = 2 + run(look, 2, |c| is_of_path(c) || c == '\\');
    say(look, context, len)
}

/// `src/main.rs`: parts of which one shows that they are names of files.
pub fn path(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.count(0, 60, is_of_name);
    if look.peek(first)? != '/' || !begins(look) {
        return None;
    }
    if !look.peek(first + 1)?.is_ascii_alphanumeric() && look.peek(first + 1)? != '_' {
        return None;
    }
    let len = run(look, 0, is_of_path);
    let text = look.text(0, len);
    let (folders, last) = text.rsplit_once('/')?;
    let ending = last
        .rsplit_once('.')
        .is_some_and(|(name, ending)| !name.is_empty() && is_ending(&ending.to_ascii_lowercase()));
    let code = |c: char| matches!(c, '_' | '.' | '@' | '~');
    let shown = ending || folders.contains(code) && !folders.contains("..") || last.contains('_');
    let letters = !folders.split('/').any(|part| part.bytes().all(|c| c.is_ascii_digit()));
    let dotted = folders.split('/').next().is_some_and(super::domains::is_domain);
    if shown && letters && !dotted && ends(look, len) { say(look, context, len) } else { None }
}

/// `/usr/local/bin`, `~/work`, `./run.sh`, `../lib`.
pub fn rooted(look: &Look, context: &Context) -> Option<Reading> {
    let start = match look.peek(0)? {
        '/' => 1,
        '~' | '.' if look.peek(1) == Some('/') => 2,
        '.' if look.is(0, "../") => 3,
        _ => return None,
    };
    let before = look.back(0);
    let apart = before.is_none_or(|c| !c.is_alphanumeric() && !"/.)]~_>}".contains(c));
    if !apart && !before.is_some_and(crate::text::chars::is_chinese) {
        return None;
    }
    let first = look.peek(start)?;
    if !first.is_ascii_alphanumeric() && !matches!(first, '_' | '.' | '~' | '@') {
        return None;
    }
    // Between ideographs or before a number alone it parts what is on both sides.
    let len = run(look, 0, is_of_path);
    let letters = (start..len).any(|n| is_letter(look.peek(n)));
    if letters { say(look, context, len) } else { None }
}

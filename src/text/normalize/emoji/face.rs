//! Faces made of signs: `:)`, `<3`, `(^_^)`. They are not spoken.

use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;

/// Faces that begin with a sign, long ones before those they begin with.
const FACES: [&str; 46] = [
    ":-))",
    ":-)",
    ":-(",
    ":-D",
    ":-P",
    ":-p",
    ":-/",
    ":-|",
    ":-O",
    ":-o",
    ":-*",
    ":'-(",
    ":'(",
    ":')",
    ":))",
    ":)",
    ":((",
    ":(",
    ":D",
    ":P",
    ":p",
    ":O",
    ":3",
    ":|",
    ":/",
    ":*",
    ";-)",
    ";)",
    ";P",
    ";D",
    "=)",
    "=(",
    "=D",
    "8-)",
    ">:(",
    ">_<",
    "<3",
    "</3",
    "^_^",
    "^^",
    "^.^",
    "-_-",
    "._.",
    "o_o",
    "¯\\_(ツ)_/¯",
    "~_~",
];
const OF_LETTERS: [&str; 10] = ["T_T", "T.T", "XD", "xD", "QAQ", "QwQ", "OwO", "UwU", "orz", "o_O"];

/// How long the face at `n` is.
fn face_at(look: &Look, n: usize) -> Option<usize> {
    let first = look.peek(n)?;
    if matches!(first, '(' | '（' | 'ヽ' | '╮' | 'ლ' | '╰' | '٩' | '\\' | '┻' | '┬' | '╭' | '凸')
    {
        return drawn(look, n);
    }
    if !matches!(first, ':' | ';' | '=' | '8' | '>' | '<' | '^' | '-' | '.' | '¯' | '~') {
        return None;
    }
    let face = FACES.iter().find(|face| look.is(n, face))?;
    let len = face.chars().count();
    let after = look.peek(n + len);
    let apart = !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '/' || c == '_');
    apart.then_some(len)
}

/// Signs that faces between brackets are drawn with, and that no other text has there.
fn is_drawing(c: char) -> bool {
    "ω﹏◕‿︶╯°□ツಠ益▽∀´`≧≦ᴗ⌒^｡•̀́ㅂ◠◡ᵕ˘￣ ̄﹃＾◉▿ლ◍ꈍ◞◟╥ε﹀︿ʖಥ❛⊙⌓ﾉｏДд；;_T>＿<".contains(c)
}

/// A face between brackets, with arms on both sides.
fn drawn(look: &Look, n: usize) -> Option<usize> {
    let arm = |c: char| "ヽ╮ლ╰٩\\┻━┬─╭凸ノ✧~*:・ﾟ♡☆╯︵づっ┛✿o۶و︶".contains(c);
    let left = look.count(n, 4, |c| arm(c) && c != '*');
    let open = n + left;
    let close = match look.peek(open)? {
        '(' => ')',
        '（' => '）',
        _ => return None,
    };
    let inside = look.count(open + 1, 14, |c| !matches!(c, ')' | '）' | '\n' | '，' | '。'));
    let is = |is: fn(char) -> bool| {
        (0..inside).filter(|i| look.peek(open + 1 + i).is_some_and(is)).count()
    };
    let letters = is(|c| c.is_alphanumeric() && !is_drawing(c));
    let sure = is(|c| is_drawing(c) && !";_T>< `".contains(c));
    let drawings = is(is_drawing);
    if look.peek(open + 1 + inside)? != close
        || letters > 1
        || drawings < 2
        || sure == 0 && drawings < 3
    {
        return None;
    }
    let end = open + inside + 2;
    let right = look.count(end, 8, |c| arm(c) && !c.is_ascii_alphanumeric());
    Some(end + right - n)
}

/// A face at the place.
pub fn face(look: &Look, context: &Context) -> Option<Reading> {
    let len = face_at(look, 0)?;
    if !may_stand(look, look.back(0)) {
        return None;
    }
    // Not a space before and one behind.
    let spaced = context.spoken.is_none_or(char::is_whitespace);
    let space = usize::from(spaced && look.peek(len) == Some(' '));
    Reading::say(len + space, "")
}

/// A space and a face behind it.
pub fn behind_space(look: &Look, _: &Context) -> Option<Reading> {
    if look.peek(0)? != ' ' || !may_stand(look, Some(' ')) {
        return None;
    }
    let len = face_at(look, 1)?;
    Reading::say(len + 1, "")
}

/// Whether a face may stand behind a character. Behind a bracket that is open it may be the end
/// of that, and behind a single letter or a number it is a sign of mathematics.
fn may_stand(look: &Look, before: Option<char>) -> bool {
    let first = (0..2).find_map(|n| look.peek(n).filter(|c| *c != ' '));
    let (last, second) = match look.back(0) {
        Some(' ') => (look.back(1), look.back(2)),
        last => (last, look.back(1)),
    };
    let single = last.is_some_and(|c| c.is_ascii_digit())
        || last.is_some_and(|c| c.is_ascii_alphabetic())
            && second.is_none_or(|c| !c.is_alphanumeric());
    match first {
        Some('<' | '>' | '=' | '^' | '-' | '~' | '8' | '.') => {
            !single
                && before.is_none_or(|c| !c.is_ascii_alphanumeric() && !"/\"'=<>-.~_".contains(c))
        }
        Some(':' | ';') => {
            let mut open = 0;
            for c in (0..60).map_while(|n| look.back(n)).take_while(|c| *c != '\n') {
                match c {
                    '(' => open += 1,
                    ')' => open -= 1,
                    _ => {}
                }
                if open > 0 {
                    return false;
                }
            }
            !before.is_some_and(|c| c.is_ascii_alphanumeric() || "/\"'`".contains(c))
        }
        _ => true,
    }
}

/// Faces that begin with a letter.
pub fn of_letters(look: &Look, _: &Context) -> Option<Reading> {
    if !matches!(look.peek(0)?, 'T' | 'X' | 'x' | 'Q' | 'O' | 'U' | 'o') {
        return None;
    }
    let face = OF_LETTERS.iter().find(|face| look.is(0, face))?;
    let apart = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let spaced = look.back(0).is_none_or(|c| c == ' ');
    if !apart(look.back(0)) || !apart(look.peek(face.len())) {
        return None;
    }
    let space = usize::from(spaced && look.peek(face.len()) == Some(' '));
    Reading::say(face.len() + space, "")
}

//! Addresses: URLs, hosts and e-mail. They are read as they must be typed; of `http://` and
//! `https://` nothing is said.

use super::domains;
use super::token::{begins, ends, is_digit, is_letter, run};
use crate::text::normalize::context::Context;
use crate::text::normalize::look::Look;
use crate::text::normalize::reading::Reading;
use crate::text::normalize::speech::{Manner, Speech};

fn is_of_url(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

fn is_of_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// `https://example.com/path?query`, and hosts that begin with `www.`.
pub fn url(look: &Look, context: &Context) -> Option<Reading> {
    let letters = look.count(0, 8, |c| c.is_ascii_alphabetic());
    let start = match look.peek(letters)? {
        ':' if letters > 1 && look.is(letters, "://") => letters + 3,
        '.' if letters == 3 && look.is_in_any_case(0, "www.") => 0,
        _ => return None,
    };
    if !begins(look) || !look.peek(start)?.is_ascii_alphanumeric() && look.peek(start)? != '[' {
        return None;
    }
    let len = run(look, start, is_of_url);
    let mut speech = Speech::new(context.language_of(look, start + len));
    let scheme = look.text(0, letters);
    if start > 0 && !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        speech.word(&scheme);
        speech.either("colon slash slash", "冒号斜杠斜杠");
    }
    say_address(&mut speech, &look.text(start, len));
    Reading::say(start + len, speech.spoken())
}

/// A host without a scheme: `example.com`, `openai.com/api`, `localhost:8080`.
pub fn domain(look: &Look, context: &Context) -> Option<Reading> {
    let first = look.count(0, 63, is_of_label);
    match look.peek(first)? {
        '.' if first > 0 && look.peek(first + 1)?.is_ascii_alphanumeric() => {}
        ':' if look.is(0, "localhost:") && is_digit(look.peek(first + 1)) => {}
        _ => return None,
    }
    if !begins(look) || look.back(0).is_some_and(|c| "@/\\".contains(c)) {
        return None;
    }
    let host = look.count(0, 100, |c| is_of_label(c) || c == '.');
    let host = host - usize::from(look.peek(host - 1) == Some('.'));
    let after = look.peek(host);
    let goes_on = match after {
        Some('/') => true,
        Some(':') => is_digit(look.peek(host + 1)),
        _ => false,
    };
    is_host(&look.text(0, host), goes_on).then_some(())?;
    if after == Some('@') || !ends(look, host) {
        return None;
    }
    let len = match goes_on {
        true => run(look, 0, is_of_url).max(host),
        false => host,
    };
    let mut speech = Speech::new(context.language_of(look, len));
    say_address(&mut speech, &look.text(0, len));
    Reading::say(len, speech.spoken())
}

/// Whether a text of labels and dots is the name of a host. `sure` if a port or a path follows.
fn is_host(text: &str, sure: bool) -> bool {
    let labels = text.split('.').count();
    let Some((rest, top)) = text.rsplit_once('.') else { return sure };
    let whole = text.split('.').all(|label| !label.is_empty());
    let name = rest.bytes().any(|c| c.is_ascii_alphabetic());
    // Of digits alone only well-known ones are names: "163.com".
    let digits = matches!(top, "com" | "cn" | "net" | "org");
    let known = domains::is_domain(top)
        || domains::is_doubtful_domain(top) && (sure || labels > 2 && rest.len() > labels * 2);
    whole && known && (name || digits)
}

fn say_address(speech: &mut Speech, address: &str) {
    let host = address.find(['/', '?', '#', ':']).unwrap_or(address.len());
    let (host, rest) = address.split_at(host);
    match host.split_once('@') {
        // Who logs in, before the host.
        Some((user, host)) => {
            speech.name(user, Manner::Exact);
            speech.sign('@');
            say_host(speech, host);
        }
        None => say_host(speech, host),
    }
    speech.name(rest.strip_suffix('/').unwrap_or(rest), Manner::Exact);
}

fn say_host(speech: &mut Speech, host: &str) {
    let Some((rest, top)) = host.rsplit_once('.') else {
        return speech.name(host, Manner::Exact);
    };
    speech.name(rest, Manner::Exact);
    speech.sign('.');
    match top.len() == 2 && !domains::is_word(top) {
        true => speech.letters(top),
        false => speech.name(top, Manner::Exact),
    }
}

/// `name@example.com`.
pub fn email(look: &Look, context: &Context) -> Option<Reading> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    let name = look.count(0, 64, is_of_name);
    if name == 0 || look.peek(name)? != '@' || !begins(look) {
        return None;
    }
    let host = look.count(name + 1, 100, |c| is_of_label(c) || c == '.');
    let host = host - usize::from(host > 0 && look.peek(name + host) == Some('.'));
    let text = look.text(name + 1, host);
    let (rest, top) = text.rsplit_once('.')?;
    if rest.is_empty() || top.len() < 2 || !top.bytes().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let len = name + 1 + host;
    is_letter(look.peek(len - 1)).then_some(())?;
    let mut speech = Speech::new(context.language_of(look, len));
    speech.name(&look.text(0, name), Manner::Exact);
    speech.sign('@');
    say_host(&mut speech, &text);
    Reading::say(len, speech.spoken())
}

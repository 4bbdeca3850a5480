//! What a rule may see of the text.

use std::cell::Cell;

/// Most characters that a rule sees ahead, and so most characters that a stream holds back.
pub const AHEAD: usize = 200;

/// Most characters that a rule sees behind.
pub const BEHIND: usize = 64;

/// The text around the place where reading goes on.
///
/// Rules see a stream through this alone. It notes when a rule has looked past what has come so
/// far: such a rule could decide otherwise once more text is there, so the place is read again
/// then. All other decisions are final, which is why the result does not depend on where a stream
/// was cut. No rule sees further than [`AHEAD`], however much text there is, nor further back than
/// [`BEHIND`].
#[derive(Debug)]
pub struct Look<'a> {
    chars: &'a [char],
    at: usize,
    /// No more text follows these characters.
    complete: bool,
    open: Cell<bool>,
}

impl<'a> Look<'a> {
    /// Looks from character `at` of `chars`, which end the text if `complete`.
    pub fn new(chars: &'a [char], at: usize, complete: bool) -> Self {
        Self { chars, at, complete, open: Cell::new(false) }
    }

    /// The character `n` places ahead, 0 being the next one; none behind the end of the text.
    pub fn peek(&self, n: usize) -> Option<char> {
        if n >= AHEAD {
            return None;
        }
        let found = self.chars.get(self.at + n).copied();
        if found.is_none() && !self.complete {
            self.open.set(true);
        }
        found
    }

    /// The character `n` places back, 0 being the one just before; none before the beginning of
    /// the text.
    pub fn back(&self, n: usize) -> Option<char> {
        if n >= BEHIND {
            return None;
        }
        self.at.checked_sub(n + 1).and_then(|i| self.chars.get(i)).copied()
    }

    /// Whether the text goes on with `literal` from `n` on.
    pub fn is(&self, n: usize, literal: &str) -> bool {
        literal.chars().enumerate().all(|(i, c)| self.peek(n + i) == Some(c))
    }

    /// As [`is`](Self::is), where upper and lower case are the same for ASCII.
    pub fn is_in_any_case(&self, n: usize, literal: &str) -> bool {
        let same = |(i, c): (usize, char)| {
            self.peek(n + i).is_some_and(|found| found.eq_ignore_ascii_case(&c))
        };
        literal.chars().enumerate().all(same)
    }

    /// How many characters from `n` on fulfil `is`, `max` at most.
    pub fn count(&self, n: usize, max: usize, is: impl Fn(char) -> bool) -> usize {
        (0..max).take_while(|i| self.peek(n + i).is_some_and(&is)).count()
    }

    /// The characters from `n` on, `len` of them or as many as there are.
    pub fn text(&self, n: usize, len: usize) -> String {
        (n..n + len).map_while(|i| self.peek(i)).collect()
    }

    /// Whether a rule looked past what has come of a text that goes on.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// The same text from `n` places ahead. What is seen through it is noted with
    /// [`absorb`](Self::absorb).
    pub fn ahead(&self, n: usize) -> Look<'a> {
        // The horizon stays that of the place where reading goes on.
        let end = self.chars.len().min(self.at + AHEAD);
        let complete = self.complete || end < self.chars.len() || end == self.at + AHEAD;
        Look::new(&self.chars[..end], (self.at + n).min(end), complete)
    }

    /// Notes what was seen through a look of [`ahead`](Self::ahead).
    pub fn absorb(&self, other: &Look) {
        self.open.set(self.open.get() || other.open.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_past_the_end_is_noted() {
        let chars: Vec<char> = "5 km".chars().collect();
        let look = Look::new(&chars, 2, false);
        assert!(look.is(0, "km") && !look.is(0, "cm"));
        assert!(!look.is_open());
        assert_eq!(look.back(0), Some(' '));
        assert_eq!(look.back(2), None);
        assert!(!look.is(0, "kmh"));
        assert!(look.is_open());
        let look = Look::new(&chars, 2, true);
        assert_eq!(look.peek(2), None);
        assert!(!look.is_open());
    }

    #[test]
    fn the_horizon_is_no_end() {
        let chars = vec!['x'; AHEAD];
        let look = Look::new(&chars, 0, false);
        assert_eq!(look.count(0, 1000, |c| c == 'x'), AHEAD);
        assert!(!look.is_open());
        assert_eq!(look.ahead(AHEAD - 1).count(0, 10, |c| c == 'x'), 1);
    }
}

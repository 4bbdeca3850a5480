//! Names of registered voices.

use std::fmt;

/// Longest name, in characters.
const LONGEST: usize = 64;

/// The name of a registered voice, fit to be that of a folder: 1 to 64 ASCII letters, digits, `-`,
/// `_` and `.`, the first of them no `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VoiceName(String);

/// Why a text is no [`VoiceName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a voice: a name has 1 to {LONGEST} letters (a-z), digits, `-`, `_` or `.`, \
     and does not begin with `.`"
)]
pub struct NameError(String);

impl VoiceName {
    /// # Errors
    /// [`NameError`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        let sound = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        match (1..=LONGEST).contains(&name.len())
            && name.bytes().all(sound)
            && !name.starts_with('.')
        {
            true => Ok(Self(name.into())),
            // As it is shown on a terminal.
            false => Err(NameError(name.escape_debug().take(2 * LONGEST).collect())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VoiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They become folders, and come from clients.
    #[test]
    fn names_lead_nowhere_but_into_the_store() {
        for sound in ["a", "Anna-2_b.c", "7", "-", &"x".repeat(64), "a..b"] {
            assert_eq!(VoiceName::new(sound).map(|n| n.to_string()), Ok(sound.to_owned()));
        }
        for odd in
            ["", ".", "..", ".a", "a/b", "../a", "/a", "a\\b", "a b", "ä", "a\0", "a\n", "%2e"]
        {
            assert!(VoiceName::new(odd).is_err(), "{odd:?}");
        }
        let long = VoiceName::new(&"x".repeat(100_000)).expect_err("too long").to_string();
        assert!(long.len() < 500, "{long}");
    }
}

//! Values as forms and JSON frames spell them.

use crate::server::error::ApiError;
use crate::server::json::truth;

/// # Errors
/// [`ApiError::InvalidParameter`] for what is neither true nor false in any spelling.
pub fn boolean(name: &str, text: &str) -> Result<bool, ApiError> {
    let wrong = || ApiError::InvalidParameter(format!("`{name}` must be true or false"));
    truth(text).ok_or_else(wrong)
}

/// # Errors
/// [`ApiError::InvalidParameter`] for what is no number, [`ApiError::OutOfRange`] for a tempo that
/// speech does not have.
pub fn speed(text: &str) -> Result<f32, ApiError> {
    let number = text.trim().parse::<f32>().ok().filter(|speed| speed.is_finite());
    let speed =
        number.ok_or_else(|| ApiError::InvalidParameter("`speed` must be a number".into()))?;
    if (0.5..=2.0).contains(&speed) {
        return Ok(speed);
    }
    Err(ApiError::OutOfRange("`speed` must be 0.5 to 2.0".into()))
}

/// # Errors
/// [`ApiError::InvalidParameter`].
pub fn integer(name: &str, text: &str) -> Result<i128, ApiError> {
    text.trim()
        .parse()
        .map_err(|_| ApiError::InvalidParameter(format!("`{name}` must be a whole number")))
}

/// # Errors
/// [`ApiError::OutOfRange`] for what is not an unsigned number of 64 bits.
pub fn seed(number: i128) -> Result<u64, ApiError> {
    let out = || ApiError::OutOfRange(format!("`seed` must be 0 to {}", u64::MAX));
    u64::try_from(number).map_err(|_| out())
}

/// # Errors
/// [`ApiError::TextTooLong`] past `limit` characters.
pub fn check_length(text: &str, limit: usize) -> Result<(), ApiError> {
    if text.chars().count() > limit { Err(ApiError::TextTooLong { limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_in_all_spellings() {
        for yes in ["true", "True", "TRUE", "1", "yes", "Yes", "on", "ON", " true "] {
            assert_eq!(boolean("stream", yes), Ok(true), "{yes}");
        }
        for no in ["false", "False", "0", "no", "NO", "off", "Off"] {
            assert_eq!(boolean("stream", no), Ok(false), "{no}");
        }
        for odd in ["", "2", "maybe", "truee", "wahr"] {
            assert!(matches!(boolean("stream", odd), Err(ApiError::InvalidParameter(_))), "{odd}");
        }
    }

    #[test]
    fn speeds_at_their_limits() {
        assert_eq!(speed("0.5"), Ok(0.5));
        assert_eq!(speed(" 2 "), Ok(2.0));
        for out in ["0.49", "2.01", "-1", "0"] {
            assert!(matches!(speed(out), Err(ApiError::OutOfRange(_))), "{out}");
        }
        for odd in ["NaN", "inf", "fast", "1,5", ""] {
            assert!(matches!(speed(odd), Err(ApiError::InvalidParameter(_))), "{odd}");
        }
    }

    #[test]
    fn seeds_at_their_limits() {
        assert_eq!(integer("seed", "18446744073709551615").and_then(seed), Ok(u64::MAX));
        for out in ["-1", "18446744073709551616"] {
            let result = integer("seed", out).and_then(seed);
            assert!(matches!(result, Err(ApiError::OutOfRange(_))), "{out}");
        }
        for odd in ["1.5", "1e3", "", "seven"] {
            assert!(matches!(integer("seed", odd), Err(ApiError::InvalidParameter(_))), "{odd}");
        }
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert_eq!(check_length("你好", 2), Ok(()));
        assert_eq!(check_length("你好。", 2), Err(ApiError::TextTooLong { limit: 2 }));
    }
}

//! Emotions that requests ask for. No loaded model has any to give, so only neutral ones pass.

use super::error::ApiError;

/// Joy, anger, sadness, fear, disgust, low mood, surprise, calm.
pub const DIMENSIONS: usize = 8;

/// Whether nothing but calm is asked for.
pub fn is_calm(vector: &[f64]) -> bool {
    vector.iter().take(DIMENSIONS - 1).all(|share| *share == 0.0)
}

/// The answer to a request for `what`.
pub fn unsupported(what: &str) -> ApiError {
    ApiError::UnsupportedByModel(format!(
        "the loaded model has no control of emotion, which `{what}` asks for; it takes the emotion \
         of the voice's recording"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_is_the_last_share_alone() {
        assert!(is_calm(&[0.0; 8]));
        assert!(is_calm(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9]));
        assert!(!is_calm(&[0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9]));
        assert!(!is_calm(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0]));
    }
}

//! JSON bodies of requests: bounded, and read field by field, so that an error names its field.

use super::app::App;
use super::error::ApiError;
use super::upload;
use axum::extract::Request;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Bytes of a body beside its text.
const OVERHEAD: usize = 256 * 1024;

/// Bytes that one character may take: an escaped pair of surrogates.
const ESCAPED: usize = 12;

/// A JSON object. A field that is null is as good as none, and one that nobody asks for does not
/// matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body, whatever media type its client names for it.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is no object, or what broke the body.
    pub async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let text = app.settings.max_text_length.saturating_mul(ESCAPED);
        let bytes = text.saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes, idle: app.settings.request_idle };
        let body = upload::bounded(body, &parts.headers, bounds, app.uploads.room())?;
        let bytes = axum::body::to_bytes(body, bytes).await.map_err(|e| upload::reason(&e))?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|e| ApiError::InvalidParameter(format!("the body is not JSON: {e}")))?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ApiError::InvalidParameter("the body must be a JSON object".into())),
        }
    }

    /// A field's value, where there is one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.typed(name, "a string", Value::as_str)
    }

    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        })
    }

    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is no number, [`ApiError::OutOfRange`].
    pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let number = self.typed(name, "a number", number)?;
        number.map(|number| within(name, number, &range)).transpose()
    }

    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is no whole number, [`ApiError::OutOfRange`].
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let whole = |value: &Value| {
            // Clients that know only one kind of number write 120.0.
            let rounded = || number(value).filter(|f| f.fract() == 0.0).map(|f| f as i64);
            value.as_i64().or_else(rounded)
        };
        let number = self.typed(name, "a whole number", whole)?;
        number.map(|number| within(name, number, &range)).transpose()
    }

    /// An array of `count` numbers.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for anything else, [`ApiError::OutOfRange`].
    pub fn numbers(
        &self,
        name: &str,
        count: usize,
        range: RangeInclusive<f64>,
    ) -> Result<Option<Vec<f64>>, ApiError> {
        let list = |value: &Value| {
            let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
            numbers.filter(|numbers| numbers.len() == count)
        };
        let numbers = self.typed(name, &format!("a list of {count} numbers"), list)?;
        for number in numbers.iter().flatten() {
            within(name, *number, &range)?;
        }
        Ok(numbers)
    }

    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub fn object(&self, name: &str) -> Result<Option<Self>, ApiError> {
        self.typed(name, "an object", |value| value.as_object().cloned().map(Self))
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = || ApiError::InvalidParameter(format!("`{name}` must be {what}"));
        read(value).map(Some).ok_or_else(wrong)
    }
}

impl FromIterator<(String, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// A number, also one in quotes, as forms of web pages send it.
fn number(value: &Value) -> Option<f64> {
    let quoted = || value.as_str()?.trim().parse().ok().filter(|f: &f64| f.is_finite());
    value.as_f64().or_else(quoted)
}

fn within<T>(name: &str, number: T, range: &RangeInclusive<T>) -> Result<T, ApiError>
where
    T: PartialOrd + Display,
{
    if range.contains(&number) {
        return Ok(number);
    }
    let (low, high) = (range.start(), range.end());
    Err(ApiError::OutOfRange(format!("`{name}` must be {low} to {high}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        value.as_object().cloned().map(Fields).unwrap_or_default()
    }

    #[test]
    fn values_of_all_kinds() {
        let f = fields(json!({
            "s": "你好", "b": true, "t": "True", "q": " 7 ", "n": 0.5, "i": 120, "f": 120.0, "l": [0, 0.5], "o": {"i": 1},
            "null": null,
        }));
        assert_eq!(f.text("s"), Ok(Some("你好")));
        assert_eq!(f.boolean("b"), Ok(Some(true)));
        assert_eq!(f.boolean("t"), Ok(Some(true)));
        assert_eq!(f.integer("q", 0..=9), Ok(Some(7)));
        assert_eq!(f.number("q", 0.0..=9.0), Ok(Some(7.0)));
        assert_eq!(f.number("n", 0.0..=1.0), Ok(Some(0.5)));
        assert_eq!(f.number("i", 0.0..=200.0), Ok(Some(120.0)));
        assert_eq!(f.integer("i", 20..=500), Ok(Some(120)));
        assert_eq!(f.integer("f", 20..=500), Ok(Some(120)));
        assert_eq!(f.numbers("l", 2, 0.0..=1.0), Ok(Some(vec![0.0, 0.5])));
        let inner = f.object("o").ok().flatten().unwrap_or_default();
        assert_eq!(inner.integer("i", 0..=1), Ok(Some(1)));
        for absent in ["null", "absent"] {
            assert_eq!(f.text(absent), Ok(None));
            assert_eq!(f.integer(absent, 0..=1), Ok(None));
        }
    }

    /// What is malformed and what is out of range have different statuses.
    #[test]
    fn what_is_wrong_is_told_apart() {
        let f = fields(json!({"s": "x", "n": 2.5, "i": 7, "l": [0, 2], "m": [0, "x"], "h": 1e300}));
        let code = |result: Result<(), ApiError>| result.map_err(|e| e.status().as_u16()).err();
        let range = 0.0..=1.0;
        assert_eq!(code(f.boolean("s").map(drop)), Some(400));
        assert_eq!(code(f.number("s", range.clone()).map(drop)), Some(400));
        assert_eq!(code(f.integer("n", 0..=9).map(drop)), Some(400));
        assert_eq!(code(f.integer("i", 0..=6).map(drop)), Some(422));
        assert_eq!(code(f.integer("h", 0..=6).map(drop)), Some(422));
        assert_eq!(code(f.number("n", range.clone()).map(drop)), Some(422));
        assert_eq!(code(f.numbers("l", 2, range.clone()).map(drop)), Some(422));
        assert_eq!(code(f.numbers("l", 8, range.clone()).map(drop)), Some(400));
        assert_eq!(code(f.numbers("m", 2, range).map(drop)), Some(400));
        assert_eq!(code(f.object("s").map(drop)), Some(400));
    }
}

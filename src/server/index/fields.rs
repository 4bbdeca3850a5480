//! Fields of a JSON body, each of the type and within the range it has.
//!
//! Values are read as the clients of this interface are used to: a number may come as text, as
//! `<select>` elements of web pages send it, and a whole number as `3.0`. Null is as good as
//! absent; fields that nobody asked for do not matter.

use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::upload;
use axum::extract::Request;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Bytes of a body beside its text.
const OVERHEAD: usize = 64 * 1024;

/// Bytes that one character of text can take in JSON: two escapes of six.
const ESCAPED: usize = 12;

/// The body of a request.
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a JSON object, whatever media type the request says.
    ///
    /// # Errors
    /// What broke the body, and [`ApiError::InvalidParameter`] for what is no JSON object.
    pub async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let settings = &app.settings;
        let (parts, body) = request.into_parts();
        let bytes = settings.max_text_length.saturating_mul(ESCAPED).saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes, idle: settings.request_idle };
        let room = app.uploads.room();
        let body = upload::bounded(body, &parts.headers, bounds, room.clone())?;
        let body = axum::body::to_bytes(body, usize::MAX).await;
        Self::parse(&body.map_err(|e| upload::reason(&e))?)
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::WrongType("the body must be a JSON object".into())),
            Err(e) => Err(ApiError::InvalidParameter(format!("the body is not JSON: {e}"))),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether the request says anything of it.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// # Errors
    /// [`ApiError::WrongType`].
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    /// # Errors
    /// [`ApiError::WrongType`].
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let spelled = match value {
            Value::Bool(truth) => return Ok(Some(*truth)),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_ascii_lowercase(),
            _ => String::new(),
        };
        match spelled.as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(wrong(name, "true or false")),
        }
    }

    /// # Errors
    /// [`ApiError::WrongType`].
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, "a whole number"))
    }

    /// # Errors
    /// [`ApiError::WrongType`], [`ApiError::OutOfRange`].
    pub fn integer_in(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let number = self.integer(name)?;
        match number {
            Some(number) if !range.contains(&number) => {
                Err(out(name, range.start(), (*range.end() < i64::MAX).then_some(range.end())))
            }
            _ => Ok(number),
        }
    }

    /// # Errors
    /// [`ApiError::WrongType`], [`ApiError::OutOfRange`].
    pub fn number_in(
        &self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.filter(|n| n.is_finite()).ok_or_else(|| wrong(name, "a number"))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        Err(out(name, range.start(), Some(range.end())))
    }
}

/// A number without a fraction that is small enough to be exact.
fn whole(number: f64) -> Option<i64> {
    let exact = number.fract() == 0.0 && number.abs() < (1u64 << 53) as f64;
    exact.then_some(number as i64)
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::WrongType(format!("`{name}` must be {what}"))
}

fn out<T: std::fmt::Display>(name: &str, low: T, high: Option<T>) -> ApiError {
    ApiError::OutOfRange(match high {
        Some(high) => format!("`{name}` must be {low} to {high}"),
        None => format!("`{name}` must be {low} or more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        Fields::parse(json!({ "x": value }).to_string().as_bytes()).expect("an object")
    }

    fn is_wrong<T: std::fmt::Debug>(result: Result<T, ApiError>) -> bool {
        matches!(result, Err(ApiError::WrongType(_)))
    }

    #[test]
    fn values_in_the_spellings_clients_use() {
        for three in [json!(3), json!(3.0), json!("3"), json!(" 3 ")] {
            assert_eq!(fields(three.clone()).integer("x"), Ok(Some(3)), "{three}");
            assert_eq!(fields(three).number_in("x", 0.0..=9.0), Ok(Some(3.0)));
        }
        for yes in [json!(true), json!(1), json!("True"), json!("on")] {
            assert_eq!(fields(yes.clone()).boolean("x"), Ok(Some(true)), "{yes}");
        }
        let null = fields(Value::Null);
        assert_eq!(null.integer("x"), Ok(None));
        assert_eq!(null.text("x"), Ok(None));
        assert!(!null.has("x") && !null.has("y"));
    }

    #[test]
    fn other_types_are_told() {
        for odd in [json!("three"), json!(3.5), json!([3]), json!(true), json!({}), json!(1e300)] {
            assert!(is_wrong(fields(odd.clone()).integer("x")), "{odd}");
        }
        for odd in [json!("NaN"), json!("inf"), json!([]), json!(false)] {
            assert!(is_wrong(fields(odd.clone()).number_in("x", 0.0..=1.0)), "{odd}");
        }
        for odd in [json!(2), json!("maybe"), json!([]), json!(0.5)] {
            assert!(is_wrong(fields(odd.clone()).boolean("x")), "{odd}");
        }
        assert!(is_wrong(fields(json!(7)).text("x")));
        assert!(is_wrong(Fields::parse(b"[1]")));
        assert!(matches!(Fields::parse(b"{\"x\":"), Err(ApiError::InvalidParameter(_))));
    }

    #[test]
    fn ranges_include_their_ends() {
        for (number, good) in [(0, false), (1, true), (5, true), (6, false)] {
            assert_eq!(fields(json!(number)).integer_in("x", 1..=5).is_ok(), good, "{number}");
            let real = fields(json!(number)).number_in("x", 1.0..=5.0);
            assert_eq!(real.is_ok(), good, "{number}");
        }
        let error = fields(json!(0)).integer_in("x", 1..=i64::MAX).expect_err("too small");
        assert_eq!(error, ApiError::OutOfRange("`x` must be 1 or more".into()));
    }
}

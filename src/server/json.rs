//! JSON bodies of requests: bounded, and read field by field, so that an error names its field.
//!
//! Values are read as clients are used to: a number may come as text, as forms of web pages send
//! it, and a whole number as `3.0`. Null is as good as absent, and fields that nobody asks for do
//! not matter.

use super::app::App;
use super::error::ApiError;
use super::upload;
use axum::extract::Request;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Bytes of a body beside its text.
const OVERHEAD: usize = 64 * 1024;

/// Bytes that one character may take: an escaped pair of surrogates.
const ESCAPED: usize = 12;

/// What a dialect calls a value of another type than its field has: [`ApiError::InvalidParameter`]
/// or [`ApiError::WrongType`].
pub type Mistake = fn(String) -> ApiError;

/// A JSON object.
#[derive(Debug, Clone)]
pub struct Fields {
    values: Map<String, Value>,
    mistake: Mistake,
}

impl Fields {
    /// Reads a body, whatever media type its client names for it.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for what is no JSON, `mistake` for what is no object, and
    /// what broke the body.
    pub async fn read(app: &App, request: Request, mistake: Mistake) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let text = app.settings.max_text_length.saturating_mul(ESCAPED);
        let bytes = text.saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes, idle: app.settings.request_idle };
        let body = upload::bounded(body, &parts.headers, bounds, app.uploads.room())?;
        let bytes = axum::body::to_bytes(body, bytes).await.map_err(|e| upload::reason(&e))?;
        Self::parse(&bytes, mistake)
    }

    /// # Errors
    /// Those of [`Self::read`].
    pub fn parse(body: &[u8], mistake: Mistake) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(values)) => Ok(Self { values, mistake }),
            Ok(_) => Err(mistake("the body must be a JSON object".into())),
            Err(e) => Err(ApiError::InvalidParameter(format!("the body is not JSON: {e}"))),
        }
    }

    /// A field's value, where there is one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// # Errors
    /// The dialect's for what is no text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A text that says something: a blank one is as good as none.
    ///
    /// # Errors
    /// As of [`Self::text`].
    pub fn words(&self, name: &str) -> Result<Option<&str>, ApiError> {
        Ok(self.text(name)?.filter(|text| !text.trim().is_empty()))
    }

    /// # Errors
    /// The dialect's for what is neither.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            Value::Number(number) => truth(&number.to_string()),
            Value::String(text) => truth(text),
            _ => None,
        })
    }

    /// # Errors
    /// The dialect's for what is no number, [`ApiError::OutOfRange`].
    pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let number = self.typed(name, "a number", number)?;
        number.map(|number| within(name, number, &range)).transpose()
    }

    /// # Errors
    /// The dialect's for what is no whole number, [`ApiError::OutOfRange`].
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(number) = self.typed(name, "a whole number", whole)? else { return Ok(None) };
        let (low, high) = range.into_inner();
        let out = || {
            ApiError::OutOfRange(match high {
                i64::MAX => format!("`{name}` must be {low} or more, in 64 bits"),
                _ => format!("`{name}` must be {low} to {high}"),
            })
        };
        let number = i64::try_from(number).ok().filter(|n| (low..=high).contains(n));
        number.map(Some).ok_or_else(out)
    }

    /// An array of `count` numbers.
    ///
    /// # Errors
    /// The dialect's for anything else, [`ApiError::OutOfRange`].
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
    /// The dialect's for what is no object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, ApiError> {
        let values = self.typed(name, "an object", Value::as_object)?;
        Ok(values.map(|values| Self { values: values.clone(), mistake: self.mistake }))
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wrong = || (self.mistake)(format!("`{name}` must be {what}"));
        read(value).map(Some).ok_or_else(wrong)
    }
}

/// True and false in all spellings that forms and programs use.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    let quoted = || value.as_str()?.trim().parse().ok();
    value.as_f64().or_else(quoted).filter(|number: &f64| number.is_finite())
}

/// Of what is too large for any range, something as large.
fn whole(value: &Value) -> Option<i128> {
    let exact = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    };
    let rounded = || number(value).filter(|f| f.fract() == 0.0).map(|f| f as i128);
    exact.map(i128::from).or_else(rounded)
}

fn within(name: &str, number: f64, range: &RangeInclusive<f64>) -> Result<f64, ApiError> {
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
        Fields::parse(value.to_string().as_bytes(), ApiError::InvalidParameter).expect("an object")
    }

    #[test]
    fn values_of_all_kinds() {
        let f = fields(json!({
            "s": "你好", "b": true, "n": 0.5, "l": [0, 0.5], "o": {"i": 1}, "e": " \n", "null": null,
        }));
        assert_eq!((f.text("s"), f.words("s")), (Ok(Some("你好")), Ok(Some("你好"))));
        assert_eq!((f.text("e"), f.words("e")), (Ok(Some(" \n")), Ok(None)));
        assert_eq!(f.boolean("b"), Ok(Some(true)));
        assert_eq!(f.number("n", 0.0..=1.0), Ok(Some(0.5)));
        assert_eq!(f.numbers("l", 2, 0.0..=1.0), Ok(Some(vec![0.0, 0.5])));
        let inner = f.object("o").expect("an object").expect("one that is there");
        assert_eq!(inner.integer("i", 0..=1), Ok(Some(1)));
        for absent in ["null", "absent"] {
            assert!(f.get(absent).is_none());
            assert_eq!(f.text(absent), Ok(None));
            assert_eq!(f.integer(absent, 0..=1), Ok(None));
        }
    }

    #[test]
    fn values_in_the_spellings_clients_use() {
        for three in [json!(3), json!(3.0), json!("3"), json!(" 3 "), json!("3.0")] {
            let f = fields(json!({ "x": three }));
            assert_eq!(f.integer("x", 0..=9), Ok(Some(3)), "{three}");
            assert_eq!(f.number("x", 0.0..=9.0), Ok(Some(3.0)), "{three}");
        }
        for yes in [json!(true), json!(1), json!("True"), json!("on"), json!(" Yes ")] {
            assert_eq!(fields(json!({ "x": yes })).boolean("x"), Ok(Some(true)), "{yes}");
        }
        let exact = fields(json!({ "x": "9007199254740993" }));
        assert_eq!(exact.integer("x", 0..=i64::MAX), Ok(Some(9_007_199_254_740_993)));
    }

    /// What is no whole number and what is out of range are told apart, each dialect in its way.
    #[test]
    fn what_is_wrong_is_told_apart() {
        let wrong = |fields: &Fields, what: fn(&Fields) -> Result<(), ApiError>| {
            what(fields).map_err(|e| e.status().as_u16()).err()
        };
        let integer = |f: &Fields| f.integer("x", 1..=5).map(drop);
        let number = |f: &Fields| f.number("x", 1.0..=5.0).map(drop);
        let pair = |f: &Fields| f.numbers("x", 2, 0.0..=1.0).map(drop);
        for (mistake, status) in
            [(ApiError::InvalidParameter as Mistake, 400), (ApiError::WrongType, 422)]
        {
            let of = |x: Value| {
                Fields::parse(json!({ "x": x }).to_string().as_bytes(), mistake).expect("an object")
            };
            for odd in [json!("three"), json!(3.5), json!([3]), json!(true), json!({})] {
                assert_eq!(wrong(&of(odd.clone()), integer), Some(status), "{odd}");
            }
            for odd in [json!("NaN"), json!("inf"), json!([]), json!(false)] {
                assert_eq!(wrong(&of(odd.clone()), number), Some(status), "{odd}");
            }
            for odd in [json!(2), json!("maybe"), json!([]), json!(0.5)] {
                assert_eq!(wrong(&of(odd.clone()), |f| f.boolean("x").map(drop)), Some(status));
            }
            for odd in [json!([0]), json!([0, "x"]), json!("x")] {
                assert_eq!(wrong(&of(odd.clone()), pair), Some(status), "{odd}");
            }
            assert_eq!(wrong(&of(json!(7)), |f| f.text("x").map(drop)), Some(status));
            assert_eq!(wrong(&of(json!(7)), |f| f.object("x").map(drop)), Some(status));
            let list = Fields::parse(b"[1]", mistake).map(drop);
            assert_eq!(list.map_err(|e| e.status().as_u16()), Err(status));
            assert!(matches!(
                Fields::parse(b"{\"x\":", mistake),
                Err(ApiError::InvalidParameter(_))
            ));
            for out in [json!(0), json!(6), json!(1e300), json!(u64::MAX), json!("-1e9")] {
                assert_eq!(wrong(&of(out.clone()), integer), Some(422), "{out}");
                assert_eq!(wrong(&of(out.clone()), number), Some(422), "{out}");
            }
            assert_eq!(wrong(&of(json!([0, 2])), pair), Some(422));
            for good in [1, 5] {
                assert_eq!(wrong(&of(json!(good)), integer), None, "{good}");
                assert_eq!(wrong(&of(json!(good)), number), None, "{good}");
            }
        }
        let error = fields(json!({ "x": 0 })).integer("x", 1..=i64::MAX).expect_err("too small");
        assert_eq!(error, ApiError::OutOfRange("`x` must be 1 or more, in 64 bits".into()));
    }
}

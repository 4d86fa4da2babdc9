//! Between Jinja's values and JSON, which is how configuration and variables are kept.
//!
//! Numbers keep their kind. It must never turn what JSON can't say into something else in silence.

use minijinja::value::{Value, ValueKind};
use serde_json::{Map, Number, Value as Json};

/// A JSON value for a template. By hand, not by serde: a JSON number of arbitrary precision would
/// arrive there as a map.
pub fn to_jinja(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(real)) => Value::from(real),
            (None, None) => Value::from(number.to_string()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(to_jinja).collect::<Vec<_>>().into(),
        Json::Object(entries) => Value::from_pairs(
            entries.iter().map(|(key, value)| (Value::from(key.as_str()), to_jinja(value))),
        ),
    }
}

/// A template's value as JSON; objects of ours (a relation) become their text. `None` for what has
/// no JSON form, such as an undefined name.
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value.kind() {
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(whole) if value.is_integer() => Json::Number(whole.into()),
            _ => Json::Number(Number::from_f64(f64::try_from(value.clone()).ok()?)?),
        },
        ValueKind::String => Json::String(value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => {
            Json::Array(value.try_iter().ok()?.map(|item| to_json(&item)).collect::<Option<_>>()?)
        }
        ValueKind::Map => {
            let mut entries = Map::new();
            for key in value.try_iter().ok()? {
                let inner = value.get_item(&key).ok()?;
                entries.insert(key.to_string(), to_json(&inner)?);
            }
            Json::Object(entries)
        }
        ValueKind::Plain => Json::String(value.to_string()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_through_jinja() {
        let json = serde_json::json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}});
        assert_eq!(to_json(&to_jinja(&json)), Some(json));
        assert_eq!(to_json(&Value::UNDEFINED), None);
    }
}

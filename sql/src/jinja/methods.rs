//! The methods of Python's text and dict that dbt templates call most; Jinja in Rust has none.
//!
//! They never change a value in place: what would (`append`, `update`) is refused with what to
//! write instead.

use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error as JinjaError, ErrorKind, State};

use crate::jinja::refuse::refusal;

/// Called by Jinja for a method that the value itself does not have.
pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, JinjaError> {
    if matches!(method, "append" | "extend" | "insert" | "pop" | "remove" | "update") {
        let hint = "build a new one: `{% set xs = xs + [x] %}`; in a loop keep it in a namespace()";
        let message = format!("`.{method}()` is not supported yet");
        return Err(refusal(message, Some(hint.to_owned())));
    }
    match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => of_text(text, method, args),
        (ValueKind::Map, _) => of_map(state, value, method, args),
        _ => Err(JinjaError::from(ErrorKind::UnknownMethod)),
    }
}

fn of_text(text: &str, method: &str, args: &[Value]) -> Result<Value, JinjaError> {
    let letters = |args: &[Value]| -> Result<Vec<char>, JinjaError> {
        let (letters,): (Option<String>,) = from_args(args)?;
        Ok(letters.unwrap_or_else(|| " \t\r\n".to_owned()).chars().collect())
    };
    Ok(match method {
        "upper" => text.to_uppercase().into(),
        "lower" => text.to_lowercase().into(),
        "strip" => text.trim_matches(&letters(args)?[..]).into(),
        "lstrip" => text.trim_start_matches(&letters(args)?[..]).into(),
        "rstrip" => text.trim_end_matches(&letters(args)?[..]).into(),
        "startswith" => text.starts_with(from_args::<(&str,)>(args)?.0).into(),
        "endswith" => text.ends_with(from_args::<(&str,)>(args)?.0).into(),
        "replace" => {
            let (from, to): (&str, &str) = from_args(args)?;
            text.replace(from, to).into()
        }
        "split" => {
            let (by,): (Option<&str>,) = from_args(args)?;
            match by {
                Some(by) => text.split(by).map(Value::from).collect::<Vec<_>>().into(),
                None => text.split_whitespace().map(Value::from).collect::<Vec<_>>().into(),
            }
        }
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let items: Vec<String> = items.try_iter()?.map(|item| item.to_string()).collect();
            items.join(text).into()
        }
        _ => return Err(JinjaError::from(ErrorKind::UnknownMethod)),
    })
}

fn of_map(
    state: &mut State,
    map: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, JinjaError> {
    match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = map.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found })
        }
        "items" => state.apply_filter("items", std::slice::from_ref(map)),
        "keys" => Ok(map.try_iter()?.collect::<Vec<_>>().into()),
        "values" => {
            let values: Result<Vec<_>, _> = map.try_iter()?.map(|key| map.get_item(&key)).collect();
            Ok(values?.into())
        }
        _ => Err(JinjaError::from(ErrorKind::UnknownMethod)),
    }
}

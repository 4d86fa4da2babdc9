//! dbt's callable objects inside a template: config, exceptions, log and print.
//!
//! `config` writes what it is called with into the scope. None of them must ever print.

use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Value, ValueKind};
use minijinja::{Error as JinjaError, State};

use crate::jinja::context::{Desk, open};
use crate::jinja::refuse::refusal;
use crate::jinja::value::{to_jinja, to_json};

/// `config(..)`, which writes down and renders to nothing, and its `get` and `require`.
#[derive(Debug)]
pub struct Config(pub Desk);

impl Object for Config {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, JinjaError> {
        let mut scope = open(&self.0);
        for argument in args {
            if argument.kind() != ValueKind::Map {
                let hint = "write config(materialized='table')".to_owned();
                return Err(refusal("config() takes named values or one map", Some(hint)));
            }
            for key in argument.try_iter()? {
                let value = argument.get_item(&key)?;
                let Some(json) = to_json(&value) else {
                    return Err(refusal(format!("config() value \"{key}\" is undefined"), None));
                };
                scope.found.config.push((key.to_string(), json));
            }
        }
        Ok(Value::from(""))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, JinjaError> {
        if !matches!(method, "get" | "require") {
            return Err(refusal(format!("`config.{method}` is not supported yet"), None));
        }
        let (name, default, _): (String, Option<Value>, Kwargs) =
            minijinja::value::from_args(args)?;
        let scope = open(&self.0);
        let within = scope.found.config.iter().rev().find(|(key, _)| *key == name);
        let value = within.map(|(_, json)| json).or_else(|| scope.outer.get(&name));
        match (value, method) {
            (Some(json), _) => Ok(to_jinja(json)),
            (None, "get") => Ok(default.unwrap_or(Value::from(()))),
            (None, _) => Err(refusal(format!("the config \"{name}\" is required, not set"), None)),
        }
    }
}

/// `log(..)` and `print(..)`: compiling says nothing, and what a template would print may be a
/// secret.
#[derive(Debug)]
pub struct Silent;

impl Object for Silent {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, JinjaError> {
        Ok(Value::from(""))
    }
}

/// `exceptions.raise_compiler_error(..)`; a `warn` renders to nothing.
#[derive(Debug)]
pub struct Exceptions;

impl Object for Exceptions {
    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, JinjaError> {
        match method {
            "raise_compiler_error" => {
                Err(refusal(args.first().map(Value::to_string).unwrap_or_default(), None))
            }
            "warn" => Ok(Value::from("")),
            _ => Err(refusal(format!("`exceptions.{method}` is not supported yet"), None)),
        }
    }
}

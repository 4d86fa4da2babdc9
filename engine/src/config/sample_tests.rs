//! sample.toml: it parses, names every key of every station, and tells the true defaults.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::de::value::Error as ValueError;
use serde::de::{Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::{Config, SAMPLE, parse::parse};

/// A deserializer that has nothing to give, and notes which keys it is asked for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Asked<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        *self.0 = fields;
        Err(ValueError::custom("asked"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys_of<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    let _ = T::deserialize(Asked(&mut fields));
    assert!(!fields.is_empty());
    fields
}

/// What a table that is off by default can't do without.
const NEEDED: [&str; 3] = ["#account = ", "#user = ", "#path = "];

/// The sample with its tables that are off by default, and nothing else.
fn with_tables() -> String {
    let open = |line: &str| {
        let on = line.starts_with("#[") || NEEDED.iter().any(|key| line.starts_with(key));
        if on { line.trim_start_matches('#').to_owned() } else { line.to_owned() }
    };
    SAMPLE.lines().map(open).collect::<Vec<_>>().join("\n")
}

/// The sample with its defaults, and its examples too if `all`, no longer commented out.
fn uncommented(all: bool) -> String {
    let assigns = |line: &str| {
        let (key, _) = line.split_once(" = ")?;
        key.chars().all(|c| c.is_ascii_lowercase() || "_\".0123456789".contains(c)).then_some(())
    };
    let open = |line: &str| {
        if line.starts_with("#[") || NEEDED.iter().any(|key| line.starts_with(key)) {
            return line.trim_start_matches('#').to_owned();
        }
        let bare = line.strip_prefix('#').unwrap_or(line);
        let bare = if all { bare.strip_prefix(' ').unwrap_or(bare) } else { bare };
        match assigns(bare) {
            Some(()) => bare.to_owned(),
            None => line.to_owned(),
        }
    };
    SAMPLE.lines().map(open).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_parses_and_tells_the_true_defaults() {
    let file = Path::new("sample.toml");
    assert!(parse(file, SAMPLE).unwrap().publish.snowflake.is_none());
    let as_it_is = parse(file, &with_tables()).unwrap();
    let defaults = parse(file, &uncommented(false)).unwrap();
    assert_eq!(format!("{as_it_is:#?}"), format!("{defaults:#?}"));
    parse(file, &uncommented(true)).unwrap();
}

/// Keys of a table, and of those below `publish`, which has targets.
fn collect(path: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{path}.{key}");
        if let (Some(inner), true) = (value.as_table(), path.starts_with("publish.")) {
            collect(&path, inner, found);
        }
        found.insert(path);
    }
}

#[test]
fn it_names_every_key_and_no_other() {
    let mut wanted = BTreeSet::new();
    let mut add = |table: &str, keys: &[&str]| {
        wanted.extend(keys.iter().map(|key| format!("{table}.{key}")));
    };
    add("", keys_of::<Config>());
    add("kafka", keys_of::<crate::source::options::Options>());
    add("envelope", keys_of::<crate::envelope::options::Options>());
    add("epoch", keys_of::<crate::epoch::options::Options>());
    add("lake", keys_of::<crate::lake::options::Options>());
    add("memory", keys_of::<crate::lake::options::Memory>());
    add("models", keys_of::<super::models::ModelsOptions>());
    add("checkpoint", keys_of::<crate::checkpoint::options::Options>());
    add("proof", keys_of::<crate::transform::options::ProofOptions>());
    add("log", keys_of::<super::log::LogOptions>());
    add("postgres", keys_of::<super::postgres::PostgresOptions>());
    add("connector", keys_of::<crate::connector::options::Options>());
    add("publish", keys_of::<crate::publish::options::Options>());
    add("publish.snowflake", keys_of::<crate::publish::options::Snowflake>());
    add("publish.snowflake.policy", keys_of::<crate::publish::options::Policy>());
    add("publish.snowflake.raw", keys_of::<crate::publish::options::Raw>());
    add("publish.local", keys_of::<crate::publish::options::Local>());
    add("publish.local.policy", keys_of::<crate::publish::options::Policy>());
    let mut found = BTreeSet::new();
    let root: toml::Table = toml::from_str(&uncommented(true)).unwrap();
    for (table, keys) in root {
        found.insert(format!(".{table}"));
        collect(&table, keys.as_table().unwrap(), &mut found);
    }
    // Tables whose keys users choose.
    for free in ["publish.snowflake.policy.names", "publish.local.policy.names"] {
        found.retain(|key| !key.starts_with(&format!("{free}.")));
    }
    assert_eq!(found, wanted);
}

//! The suite: every declared, custom and singular test made into a query.
//!
//! The last step of reading a project. It must never let a test fall away in silence: what is
//! declared is made, disabled by its author, or refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;

use crate::error::{Error, Location, Result, did_you_mean};
use crate::jinja::Jinja;
use crate::jinja::context::Found;
use crate::jinja::relation::{Relation, quoted};
use crate::jinja::source::{SourceFile, SourceMap};
use crate::jinja::value::to_jinja;
use crate::project::builtin;
use crate::project::config::{self, Config, Setting};
use crate::project::datatest::{DataTest, TestKind};
use crate::project::declare::{self, Declaration, severity};
use crate::project::draft::find_config;
use crate::project::generic::GenericTest;
use crate::project::inline::{Ephemeral, behind, with_ctes};
use crate::project::model::{Model, Node};
use crate::project::properties::TestEntry;

/// What tests are made from.
pub struct Suite<'a> {
    pub jinja: &'a Jinja<'a>,
    pub models: &'a [Model],
    pub ephemerals: &'a [Ephemeral],
    pub sources: &'a BTreeMap<(String, String), String>,
    pub generics: &'a BTreeMap<String, GenericTest>,
    /// Configuration for all tests, from dbt_project.yml.
    pub defaults: Config,
}

/// A query before its ephemeral models are put in.
struct Query {
    text: String,
    map: SourceMap,
    found: Found,
}

impl Suite<'_> {
    /// A test declared on `table`, which test names give as `label`, after `prefix` and the test.
    /// `None` if disabled.
    pub fn declared(
        &self,
        table: &Relation,
        (prefix, label): (&str, &str),
        entry: &TestEntry,
    ) -> Result<Option<DataTest>> {
        let declared = declare::read(entry)?;
        let mut config = self.defaults.clone();
        if let Some(generic) = self.generics.get(&declared.test) {
            builtin::allow(&declared, &generic.own_parameters())?;
        } else if !builtin::NAMES.contains(&declared.test.as_str()) {
            return Err(self.unknown(&declared));
        }
        config::merge(&mut config, declared.config.clone());
        if !config::flag(&config, "enabled", true)? {
            return Ok(None);
        }
        let where_ = match config.get("where").filter(|setting| !setting.value.is_null()) {
            Some(setting) => Some(self.text_of("where", setting)?),
            None => None,
        };
        let (kind, query, config) = match self.generics.get(&declared.test) {
            Some(generic) => self.generic(table, where_.as_deref(), &declared, generic, config)?,
            None => {
                let (kind, query) = self.builtin(table, where_.as_deref(), &declared)?;
                (kind, query, config)
            }
        };
        let name = declared.full_name(prefix, label);
        let mut test = self.finish(name, &table.name, kind, &config, query, &declared.at)?;
        test.column = declared.column;
        test.where_ = where_;
        let own = self.node(&table.name);
        test.depends_on.retain(|node| *node != own);
        test.depends_on.insert(0, own);
        Ok(Some(test))
    }

    /// A query of its own under the test folder. `None` if disabled.
    pub fn singular(&self, file: &Arc<SourceFile>) -> Result<Option<DataTest>> {
        let at = Location::top(&file.path);
        let outer = self.defaults.iter().map(|(k, s)| (k.clone(), s.value.clone())).collect();
        let rendered = self.jinja.render(&file.text, file, outer, Vec::new())?;
        let mut config = self.defaults.clone();
        config::merge(&mut config, found_config(&rendered.found, file, &file.text));
        config::check(&config)?;
        if !config::flag(&config, "enabled", true)? {
            return Ok(None);
        }
        let name = file.path.rsplit('/').next().unwrap_or(&file.path).trim_end_matches(".sql");
        let query = Query { text: rendered.text, map: rendered.map, found: rendered.found };
        let mut test = self.finish(name.to_owned(), "", TestKind::Singular, &config, query, &at)?;
        match test.depends_on.first() {
            Some(first) => test.model = first.name().to_owned(),
            None => {
                return Err(Error::invalid(at, format!("the test \"{name}\" reads no model"))
                    .hinted("name what it tests with ref()".to_owned()));
            }
        }
        Ok(Some(test))
    }

    fn unknown(&self, declared: &Declaration) -> Error {
        if declared.test.contains('.') {
            let message = format!("the test \"{}\" is not supported yet", declared.test);
            return Error::invalid(declared.at.clone(), message)
                .hinted("packages are not: write it as a test under tests/generic".to_owned());
        }
        let known = builtin::NAMES.iter().copied().chain(self.generics.keys().map(String::as_str));
        Error::invalid(declared.at.clone(), format!("no data test is named \"{}\"", declared.test))
            .hinted(did_you_mean(&declared.test, known))
    }

    /// A text setting with its Jinja evaluated.
    fn text_of(&self, key: &str, setting: &Setting) -> Result<String> {
        let text = setting.value.as_str().ok_or_else(|| config::wrong(key, setting, "a text"))?;
        let file = Arc::new(SourceFile::pinned(text, setting.at.clone()));
        Ok(self.jinja.render(text, &file, BTreeMap::new(), Vec::new())?.text)
    }

    /// An argument's value: text that is a call of ref(), source(), var() or env_var(), bare or in
    /// braces, is evaluated, as in dbt.
    fn argument(&self, setting: &Setting, found: &mut Found) -> Result<Value> {
        let Some(text) = setting.value.as_str() else {
            return Ok(to_jinja(&setting.value));
        };
        let bare = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
        let calls = ["ref(", "source(", "var(", "env_var("];
        if !bare.ends_with(')') || !calls.iter().any(|call| bare.starts_with(call)) {
            return Ok(Value::from(text));
        }
        let file = Arc::new(SourceFile::pinned(bare, setting.at.clone()));
        let (value, asked) = self.jinja.evaluate(bare, &file)?;
        found.refs.extend(asked.refs);
        found.sources.extend(asked.sources);
        Ok(value)
    }

    fn builtin(
        &self,
        table: &Relation,
        where_: Option<&str>,
        declared: &Declaration,
    ) -> Result<(TestKind, Query)> {
        let mut found = self.reading(table);
        let (mut to, mut to_sql) = (None, String::new());
        if let Some(setting) = declared.arguments.get("to") {
            let value = self.argument(setting, &mut found)?;
            let relation = value
                .downcast_object_ref::<Relation>()
                .ok_or_else(|| config::wrong("to", setting, "a ref() or source()"))?;
            to = Some(relation.name.clone());
            to_sql = relation.sql.clone();
        }
        let kind = builtin::kind(declared, to)?;
        let text = builtin::sql(&kind, &filtered(table, where_), &to_sql)
            .ok_or_else(|| Error::Bug(format!("\"{}\" is no test of dbt's", declared.test)))?;
        let file = Arc::new(SourceFile::pinned("", declared.at.clone()));
        let mut map = SourceMap::default();
        map.push(0..text.len(), &file, 0, false);
        Ok((kind, Query { text, map, found }))
    }

    fn generic(
        &self,
        table: &Relation,
        where_: Option<&str>,
        declared: &Declaration,
        generic: &GenericTest,
        mut config: Config,
    ) -> Result<(TestKind, Query, Config)> {
        let mut found = self.reading(table);
        let mut given = BTreeMap::new();
        let model = Relation { sql: filtered(table, where_), ..table.clone() };
        given.insert("model".to_owned(), Value::from_object(model));
        if let Some(column) = &declared.column {
            given.insert("column_name".to_owned(), Value::from(column.as_str()));
        }
        for (key, setting) in &declared.arguments {
            given.insert(key.clone(), self.argument(setting, &mut found)?);
        }
        let names = generic.bind(&given, self.jinja, &declared.at)?;
        let outer = config.iter().map(|(key, s)| (key.clone(), s.value.clone())).collect();
        let rendered = self.jinja.render(&generic.template, &generic.file, outer, names)?;
        // What the test's own file sets gives way to what its declaration sets.
        let own = found_config(&rendered.found, &generic.file, &generic.template);
        for (key, setting) in own {
            if !declared.config.contains_key(&key) {
                config.insert(key, setting);
            }
        }
        found.refs.extend(rendered.found.refs);
        found.sources.extend(rendered.found.sources);
        let arguments =
            declared.arguments.iter().map(|(key, s)| (key.clone(), s.value.clone())).collect();
        let kind = TestKind::Generic { test: declared.test.clone(), arguments };
        Ok((kind, Query { text: rendered.text, map: rendered.map, found }, config))
    }

    fn finish(
        &self,
        name: String,
        model: &str,
        kind: TestKind,
        config: &Config,
        query: Query,
        at: &Location,
    ) -> Result<DataTest> {
        let mut depends_on: Vec<Node> = Vec::new();
        for read in &query.found.refs {
            let own = self.models.iter().find(|model| model.name == *read && !model.is_stored());
            match own {
                Some(ephemeral) => depends_on.extend(ephemeral.depends_on.iter().cloned()),
                None => depends_on.push(Node::Model(read.clone())),
            }
        }
        let sources = query.found.sources.iter().filter_map(|key| self.sources.get(key));
        depends_on.extend(sources.map(|name| Node::Source(name.clone())));
        let mut seen = Vec::new();
        depends_on.retain(|node| {
            !seen.contains(node) && {
                seen.push(node.clone());
                true
            }
        });
        let ctes = behind(&query.found.refs, self.ephemerals);
        let (sql, map) = with_ctes(query.text, query.map, &ctes);
        Ok(DataTest {
            name,
            model: model.to_owned(),
            column: None,
            kind,
            severity: severity(config)?,
            where_: None,
            sql,
            depends_on,
            location: at.clone(),
            map,
        })
    }

    fn node(&self, table: &str) -> Node {
        match self.models.iter().any(|model| model.name == table) {
            true => Node::Model(table.to_owned()),
            false => Node::Source(table.to_owned()),
        }
    }

    /// A query that so far reads the tested table, if that is a model.
    fn reading(&self, table: &Relation) -> Found {
        let mut found = Found::default();
        if self.models.iter().any(|model| model.name == table.name) {
            found.refs.push(table.name.clone());
        }
        found
    }
}

/// The table as a test reads it.
fn filtered(table: &Relation, where_: Option<&str>) -> String {
    match where_ {
        Some(condition) => format!(
            "(\n    select * from {}\n    where {condition}\n) as {}",
            table.sql,
            quoted("dbt_subquery")
        ),
        None => table.sql.clone(),
    }
}

fn found_config(found: &Found, file: &SourceFile, template: &str) -> Config {
    let place = |key: &str| file.locate(find_config(template, key));
    let settings = found.config.iter();
    settings.map(|(k, v)| (k.clone(), Setting { value: v.clone(), at: place(k) })).collect()
}

//! dbt's Jinja: a template in, SQL and the way back to the template's lines out.
//!
//! It stands between the project's files and the SQL planner. Templates see the project and the
//! variables, never rows: whatever would query the warehouse while rendering is refused by name.
//!
//! Line breaks of a template stay where they are, so that without loops a line of the SQL is the
//! same line of the file; `SourceMap` knows the rest exactly.

pub mod blocks;
pub mod context;
pub mod methods;
pub mod objects;
pub mod refuse;
pub mod relation;
pub mod source;
pub mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use minijinja::value::Value;
use minijinja::{Environment, Error as JinjaError, OutputSpanKind, UndefinedBehavior};
use serde_json::Value as Json;

use crate::error::Result;
use crate::jinja::context::{Desk, Found, Scope, WantsVariable, open};
use crate::jinja::relation::Relation;
use crate::jinja::source::{SourceFile, SourceMap};
use crate::project::Target;

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The renderer of one project.
pub struct Jinja<'a> {
    env: Environment<'static>,
    desk: Desk,
    lookup: Lookup<'a>,
    /// The text of all macro files, put before every template so that all macros share its state.
    prelude: String,
    /// Where each macro file begins in the prelude.
    macro_files: Vec<(usize, Arc<SourceFile>)>,
    macro_names: Vec<String>,
}

/// A rendered template.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    pub text: String,
    pub map: SourceMap,
    pub found: Found,
}

impl<'a> Jinja<'a> {
    /// A renderer over a scope.
    pub fn new(scope: Scope, target: &Target, lookup: Lookup<'a>) -> Self {
        let desk: Desk = Arc::new(Mutex::new(scope));
        let mut env = Environment::new();
        env.set_debug(true);
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_recursion_limit(100);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.set_unknown_method_callback(methods::call);
        context::install(&mut env, &desk, target);
        let (prelude, macro_files, macro_names) = (String::new(), Vec::new(), Vec::new());
        Self { env, desk, lookup, prelude, macro_files, macro_names }
    }

    /// Makes a file's macros usable by every template after it.
    pub fn add_macros(&mut self, file: Arc<SourceFile>) {
        for piece in file.text.split("macro ").skip(1) {
            let name: String = piece
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            self.macro_names.push(name);
        }
        self.macro_files.push((self.prelude.len(), Arc::clone(&file)));
        self.prelude.push_str(&file.text);
        self.prelude.push('\n');
    }

    /// Changes what templates may read.
    pub fn change(&self, change: impl FnOnce(&mut Scope)) {
        change(&mut open(&self.desk));
    }

    /// Renders `text`, whose bytes have the places of `file`'s. `outer` is the configuration from
    /// outside the file; `this` and the rest of `names` are the template's own variables.
    pub fn render(
        &self,
        text: &str,
        file: &Arc<SourceFile>,
        outer: BTreeMap<String, Json>,
        names: Vec<(String, Value)>,
    ) -> Result<Rendered> {
        let source = format!("{}{text}", self.prelude);
        open(&self.desk).outer = outer;
        loop {
            open(&self.desk).found = Found::default();
            match self.attempt(&source, file, &names) {
                Ok(rendered) => return Ok(rendered),
                Err(error) => self.answer(&error).then_some(()).ok_or_else(|| {
                    refuse::convert(&error, &source, &self.macro_names, |at| {
                        let (file, offset) = self.place(file, at);
                        file.locate(offset)
                    })
                })?,
            }
        }
    }

    /// Evaluates one expression, such as `ref('a')` or `1 + 1`.
    pub fn evaluate(&self, text: &str, file: &Arc<SourceFile>) -> Result<(Value, Found)> {
        loop {
            open(&self.desk).found = Found::default();
            match self.env.compile_expression(text).and_then(|compiled| compiled.eval(())) {
                Ok(value) => return Ok((value, open(&self.desk).found.clone())),
                Err(error) => self.answer(&error).then_some(()).ok_or_else(|| {
                    refuse::convert(&error, text, &self.macro_names, |at| file.locate(at))
                })?,
            }
        }
    }

    fn attempt(
        &self,
        source: &str,
        file: &Arc<SourceFile>,
        names: &[(String, Value)],
    ) -> std::result::Result<Rendered, JinjaError> {
        let template = self.env.template_from_named_str(&file.path, source)?;
        let context = Value::from_pairs(names.iter().map(|(name, v)| (name.as_str(), v.clone())));
        let (output, spans) = template.render_with_spans(context)?;
        // What the macro files say outside their macros is not the template's; a run of text may
        // begin in them and go on in the template.
        let own = |span: &&minijinja::OutputSpan| span.source_range().end > self.prelude.len();
        let ahead = |source: usize| self.prelude.len().saturating_sub(source);
        let begin = spans.iter().find(own).map_or(output.len(), |span| {
            span.output_range().start + ahead(span.source_range().start)
        });
        let mut map = SourceMap::default();
        for span in spans.iter().filter(own) {
            let (range, source) = (span.output_range(), span.source_range().start);
            let (file, offset) = self.place(file, source.max(self.prelude.len()));
            let start = range.start.max(begin) - begin;
            map.push(start..range.end - begin, &file, offset, span.kind() == OutputSpanKind::Raw);
        }
        let found = open(&self.desk).found.clone();
        Ok(Rendered { text: output[begin..].to_owned(), map, found })
    }

    /// The file and offset of a byte of the prelude and template.
    fn place(&self, file: &Arc<SourceFile>, at: usize) -> (Arc<SourceFile>, usize) {
        if at >= self.prelude.len() {
            return (Arc::clone(file), at - self.prelude.len());
        }
        let after = self.macro_files.partition_point(|(start, _)| *start <= at);
        match self.macro_files.get(after.saturating_sub(1)) {
            Some((start, found)) => (Arc::clone(found), at - start),
            None => (Arc::clone(file), 0),
        }
    }

    /// Looks up the variable that a render stopped at; false if it stopped for another reason.
    fn answer(&self, error: &JinjaError) -> bool {
        let Some(WantsVariable(name)) = refuse::cause(error) else {
            return false;
        };
        let text = (self.lookup)(name);
        open(&self.desk).env.insert(name.clone(), text).is_none()
    }

    /// The relation of a model's name, for a test's `model`.
    pub fn relation(&self, name: &str) -> Option<Relation> {
        let scope = open(&self.desk);
        let mut all = scope.models.values().chain(scope.sources.values());
        all.find(|relation| relation.name == name).cloned()
    }
}

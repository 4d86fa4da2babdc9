//! Drafts to models: rendered twice, as dbt does. The first time tells configuration and
//! references, which give the order; the second time everything is known and the SQL is kept.
//!
//! It must never give a model whose parents come after it.

use std::collections::BTreeMap;

use crate::error::{Error, Location, Result};
use crate::graph::{self, Vertex};
use crate::jinja::context::Found;
use crate::jinja::relation::quoted;
use crate::jinja::{Jinja, Rendered};
use crate::project::config::{self, Config};
use crate::project::draft::{Draft, find_ref};
use crate::project::fingerprint;
use crate::project::inline::{Ephemeral, behind, cte_name, with_ctes};
use crate::project::model::{Materialized, Model, Node};
use crate::project::prepare::{Prepared, plain, prepare, properties, render};
use crate::project::properties::{Declared, Properties};
use crate::project::settings::Settings;
use crate::project::source::Source;

/// What compiling gives: models in build order and the ephemeral ones for tests to inline.
pub struct Compiled {
    pub models: Vec<Model>,
    pub ephemerals: Vec<Ephemeral>,
    /// Models that `enabled: false` leaves out.
    pub disabled: Vec<String>,
}

/// Compiles all drafts. The renderer's scope must know every model and source by now.
pub fn compile(
    drafts: Vec<Draft>,
    declared: &Declared,
    settings: &Settings,
    jinja: &Jinja<'_>,
) -> Result<Compiled> {
    let mut prepared = Vec::new();
    let mut disabled = Vec::new();
    for draft in drafts {
        let name = draft.name.clone();
        match prepare(draft, declared, settings, jinja)? {
            Some(one) => prepared.push(one),
            None => disabled.push(name),
        }
    }
    let order = graph::order(&vertices(&prepared, &disabled)?)?;
    jinja.change(|scope| {
        scope.models.retain(|name, _| !disabled.contains(name));
        for one in prepared.iter().filter(|one| one.materialized == Materialized::Ephemeral) {
            if let Some(relation) = scope.models.get_mut(&one.draft.name) {
                relation.sql = quoted(&cte_name(&one.draft.name));
            }
        }
    });
    let sources: BTreeMap<_, _> = declared
        .sources
        .iter()
        .map(|(source, _)| ((source.name.clone(), source.table.clone()), source))
        .collect();
    let mut built = Built { sources, models: Vec::new(), ephemerals: Vec::new() };
    for at in order {
        let one = &prepared[at];
        let rendered = render(&one.draft, one.outer.clone(), jinja)?;
        built.add(one, rendered, properties(&one.draft, declared))?;
    }
    Ok(Compiled { models: built.models, ephemerals: built.ephemerals, disabled })
}

/// The graph: a reference to what is disabled is refused here, one to nothing by the renderer.
fn vertices(prepared: &[Prepared], disabled: &[String]) -> Result<Vec<Vertex>> {
    let mut layers: Vec<&str> = Vec::new();
    let mut vertices = Vec::new();
    for one in prepared {
        let draft = &one.draft;
        let layer = layers.iter().position(|layer| *layer == draft.layer).unwrap_or_else(|| {
            layers.push(&draft.layer);
            layers.len() - 1
        });
        let mut reads = Vec::new();
        for name in &one.found.refs {
            let at: Location = draft.file.locate(find_ref(&draft.template, name));
            if disabled.contains(name) && !prepared.iter().any(|one| one.draft.name == *name) {
                let message = format!("\"{}\" reads \"{name}\", which is disabled", draft.name);
                return Err(Error::invalid(at, message));
            }
            reads.push((name.clone(), at));
        }
        vertices.push(Vertex {
            name: draft.name.clone(),
            layer,
            location: draft.at.clone(),
            reads,
        });
    }
    Ok(vertices)
}

/// Models built so far, in order.
struct Built<'a> {
    sources: BTreeMap<(String, String), &'a Source>,
    models: Vec<Model>,
    ephemerals: Vec<Ephemeral>,
}

impl Built<'_> {
    fn add(
        &mut self,
        one: &Prepared,
        rendered: Rendered,
        described: Option<&Properties>,
    ) -> Result<()> {
        let is_ephemeral = |name: &&String| self.ephemerals.iter().any(|e| e.name == **name);
        let inlined: Vec<String> =
            rendered.found.refs.iter().filter(is_ephemeral).cloned().collect();
        let depends_on = self.reads(&rendered.found);
        let bare = (rendered.text.clone(), rendered.map.clone());
        let (sql, map) =
            with_ctes(rendered.text, rendered.map, &behind(&inlined, &self.ephemerals));
        if fingerprint::first_letter(&sql) == sql.len() {
            let message = format!("the model \"{}\" has no SQL", one.draft.name);
            return Err(Error::invalid(one.draft.at.clone(), message));
        }
        let unique_key = unique_key(&one.config)?;
        let model = Model {
            name: one.draft.name.clone(),
            layer: one.draft.layer.clone(),
            path: one.draft.file.path.clone(),
            raw: one.draft.file.text.clone(),
            fingerprint: self.fingerprint(one, &sql, &unique_key, &depends_on),
            sql,
            materialized: one.materialized.clone(),
            unique_key,
            depends_on,
            description: described.map(|d| d.description.clone()).unwrap_or_default(),
            columns: described.map(|d| d.columns.clone()).unwrap_or_default(),
            config: plain(&one.config),
            location: one.draft.at.clone(),
            map,
        };
        if one.materialized == Materialized::Ephemeral {
            let (sql, map) = bare;
            let name = one.draft.name.clone();
            self.ephemerals.push(Ephemeral { name, sql, map, reads: inlined });
        }
        self.models.push(model);
        Ok(())
    }

    /// What a template reads, ephemeral models replaced by what they read.
    fn reads(&self, found: &Found) -> Vec<Node> {
        let mut reads: Vec<Node> = Vec::new();
        let mut add = |node: Node| {
            if !reads.contains(&node) {
                reads.push(node);
            }
        };
        for name in &found.refs {
            match self.models.iter().find(|model| model.name == *name) {
                Some(model) if !model.is_stored() => {
                    model.depends_on.iter().cloned().for_each(&mut add);
                }
                _ => add(Node::Model(name.clone())),
            }
        }
        for key in &found.sources {
            if let Some(source) = self.sources.get(key) {
                add(Node::Source(source.relation_name()));
            }
        }
        reads
    }

    fn fingerprint(&self, one: &Prepared, sql: &str, unique_key: &[String], reads: &[Node]) -> u64 {
        let mut parts = vec![
            one.draft.name.clone(),
            fingerprint::essence(sql),
            format!("{:?}", one.materialized),
            unique_key.join("\n"),
        ];
        for node in reads {
            parts.push(node.name().to_owned());
            match node {
                Node::Model(name) => parts.extend(
                    self.models
                        .iter()
                        .filter(|m| m.name == *name)
                        .map(|m| m.fingerprint.to_string()),
                ),
                Node::Source(name) => parts.extend(
                    self.sources.values().filter(|s| s.relation_name() == *name).flat_map(|s| {
                        let typed =
                            s.columns.iter().map(|c| format!("{} {:?}", c.name, c.data_type));
                        typed.chain([s.primary_key.join("\n")])
                    }),
                ),
            }
        }
        fingerprint::of(parts.iter().map(String::as_str))
    }
}

/// `unique_key`, else `meta.unique_key`.
fn unique_key(config: &Config) -> Result<Vec<String>> {
    let own = config::texts(config, "unique_key")?;
    let Some(meta) = config.get("meta").filter(|_| own.is_empty()) else {
        return Ok(own);
    };
    match meta.value.get("unique_key") {
        Some(key) => config::text_list(key)
            .ok_or_else(|| config::wrong("meta.unique_key", meta, "a text or a list")),
        None => Ok(own),
    }
}

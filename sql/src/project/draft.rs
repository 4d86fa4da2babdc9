//! Drafts: every model and snapshot as a template with a name and a place, before it is rendered.
//!
//! It stands between the files and the compiler. It reads names and folders only; it must never
//! look at what a template says.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Location, Result, did_you_mean};
use crate::jinja::blocks::cut;
use crate::jinja::source::SourceFile;
use crate::project::properties::{Declared, Properties};
use crate::project::settings::{Settings, below, layer};

/// A model or snapshot that is not rendered yet.
#[derive(Debug, Clone)]
pub struct Draft {
    pub name: String,
    pub layer: String,
    pub is_snapshot: bool,
    /// What Jinja gets: the file, or a snapshot's block in its place.
    pub template: String,
    pub file: Arc<SourceFile>,
    pub at: Location,
    /// Project, folders below the model path, name: the path through dbt_project.yml's trees.
    pub folders: Vec<String>,
}

/// All drafts: models in the order of their folders, then snapshots. Properties without a model
/// and two things of one name are refused.
pub fn collect(
    files: &BTreeMap<String, String>,
    settings: &Settings,
    declared: &Declared,
) -> Result<Vec<Draft>> {
    let mut drafts = Vec::new();
    for folder in &settings.model_paths {
        for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".sql")) {
            match below(&settings.model_paths, path) {
                Some((own, rest)) if own == folder => {
                    drafts.push(model(settings, folder, rest, path, text));
                }
                _ => {}
            }
        }
    }
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".sql")) {
        if let Some((folder, rest)) = below(&settings.snapshot_paths, path) {
            drafts.extend(snapshots(settings, folder, rest, path, text)?);
        }
    }
    for (name, properties) in &declared.snapshots {
        drafts.extend(from_relation(settings, name, properties)?);
    }
    match_properties(&drafts, &declared.models, false)?;
    match_properties(&drafts, &declared.snapshots, true)?;
    Ok(drafts)
}

fn folders(settings: &Settings, rest: &str, name: &str) -> Vec<String> {
    let mut path: Vec<String> = vec![settings.name.clone()];
    let mut steps: Vec<&str> = rest.split('/').collect();
    steps.pop();
    path.extend(steps.into_iter().map(str::to_owned));
    path.push(name.to_owned());
    path
}

fn model(settings: &Settings, folder: &str, rest: &str, path: &str, text: &str) -> Draft {
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".sql");
    Draft {
        name: stem.to_owned(),
        layer: layer(&settings.model_paths, folder, rest),
        is_snapshot: false,
        template: text.to_owned(),
        file: Arc::new(SourceFile::new(path, text)),
        at: Location::top(path),
        folders: folders(settings, rest, stem),
    }
}

fn snapshots(
    settings: &Settings,
    folder: &str,
    rest: &str,
    path: &str,
    text: &str,
) -> Result<Vec<Draft>> {
    let file = Arc::new(SourceFile::new(path, text));
    let blocks = cut(&file, &["snapshot"])?;
    if blocks.is_empty() {
        return Err(Error::invalid(Location::top(path), "this file holds no snapshot")
            .hinted("wrap the query in {% snapshot name %} .. {% endsnapshot %}".to_owned()));
    }
    let layer = folder.rsplit('/').next().unwrap_or(folder);
    Ok(blocks
        .into_iter()
        .map(|block| Draft {
            layer: layer.to_owned(),
            is_snapshot: true,
            template: block.text,
            file: Arc::clone(&file),
            at: file.locate(block.offset),
            folders: folders(settings, rest, &block.name),
            name: block.name,
        })
        .collect())
}

/// A snapshot that yml declares over one relation.
fn from_relation(
    settings: &Settings,
    name: &str,
    properties: &Properties,
) -> Result<Option<Draft>> {
    let Some(relation) = &properties.relation else {
        return Ok(None);
    };
    let expression = relation.text("relation")?;
    let expression = expression.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
    if !expression.starts_with("ref(") && !expression.starts_with("source(") {
        return Err(Error::invalid(relation.at.clone(), "relation: must be a ref() or source()")
            .hinted("write relation: ref('model')".to_owned()));
    }
    let folder = settings.snapshot_paths.first().map_or("snapshots", String::as_str);
    let template = format!("select * from {{{{ {expression} }}}}");
    Ok(Some(Draft {
        name: name.to_owned(),
        layer: folder.rsplit('/').next().unwrap_or(folder).to_owned(),
        is_snapshot: true,
        file: Arc::new(SourceFile::pinned(template.clone(), relation.at.clone())),
        template,
        at: properties.at.clone(),
        folders: vec![settings.name.clone(), name.to_owned()],
    }))
}

fn match_properties(
    drafts: &[Draft],
    properties: &BTreeMap<String, Properties>,
    is_snapshot: bool,
) -> Result<()> {
    let of_kind = || drafts.iter().filter(|draft| draft.is_snapshot == is_snapshot);
    for (name, described) in properties {
        if !of_kind().any(|draft| draft.name == *name) {
            let what = if is_snapshot { "snapshot" } else { "model" };
            let message = format!("\"{name}\" is described here, but no such {what} exists");
            return Err(Error::invalid(described.at.clone(), message)
                .hinted(did_you_mean(name, of_kind().map(|draft| draft.name.as_str()))));
        }
        if !is_snapshot && let Some(relation) = &described.relation {
            return Err(Error::invalid(relation.at.clone(), "a model has no relation:")
                .hinted("a snapshot has one: list it under snapshots:".to_owned()));
        }
    }
    Ok(())
}

/// Byte offset of the `ref(..)` in a template that names a model; best effort, 0 if not found.
pub fn find_ref(template: &str, name: &str) -> usize {
    let quoted = [format!("'{name}'"), format!("\"{name}\"")];
    template
        .match_indices("ref")
        .find(|(at, word)| {
            let rest = template[at + word.len()..].trim_start();
            let arguments = rest.strip_prefix('(').and_then(|rest| rest.split(')').next());
            arguments.is_some_and(|text| quoted.iter().any(|name| text.contains(name)))
        })
        .map_or(0, |(at, _)| at)
}

/// Byte offset of the value that a `config(..)` call gives a key; best effort, else of the call.
pub fn find_config(template: &str, key: &str) -> usize {
    let call = template
        .match_indices("config")
        .find(|(at, word)| template[at + word.len()..].trim_start().starts_with('('))
        .map_or(0, |(at, _)| at);
    for (ahead, word) in template[call..].match_indices(key) {
        let at = call + ahead;
        let part = |c: char| c.is_alphanumeric() || c == '_';
        if template[..at].ends_with(part) {
            continue;
        }
        let rest = &template[at + word.len()..];
        let sign = rest.trim_start_matches(['\'', '"']).trim_start();
        if let Some(value) = sign.strip_prefix(['=', ':']) {
            return template.len() - value.trim_start().len();
        }
    }
    call
}

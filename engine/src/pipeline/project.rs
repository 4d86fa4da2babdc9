//! Reading a dbt project's files from a folder, for the pure reader.

use std::collections::BTreeMap;
use std::path::Path;

use freshet_sql::project::{Project, Target};

use crate::error::{Error, Result};

/// Folders that dbt writes itself.
const SKIPPED: [&str; 3] = ["target", "logs", "dbt_packages"];
const ENDINGS: [&str; 3] = ["sql", "yml", "yaml"];

/// Loads the project in `folder`; places in errors are relative to it.
pub fn load(folder: &Path, vars: &BTreeMap<String, serde_json::Value>) -> Result<Project> {
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files)?;
    if !files.contains_key("dbt_project.yml") {
        return Err(Error::invalid(format!("no dbt_project.yml in \"{}\"", folder.display()))
            .with_hint("set models.dir in freshet.toml to the folder of the dbt project"));
    }
    let project = Project::load(&files, vars, &|name| std::env::var(name).ok(), &target())?;
    for notice in &project.notices {
        tracing::info!(place = %notice.location, "{}", notice.message);
    }
    Ok(project)
}

/// What models see as `target`, wherever the project's files come from.
pub fn target() -> Target {
    Target {
        name: "freshet".to_owned(),
        schema: "analytics".to_owned(),
        database: "banking".to_owned(),
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let failed = |path: &Path, e: std::io::Error| {
        Error::invalid(format!("cannot read \"{}\": {e}", path.display()))
            .with_hint("models.dir in freshet.toml names the folder of the dbt project")
    };
    for entry in std::fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        let path = entry.map_err(|e| failed(folder, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !SKIPPED.contains(&name) && !name.starts_with('.') {
                collect(root, &path, files)?;
            }
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e)) {
            let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            files.insert(relative.to_string_lossy().replace('\\', "/"), text);
        }
    }
    Ok(())
}

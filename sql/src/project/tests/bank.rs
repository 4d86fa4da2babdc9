//! The bank's own project, as it stands in the repository, loads.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::project::{Project, Target};

#[test]
fn the_bank_loads() {
    fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, files);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, text);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let mut files = BTreeMap::new();
    walk(&root, &root, &mut files);
    let target = Target { name: "dev".into(), schema: "a".into(), database: "b".into() };
    let vars: BTreeMap<String, Json> = BTreeMap::new();
    let project =
        Project::load(&files, &vars, &|_| None, &target).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.name, "bank");
    let layers: Vec<_> = project.models.iter().map(|m| (&m.layer[..], &m.name[..])).collect();
    for expected in [
        ("staging", "stg_customers"),
        ("snapshots", "customers_snapshot"),
        ("marts", "dim_customers"),
        ("marts", "fact_transactions"),
    ] {
        assert!(layers.contains(&expected), "{layers:?}");
    }
    assert_eq!(project.sources.len(), 3);
    assert!(project.models.iter().all(|model| !model.unique_key.is_empty()));
    assert!(project.tests.len() > 50, "{}", project.tests.len());
    assert!(project.notices.is_empty(), "{:?}", project.notices);
}

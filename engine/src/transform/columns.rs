//! What a model's columns must be: those that a snapshot's configuration names, and no name twice.
//!
//! Pure, over schemas: it must never look at rows.

use arrow::datatypes::SchemaRef;
use freshet_sql::lineage::Lineage;
use freshet_sql::materialize::snapshot::{SnapshotSpec, Strategy};
use freshet_sql::plan::Prepared;
use freshet_sql::project::model::Model;
use freshet_sql::project::snapshot::{CheckColumns, SnapshotConfig, Strategy as DbtStrategy};

use crate::error::{Error, Result};

pub(super) fn snapshot_spec(
    model: &Model,
    config: &SnapshotConfig,
    query: &Prepared,
    lineage: &Lineage,
) -> Result<SnapshotSpec> {
    let schema = query.schema();
    let at = &model.location;
    if config.valid_to_current.is_some() {
        return Err(Error::invalid(format!(
            "{at}: `dbt_valid_to_current` of snapshot \"{}\" is not supported yet",
            model.name
        ))
        .with_hint("leave it out: a current version has a null `dbt_valid_to`"));
    }
    let position = |name: &String| {
        schema.index_of(name).map_err(|_| {
            Error::invalid(format!("{at}: snapshot \"{}\" has no column `{name}`", model.name))
        })
    };
    let audit = |i: &usize| lineage.audit.contains(schema.field(*i).name());
    let strategy = match &config.strategy {
        DbtStrategy::Check { columns: CheckColumns::All, .. } => {
            Strategy::Check((0..schema.fields().len()).filter(|i| !audit(i)).collect())
        }
        DbtStrategy::Check { columns: CheckColumns::Columns(names), .. } => {
            Strategy::Check(names.iter().map(position).collect::<Result<_>>()?)
        }
        DbtStrategy::Timestamp { updated_at } => Strategy::Timestamp(position(updated_at)?),
    };
    Ok(SnapshotSpec {
        unique_key: config.unique_key.iter().map(position).collect::<Result<_>>()?,
        query: schema.clone(),
        strategy,
        hard_deletes: config.hard_deletes,
        names: config.names.clone(),
    })
}

pub(super) fn reject_duplicates(schema: &SchemaRef) -> freshet_sql::error::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for field in schema.fields() {
        if !seen.insert(field.name().to_lowercase()) {
            return Err(freshet_sql::error::Error::invalid_nowhere(format!(
                "two columns are named `{}`",
                field.name()
            ))
            .hinted(Some("give one of them another alias".to_owned())));
        }
    }
    Ok(())
}

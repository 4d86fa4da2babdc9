//! The source tables that the project declares: names, columns, keys, and where they lie.

use std::collections::BTreeMap;
use std::sync::Arc;

use freshet_sql::project::Project;
use freshet_sql::project::source::Source;

use crate::envelope::options::Options;
use crate::envelope::schema::{Column, ColumnKind, TableSchema};
use crate::error::{Error, Result};
use crate::lake::current;
use crate::lake::layout;
use crate::lake::spec::TableSpec;
use crate::transform::planned::SourceColumns;

/// One declared source table.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// Its relation's name in compiled SQL.
    pub relation: String,
    /// The folder's name under `raw/` and `source/`.
    pub folder: String,
    /// Its columns and key.
    pub schema: Arc<TableSchema>,
}

impl SourceTable {
    /// What the lake stores of it. The digest covers the source's own columns.
    pub fn spec(&self) -> TableSpec {
        TableSpec {
            path: layout::source(&self.folder),
            schema: current::schema(&self.schema),
            identity: current::identity(&self.schema),
            digest: (0..self.schema.columns.len()).collect(),
            order: Vec::new(),
        }
    }

    /// What the planner sees of it.
    pub fn columns(&self) -> SourceColumns {
        let name = |at: &usize| self.schema.columns[*at].name.clone();
        SourceColumns {
            relation: self.relation.clone(),
            schema: current::schema(&self.schema),
            key: self.schema.key.iter().map(name).collect(),
        }
    }
}

/// Source tables by `schema.table`, as events name them.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tables: BTreeMap<Arc<str>, SourceTable>,
}

impl Catalog {
    /// The project's sources; every column needs a type.
    pub fn of(project: &Project, options: &Options) -> Result<Self> {
        let mut tables = BTreeMap::new();
        let mut folders: BTreeMap<String, usize> = BTreeMap::new();
        for source in &project.sources {
            *folders.entry(source.identifier.clone()).or_default() += 1;
        }
        for source in &project.sources {
            let name: Arc<str> = format!("{}.{}", source.schema, source.identifier).into();
            let alone = folders.get(&source.identifier) == Some(&1);
            let folder = if alone { source.identifier.clone() } else { name.to_string() };
            let schema = Arc::new(table_schema(source, name.clone(), options)?);
            tables.insert(name, SourceTable { relation: source.relation_name(), folder, schema });
        }
        Ok(Self { tables })
    }

    /// A table by the name that events use.
    pub fn get(&self, table: &str) -> Option<&SourceTable> {
        self.tables.get(table)
    }

    /// Every source as the planner sees it.
    pub fn columns(&self) -> Vec<SourceColumns> {
        self.iter().map(|(_, table)| table.columns()).collect()
    }

    /// All tables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &SourceTable)> {
        self.tables.iter()
    }

    /// Where raw events of a table lie, declared or not.
    pub fn raw_folder(&self, table: &str) -> String {
        match self.tables.get(table) {
            Some(known) => known.folder.clone(),
            None => table.to_owned(),
        }
    }
}

fn table_schema(source: &Source, name: Arc<str>, options: &Options) -> Result<TableSchema> {
    let place = format!("{}: source \"{}.{}\"", source.location, source.name, source.table);
    let hint = "`freshet sources` writes columns, types and keys from the PostgreSQL catalog";
    let mut columns = Vec::new();
    for column in source.columns.iter().filter(|c| !current::ADDED.contains(&c.name.as_str())) {
        let Some(words) = &column.data_type else {
            let message = format!("{place}: column `{}` has no data_type", column.name);
            return Err(Error::invalid(message).with_hint(hint));
        };
        let kind = ColumnKind::from_postgres(words)
            .map_err(|e| Error::invalid(format!("{place}: column `{}`: {e}", column.name)))?;
        columns.push(Column::new(&column.name, kind));
    }
    if columns.is_empty() {
        let message = format!("{place} declares no columns");
        return Err(Error::invalid(message).with_hint(hint));
    }
    let position = |key: &String| {
        columns.iter().position(|c| c.name == *key).ok_or_else(|| {
            Error::invalid(format!("{place}: primary key column `{key}` is not among its columns"))
        })
    };
    let key = source.primary_key.iter().map(position).collect::<Result<Vec<_>>>()?;
    Ok(TableSchema { name, columns, key }.sent_with(options.time_precision))
}

//! Rows on their way into temporary tables: staged as Parquet, then copied.
//!
//! Before the transaction, so that no lock is held while files travel.

use serde_json::Value;

use super::{Snowflake, files, stage};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::publish::moves::Push;
use crate::publish::warehouse::Cost;

/// Loads every table of a push.
pub async fn load_all(snowflake: &mut Snowflake, push: &Push, cost: &mut Cost) -> Result<()> {
    let mut place = Place::default();
    for table in &push.tables {
        let load = Load {
            create: snowflake.names.create_load(&table.contract),
            table: snowflake.names.load(&table.contract.table),
            name: table.contract.table.clone(),
            files: files::of_move(&table.what)?,
        };
        load_one(snowflake, push, load, &mut place, cost).await?;
    }
    for raw in &push.raw {
        let name = raw_load(&raw.table);
        let table = snowflake.names.load(&name);
        let create = format!(
            "CREATE OR REPLACE TEMPORARY TABLE {table} (\"DATA\" VARCHAR, \"AT\" TIMESTAMP_NTZ(6))"
        );
        let load = Load { create, table, name, files: files::files(&raw.rows)? };
        load_one(snowflake, push, load, &mut place, cost).await?;
    }
    Ok(())
}

/// `CUSTOMERS` of `RAW.CUSTOMERS`.
pub fn bare(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table)
}

/// The name that a table of RAW is loaded under.
pub fn raw_load(table: &str) -> String {
    format!("RAW_{}", bare(table))
}

/// Where the files of a push go: asked for once, where one answer holds for all of them.
#[derive(Default)]
struct Place(Option<Value>);

impl Place {
    /// The server's word for a file; `folder` and `name` are below the push's own folder.
    async fn of(
        &mut self,
        snowflake: &mut Snowflake,
        push: &Push,
        folder: &str,
        name: &str,
    ) -> Result<(Value, String)> {
        let inside = format!("{folder}/{name}");
        if let Some(known) = &self.0 {
            return Ok((known.clone(), inside));
        }
        let root = format!("{}/{}/", push.lake, push.id);
        let answer = ask_for_upload(snowflake, &root, name).await?;
        // A signed address is one file's.
        if answer["stageInfo"]["presignedUrl"].as_str().is_some_and(|url| !url.is_empty()) {
            let own = ask_for_upload(snowflake, &format!("{root}{folder}/"), name).await?;
            return Ok((own, name.to_owned()));
        }
        self.0 = Some(answer.clone());
        Ok((answer, inside))
    }
}

async fn ask_for_upload(snowflake: &mut Snowflake, folder: &str, name: &str) -> Result<Value> {
    let sql = format!(
        "PUT 'file:///{name}' {} AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE",
        snowflake.names.staged(folder)
    );
    let session = snowflake.session().await?;
    let answer = session.run(&sql).await.map_err(|f| f.into_error("asking for an upload"))?;
    Ok(answer.data)
}

/// A temporary table to make, and the files that fill it.
struct Load {
    create: String,
    table: String,
    name: String,
    files: Vec<files::LoadFile>,
}

/// A temporary table with these rows. It lives as long as the session: it is never run again in
/// another one.
async fn load_one(
    snowflake: &mut Snowflake,
    push: &Push,
    load: Load,
    place: &mut Place,
    cost: &mut Cost,
) -> Result<()> {
    let Load { create, table, name, files: made } = load;
    let session = snowflake.session().await?;
    session.run(&create).await.map_err(|f| f.into_error("making a table to load into"))?;
    if made.is_empty() {
        return Ok(());
    }
    let mut rows = 0;
    for (number, file) in made.into_iter().enumerate() {
        failpoint::hit("staging");
        rows += file.rows;
        cost.bytes += file.body.len() as u64;
        cost.requests += 1;
        let file_name = format!("{number:04}.parquet");
        let (answer, path) = place.of(snowflake, push, &name, &file_name).await?;
        let session = snowflake.session.as_ref().ok_or_else(|| Error::bug("no session"))?;
        stage::upload(session.transport().plain(), &answer, &path, file.body).await?;
    }
    let copy = snowflake.names.copy(&table, &format!("{}/{}/{name}/", push.lake, push.id));
    let session = snowflake.session.as_mut().ok_or_else(|| Error::bug("no session"))?;
    let copied = session.run(&copy).await.map_err(|f| f.into_error("loading staged rows"))?;
    let found = copied.sum("rows_loaded");
    if found != rows as u64 {
        return Err(Error::Unavailable {
            what: format!("{rows} rows were staged for {name}, and {found} were loaded"),
            cause: None,
        });
    }
    failpoint::hit("loaded");
    Ok(())
}

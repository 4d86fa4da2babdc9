//! The questions to `pg_catalog`.
//!
//! What Debezium does not send is left out here, with a notice. It must never ask for rows.

use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, NoTls};

use super::table::{Catalog, Column, Table};
use crate::error::{Error, Result};

const CONNECT_SECONDS_MAX: u64 = 10;

/// Partitions are part of their parent, which is what `publish_via_partition_root` sends.
const TABLES: &str = "select c.oid, c.relname::text, obj_description(c.oid, 'pg_class') \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition \
    order by c.relname collate \"C\"";

/// A domain is followed down to the type it is made of, whose values are what is sent.
const COLUMNS: &str = "with recursive made as ( \
        select attnum, atttypid as type, atttypmod as modifier from pg_attribute \
        where attrelid = $1 and attnum > 0 and not attisdropped \
      union all \
        select m.attnum, t.typbasetype, t.typtypmod \
        from made m join pg_type t on t.oid = m.type where t.typtype = 'd' \
    ) \
    select a.attname::text, format_type(m.type, m.modifier), col_description($1, a.attnum), \
        case when a.attgenerated <> '' then 'generated' when t.typtype = 'e' then 'enum' \
             when t.typtype in ('c', 'm', 'p') \
               or t.typtype = 'r' and t.typnamespace <> 'pg_catalog'::regnamespace then 'unsent' \
             else 'plain' end \
    from made m join pg_type t on t.oid = m.type \
        join pg_attribute a on a.attrelid = $1 and a.attnum = m.attnum \
    where t.typtype <> 'd' order by a.attnum";

const KEY: &str = "select a.attname::text from pg_index i \
    cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, place) \
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum \
    where i.indrelid = $1 and i.indisprimary order by k.place";

/// Which tables are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The schema.
    pub schema: String,
    /// Their names; empty for all of the schema.
    pub tables: Vec<String>,
}

/// Reads the wanted tables, sorted by name.
///
/// # Errors
/// `Unavailable` when the server does not answer; `Invalid` when it refuses, or a table is missing.
pub async fn tables(config: &tokio_postgres::Config, wanted: &Wanted) -> Result<Catalog> {
    let mut config = config.clone();
    config.connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
    let (client, connection) = config.connect(NoTls).await.map_err(|cause| {
        let hosts = config.get_hosts().iter().zip(config.get_ports());
        let hosts = hosts.map(|(host, port)| match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => folder.display().to_string(),
        });
        let hosts: Vec<_> = hosts.collect();
        failed(&format!("connect to {}", hosts.join(", ")), cause)
    })?;
    // It ends with the client; what breaks it reaches us through the client's next question.
    let connection = tokio::spawn(connection);
    let catalog = ask(&client, wanted).await;
    drop(client);
    connection.abort();
    catalog
}

async fn ask(client: &Client, wanted: &Wanted) -> Result<Catalog> {
    // With nothing else on the path, type names read the same for every user.
    client.batch_execute("set search_path = pg_catalog").await.map_err(|e| failed("set", e))?;
    let database = client.query_one("select current_database()::text", &[]).await;
    let database = database.and_then(|row| row.try_get(0)).map_err(|e| failed("database", e))?;
    let mut catalog = Catalog { database, schema: wanted.schema.clone(), ..Catalog::default() };
    let found = client.query(TABLES, &[&wanted.schema]).await.map_err(|e| failed("tables", e))?;
    let mut all = Vec::new();
    for row in found {
        let oid: u32 = row.try_get(0).map_err(|e| failed("tables", e))?;
        let name: String = row.try_get(1).map_err(|e| failed("tables", e))?;
        let comment = row.try_get(2).map_err(|e| failed("tables", e))?;
        if wanted.tables.is_empty() || wanted.tables.contains(&name) {
            let mut table = Table { name: name.clone(), comment, ..Table::default() };
            fill(client, oid, &mut table, &mut catalog.notices).await?;
            catalog.tables.push(table);
        }
        all.push(name);
    }
    match wanted.tables.iter().find(|name| !all.contains(name)) {
        Some(missing) => Err(not_there(missing, wanted, &catalog.database, &all)),
        None if all.is_empty() => {
            let (schema, database) = (&wanted.schema, &catalog.database);
            let message = format!("schema `{schema}` of database `{database}` has no tables");
            Err(Error::invalid(message).with_hint("name another with --schema"))
        }
        None => Ok(catalog),
    }
}

async fn fill(
    client: &Client,
    oid: u32,
    table: &mut Table,
    notices: &mut Vec<String>,
) -> Result<()> {
    let of = |e| failed("columns", e);
    for row in client.query(COLUMNS, &[&oid]).await.map_err(of)? {
        let name: String = row.try_get(0).map_err(of)?;
        let words: String = row.try_get(1).map_err(of)?;
        let kind: String = row.try_get(3).map_err(of)?;
        let why = match kind.as_str() {
            "generated" => "is generated: PostgreSQL does not replicate it".to_owned(),
            "unsent" => format!("is of type {words}: Debezium does not send it"),
            _ => {
                let data_type = if kind == "enum" { "text".into() } else { spelled(&words) };
                table.columns.push(Column {
                    name,
                    data_type,
                    comment: row.try_get(2).map_err(of)?,
                });
                continue;
            }
        };
        notices.push(format!("column `{}.{name}` {why}; it is left out", table.name));
    }
    for row in client.query(KEY, &[&oid]).await.map_err(|e| failed("keys", e))? {
        table.primary_key.push(row.try_get(0).map_err(|e| failed("keys", e))?);
    }
    if table.primary_key.is_empty() {
        notices.push(format!(
            "table `{}` has no primary key: its updates and deletes are sent only under \
             REPLICA IDENTITY FULL",
            table.name
        ));
    }
    Ok(())
}

/// A type's words without the schema of an extension, and with the precision that times have where
/// none is written.
pub fn spelled(words: &str) -> String {
    let end = words.find('(').unwrap_or(words.len());
    let (base, arguments) = words.split_at(end);
    let base = base.rsplit('.').next().unwrap_or(base);
    for time in ["timestamp", "time"] {
        let zone = base.strip_prefix(time).filter(|rest| rest.starts_with(" with"));
        if let Some(zone) = zone.filter(|_| arguments.is_empty()) {
            return format!("{time}(6){zone}");
        }
    }
    format!("{base}{arguments}")
}

fn not_there(missing: &str, wanted: &Wanted, database: &str, all: &[String]) -> Error {
    let near = all.iter().min_by_key(|name| strsim::damerau_levenshtein(missing, name));
    let error = Error::invalid(format!(
        "table `{}.{missing}` is not in database `{database}`",
        wanted.schema
    ));
    match near {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The client's error by what is to be done: the server's own refusals are the caller's to mend.
fn failed(what: &str, cause: tokio_postgres::Error) -> Error {
    let Some(said) = cause.as_db_error() else {
        let why = std::error::Error::source(&cause).map(ToString::to_string).unwrap_or_default();
        let what = format!("postgresql catalog: {what}: {cause}: {why}");
        return match why.contains("password missing") {
            true => Error::invalid(what).with_hint("set PGPASSWORD"),
            false => Error::Unavailable { what, cause: Some(Box::new(cause)) },
        };
    };
    let code = said.code().code();
    let message = format!("postgresql catalog: {what}: {code}: {}", said.message());
    if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) {
        return Error::Unavailable { what: message, cause: None };
    }
    Error::invalid(message)
}

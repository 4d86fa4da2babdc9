//! What an administrator runs once: role, warehouse, schemas, grants, the service user.
//!
//! Pure text. It must ask for no more than a push needs: no ownership of what others made, no right
//! on any other schema.

use super::text::{Names, QUERY_TAG, ident, literal};
use crate::publish::contract::Contract;
use crate::publish::options::{Authenticator, Snowflake};
use crate::publish::warehouse::Shape;

/// The whole script, with a word on each part.
pub fn script(options: &Snowflake, contracts: &[Contract], reader: Option<&str>) -> String {
    let mut lines = Vec::new();
    role_and_warehouse(options, &mut lines);
    schemas(options, &mut lines);
    grants(options, reader, &mut lines);
    user(options, &mut lines);
    tables(options, contracts, &mut lines);
    attribution(options, &mut lines);
    lines.join("\n") + "\n"
}

fn section(lines: &mut Vec<String>, title: &str) {
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!("-- {title}"));
}

fn role_and_warehouse(options: &Snowflake, lines: &mut Vec<String>) {
    let (role, warehouse) = (ident(&options.role), ident(&options.warehouse));
    section(lines, "A role for pushes alone, and a warehouse that sleeps a minute after each.");
    lines.push("USE ROLE SECURITYADMIN;".to_owned());
    lines.push(format!("CREATE ROLE IF NOT EXISTS {role};"));
    lines.push(format!("GRANT ROLE {role} TO ROLE SYSADMIN;"));
    lines.push("USE ROLE SYSADMIN;".to_owned());
    lines.push(format!(
        "CREATE WAREHOUSE IF NOT EXISTS {warehouse} WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 \
         AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE COMMENT = 'Pushes of freshet';"
    ));
}

fn schemas(options: &Snowflake, lines: &mut Vec<String>) {
    let database = ident(&options.database);
    section(lines, "The database and its schemas.");
    lines.push(format!("CREATE DATABASE IF NOT EXISTS {database};"));
    for schema in every_schema(options) {
        lines.push(format!("CREATE SCHEMA IF NOT EXISTS {database}.{};", ident(schema)));
    }
}

fn every_schema(options: &Snowflake) -> Vec<&str> {
    let raw = options.raw.as_ref().map(|r| r.schema.as_str());
    let both = [options.schema.as_str(), options.state_schema.as_str()];
    both.into_iter().chain(raw).collect()
}

fn grants(options: &Snowflake, reader: Option<&str>, lines: &mut Vec<String>) {
    let role = ident(&options.role);
    let database = ident(&options.database);
    let mart = format!("{database}.{}", ident(&options.schema));
    section(lines, "What the role may, and nothing else.");
    lines.push("USE ROLE SECURITYADMIN;".to_owned());
    lines.push(format!("GRANT USAGE ON WAREHOUSE {} TO ROLE {role};", ident(&options.warehouse)));
    lines.push(format!("GRANT USAGE ON DATABASE {database} TO ROLE {role};"));
    for schema in every_schema(options) {
        let stage = if schema == options.state_schema { ", CREATE STAGE" } else { "" };
        lines.push(format!(
            "GRANT USAGE, CREATE TABLE{stage} ON SCHEMA {database}.{} TO ROLE {role};",
            ident(schema)
        ));
    }
    lines.push(
        "-- Marts that dbt made before stay their owner's; the role may change their rows."
            .to_owned(),
    );
    lines.push(format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {mart} TO ROLE {role};"
    ));
    if let Some(reader) = reader {
        let reader = ident(reader);
        section(lines, "What the report reads.");
        lines.push(format!("GRANT USAGE ON DATABASE {database} TO ROLE {reader};"));
        for schema in [&options.schema, &options.state_schema] {
            let schema = format!("{database}.{}", ident(schema));
            lines.push(format!("GRANT USAGE ON SCHEMA {schema} TO ROLE {reader};"));
            for what in ["ALL", "FUTURE"] {
                lines.push(format!(
                    "GRANT SELECT ON {what} TABLES IN SCHEMA {schema} TO ROLE {reader};"
                ));
            }
        }
    }
}

fn user(options: &Snowflake, lines: &mut Vec<String>) {
    let (user, role) = (ident(&options.user), ident(&options.role));
    section(lines, "The service user.");
    lines.push("USE ROLE USERADMIN;".to_owned());
    lines.push(format!(
        "CREATE USER IF NOT EXISTS {user} TYPE = SERVICE DEFAULT_ROLE = {role} \
         DEFAULT_WAREHOUSE = {};",
        ident(&options.warehouse)
    ));
    lines.push("USE ROLE SECURITYADMIN;".to_owned());
    lines.push(format!("GRANT ROLE {role} TO USER {user};"));
    match options.authenticator {
        Authenticator::KeyPair => {
            for line in [
                "-- Its key pair, made where freshet runs (the private key stays there):",
                "--   openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes256 -out freshet.p8",
                "--   openssl rsa -in freshet.p8 -pubout -out freshet.pub",
                "-- and the public one here, without its first and last line:",
            ] {
                lines.push(line.to_owned());
            }
            lines.push(format!("-- ALTER USER {user} SET RSA_PUBLIC_KEY = 'MII..';"));
        }
        Authenticator::Token => lines.push(format!(
            "-- ALTER USER {user} ADD PROGRAMMATIC ACCESS TOKEN FRESHET ROLE_RESTRICTION = {};",
            literal(&options.role.to_uppercase())
        )),
        Authenticator::Password => lines.push(
            "-- A service user has no password: use a key pair, or TYPE = LEGACY_SERVICE while that lasts."
                .to_owned(),
        ),
    }
}

fn tables(options: &Snowflake, contracts: &[Contract], lines: &mut Vec<String>) {
    let names = Names::new(options);
    section(
        lines,
        "Ledger, stage and tables: `freshet publish setup --apply` runs these as the role.",
    );
    lines.push(format!("USE ROLE {};", ident(&options.role)));
    lines.push(format!("USE WAREHOUSE {};", ident(&options.warehouse)));
    lines.extend(names.install().into_iter().map(|sql| sql + ";"));
    lines.extend(options.raw.iter().flat_map(|raw| names.create_raw(raw)).map(|sql| sql + ";"));
    for contract in contracts {
        lines.push(names.shape(&Shape::CreateTable(Box::new(contract.clone()))).join("; ") + ";");
    }
}

fn attribution(options: &Snowflake, lines: &mut Vec<String>) {
    section(lines, "What pushes cost, day by day (every query of ours has a tag):");
    lines.push(format!(
        "-- SELECT DATE_TRUNC('day', START_TIME), SUM(CREDITS_ATTRIBUTED_COMPUTE) \
         FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_ATTRIBUTION_HISTORY WHERE QUERY_TAG = {} \
         AND WAREHOUSE_NAME = {} GROUP BY 1 ORDER BY 1;",
        literal(QUERY_TAG),
        literal(&options.warehouse.to_uppercase())
    ));
}

/// Comments for tables that were there before: those of new ones come with them.
pub fn comments(names: &Names, contracts: &[Contract]) -> Vec<String> {
    let mut statements = Vec::new();
    for contract in contracts {
        let table = names.table(&contract.table);
        if !contract.comment.is_empty() {
            let text = literal(&contract.comment);
            statements.push(format!("COMMENT ON TABLE {table} IS {text}"));
        }
        for column in contract.columns.iter().filter(|c| !c.comment.is_empty()) {
            let text = literal(&column.comment);
            statements.push(format!("COMMENT ON COLUMN {table}.{} IS {text}", ident(&column.name)));
        }
    }
    statements
}

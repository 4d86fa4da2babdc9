//! The sources file: rendered again it is the same; against a real server it is the bank's.

use super::existing::Existing;
use super::read::{Wanted, spelled};
use super::table::{Catalog, Column, Table};
use super::write::render;

const BANK: &str = include_str!("../../../models/staging/_sources.yml");

fn column(name: &str, data_type: &str, comment: Option<&str>) -> Column {
    let comment = comment.map(str::to_owned);
    Column { name: name.into(), data_type: data_type.into(), comment }
}

fn odd() -> Catalog {
    let columns = vec![
        column("id", "uuid", Some("Key: made by the client.")),
        column("yes", "\"char\"", Some("Two\n\nparagraphs.")),
        column("Größe", "text[]", None),
        column("note", "text", Some(&"long words ".repeat(20))),
    ];
    let table = Table {
        name: "odd table".into(),
        comment: None,
        columns,
        primary_key: vec!["id".into(), "a,b".into()],
    };
    let keyless = Table { name: "audit".into(), ..Table::default() };
    Catalog {
        database: "bank".into(),
        schema: "public".into(),
        tables: vec![keyless, table],
        notices: Vec::new(),
    }
}

#[test]
fn rendered_text_is_read_back_and_rendered_again_the_same() {
    let first = render(&odd(), &Existing::default());
    let read = Existing::parse("sources.yml", &first).unwrap();
    assert_eq!(read.order, ["audit", "odd table"]);
    let columns = &read.tables["odd table"].columns;
    assert_eq!(columns["id"].description, "Key: made by the client.");
    assert_eq!(columns["yes"].description, "Two\n\nparagraphs.");
    assert_eq!(columns["note"].description, "long words ".repeat(20).trim());
    assert!(first.lines().all(|line| line.chars().count() <= 100), "{first}");
    assert_eq!(render(&odd(), &read), first);
}

#[test]
fn what_people_wrote_stays() {
    let text = "# ours\nsources:\n- name: other\n  tags: [cdc]\n  tables:\n  - name: odd table\n\
        \x20   config: {enabled: true, meta: {topic: t.x}}\n    columns:\n    - name: id\n      \
        description: Mine.\n      data_tests: [unique, {accepted_values: {values: [1, 2.5]}}]\n  \
        - name: audit\n    config: {meta: {primary_key: [at]}}\n";
    let text = render(&odd(), &Existing::parse("s.yml", text).unwrap());
    for kept in [
        "# ours\n\nversion: 2",
        "  - name: other\n",
        "    tags: [\"cdc\"]\n",
        "          enabled: true\n          meta:\n            primary_key: [id, \"a,b\"]\n",
        "            topic: \"t.x\"\n",
        "            description: Mine.\n",
        "            data_tests: [\"unique\",{\"accepted_values\":{\"values\":[1,2.5]}}]\n",
        "            primary_key: [\"at\"]\n",
    ] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    assert!(text.find("odd table") < text.find("audit"));
}

#[test]
fn what_could_not_be_put_back_is_refused() {
    for (text, said) in [
        ("sources: [{name: a}, {name: b}]", "s.yml holds more than one source"),
        ("models: []\nsources: [{name: a}]", "s.yml holds the key `models`"),
        ("sources: [a]", "each item of a list needs a name"),
        ("sources: [", "s.yml:1:"),
    ] {
        let error = Existing::parse("s.yml", text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn types_are_spelled_with_precision_and_without_schemas() {
    for (words, wanted) in [
        ("timestamp with time zone", "timestamp(6) with time zone"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("time without time zone", "time(6) without time zone"),
        ("public.geometry(Point,4326)", "geometry(Point,4326)"),
        ("numeric(18,2)", "numeric(18,2)"),
        ("timestamp without time zone[]", "timestamp(6) without time zone[]"),
        ("\"char\"", "\"char\""),
    ] {
        assert_eq!(spelled(words), wanted);
    }
}

/// FRESHET_TEST_POSTGRES: a url of the tests' PostgreSQL, which holds tests/stack/bank.sql.
fn server() -> tokio_postgres::Config {
    std::env::var("FRESHET_TEST_POSTGRES").unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: FRESHET_TEST_POSTGRES"]
async fn the_banks_file_is_what_the_server_says() {
    let names = ["accounts", "customers", "transactions"];
    let wanted =
        Wanted { schema: "public".into(), tables: names.iter().map(ToString::to_string).collect() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_sources.yml");
    std::fs::write(&file, BANK).unwrap();
    let sources = super::sources(&server(), &wanted, Some(&file)).await.unwrap();
    assert_eq!(sources.text, BANK);
    assert_eq!(sources.notices, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: FRESHET_TEST_POSTGRES"]
async fn odd_columns_are_named_or_left_out_with_a_notice() {
    let (client, connection) = server().connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "drop schema if exists odd cascade; create schema odd; set search_path = odd; \
        create type mood as enum ('a'); create type pair as (x int, y int); \
        create domain money2 as numeric(10,2); create domain fee as money2; \
        create table people (b int, a text, primary key (b, a), feeling mood, duo pair, f fee, \
            twice int generated always as (b * 2) stored, t timestamp(3), z timetz, tags text[], \
            r int4range, gone int); \
        alter table people drop column gone; comment on table people is 'Whoever: all'; \
        comment on column people.f is 'What it costs'; create table loose (x bit(3)); \
        create table parts (d date) partition by range (d); \
        create table part1 partition of parts for values from ('2020-01-01') to ('2021-01-01')";
    client.batch_execute(sql).await.unwrap();
    let wanted = Wanted { schema: "odd".into(), tables: Vec::new() };
    let catalog = super::read::tables(&server(), &wanted).await.unwrap();
    let names: Vec<_> = catalog.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["loose", "parts", "people"]);
    let people = &catalog.tables[2];
    assert_eq!(people.primary_key, ["b", "a"]);
    assert_eq!(people.comment.as_deref(), Some("Whoever: all"));
    let types: Vec<_> =
        people.columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
    assert_eq!(
        types,
        [
            "b integer",
            "a text",
            "feeling text",
            "f numeric(10,2)",
            "t timestamp(3) without time zone",
            "z time(6) with time zone",
            "tags text[]",
            "r int4range",
        ]
    );
    assert_eq!(people.columns[3].comment.as_deref(), Some("What it costs"));
    let said = catalog.notices.join("\n");
    assert!(said.contains("column `people.duo` is of type odd.pair"), "{said}");
    assert!(said.contains("column `people.twice` is generated"), "{said}");
    assert!(said.contains("table `loose` has no primary key"), "{said}");
    let wanted = Wanted { schema: "odd".into(), tables: vec!["poeple".into()] };
    let error = super::read::tables(&server(), &wanted).await.unwrap_err().to_string();
    assert!(error.contains("did you mean `people`?"), "{error}");
    client.batch_execute("drop schema odd cascade").await.unwrap();
}

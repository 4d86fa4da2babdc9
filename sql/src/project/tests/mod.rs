//! Whole projects through the reader: what comes out, and every refusal at its exact place.

mod bank;
mod refusals;
mod snapshots;
mod suite;

use std::collections::BTreeMap;

use super::model::{Materialized, Node};
use super::{Project, Target};
use crate::error::Result;

const SETTINGS: &str = "name: bank\nmodel-paths: [staging, marts]\nvars: {limit: 5}\n";
const SOURCES: &str = "sources:\n  - name: banking\n    schema: public\n    tables:\n      \
    - name: customers\n        meta: {primary_key: [id], topic: t.c}\n        columns:\n          \
    - {name: id, data_type: integer}\n";
const STAGING: &str = "{{ config(materialized='table') }}\n\nselect id\n\
    from {{ source('banking', 'customers') }} as c -- x\nwhere id > {{ var('limit') }}\n";

/// The base project with some files more, or others.
fn files(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [
        ("dbt_project.yml", SETTINGS),
        ("staging/_sources.yml", SOURCES),
        ("staging/stg.sql", STAGING),
    ];
    base.iter().chain(more).map(|(path, text)| ((*path).into(), (*text).into())).collect()
}

fn load(more: &[(&str, &str)]) -> Result<Project> {
    let env = |name: &str| (name == "REGION").then(|| "eu".to_owned());
    let target = Target { name: "dev".into(), schema: "analytics".into(), database: "lake".into() };
    Project::load(&files(more), &BTreeMap::new(), &env, &target)
}

/// The refusal of a project with these files must begin and, if asked, go on so.
#[track_caller]
fn refused(more: &[(&str, &str)], place: &str, says: &str) {
    let error = load(more).expect_err("a refusal").to_string();
    assert!(error.starts_with(&format!("{place}: ")), "{error}");
    assert!(error.contains(says), "{error}");
}

/// A refusal of the file marts/m.sql.
#[track_caller]
fn model_refused(text: &str, place: &str, says: &str) {
    refused(&[("marts/m.sql", text)], &format!("marts/m.sql:{place}"), says);
}

#[test]
fn references_become_table_names() {
    let project = load(&[("marts/order.sql", "select * from {{ ref('bank', 'stg') }}")]).unwrap();
    let stg = project.model("stg").unwrap();
    assert_eq!(stg.sql, "\n\nselect id\nfrom banking__customers as c -- x\nwhere id > 5");
    assert_eq!((stg.layer.as_str(), &stg.materialized), ("staging", &Materialized::Table));
    assert_eq!(stg.depends_on, [Node::Source("banking__customers".into())]);
    let order = project.model("order").unwrap();
    assert_eq!(order.materialized, Materialized::View);
    assert_eq!(order.depends_on, [Node::Model("stg".into())]);
    assert_eq!(project.sources[0].primary_key, ["id"]);
    assert_eq!(project.sources[0].topic.as_deref(), Some("t.c"));
    let reads_order =
        load(&[("marts/order.sql", "select 1"), ("marts/b.sql", "from {{ ref('order') }}")]);
    assert_eq!(reads_order.unwrap().model("b").unwrap().sql, "from \"order\"");
}

#[test]
fn compiled_places_lead_back_to_the_file() {
    let text = "{# a\n comment #}\n{%- set cols = ['a', 'b'] -%}\n\n-- é\nselect\n\
        {% for c in cols %}    {{ c }} as {{ c }}_x,\n{% endfor %}    bad_column\n\
        from {{ ref('stg') }} where x\n";
    let project = load(&[("marts/m.sql", text)]).unwrap();
    let model = project.model("m").unwrap();
    let place = |needle: &str| {
        let offset = model.sql.find(needle).unwrap();
        let (line, column) = crate::jinja::source::line_column(&model.sql, offset);
        let at = model.locate(line, column);
        (at.line, at.column)
    };
    assert_eq!(place("select"), (6, 1));
    assert_eq!(place("bad_column"), (8, 17));
    assert_eq!(place("b as"), (7, 27), "the second turn of the loop, {}", model.sql);
    assert_eq!(place("where x"), (9, 23));
    assert_eq!(place("stg"), (9, 9));
    let plain = load(&[]).unwrap();
    let stg = plain.model("stg").unwrap();
    assert_eq!(stg.locate(4, 30).to_string(), "staging/stg.sql:4:48");
    assert_eq!(stg.locate(3, 8).to_string(), "staging/stg.sql:3:8");
}

#[test]
fn dbt_names_have_their_values() {
    let text = "{{ config(tags=['a'], x=1) }}{{ this }} {{ this.schema }} {{ target.type }} \
        {{ env_var('REGION') }} {{ env_var('NONE', 'd') }} {{ is_incremental() }} {{ execute }} \
        {{ config.get('x') }} {{ var('no', 'y') }} {{ 'a'.upper() }} {{ {'k': 2}.get('k') }} \
        {% if is_incremental() %}no{% endif %}{{ log('hi', info=true) }}{{ tojson([1]) }}";
    let project = load(&[("marts/m.sql", text)]).unwrap();
    let expected = "m analytics freshet eu d False True 1 y A 2 [1]";
    assert_eq!(project.model("m").unwrap().sql, expected);
}

#[test]
fn the_nearest_configuration_wins() {
    let settings = format!("{SETTINGS}models:\n  bank:\n    +tags: p\n    +materialized: table\n");
    let yml = "models:\n  - name: m\n    description: d {{ doc('x') }}\n    \
        config: {materialized: incremental, tags: y, meta: {unique_key: k}}\n    columns:\n      \
        - {name: k, description: key, data_type: text}\n";
    let project = load(&[
        ("dbt_project.yml", &settings),
        ("marts/m.sql", "{{ config(tags=['f']) }}select 1 as k"),
        ("marts/n.sql", "{{ config(materialized='ephemeral') }}select 1 as k"),
        ("marts/_m.yml", yml),
    ])
    .unwrap();
    let model = project.model("m").unwrap();
    assert_eq!(model.materialized, Materialized::Incremental);
    assert_eq!(model.config["tags"], serde_json::json!(["p", "y", "f"]));
    assert_eq!(model.unique_key, ["k"]);
    assert_eq!(model.description, "d {{ doc('x') }}");
    assert_eq!(model.columns[0].data_type.as_deref(), Some("text"));
    assert_eq!(project.model("n").unwrap().materialized, Materialized::Ephemeral);
}

#[test]
fn ephemeral_models_become_ctes() {
    let project = load(&[
        ("marts/e1.sql", "{{ config(materialized='ephemeral') }}\nselect id from {{ ref('stg') }}"),
        ("marts/e2.sql", "{{ config(materialized='ephemeral') }}select id from {{ ref('e1') }}"),
        ("marts/m.sql", "with a as (select 1)\nselect id from {{ ref('e2') }}"),
    ])
    .unwrap();
    let model = project.model("m").unwrap();
    assert_eq!(
        model.sql,
        "with __dbt__cte__e1 as (\n\nselect id from stg\n), __dbt__cte__e2 as (\nselect id from \
         __dbt__cte__e1\n), a as (select 1)\nselect id from __dbt__cte__e2"
    );
    assert_eq!(model.depends_on, [Node::Model("stg".into())]);
    assert_eq!(model.locate(3, 8).to_string(), "marts/e1.sql:2:8");
    assert_eq!(model.locate(7, 8).to_string(), "marts/m.sql:2:8");
    assert!(!project.model("e1").unwrap().is_stored());
}

#[test]
fn macros_are_usable_and_their_errors_point_into_their_file() {
    let good = ("macros/m.sql", "\n{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}\n");
    let model = ("marts/m.sql", "select\n{{ twice('a') }} + b");
    let project = load(&[good, model]).unwrap();
    let m = project.model("m").unwrap();
    assert_eq!(m.sql, "select\naa + b");
    assert_eq!(m.locate(2, 6).to_string(), "marts/m.sql:2:20");
    let bad = ("macros/m.sql", "\n{% macro twice(x) %}{{ y }}{% endmacro %}\n");
    refused(&[bad, model], "macros/m.sql:2:24", "`y` is not defined");
}

#[test]
fn fingerprints_change_with_what_can_change_rows() {
    let mart = |text: &str| ("marts/m.sql", text.to_owned());
    let print = |staging: &str, (path, text): (&str, String), sources: &str| {
        let files =
            [("staging/stg.sql", staging), (path, &text), ("staging/_sources.yml", sources)];
        load(&files).unwrap().model("m").unwrap().fingerprint
    };
    let text = "{{ config(materialized='table') }}select id from {{ ref('stg') }}";
    let first = print(STAGING, mart(text), SOURCES);
    let spaced = text.replace("select id", "-- why\nselect   id");
    assert_eq!(print(STAGING, mart(&spaced), SOURCES), first);
    let tagged = text.replace("materialized", "tags=['x'], materialized");
    assert_eq!(print(STAGING, mart(&tagged), SOURCES), first);
    for changed in [
        print(STAGING, mart(&text.replace("select id", "select 1 as id")), SOURCES),
        print(STAGING, mart(&text.replace("='table'", "='table', unique_key='id'")), SOURCES),
        print(&STAGING.replace("id >", "id >="), mart(text), SOURCES),
        print(STAGING, mart(text), &SOURCES.replace("integer", "bigint")),
    ] {
        assert_ne!(changed, first);
    }
}

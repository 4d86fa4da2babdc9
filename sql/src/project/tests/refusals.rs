//! Every refusal of models, configuration and tests at its exact place.

use super::{model_refused, refused};

#[test]
fn jinja_is_refused_where_it_stands() {
    model_refused("select\n  {{ nope }}", "2:6", "`nope` is not defined");
    model_refused("select {{ reff('stg') }}", "1:11", "did you mean \"ref\"?");
    model_refused("é {{ ref('stgg') }}", "1:6", "did you mean \"stg\"?");
    model_refused("{{ source('banking', 'customer') }}", "1:4", "did you mean \"customers\"?");
    model_refused("{{ source('bankin', 'customers') }}", "1:4", "did you mean \"banking\"?");
    model_refused("{{ var('limits') }}", "1:4", "did you mean \"limit\"?");
    model_refused("\n\n{{ env_var('NONE') }}", "3:4", "\"NONE\" is not set");
    model_refused("{{ env_var('DBT_ENV_SECRET_X') }}", "1:4", "is a secret");
    model_refused("{{ dbt_utils.star(1) }}", "1:4", "`dbt_utils.star` is not supported yet");
    model_refused("{% if x %}", "1:9", "jinja: unexpected end of input");
    model_refused("a {% materialization x %}", "1:6", "`{% materialization %}` is not supported");
    for name in
        ["run_query('x')", "adapter.dispatch('x')", "graph.nodes", "modules.re", "return(1)"]
    {
        model_refused(&format!("x {{{{ {name} }}}}"), "1:6", "is not supported yet");
    }
    model_refused("{% call statement('a') %}{% endcall %}", "1:9", "`statement` is not supported");
    model_refused("{% set a = [] %}{% do a.append(1) %}", "1:24", "`.append()` is not supported");
    model_refused("{{ exceptions.raise_compiler_error('no') }}", "1:14", "no");
    model_refused("{{ ref('other', 'stg') }}", "1:4", "project \"other\" is not supported yet");
}

#[test]
fn configuration_is_refused_where_it_stands() {
    model_refused("{{ config(\n  materialized='tabel') }} select 1", "2:16", "mean \"table\"?");
    model_refused("{{ config(materialised='table') }} x", "1:24", "mean \"materialized\"?");
    model_refused("{{ config(post_hook='x') }} x", "1:21", "\"post_hook\" is not supported yet");
    model_refused("{{ config(alias='x') }} x", "1:17", "alias: \"x\" is not supported yet");
    model_refused("{{ config(incremental_mode='dbt') }} x", "1:28", "not supported yet");
    model_refused("{{ config(incremental_strategy='microbatch') }} x", "1:32", "microbatch");
    model_refused("{{ config(materialized='table', unique_key=1) }} x", "1:44", "must be a list");
    model_refused("{{ config(materialized='snapshot') }} x", "1:24", "{% snapshot %}");
    model_refused("{{ config(1) }} x", "1:4", "takes named values");
    model_refused("-- nothing\n", "1:1", "has no SQL");
    let yml = "models:\n  - name: stg\n    config: {materialized: vieww}\n";
    let file = ("staging/stg.sql", "select 1");
    refused(&[file, ("staging/a.yml", yml)], "staging/a.yml:3:28", "mean \"view\"?");
    refused(&[("marts/a.yml", "models:\n  - name: stgg\n")], "marts/a.yml:2:11", "mean \"stg\"?");
    refused(
        &[("marts/a.yml", "models:\n  - name: stg\n    colums: []\n")],
        "marts/a.yml:3:5",
        "mean \"columns\"?",
    );
    refused(
        &[("packages.yml", "packages:\n  - package: x\n")],
        "packages.yml:2:5",
        "not supported",
    );
}

#[test]
fn names_and_circles_are_refused() {
    refused(&[("marts/stg.sql", "select 1")], "marts/stg.sql:1:1", "taken at staging/stg.sql:1:1");
    let (a, b) = ("select\n1 from {{ ref('b') }}", "select 1 from {{ ref('a') }}");
    refused(&[("marts/a.sql", a), ("marts/b.sql", b)], "marts/a.sql:2:11", "a -> b -> a");
    let off = "{{ config(enabled=false) }}";
    refused(&[("marts/a.sql", off), ("marts/b.sql", b)], "marts/b.sql:1:18", "is disabled");
}

#[test]
fn data_tests_are_refused_where_they_stand() {
    let with = |test: &str| {
        format!(
            "models:\n  - name: stg\n    columns:\n      - name: id\n        data_tests:\n\
                 \x20         - {test}\n"
        )
    };
    for (test, place, says) in [
        ("uniqe", "6:13", "did you mean \"unique\"?"),
        ("dbt_utils.not_empty: {}", "6:13", "is not supported yet"),
        ("accepted_values: {value: [1]}", "6:38", "did you mean \"values\"?"),
        ("accepted_values: {}", "6:13", "needs the argument \"values\""),
        ("relationships: {to: ref('stgg'), field: id}", "6:33", "did you mean \"stg\"?"),
        ("relationships: {to: stg, field: id}", "6:33", "must be a ref()"),
        ("unique: {severity: wran}", "6:32", "did you mean \"warn\"?"),
        ("unique: {error_if: '>1'}", "6:32", "not supported yet"),
        ("unique\n          - unique", "7:13", "is already at marts/t.yml:6:13"),
    ] {
        let text = with(test);
        refused(&[("marts/t.yml", &text)], &format!("marts/t.yml:{place}"), says);
    }
    refused(&[("tests/x.sql", "select 1")], "tests/x.sql:1:1", "reads no model");
}

//! Data tests: their names, queries and parents.

use super::load;
use crate::project::datatest::{Severity, TestKind};
use crate::project::model::Node;

const TESTS: &str = "models:\n  - name: stg\n    data_tests:\n      - keyed:\n          \
    arguments: {key: id}\n          config: {severity: warn, where: \"id > {{ var('limit') }}\"}\n\
    \x20   columns:\n      - name: id\n        tests:\n          - unique\n          - not_null\n\
    \x20         - accepted_values: {values: [1, 2], quote: false}\n          - relationships:\n\
    \x20             arguments: {to: \"source('banking', 'customers')\", field: id}\n";

#[test]
fn data_tests_are_queries_for_failing_rows() {
    let generic = "{% test keyed(model, key, most=1) %}\nselect {{ key }}\nfrom {{ model }}\n\
        group by 1 having count(*) > {{ most }}\n{% endtest %}";
    let singular = "{{ config(severity='warn') }}select * from {{ ref('stg') }} where id < 0";
    let project = load(&[
        ("marts/_t.yml", TESTS),
        ("tests/generic/keyed.sql", generic),
        ("tests/positive.sql", singular),
    ])
    .unwrap();
    let names: Vec<_> = project.tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "accepted_values_stg_id__False__1__2",
            "keyed_stg_id",
            "not_null_stg_id",
            "positive",
            "relationships_stg_id__id__source_banking_customers_",
            "unique_stg_id",
        ]
    );
    let keyed = &project.tests[1];
    assert_eq!(
        keyed.sql.trim(),
        "select id\nfrom (\n    select * from stg\n    where id > 5\n) as dbt_subquery\n\
         group by 1 having count(*) > 1"
    );
    assert_eq!((keyed.severity, keyed.where_.as_deref()), (Severity::Warn, Some("id > 5")));
    assert_eq!(keyed.locate(2, 1).to_string(), "tests/generic/keyed.sql:2:1");
    assert!(project.tests[0].sql.contains("where id not in (1, 2)"));
    assert_eq!(project.tests[2].sql, "select *\nfrom stg\nwhere id is null");
    assert_eq!(
        (project.tests[3].model.as_str(), &project.tests[3].kind),
        ("stg", &TestKind::Singular)
    );
    let parents = [Node::Model("stg".into()), Node::Source("banking__customers".into())];
    assert_eq!(project.tests[4].depends_on, parents);
}

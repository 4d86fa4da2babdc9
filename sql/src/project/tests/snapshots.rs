//! Snapshots from blocks and from yml, and what they are refused for.

use super::{load, refused};
use crate::project::model::Materialized;
use crate::project::snapshot::{CheckColumns, HardDeletes, Strategy};

#[test]
fn snapshots_are_read_from_blocks_and_from_yml() {
    let block = "{# é #}\n{% snapshot s %}{{ config(unique_key=['id'], strategy='check', \
        check_cols='all', hard_deletes='new_record') }}\nselect *\nfrom {{ ref('stg') }}\n\
        {% endsnapshot %}";
    let yml = "snapshots:\n  - name: y\n    relation: source('banking', 'customers')\n    config:\n\
        \x20     {unique_key: id, strategy: timestamp, updated_at: at, \
        invalidate_hard_deletes: true}\n";
    let project = load(&[("snapshots/s.sql", block), ("snapshots/y.yml", yml)]).unwrap();
    let s = project.model("s").unwrap();
    assert_eq!(s.layer, "snapshots");
    assert_eq!(s.sql.trim(), "select *\nfrom stg");
    assert_eq!(s.locate(4, 1).to_string(), "snapshots/s.sql:4:1");
    let Materialized::Snapshot(config) = &s.materialized else { panic!("no snapshot") };
    assert_eq!(config.unique_key, ["id"]);
    let all = Strategy::Check { columns: CheckColumns::All, updated_at: None };
    assert_eq!((&config.strategy, config.hard_deletes), (&all, HardDeletes::NewRecord));
    let y = project.model("y").unwrap();
    assert_eq!(y.sql, "select * from banking__customers");
    let Materialized::Snapshot(config) = &y.materialized else { panic!("no snapshot") };
    assert_eq!(config.strategy, Strategy::Timestamp { updated_at: "at".into() });
    assert_eq!(config.hard_deletes, HardDeletes::Invalidate);

    let snapshot = |config: &str| {
        format!("{{% snapshot s %}}\n{{{{ config({config}) }}}}\nselect 1\n{{% endsnapshot %}}")
    };
    for (config, place, says) in [
        ("strategy='check', check_cols='all'", "1:13", "has no unique_key"),
        ("unique_key='id'", "1:13", "has no strategy"),
        ("unique_key='id', strategy='chek'", "2:37", "did you mean \"check\"?"),
        ("unique_key='id', strategy='check'", "1:13", "has no check_cols"),
        ("unique_key='id', strategy='timestamp'", "1:13", "has no updated_at"),
        ("unique_key='id', strategy='check', check_cols='x'", "2:57", "'all' or a list"),
    ] {
        refused(
            &[("snapshots/s.sql", &snapshot(config))],
            &format!("snapshots/s.sql:{place}"),
            says,
        );
    }
    refused(&[("snapshots/s.sql", "select 1")], "snapshots/s.sql:1:1", "holds no snapshot");
    let bad = "snapshots:\n  - name: y\n    relation: stg\n";
    refused(&[("snapshots/y.yml", bad)], "snapshots/y.yml:3:15", "must be a ref()");
}

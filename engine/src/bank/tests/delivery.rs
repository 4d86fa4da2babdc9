//! How delivery is disturbed: nothing lost, partitions in order, events repeated as they were.

use std::collections::{BTreeMap, HashSet};

use super::super::debezium::options::RenderOptions;
use super::super::debezium::renderer::Renderer;
use super::super::faults::{Faults, Wire};
use super::{PARTITIONS, busy, identity, lived, place, value};

#[test]
fn disturbed_delivery_loses_nothing_and_keeps_each_partition_in_order() {
    let (_, transactions) = lived(13, 40, 3_000);
    let mut plain = Renderer::new(RenderOptions::default());
    let mut wire = Wire::new(Renderer::new(RenderOptions::default()), busy(), PARTITIONS, 99);
    let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut received: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut arrival = Vec::new();
    for transaction in transactions {
        let at_us = transaction.at_us;
        for message in plain.render(&transaction, at_us) {
            if let Some(identity) = identity(&message) {
                expected.entry(place(&message)).or_default().push(identity);
            }
        }
        arrival.extend(wire.send(transaction, at_us));
    }
    arrival.extend(wire.flush());
    for message in &arrival {
        if let Some(identity) = identity(message) {
            received.entry(place(message)).or_default().push(identity);
        }
    }
    let events = |by: &BTreeMap<_, Vec<_>>| by.values().map(Vec::len).sum::<usize>() as u64;
    let struck = wire.struck();
    assert!(struck.restarts > 20 && struck.late > 50, "{struck:?}");
    assert_eq!(events(&received), events(&expected) + struck.repeated_events, "{struck:?}");
    for (place, identities) in &received {
        // First deliveries, in the order in which they came, are the undisturbed partition.
        let mut seen = HashSet::new();
        let first: Vec<_> = identities.iter().filter(|i| seen.insert(*i)).collect();
        assert_eq!(first, expected[place].iter().collect::<Vec<_>>(), "{place:?}");
    }
}

#[test]
fn a_restart_in_the_middle_begins_again_and_counts_anew() {
    let (_, transactions) = lived(17, 30, 200);
    let long = transactions.iter().rposition(|t| t.changes.len() == 4).unwrap();
    let mut wire = Wire::new(Renderer::new(RenderOptions::default()), Faults::none(), 3, 0);
    let mut sent = Vec::new();
    for transaction in transactions.into_iter().take(long + 1) {
        let at_us = transaction.at_us;
        sent.extend(wire.send(transaction, at_us));
    }
    let again = wire.restart(0, 1);
    let old: Vec<_> = sent.iter().rev().skip(1).take(3).rev().collect();
    let [begin, events @ .., end] = &again[..] else { panic!("no BEGIN and END") };
    assert_eq!(value(begin)["status"], "BEGIN");
    assert_eq!(value(end)["event_count"], 3);
    for (order, (new, old)) in events.iter().zip(old).enumerate() {
        assert_eq!(identity(new), identity(old));
        assert_eq!(value(new)["transaction"]["total_order"], order + 1);
        assert_eq!(value(old)["transaction"]["total_order"], order + 2);
        assert!(value(new)["source"]["sequence"].as_str().unwrap().starts_with("[null,"));
    }
}

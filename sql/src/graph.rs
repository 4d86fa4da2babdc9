//! The order in which models are built: every model after all that it reads.
//!
//! It stands between the project reader and everything that runs models. It is a pure function of
//! names and edges, and the same project must always give the same order.

use std::collections::BTreeMap;

use crate::error::{Error, Location, Result, did_you_mean};

/// A model as the graph sees it.
#[derive(Debug, Clone)]
pub struct Vertex {
    pub name: String,
    /// The position of its layer among the layers: the first tie-break of the order.
    pub layer: usize,
    pub location: Location,
    /// The models it reads, each with the place where it says so.
    pub reads: Vec<(String, Location)>,
}

/// Positions of the vertices in build order. Among those that are ready the lowest layer goes
/// first, then the name. Fails on a name that occurs twice, on an unknown one and on a cycle.
pub fn order(vertices: &[Vertex]) -> Result<Vec<usize>> {
    let index = index(vertices)?;
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); vertices.len()];
    let mut waits: Vec<usize> = vec![0; vertices.len()];
    for (at, vertex) in vertices.iter().enumerate() {
        for (name, location) in &vertex.reads {
            let parent = *index
                .get(name.as_str())
                .ok_or_else(|| unknown(&vertex.name, name, location, index.keys().copied()))?;
            readers[parent].push(at);
            waits[at] += 1;
        }
    }
    let rank = |at: usize| (vertices[at].layer, vertices[at].name.as_str(), at);
    let mut ready: std::collections::BTreeSet<_> =
        (0..vertices.len()).filter(|&at| waits[at] == 0).map(rank).collect();
    let mut order = Vec::with_capacity(vertices.len());
    while let Some((_, _, at)) = ready.pop_first() {
        order.push(at);
        for &reader in &readers[at] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.insert(rank(reader));
            }
        }
    }
    if order.len() < vertices.len() {
        return Err(cycle(vertices, &index, &waits));
    }
    Ok(order)
}

/// Name to position; two models of one name are refused at the second.
fn index(vertices: &[Vertex]) -> Result<BTreeMap<&str, usize>> {
    let mut index = BTreeMap::new();
    for (at, vertex) in vertices.iter().enumerate() {
        if let Some(first) = index.insert(vertex.name.as_str(), at) {
            let first: &Vertex = &vertices[first];
            return Err(Error::invalid(
                vertex.location.clone(),
                format!("\"{}\" is already the name of {}", vertex.name, first.location.file),
            )
            .hinted("names are one flat space: rename one of the two".to_owned()));
        }
    }
    Ok(index)
}

/// The refusal of a reference to a model that does not exist.
pub fn unknown<'a>(
    reader: &str,
    name: &str,
    location: &Location,
    known: impl IntoIterator<Item = &'a str>,
) -> Error {
    let message = format!("\"{reader}\" reads the model \"{name}\", which does not exist");
    Error::invalid(location.clone(), message).hinted(did_you_mean(name, known))
}

/// Names one cycle, starting at its first vertex in file order. Called only when one exists: every
/// vertex that still waits has a parent that waits, so walking up parents must meet itself.
fn cycle(vertices: &[Vertex], index: &BTreeMap<&str, usize>, waits: &[usize]) -> Error {
    let Some(start) = waits.iter().position(|&left| left > 0) else {
        return Error::Bug("a graph without a waiting model has no cycle".to_owned());
    };
    let mut path = vec![start];
    let mut at = start;
    let loop_start = loop {
        let parent = vertices[at].reads.iter().find_map(|(name, _)| {
            index.get(name.as_str()).copied().filter(|&parent| waits[parent] > 0)
        });
        let Some(parent) = parent else {
            return Error::Bug(format!("\"{}\" waits for nothing", vertices[at].name));
        };
        if let Some(seen) = path.iter().position(|&step| step == parent) {
            break seen;
        }
        path.push(parent);
        at = parent;
    };
    // The walk went from reader to read, which is how the cycle is told as well.
    let mut ring = path.split_off(loop_start);
    if let Some(first) = ring.iter().enumerate().min_by_key(|(_, at)| **at).map(|(i, _)| i) {
        ring.rotate_left(first);
    }
    let first = ring[0];
    let next = ring.get(1).copied().unwrap_or(first);
    let names: Vec<&str> =
        ring.iter().chain([&first]).map(|&at| vertices[at].name.as_str()).collect();
    let location = vertices[first]
        .reads
        .iter()
        .find(|(name, _)| *name == vertices[next].name)
        .map_or_else(|| vertices[first].location.clone(), |(_, location)| location.clone());
    Error::invalid(location, format!("models read each other in a circle: {}", names.join(" -> ")))
        .hinted("move what both need into a model of its own".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(name: &str, layer: usize, reads: &[&str]) -> Vertex {
        let file = format!("{name}.sql");
        let edges = reads.iter().zip(2..);
        Vertex {
            name: name.to_owned(),
            layer,
            location: Location::top(file.clone()),
            reads: edges
                .map(|(read, line)| ((*read).to_owned(), Location::new(file.clone(), line, 5)))
                .collect(),
        }
    }

    fn names(vertices: &[Vertex]) -> Vec<&str> {
        let order = order(vertices).unwrap();
        order.into_iter().map(|at| vertices[at].name.as_str()).collect()
    }

    #[test]
    fn layers_then_names_break_ties_but_never_a_reference() {
        let mut vertices = vec![
            vertex("z_mart", 2, &["history"]),
            vertex("a_mart", 2, &[]),
            vertex("history", 1, &["stg_b"]),
            vertex("stg_b", 0, &[]),
            vertex("stg_a", 0, &["a_mart"]),
        ];
        let expected = ["stg_b", "history", "a_mart", "stg_a", "z_mart"];
        assert_eq!(names(&vertices), expected);
        vertices.reverse();
        assert_eq!(names(&vertices), expected);
    }

    #[test]
    fn a_cycle_is_told_from_its_first_model_with_the_place() {
        let vertices = [
            vertex("d", 0, &["a"]),
            vertex("a", 0, &["b"]),
            vertex("b", 0, &["c"]),
            vertex("c", 0, &["a"]),
        ];
        let error = order(&vertices).unwrap_err().to_string();
        assert!(error.starts_with("a.sql:2:5: "), "{error}");
        assert!(error.contains("circle: a -> b -> c -> a"), "{error}");
        let own = order(&[vertex("a", 0, &["a"])]).unwrap_err().to_string();
        assert!(own.contains("a -> a"), "{own}");
    }

    #[test]
    fn unknown_and_double_names_are_refused() {
        let error = order(&[vertex("a", 0, &["stg_custmers"]), vertex("stg_customers", 0, &[])])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a.sql:2:5: "), "{error}");
        assert!(error.ends_with("did you mean \"stg_customers\"?"), "{error}");
        let error = order(&[vertex("a", 0, &[]), vertex("a", 1, &[])]).unwrap_err().to_string();
        assert!(error.contains("already the name of a.sql"), "{error}");
    }
}

//! What a model's maintenance costs, and why: for people and for CI.
//!
//! It reads what was derived, never the data: the same model gives the same answer everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Maintained;
use super::keys::named;
use super::node::{Access, JoinOp, Node, Op, Side};
use super::obstacle::Construct;

/// What a change of one input costs, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// The changed rows alone.
    Rows,
    /// The rows that share a key with the changed ones.
    Keys,
    /// Every row, at each change.
    Full,
}

impl Cost {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "changed rows",
            Self::Keys => "touched keys",
            Self::Full => "everything",
        }
    }
}

/// How a change of one input is followed.
#[derive(Debug, Clone)]
pub struct InputMode {
    /// The relation.
    pub relation: String,
    /// What its change costs.
    pub cost: Cost,
    /// The keys by which other rows are found, outermost last.
    pub keys: Vec<String>,
    /// Why it reaches every row, where it does.
    pub obstacle: Option<Construct>,
    /// By what rows were to be found there.
    pub obstacle_key: String,
}

/// A model's maintenance.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Its operators, one a line, indented by depth.
    pub plan: Vec<String>,
    /// One per input relation, the worst of its places.
    pub inputs: Vec<InputMode>,
}

impl Explained {
    /// The worst of its inputs.
    pub fn cost(&self) -> Cost {
        self.inputs.iter().map(|i| i.cost).max().unwrap_or(Cost::Rows)
    }
}

impl Maintained {
    /// What its maintenance costs.
    pub fn explain(&self) -> Explained {
        let reader = Reader { nodes: &self.plan.nodes };
        let mut plan = Vec::new();
        reader.draw(self.plan.root, 0, &mut plan);
        let mut inputs: BTreeMap<String, InputMode> = BTreeMap::new();
        for mut mode in reader.modes(self.plan.root) {
            if self.by_time {
                reader.reach(Cost::Full, None, Some(Construct::Time), &mut mode);
            }
            match inputs.get_mut(&mode.relation) {
                Some(known) => {
                    for key in mode.keys {
                        if !known.keys.contains(&key) {
                            known.keys.push(key);
                        }
                    }
                    known.cost = known.cost.max(mode.cost);
                    if known.obstacle.is_none() {
                        known.obstacle = mode.obstacle;
                        known.obstacle_key = mode.obstacle_key;
                    }
                }
                None => {
                    inputs.insert(mode.relation.clone(), mode);
                }
            }
        }
        Explained { plan, inputs: inputs.into_values().collect() }
    }
}

struct Reader<'a> {
    nodes: &'a [Node],
}

impl Reader<'_> {
    fn inputs(&self, node: usize) -> Vec<usize> {
        match &self.nodes[node].op {
            Op::Scan { .. } | Op::Constant(_) => Vec::new(),
            Op::Filter { input, .. }
            | Op::Project { input, .. }
            | Op::Rename { input }
            | Op::Unnest { input, .. } => vec![*input],
            Op::Timed(op) => vec![op.input],
            Op::Union { inputs } => inputs.clone(),
            Op::Whole(op) => op.inputs.clone(),
            Op::Join(join) => vec![join.left.node, join.right.node],
            Op::Aggregate(op) => vec![op.input],
            Op::Window(op) => vec![op.input],
        }
    }

    fn draw(&self, node: usize, depth: usize, lines: &mut Vec<String>) {
        let made = &self.nodes[node];
        let how = match &made.op {
            Op::Aggregate(op) if op.totals.is_some() => "  (by signed partials)",
            Op::Aggregate(_) => "  (touched groups)",
            Op::Window(op) if op.near.is_some() => "  (rows near the changed ones)",
            Op::Window(_) => "  (touched partitions)",
            Op::Join(join) if join.left.near.is_some() || join.right.near.is_some() => {
                "  (rows within the interval)"
            }
            Op::Timed(_) => "  (rows that cross a bound in time)",
            Op::Whole(_) => "  (everything)",
            _ => "",
        };
        lines.push(format!("{}{}{how}", "  ".repeat(depth), made.label));
        for input in self.inputs(node) {
            self.draw(input, depth + 1, lines);
        }
    }

    /// How each scan below `node` is followed up to it.
    fn modes(&self, node: usize) -> Vec<InputMode> {
        if let Op::Scan { relation, .. } = &self.nodes[node].op {
            return vec![InputMode {
                relation: relation.clone(),
                cost: Cost::Rows,
                keys: Vec::new(),
                obstacle: None,
                obstacle_key: String::new(),
            }];
        }
        let mut all = Vec::new();
        for (at, input) in self.inputs(node).into_iter().enumerate() {
            for mut mode in self.modes(input) {
                self.pass(node, at, &mut mode);
                all.push(mode);
            }
        }
        all
    }

    /// What an operator adds to the cost of a change that comes from its input number `at`.
    fn pass(&self, node: usize, at: usize, mode: &mut InputMode) {
        match &self.nodes[node].op {
            Op::Join(join) => self.pass_join(join, at, mode),
            Op::Aggregate(op) => {
                let by = named(&op.groups.name);
                // One group is remembered; of many the small ones are read again.
                if op.totals.is_some() && op.groups.is_everything() {
                    self.reach(Cost::Keys, Some(by), None, mode);
                } else {
                    self.reach_by(&op.by_group, by, mode);
                }
            }
            Op::Window(op) if op.near.is_some() => {
                self.reach(Cost::Keys, Some(named(&op.partition.name)), None, mode);
            }
            Op::Window(op) => {
                self.reach_by(&op.by_partition, named(&op.partition.name), mode);
            }
            Op::Whole(op) => self.reach(Cost::Full, None, Some(op.why), mode),
            _ => {}
        }
    }

    fn pass_join(&self, join: &JoinOp, at: usize, mode: &mut InputMode) {
        let side = if at == 0 { Side::Left } else { Side::Right };
        let other = join.side(side.other());
        let by = named(&other.keys.name);
        if other.keys.is_everything() && self.is_single(other.node) {
            return;
        }
        self.reach_by(&other.by_key, by, mode);
    }

    fn reach_by(&self, access: &Access, by: String, mode: &mut InputMode) {
        match self.blocked(access) {
            Some(why) => self.reach(Cost::Full, Some(by), Some(why), mode),
            None => self.reach(Cost::Keys, Some(by), None, mode),
        }
    }

    fn reach(&self, cost: Cost, key: Option<String>, why: Option<Construct>, mode: &mut InputMode) {
        mode.cost = mode.cost.max(cost);
        if mode.obstacle.is_none() {
            mode.obstacle = why;
            mode.obstacle_key = key.clone().unwrap_or_default();
        }
        if let Some(key) = key.filter(|k| !k.is_empty() && !mode.keys.contains(k)) {
            mode.keys.push(key);
        }
    }

    /// Why an access reads everything, if it does.
    fn blocked(&self, access: &Access) -> Option<Construct> {
        match access {
            Access::Index { .. } | Access::Range { .. } => None,
            Access::Through { input, .. } | Access::Within { input, .. } => self.blocked(input),
            Access::Union { inputs, .. } => inputs.iter().find_map(|i| self.blocked(i)),
            Access::Join { node, first, by, .. } => self.blocked(by).or_else(|| {
                let Op::Join(join) = &self.nodes[*node].op else { return None };
                self.blocked(&join.side(first.other()).by_key)
            }),
            Access::Partitions { node, rows, .. } => self.blocked(rows).or_else(|| {
                let Op::Window(op) = &self.nodes[*node].op else { return None };
                self.blocked(&op.by_partition)
            }),
            Access::Everything { node, why, .. } => (!self.is_single(*node)).then_some(*why),
        }
    }

    /// Whether a node has a few rows that are known without reading its inputs.
    fn is_single(&self, node: usize) -> bool {
        match &self.nodes[node].op {
            Op::Constant(_) => true,
            Op::Aggregate(op) => op.groups.is_everything() && op.totals.is_some(),
            Op::Filter { input, .. } | Op::Project { input, .. } | Op::Rename { input } => {
                self.is_single(*input)
            }
            Op::Join(join) => self.is_single(join.left.node) && self.is_single(join.right.node),
            Op::Union { inputs } => inputs.iter().all(|i| self.is_single(*i)),
            _ => false,
        }
    }
}

//! The subjects of an explanation: which records, and what their pass saw of them.
//!
//! Whatever their decisions depend on is read besides, as for a run over changes. Whom a reference leads to may get its
//! coupling in the same run, or lose it, so a pass tells whom it needs, and whoever asks makes them subjects as well.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::delta::judging::Judged;
use crate::endpoint::Hidden;
use crate::extract::Undecided;
use crate::frame::Frame;

/// The records to explain, by table map and side.
pub type Subjects = BTreeMap<String, PerSide<BTreeSet<Uuid>>>;

/// What a pass saw of its subjects.
#[derive(Debug, Clone)]
pub struct Sight {
    pub table: String,
    /// The subjects and their partners as they were read, inside the filter or not.
    pub rows: PerSide<Frame>,
    /// Those of them that are inside.
    pub inside: PerSide<HashSet<Uuid>>,
    /// Coupled records that no list brings and that may exist all the same.
    pub hidden: PerSide<HashMap<Uuid, Hidden>>,
    /// Those that are neither inside nor outside, and why.
    pub undecided: PerSide<BTreeMap<Uuid, Undecided>>,
    /// Subjects that get no partner although new ones are made, and why.
    pub unpartnered: PerSide<BTreeMap<Uuid, String>>,
    /// The decisions on the fields of the pairs among them, the matched ones too.
    pub judged: Vec<Judged>,
    /// What each match rule finds for the subjects that have no coupling.
    pub searches: Vec<Search>,
    /// What people call the records that references of the pairs lead to.
    pub names: BTreeMap<Uuid, String>,
    /// Whom the references of the subjects lead to.
    pub refers: Vec<(String, Side, Uuid)>,
}

/// What one match rule finds for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Number of the rule, from 1.
    pub rule: usize,
    /// The side of the record that is compared, and its id.
    pub side: Side,
    pub id: Uuid,
    /// The columns of both sides that have to agree, and what the record holds there.
    pub values: Vec<(String, String, String)>,
    /// Records of either side that the rule takes for the same one.
    pub found: Vec<Found>,
}

/// A record that a match rule finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub side: Side,
    pub id: Uuid,
    pub record: String,
    pub inside: bool,
    /// Whom it is coupled with already, as people name that one.
    pub partner: Option<String>,
    /// Number of an earlier rule that tells a coupled record of the other side from this one: both have a value for it,
    /// and the values differ.
    pub told_apart: Option<usize>,
}

//! What a night costs before the first write: decoding aside, the join, the match and the comparison over seeded records.
//!
//! `make bench`, or `cargo bench --bench core -- NAME`. Both sides are in memory; what HTTP adds is said in the README.

use std::collections::{HashMap, HashSet};

use divan::Bencher;
use divan::counter::ItemsCount;
use pipeline::config::check::{Purpose, check};
use pipeline::config::{PerSide, Pipeline};
use pipeline::couple::taken::Coupled;
use pipeline::couple::{Pairs, join, match_rows};
use pipeline::delta::decided::Rulings;
use pipeline::delta::names::Names;
use pipeline::delta::{Work, decide_pairs};
use pipeline::endpoint::{ColumnInfo, Key, TableInfo};
use pipeline::frame::builder::Builder;
use pipeline::frame::{Cell, Column, Frame, Kind};
use pipeline::store::{Couplings, Terms};
use pipeline::translate::links::Links;
use uuid::Uuid;

/// Records a side.
const SIZES: [usize; 2] = [10_000, 100_000];

/// Text fields beside number, amount and flag: 19 compared fields in all, as in the standard customer map and more.
const TEXTS: usize = 16;

fn main() {
    divan::main();
}

/// One table on both sides: equal but for every hundredth record, where the ERP was edited.
struct Night {
    pipeline: Pipeline,
    infos: PerSide<TableInfo>,
    frames: PerSide<Frame>,
    couplings: Couplings,
}

impl Night {
    fn new(records: usize) -> Night {
        let mut fields = String::from("      - { erp: number, crm: number, direction: to_crm }\n");
        fields += "      - { erp: amount, crm: amount }\n      - { erp: flag, crm: flag }\n";
        for text in 0..TEXTS {
            fields += &format!("      - {{ erp: text{text}, crm: text{text} }}\n");
        }
        let auth =
            r#"auth: { type: oauth2, token_url: http://127.0.0.1:1/t, client_id: i, client_secret: "${S}", scope: s }"#;
        let text = format!(
            "version: 1\nname: bench\nconnections:\n  erp: {{ adapter: business-central, url: http://127.0.0.1:1, \
             company: C, {auth} }}\n  crm: {{ adapter: dataverse, url: http://127.0.0.1:1, {auth} }}\n\
             state: sqlite:bench.db\ntables:\n  customers:\n    erp: {{ table: customers }}\n    \
             crm: {{ table: accounts }}\n    direction: both\n    match: [ {{ by: {{ number: number }} }} ]\n    \
             fields:\n{fields}"
        );
        let checked = check(&text, "bench.yaml", &|_| Some("hush".to_owned()), Purpose::Run);
        let pipeline = checked.pipeline.expect("the file of the bench is valid");
        let mut columns = vec![
            Column { name: "number".into(), kind: Kind::Code },
            Column { name: "amount".into(), kind: Kind::Decimal { scale: 4 } },
            Column { name: "flag".into(), kind: Kind::Boolean },
        ];
        columns.extend((0..TEXTS).map(|text| Column { name: format!("text{text}"), kind: Kind::Text }));
        let describe = |column: &Column| ColumnInfo {
            column: column.clone(),
            readable: true,
            insertable: true,
            updatable: true,
            starts_with: None,
            local_day: false,
            length_max: None,
            range: None,
            options: Vec::new(),
            targets: Vec::new(),
        };
        let info =
            TableInfo { table: "t".into(), key: Key::Id("id".into()), columns: columns.iter().map(describe).collect() };
        let frame = |edited: bool, id: &dyn Fn(usize) -> Uuid| {
            let mut builder = Builder::new(columns.clone());
            for record in 0..records {
                push(&mut builder, 0, Cell::Text(&format!("C{record:07}")));
                push(&mut builder, 1, Cell::Number(&format!("{}.25", record % 10_000)));
                push(&mut builder, 2, Cell::Boolean(record % 3 == 0));
                for text in 0..TEXTS {
                    let edit = if edited && record % 100 == 0 && text == record % TEXTS { " (edited)" } else { "" };
                    push(&mut builder, 3 + text, Cell::Text(&format!("value {text} of record {record}{edit}")));
                }
                builder.end(id(record), "W/\"1\"");
            }
            builder.finish()
        };
        let erp = |record: usize| Uuid::from_u128(record as u128 + 1);
        // The CRM gives its records in an order of its own.
        let crm = |record: usize| Uuid::from_u128((record as u128 * 7_919 + 13) << 32);
        let frames = PerSide { erp: frame(true, &erp), crm: frame(false, &crm) };
        let couplings = Couplings {
            erp: (0..records).map(erp).collect(),
            crm: (0..records).map(crm).collect(),
            origins: vec![pipeline::store::Origin::Matched(1); records],
            bases: vec![vec![None; records]; pipeline.tables[0].fields.len()],
            terms: Terms::default(),
        };
        Night { infos: PerSide { erp: info.clone(), crm: info }, pipeline, frames, couplings }
    }

    fn settled(&self) -> Pairs {
        let mut pairs = join(&self.frames, &self.couplings).pairs;
        for (field, map) in self.pipeline.tables[0].fields.iter().enumerate() {
            let column = map.crm.as_deref().expect("every field of the bench has a CRM column");
            let held = pipeline::translate::canonical::own(&self.frames.crm, pipeline::config::Side::Crm, column);
            for (pair, rows) in pairs.rows.iter().enumerate() {
                pairs.bases[field][pair] = Some(PerSide { erp: held[rows.crm], crm: held[rows.crm] });
            }
        }
        pairs
    }
}

fn push(builder: &mut Builder, column: usize, cell: Cell<'_>) {
    builder.push(column, cell).expect("the cell fits its column");
}

/// Joins both frames to their couplings.
#[divan::bench(args = SIZES, sample_count = 10)]
fn couple(bencher: Bencher<'_, '_>, records: usize) {
    let night = Night::new(records);
    bencher.counter(ItemsCount::new(records)).bench_local(|| join(&night.frames, &night.couplings));
}

/// Matches both sides by number, as a first load does.
#[divan::bench(args = SIZES, sample_count = 10)]
fn match_by_number(bencher: Bencher<'_, '_>, records: usize) {
    let night = Night::new(records);
    let all: Vec<usize> = (0..records).collect();
    let uncoupled = PerSide { erp: all.clone(), crm: all };
    let map = &night.pipeline.tables[0];
    let nobody = PerSide::from_fn(|side| night.frames.of(side).take(&[]));
    let coupled = Coupled { pairs: &Pairs::default(), absent: &[], beyond: &nobody };
    bencher
        .counter(ItemsCount::new(records))
        .bench_local(|| match_rows(map, &night.infos, &night.frames, &Links::default(), &uncoupled, &coupled));
}

/// Compares 19 fields of every pair and decides; one pair in a hundred was edited.
#[divan::bench(args = SIZES, sample_count = 10)]
fn delta(bencher: Bencher<'_, '_>, records: usize) {
    let night = Night::new(records);
    let pairs = night.settled();
    let (links, crm_tables) = (Links::default(), HashMap::new());
    let map = &night.pipeline.tables[0];
    let left_out = vec![false; map.fields.len()];
    let names = Names::new(map, &[&night.frames]);
    let work = Work {
        pipeline: "bench",
        map,
        infos: &night.infos,
        frames: &night.frames,
        pairs: &pairs,
        terms: &Terms::default(),
        links: &links,
        left_out: &left_out,
        crm_tables: &crm_tables,
        untold: &HashMap::new(),
        names: &names,
        times: None,
        rulings: &Rulings::default(),
        force: None,
        won: &HashSet::new(),
    };
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        let decisions = decide_pairs(&work).expect("the file of the bench has no expression");
        assert_eq!(decisions.actions.len(), records / 100);
        decisions
    });
}

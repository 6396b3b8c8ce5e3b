//! Reads the sources and checks what no compiler does: arrows between modules, doors of heavy crates, the outside.
//!
//! Each rule is a function from sources to complaints. A rule has two tests: one over the repository, one over a sample
//! that must be caught. Comments and texts are taken out first, so that only code counts.

mod architecture;
mod links;
mod reading;
mod rules;

use std::path::{Path, PathBuf};

/// One file, with its path from the root of the repository.
pub struct Source {
    pub path: String,
    pub text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below `folder` whose names end with one of `ends`, sorted.
fn files(folder: &str, ends: &[&str]) -> Vec<Source> {
    fn collect(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "state", "snapshots"].contains(&name.as_str()) {
                    collect(&path, ends, found);
                }
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(folder), ends, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| Source {
            text: std::fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
        })
        .collect()
}

fn ours() -> Vec<Source> {
    let sources = files("src", &[".rs"]);
    assert!(sources.len() > 20, "the sources are not where they are looked for");
    sources
}

fn all_rust() -> Vec<Source> {
    ["src", "tests", "benches", "mocks"].iter().flat_map(|folder| files(folder, &[".rs"])).collect()
}

#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Checks that a sample is caught, by one complaint that names `expected`.
#[track_caller]
fn caught(complaints: Vec<String>, expected: &str) {
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains(expected), "{complaints:?}");
}

fn sample(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.to_owned(), text: text.to_owned() }]
}

const LIB: &str = "//! Story.\n\npub mod config;\npub mod frame;\n#[expect(a)]\npub mod adapters;\n";

#[test]
fn modules_import_only_what_stands_above_them() {
    let order = rules::module_order(&std::fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(order.len() > 10, "{order:?}");
    none(rules::arrows(&ours(), &order));
}

#[test]
fn an_arrow_that_points_down_is_caught() {
    let order = rules::module_order(LIB);
    assert_eq!(order, ["config", "frame", "adapters"]);
    let check = |path: &str, text: &str| rules::arrows(&sample(path, text), &order);
    caught(check("src/config/mod.rs", "use crate::frame::Value;"), "`config` imports `frame`");
    caught(check("src/config/a.rs", "use std::fmt;\nuse crate::{config, frame::{Value, Kind}};"), "imports `frame`");
    caught(check("src/config/a.rs", "fn f() -> super::super::frame::Kind {}"), "imports `frame`");
    caught(check("src/config/a/b.rs", "use super::super::super::frame;"), "imports `frame`");
    caught(check("src/frame.rs", "type A = Vec<crate::adapters::B>;"), "imports `adapters`");
    caught(check("src/frame.rs", "use super::adapters::B;"), "imports `adapters`");
    caught(check("src/stray.rs", "fn f() {}"), "not in lib.rs");
    none(check("src/frame.rs", "//! See [`crate::adapters`].\nuse crate::config::Side; // crate::adapters\n"));
    none(check("src/config/a/b.rs", "use super::super::Side;\nuse super::c;"));
    none(check("src/main.rs", "fn main() { pipeline::adapters::a() }"));
}

#[test]
fn the_files_of_a_run_import_only_what_stands_above_them() {
    let order = rules::module_order(&std::fs::read_to_string(root().join("src/run/mod.rs")).unwrap());
    assert!(order.len() > 10, "{order:?}");
    none(rules::arrows_within("run", &ours(), &order));
}

#[test]
fn an_arrow_that_points_down_within_a_module_is_caught() {
    let order = rules::module_order("//! Story.\n\nmod records;\npub mod account;\nmod state;\n");
    let check = |path: &str, text: &str| rules::arrows_within("run", &sample(path, text), &order);
    caught(check("src/run/records.rs", "use crate::run::state::PassState;"), "`records` imports `state`");
    caught(check("src/run/account.rs", "use crate::run::{records, state::PassState};"), "imports `state`");
    caught(check("src/run/records/tests.rs", "fn f() -> crate::run::account::Counts {}"), "imports `account`");
    caught(check("src/run/account.rs", "use super::state::PassState;"), "imports `state`");
    caught(check("src/run/stray.rs", "fn f() {}"), "not in src/run/mod.rs");
    none(check("src/run/state.rs", "use crate::run::records::Records;\nuse crate::state;\n"));
    none(check("src/run/records.rs", "//! See [`crate::run::state`].\nuse crate::config::Side;\n"));
    none(check("src/run/mod.rs", "use crate::run::state::PassState;"));
    none(check("src/cli/run.rs", "use crate::run::state::PassState;"));
}

#[test]
fn heavy_crates_have_one_door() {
    none(rules::doors(&ours()));
}

#[test]
fn a_second_door_is_caught() {
    let check = |path: &str, text: &str| rules::doors(&sample(path, text));
    caught(check("src/run.rs", "use polars::prelude::*;"), "`polars`");
    caught(check("src/config/check.rs", "fn f(d: polars::frame::DataFrame) {}"), "`polars`");
    caught(check("src/cli/run.rs", "use {std::fmt, serde_json as json};"), "`serde_json`");
    caught(check("src/adapters/token.rs", "use ureq::Agent;"), "`ureq`");
    caught(check("src/delta/mod.rs", "use rusqlite;"), "`rusqlite`");
    caught(check("src/report/run.rs", "#[derive(clap::Args)] struct A;"), "`clap`");
    none(check("src/delta/merge.rs", "use polars::prelude::*; use rayon::prelude::*;"));
    none(check("src/run.rs", "/// Unlike `polars::frame`.\nconst A: &str = \"polars::frame\"; fn polars() {}"));
}

#[test]
fn only_the_edge_touches_the_outside() {
    none(rules::outside(&ours()));
}

#[test]
fn a_touch_of_the_outside_is_caught() {
    let check = |path: &str, text: &str| rules::outside(&sample(path, text));
    for (text, expected) in [
        ("use std::fs;", "std::fs"),
        ("use std::{fmt, env::var};", "std::env"),
        ("fn f() { std::process::exit(1) }", "std::process"),
        ("use std::net::TcpStream;", "std::net"),
        ("use std::time::{Duration, Instant};", "std::time::Instant"),
        ("use std::time::SystemTime;", "std::time::SystemTime"),
        ("fn f() { std::thread::sleep(d) }", "sleep"),
        ("use std::thread; fn f() { thread::sleep(d) }", "sleep"),
        ("fn f() { std::io::stdout() }", "std::io::stdout"),
        ("fn f() { println!(\"a\") }", "println!"),
        ("fn f() { eprint!(\"a\") }", "eprint!"),
        ("fn f() { dbg!(1) }", "dbg!"),
        ("fn f() { chrono::Utc::now() }", "Utc::now"),
        ("fn f() { Uuid::new_v4() }", "Uuid::new_v4"),
    ] {
        caught(check("src/run.rs", text), expected);
    }
    caught(check("src/adapters/http.rs", "fn f() { Utc::now() }"), "Utc::now");
    caught(check("src/adapters/http.rs", "fn f() { println!(\"a\") }"), "println!");
    none(check("src/adapters/http.rs", "use std::time::Instant; fn f() { std::thread::sleep(d) }"));
    none(check("src/cli/world.rs", "fn f() { std::fs::read(p); Utc::now(); Uuid::new_v4(); std::io::stdout() }"));
    none(check("src/run.rs", "use std::time::Duration; const A: &str = \"println!(std::fs)\";"));
}

#[test]
fn mocks_know_nothing_of_the_program() {
    none(rules::independent(&files("mocks", &[".rs", "Cargo.toml"])));
}

#[test]
fn a_fake_that_leans_on_the_program_is_caught() {
    let check = |path: &str, text: &str| rules::independent(&sample(path, text));
    caught(check("mocks/src/erp/mod.rs", "use pipeline::frame::Value;"), "pipeline");
    caught(check("mocks/Cargo.toml", "[dependencies]\npipeline = { path = \"..\" }\n"), "pipeline");
    caught(check("mocks/Cargo.toml", "[dev-dependencies]\nother = { path = \"..\", package = \"pipeline\" }\n"), "..");
    none(check("mocks/src/main.rs", "//! Runs pipeline::x.\nfn f() { g(\"pipeline::run\") }"));
}

#[test]
fn every_module_says_what_it_is() {
    none(rules::opening(&all_rust()));
}

#[test]
fn a_module_without_opening_is_caught() {
    caught(rules::opening(&sample("src/a.rs", "use std::fmt;\n//! Too late.\n")), "src/a.rs");
    caught(rules::opening(&sample("src/a.rs", "")), "src/a.rs");
    caught(rules::opening(&sample("src/a.rs", "//!\nfn f() {}\n")), "src/a.rs");
    caught(rules::opening(&sample("src/a.rs", "//! To be written.\n")), "to be written");
    none(rules::opening(&sample("src/a.rs", "//! What it is.\n")));
}

#[test]
fn no_test_is_switched_off() {
    none(rules::ignored(&all_rust()));
}

#[test]
fn a_test_that_is_switched_off_is_caught() {
    caught(rules::ignored(&sample("src/a.rs", "#[test]\n#[ignore]\nfn a() {}")), "src/a.rs");
    caught(rules::ignored(&sample("src/a.rs", "#[ignore = \"slow\"]\nfn a() {}")), "src/a.rs");
    none(rules::ignored(&sample("src/a.rs", "// Never #[ignore].\nfn ignore() {}")));
}

#[test]
fn texts_end_cleanly() {
    let mut texts = all_rust();
    for (folder, ends) in [
        ("", &["Cargo.toml", ".md", "Makefile", "LICENSE-MIT", "LICENSE-APACHE", "clippy.toml"][..]),
        ("pipelines", &[".yaml"]),
    ] {
        texts.extend(files(folder, ends));
    }
    none(rules::clean_ends(&texts));
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let pages = files("", &[".md"]);
    assert!(pages.len() > 20, "{} pages", pages.len());
    none(links::dead(&pages, &|path| root().join(path).exists()));
}

#[test]
fn a_link_that_leads_nowhere_is_caught() {
    let page = |text: &str| sample("docs/a.md", text);
    let dead = |text: &str| links::dead(&page(text), &|path| path == "docs/b.rs" || path == "c.md");
    caught(dead("See [b](b.md).\n"), "docs/a.md:1");
    caught(dead("# One thing\n\n[a](#another-thing)\n"), "docs/a.md:3");
    caught(dead("[a](a.md#one-thing)\n"), "docs/a.md:1");
    none(dead(
        "# One `thing` (§5)\n[a](#one-thing-5), [b](b.rs), [c](../c.md), [d](https://a.example/b)\n    [e](none.md)\n",
    ));
}

#[test]
fn blanks_at_the_end_are_caught() {
    caught(rules::clean_ends(&sample("a.md", "one \ntwo\n")), "a.md:1");
    caught(rules::clean_ends(&sample("a.md", "one\ntwo\t\n")), "a.md:2");
    caught(rules::clean_ends(&sample("a.md", "one\r\ntwo\n")), "a.md:1");
    caught(rules::clean_ends(&sample("a.md", "one")), "line end");
    none(rules::clean_ends(&sample("a.md", "one\n\ntwo\n")));
}

fn page() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

#[test]
fn the_architecture_names_every_module_and_every_file_of_the_run() {
    let order = |path: &str| rules::module_order(&std::fs::read_to_string(root().join(path)).unwrap());
    none(architecture::tree(&page(), &order("src/lib.rs")));
    none(architecture::run_files(&page(), &order("src/run/mod.rs")));
    none(architecture::named_files(&page(), &all_rust()));
}

#[test]
fn what_the_architecture_leaves_out_is_caught() {
    let order = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let page = "# A\n\n## The tree\n\n    src/\n      lib.rs    story\n      config/   text,\n                more\n      \
                frame.rs  rows\n    mocks/    fakes\n\n## The run\n\nIt begins (`opening.rs`).\n\n| part | holds \
                |\n|---|---|\n| `waits`, `tally` | what `step` is |\n\n## More\n\nSee `run/bases.rs`.\n";
    none(architecture::tree(page, &order(&["config", "frame"])));
    caught(architecture::tree(page, &order(&["frame", "config"])), "Some(\"frame\")");
    caught(architecture::tree(page, &order(&["config", "frame", "run"])), "Some(\"run\")");
    caught(architecture::tree(page, &order(&["config"])), "Some(\"frame\")");
    none(architecture::run_files(page, &order(&["opening", "waits", "tally"])));
    caught(architecture::run_files(page, &order(&["opening", "step"])), "`step.rs`");
    caught(architecture::run_files(page, &order(&["bases"])), "`bases.rs`");
    let sources =
        |path: &str| [sample(path, ""), sample("src/run/bases.rs", "")].into_iter().flatten().collect::<Vec<_>>();
    none(architecture::named_files(page, &sources("src/run/opening.rs")));
    caught(architecture::named_files(page, &sources("src/run/reopening.rs")), "`opening.rs`");
}

/// The promises of the program, as ARCHITECTURE.md and README.md tell them.
const PROMISES: [&str; 11] = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11"];

#[test]
fn each_promise_has_its_name_in_the_code_a_test_and_a_line_for_users() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    none(architecture::promises(&page(), &PROMISES, &readme, &all_rust()));
}

#[test]
fn a_promise_without_name_test_or_line_is_caught() {
    let page = |files: &str, tests: &str| {
        format!(
            "\n## The invariants\n\n| | promise | code | test |\n|---|---|---|---|\n| I1 | a | {files} | {tests} |\n"
        )
    };
    let sources = [
        sample("src/run/bases.rs", "//! Moves bases (I1).\n"),
        sample("src/delta/mod.rs", "//! Decides (I11).\n"),
        sample("tests/it/nightly/first.rs", "#[test]\nfn a_name() {\n    assert!(true, \"I1\");\n}\nfn no_test() {}\n"),
        sample("tests/it/plans.rs", "#[test]\nfn another() {}\n"),
    ];
    let sources: Vec<Source> = sources.into_iter().flatten().collect();
    let check =
        |files: &str, tests: &str| architecture::promises(&page(files, tests), &["I1"], "\n| I1 | a |\n", &sources);
    none(check("`run/bases.rs`, `Store::answer`", "`nightly::first::a_name`, `plans`"));
    none(check("`run/`", "`nightly::first`: all of it"));
    caught(check("`delta/mod.rs`", "`nightly::first`"), "in none of the files of its code");
    caught(check("`run/bases.rs`", "`nightly::first`, `nightly::first::no_test`"), "no test `nightly::first::no_test`");
    caught(check("`run/bases.rs`", "`plans`"), "in none of its tests");
    caught(architecture::promises(&page("`run/`", "`first`"), &["I1"], "", &sources), "no line in README.md");
    caught(architecture::promises(&page("`run/`", "`first`"), &["I2"], "\n| I2 | a |\n", &sources), "I2 has no line");
}

#[test]
fn polars_stays_lean() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(rules::polars_features(&manifest).contains(&"lazy".to_owned()), "the features are not found");
    none(rules::lean_polars(&manifest));
}

#[test]
fn a_polars_feature_that_brings_a_cloud_stack_is_caught() {
    let check = rules::lean_polars;
    caught(check("polars = { version = \"1\", features = [\n  \"lazy\",\n  \"parquet\", # why\n] }\n"), "parquet");
    caught(check("[dependencies.polars]\nfeatures = [\"csv\"]\n[a]\n"), "csv");
    caught(check("polars = { version = \"1\", features = [\"json\"], default-features = false }\n"), "json");
    none(check("polars = { features = [\"sql\"] }\npolars-io = { features = [\"json\", \"csv\"] }\n"));
}

//! The rules: sources in, complaints with path and line out.
//!
//! What is allowed where stands in the tables of this file; to change one is to change the architecture.

use super::Source;
use super::reading::{CodePath, code, line, paths};

/// Heavy crates and where alone they may be named: a file, or a folder that ends with `/`.
const DOORS: [(&str, &[&str]); 23] = [
    ("polars", &["src/config/expression", "src/frame", "src/translate", "src/delta"]),
    ("rayon", &["src/delta"]),
    ("serde_yaml", &["src/config/"]),
    ("saphyr_parser", &["src/config/"]),
    ("serde_path_to_error", &["src/config/"]),
    ("schemars", &["src/config/"]),
    ("sqlparser", &["src/config/expression"]),
    ("regex", &["src/config/expression"]),
    ("serde_json", &["src/report", "src/adapters/"]),
    ("base64", &["src/adapters/credentials"]),
    ("ring", &["src/adapters/credentials"]),
    ("rustls_pki_types", &["src/adapters/credentials"]),
    ("sha2", &["src/plan"]),
    ("ureq", &["src/adapters/http"]),
    ("webpki_root_certs", &["src/adapters/http"]),
    ("roxmltree", &["src/adapters/"]),
    ("rusqlite", &["src/adapters/sqlite"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("csv", &["src/cli/sheet"]),
    ("indicatif", &["src/cli/"]),
    ("signal_hook", &["src/cli/"]),
    ("mocks", &[]),
];

/// Rooms that may touch the outside.
const EDGE: [&str; 3] = ["src/adapters/", "src/cli/", "src/main.rs"];

/// Rooms where moments and random ids may be made, and results be printed.
const CLI: [&str; 2] = ["src/cli/", "src/main.rs"];

/// What touches the outside, by path.
const OUTSIDE: [&[&str]; 11] = [
    &["std", "fs"],
    &["std", "env"],
    // An address is a value; what speaks to it is not.
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
    &["std", "process"],
    &["std", "os"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["std", "thread", "sleep"],
    &["thread", "sleep"],
];

/// What only `cli` does, by the end of a path.
const ONLY_CLI: [&[&str]; 7] = [
    &["Utc", "now"],
    &["Local", "now"],
    &["Uuid", "new_v4"],
    &["Uuid", "now_v7"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
];

const PRINTING: [&str; 5] = ["println", "eprintln", "print", "eprint", "dbg"];

/// Returns the modules of lib.rs in their order.
pub fn module_order(lib: &str) -> Vec<String> {
    let code = code(lib);
    let lines = code.lines().map(str::trim);
    let modules = lines.filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")));
    modules.filter_map(|module| module.strip_suffix(';')).map(str::to_owned).collect()
}

/// A module imports only modules that stand above it in lib.rs.
pub fn arrows(sources: &[Source], order: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !["src/lib.rs", "src/main.rs"].contains(&source.path.as_str())) {
        let inside = source.path.trim_start_matches("src/").trim_end_matches(".rs");
        let module: Vec<&str> = inside.split('/').filter(|name| *name != "mod").collect();
        let Some(own) = order.iter().position(|name| name == module[0]) else {
            complaints.push(format!("{}: the module `{}` is not in lib.rs", source.path, module[0]));
            continue;
        };
        for path in paths(&code(&source.text)) {
            let target = target(&path, &module);
            if let Some(other) = target.and_then(|target| order.iter().position(|name| name == target))
                && other > own
            {
                complaints.push(format!(
                    "{}:{}: `{}` imports `{}`, which stands below it in lib.rs",
                    source.path, path.line, order[own], order[other]
                ));
            }
        }
    }
    complaints.dedup();
    complaints
}

/// Within a module, a file imports only files that stand above it in its mod.rs.
pub fn arrows_within(module: &str, sources: &[Source], order: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    let folder = format!("src/{module}/");
    for source in sources {
        let Some(inside) = source.path.strip_prefix(&folder).filter(|inside| *inside != "mod.rs") else { continue };
        let file = inside.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = order.iter().position(|name| name == file) else {
            complaints.push(format!("{}: the file is not in {folder}mod.rs", source.path));
            continue;
        };
        for path in paths(&code(&source.text)) {
            let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
            let target = match names[..] {
                ["crate", within, target, ..] if within == module => target,
                ["super", target, _, ..] => target,
                _ => continue,
            };
            if let Some(other) = order.iter().position(|name| name == target)
                && other > own
            {
                complaints.push(format!(
                    "{}:{}: `{file}` imports `{target}`, which stands below it in {folder}mod.rs",
                    source.path, path.line
                ));
            }
        }
    }
    complaints.dedup();
    complaints
}

/// Returns the top module that a path leads to, where it leads out of its own one.
fn target<'a>(path: &'a CodePath, module: &[&str]) -> Option<&'a str> {
    let ups = path.names.iter().take_while(|name| *name == "super").count();
    let after = match path.names[0].as_str() {
        "crate" => 1,
        // Inside `mod tests` one `super` more is needed, so a chain that is too long by one still ends at the root.
        "super" if ups >= module.len() => ups,
        _ => return None,
    };
    path.names.get(after).map(String::as_str)
}

/// A heavy crate is named in one room only.
pub fn doors(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let code = code(&source.text);
        for path in paths(&code) {
            let door = DOORS.iter().find(|(krate, _)| path.names[0] == *krate);
            // A single name may be a variable or a function; it counts where an import names it.
            let names_crate = path.names.len() > 1 || imported(&code, path.line);
            if let Some((krate, rooms)) = door
                && names_crate
                && !rooms.iter().any(|room| source.path.starts_with(room))
            {
                complaints.push(format!("{}:{}: `{krate}` has its door elsewhere: {rooms:?}", source.path, path.line));
            }
        }
    }
    complaints
}

fn imported(code: &str, line: usize) -> bool {
    code.lines().nth(line - 1).is_some_and(|line| {
        let line = line.trim_start();
        line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("extern crate ")
    })
}

/// Only `adapters`, `cli` and `main` touch the outside, and only `cli` makes moments, random ids and output.
pub fn outside(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let at = |rooms: &[&str]| rooms.iter().any(|room| source.path.starts_with(room));
        let code = code(&source.text);
        let mut complain = |line: usize, what: &str| {
            complaints.push(format!("{}:{line}: `{what}` belongs to the edge of the program", source.path));
        };
        for path in paths(&code) {
            let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
            let outside = !at(&EDGE) && OUTSIDE.iter().any(|banned| names.starts_with(banned));
            let only_cli =
                !at(&CLI) && ONLY_CLI.iter().any(|banned| names.ends_with(banned) || names.starts_with(banned));
            if outside || only_cli {
                complain(path.line, &names.join("::"));
            }
        }
        if !at(&CLI) {
            for name in PRINTING {
                let call = format!("{name}!");
                for (at, _) in code.match_indices(&call) {
                    if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                        complain(line(&code, at), &call);
                    }
                }
            }
        }
    }
    complaints
}

/// The fakes know the two protocols and nothing of the program.
pub fn independent(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        if source.path.ends_with(".toml") {
            for (number, text) in source.text.lines().enumerate() {
                let text = text.split('#').next().unwrap_or("");
                if text.starts_with("pipeline") || text.contains("path = \"..\"") {
                    complaints.push(format!("{}:{}: depends on the program: {text}", source.path, number + 1));
                }
            }
        } else {
            let uses = paths(&code(&source.text)).into_iter().filter(|path| path.names.len() > 1);
            complaints.extend(
                uses.filter(|path| path.names[0] == "pipeline")
                    .map(|path| format!("{}:{}: names `{}`", source.path, path.line, path.names.join("::"))),
            );
        }
    }
    complaints
}

/// Every module opens with what it is.
pub fn opening(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let first = source.text.lines().next().unwrap_or("");
        if first.strip_prefix("//! ").is_none_or(|words| words.trim().is_empty()) {
            complaints.push(format!("{}: does not open with `//!` and what it is", source.path));
        } else if first.to_lowercase().contains("to be written") {
            complaints.push(format!("{}: is still to be written", source.path));
        }
    }
    complaints
}

/// No test is switched off.
pub fn ignored(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let code = code(&source.text);
        for (at, _) in code.match_indices("#[ignore") {
            complaints.push(format!("{}:{}: a test is switched off", source.path, line(&code, at)));
        }
    }
    complaints
}

/// No line ends with a blank, and a text ends with a line end.
pub fn clean_ends(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (number, text) in source.text.split('\n').enumerate() {
            if text.ends_with([' ', '\t', '\r']) {
                complaints.push(format!("{}:{}: a blank at the end of the line", source.path, number + 1));
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            complaints.push(format!("{}: no line end at the end", source.path));
        }
    }
    complaints
}

/// Returns the features of `polars` that a manifest asks for.
pub fn polars_features(manifest: &str) -> Vec<String> {
    let mut features = Vec::new();
    let mut inside = None;
    for text in manifest.lines() {
        let text = text.split('#').next().unwrap_or("");
        let name = text.split('=').next().unwrap_or("").trim();
        let end = match inside {
            Some(end) => end,
            None if name == "polars" => '}',
            None if text.trim() == "[dependencies.polars]" => '[',
            None => continue,
        };
        let table_ends = end == '[' && inside.is_some() && text.starts_with('[');
        inside = Some(end).filter(|_| !table_ends);
        if !table_ends {
            features.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
        }
        if end == '}' && text.contains('}') {
            inside = None;
        }
    }
    features
}

/// `polars` is used without the features that bring its streaming engine and a cloud stack.
pub fn lean_polars(manifest: &str) -> Vec<String> {
    let banned = ["parquet", "csv", "json", "streaming", "cloud"];
    let features = polars_features(manifest).into_iter().filter(|feature| banned.contains(&feature.as_str()));
    features.map(|feature| format!("Cargo.toml: polars with `{feature}`; take `polars-io` for files")).collect()
}

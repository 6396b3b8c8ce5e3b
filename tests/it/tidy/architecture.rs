//! ARCHITECTURE.md, held against the sources: the page in; what it leaves out, and what it says that is not so, out.

use super::Source;

/// The page's name in complaints.
const PAGE: &str = "ARCHITECTURE.md";

/// The tree shows the modules of lib.rs, in their order.
pub fn tree(page: &str, order: &[String]) -> Vec<String> {
    let inside = |line: &&str| line.starts_with("      ") && !line.starts_with("       ");
    let lines = section(page, "The tree").lines().filter(inside);
    let names = lines.filter_map(|line| line.split_whitespace().next());
    let shown: Vec<&str> =
        names.map(|name| name.trim_end_matches(".rs").trim_end_matches('/')).filter(|name| *name != "lib").collect();
    let length = shown.len().max(order.len());
    let pairs = (0..length).map(|at| (shown.get(at).copied(), order.get(at).map(String::as_str)));
    let differ = pairs.filter(|(shown, module)| shown != module).take(1);
    differ.map(|(shown, module)| format!("{PAGE}: the tree has {shown:?} where lib.rs has {module:?}")).collect()
}

/// What is said of the run names each of its files: in a sentence, or as a part of what a pass knows.
pub fn run_files(page: &str, order: &[String]) -> Vec<String> {
    let section = section(page, "The run");
    let parts = table(section, "part").into_iter().flat_map(|cells| code(&cells[0]));
    let named: Vec<String> = code(section).into_iter().chain(parts.map(|part| part + ".rs")).collect();
    let missing = order.iter().map(|name| format!("{name}.rs")).filter(|file| !named.contains(file));
    missing.map(|file| format!("{PAGE}: what is said of the run leaves out `{file}`")).collect()
}

/// Every file that the page names is there.
pub fn named_files(page: &str, sources: &[Source]) -> Vec<String> {
    let is_there =
        |file: &String| sources.iter().any(|source| format!("/{}", source.path).ends_with(&format!("/{file}")));
    let files = code(page).into_iter().filter(|word| word.ends_with(".rs"));
    files.filter(|file| !is_there(file)).map(|file| format!("{PAGE}: there is no `{file}`")).collect()
}

/// Each promise stands in its line with code that names it, and with tests that are there, of which one names it; and the
/// user's documentation has a line for it.
pub fn promises(page: &str, promised: &[&str], readme: &str, sources: &[Source]) -> Vec<String> {
    let section = section(page, "The invariants");
    let lines = table(section, "");
    let mut complaints = Vec::new();
    for name in promised {
        let mut complain = |what: &str| complaints.push(format!("{PAGE}: {name} {what}"));
        let Some([_, _, files, tests]) = lines.iter().find(|cells| cells[0] == *name).map(Vec::as_slice) else {
            complain("has no line with its promise, code and tests");
            continue;
        };
        let files = code(files);
        let is_code = |source: &&Source| {
            let inside = source.path.strip_prefix("src/").unwrap_or_default();
            files.iter().any(|file| inside == file || (file.ends_with('/') && inside.starts_with(file)))
        };
        if !sources.iter().filter(is_code).any(|source| names(&source.text, name)) {
            complain("is named in none of the files of its code");
        }
        let tests: Vec<(String, Option<&Source>)> =
            code(tests).into_iter().map(|test| (test.clone(), test_of(&test, sources))).collect();
        for (test, _) in tests.iter().filter(|(_, source)| source.is_none()) {
            complain(&format!("has no test `{test}`"));
        }
        if !tests.iter().any(|(_, source)| source.is_some_and(|source| names(&source.text, name))) {
            complain("is named in none of its tests");
        }
        if !readme.contains(&format!("\n| {name} | ")) {
            complain("has no line in README.md");
        }
    }
    complaints
}

/// Returns the source that holds the test of that name, or the module of tests.
fn test_of<'a>(name: &str, sources: &'a [Source]) -> Option<&'a Source> {
    let names: Vec<&str> = name.split("::").collect();
    let (last, above) = names.split_last()?;
    sources.iter().find(|source| {
        let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<&str> = path.split('/').collect();
        let tests = source.path.starts_with("tests/") || source.text.contains("#[test]");
        let is_module = tests && module.ends_with(&names);
        is_module || (!above.is_empty() && module.ends_with(above) && has_test(&source.text, last))
    })
}

fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let of_item = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    let at = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
    at.is_some_and(|at| lines[..at].iter().rev().take_while(of_item).any(|line| *line == "#[test]"))
}

/// Tells whether a text has a name as a word of its own.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name)
}

/// Returns what stands under a heading of the second level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.split_once(&format!("\n## {heading}\n")).map_or("", |(_, rest)| rest);
    start.split("\n## ").next().unwrap_or_default()
}

/// Returns the rows of the first table whose first heading is that one.
fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inner = line.trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let lines = text.lines().skip_while(|line| !line.starts_with('|') || cells(line)[0] != first);
    lines.take_while(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// Returns what stands between backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

//! Links of the documents: pages in, those that lead nowhere out.

use super::Source;

/// Complains about each link to a page or a heading that is not there; `exists` tells whether a path is, from the root.
pub fn dead(pages: &[Source], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for page in pages {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(&page.text) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').map_or((target.as_str(), None), |(path, at)| (path, Some(at)));
            let path = if path.is_empty() { page.path.clone() } else { joined(folder, path) };
            let other = pages.iter().find(|other| other.path == path);
            let is_there = other.is_some() || exists(&path);
            let has_heading = heading.is_none_or(|heading| {
                other.is_some_and(|other| headings(&other.text).iter().any(|known| known == heading))
            });
            if !is_there || !has_heading {
                complaints.push(format!("{}:{line}: `{target}` leads nowhere", page.path));
            }
        }
    }
    complaints
}

/// Returns the targets of links, each with its line; what stands in code is none.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block || line.starts_with("    ") {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| (number + 1, target.to_owned())));
    }
    found
}

/// Joins a folder and a path that may lead up.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the names under which headings are linked to.
fn headings(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    text.lines().filter(|line| line.starts_with('#')).map(name).collect()
}

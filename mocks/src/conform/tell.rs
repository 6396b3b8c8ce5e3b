//! What people and programs read of a report.

use serde_json::{Value, json};

use super::{Finding, Report, Verdict};

/// The counts of a report: met, not met, not tried.
pub fn counts(report: &Report) -> (usize, usize, usize) {
    let count = |is: fn(&Verdict) -> bool| report.findings.iter().filter(|finding| is(&finding.verdict)).count();
    (
        count(|verdict| *verdict == Verdict::Met),
        count(|verdict| matches!(verdict, Verdict::NotMet { .. })),
        count(|verdict| matches!(verdict, Verdict::NotTried { .. })),
    )
}

/// One line for each expectation, three more where it is not met, and the counts; `source` is what the sections are of.
pub fn text(report: &Report, source: &str) -> String {
    let mut lines = Vec::new();
    for Finding { expectation, verdict } in &report.findings {
        let line = |word: &str| format!("{word:<10} {source} §{}: {}", expectation.section, expectation.name);
        match verdict {
            Verdict::Met => lines.push(line("met")),
            Verdict::NotTried { why } => lines.push(format!("{} ({why})", line("not tried"))),
            Verdict::NotMet { sent, came, expected } => {
                lines.push(line("not met"));
                lines.push(format!("           sent: {sent}"));
                lines.push(format!("           came: {came}"));
                lines.push(format!("           expected: {expected}"));
            }
        }
    }
    lines.extend(report.left.iter().map(|record| format!("left behind: {record}")));
    let (met, not_met, not_tried) = counts(report);
    lines.push(format!("{met} met, {not_met} not met, {not_tried} not tried"));
    lines.join("\n") + "\n"
}

/// The same as one document.
pub fn json(report: &Report, source: &str) -> String {
    let expectations = report.findings.iter().map(|Finding { expectation, verdict }| {
        let mut told = json!({
            "expectation": expectation.name,
            "source": source,
            "section": expectation.section,
            "writes": expectation.writes,
        });
        let more: Vec<(&str, &str)> = match verdict {
            Verdict::Met => vec![("verdict", "met")],
            Verdict::NotTried { why } => vec![("verdict", "not_tried"), ("why", why)],
            Verdict::NotMet { sent, came, expected } => {
                vec![("verdict", "not_met"), ("sent", sent), ("came", came), ("expected", expected)]
            }
        };
        for (key, value) in more {
            told[key] = Value::from(value);
        }
        told
    });
    let expectations: Vec<Value> = expectations.collect();
    let (met, not_met, not_tried) = counts(report);
    let document = json!({
        "met": met,
        "not_met": not_met,
        "not_tried": not_tried,
        "left": report.left,
        "expectations": expectations,
    });
    format!("{document:#}\n")
}

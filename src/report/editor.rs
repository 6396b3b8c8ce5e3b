//! What editors and shells go by: the schema of the file, and completions.

use serde::Serialize;

use crate::report::document;

/// Returns a schema as one document.
pub fn json(schema: &impl Serialize) -> String {
    document(schema)
}

#[derive(Serialize)]
struct CompletionsDocument<'a> {
    shell: &'a str,
    script: &'a str,
}

/// Returns completions for programs.
pub fn completions_json(shell: &str, script: &str) -> String {
    document(&CompletionsDocument { shell, script })
}

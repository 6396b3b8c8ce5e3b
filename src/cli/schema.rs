//! `pipeline schema`: what editors know of the pipeline file.

use crate::cli::exit::{Exit, Failure};
use crate::cli::print;
use crate::config::editor;
use crate::report;

/// Carries out `schema`.
pub fn schema() -> Result<Exit, Failure> {
    print(&(report::editor::json(&editor::schema()) + "\n"))?;
    Ok(Exit::Done)
}

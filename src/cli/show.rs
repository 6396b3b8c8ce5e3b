//! `pipeline show`: a saved plan, from its file alone. Asks neither side, no state and no variable.

use crate::cli::args::ShowArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{print_as, saved};
use crate::plan::choice::Choice;
use crate::report::show::{self, Part};

/// Carries out `show`.
pub fn show(arguments: &ShowArguments) -> Result<Exit, Failure> {
    let plan = saved::read(&arguments.plan)?;
    let choice = Choice { tables: arguments.table.clone(), records: arguments.record.clone() };
    known(&arguments.plan.display().to_string(), &choice, &plan.plan)?;
    let part = Part { choice, fields: arguments.field.clone() };
    if let Some(field) = show::unknown_field(&plan, &part) {
        return Err(Failure::Arguments {
            message: format!("{} knows no field `{field}`", arguments.plan.display()),
            hint: "a field is named by its column in the ERP or in the CRM, as the pipeline file does".to_owned(),
        });
    }
    print_as(arguments.format, || show::text(&plan, &part), || show::json(&plan, &part))?;
    Ok(Exit::Done)
}

/// Refuses names of table maps and records that the plan does not have.
pub fn known(file: &str, choice: &Choice, plan: &crate::plan::Plan) -> Result<(), Failure> {
    let Some(name) = choice.unknown(plan) else { return Ok(()) };
    let tables: Vec<&str> = plan.tables.iter().map(|table| table.table.as_str()).collect();
    Err(Failure::Arguments {
        message: format!("{file} holds nothing of `{name}`"),
        hint: if name.contains(':') {
            format!("`pipeline show {file}` names the records that it holds")
        } else {
            format!("it has the table maps {}", tables.join(", "))
        },
    })
}

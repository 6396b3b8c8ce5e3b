//! The business rules: what the service itself fills in, what it computes, and what it refuses for its own reasons.
//!
//! In: a row as a caller wants it, with the row as it was. Out: the row completed, or the refusal. Types, lengths and
//! the columns' validity for create and update were checked before; references exist. Codes and messages are those of
//! Microsoft's list of service error codes.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::error::Error;
use super::schema::{self, Kind, TABLES};
use super::state::State;
use super::store::{self, Cell, Row, Rule};
use super::{sales, value};

/// The decimals that the organization keeps for prices.
const PRICING_PRECISION: u32 = 2;

/// Fills what a new row lacks.
pub fn defaults(state: &State, table: usize, row: &mut Row, caller: Uuid) {
    let declared = &TABLES[table];
    let users = schema::table("systemuser");
    let mut missing = |column: &str, cell: Cell| {
        let index = declared.column(column);
        if row.get(index).is_none() {
            row.set(index, Some(cell));
        }
    };
    if declared.is_owned() {
        missing("ownerid", Cell::Link(users, caller));
    }
    match declared.name {
        "product" => {
            missing("producttypecode", Cell::Whole(1));
            missing("productstructure", Cell::Whole(1));
            missing("quantitydecimal", Cell::Whole(0));
            missing("isstockitem", Cell::Flag(false));
            let state_code = if state.products_start_active { 0 } else { 2 };
            missing("statecode", Cell::Whole(state_code));
        }
        "account" | "contact" => {
            for flag in ["creditonhold", "donotemail", "donotphone"] {
                missing(flag, Cell::Flag(false));
            }
            if declared.name == "contact" {
                missing("customertypecode", Cell::Whole(1));
            }
        }
        "productpricelevel" => {
            for choice in ["pricingmethodcode", "quantitysellingcode", "roundingpolicycode", "roundingoptioncode"] {
                missing(choice, Cell::Whole(1));
            }
        }
        "systemuser" => {
            missing("isdisabled", Cell::Flag(false));
            missing("islicensed", Cell::Flag(true));
            missing("isintegrationuser", Cell::Flag(false));
            missing("accessmode", Cell::Whole(0));
        }
        _ => {}
    }
    if declared.by_name("statecode").is_some() {
        missing("statecode", Cell::Whole(0));
    }
    if row_state(table, row).is_some() && row.get(declared.column("statuscode")).is_none() {
        row.set(declared.column("statuscode"), default_status(table, row).map(Cell::Whole));
    }
}

/// Computes what follows from other columns: names, base amounts, the owner's parts.
pub fn compute(state: &State, table: usize, row: &mut Row) {
    let declared = &TABLES[table];
    if matches!(declared.name, "contact" | "systemuser") {
        let parts: Vec<_> = ["firstname", "middlename", "lastname"]
            .iter()
            .filter_map(|name| row.get(declared.column(name))?.text())
            .collect();
        let full = parts.join(" ");
        row.set(declared.column("fullname"), (!full.is_empty()).then(|| Cell::Text(full.into())));
    }
    if declared.is_owned() {
        let owner = row.get(declared.column("ownerid")).cloned();
        let (user, team) = match owner {
            Some(Cell::Link(kind, id)) if TABLES[kind].name == "team" => (None, Some(Cell::Link(kind, id))),
            other => (other, None),
        };
        let unit = user.as_ref().or(team.as_ref()).and_then(|owner| match owner {
            Cell::Link(kind, id) => state.store.get(*kind, *id)?.get(TABLES[*kind].column("businessunitid")).cloned(),
            _ => None,
        });
        let unit = unit.unwrap_or(Cell::Link(schema::table("businessunit"), state.business_unit));
        row.set(declared.column("owningbusinessunit"), Some(unit));
        row.set(declared.column("owninguser"), user);
        row.set(declared.column("owningteam"), team);
    }
    if declared.name != "transactioncurrency" && declared.by_name("transactioncurrencyid").is_some() {
        compute_money(state, table, row);
    }
}

/// Gives money a currency, rounds it to the decimals of its source and computes the amounts in base currency.
fn compute_money(state: &State, table: usize, row: &mut Row) {
    let declared = &TABLES[table];
    let currencies = schema::table("transactioncurrency");
    let currency_column = declared.column("transactioncurrencyid");
    let is_money = |index: usize| matches!(declared.columns[index].kind, Kind::Money { .. });
    if row.get(currency_column).is_none() && row.cells().any(|(index, _)| is_money(index)) {
        row.set(currency_column, Some(Cell::Link(currencies, state.base_currency)));
    }
    let currency = row.get(currency_column).and_then(Cell::id).and_then(|id| state.store.get(currencies, id));
    let rate = currency.and_then(|currency| currency.get(TABLES[currencies].column("exchangerate")).cloned());
    let decimals = currency.and_then(|currency| currency.get(TABLES[currencies].column("currencyprecision"))?.whole());
    let decimals = decimals.and_then(|decimals| u32::try_from(decimals).ok()).unwrap_or(PRICING_PRECISION);
    row.set(declared.column("exchangerate"), rate.clone());
    for (index, column) in declared.columns.iter().enumerate() {
        match &column.kind {
            Kind::Money { source, .. } => {
                if let Some(Cell::Decimal(amount)) = row.get(index) {
                    let precision = if *source == 2 { decimals } else { PRICING_PRECISION };
                    let amount = value::rounded(*amount, precision, store::scale(column));
                    row.set(index, Some(Cell::Decimal(amount)));
                }
            }
            Kind::Base { of } => {
                let amount = match (row.get(declared.column(of)), &rate) {
                    (Some(Cell::Decimal(amount)), Some(Cell::Decimal(rate))) => amount.checked_div(*rate),
                    _ => None,
                };
                row.set(index, amount.map(|amount| Cell::Decimal(value::rounded(amount, 4, 4))));
            }
            _ => {}
        }
    }
}

/// Checks a row that is about to be created (`before` is nothing) or updated, and completes it.
pub fn check(state: &State, table: usize, id: Uuid, row: &mut Row, before: Option<&Row>) -> Result<(), Error> {
    let declared = &TABLES[table];
    match declared.name {
        "product" => sales::check_product(state, row, before)?,
        "productpricelevel" => sales::check_price_line(state, row)?,
        "uomschedule" if before.is_none() && row.get(declared.column("baseuomname")).is_none() => {
            return Err(Error::new(400, "0x80043810", "baseuomname not specified"));
        }
        "uom" => sales::check_unit(state, row, before)?,
        "transactioncurrency" => sales::check_currency(state, id, row, before)?,
        "pricelevel" if row.get(declared.column("name")).is_none() => {
            return Err(Error::new(400, "0x80043b0e", "The name can not be null."));
        }
        _ => {}
    }
    check_required(table, row)?;
    check_state(table, id, row, before)?;
    check_owner(state, table, row, before)?;
    if let Some((unique, _)) = state.store.clash(table, id, row) {
        return Err(clash(&unique.rule, table, &unique.columns));
    }
    Ok(())
}

/// What the service does after a row was created, in the same transaction.
pub fn after_create(state: &mut State, table: usize, id: Uuid, caller: Uuid) -> Result<(), Error> {
    if TABLES[table].name != "uomschedule" {
        return Ok(());
    }
    // A group without a base unit cannot be, so the service makes it.
    let (declared, units) = (&TABLES[table], schema::table("uom"));
    let group = state.store.get(table, id).cloned().unwrap_or_default();
    let mut unit = Row::default();
    unit.set(TABLES[units].column("name"), group.get(declared.column("baseuomname")).cloned());
    unit.set(TABLES[units].column("quantity"), Some(Cell::Decimal(value::rounded(Decimal::ONE, 10, 10))));
    unit.set(TABLES[units].column("isschedulebaseuom"), Some(Cell::Flag(true)));
    unit.set(TABLES[units].column("uomscheduleid"), Some(Cell::Link(table, id)));
    super::write::insert(state, units, Uuid::new_v4(), unit, caller)
}

/// What the service does after a row was updated, in the same transaction.
pub fn after_update(state: &mut State, table: usize, id: Uuid, before: &Row) {
    if TABLES[table].name != "product" {
        return;
    }
    let number = TABLES[table].column("productnumber");
    let now = state.store.get(table, id).and_then(|row| row.get(number)).cloned();
    if now.as_ref() == before.get(number) {
        return;
    }
    // The number in a price line is the product's.
    let lines = schema::table("productpricelevel");
    for (from, line, _) in state.store.pointing_at(table, id) {
        if from == lines {
            let mut row = state.store.get(lines, line).cloned().unwrap_or_default();
            row.set(TABLES[lines].column("productnumber"), now.clone());
            state.store.put(lines, line, row);
        }
    }
}

/// Refuses deletions that the service refuses whatever points at the row.
pub fn check_delete(state: &State, table: usize, id: Uuid, with_parent: bool) -> Result<(), Error> {
    let declared = &TABLES[table];
    let row = state.store.get(table, id);
    match declared.name {
        "transactioncurrency" if id == state.base_currency => {
            Err(Error::new(400, "0x80048cff", "The base currency of an organization cannot be deleted."))
        }
        "uom" if !with_parent && row.is_some_and(sales::is_base_unit) => {
            Err(Error::new(400, "0x80043b03", "The base unit of a schedule cannot be deleted."))
        }
        "systemuser" | "businessunit" => {
            let message = format!(
                "The 'Delete' method does not support entities of type '{}'. MessageProcessorCache returned \
                    MessageProcessor.Empty. ",
                declared.name
            );
            Err(Error::new(405, "0x80040800", message))
        }
        _ => Ok(()),
    }
}

/// Gives a row that changed its state, and said nothing of its status, the state's default status.
pub fn follow_state(state: &State, table: usize, id: Uuid, row: &mut Row) {
    let before = state.store.get(table, id).and_then(|before| row_state(table, before));
    if let Some(status) = TABLES[table].by_name("statuscode").filter(|_| row_state(table, row) != before) {
        row.set(status, default_status(table, row).map(Cell::Whole));
    }
}

/// The state a row is in, for tables that have states.
pub fn row_state(table: usize, row: &Row) -> Option<i64> {
    row.get(TABLES[table].by_name("statecode")?)?.whole()
}

/// The status that a row takes when only its state is said.
pub fn default_status(table: usize, row: &Row) -> Option<i64> {
    let declared = &TABLES[table];
    let state = row_state(table, row)?;
    let states = declared.columns[declared.column("statecode")].choices();
    states.iter().find(|choice| choice.value == state).map(|choice| choice.pair)
}

fn check_required(table: usize, row: &Row) -> Result<(), Error> {
    let declared = &TABLES[table];
    // The platform itself demands the system's columns; the names of the two customer tables are demanded by their
    // forms and by this organization's rules.
    let demanded: &[&str] = match declared.name {
        "account" => &["name"],
        "contact" => &["lastname"],
        "product" => &["name", "productnumber"],
        "pricelevel" => &["name", "transactioncurrencyid"],
        "uomschedule" => &["name"],
        "transactioncurrency" => {
            &["currencyname", "isocurrencycode", "currencysymbol", "currencyprecision", "exchangerate"]
        }
        "systemuser" | "team" => &["businessunitid"],
        "businessunit" => &["name"],
        _ => &[],
    };
    let owner = declared.is_owned().then_some("ownerid");
    for name in demanded.iter().copied().chain(owner) {
        if row.get(declared.column(name)).is_none() {
            return Err(Error::argument(format!("Attribute '{name}' cannot be NULL")));
        }
    }
    Ok(())
}

fn check_state(table: usize, id: Uuid, row: &Row, before: Option<&Row>) -> Result<(), Error> {
    let declared = &TABLES[table];
    let Some(state) = row_state(table, row) else { return Ok(()) };
    let statuses = declared.columns[declared.column("statuscode")].choices();
    let status = row.get(declared.column("statuscode")).and_then(Cell::whole);
    let fits = statuses.iter().any(|choice| Some(choice.value) == status && choice.pair == state);
    let states = declared.columns[declared.column("statecode")].choices();
    let label = |state: i64| states.iter().find(|choice| choice.value == state).map_or("", |choice| choice.label);
    if !fits {
        let message = format!(
            "{} is not a valid status code for state code {}State.{} on {} with Id {id}.",
            status.map_or_else(|| "null".to_owned(), |status| status.to_string()),
            declared.schema_name,
            label(state).replace(' ', ""),
            declared.name
        );
        return Err(Error::new(400, "0x80048408", message));
    }
    // A draft becomes active by publishing only, and nothing goes back to draft by itself.
    let was = before.and_then(|row| row_state(table, row));
    if declared.name == "product" && was.is_some_and(|was| was != state && (was >= 2 || state >= 2)) {
        let message = format!(
            "The state transition requested is not valid for the current state. Current state: {}, target \
                state: {state}",
            was.unwrap_or(state)
        );
        return Err(Error::new(400, "0x80048408", message));
    }
    Ok(())
}

fn check_owner(state: &State, table: usize, row: &Row, before: Option<&Row>) -> Result<(), Error> {
    let declared = &TABLES[table];
    let Some(column) = declared.by_name("ownerid") else { return Ok(()) };
    let owner = row.get(column);
    if before.is_some_and(|before| before.get(column) == owner) {
        return Ok(());
    }
    let Some(Cell::Link(kind, id)) = owner else { return Ok(()) };
    let disabled = TABLES[*kind].by_name("isdisabled");
    let is_disabled = disabled.and_then(|column| state.store.get(*kind, *id)?.get(column)) == Some(&Cell::Flag(true));
    if is_disabled {
        let message = "The specified user is either disabled or is not a member of any business unit.";
        return Err(Error::new(403, "0x80040225", message));
    }
    Ok(())
}

fn clash(rule: &Rule, table: usize, columns: &[usize]) -> Error {
    match rule {
        Rule::Key(name) => {
            let labels: Vec<_> = columns.iter().map(|column| TABLES[table].columns[*column].label()).collect();
            let message = format!(
                "Entity Key {name} violated. A record with the same value for {} already exists. A duplicate \
                    record cannot be created. \
                 Select one or more unique values and try again.",
                labels.join(", ")
            );
            Error::new(412, "0x80060892", message)
        }
        Rule::ProductNumber => {
            let message = "The specified product ID conflicts with the product ID of an existing record. \
                Specify a different product ID \
                           and try again.";
            Error::new(400, "0x8004f973", message)
        }
        Rule::CurrencyCode => {
            let message = "Cannot insert duplicate currency record. Currency with the same currency code \
                already exist in the system.";
            Error::new(400, "0x80048cf3", message)
        }
        Rule::PriceLine => {
            Error::new(400, "0x80043b08", "This product and unit combination has a price for this price list.")
        }
    }
}

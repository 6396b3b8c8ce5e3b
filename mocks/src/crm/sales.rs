//! The business rules of products, units, currencies and prices.
//!
//! In: the row as a caller wants it, with the row as it was. Out: the row completed, or the refusal with the code and
//! message of Microsoft's list of service error codes.

use uuid::Uuid;

use super::error::Error;
use super::rules;
use super::schema::{self, TABLES};
use super::state::State;
use super::store::{Cell, Row};

/// Checks a product: its number, its unit and that unit's group.
pub fn check_product(state: &State, row: &Row, before: Option<&Row>) -> Result<(), Error> {
    let table = schema::table("product");
    let declared = &TABLES[table];
    let get = |name: &str| row.get(declared.column(name)).and_then(Cell::id);
    if row.get(declared.column("productnumber")).is_none() {
        return Err(Error::new(400, "0x80043b05", "The product number can not be null."));
    }
    let Some(unit) = get("defaultuomid") else {
        return Err(Error::new(400, "0x80043b0d", "The unit id is missing."));
    };
    let Some(group) = get("defaultuomscheduleid") else {
        return Err(Error::new(400, "0x80043b0a", "The unit schedule id is missing."));
    };
    let units = schema::table("uom");
    let group_of_unit =
        state.store.get(units, unit).and_then(|row| row.get(TABLES[units].column("uomscheduleid"))?.id());
    if group_of_unit != Some(group) {
        return Err(Error::new(400, "0x80043b16", "The unit does not exist in the specified unit schedule."));
    }
    let group_before = before.and_then(|before| before.get(declared.column("defaultuomscheduleid"))?.id());
    if group_before.is_some_and(|before| before != group) {
        return Err(Error::argument("The unit schedule of a product cannot be changed once it is set."));
    }
    let start = if state.products_start_active { 0 } else { 2 };
    if before.is_none() && rules::row_state(table, row).is_some_and(|state| state != start && state != 2) {
        let message =
            format!("A product cannot be created in state {}.", rules::row_state(table, row).unwrap_or_default());
        return Err(Error::new(400, "0x80048408", message));
    }
    Ok(())
}

/// Checks a price line and completes it from its product and its price list.
pub fn check_price_line(state: &State, row: &mut Row) -> Result<(), Error> {
    let declared = &TABLES[schema::table("productpricelevel")];
    let (lists, products) = (schema::table("pricelevel"), schema::table("product"));
    let get = |row: &Row, name: &str| row.get(declared.column(name)).and_then(Cell::id);
    let list =
        get(row, "pricelevelid").ok_or_else(|| Error::new(400, "0x80043b12", "The price level id is missing."))?;
    let product = get(row, "productid").ok_or_else(|| Error::new(400, "0x80043b11", "The product id is missing."))?;
    let unit = get(row, "uomid").ok_or_else(|| Error::new(400, "0x80043b0d", "The unit id is missing."))?;
    let (list, product) = (state.store.get(lists, list), state.store.get(products, product));
    let group = product.and_then(|product| product.get(TABLES[products].column("defaultuomscheduleid")).cloned());
    let units = schema::table("uom");
    let group_of_unit =
        state.store.get(units, unit).and_then(|unit| unit.get(TABLES[units].column("uomscheduleid")).cloned());
    let given_group = row.get(declared.column("uomscheduleid"));
    if group_of_unit != group || given_group.is_some() && given_group != group.as_ref() {
        return Err(Error::new(400, "0x80043b14", "The specified unit is not valid for this product."));
    }
    row.set(declared.column("uomscheduleid"), group);
    row.set(
        declared.column("productnumber"),
        product.and_then(|product| product.get(TABLES[products].column("productnumber")).cloned()),
    );
    let currency = list.and_then(|list| list.get(TABLES[lists].column("transactioncurrencyid")).cloned());
    let given_currency = row.get(declared.column("transactioncurrencyid"));
    if given_currency.is_some() && given_currency != currency.as_ref() {
        return Err(Error::argument(
            "The currency of the price list item does not match the currency of the price list.",
        ));
    }
    row.set(declared.column("transactioncurrencyid"), currency);
    let by_amount = row.get(declared.column("pricingmethodcode")) == Some(&Cell::Whole(1));
    if by_amount && row.get(declared.column("amount")).is_none() {
        return Err(Error::new(400, "0x80043b10", "The price per unit is invalid."));
    }
    if !by_amount && row.get(declared.column("percentage")).is_none() {
        let message = "The pricing percentage must be greater than or equal to zero and less than 100000.";
        return Err(Error::new(400, "0x80043b0c", message));
    }
    Ok(())
}

/// Checks a unit: its group, and its base unit unless it is one.
pub fn check_unit(state: &State, row: &Row, before: Option<&Row>) -> Result<(), Error> {
    let table = schema::table("uom");
    let declared = &TABLES[table];
    let get = |row: &Row, name: &str| row.get(declared.column(name)).cloned();
    if get(row, "name").is_none() {
        return Err(Error::new(400, "0x80043b26", "The unit name cannot be null."));
    }
    let Some(group) = get(row, "uomscheduleid").and_then(|group| group.id()) else {
        return Err(Error::new(400, "0x80043b0a", "The unit schedule id is missing."));
    };
    if is_base_unit(row) {
        if before.is_some_and(|before| get(before, "quantity") != get(row, "quantity")) {
            let message = "Do not modify the Quantity field when you update the primary unit.";
            return Err(Error::new(400, "0x80043b18", message));
        }
        if get(row, "baseuom").is_some() {
            let message = "Do not use a base unit as the value for a primary unit. This value should always be null.";
            return Err(Error::new(400, "0x80043b17", message));
        }
        return Ok(());
    }
    let Some(base) = get(row, "baseuom").and_then(|base| base.id()) else {
        return Err(Error::new(400, "0x80043b1c", "The base unit does not exist."));
    };
    let group_of_base =
        state.store.get(table, base).and_then(|base| get(base, "uomscheduleid")).and_then(|group| group.id());
    if group_of_base != Some(group) {
        return Err(Error::new(400, "0x80043b0b", "The base unit does not belong to the schedule."));
    }
    if get(row, "quantity").is_none() {
        return Err(Error::argument("Attribute 'quantity' cannot be NULL"));
    }
    Ok(())
}

/// Checks what holds for the base currency only.
pub fn check_currency(state: &State, id: Uuid, row: &Row, before: Option<&Row>) -> Result<(), Error> {
    let table = schema::table("transactioncurrency");
    let rate = TABLES[table].column("exchangerate");
    if id != state.base_currency {
        return Ok(());
    }
    if before.is_some_and(|before| before.get(rate) != row.get(rate)) {
        return Err(Error::new(400, "0x80048cf5", "The exchange rate of the base currency cannot be modified."));
    }
    if rules::row_state(table, row) == Some(1) {
        return Err(Error::new(400, "0x80048cf4", "The base currency cannot be deactivated."));
    }
    Ok(())
}

/// Tells whether a unit is the base unit of its group.
pub fn is_base_unit(row: &Row) -> bool {
    row.get(TABLES[schema::table("uom")].column("isschedulebaseuom")) == Some(&Cell::Flag(true))
}

//! `$select` and `$expand`: which columns a read asks for, in the words of an address.
//!
//! A column `navigation/property` is a property of the record that a to-one navigation leads to.

use std::collections::BTreeMap;

use crate::adapters::odata::percent;

/// Returns `$select` with the key first, and `$expand` for the columns of navigations.
pub fn select(key: &[String], columns: &[String]) -> String {
    let mut own: Vec<&str> = key.iter().map(String::as_str).collect();
    let mut expanded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for column in columns {
        match column.split_once('/') {
            Some((navigation, property)) => expanded.entry(navigation).or_default().push(property),
            None if key.contains(column) => {}
            None => own.push(column),
        }
    }
    let names = |names: &[&str]| names.iter().map(|name| percent::query(name)).collect::<Vec<String>>().join(",");
    let mut options = format!("$select={}", names(&own));
    if !expanded.is_empty() {
        let expands: Vec<String> = expanded
            .iter()
            .map(|(navigation, properties)| format!("{}($select={})", percent::query(navigation), names(properties)))
            .collect();
        options.push_str(&format!("&$expand={}", expands.join(",")));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_navigations_are_expanded() {
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let columns = names(&["number", "paymentTerm/code", "id", "currency/code", "paymentTerm/displayName"]);
        assert_eq!(
            select(&names(&["id"]), &columns),
            "$select=id,number&$expand=currency($select=code),paymentTerm($select=code,displayName)"
        );
        assert_eq!(select(&names(&["type", "number"]), &columns[..1]), "$select=type,number");
    }
}

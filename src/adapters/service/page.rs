//! One table of a service that is known by its metadata: how its records are asked for, addressed and written.
//!
//! Keys and columns in, addresses and operations out; nothing is sent here.

use std::sync::Arc;

use uuid::Uuid;

use crate::adapters::odata::batch_json::Operation;
use crate::adapters::odata::decode::{Directory, Layout};
use crate::adapters::odata::{Dialect, filter, name, percent, select, value};
use crate::config::Side;
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::endpoint::{EndpointError, Key, TableInfo, Write, WriteKind};
use crate::frame::Kind;

/// Characters that NAV's server does not take in the path of an address, however they are written (erp-api.md §1). Other services
/// may take them, or find nothing there.
const NOT_IN_PATHS: &[char] = &['/', '\\', '%', '+', '?', '#', '&', '*', ':', '<', '>'];

/// A table and what is known of its records.
pub(super) struct Page {
    pub(super) info: TableInfo,
    pub(super) dialect: Dialect,
    /// The keys that were seen; of no use where the id is the key.
    pub(super) directory: Arc<Directory>,
}

/// Where a table is: its path, and what each of its addresses asks for besides.
pub(super) struct Address {
    path: String,
    /// An option that names the company, where the path cannot; else blank.
    company: String,
}

impl Address {
    /// Makes the address of a table below a root.
    pub(super) fn plain(root: &str, table: &str) -> Address {
        Address { path: format!("{root}/{}", percent::query(table)), company: String::new() }
    }

    /// Makes the address of a company's table. A name that breaks in a path goes as an option (erp-api.md §1).
    pub(super) fn of_company(root: &str, company: &str, table: &str) -> Address {
        if company.contains(NOT_IN_PATHS) {
            let company = format!("company={}", percent::strict(company));
            return Address { company, ..Address::plain(root, table) };
        }
        Address::plain(&format!("{root}/Company({})", percent::query(&quoted(company))), table)
    }

    /// Returns the address of the list; `options` begin without `?`.
    pub(super) fn list(&self, options: &str) -> String {
        self.with("", options)
    }

    /// Returns the address of a record, by its key as [`Page::in_path`] writes it.
    pub(super) fn record(&self, key: &str, options: &str) -> String {
        self.with(&format!("({key})"), options)
    }

    fn with(&self, key: &str, options: &str) -> String {
        let options: Vec<&str> = [&*self.company, options].into_iter().filter(|option| !option.is_empty()).collect();
        let question = if options.is_empty() { "" } else { "?" };
        format!("{}{key}{question}{}", self.path, options.join("&"))
    }
}

/// How a record can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// By a filter, together with others.
    Listed(String),
    /// By a filter of its own: one on several columns cannot be joined with another one.
    Filtered(String),
    /// By its address: a filter would take some of its characters for its own syntax.
    Addressed(String),
}

impl Page {
    /// Returns the columns of the key.
    pub(super) fn key(&self) -> &[String] {
        match &self.info.key {
            Key::Id(name) => std::slice::from_ref(name),
            Key::Values(names) => names,
        }
    }

    pub(super) fn layout(&self, columns: &[String]) -> Result<Layout, EndpointError> {
        let column = |name: &String| match self.info.column(name) {
            Some(info) => Ok((info.column.clone(), name.clone())),
            None => Err(EndpointError::Refused {
                side: Side::Erp,
                message: format!("table `{}` has no column `{name}`", self.info.table),
            }),
        };
        let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
        let layout = match &self.info.key {
            Key::Id(name) => Layout::new(self.dialect, name, columns),
            Key::Values(names) => Layout::keyed(self.dialect, &self.info, names, Arc::clone(&self.directory), columns),
        };
        Ok(layout.of_table(&self.info.table))
    }

    pub(super) fn select(&self, columns: &[String]) -> String {
        select::select(self.key(), columns)
    }

    pub(super) fn filter(&self, predicate: &Predicate) -> Option<String> {
        let property = |column: &str| (!column.contains('/')).then(|| column.to_owned());
        filter::text(self.dialect, predicate, &self.info, &property)
    }

    /// Returns how a record can be asked for; `None` where neither a filter nor an address takes its key.
    pub(super) fn ask(&self, key: &[String]) -> Option<Ask> {
        let pairs = self.key().iter().zip(key);
        if self.dialect == Dialect::Plain {
            let terms: Option<Vec<String>> =
                pairs.map(|(column, value)| Some(format!("{column} eq {}", self.literal(column, value)?))).collect();
            let terms = terms?;
            return Some(Ask::Listed(if terms.len() == 1 {
                terms.concat()
            } else {
                format!("({})", terms.join(" and "))
            }));
        }
        let equal = |(column, value): (&String, &String)| {
            let kind = self.info.column(column)?.column.kind;
            let literal = match kind {
                Kind::Integer | Kind::Choice | Kind::Decimal { .. } => Literal::Number(value.clone()),
                _ => Literal::Text(value.clone()),
            };
            match kind {
                Kind::Enum | Kind::Boolean | Kind::Decimal { .. } => {
                    Some(format!("{column} eq {}", self.literal(column, value)?))
                }
                _ => {
                    self.filter(&Predicate::Compare { column: column.clone(), comparison: Comparison::Equal, literal })
                }
            }
        };
        let terms: Option<Vec<String>> = pairs.map(equal).collect();
        match terms {
            Some(terms) if terms.len() == 1 => Some(Ask::Listed(terms.concat())),
            Some(terms) => Some(Ask::Filtered(terms.join(" and "))),
            None => self.in_path(key).map(Ask::Addressed),
        }
    }

    /// Returns a key as an address bears it; `None` where it cannot.
    pub(super) fn in_path(&self, key: &[String]) -> Option<String> {
        if self.dialect != Dialect::Plain && is_odd(key) {
            return None;
        }
        let pairs = self.key().iter().zip(key);
        let literals: Option<Vec<String>> =
            pairs.map(|(column, value)| Some(percent::query(&self.literal(column, value)?))).collect();
        let literals = literals?;
        Some(match literals.as_slice() {
            [one] => one.clone(),
            several => {
                let pairs = self.key().iter().zip(several);
                let pairs = pairs.map(|(column, literal)| format!("{}={literal}", percent::query(column)));
                pairs.collect::<Vec<_>>().join(",")
            }
        })
    }

    /// Returns the value of a key column as a literal; `None` where nobody knows how it is written.
    fn literal(&self, column: &str, value: &str) -> Option<String> {
        let info = self.info.column(column);
        Some(match info.map_or(Kind::Text, |info| info.column.kind) {
            Kind::Text | Kind::Code => quoted(value),
            Kind::Enum if self.dialect == Dialect::Plain => quoted(value),
            Kind::Enum => {
                let encoded = name::encode(value);
                // As a member, or as a text that has no length and is none.
                let known = encoded == value || info.is_some_and(|info| !info.options.is_empty());
                return known.then(|| quoted(&encoded));
            }
            Kind::Date if value.is_empty() => "0001-01-01".to_owned(),
            Kind::DateTime if value.is_empty() => "0001-01-01T00:00:00Z".to_owned(),
            Kind::Guid if value.is_empty() => Uuid::nil().to_string(),
            Kind::Integer | Kind::Choice | Kind::Decimal { .. } if value.is_empty() => "0".to_owned(),
            _ => value.to_owned(),
        })
    }

    /// Tells whether a new record leaves its key, or a part of it, to the service.
    pub(super) fn is_given(&self, write: &Write) -> bool {
        let Key::Values(names) = &self.info.key else { return false };
        let sent = |name: &String| write.fields.iter().any(|(column, _)| column == name);
        write.kind == WriteKind::Insert && !names.iter().all(sent)
    }

    /// Returns the id of a new record by the answer that holds it; why not, where the answer does not tell.
    pub(super) fn made(&self, body: &str) -> Result<Uuid, String> {
        let layout = self.layout(&[]).map_err(|error| error.to_string())?;
        let mut rows = layout.rows();
        match layout.row(body, &mut rows)? {
            true => Ok(rows.finish().id(0)),
            false => Err("the answer does not tell the key that the service gave the new record".to_owned()),
        }
    }

    /// Makes a question to which the answer does not matter.
    pub(super) fn question(&self, address: &Address) -> Operation {
        question(address.list(&format!("{}&$top=1", self.select(&[]))))
    }

    /// Makes the request of a write. `key` is the key of the record to be changed, where it is known.
    pub(super) fn operation(
        &self,
        address: &Address,
        key: Option<&[String]>,
        write: &Write,
    ) -> Result<Operation, String> {
        let mut properties = Vec::with_capacity(write.fields.len() + 1);
        if let (WriteKind::Insert, Key::Id(name)) = (write.kind, &self.info.key) {
            properties.push((name.as_str(), value::string(&write.id.to_string())));
        }
        // Values may be validated in the order in which they come, so the caller's order is kept.
        for (name, new) in &write.fields {
            let column = self.info.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
            properties.push((name.as_str(), value::json(self.dialect, column, new)?));
        }
        let body = value::object(properties.iter().map(|(name, json)| (*name, json.as_str())));
        // Without a version `*`: a change of what is gone would else make it anew.
        let etag = || Some(write.etag.clone().unwrap_or_else(|| "*".to_owned()));
        if write.kind == WriteKind::Insert {
            return Ok(Operation { method: "POST", url: address.list(""), if_match: None, body });
        }
        let key = key.ok_or("its key is not known")?;
        let in_path = self.in_path(key).ok_or_else(|| {
            if is_odd(key) {
                return unaddressed(key);
            }
            let hint = "name the members of its options by `options` in the file";
            format!("no address takes its key `{}`; {hint}", key.join(", "))
        })?;
        let url = address.record(&in_path, "");
        Ok(match write.kind {
            WriteKind::Delete => Operation { method: "DELETE", url, if_match: etag(), body: String::new() },
            _ => Operation { method: "PATCH", url, if_match: etag(), body },
        })
    }
}

/// Tells whether it is not said that the address of a record with this key leads to it: what is answered there proves nothing of
/// the record.
pub(super) fn is_odd(key: &[String]) -> bool {
    key.iter().any(|value| value.contains(NOT_IN_PATHS))
}

/// Says that a record cannot be written because of its key.
pub(super) fn unaddressed(key: &[String]) -> String {
    format!("no address takes its key `{}`; give it one without `/`, `%`, `+` and the like", key.join(", "))
}

/// Makes a request that changes nothing.
pub(super) fn question(url: String) -> Operation {
    Operation { method: "GET", url, if_match: None, body: String::new() }
}

/// Returns a text as a literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::ColumnInfo;
    use crate::frame::Value;

    fn page(columns: &[(&str, Kind)], key: &[&str]) -> Page {
        let known = |(name, kind): &(&str, Kind)| ColumnInfo { length_max: Some(20), ..ColumnInfo::plain(name, *kind) };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        let columns = columns.iter().map(known).collect();
        let info = TableInfo { table: "T".into(), key: Key::Values(key), columns };
        Page { info, dialect: Dialect::BusinessCentral, directory: Arc::default() }
    }

    #[test]
    fn a_record_is_asked_for_by_a_filter_or_else_by_its_address() {
        let simple = page(&[("No", Kind::Code)], &["No"]);
        let number = page(&[("Entry_No", Kind::Integer)], &["Entry_No"]);
        let unknown = page(&[("Type", Kind::Enum), ("No", Kind::Code)], &["Type", "No"]);
        let mut order = page(&[("Type", Kind::Enum), ("No", Kind::Code)], &["Type", "No"]);
        order.info.columns[0].options = vec![(0, String::new()), (1, "Credit Memo".to_owned())];
        let price = page(&[("No", Kind::Code), ("Starting", Kind::Date)], &["No", "Starting"]);
        let (listed, filtered) =
            (|text: &str| Some(Ask::Listed(text.into())), |text: &str| Some(Ask::Filtered(text.into())));
        let addressed = |text: &str| Some(Ask::Addressed(text.into()));
        for (page, key, expected) in [
            (&simple, &["10000"][..], listed("No eq '10000'")),
            (&simple, &["A/B"], listed("No eq 'A/B'")),
            // A filter would take these characters for its own, and an address takes them in quotes.
            (&simple, &["O'HARA (1)"], addressed("'O''HARA%20(1)'")),
            (&simple, &["A*/B"], None),
            (&number, &["42"], listed("Entry_No eq 42")),
            (&order, &["Credit Memo", "1001"], filtered("Type eq 'Credit_x0020_Memo' and No eq '1001'")),
            (&order, &["", "A=1"], addressed("Type='_x0020_',No='A%3D1'")),
            (&unknown, &["Order", "1001"], filtered("Type eq 'Order' and No eq '1001'")),
            (&unknown, &["Credit Memo", "1001"], None),
            (&price, &["1000", "2026-01-31"], filtered("No eq '1000' and Starting eq 2026-01-31")),
            (&price, &["1000", ""], addressed("No='1000',Starting=0001-01-01")),
        ] {
            let key: Vec<String> = key.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(page.ask(&key), expected, "{key:?}");
        }
    }

    /// Names are in an address as it may bear them (RFC 3986), and a company that breaks there stands behind it.
    #[test]
    fn names_in_addresses_are_encoded() {
        let of = |company: &str| Address::of_company("R", company, "Größe");
        for (company, list, record) in [
            ("CRONUS Ltd.", "R/Company('CRONUS%20Ltd.')/Gr%C3%B6%C3%9Fe", "('1')?$select=a"),
            ("O'Hara", "R/Company('O''Hara')/Gr%C3%B6%C3%9Fe", "('1')?$select=a"),
            ("X A/S", "R/Gr%C3%B6%C3%9Fe?company=X%20A%2FS", "('1')?company=X%20A%2FS&$select=a"),
            (
                "A & B's 5%+",
                "R/Gr%C3%B6%C3%9Fe?company=A%20%26%20B%27s%205%25%2B",
                "('1')?company=A%20%26%20B%27s%205%25%2B&$select=a",
            ),
        ] {
            assert_eq!(of(company).list(""), list);
            let path = list.split('?').next().unwrap();
            assert_eq!(of(company).record("'1'", "$select=a"), format!("{path}{record}"));
        }
        let page = page(&[("Länge", Kind::Integer), ("No", Kind::Code)], &["Länge", "No"]);
        assert_eq!(page.in_path(&["7".to_owned(), "Ø".to_owned()]).as_deref(), Some("L%C3%A4nge=7,No='%C3%98'"));
        assert_eq!(page.select(&["Größe".to_owned()]), "$select=L%C3%A4nge,No,Gr%C3%B6%C3%9Fe");
    }

    #[test]
    fn a_write_is_a_request_of_its_own() {
        let page = page(
            &[("Item_No", Kind::Code), ("Code", Kind::Code), ("Qty", Kind::Decimal { scale: 5 })],
            &["Item_No", "Code"],
        );
        let key = ["1000".to_owned(), "PCS".to_owned()];
        let write = |kind: WriteKind, etag: Option<&str>| Write {
            kind,
            id: Uuid::nil(),
            etag: etag.map(str::to_owned),
            fields: vec![("Qty".into(), Value::Integer(12))],
        };
        let address = Address::plain("R", "U");
        let told = |write: &Write, key: Option<&[String]>| match page.operation(&address, key, write) {
            Ok(Operation { method, url, if_match, body }) => {
                format!("{method} {url} {} {body}", if_match.unwrap_or_default()).trim().to_owned()
            }
            Err(message) => message,
        };
        let odd = ["A%".to_owned(), "PCS".to_owned()];
        for (write, key, expected) in [
            (write(WriteKind::Insert, None), None, "POST R/U  {\"Qty\":12}"),
            (
                write(WriteKind::Update, Some("W/\"1\"")),
                Some(&key),
                "PATCH R/U(Item_No='1000',Code='PCS') W/\"1\" {\"Qty\":12}",
            ),
            (write(WriteKind::Delete, None), Some(&key), "DELETE R/U(Item_No='1000',Code='PCS') *"),
            (
                write(WriteKind::Update, None),
                Some(&odd),
                "no address takes its key `A%, PCS`; give it one without `/`, `%`, `+` and the like",
            ),
        ] {
            assert_eq!(told(&write, key.map(<[String; 2]>::as_slice)), expected);
        }
    }

    #[test]
    fn another_service_takes_any_key_in_lists_and_addresses() {
        let plain = |page: Page| Page { dialect: Dialect::Plain, ..page };
        let simple = plain(page(&[("Name", Kind::Text)], &["Name"]));
        let order = plain(page(&[("Year", Kind::Integer), ("No", Kind::Text)], &["Year", "No"]));
        let mut given = plain(page(&[("ID", Kind::Guid), ("Name", Kind::Text)], &["ID"]));
        given.info.key = Key::Id("ID".into());
        let id = Uuid::from_u128(0x1111_0000_0000_4000_8000_0000_0000_0001);
        for (page, key, ask, address) in [
            (&simple, &["O'Hara (1)/*"][..], "Name eq 'O''Hara (1)/*'", "'O''Hara%20(1)%2F*'"),
            (&order, &["2026", "A"], "(Year eq 2026 and No eq 'A')", "Year=2026,No='A'"),
            (&given, &["11110000-0000-4000-8000-000000000001"], &format!("ID eq {id}"), &id.to_string()),
        ] {
            let key: Vec<String> = key.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(page.ask(&key), Some(Ask::Listed(ask.to_owned())));
            assert_eq!(page.in_path(&key).as_deref(), Some(address));
        }
        let fields = vec![("Name".to_owned(), Value::Null)];
        let insert = Write { kind: WriteKind::Insert, id, etag: None, fields };
        let made = given.operation(&Address::plain("R", "T"), None, &insert).unwrap();
        assert_eq!((made.url.as_str(), made.body), ("R/T", format!(r#"{{"ID":"{id}","Name":""}}"#)));
    }
}

//! The ERP: Business Central by its API v2.0 and custom API pages (erp-api.md).
//!
//! Knows the addresses, the company and what a page holds; writes are in `writes`. Waiting, tokens and retries are
//! [`crate::adapters::client`]'s, text and JSON are [`crate::adapters::odata`]'s.

mod writes;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::adapters::absence;
use crate::adapters::batch::{self, Closed, Form};
use crate::adapters::batch_size::BatchSize;
use crate::adapters::client::Client;
use crate::adapters::csdl::{self, Style};
use crate::adapters::erp::{self, texts};
use crate::adapters::odata::batch_json::Operation;
use crate::adapters::odata::decode::Layout;
use crate::adapters::odata::{Dialect, filter, percent, select};
use crate::adapters::pages::{self, Count, Reading};
use crate::config::expression::Predicate;
use crate::config::{Limits, Side};
use crate::endpoint::{Bounds, Endpoint, EndpointError, Hidden, Identity, Key, Line, Query, Report, TableInfo, Write};
use crate::frame::{Column, Frame, Kind};

const STANDARD_API: &str = "/api/v2.0";
const COMPANIES: &str = "companies";
/// Ids in one request; more make the address too long (erp-api.md §3).
const IDS_MAX: usize = 100;
/// When a record was last modified: in the standard API and on custom pages (erp-api.md §3, §9).
const MODIFIED: [&str; 2] = ["lastModifiedDateTime", "systemModifiedAt"];

/// The ERP, open for requests.
pub struct BusinessCentral {
    client: Client,
    company: String,
    limits: Limits,
    batch_size: BatchSize,
    closed: Closed,
    /// The key columns that the file names, by table.
    keys: BTreeMap<String, String>,
    found: Mutex<Option<Identity>>,
    apis: Mutex<HashMap<String, Arc<HashMap<String, TableInfo>>>>,
}

/// Where a table is served.
struct Place {
    /// The path of the API.
    api: String,
    set: String,
    key: String,
    /// All tables of that API.
    tables: Arc<HashMap<String, TableInfo>>,
}

impl BusinessCentral {
    /// Makes the adapter of a company; nothing is sent yet.
    pub fn new(client: Client, company: String, limits: Limits, keys: BTreeMap<String, String>) -> BusinessCentral {
        BusinessCentral {
            client,
            company,
            limits,
            batch_size: BatchSize::new(limits.batch.clamp(1, writes::BATCH_MAX)),
            closed: Closed::default(),
            keys,
            found: Mutex::new(None),
            apis: Mutex::new(HashMap::new()),
        }
    }

    /// Returns the company, resolved once.
    fn company(&self) -> Result<Identity, EndpointError> {
        erp::once(&self.found, || self.find_company())
    }

    fn find_company(&self) -> Result<Identity, EndpointError> {
        let text = |name: &str| (Column { name: name.to_owned(), kind: Kind::Text }, name.to_owned());
        let layout = Layout::new(Dialect::BusinessCentral, "id", vec![text("name"), text("displayName")]);
        let url = format!("{}{STANDARD_API}/{COMPANIES}?$select=id,name,displayName", self.client.base());
        let companies = self.reading(&url, None, &layout, None);
        let check = "`url` and the permission sets of the application";
        erp::find_company(&companies, "name", &self.company, check, |all| choose_company(all, &self.company))
    }

    /// Finds a table and the API that serves it.
    fn place(&self, table: &str) -> Result<Place, EndpointError> {
        let missing = || EndpointError::NoTable { side: Side::Erp, table: table.to_owned() };
        let (api, set) = address(table).ok_or_else(missing)?;
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = match apis.get(&api) {
            Some(tables) => Arc::clone(tables),
            None => {
                let tables = Arc::new(self.metadata(&api)?.ok_or_else(missing)?);
                apis.insert(api.clone(), Arc::clone(&tables));
                tables
            }
        };
        let key = match (self.keys.get(table), &tables.get(set).ok_or_else(missing)?.key) {
            (Some(key), _) | (None, Key::Id(key)) => key.clone(),
            (None, Key::Values(names)) => {
                let message = format!(
                    "`{table}` knows its records by `{}` and not by a GUID; publish it with `ODataKeyFields = SystemId`, \
                     or name its GUID column by `key` if its addresses take that",
                    names.join(", ")
                );
                return Err(EndpointError::Refused { side: Side::Erp, message });
            }
        };
        Ok(Place { api, set: set.to_owned(), key, tables })
    }

    /// Reads the metadata of an API; `None` where there is no such API.
    fn metadata(&self, api: &str) -> Result<Option<HashMap<String, TableInfo>>, EndpointError> {
        let root = format!("{}{api}", self.client.base());
        match erp::metadata(&self.client, &root, |text| csdl::read(text, Style::Api))? {
            Ok(tables) => Ok(Some(tables)),
            Err(fault) if fault.status == 404 => Ok(None),
            Err(fault) => Err(EndpointError::Refused { side: Side::Erp, message: fault.to_string() }),
        }
    }

    /// Returns the path of a set below an API's root, without leading slash.
    fn path(&self, set: &str) -> Result<String, EndpointError> {
        if set == COMPANIES {
            return Ok(set.to_owned());
        }
        Ok(format!("{COMPANIES}({})/{}", self.company()?.id, percent::query(set)))
    }

    /// Returns the address that asks for a query's columns, the key column, and how the answer is read.
    fn question(&self, query: &Query<'_>) -> Result<(String, String, Layout), EndpointError> {
        let Place { api, set, key, .. } = self.place(&query.info.table)?;
        let layout = layout(query.info, &query.columns, &key)?;
        let options = select::select(std::slice::from_ref(&key), &query.columns);
        Ok((format!("{}{api}/{}?{options}", self.client.base(), self.path(&set)?), key, layout))
    }

    fn reading<'a>(
        &'a self,
        url: &str,
        filter: Option<&str>,
        layout: &'a Layout,
        asked: Option<&'a [Uuid]>,
    ) -> Reading<'a> {
        Reading::filtered(&self.client, url, filter, self.read_headers(), layout, asked)
    }

    fn read_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Accept", "application/json".to_owned()),
            // Else messages and captions come in the language of whoever's account we use.
            ("Accept-Language", "en-US".to_owned()),
            ("Prefer", format!("odata.maxpagesize={}", self.limits.page)),
        ]
    }
}

/// What is said of a key that another record has (erp-api.md §4).
pub(in crate::adapters) const SAME_KEY: &str = "Internal_EntityWithSameKeyExists";

impl Endpoint for BusinessCentral {
    fn line(&self) -> &dyn Line {
        &self.client
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        self.company()
    }

    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool {
        filter_text(filter, info).is_some()
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        let place = self.place(table)?;
        let key = Key::Id(place.key);
        Ok(TableInfo { table: table.to_owned(), key, ..place.tables[&place.set].clone() })
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        let (url, key, layout) = self.question(query)?;
        let filter = query.filter.as_ref().and_then(|predicate| filter_text(predicate, query.info));
        match &query.ids {
            None => self.reading(&url, filter.as_deref(), &layout, None).run_counted(Count::Told, progress),
            Some(ids) => pages::by_ids(&self.client, ids, &|_| IDS_MAX, &layout, progress, &|ids| {
                let list = id_list(&key, ids, filter.as_deref());
                self.reading(&url, Some(&list), &layout, Some(ids)).run(&|_| {})
            }),
        }
    }

    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        let Place { api, set, key, .. } = self.place(&info.table)?;
        let (root, path) = (format!("{}{api}", self.client.base()), self.path(&set)?);
        let address = |id: &Uuid| format!("{path}({id})?$select={}", percent::query(&key));
        let get = |id: &Uuid| Operation { method: "GET", url: address(id), if_match: None, body: String::new() };
        let ask = |ids: &[Uuid]| {
            if ids.len() > 1
                && let Some(faults) =
                    batch::ask(Form::Json, &self.client, &root, &ids.iter().map(get).collect::<Vec<_>>())?
            {
                return Ok(faults);
            }
            let alone = |id| absence::alone(&self.client, &format!("{root}/{}", address(id)), &self.read_headers());
            ids.iter().map(alone).collect()
        };
        absence::hidden(&self.client, missing, self.batch_max(), &ask)
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        // The ERP upper-cases codes itself. Other texts it compares with regard to case; without that, they would go through the ERP's own filter syntax.
        let Some(info) = query.info.column(column).filter(|info| info.column.kind == Kind::Code) else {
            return Ok(None);
        };
        let questions = filter::holding(info, texts);
        let terms = questions.iter().map(|question| filter_text(question, query.info));
        let Some(terms) = terms.collect::<Option<Vec<String>>>() else { return Ok(None) };
        let (url, _, layout) = self.question(query)?;
        let mut found = layout.rows().finish();
        for list in filter::lists(Dialect::BusinessCentral, &terms, IDS_MAX) {
            found.upsert(&self.reading(&url, Some(&list), &layout, None).run(&|_| {})?);
        }
        Ok(Some(found))
    }

    fn bounds(&self) -> Bounds {
        Bounds { ids_max: IDS_MAX, page_rows_max: self.limits.page }
    }

    fn gives_versions(&self, _: &TableInfo) -> bool {
        true
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        self.write_records(info, columns, writes)
    }

    fn batch_max(&self) -> usize {
        self.batch_size.now()
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        let is_time = |name: &str| info.column(name).is_some_and(|column| column.column.kind == Kind::DateTime);
        MODIFIED.into_iter().find(|name| is_time(name)).map(str::to_owned)
    }
}

/// Returns the path of the API and the entity set that a table's name means; `publisher/group/version/set` is a custom
/// API page.
fn address(table: &str) -> Option<(String, &str)> {
    let parts: Vec<&str> = table.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    match parts[..] {
        [set] => Some((STANDARD_API.to_owned(), set)),
        [publisher, group, version, set] => {
            let part = percent::query;
            Some((format!("/api/{}/{}/{}", part(publisher), part(group), part(version)), set))
        }
        _ => None,
    }
}

/// Finds a company by its name, else by a display name that only one company has.
fn choose_company(companies: &Frame, wanted: &str) -> Option<Identity> {
    let (ids, names) = (companies.ids(), texts(companies, "name"));
    let company = |row: usize| Identity { id: ids[row], name: names[row].clone() };
    if let Some(row) = names.iter().position(|name| name == wanted) {
        return Some(company(row));
    }
    let shown = texts(companies, "displayName");
    let mut rows = (0..ids.len()).filter(|row| shown[*row] == wanted);
    match (rows.next(), rows.next()) {
        (Some(row), None) => Some(company(row)),
        _ => None,
    }
}

fn layout(info: &TableInfo, columns: &[String], key: &str) -> Result<Layout, EndpointError> {
    let column = |name: &String| match info.column(name) {
        Some(info) => Ok((info.column.clone(), name.clone())),
        None => Err(EndpointError::Refused {
            side: Side::Erp,
            message: format!("table `{}` has no column `{name}`", info.table),
        }),
    };
    let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
    Ok(Layout::new(Dialect::BusinessCentral, key, columns).of_table(&info.table))
}

/// Returns the part of a filter that the ERP evaluates; columns of navigations are left to us.
fn filter_text(predicate: &Predicate, info: &TableInfo) -> Option<String> {
    let property = |column: &str| (!column.contains('/')).then(|| column.to_owned());
    filter::text(Dialect::BusinessCentral, predicate, info, &property)
}

/// Returns a filter for a list of ids: `or` on one column is allowed, and `in` is silently ignored (erp-api.md §3). What the
/// address does not take beside the ids is left out.
fn id_list(key: &str, ids: &[Uuid], filter: Option<&str>) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!("{key} eq {id}")).collect();
    let list = list.join(" or ");
    let narrowed = filter.map(|filter| format!("({list}) and ({filter})"));
    narrowed.filter(|filter| filter::fits(Dialect::BusinessCentral, filter)).unwrap_or(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Line, Script, say};
    use crate::endpoint::{Outcome, WriteKind};
    use crate::frame::Value;

    #[test]
    fn a_table_is_a_set_or_a_custom_page() {
        for (table, expected) in [
            ("customers", Some(("/api/v2.0", "customers"))),
            ("contoso/crm/v1.0/resources", Some(("/api/contoso/crm/v1.0", "resources"))),
            ("a/b", None),
            ("a//b/c", None),
            ("", None),
        ] {
            let found = address(table);
            assert_eq!(found.as_ref().map(|(api, set)| (api.as_str(), *set)), expected, "{table}");
        }
    }

    #[test]
    fn a_company_goes_by_name_or_by_a_display_name_of_its_own() {
        let column = |name: &str| (Column { name: name.into(), kind: Kind::Text }, name.to_owned());
        let layout = Layout::new(Dialect::BusinessCentral, "id", vec![column("name"), column("displayName")]);
        let row = |id: u8, name: &str, shown: &str| {
            format!(r#"{{"id":"00000000-0000-4000-8000-00000000000{id}","name":"{name}","displayName":"{shown}"}}"#)
        };
        let rows = [
            row(1, "CRONUS", "Cronus Ltd."),
            row(2, "Cronus Ltd.", "x"),
            row(3, "C", "Twin"),
            row(4, "D", "Twin"),
            row(5, "E", "Only"),
        ];
        let mut frame = layout.rows();
        layout.page(&format!(r#"{{"value":[{}]}}"#, rows.join(",")), &mut frame).unwrap();
        let frame = frame.finish();
        for (wanted, expected) in
            [("CRONUS", Some(1)), ("Cronus Ltd.", Some(2)), ("Twin", None), ("Only", Some(5)), ("cronus", None)]
        {
            let found = choose_company(&frame, wanted).map(|company| company.id.as_u128() & 0xf);
            assert_eq!(found, expected, "{wanted}");
        }
    }

    /// A page whose metadata tells no key, or another one than its addresses take (design §2).
    #[test]
    fn a_custom_page_is_addressed_by_the_key_that_the_file_names() {
        const TABLE: &str = "contoso/crm/v1.0/things";
        let metadata = |key: &str| {
            let key = if key.is_empty() { String::new() } else { format!("<Key><PropertyRef Name=\"{key}\"/></Key>") };
            format!(
                r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="thing">{key}<Property Name="systemId" Type="Edm.Guid"/>
                <Property Name="no" Type="Edm.String" MaxLength="20"/></EntityType>
                <EntityContainer><EntitySet Name="things" EntityType="N.thing"/></EntityContainer></Schema></edmx:Edmx>"#
            )
        };
        let id = Uuid::from_u128(0x1111_0000_0000_4000_8000_0000_0000_0001);
        let companies =
            r#"{"value":[{"id":"5b1e0c52-7a44-ef11-8e52-6045bd2b1a01","name":"CRONUS","displayName":"CRONUS"}]}"#;
        let company = "companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)";
        let open = |lines: Vec<Line>, keys: &[(&str, &str)]| {
            let server = Script::play(lines);
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let (client, _) = client(&server.url, &login.url);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 100, page: 10 };
            let keys = keys.iter().map(|(table, key)| ((*table).to_owned(), (*key).to_owned())).collect();
            (BusinessCentral::new(client, "CRONUS".into(), limits, keys), server)
        };
        for told in ["", "no"] {
            let page = format!(r#"{{"value":[{{"systemId":"{id}","no":"A"}}]}}"#);
            let batch = format!(r#"{{"responses":[{{"id":"1","status":201,"body":{{"systemId":"{id}"}}}}]}}"#);
            let lines = vec![say(200, &metadata(told)), say(200, companies), say(200, &page), say(200, &batch)];
            let (erp, server) = open(lines, &[(TABLE, "systemId")]);
            let info = erp.describe(TABLE).unwrap();
            assert_eq!(info.key, Key::Id("systemId".into()));
            let query = Query { info: &info, columns: vec!["no".into()], filter: None, ids: Some(vec![id]) };
            assert_eq!(erp.read(&query, &|_| {}).unwrap().ids(), [id]);
            let fields = vec![("no".to_owned(), Value::Text("B".into()))];
            let write = Write { kind: WriteKind::Insert, id, etag: None, fields };
            assert_eq!(erp.write(&info, &[], &[write]).outcomes, [Outcome::Written]);
            let heard = server.heard();
            assert!(heard[2].contains(&format!("{company}/things?$select=systemId,no&$filter=systemId%20eq%20{id} ")));
            assert!(heard[3].contains(&format!(r#""body":{{"systemId":"{id}","no":"B"}}"#)), "{}", heard[3]);
        }
        let (erp, _) = open(vec![say(200, &metadata("no"))], &[]);
        let error = erp.describe(TABLE).unwrap_err().to_string();
        assert!(error.contains("knows its records by `no` and not by a GUID"), "{error}");
    }

    #[test]
    fn ids_are_a_list_on_one_column() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let list = "id eq 00000000-0000-0000-0000-000000000001 or id eq 00000000-0000-0000-0000-000000000002";
        assert_eq!(id_list("id", &ids, None), list);
        assert_eq!(id_list("id", &ids, Some("a eq 1 or a eq 2")), format!("({list}) and (a eq 1 or a eq 2)"));
        assert_eq!(id_list("id", &ids, Some(&"x".repeat(filter::chars_max(Dialect::BusinessCentral)))), list);
    }
}

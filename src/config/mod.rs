//! The pipeline file: YAML text in, a [`Pipeline`] and complaints out.
//!
//! [`schema`] holds the file as it is written, this module the file as it is meant; [`check`](check::check) turns the
//! one into the other and collects everything that is wrong with its place. Nothing here reads a file or the
//! environment: text and variables are arguments.

pub mod complaint;
pub mod tree;
pub mod variables;
pub mod expression;
pub mod company;
pub mod columns;
pub mod schema;
pub mod editor;
pub mod read;
pub mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::config::expression::Expression;

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The ERP.
    Erp,
    /// The CRM.
    Crm,
}

impl Side {
    /// Both sides, in the order in which they are always told.
    pub const BOTH: [Side; 2] = [Side::Erp, Side::Crm];

    /// Returns the system that is not this one.
    pub fn other(self) -> Side {
        match self {
            Side::Erp => Side::Crm,
            Side::Crm => Side::Erp,
        }
    }

    /// Returns `erp` or `crm`, as the file and the JSON output write it.
    pub fn key(self) -> &'static str {
        match self {
            Side::Erp => "erp",
            Side::Crm => "crm",
        }
    }

    /// Returns `ERP` or `CRM`, as sentences write it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Erp => "ERP",
            Side::Crm => "CRM",
        }
    }
}

/// A value for each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PerSide<T> {
    pub erp: T,
    pub crm: T,
}

impl<T> PerSide<T> {
    /// Makes one value a side.
    pub fn from_fn(mut make: impl FnMut(Side) -> T) -> PerSide<T> {
        PerSide { erp: make(Side::Erp), crm: make(Side::Crm) }
    }

    /// Returns the value of `side`.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Erp => &self.erp,
            Side::Crm => &self.crm,
        }
    }

    /// Returns the value of `side` for a change.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Erp => &mut self.erp,
            Side::Crm => &mut self.crm,
        }
    }
}

/// Which way values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the ERP to the CRM.
    ToCrm,
    /// From the CRM to the ERP.
    ToErp,
    /// Both ways.
    Both,
}

impl Direction {
    /// Tells whether values travel to `side`.
    pub fn writes(self, side: Side) -> bool {
        matches!((self, side), (Direction::Both, _) | (Direction::ToCrm, Side::Crm) | (Direction::ToErp, Side::Erp))
    }

    /// Returns `to_crm`, `to_erp` or `both`.
    pub fn key(self) -> &'static str {
        match self {
            Direction::ToCrm => "to_crm",
            Direction::ToErp => "to_erp",
            Direction::Both => "both",
        }
    }
}

/// Where records that have no partner are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// Nowhere: only records that are coupled are kept the same.
    None,
    /// In the CRM.
    ToCrm,
    /// In the ERP.
    ToErp,
    /// On either side.
    Both,
}

impl Create {
    /// Returns the sides that a direction writes to.
    pub fn along(direction: Direction) -> Create {
        match direction {
            Direction::ToCrm => Create::ToCrm,
            Direction::ToErp => Create::ToErp,
            Direction::Both => Create::Both,
        }
    }

    /// Tells whether records may be created on `side`.
    pub fn on(self, side: Side) -> bool {
        matches!((self, side), (Create::Both, _) | (Create::ToCrm, Side::Crm) | (Create::ToErp, Side::Erp))
    }
}

/// Who fills a field of a newly coupled pair that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Hold,
    Erp,
    Crm,
}

/// What happens to a pair of which one record was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// A person decides.
    Hold,
    /// The record is made anew from the other one, where the table map writes to that side.
    Restore,
    /// The coupling goes, and the two are kept apart.
    Uncouple,
    /// The other one is deleted too, where the table map writes to its side.
    Delete,
}

/// How much a run may do to one table map before it stops and asks; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    pub create: Option<Limit>,
    pub update: Option<Limit>,
    pub delete: Option<Limit>,
}

/// An upper bound for a number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Number(u64),
    /// So many hundredths of a percent.
    Share(u64),
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Number(number) => write!(f, "{number}"),
            Limit::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Limit::Share(share) => {
                let text = format!("{}.{:02}", share / 100, share % 100);
                write!(f, "{}%", text.trim_end_matches('0'))
            }
        }
    }
}

/// Who wins where a field was edited on both sides to different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    Hold,
    Erp,
    Crm,
    /// The side whose record was modified last, as far as the times tell.
    Newest,
}

/// What happens to a field whose reference has no coupling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnresolved {
    /// The record fails, and is tried again by every run.
    Fail,
    /// The field is blank until the reference resolves.
    Clear,
    /// The field stays as it is.
    Keep,
}

/// When a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// Only into new records; never compared again.
    Create,
    /// Only into records that exist.
    Update,
}

/// Whether a blank travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blank {
    /// It does, as an edit like any other.
    Write,
    /// It does not: the other side keeps what it has.
    Keep,
}

/// What happens to a text that is longer than its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The record fails with the reason.
    Reject,
    /// As much goes over as the column takes.
    Truncate,
}

/// What happens where a one-way field was changed on the side that does not own it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// The owner's value is put back.
    Restore,
    /// The change stays until the owner's value changes.
    Leave,
    /// As `Leave`, and every run tells it.
    Report,
}

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// Returns the secret, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The file as it is meant, complete and free of contradictions.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub name: String,
    pub connections: PerSide<Connection>,
    /// `sqlite:PATH`, the path relative to the file's folder unless absolute.
    pub state: String,
    /// Whether the base values are kept for people to see beside the fingerprints.
    pub keep_values: bool,
    /// Table maps in the order of the file.
    pub tables: Vec<TableMap>,
}

/// Which protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    BusinessCentral,
    Dataverse,
    /// OData V4 pages of NAV 2018 and of Business Central.
    Nav,
    /// Any other OData V4 service.
    OData,
}

/// How to reach one side.
#[derive(Debug, Clone)]
pub struct Connection {
    pub adapter: Adapter,
    /// The service root, without trailing slash.
    pub url: String,
    /// The ERP company, by name; the CRM has none.
    pub company: Option<String>,
    pub auth: Auth,
    pub limits: Limits,
    pub features: Features,
    /// The user of the side in whose name is written, by the id that the directory of the login has for them.
    pub act_as: Option<Uuid>,
    /// The key columns that table maps name, by the side's table.
    pub keys: BTreeMap<String, String>,
    /// A file with certificates of authorities, and the certificates once it was read.
    pub ca_file: Option<PathBuf>,
    pub authorities: Vec<Vec<u8>>,
    /// Options that table maps name, with their members, by the side's table and the column.
    pub options: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// What is used of what only some sides, and there only some tables, can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// One request that makes many records.
    pub bulk: bool,
    /// The side's own account of what changed, deletions among it.
    pub change_tracking: bool,
    pub bypass: Bypass,
}

/// What of an organization's own logic our writes pass by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bypass {
    /// What runs inside of a write and may refuse it.
    pub sync: bool,
    /// What a write sets off for later.
    pub asynchronous: bool,
    /// What people have built to wait for changes.
    pub flows: bool,
}

/// How to log in.
#[derive(Debug, Clone)]
pub enum Auth {
    OAuth2(ClientCredentials),
    /// A user's name, and a password or an access key for web services.
    Basic {
        user: String,
        password: SecretSource,
    },
    /// A token that something else keeps fresh in a file, which is read again and again.
    Bearer {
        token_file: PathBuf,
    },
}

/// Where a secret is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In the file of the pipeline, that is in a variable that it names.
    Given(Secret),
    /// In a file of its own; read when it is first needed.
    File(PathBuf),
}

impl SecretSource {
    /// Takes a secret as it is.
    pub fn given(text: String) -> SecretSource {
        SecretSource::Given(Secret::new(text))
    }
}

/// How an application proves who it is.
#[derive(Debug, Clone)]
pub enum Proof {
    Secret(SecretSource),
    /// A PEM file with a certificate and its private RSA key.
    Certificate(PathBuf),
}

impl Auth {
    /// Returns the client credentials, where a token is fetched with some.
    pub fn client_credentials(&self) -> Option<&ClientCredentials> {
        match self {
            Auth::OAuth2(credentials) => Some(credentials),
            Auth::Basic { .. } | Auth::Bearer { .. } => None,
        }
    }

    /// Lets relative paths of files begin at a folder, that of the pipeline file.
    pub fn begin_at(&mut self, folder: &Path) {
        let path = match self {
            Auth::OAuth2(ClientCredentials {
                proof: Proof::Secret(SecretSource::File(path)) | Proof::Certificate(path),
                ..
            })
            | Auth::Basic { password: SecretSource::File(path), .. }
            | Auth::Bearer { token_file: path } => path,
            Auth::OAuth2(_) | Auth::Basic { .. } => return,
        };
        *path = folder.join(&*path);
    }
}

/// OAuth 2.0 client credentials.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    pub token_url: String,
    pub client_id: String,
    pub proof: Proof,
    pub scope: String,
}

/// What may be asked of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way at once.
    pub concurrency: usize,
    /// Requests in each window of `per_seconds`.
    pub requests: usize,
    pub per_seconds: usize,
    /// Operations in one batch.
    pub batch: usize,
    /// Records in one page.
    pub page: usize,
}

/// One ERP table paired with one CRM table.
#[derive(Debug, Clone)]
pub struct TableMap {
    pub name: String,
    pub sides: PerSide<TableSide>,
    pub direction: Direction,
    pub create: Create,
    pub match_rules: Vec<MatchRule>,
    pub first_sync: Option<Policy>,
    pub on_conflict: OnConflict,
    pub on_delete: OnDelete,
    pub guard: Guard,
    pub on_create: Vec<Template>,
    pub fields: Vec<FieldMap>,
    /// Names of table maps that run first, as written; `ref` adds to them.
    pub after: Vec<String>,
}

/// One side of a table map.
#[derive(Debug, Clone)]
pub struct TableSide {
    /// The entity set, or `publisher/group/version/set` for a custom API page.
    pub table: String,
    /// The column by which people name a record.
    pub label: Option<String>,
    pub filter: Option<Expression>,
    /// The column with the GUID by which the side addresses a record; without it the one that the metadata names.
    pub key: Option<String>,
    /// The column that tells when a record was last modified; without it the one that the metadata is known to have.
    pub modified: Option<String>,
    /// Columns that are options, with the names of their members, where the metadata do not tell.
    pub options: Vec<(String, Vec<String>)>,
}

/// Columns that must agree for two records to be the same one.
#[derive(Debug, Clone)]
pub struct MatchRule {
    /// Pairs of ERP column and CRM column, all of which must agree. Where a field map pairs the two columns, its
    /// translation (expression, `values`, `ref`) is applied before they are compared.
    pub by: Vec<(String, String)>,
    pub case_sensitive: bool,
}

/// Values for new records that no field map gives.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where it stands in its list in the file, from 0.
    pub number: usize,
    /// The side on which records are created.
    pub side: Side,
    /// Holds on the source row, or the template does not apply. Without it, it always does.
    pub condition: Option<Expression>,
    /// Target column and what goes into it.
    pub set: Vec<(String, TemplateValue)>,
}

/// What a template puts into a column.
#[derive(Debug, Clone)]
pub enum TemplateValue {
    Constant(Constant),
    /// Computed from the source row.
    Expression(Expression),
    /// The prefix and a running number of so many digits, past what the side already holds.
    NextNumber {
        prefix: String,
        digits: usize,
    },
}

/// A scalar of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    Text(String),
    /// A number as it was written.
    Number(String),
    Boolean(bool),
}

impl Constant {
    /// Returns the scalar as text: numbers as written, `true` or `false`.
    pub fn text(&self) -> String {
        match self {
            Constant::Text(text) | Constant::Number(text) => text.clone(),
            Constant::Boolean(value) => value.to_string(),
        }
    }
}

/// One ERP column paired with one CRM column, or a constant for one of them.
#[derive(Debug, Clone)]
pub struct FieldMap {
    pub erp: Option<String>,
    pub crm: Option<String>,
    /// Already narrowed by the table map's direction and by one-sided expressions; `None` where nothing can travel
    /// (a field for the other direction of a one-way table).
    pub direction: Option<Direction>,
    pub to_crm: Option<Expression>,
    pub to_erp: Option<Expression>,
    /// Pairs of ERP text and CRM text.
    pub values: Vec<(String, String)>,
    pub reference: Option<Reference>,
    pub on_unresolved: OnUnresolved,
    /// The field's own `first_sync`, before the table's.
    pub first_sync: Option<Policy>,
    /// The field's `on_conflict`, else the table's.
    pub on_conflict: OnConflict,
    pub when: When,
    pub blank: Blank,
    pub fit: Fit,
    pub drift: Drift,
    /// A constant for the one side that the field map names.
    pub value: Option<Constant>,
}

impl TableMap {
    /// Tells whether a field refers to records of another table map.
    pub fn refers_to(&self, table: &str) -> bool {
        self.fields.iter().any(|field| field.reference.as_ref().is_some_and(|reference| reference.table == table))
    }

    /// Tells whether a contested field of this table map is decided by the times of both records.
    pub fn compares_times(&self) -> bool {
        self.fields.iter().any(FieldMap::compares_times)
    }

    /// Tells whether a new record on `side` gets a number past all that are there.
    pub fn counts_on(&self, side: Side) -> bool {
        let values = self.on_create.iter().filter(|template| template.side == side).flat_map(|template| &template.set);
        values.into_iter().any(|(_, value)| matches!(value, TemplateValue::NextNumber { .. }))
    }
}

impl FieldMap {
    /// Tells whether the field may be contested and the newer side wins then.
    pub fn compares_times(&self) -> bool {
        self.on_conflict == OnConflict::Newest && self.direction == Some(Direction::Both) && self.when != When::Create
    }

    /// Returns the column of `side`.
    pub fn column(&self, side: Side) -> Option<&str> {
        match side {
            Side::Erp => self.erp.as_deref(),
            Side::Crm => self.crm.as_deref(),
        }
    }

    /// Returns the expression for values that travel to `side`.
    pub fn expression_to(&self, side: Side) -> Option<&Expression> {
        match side {
            Side::Erp => self.to_erp.as_ref(),
            Side::Crm => self.to_crm.as_ref(),
        }
    }

    /// Tells whether values travel to `side`.
    pub fn writes(&self, side: Side) -> bool {
        self.direction.is_some_and(|direction| direction.writes(side))
    }

    /// Returns the name under which the state keeps this field: both columns, whatever the order in the file.
    pub fn key(&self) -> String {
        format!("{}={}", self.erp.as_deref().unwrap_or(""), self.crm.as_deref().unwrap_or(""))
    }

    /// Returns the name that people use: the ERP column, else the CRM column.
    pub fn name(&self) -> &str {
        self.erp.as_deref().or(self.crm.as_deref()).unwrap_or("")
    }
}

/// A key that is translated through the couplings of another table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The other table map.
    pub table: String,
    /// The ERP column there that this field's ERP value names.
    pub erp: String,
    /// The CRM column there that holds the same key, for records that have no coupling (the local currency).
    pub crm: Option<String>,
}

//! The pipeline file as it is written: one struct for each kind of map, every key optional.
//!
//! In goes a YAML value, out come texts and words that nobody has judged yet; [`check`](crate::config::check) does that,
//! with the places from the [`tree`](crate::config::tree). A key that is absent is `None`, so that what is missing is found
//! there too, all at once. A list element that was complained about is `None`, so that the others keep their numbers.
//!
//! The same structs make the JSON Schema that editors go by ([`editor`](crate::config::editor)): what stands above a key here
//! is what a person reads who writes it.

pub mod values;

use crate::config::schema::values::{Bound, FirstSync, Flag, Pairs, Scalar, Whole};
use crate::config::{Blank, Create, Direction, Drift, Fit, OnDelete, OnUnresolved, Side};

/// Which tables of an ERP and a CRM are paired with which, field by field, and by which rules.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The version of this format: 1.
    #[schemars(required, schema_with = "values::version")]
    pub version: Option<Whole>,
    /// The name of the pipeline. The state belongs to it, and the ids of the records that it makes follow from it.
    #[schemars(required)]
    pub name: Option<String>,
    /// Where both sides are, and how to log in there.
    #[schemars(required)]
    pub connections: Option<Connections>,
    /// Where couplings, bases, journal and inbox are: `sqlite:PATH`; a relative path starts at this file's folder.
    #[schemars(required, extend("pattern" = r"^sqlite:.|\$\{"))]
    pub state: Option<String>,
    /// Whether the state keeps what both sides agreed on beside its fingerprints, for people and for records that are made
    /// anew; `true` without this key.
    pub keep_values: Option<Flag>,
    /// Keys of table maps, for all of them that do not say otherwise.
    pub defaults: Option<Defaults>,
    /// The table maps by name: what is paired with what.
    #[schemars(required, extend("minProperties" = 1), extend("propertyNames" = {"pattern": "^[A-Za-z][A-Za-z0-9_-]*$"}))]
    pub tables: Option<Pairs<Table>>,
}

/// The two sides.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// The ERP.
    #[schemars(required)]
    pub erp: Option<Connection>,
    /// The CRM.
    #[schemars(required)]
    pub crm: Option<Connection>,
}

/// One side: how it is reached, and how much may be asked of it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// What speaks to the side.
    #[schemars(required)]
    pub adapter: Option<Adapter>,
    /// The root of the service, without `/api/v2.0`, `/ODataV4` or `/api/data/v9.2`. `http://` only towards this machine,
    /// or with `insecure: true`.
    #[schemars(required)]
    pub url: Option<String>,
    /// The company, as the ERP names it.
    pub company: Option<String>,
    /// What the connection logs in with.
    #[schemars(required)]
    pub auth: Option<Auth>,
    /// How much the side is asked at once and in a time; without these keys, what its vendor grants.
    pub limits: Option<Limits>,
    /// What the side can do besides.
    pub features: Option<Features>,
    /// The user in whose name the CRM is written, by the object id of Microsoft Entra.
    pub act_as: Option<String>,
    /// Allows `http://` towards another machine, where whoever listens reads along; `false` without it.
    pub insecure: Option<Flag>,
    /// A PEM file with certificates of authorities that are trusted besides the public ones, as those of a company's own.
    pub ca_file: Option<String>,
}

/// What a side can do besides.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Many new records in one message, where a table of the CRM takes that; `auto` without it.
    pub bulk: Option<Feature>,
    /// The CRM's own account of what changed, deletions among it, for `run --changed`; `auto` without it.
    pub change_tracking: Option<Feature>,
    /// Whether the CRM's own logic (plug-ins and workflows of the organization) runs on what is written;
    /// `run` without it.
    pub custom_logic: Option<CustomLogic>,
    /// Whether flows of Power Automate hear of what is written to the CRM; `run` without it.
    pub flows: Option<Flows>,
}

/// Which of an organization's own logic our writes set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomLogic {
    /// As for anybody's writes.
    Run,
    /// None of it runs.
    Bypass,
    /// What runs within the write does not run.
    BypassSync,
    /// What runs after the write does not run.
    BypassAsync,
}

/// Whether flows hear of our writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flows {
    /// As of anybody's writes.
    Run,
    /// They do not hear of them.
    Bypass,
}

/// Whether something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Where the side has it.
    Auto,
    /// Never.
    Off,
}

/// What speaks to a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// Dynamics 365 Business Central, by API v2.0; an ERP.
    BusinessCentral,
    /// Dynamics 365 Sales, by the Web API of Dataverse; a CRM.
    Dataverse,
    /// Dynamics NAV 2018, by its OData V4 web services; an ERP.
    Nav,
    /// Any other OData V4 service, in the place of an ERP.
    Odata,
}

/// What a connection logs in with; which keys belong to which kind, `check` says.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The way to log in.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: Option<AuthKind>,
    /// The address that gives tokens (`oauth2`).
    pub token_url: Option<String>,
    /// The registered application (`oauth2`).
    pub client_id: Option<String>,
    /// Its secret (`oauth2`), as a variable: `${NAME}`.
    pub client_secret: Option<String>,
    /// A file with the secret in one line, in place of `client_secret`.
    pub client_secret_file: Option<String>,
    /// A PEM file with a certificate and its RSA key, which signs in place of a secret (`oauth2`).
    pub certificate: Option<String>,
    /// What the token is for (`oauth2`).
    pub scope: Option<String>,
    /// The user (`basic`).
    pub user: Option<String>,
    /// Their password (`basic`), as a variable: `${NAME}`.
    pub password: Option<String>,
    /// A file with the password in one line, in place of `password`.
    pub password_file: Option<String>,
    /// A file with a token that something else keeps fresh (`bearer`).
    pub token_file: Option<String>,
}

/// Ways to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// A registered application, with a secret or a certificate.
    Oauth2,
    /// A user and a password, of an ERP on premises.
    Basic,
    /// A token out of a file.
    Bearer,
}

/// How much a side is asked at once and in a time.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests under way at once.
    pub concurrency: Option<Whole>,
    /// Requests in `per_seconds`.
    pub requests: Option<Whole>,
    /// The seconds in which `requests` may be spent.
    pub per_seconds: Option<Whole>,
    /// Writes in one message.
    pub batch: Option<Whole>,
    /// Records in one page of a list.
    pub page: Option<Whole>,
}

/// Makes a struct of the keys that a table map and `defaults` share, which stand in the place of `..policies`, and of those
/// that it has for itself. Serde could flatten one struct into the other, but says less of an unknown key then.
macro_rules! with_policies {
    ($(#[$about:meta])* pub struct $name:ident {
        $($(#[$above:meta])* pub $first:ident: $first_type:ty,)*
        ..policies,
        $($(#[$below:meta])* pub $last:ident: $last_type:ty,)*
    }) => {
        $(#[$about])*
        pub struct $name {
            $($(#[$above])* pub $first: $first_type,)*
            /// Which way values travel; a field may narrow it.
            pub direction: Option<Direction>,
            /// Where a record without partner is created; `none` without it.
            pub create: Option<Create>,
            /// How records that are not coupled yet find each other, in this order.
            #[serde(rename = "match")]
            #[schemars(with = "Option<Vec<MatchRule>>")]
            pub match_rules: Option<Vec<Option<MatchRule>>>,
            /// Who wins where a pair is new and differs.
            #[schemars(with = "Option<FirstSync>")]
            pub first_sync: Option<Policy>,
            /// Who wins where both sides edited the same field; `hold` without it.
            pub on_conflict: Option<Policy>,
            /// What follows where one record of a pair was deleted; `hold` without it.
            pub on_delete: Option<OnDelete>,
            /// More than that, and the table is left as it is (exit code 4).
            pub guard: Option<Guard>,
            /// Templates for new records: the first whose `if` holds. A mapped value wins over it unless it is blank.
            #[schemars(with = "Option<Vec<Template>>")]
            pub on_create: Option<Vec<Option<Template>>>,
            $($(#[$below])* pub $last: $last_type,)*
        }
    };
}

with_policies! {
    /// Keys of a table map that may be given for all of them at once.
    #[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Defaults {
        ..policies,
    }
}

with_policies! {
    /// A table map: what is paired with what, and by which rules.
    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Table {
        /// What the table map takes of the ERP.
        #[schemars(required)]
        pub erp: Option<TableSide>,
        /// What the table map takes of the CRM.
        #[schemars(required)]
        pub crm: Option<TableSide>,
        ..policies,
        /// Table maps that have to have their turn before, besides those that `ref` leads to.
        #[schemars(with = "Option<Vec<String>>")]
        pub after: Option<Vec<Option<String>>>,
        /// The field maps.
        #[schemars(required, with = "Vec<Field>", extend("minItems" = 1))]
        pub fields: Option<Vec<Option<Field>>>,
    }
}

/// What a table map takes of one side.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSide {
    /// The entity set (`customers`); of the ERP also `publisher/group/version/set` for a custom API page.
    #[schemars(required)]
    pub table: Option<String>,
    /// The column by which people name a record.
    pub label: Option<String>,
    /// SQL over the columns of this side; a record for which it does not hold is no part of the table map.
    pub filter: Option<String>,
    /// The key column, where the metadata of the ERP does not tell it.
    pub key: Option<String>,
    /// The column that tells when a record was modified, where it has no usual name.
    pub modified: Option<String>,
    /// Options of pages of NAV, by column: the names of their members in order, which the metadata do not tell.
    #[schemars(with = "Option<Pairs<Vec<String>>>")]
    pub options: Option<Pairs<Vec<Option<String>>>>,
}

/// Policies; not every key takes each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Neither: a person decides.
    Hold,
    /// The ERP.
    Erp,
    /// The CRM.
    Crm,
    /// The side whose record was modified last.
    Newest,
}

/// Bounds beyond which nothing of a table map is written.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// New records at most; without it, any number.
    pub create: Option<Bound>,
    /// Changed records at most; `50%` without it.
    pub update: Option<Bound>,
    /// Deleted records and parted pairs at most; `5%` without it.
    pub delete: Option<Bound>,
}

/// Columns by which two records are one.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchRule {
    /// ERP columns, each with the CRM column that has to agree.
    #[schemars(required, extend("minProperties" = 1))]
    pub by: Option<Pairs<String>>,
    /// Whether capitals count; `false` without it.
    pub case_sensitive: Option<Flag>,
}

/// What a new record gets besides the values of its partner.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The side on which the record is new.
    #[schemars(required)]
    pub side: Option<Side>,
    /// SQL over the source row; without it, the template always holds.
    #[serde(rename = "if")]
    pub condition: Option<String>,
    /// Columns of the new record, each with a value; a text is SQL over the source row, so a literal wears its own quotes:
    /// `"'X'"`.
    #[schemars(required)]
    pub set: Option<Pairs<Scalar>>,
}

/// A field map: two columns, or one and a value.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The column of the ERP; behind a `/` one of a record that it leads to, which is read only.
    pub erp: Option<String>,
    /// The column of the CRM; a lookup by its logical name.
    pub crm: Option<String>,
    /// Which way the field travels; without it, as the table map does, or as its one expression says.
    pub direction: Option<Direction>,
    /// SQL over the ERP's row, for what the CRM gets.
    pub to_crm: Option<String>,
    /// SQL over the CRM's row, for what the ERP gets.
    pub to_erp: Option<String>,
    /// Values of the ERP as texts, each with the one of the CRM that stands for it.
    pub values: Option<Pairs<Scalar>>,
    /// The field holds a key, which is translated by the couplings of another table map.
    #[serde(rename = "ref")]
    pub reference: Option<Reference>,
    /// What happens where the reference leads to a record without coupling; `fail` without it.
    pub on_unresolved: Option<OnUnresolved>,
    /// Who fills the field of a newly coupled pair that differs.
    #[schemars(with = "Option<FirstSync>")]
    pub first_sync: Option<Policy>,
    /// Who wins where both sides edited the field.
    pub on_conflict: Option<Policy>,
    /// The writes in which the field takes part; both without it.
    pub when: Option<When>,
    /// Whether a blank travels; `write` without it.
    pub blank: Option<Blank>,
    /// What happens to a text that is too long; `reject` without it.
    pub fit: Option<Fit>,
    /// What happens where the side that does not own the field was changed; `restore` without it.
    pub drift: Option<Drift>,
    /// A constant that a column of one side always holds.
    pub value: Option<Scalar>,
}

/// The table map through whose couplings a key is translated.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The table map whose couplings translate the key; it runs first.
    #[schemars(required)]
    pub table: Option<String>,
    /// The ERP column of that table that the key names.
    #[schemars(required)]
    pub erp: Option<String>,
    /// The CRM column with the same key, for records that no coupling leads to.
    pub crm: Option<String>,
}

/// Writes in which a field takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Only into new records; never compared again.
    Create,
    /// Only into records that exist.
    Update,
}

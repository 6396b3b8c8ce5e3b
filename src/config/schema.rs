//! The pipeline file as it is written: one struct for each kind of map, every key optional.
//!
//! In goes a YAML value, out come texts and words that nobody has judged yet; [`check`](crate::config::check) does that,
//! with the places from the [`tree`](crate::config::tree). A key that is absent is `None`, so that what is missing is found
//! there too, all at once. A list element that was complained about is `None`, so that the others keep their numbers.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::config::{Blank, Create, Direction, Drift, Fit, Limit, OnDelete, OnUnresolved, Side};

/// The whole file.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub version: Option<Whole>,
    pub name: Option<String>,
    pub connections: Option<Connections>,
    pub state: Option<String>,
    pub keep_values: Option<Flag>,
    pub defaults: Option<Defaults>,
    pub tables: Option<Pairs<Table>>,
}

/// The two sides.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    pub erp: Option<Connection>,
    pub crm: Option<Connection>,
}

/// One side: how it is reached, and how much may be asked of it.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    pub adapter: Option<Adapter>,
    pub url: Option<String>,
    pub company: Option<String>,
    pub auth: Option<Auth>,
    pub limits: Option<Limits>,
    pub features: Option<Features>,
    pub act_as: Option<String>,
    pub insecure: Option<Flag>,
}

/// What a side can do besides, also what is to come.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    pub bulk: Option<Feature>,
    pub change_tracking: Option<Feature>,
    pub custom_logic: Option<CustomLogic>,
    pub flows: Option<Flows>,
}

/// Which of an organization's own logic our writes set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomLogic {
    Run,
    Bypass,
    BypassSync,
    BypassAsync,
}

/// Whether flows hear of our writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flows {
    Run,
    Bypass,
}

/// Whether something is used where it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    Auto,
    Off,
}

/// Adapters, also those to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    BusinessCentral,
    Dataverse,
    Nav,
    Odata,
}

/// What a connection logs in with; which keys belong to which kind, `check` says.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    #[serde(rename = "type")]
    pub kind: Option<AuthKind>,
    pub token_url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
    pub client_secret_file: Option<String>,
    pub certificate: Option<String>,
    pub scope: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub password_file: Option<String>,
    pub token_file: Option<String>,
}

/// Ways to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    Oauth2,
    Basic,
    Bearer,
}

/// How much a side is asked at once and in a time.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub concurrency: Option<Whole>,
    pub requests: Option<Whole>,
    pub per_seconds: Option<Whole>,
    pub batch: Option<Whole>,
    pub page: Option<Whole>,
}

/// Keys of a table map that may be given for all of them at once.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    pub direction: Option<Direction>,
    pub create: Option<Create>,
    #[serde(rename = "match")]
    pub match_rules: Option<Vec<Option<MatchRule>>>,
    pub first_sync: Option<Policy>,
    pub on_conflict: Option<Policy>,
    pub on_delete: Option<OnDelete>,
    pub guard: Option<Guard>,
    pub on_create: Option<Vec<Option<Template>>>,
}

/// A table map: what is paired with what, and by which rules.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub erp: Option<TableSide>,
    pub crm: Option<TableSide>,
    pub direction: Option<Direction>,
    pub create: Option<Create>,
    #[serde(rename = "match")]
    pub match_rules: Option<Vec<Option<MatchRule>>>,
    pub first_sync: Option<Policy>,
    pub on_conflict: Option<Policy>,
    pub on_delete: Option<OnDelete>,
    pub guard: Option<Guard>,
    pub on_create: Option<Vec<Option<Template>>>,
    pub after: Option<Vec<Option<String>>>,
    pub fields: Option<Vec<Option<Field>>>,
}

/// What a table map takes of one side.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSide {
    pub table: Option<String>,
    pub label: Option<String>,
    pub filter: Option<String>,
    pub key: Option<String>,
    pub modified: Option<String>,
}

/// Policies; not every key takes each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    Hold,
    Erp,
    Crm,
    Newest,
}

/// Bounds beyond which nothing of a table map is written.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    pub create: Option<Bound>,
    pub update: Option<Bound>,
    pub delete: Option<Bound>,
}

/// A number of records, or a share as in `5%`.
#[derive(Debug, Clone, Copy)]
pub struct Bound(pub Limit);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bound, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Bound;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a share such as `5%`")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Bound, E> {
                Ok(Bound(Limit::Number(number)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bound, E> {
                let limit = match text.strip_suffix('%') {
                    Some(share) => hundredths(share.trim_end()).map(Limit::Share),
                    None => text.parse().ok().map(Limit::Number),
                };
                limit.map(Bound).ok_or_else(|| E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// Reads a percentage up to 100 with at most two decimals.
fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let share = whole.parse::<u64>().ok()?.checked_mul(100)? + format!("{part:0<2}").parse::<u64>().ok()?;
    (share <= 10_000).then_some(share)
}

/// Columns by which two records are one.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRule {
    pub by: Option<Pairs<String>>,
    pub case_sensitive: Option<Flag>,
}

/// What a new record gets besides the values of its partner.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub side: Option<Side>,
    #[serde(rename = "if")]
    pub condition: Option<String>,
    pub set: Option<Pairs<Scalar>>,
}

/// A field map: two columns, or one and a value.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub erp: Option<String>,
    pub crm: Option<String>,
    pub direction: Option<Direction>,
    pub to_crm: Option<String>,
    pub to_erp: Option<String>,
    pub values: Option<Pairs<Scalar>>,
    #[serde(rename = "ref")]
    pub reference: Option<Reference>,
    pub on_unresolved: Option<OnUnresolved>,
    pub first_sync: Option<Policy>,
    pub on_conflict: Option<Policy>,
    pub when: Option<When>,
    pub blank: Option<Blank>,
    pub fit: Option<Fit>,
    pub drift: Option<Drift>,
    pub value: Option<Scalar>,
}

/// The table map through whose couplings a key is translated.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    pub table: Option<String>,
    pub erp: Option<String>,
    pub crm: Option<String>,
}

/// Writes in which a field takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Create,
    Update,
}

/// A whole number, or a text that is one, as a variable gives it.
#[derive(Debug, Clone, Copy)]
pub struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Whole, E> {
                text.parse().map(Whole).map_err(|_| E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// `true` or `false`, also as a text, as a variable gives it.
#[derive(Debug, Clone, Copy)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true` or `false`")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                text.parse().map(Flag).map_err(|_| E::invalid_type(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// A text, number or boolean; the tree knows how it was written.
#[derive(Debug, Clone, Copy)]
pub struct Scalar;

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, `true` or `false`")
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar, E> {
                Ok(Scalar)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Scalar, E> {
                Ok(Scalar)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// A map with keys of the user's own, in the order of the file.
#[derive(Debug)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visit(PhantomData))
    }
}

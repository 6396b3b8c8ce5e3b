//! A judge over JSON Schemas, as far as ours go: one that uses another keyword makes a test fail.
//!
//! The text is read as editors read YAML, and no variable is filled in. Included by the unit tests of the check as well.

use regex::Regex;
use schemars::Schema;
use serde_json::{Map, Value};

/// Returns what a schema refuses of a text, with the path; one that is no YAML is refused as well.
pub fn refusals(schema: &Schema, text: &str) -> Vec<String> {
    let mut refused = Vec::new();
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(value) => Judge { root: schema.as_value() }.judge(schema.as_value(), &json(&value), "", &mut refused),
        Err(error) => refused.push(error.to_string()),
    }
    refused
}

/// Makes JSON of YAML: every key is a text there.
fn json(value: &serde_yaml::Value) -> Value {
    match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(*flag),
        serde_yaml::Value::Number(number) => serde_json::from_str(&number.to_string()).unwrap_or(Value::Null),
        serde_yaml::Value::String(text) => Value::String(text.clone()),
        serde_yaml::Value::Sequence(all) => Value::Array(all.iter().map(json).collect()),
        serde_yaml::Value::Mapping(all) => {
            let key = |key: &serde_yaml::Value| match json(key) {
                Value::String(key) => key,
                other => other.to_string(),
            };
            Value::Object(all.iter().map(|(own, value)| (key(own), json(value))).collect())
        }
        serde_yaml::Value::Tagged(tagged) => json(&tagged.value),
    }
}

struct Judge<'a> {
    root: &'a Value,
}

impl Judge<'_> {
    fn judge(&self, schema: &Value, value: &Value, path: &str, refused: &mut Vec<String>) {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(true) => return,
            _ => return refused.push(format!("{path}: nothing may stand here")),
        };
        for (keyword, rule) in schema {
            if !self.holds(keyword, rule, schema, value, path, refused) {
                refused.push(format!("{path}: `{keyword}` {rule} does not hold for {value}"));
            }
        }
    }

    fn is_valid(&self, schema: &Value, value: &Value) -> bool {
        let mut refused = Vec::new();
        self.judge(schema, value, "", &mut refused);
        refused.is_empty()
    }

    /// Tells whether a keyword holds by itself; what is wrong further below is told there.
    fn holds(
        &self,
        keyword: &str,
        rule: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        path: &str,
        refused: &mut Vec<String>,
    ) -> bool {
        let number = || rule.as_u64().expect("a bound is a number");
        let list = || rule.as_array().expect("a list of schemas");
        match keyword {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|link| link.strip_prefix('#')).expect("a link into the schema");
                let target = self.root.pointer(pointer).unwrap_or_else(|| panic!("{rule} leads nowhere"));
                self.judge(target, value, path, refused);
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                one => is_of(one, value),
            },
            "const" => rule == value,
            "enum" => list().contains(value),
            "anyOf" => list().iter().any(|one| self.is_valid(one, value)),
            "oneOf" => list().iter().filter(|one| self.is_valid(one, value)).count() == 1,
            "minimum" => value.as_i64().is_none_or(|value| value >= number().cast_signed()),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().expect("a pattern is a text")).expect("a pattern is sound");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let has = |key: &Value| value.get(key.as_str().expect("a key is a text")).is_some();
                !value.is_object() || list().iter().all(has)
            }
            "minProperties" => value.as_object().is_none_or(|map| map.len() as u64 >= number()),
            "minItems" => value.as_array().is_none_or(|all| all.len() as u64 >= number()),
            "items" => {
                for (index, one) in value.as_array().into_iter().flatten().enumerate() {
                    self.judge(rule, one, &format!("{path}[{index}]"), refused);
                }
                true
            }
            "properties" => {
                for (key, one) in rule.as_object().expect("schemas by key") {
                    if let Some(own) = value.get(key) {
                        self.judge(one, own, &format!("{path}.{key}"), refused);
                    }
                }
                true
            }
            "propertyNames" => {
                let keys = value.as_object().into_iter().flat_map(Map::keys);
                keys.for_each(|key| self.judge(rule, &Value::String(key.clone()), path, refused));
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (key, own) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        self.judge(rule, own, &format!("{path}.{key}"), refused);
                    }
                }
                true
            }
            other => panic!("the judge does not know `{other}`"),
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type is a word") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the judge does not know the type `{other}`"),
    }
}

//! The pipeline file as editors know it: a JSON Schema, made of the structs that read the file.
//!
//! What the reader refuses for its form (an unknown key, another type, another word) the schema refuses as well, and what the
//! [check](crate::config::check) takes, it takes. What several keys say together is the business of the check alone.

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{Schema, json_schema};

use crate::config::schema::File;
use crate::config::schema::values::VARIABLE;

/// Returns the schema, in the form of 2020-12.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(take_variables);
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "Pipeline file".into());
    schema
}

/// Lets a variable stand for each word: what it will be, the environment says.
fn take_variables(schema: &mut Schema) {
    let variable = json_schema!({
        "type": "string",
        "pattern": VARIABLE,
        "description": "A variable of the environment: `${NAME}` or `${NAME:-default}`.",
    });
    if let Some(words) = schema.get_mut("oneOf").and_then(|words| words.as_array_mut())
        && words.iter().any(|word| word.get("const").is_some())
    {
        words.push(variable.clone().to_value());
    }
    if schema.get("enum").is_some() {
        let description = schema.remove("description");
        let words = schema.clone();
        *schema = json_schema!({ "anyOf": [words, variable] });
        description.and_then(|text| schema.insert("description".to_owned(), text));
        return;
    }
    transform_subschemas(&mut take_variables, schema);
}

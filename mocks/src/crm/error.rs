//! The errors of the Web API: a status, a code and a message, as the service words them.
//!
//! Codes are those of Microsoft's list of service error codes; a message that the list does not give is worded as the
//! service has been seen to word it.

use serde_json::{Value, json};
use uuid::Uuid;

/// In which words errors are told; a caller that goes by codes, and by messages where there is none, understands all alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Telling {
    /// In English, as the list of error codes has it.
    #[default]
    Plainly,
    /// In a language that nobody reads: users have their own. What is no word (an id, a number) stays.
    Strangely,
    /// Without the code, which the service often leaves out.
    WithoutCodes,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub status: u16,
    /// A hexadecimal code, or `0x0` where the service gives none.
    pub code: &'static str,
    pub message: String,
}

impl Error {
    /// Makes an error.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Error {
        Error { status, code, message: message.into() }
    }

    /// An URL or a query that cannot be read.
    pub fn syntax(message: impl Into<String>) -> Error {
        Error::new(400, "0x0", message)
    }

    /// A segment of the path that is nothing.
    pub fn segment(name: &str) -> Error {
        Error::new(404, "0x8006088a", format!("Resource not found for the segment '{name}'."))
    }

    /// A property in a query that the table does not have.
    pub fn property(property: &str, table: &str) -> Error {
        Error::syntax(format!("Could not find a property named '{property}' on type 'Microsoft.Dynamics.CRM.{table}'."))
    }

    /// A row that is not there.
    pub fn missing_row(table: &str, id: Uuid) -> Error {
        Error::new(404, "0x80040217", format!("{table} With Id = {id} Does Not Exist"))
    }

    /// A body that cannot be read, with the reason the reader gave.
    pub fn payload(set: &str, inner: impl AsRef<str>) -> Error {
        Error::new(400, "0x80048d19", payload_message(set, inner.as_ref()))
    }

    /// A body with a property that the table does not have.
    pub fn invalid_property(set: &str, table: &str, property: &str) -> Error {
        let inner = format!(
            "Microsoft.OData.ODataException: An error occurred while validating input parameters: Invalid \
                property '{property}' was \
             found in entity 'Microsoft.Dynamics.CRM.{table}'."
        );
        Error::new(400, "0x0", payload_message(set, &inner))
    }

    /// A value that the service's own checks refuse.
    pub fn argument(message: impl Into<String>) -> Error {
        Error::new(400, "0x80040203", message)
    }

    /// Returns the error as it is told.
    pub fn told(self, telling: Telling) -> Error {
        match telling {
            Telling::Plainly => self,
            Telling::WithoutCodes => Error { code: "", ..self },
            Telling::Strangely => {
                let words = self.message.split(' ').map(|word| match word.bytes().any(|byte| byte.is_ascii_digit()) {
                    true => word.to_owned(),
                    false => word.chars().rev().collect(),
                });
                let message = words.collect::<Vec<String>>().join(" ");
                Error { message, ..self }
            }
        }
    }

    /// The database did not answer in time, and what was begun was undone.
    pub fn sql_timeout() -> Error {
        Error::new(500, "0x80044151", "SQL timeout expired.")
    }

    /// Returns the JSON body; `annotated` is what `odata.include-annotations="*"` adds.
    pub fn body(&self, annotated: bool) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if annotated {
            let signed = i64::from_str_radix(self.code.trim_start_matches("0x"), 16).unwrap_or(0);
            error["@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"] = json!("0");
            error["@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"] = json!(signed.to_string());
            error["@Microsoft.PowerApps.CDS.HelpLink"] = json!(format!(
                "http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{}",
                self.code
            ));
            error["@Microsoft.PowerApps.CDS.TraceText"] = json!("");
            error["@Microsoft.PowerApps.CDS.InnerError.Message"] = json!(self.message);
        }
        json!({ "error": error })
    }
}

fn payload_message(set: &str, inner: &str) -> String {
    format!(
        "Error identified in Payload provided by the user for Entity :'{set}', For more information on this \
            error please follow this help \
         link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : {inner}"
    )
}

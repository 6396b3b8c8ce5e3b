//! The ERP's refusals: status, code and message as they go over the wire.
//!
//! The tail with the correlation id is added when the body is made; a refusal itself has none, so that tests compare
//! messages whole.

use serde_json::json;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A body, an option or a value that does not read.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// A key or an address that leads nowhere.
    pub fn not_found() -> Self {
        Self::new(404, "BadRequest_NotFound", "Bad Request - Error in query syntax.")
    }

    pub fn no_segment(segment: &str) -> Self {
        let message = format!("Resource not found for the segment '{segment}'.");
        Self::new(404, "BadRequest_ResourceNotFound", message)
    }

    pub fn no_property(property: &str, entity: &str) -> Self {
        Self::bad(format!("Could not find a property named '{property}' on type '{entity}'."))
    }

    pub fn method(method: &str, name: &str, kind: &str) -> Self {
        let message = format!(
            "'{method}' requests for '{name}' of EdmType '{kind}' are not allowed within Dynamics 365 Business \
             Central OData web services."
        );
        Self::new(405, "BadRequest_MethodNotAllowed", message)
    }

    pub fn token_missing() -> Self {
        let message = "Could not validate the client concurrency token required by the service. Please provide a \
                       valid token in the client request.";
        Self::new(400, "BadRequest_InvalidToken", message)
    }

    pub fn changed() -> Self {
        Self::new(409, "Request_EntityChanged", "Another user has already changed the record.")
    }

    pub fn credentials() -> Self {
        let message = "The server has rejected the client credentials.";
        Self::new(401, "Authentication_InvalidCredentials", message)
    }

    pub fn blank(field: &str) -> Self {
        let message = format!("Field '{field}' must not be blank or empty.");
        Self::new(400, "BadRequest_RequiredParamNotProvided", message)
    }

    pub fn duplicate(table: &str, field: &str, value: &str) -> Self {
        let message =
            format!("The record in table {table} already exists. Identification fields and values: {field}='{value}'");
        Self::new(400, "Internal_EntityWithSameKeyExists", message)
    }

    pub fn relation(field: &str, table: &str, value: &str, related: &str) -> Self {
        let message = format!(
            "The field {field} of table {table} contains a value ({value}) that cannot be found in the related table \
             ({related})."
        );
        Self::new(400, "Internal_InvalidTableRelation", message)
    }

    pub fn too_long(value: &str, length: usize, max: usize) -> Self {
        let message = format!(
            "The length of the string is {length}, but it must be less than or equal to {max} characters. Value: \
             {value}"
        );
        Self::new(400, "Application_StringExceededLength", message)
    }

    /// The application is known but may do nothing; of the code only the family is documented.
    pub fn denied() -> Self {
        let message = "The application does not have the permission sets that the request needs.";
        Self::new(403, "Authorization_RequestDenied", message)
    }

    /// The operation took longer than its eight minutes; such an answer comes from the gateway and has no body.
    pub fn timed_out() -> Self {
        Self::new(408, "", "")
    }

    pub fn read_only(caption: &str) -> Self {
        Self::new(400, "BadRequest_InvalidOperation", format!("Control '{caption}' is read-only"))
    }

    /// Makes the JSON body; the message ends in a correlation id, as online builds send it.
    pub fn body(&self) -> Vec<u8> {
        if self.status == 408 {
            return Vec::new();
        }
        let correlation = uuid::Uuid::new_v4();
        let message = format!("{}  CorrelationId:  {correlation}.", self.message);
        json!({"error": {"code": self.code, "message": message}}).to_string().into_bytes()
    }
}

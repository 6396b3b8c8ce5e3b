//! The multipart batches that Dataverse is sent, whose line ends become CRLF on the way, unless they are meant to be wrong;
//! and the targets of its bulk messages.

/// Two reads that are both answered.
pub const TWO_READS: &str = "--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET /api/data/v9.2/WhoAmI HTTP/1.1
Accept: application/json


--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET /api/data/v9.2/accounts(<account>)?$select=name HTTP/1.1
Accept: application/json


--batch_conform--
";
/// A part of a batch that reads who is logged in.
pub const WHO_AM_I: &str = "--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET /api/data/v9.2/WhoAmI HTTP/1.1
Accept: application/json


";
/// Two changes of one record under one content id, in two change sets.
pub const ONE_ID_TWICE: &str = "--batch_conform
Content-Type: multipart/mixed; boundary=changeset_conform

--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

PATCH /api/data/v9.2/accounts(<own account>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"telephone1\":\"Twice\"}
--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

PATCH /api/data/v9.2/accounts(<own account>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"telephone2\":\"Twice\"}
--changeset_conform--

--batch_conform--
";
/// A change of a record that nobody has.
pub const UNKNOWN_CHANGED: &str = r#"{"Targets":[
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<nobody>","telephone1":"4"}]}"#;
/// A read of what nobody has, then one that is answered.
pub const FAILING: &str = "--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET /api/data/v9.2/accounts(<nobody>)?$select=name HTTP/1.1
Accept: application/json


--batch_conform
Content-Type: application/http
Content-Transfer-Encoding: binary

GET /api/data/v9.2/WhoAmI HTTP/1.1
Accept: application/json


--batch_conform--
";
/// A change set whose second change is of what nobody has.
pub const UNDONE: &str = "--batch_conform
Content-Type: multipart/mixed; boundary=changeset_conform

--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

PATCH /api/data/v9.2/accounts(<own account>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"telephone1\":\"Undone\"}
--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

PATCH /api/data/v9.2/accounts(<nobody>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"telephone1\":\"Nowhere\"}
--changeset_conform--

--batch_conform--
";
/// Two records, under ids of our own.
pub const TWO_NEW: &str = r##"{"Targets":[
    {"@odata.type":"#Microsoft.Dynamics.CRM.account","accountid":"<third own>","name":"<mark>"},
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<fourth own>","name":"<mark>"}]}"##;
/// A record that could be made, and one that could not.
pub const ONE_TOO_LONG: &str = r#"{"Targets":[
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<nobody>","name":"<mark>"},
    {"@odata.type":"Microsoft.Dynamics.CRM.account","name":"<long>"}]}"#;
/// One record twice.
pub const TWINS: &str = r#"{"Targets":[
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<nobody>","name":"<mark>"},
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<nobody>","name":"<mark>"}]}"#;
/// A record that does not say what it is.
pub const UNTYPED: &str = r#"{"Targets":[{"accountid":"<nobody>","name":"<mark>"}]}"#;
/// Changes of both.
pub const TWO_CHANGED: &str = r#"{"Targets":[
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<third own>","telephone1":"4"},
    {"@odata.type":"Microsoft.Dynamics.CRM.account","accountid":"<made by a bulk message>","telephone1":"5"}]}"#;
/// A new record and its second state, in one change set.
pub const MADE_INACTIVE: &str = "--batch_conform
Content-Type: multipart/mixed; boundary=changeset_conform

--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

POST /api/data/v9.2/accounts HTTP/1.1
Content-Type: application/json

{\"accountid\":\"<staged>\",\"name\":\"<mark>\"}
--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

PATCH /api/data/v9.2/accounts(<staged>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"statecode\":1,\"statuscode\":2}
--changeset_conform--

--batch_conform--
";
/// The same with a status that the state does not have.
pub const NOT_MADE: &str = "--batch_conform
Content-Type: multipart/mixed; boundary=changeset_conform

--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

POST /api/data/v9.2/accounts HTTP/1.1
Content-Type: application/json

{\"accountid\":\"<nobody>\",\"name\":\"<mark>\"}
--changeset_conform
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

PATCH /api/data/v9.2/accounts(<nobody>) HTTP/1.1
Content-Type: application/json
If-Match: *

{\"statecode\":1,\"statuscode\":1}
--changeset_conform--

--batch_conform--
";

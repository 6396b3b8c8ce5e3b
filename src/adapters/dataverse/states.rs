//! New records of Dataverse that are to be in another state than the one in which its tables let them start.
//!
//! A creation says nothing of the state: the service passes over `statecode` there, and refuses a `statuscode` of another
//! state (0x80048408, crm-api.md §9). So such a record is made and then changed, in one change set: both or neither, so
//! that no run that is cut off leaves a record behind whose state could be taken for somebody's edit. In goes a write, out
//! come the writes that it takes. Nothing is sent here.

use crate::adapters::dataverse::requests::operation;
use crate::adapters::definitions::CrmTable;
use crate::adapters::odata::batch_multipart::Part;
use crate::endpoint::{Write, WriteKind};
use crate::frame::Value;

/// The column of the state.
pub const STATE: &str = "statecode";
/// The column of what a state is in more detail.
pub const STATUS: &str = "statuscode";

/// Tells whether a write is an insert of a record that does not stay in the state in which it starts.
pub fn is_staged(table: &CrmTable, write: &Write) -> bool {
    let leaves = |value: &Value| table.starts_in.is_none_or(|state| value.to_string() != state.to_string());
    write.kind == WriteKind::Insert && write.fields.iter().any(|(name, value)| name == STATE && leaves(value))
}

/// Makes the part of a batch that carries out a write.
pub fn part(root: &str, table: &CrmTable, select: &str, write: &Write) -> Result<Part, String> {
    if !is_staged(table, write) {
        return operation(root, table, select, write).map(Part::Single);
    }
    let of_state = |(name, _): &&(String, Value)| name == STATE || name == STATUS;
    let fields = |state: bool| write.fields.iter().filter(|field| of_state(field) == state).cloned().collect();
    let made = Write { fields: fields(false), ..write.clone() };
    // Nobody but us knows of a record that is being made.
    let changed = Write { kind: WriteKind::Update, id: write.id, etag: None, fields: fields(true) };
    let operations =
        [made, changed].iter().map(|write| operation(root, table, select, write)).collect::<Result<_, _>>();
    operations.map(Part::ChangeSet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::dataverse::requests::tests::{contacts, write};
    use crate::adapters::odata::batch_multipart;

    #[test]
    fn a_record_is_made_and_then_brought_into_its_state_or_neither() {
        let body = |fields: &[(&str, Value)]| {
            let name = ("lastname", Value::Text("Falk".into()));
            let fields: Vec<(&str, Value)> = [name].into_iter().chain(fields.iter().cloned()).collect();
            let insert = write(WriteKind::Insert, &fields);
            let part = part("/api/data/v9.2", &contacts(), "contactid", &insert).unwrap();
            (part.operations(), batch_multipart::build_parts(&[part], &[]).replace('\r', ""))
        };
        let (count, staged) = body(&[(STATE, Value::Integer(1)), (STATUS, Value::Text("2".into()))]);
        assert_eq!(count, 2);
        insta::assert_snapshot!(staged, @r#"
        --batch_pipeline
        Content-Type: multipart/mixed; boundary=changeset_0

        --changeset_0
        Content-Type: application/http
        Content-Transfer-Encoding: binary
        Content-ID: 1

        POST /api/data/v9.2/contacts?$select=contactid HTTP/1.1
        Content-Type: application/json; type=entry
        Prefer: return=representation

        {"contactid":"00000000-0000-0000-0000-000000000007","lastname":"Falk"}
        --changeset_0
        Content-Type: application/http
        Content-Transfer-Encoding: binary
        Content-ID: 2

        PATCH /api/data/v9.2/contacts(00000000-0000-0000-0000-000000000007)?$select=contactid HTTP/1.1
        Content-Type: application/json; type=entry
        Prefer: return=representation
        If-Match: *

        {"statecode":1,"statuscode":2}
        --changeset_0--

        --batch_pipeline--
        "#);
        let (_, plain) = body(&[]);
        // The service would pass over the state, and takes a status of it.
        assert_eq!(body(&[(STATE, Value::Text("0".into()))]), (1, plain.clone()));
        let (count, with_status) = body(&[(STATE, Value::Integer(0)), (STATUS, Value::Integer(1))]);
        assert_eq!((count, with_status), (1, plain.replace(r#""Falk""#, r#""Falk","statuscode":1"#)));
        let nonsense = write(WriteKind::Insert, &[(STATE, Value::Text("closed".into()))]);
        assert!(part("", &contacts(), "", &nonsense).is_err_and(|message| message.contains("`closed`")));
        assert!(!is_staged(&contacts(), &write(WriteKind::Update, &[(STATE, Value::Integer(1))])));
        // Where the service does not tell where its records start, they are always brought where they belong.
        let unknown = CrmTable { starts_in: None, ..contacts() };
        assert!(is_staged(&unknown, &write(WriteKind::Insert, &[(STATE, Value::Integer(0))])));
    }
}

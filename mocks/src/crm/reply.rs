//! Responses in the shape the service gives them: its headers, its JSON, its errors.

use uuid::Uuid;

use super::error::Error;
use super::schema::TABLES;
use super::store::{Cell, Row};
use crate::service::Response;

/// The header that every answer has.
pub fn version() -> (String, String) {
    ("OData-Version".to_owned(), "4.0".to_owned())
}

/// A JSON answer.
pub fn json(status: u16, body: Vec<u8>, more: Vec<(String, String)>) -> Response {
    let mut headers =
        vec![("Content-Type".to_owned(), "application/json; odata.metadata=minimal".to_owned()), version()];
    headers.extend(more);
    Response { status, headers, body }
}

/// A write that gives nothing back but the row's URL.
pub fn no_content(url: Option<String>) -> Response {
    let mut headers = vec![version()];
    headers.extend(url.map(|url| ("OData-EntityId".to_owned(), url)));
    Response { status: 204, headers, body: Vec::new() }
}

/// A refusal.
pub fn error(error: &Error, annotated: bool) -> Response {
    let mut headers = vec![("REQ_ID".to_owned(), Uuid::new_v4().to_string())];
    headers.push(("Content-Type".to_owned(), "application/json; odata.metadata=minimal".to_owned()));
    headers.push(version());
    Response { status: error.status, headers, body: error.body(annotated).to_string().into_bytes() }
}

/// The refusal of the web server in front of the service: HTML, no OData.
pub fn front_end(status: u16, title: &str) -> Response {
    let headers = vec![("Content-Type".to_owned(), "text/html; charset=us-ascii".to_owned())];
    let body =
        format!("<!DOCTYPE HTML><HTML><HEAD><TITLE>{title}</TITLE></HEAD><BODY><h2>{title}</h2></BODY></HTML>\r\n");
    Response { status, headers, body: body.into_bytes() }
}

/// The weak etag of a row.
pub fn etag(table: usize, row: &Row) -> String {
    let version = row.get(TABLES[table].column("versionnumber")).and_then(Cell::whole).unwrap_or_default();
    format!("W/\"{version}\"")
}

/// The words that go with a status on a status line.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

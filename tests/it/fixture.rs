//! Small pipelines and frames for tests of the core.

use pipeline::config::Pipeline;
use pipeline::config::check::{Purpose, check};

/// Makes a pipeline of these table maps, written as under `tables:`; panics with the complaints.
pub fn pipeline(tables: &str) -> Pipeline {
    let text = format!(
        "version: 1
name: test
connections:
  erp:
    adapter: business-central
    url: http://127.0.0.1:1
    company: CRONUS
    auth: {{ type: oauth2, token_url: http://127.0.0.1:1/token, client_id: id, client_secret: \"${{SECRET}}\", scope: s }}
  crm:
    adapter: dataverse
    url: http://127.0.0.1:1
    auth: {{ type: oauth2, token_url: http://127.0.0.1:1/token, client_id: id, client_secret: \"${{SECRET}}\", scope: s }}
state: sqlite:test.db
tables:
{tables}"
    );
    let checked = check(&text, "test.yaml", &|name| (name == "SECRET").then(|| "hush".to_owned()), Purpose::Run);
    checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints))
}

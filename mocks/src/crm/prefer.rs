//! The preferences of a request: what a client asked for, and what the response says it got.
//!
//! Several preferences may share one header or come in several; a value may be in quotes and hold commas.

use crate::service::Request;

/// The largest page, and the size of a page when none is preferred.
pub const PAGE_ROWS_MAX: usize = 5000;

/// The preferences that the service knows.
#[derive(Debug, Clone, Default)]
pub struct Prefer {
    pub page_rows: Option<usize>,
    /// The patterns of annotations to include.
    pub annotations: Option<String>,
    pub representation: bool,
    pub continue_on_error: bool,
    pub track_changes: bool,
}

impl Prefer {
    /// Reads all `Prefer` headers of a request.
    pub fn read(request: &Request) -> Prefer {
        let mut prefer = Prefer::default();
        for (name, value) in &request.headers {
            if name.eq_ignore_ascii_case("prefer") {
                split(value).for_each(|preference| prefer.take(preference.trim()));
            }
        }
        prefer
    }

    /// Tells whether an annotation was asked for.
    pub fn wants(&self, annotation: &str) -> bool {
        let Some(patterns) = &self.annotations else { return false };
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => annotation.starts_with(start),
            None => annotation == pattern,
        };
        let patterns = || patterns.split(',').map(str::trim);
        let refused = patterns().filter_map(|pattern| pattern.strip_prefix('-')).any(matches);
        !refused && patterns().any(matches)
    }

    /// Tells whether every annotation was asked for, which errors look at.
    pub fn wants_all(&self) -> bool {
        self.annotations.as_deref() == Some("*")
    }

    /// Returns the `Preference-Applied` headers of a page or a row.
    pub fn applied(&self, paged: bool) -> Vec<(String, String)> {
        let mut applied = Vec::new();
        if let Some(rows) = self.page_rows.filter(|_| paged) {
            applied.push(format!("odata.maxpagesize={rows}"));
        }
        if let Some(annotations) = &self.annotations {
            applied.push(format!("odata.include-annotations=\"{annotations}\""));
        }
        if self.representation && !paged {
            applied.push("return=representation".to_owned());
        }
        applied.into_iter().map(|preference| ("Preference-Applied".to_owned(), preference)).collect()
    }

    fn take(&mut self, preference: &str) {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "odata.maxpagesize" => {
                self.page_rows = value.parse().ok().filter(|rows| *rows > 0).map(|rows: usize| rows.min(PAGE_ROWS_MAX));
            }
            "odata.include-annotations" => self.annotations = Some(value.to_owned()),
            "return" => self.representation = value == "representation",
            "odata.continue-on-error" => self.continue_on_error = value != "false",
            "odata.track-changes" => self.track_changes = true,
            _ => {}
        }
    }
}

fn split(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_share_a_header_or_come_in_several() {
        let headers = [
            ("prefer", "odata.maxpagesize=9000,odata.include-annotations=\"OData.*,-OData.Community.*\""),
            ("Prefer", "return=representation"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let prefer = Prefer::read(&Request { headers, ..Request::default() });
        assert_eq!(prefer.page_rows, Some(5000));
        assert!(prefer.representation && !prefer.continue_on_error);
        assert!(prefer.wants("OData.Other"));
        assert!(!prefer.wants("OData.Community.Display.V1.FormattedValue"));
        assert!(!prefer.wants("Microsoft.Dynamics.CRM.lookuplogicalname"));
    }
}

//! Percent-encoding of what we put into an address; text in, text out.
//!
//! A link that a side gave us is not ours to encode: see [`crate::adapters::odata::link`].

use std::fmt::Write;

/// Encodes everything but letters, digits and `-._~` (RFC 3986, the unreserved characters).
pub fn strict(text: &str) -> String {
    encode(text, b"")
}

/// Encodes the value of a query option, leaving what OData expressions are full of and no server misreads.
pub fn query(text: &str) -> String {
    encode(text, b"$'()*,!@:")
}

fn encode(text: &str, keep: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes any text");
        }
    }
    out
}

/// Decodes what is encoded; what is no code stays as it is.
pub fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        for (text, expected) in
            [("B%C3%B8e%20'x'", "Bøe 'x'"), ("100%", "100%"), ("%zz%2", "%zz%2"), ("%ø", "%ø"), ("%25C3", "%C3")]
        {
            assert_eq!(decoded(text), expected);
        }
    }

    #[test]
    fn text_is_encoded_byte_by_byte() {
        for (text, in_query, in_form) in [
            ("name eq 'O''Brien'", "name%20eq%20'O''Brien'", "name%20eq%20%27O%27%27Brien%27"),
            ("a+b&c#d/e?f%g=h;i", "a%2Bb%26c%23d%2Fe%3Ff%25g%3Dh%3Bi", "a%2Bb%26c%23d%2Fe%3Ff%25g%3Dh%3Bi"),
            ("Bøe", "B%C3%B8e", "B%C3%B8e"),
            ("[\"x\"]", "%5B%22x%22%5D", "%5B%22x%22%5D"),
            ("$select(a,b)", "$select(a,b)", "%24select%28a%2Cb%29"),
        ] {
            assert_eq!((query(text).as_str(), strict(text).as_str()), (in_query, in_form));
        }
    }
}

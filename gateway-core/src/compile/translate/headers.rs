//! Header modifiers, translated (`HTTPHeaderFilter`).
//!
//! In: edits as stated. Out: edits with names in lower case, of equivalent names the first. What belongs to one connection, or
//! frames a message, is not for filters to change, and a rule that tries is refused: ignoring it would not be seen.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use crate::resource::{self, HeaderModifier};
use crate::snapshot::filters::{HeaderEdit, HeaderEdits};

use super::super::fault::Fault;
use super::unsupported;

/// Translates a header modifier.
pub(super) fn header_edits(stated: &HeaderModifier) -> Result<HeaderEdits, Fault> {
    let HeaderModifier { set, add, remove } = stated;
    let names = remove.iter().map(|text| editable(text, "removed").and_then(not_host)).collect::<Result<_, _>>()?;
    let add = edits(add, "added to")?;
    if let Some(edit) = add.iter().find(|edit| edit.name == header::HOST) {
        not_host(edit.name.clone())?;
    }
    Ok(HeaderEdits { set: edits(set, "set")?, add, remove: names })
}

fn edits(stated: &[resource::HeaderValue], what: &str) -> Result<Box<[HeaderEdit]>, Fault> {
    let mut edits: Vec<HeaderEdit> = Vec::with_capacity(stated.len());
    for header in stated {
        let name = editable(&header.name, what)?;
        let value = HeaderValue::from_str(&header.value)
            .map_err(|_| unsupported(format!("the value of header {} has characters that a header cannot hold", header.name)))?;
        // Of equivalent names the first entry counts.
        if edits.iter().all(|known| known.name != name) {
            edits.push(HeaderEdit { name, written: Bytes::copy_from_slice(header.name.as_bytes()), value });
        }
    }
    Ok(edits.into_boxed_slice())
}

/// The name of a header that filters may change.
pub(super) fn editable(text: &str, what: &str) -> Result<HeaderName, Fault> {
    let name = name(text)?;
    let is_of_connection = match name {
        header::CONNECTION
        | header::CONTENT_LENGTH
        | header::TE
        | header::TRAILER
        | header::TRANSFER_ENCODING
        | header::UPGRADE => true,
        _ => matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings"),
    };
    if is_of_connection {
        return Err(unsupported(format!("header {text} cannot be {what}: it belongs to one connection or frames a message")));
    }
    Ok(name)
}

fn not_host(name: HeaderName) -> Result<HeaderName, Fault> {
    if name == header::HOST { Err(unsupported("header Host can only be set".to_owned())) } else { Ok(name) }
}

/// The name of a header.
pub(super) fn name(text: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| unsupported(format!("{text:?} is not a header name")))
}

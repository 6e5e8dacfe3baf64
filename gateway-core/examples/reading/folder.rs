//! The manifests of a folder as objects: what a program does before it asks gateway-core anything.
//!
//! In: a folder of YAML files. Out: its objects; the first document that is refused is an error.

#![expect(clippy::disallowed_methods, reason = "an example is a program: what the library must not touch is its to read")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use gateway_core::compile::Change;
use gateway_core::resource::{self, Reader, Reading};
use serde_json::Value;

/// Every object of a folder, as a change that puts it.
pub(crate) fn changes(folder: &Path) -> Result<Vec<Change>, Box<dyn Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut changes = Vec::new();
    for file in files {
        for document in fs::read_to_string(&file)?.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document)?;
            match resource::read(value, &Reader::default()) {
                Ok(Reading::Object { object, .. }) => changes.push(Change::Put(object)),
                // A kind that has no say here.
                Ok(Reading::Foreign { .. }) => {}
                Err(invalid) => return Err(format!("{}: {invalid:?}", file.display()).into()),
            }
        }
    }
    Ok(changes)
}

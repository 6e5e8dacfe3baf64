//! The Secrets that `--secret` stands for.
//!
//! In: the flags, and word that a file of theirs changed. Out: Secrets as JSON, as somebody might have written them; or what is wrong,
//! with the file and the field. A certificate and its key are replaced one after the other, so that a pair which does not fit is no
//! Secret: whoever keeps what was read last keeps the pair before.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_core::compile::certificate_flaw;
use gateway_core::name::{Kind, ObjectId, ObjectName};
use gateway_core::resource::{self, Object, Reader, Reading};
use serde_json::json;

use super::problem::{Problem, Severity};
use super::scan::{reason, tidy};
use crate::args::SecretFiles;

/// What the flags say, and which of it is to be read.
#[derive(Debug)]
pub(super) struct Secrets {
    flags: Vec<SecretFiles>,
    /// By their place among the flags.
    stale: BTreeSet<usize>,
}

impl Secrets {
    /// Nothing is read yet.
    pub(super) fn new(flags: &[SecretFiles]) -> Self {
        let tidied = flags.iter().map(|SecretFiles { name, certificate, key }| SecretFiles {
            name: name.clone(),
            certificate: tidy(certificate),
            key: tidy(key),
        });
        Self { flags: tidied.collect(), stale: (0..flags.len()).collect() }
    }

    /// The files, each as often as it is named.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.flags.iter().flat_map(|flag| [&flag.certificate, &flag.key])
    }

    /// Takes note that a file changed, came or went; whether it is one of these.
    pub(super) fn touch(&mut self, path: &Path) -> bool {
        let concerned = self.flags.iter().enumerate().filter(|(_, flag)| flag.certificate == path || flag.key == path);
        let concerned: Vec<usize> = concerned.map(|(at, _)| at).collect();
        self.stale.extend(&concerned);
        !concerned.is_empty()
    }

    /// What is to be read again.
    pub(super) fn take_stale(&mut self) -> Vec<SecretFiles> {
        std::mem::take(&mut self.stale).into_iter().filter_map(|at| self.flags.get(at).cloned()).collect()
    }
}

/// Reads a Secret.
pub(super) fn read(flag: &SecretFiles, reader: &Reader) -> Result<Object, Problem> {
    let SecretFiles { name, certificate, key } = flag;
    let id = ObjectId::new(Kind::Secret, name.clone()).to_string();
    let problem = |file: &Path, field: Option<&str>, why: String| Problem {
        object: Some(id.clone()),
        field: field.map(str::to_owned),
        ..Problem::of_file(file, Severity::Error, why)
    };
    let contents = |path: &Path, field| bytes(path).map_err(|why| problem(path, Some(field), why));
    let value = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name.name(), "namespace": name.namespace()},
        "data": {"tls.crt": contents(certificate, "tls.crt")?, "tls.key": contents(key, "tls.key")?},
    });
    let both = PathBuf::from(format!("{},{}", certificate.display(), key.display()));
    let Ok(Reading::Object { object: Object::Secret(secret), .. }) = resource::read(value, reader) else {
        return Err(problem(&both, None, "the name is not one of a Secret".to_owned()));
    };
    match certificate_flaw(&secret) {
        Some(why) => Err(problem(&both, None, why)),
        None => Ok(Object::Secret(secret)),
    }
}

/// The contents of a file, in base64.
fn bytes(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|err| reason(&err))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("larger than {} MiB", LARGEST >> 20));
    }
    Ok(STANDARD.encode(bytes))
}

/// The name under which the ledger keeps one; it sorts behind every file, so that files come first.
pub(super) fn place(name: &ObjectName) -> PathBuf {
    PathBuf::from(format!("\u{10ffff}--secret {name}"))
}

/// As the API server bounds a Secret.
const LARGEST: u64 = 1 << 20;

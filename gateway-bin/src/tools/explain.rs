//! `gateway explain`: which rule would answer a request, and why the others would not.
//!
//! In: a request and manifests. Out: the listener, the candidates from the best on with what each came to, what is done, on standard
//! output; problems of the files on standard error. The status is 0 when a rule forwards or answers, 1 otherwise.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway_pingora::Builder;

use super::compile;
use crate::args::{Explain, Output};
use crate::question::Question;

/// Explains the request.
pub(crate) fn explain(flags: &Explain, builder: Builder) -> anyhow::Result<ExitCode> {
    let offline = compile(&flags.given.paths, &flags.given.reading, builder)?;
    offline.tell_problems();
    let question = Question { method: flags.method.clone(), url: flags.url.clone(), headers: flags.headers.clone() };
    let explained = question.ask(&offline.snapshot, &BTreeMap::new());
    let text = match flags.output {
        Output::Text => format!("{}\n", explained.text),
        Output::Json => format!("{:#}\n", explained.json),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if explained.is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

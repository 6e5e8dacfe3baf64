//! `gateway explain`: which route would take a request, a connection or a datagram, and why the others would not.
//!
//! In: a URL, what else a request has, and manifests. Out: the listener, the candidates from the best on with what each came to, what
//! is done, on standard output; problems of the files on standard error. The status is 0 when it is forwarded or answered, or when
//! a connection comes about on which HTTP is spoken, 1 otherwise.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway_pingora::Builder;

use super::compile;
use crate::args::{Explain, Output};
use crate::question::Question;

/// Explains what becomes of it.
pub(crate) fn explain(flags: &Explain, builder: Builder) -> anyhow::Result<ExitCode> {
    let offline = compile(&flags.given.paths, &flags.given.reading, flags.judging, builder)?;
    offline.tell_problems();
    let question = Question { target: flags.url.clone(), method: flags.method.clone(), headers: flags.headers.clone() };
    let explained = question.ask(&offline.snapshot, &BTreeMap::new());
    let text = match flags.output {
        Output::Text => format!("{}\n", explained.text),
        Output::Json => format!("{:#}\n", explained.json),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if explained.is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

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
use crate::args::{Explain, ExplainOutput};
use crate::question::Question;

/// Explains the request.
pub(crate) fn explain(flags: &Explain, builder: Builder) -> anyhow::Result<ExitCode> {
    let offline = compile(&flags.reading, builder)?;
    let mut errors = std::io::stderr().lock();
    for problem in offline.files.problems() {
        // Nobody may be there to read it; the answer stands without.
        let _ = writeln!(errors, "{problem}");
    }
    let question = Question { method: flags.method.clone(), url: flags.url.clone(), headers: flags.headers.clone() };
    let explained = question.ask(&offline.snapshot, &BTreeMap::new());
    let text = match flags.output {
        ExplainOutput::Text => format!("{}\n", explained.text),
        ExplainOutput::Json => format!("{:#}\n", explained.json),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if explained.is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

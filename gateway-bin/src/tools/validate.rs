//! `gateway validate`: the conditions every object would get.
//!
//! In: manifests. Out: a table or YAML on standard output, problems of the files on standard error, and a status: 0 when everything
//! is accepted and every reference leads somewhere, 1 otherwise. Whether a port could be bound is not judged.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway_pingora::Builder;

use super::{Offline, compile};
use crate::args::{Validate, ValidateOutput};
use crate::board::{Verdict, is_route};
use crate::files::problem::Severity;

/// Judges the manifests.
pub(crate) fn validate(flags: &Validate, builder: Builder) -> anyhow::Result<ExitCode> {
    let offline = compile(&flags.given.paths, &flags.given.reading, flags.judging, builder)?;
    offline.tell_problems();
    offline.tell_foreign();
    let text = match flags.output {
        ValidateOutput::Table => offline.board.to_table(),
        ValidateOutput::Yaml => serde_saphyr::to_string(&offline.board.to_json()).context("cannot write the statuses as YAML")?,
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if is_sound(&offline) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_sound(offline: &Offline) -> bool {
    let Offline { files, board, .. } = offline;
    let files_are = files.problems().iter().all(|problem| problem.severity == Severity::Warning);
    let given = files.in_force().keys().filter(|id| is_route(&id.kind));
    let judged = board.objects().into_iter().chain(given);
    files_are
        // What belongs to the Gateway API and is not read is not accepted either.
        && !files.foreign().keys().any(|kind| kind.group.starts_with("gateway.networking."))
        && !files.in_force().is_empty()
        && judged.into_iter().all(|id| !matches!(board.verdict(id), Some(Verdict::Faulty(_))))
}

//! `gateway diff`: what a change of manifests would change.
//!
//! In: two sets of manifests. Out: which requests would be answered differently, and what differs in listeners, backends, statuses and
//! problems, on standard output; problems of the files on standard error. The status is that of diff(1): 0 when nothing differs, 1 when
//! something does, 2 when something could not be read, whose objects the comparison then lacks.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use gateway_core::diff::{Compiled, diff as differences};
use gateway_pingora::Builder;

use super::{Offline, compile_with};
use crate::args::{Diff, Output};
use crate::files::problem::{Problem, Severity};

/// How standard input is named.
const STDIN: &str = "-";

/// The status when there is no telling.
pub(crate) const TROUBLE: u8 = 2;

/// Compares the manifests.
pub(crate) fn diff(flags: &Diff, builder: Builder) -> anyhow::Result<ExitCode> {
    if [&flags.old, &flags.new].into_iter().all(|path| path.as_os_str() == STDIN) {
        anyhow::bail!("standard input can be one side, not both");
    }
    let gateway = builder.build()?;
    let side = |path: &Path| -> Offline {
        let paths: Vec<PathBuf> = flags.both.iter().cloned().chain([path.to_owned()]).collect();
        compile_with(&paths, &flags.reading, flags.judging, gateway.extensions())
    };
    let (old, new) = (side(&flags.old), side(&flags.new));
    let problems: BTreeSet<Problem> = [&old, &new].into_iter().flat_map(|side| side.files.problems()).collect();
    for problem in &problems {
        // Nobody may be there to read it; the status tells too.
        let _ = writeln!(std::io::stderr(), "{problem}");
    }
    let difference = differences(compiled(&old), compiled(&new));
    let text = match flags.output {
        Output::Text => format!("{difference}\n"),
        Output::Json => format!("{:#}\n", serde_json::to_value(&difference).context("cannot write the differences as JSON")?),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let is_whole = problems.iter().all(|problem| problem.severity == Severity::Warning);
    Ok(match (is_whole, difference.is_empty()) {
        (false, _) => ExitCode::from(TROUBLE),
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
    })
}

fn compiled(side: &Offline) -> Compiled<'_> {
    Compiled { snapshot: &side.snapshot, statuses: side.compiler.statuses(), problems: side.compiler.problems() }
}

//! `gateway validate`: the conditions every object would get, and whether each is as asked for.
//!
//! In: manifests. Out: a table, YAML or JSON on standard output, problems of the files on standard error, and a status: 0 when
//! everything is accepted, has a Gateway, and every reference leads somewhere, 1 otherwise. Whether a port could be bound is not
//! judged, nor whether anybody serves a backend.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway_core::name::{Kind, ObjectId};
use gateway_pingora::Builder;
use serde_json::{Value, json};

use super::{Offline, compile};
use crate::args::{Validate, ValidateOutput};
use crate::board::{Verdict, attaches};
use crate::files::problem::Severity;

/// Judges the manifests.
pub(crate) fn validate(flags: &Validate, builder: Builder) -> anyhow::Result<ExitCode> {
    let offline = compile(&flags.given.paths, &flags.given.reading, flags.judging, builder)?;
    offline.tell_problems();
    offline.tell_foreign();
    let judgement = Judgement::new(&offline);
    let text = match flags.output {
        ValidateOutput::Table => format!("{}\n{}", offline.board.to_table(), judgement.text()),
        ValidateOutput::Yaml => serde_saphyr::to_string(&judgement.json()).context("cannot write the statuses as YAML")?,
        ValidateOutput::Json => format!("{:#}\n", judgement.json()),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if judgement.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is to be said of all objects.
struct Judgement<'a> {
    offline: &'a Offline,
    /// Of how many something is said.
    judged: usize,
    faulty: Vec<(ObjectId, Vec<String>)>,
    /// Those that could have a status of ours and have none.
    unsaid: Vec<ObjectId>,
}

impl<'a> Judgement<'a> {
    fn new(offline: &'a Offline) -> Self {
        let Offline { files, board, .. } = offline;
        let given = files.in_force().keys().filter(|id| has_status(&id.kind));
        let ids: BTreeSet<&ObjectId> = board.objects().into_iter().chain(given).collect();
        let mut judgement = Self { offline, judged: 0, faulty: Vec::new(), unsaid: Vec::new() };
        for id in ids {
            match board.verdict(id) {
                Some(verdict) => {
                    judgement.judged += 1;
                    if let Verdict::Faulty(faults) = verdict {
                        judgement.faulty.push((id.clone(), faults));
                    }
                }
                None if has_status(&id.kind) => judgement.unsaid.push(id.clone()),
                None => {}
            }
        }
        judgement
    }

    fn is_sound(&self) -> bool {
        let files = &self.offline.files;
        let files_are = files.problems().iter().all(|problem| problem.severity == Severity::Warning);
        files_are
            // What belongs to the Gateway API and is not read is not accepted either.
            && !files.foreign().keys().any(|kind| kind.group.starts_with("gateway.networking."))
            && !files.in_force().is_empty()
            && self.faulty.is_empty()
    }

    fn text(&self) -> String {
        let Self { judged, faulty, unsaid, .. } = self;
        // Writing to a string cannot fail.
        let mut text = String::new();
        let all = *judged;
        let _ = writeln!(text, "{} of {all} {} in order", all - faulty.len(), if all == 1 { "object is" } else { "objects are" });
        if !faulty.is_empty() {
            let _ = writeln!(text, "not as asked for:");
        }
        for (id, faults) in faulty {
            for fault in faults {
                let _ = writeln!(text, "  {id}: {fault}");
            }
        }
        if !unsaid.is_empty() {
            let _ = writeln!(text, "nothing is said of these, which belong to others or are not used:");
        }
        for id in unsaid {
            let _ = writeln!(text, "  {id}");
        }
        text
    }

    fn json(&self) -> Value {
        let Self { offline: Offline { files, board, .. }, judged, faulty, unsaid } = self;
        let mut json = board.to_json();
        let names = |ids: &[ObjectId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let faults = faulty.iter().map(|(id, faults)| json!({ "object": id.to_string(), "faults": faults }));
        let foreign = files.foreign();
        let passed_over = foreign.iter().map(|(kind, count)| json!({ "kind": kind.to_string(), "count": count }));
        let summary = json!({
            "isSound": self.is_sound(),
            "judged": judged,
            "faulty": faults.collect::<Vec<_>>(),
            "unsaid": names(unsaid),
            "passedOver": passed_over.collect::<Vec<_>>(),
            "problems": files.problems().iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        if let Some(fields) = json.as_object_mut() {
            fields.insert("summary".into(), summary);
        }
        json
    }
}

/// Whether objects of a kind can have a status of ours.
fn has_status(kind: &Kind) -> bool {
    attaches(kind) || matches!(kind, Kind::GatewayClass | Kind::Gateway | Kind::XBackend)
}

//! What is known about every object now: its conditions, and what no condition says.
//!
//! In: the compiler's updates. Out: the conditions as rows for people and as statuses for machines, and which objects changed their
//! verdict. Judges nothing: an object is fine when its own conditions say so.

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::compile::Update;
use gateway_core::condition::{Condition, ConditionType, Truth};
use gateway_core::name::{EXPERIMENTAL_GROUP, Kind, OWN_GROUP, ObjectId};
use gateway_core::status::{Part, Status};
use serde_json::{Value, json};

/// The present state of all statuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    statuses: BTreeMap<ObjectId, Status>,
    remarks: BTreeMap<ObjectId, Vec<String>>,
    proof: Proof,
}

/// Whether `Programmed` counts: without a data plane nothing ever is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It does.
    #[default]
    Served,
    /// It does not.
    Unserved,
}

/// One condition with the part of the object it speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    /// Empty for the object as a whole; else a listener, or the parent a route attaches to.
    pub(crate) part: String,
    pub(crate) condition: &'a Condition,
}

/// What is to be said about an object in one word, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All that it asks for holds.
    Accepted,
    /// Something does not; each entry says what.
    Faulty(Vec<String>),
}

impl Board {
    /// Knows nothing yet.
    pub(crate) fn new(proof: Proof) -> Self {
        Self { proof, ..Self::default() }
    }

    /// Takes in what an update says, and returns the objects whose verdict is another now.
    pub(crate) fn absorb(&mut self, update: &Update) -> BTreeSet<ObjectId> {
        let told: BTreeSet<&ObjectId> = update.statuses.keys().chain(update.problems.keys()).collect();
        let before: Vec<_> = told.iter().map(|id| self.verdict(id)).collect();
        for (id, status) in &update.statuses {
            match status {
                Some(status) => drop(self.statuses.insert(id.clone(), status.clone())),
                None => drop(self.statuses.remove(id)),
            }
        }
        for (id, remarks) in &update.problems {
            if remarks.is_empty() {
                self.remarks.remove(id);
            } else {
                self.remarks.insert(id.clone(), remarks.clone());
            }
        }
        let turned = told.into_iter().zip(before).filter(|(id, before)| self.verdict(id) != *before);
        turned.map(|(id, _)| id.clone()).collect()
    }

    /// The objects something is known of.
    pub(crate) fn objects(&self) -> BTreeSet<&ObjectId> {
        self.statuses.keys().chain(self.remarks.keys()).collect()
    }

    /// How many routes are attached to a listener of a Gateway or ListenerSet.
    pub(crate) fn attached_routes(&self, holder: &ObjectId, listener: &str) -> usize {
        let listeners = self.statuses.get(holder).map_or(&[][..], Status::listeners);
        listeners.iter().find(|one| one.name == listener).map_or(0, |one| one.attached_routes)
    }

    /// The addresses of a Gateway, as its status shows them.
    pub(crate) fn addresses(&self, gateway: &ObjectId) -> Vec<String> {
        match self.statuses.get(gateway) {
            Some(Status::Gateway(status)) => status.addresses.iter().map(|address| address.value.clone()).collect(),
            Some(Status::GatewayClass(_) | Status::ListenerSet(_) | Status::Route(_) | Status::Policy(_)) | None => Vec::new(),
        }
    }

    /// What a person should know of an object and no condition says.
    pub(crate) fn remarks(&self, id: &ObjectId) -> &[String] {
        self.remarks.get(id).map_or(&[], Vec::as_slice)
    }

    /// The conditions of an object, in the order of its status.
    pub(crate) fn rows(&self, id: &ObjectId) -> Vec<Row<'_>> {
        let rows = self.statuses.get(id).map(rows).unwrap_or_default();
        match self.proof {
            Proof::Served => rows,
            Proof::Unserved => rows.into_iter().filter(|row| row.condition.kind != ConditionType::Programmed).collect(),
        }
    }

    /// Whether all is well with an object; `None` where nothing is ever said about its kind.
    pub(crate) fn verdict(&self, id: &ObjectId) -> Option<Verdict> {
        let is_attached_nowhere = match self.statuses.get(id) {
            Some(Status::Route(status)) => status.parents.is_empty(),
            Some(Status::Policy(status)) => status.ancestors.is_empty() && attaches(&id.kind),
            Some(Status::GatewayClass(_) | Status::Gateway(_) | Status::ListenerSet(_)) => false,
            None => attaches(&id.kind),
        };
        let rows = self.rows(id);
        let mut faults: Vec<_> = rows.iter().filter(|row| is_fault(row.condition) && !follows(row, &rows)).map(fault).collect();
        if let Some(Status::Policy(status)) = self.statuses.get(id) {
            let left_out = status.left_out.iter();
            faults.extend(left_out.map(|gateway| {
                format!(
                    "not in force for Gateway {gateway}: its status has no room to say so, and what it should guard is not served"
                )
            }));
        }
        if is_attached_nowhere {
            faults.extend_from_slice(self.remarks(id));
            if faults.is_empty() {
                let attaches = if is_policy(&id.kind) { "it has a say at" } else { "it attaches to" };
                faults.push(format!("{attaches} no Gateway that is known here"));
            }
        }
        if faults.is_empty() && !self.statuses.contains_key(id) {
            return None;
        }
        Some(if faults.is_empty() { Verdict::Accepted } else { Verdict::Faulty(faults) })
    }

    /// Everything as JSON, in the form in which kubectl prints several objects.
    pub(crate) fn to_json(&self) -> Value {
        let items = self.objects().into_iter().map(|id| self.object_json(id)).collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": Value::Array(items) })
    }

    fn object_json(&self, id: &ObjectId) -> Value {
        let version = match id.kind.group() {
            "" => "v1".to_owned(),
            group @ (EXPERIMENTAL_GROUP | OWN_GROUP) => format!("{group}/v1alpha1"),
            group => format!("{group}/v1"),
        };
        let mut metadata = json!({ "name": id.name.name() });
        if let (false, Some(metadata)) = (id.name.namespace().is_empty(), metadata.as_object_mut()) {
            metadata.insert("namespace".into(), id.name.namespace().into());
        }
        let mut object = json!({ "apiVersion": version, "kind": id.kind.as_str(), "metadata": metadata });
        let status = self.statuses.get(id).and_then(|status| serde_json::to_value(status).ok());
        if let Some(fields) = object.as_object_mut() {
            if let Some(status) = status {
                fields.insert("status".into(), status);
            }
            if !self.remarks(id).is_empty() {
                fields.insert("remarks".into(), self.remarks(id).into());
            }
        }
        object
    }

    /// Everything as a table, a line a condition.
    pub(crate) fn to_table(&self) -> String {
        let mut rows = vec![["OBJECT", "PART", "CONDITION", "STATUS", "REASON", "MESSAGE"].map(str::to_owned)];
        for id in self.objects() {
            let mut name = id.to_string();
            for row in self.rows(id) {
                let condition = row.condition;
                let status = truth(condition.status).to_owned();
                let (kind, reason) = (condition.kind.to_string(), condition.reason.to_string());
                rows.push([std::mem::take(&mut name), row.part, kind, status, reason, condition.message.clone()]);
            }
            for remark in self.remarks(id) {
                let empty = String::new;
                rows.push([std::mem::take(&mut name), empty(), empty(), empty(), empty(), remark.clone()]);
            }
        }
        table(&rows)
    }
}

/// Whether a kind is one of routes.
pub(crate) fn is_route(kind: &Kind) -> bool {
    matches!(kind, Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute)
}

fn is_policy(kind: &Kind) -> bool {
    matches!(kind, Kind::BackendTlsPolicy | Kind::XBackendTrafficPolicy | Kind::XTelemetryPolicy)
}

/// Whether objects of a kind are for a Gateway, or for nothing.
pub(crate) fn attaches(kind: &Kind) -> bool {
    is_route(kind) || is_policy(kind) || *kind == Kind::ListenerSet
}

fn rows(status: &Status) -> Vec<Row<'_>> {
    let rows = |(part, conditions): (Part<'_>, _)| {
        let part = part.to_string();
        let conditions: &[Condition] = conditions;
        conditions.iter().map(move |condition| Row { part: part.clone(), condition })
    };
    status.parts().into_iter().flat_map(rows).collect()
}

/// What it means that a condition holds.
enum Sense {
    /// All is well.
    Good,
    /// Something stated is not in force.
    Bad,
    /// Nothing is lost.
    Neutral,
}

fn sense(kind: ConditionType) -> Sense {
    match kind {
        ConditionType::Accepted
        | ConditionType::Programmed
        | ConditionType::ResolvedRefs
        | ConditionType::SupportedVersion
        | ConditionType::AddressesAssigned => Sense::Good,
        ConditionType::Conflicted | ConditionType::PartiallyInvalid => Sense::Bad,
        ConditionType::OverlappingTlsConfig | ConditionType::InsecureFrontendValidationMode | ConditionType::DefaultGateway => {
            Sense::Neutral
        }
    }
}

fn is_fault(condition: &Condition) -> bool {
    match (sense(condition.kind), condition.status) {
        (Sense::Good, Truth::False) | (Sense::Bad, Truth::True) => true,
        (Sense::Good, Truth::True | Truth::Unknown) | (Sense::Bad, Truth::False | Truth::Unknown) | (Sense::Neutral, _) => false,
    }
}

/// Whether a fault only says what another of the same part implies: what is not accepted is not programmed either, and what is
/// conflicted is not accepted.
fn follows(row: &Row<'_>, rows: &[Row<'_>]) -> bool {
    let own = || rows.iter().filter(|other| other.part == row.part && is_fault(other.condition));
    match row.condition.kind {
        ConditionType::Programmed => own().count() > 1,
        ConditionType::Conflicted => own().any(|other| other.condition.kind == ConditionType::Accepted),
        ConditionType::Accepted
        | ConditionType::ResolvedRefs
        | ConditionType::SupportedVersion
        | ConditionType::OverlappingTlsConfig
        | ConditionType::PartiallyInvalid
        | ConditionType::AddressesAssigned
        | ConditionType::InsecureFrontendValidationMode
        | ConditionType::DefaultGateway => false,
    }
}

fn fault(row: &Row<'_>) -> String {
    let Row { part, condition } = row;
    let part = if part.is_empty() { String::new() } else { format!("{part}: ") };
    let not = if condition.status == Truth::False { "not " } else { "" };
    let kind = match condition.kind {
        ConditionType::Accepted => "accepted",
        ConditionType::Programmed => "programmed",
        ConditionType::ResolvedRefs => "resolved",
        ConditionType::SupportedVersion => "of a supported version",
        ConditionType::Conflicted => "conflicted",
        ConditionType::PartiallyInvalid => "valid only in part",
        ConditionType::OverlappingTlsConfig => "overlapping",
        ConditionType::AddressesAssigned => "given all its addresses",
        ConditionType::InsecureFrontendValidationMode => "lax with client certificates",
        ConditionType::DefaultGateway => "a default",
    };
    format!("{part}{not}{kind}: {} ({})", condition.message, condition.reason)
}

fn truth(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "True",
        Truth::False => "False",
        Truth::Unknown => "Unknown",
    }
}

/// Columns wide enough for their cells; the last is not padded.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            line.push_str(cell);
            if at + 1 < N {
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use gateway_core::condition::Reason;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [["A", "B", "C"].map(str::to_owned), ["long", "", "x"].map(str::to_owned), ["", "é", ""].map(str::to_owned)];
        assert_eq!(table(&rows), "A     B  C\nlong     x\n      é\n");
    }

    #[test]
    fn a_fault_is_a_good_condition_that_fails_or_a_bad_one_that_holds() {
        let reason = Reason::BackendNotFound;
        let condition = |kind, status| Condition { kind, status, reason, message: "why".into(), observed_generation: 0 };
        let rows = [
            (ConditionType::Accepted, Truth::False, true),
            (ConditionType::Accepted, Truth::True, false),
            (ConditionType::Programmed, Truth::Unknown, false),
            (ConditionType::Conflicted, Truth::True, true),
            (ConditionType::PartiallyInvalid, Truth::True, true),
            (ConditionType::OverlappingTlsConfig, Truth::True, false),
        ];
        for (kind, status, expected) in rows {
            assert_eq!(is_fault(&condition(kind, status)), expected, "{kind} {status:?}");
        }
        let condition = condition(ConditionType::ResolvedRefs, Truth::False);
        let told = fault(&Row { part: "listener a".into(), condition: &condition });
        assert_eq!(told, "listener a: not resolved: why (BackendNotFound)");
    }
}
